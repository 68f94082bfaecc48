/**
 * The tables of who is invited under which pseudonym. Split from repository.ts by idea.
 *
 * Trusts: its own database. May be called by: coordinator/rounds through repository.ts.
 */
import type { Database } from '../storage/store.ts';

/** An object by device: SQLite reads its keys and values without parsing each again. */
const pseudonymsJson = (
  candidates: readonly { readonly deviceId: string; readonly pseudonym: string }[],
): string => {
  const pairs = candidates.map(
    ({ deviceId, pseudonym }) => `${JSON.stringify(deviceId)}:${JSON.stringify(pseudonym)}`,
  );
  return `{${pairs.join()}}`;
};

/** Binds each device to its pseudonym in this epoch; returns the devices that are bound to another, or whose pseudonym is. */
export function bindPseudonyms(
  db: Database,
  epoch: string,
  candidates: readonly { readonly deviceId: string; readonly pseudonym: string }[],
): string[] {
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

export function insertInvitations(
  db: Database,
  plan: string,
  round: number,
  candidates: readonly { readonly deviceId: string; readonly pseudonym: string }[],
): void {
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

export const invitedPseudonyms = (db: Database, plan: string, round: number): string[] =>
  db
    .all<{ pseudonym: string }>('SELECT pseudonym FROM invitations WHERE plan = ? AND round = ?', plan, round)
    .map((row) => row.pseudonym);

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
  return db
    .all<{ device: string; pseudonym: string }>(
      'SELECT device, pseudonym FROM invitations WHERE plan = ? AND round = ? ORDER BY device',
      plan,
      round,
    )
    .filter((row) => devices.has(row.device))
    .map((row) => row.pseudonym);
}
