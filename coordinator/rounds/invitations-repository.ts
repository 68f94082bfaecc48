/**
 * The tables of who is invited under which pseudonym. Split from repository.ts by idea.
 *
 * Trusts: its own database. May be called by: coordinator/rounds through repository.ts.
 */
import type { Database } from '../storage/store.ts';

type Candidates = readonly { readonly deviceId: string; readonly pseudonym: string }[];

/** Of the list that was asked for last: it is bound, and then mostly invited as it is. */
let latest: { readonly candidates: Candidates; readonly text: string } | null = null;

/** An object by device: SQLite reads its keys and values without parsing each again. */
function pseudonymsJson(candidates: Candidates): string {
  const same =
    latest?.candidates.length === candidates.length &&
    latest.candidates.every((one, i) => one === candidates[i]);
  if (same) return latest!.text;
  const pairs = candidates.map(
    ({ deviceId, pseudonym }) => `${JSON.stringify(deviceId)}:${JSON.stringify(pseudonym)}`,
  );
  latest = { candidates: [...candidates], text: `{${pairs.join()}}` };
  return latest.text;
}

/** Binds each device to its pseudonym in this epoch; returns the devices that are bound to another, or whose pseudonym is. */
export function bindPseudonyms(db: Database, epoch: string, candidates: Candidates): string[] {
  const list = pseudonymsJson(candidates);
  const unbound = () =>
    db.all<{ device: string }>(
      `SELECT j.key AS device FROM json_each(?1) j
       WHERE NOT EXISTS (SELECT 1 FROM pseudonyms p
         WHERE p.epoch = ?2 AND p.device = j.key AND p.pseudonym = j.value)`,
      list,
      epoch,
    );
  if (unbound().length === 0) return [];
  db.run(
    `INSERT INTO pseudonyms (epoch, device, pseudonym)
     SELECT ?2, key, value FROM json_each(?1) WHERE true ON CONFLICT DO NOTHING`,
    list,
    epoch,
  );
  return unbound().map(({ device }) => device);
}

export function insertInvitations(db: Database, plan: string, round: number, candidates: Candidates): void {
  const { changes } = db.run(
    `INSERT INTO invitations (plan, round, device, pseudonym)
     SELECT ?1, ?2, key, value FROM json_each(?3) WHERE true ON CONFLICT DO NOTHING`,
    plan,
    round,
    pseudonymsJson(candidates),
  );
  // Counted here: a COUNT over the rows at every check-in would make a round quadratic in its devices.
  if (changes > 0)
    db.run('UPDATE rounds SET invited = invited + ? WHERE plan = ? AND round = ?', changes, plan, round);
}

/** Those of `devices` that are invited. */
export const invitedAmong = (
  db: Database,
  plan: string,
  round: number,
  devices: readonly string[],
): Set<string> =>
  new Set(
    db
      .all<{ device: string }>(
        `SELECT i.device FROM json_each(?3) j
         CROSS JOIN invitations i ON i.plan = ?1 AND i.round = ?2 AND i.device = j.value`,
        plan,
        round,
        JSON.stringify(devices),
      )
      .map((row) => row.device),
  );

export const invitationOf = (db: Database, plan: string, round: number, device: string): string | undefined =>
  db.get<{ pseudonym: string }>(
    'SELECT pseudonym FROM invitations WHERE plan = ? AND round = ? AND device = ?',
    plan,
    round,
    device,
  )?.pseudonym;

/** In no order. One long text is read in a fraction of the time of many rows, and no pseudonym has a line feed. */
export function invitedPseudonyms(db: Database, plan: string, round: number): string[] {
  const sql =
    'SELECT group_concat(pseudonym, char(10)) AS names FROM invitations WHERE plan = ? AND round = ?';
  return db.get<{ names: string | null }>(sql, plan, round)!.names?.split('\n') ?? [];
}

export const countInvitations = (db: Database, plan: string, round: number): number =>
  db.get<{ invited: number }>('SELECT invited FROM rounds WHERE plan = ? AND round = ?', plan, round)
    ?.invited ?? 0;

export const invitedDevices = (db: Database, plan: string, round: number): string[] =>
  db
    .all<{ device: string }>(
      'SELECT device FROM invitations WHERE plan = ? AND round = ? ORDER BY device',
      plan,
      round,
    )
    .map((row) => row.device);

export function pseudonymsOf(
  db: Database,
  plan: string,
  round: number,
  devices: ReadonlySet<string>,
): string[] {
  // Whoever sent something was invited, so as many are the same.
  if (devices.size === countInvitations(db, plan, round)) return invitedPseudonyms(db, plan, round);
  return db
    .all<{ device: string; pseudonym: string }>(
      'SELECT device, pseudonym FROM invitations WHERE plan = ? AND round = ? ORDER BY device',
      plan,
      round,
    )
    .filter((row) => devices.has(row.device))
    .map((row) => row.pseudonym);
}
