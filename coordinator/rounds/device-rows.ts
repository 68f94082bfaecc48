/**
 * Which rows of which tables speak of one device, and how they are made to speak of nobody.
 *
 * In an ended round the device's rows stay as rows of nobody, under a fresh random name for each round, because counts,
 * charges (by pseudonym) and the cohort's Merkle tree rest on them; the tree's leaf hashes are kept beside, and nothing
 * that they were hashed from. Trusts: its own database. May be called by: coordinator/rounds, coordinator/export.ts.
 */
import { concat, toHex } from '../../crypto/bytes.ts';
import { leafHash } from '../../crypto/log/merkle.ts';
import { randomBytes } from '../../crypto/random.ts';
import { entryLeaf } from '../../protos/statements.ts';
import type { Database } from '../storage/store.ts';
import { FINAL_PHASES } from './machine-types.ts';
import * as repository from './repository.ts';

const HASH_BYTES = 32;

export interface DeviceRound {
  readonly plan: string;
  readonly round: number;
  readonly ended: boolean;
  /** Its upload is acknowledged. */
  readonly uploaded: boolean;
}

/** Rounds that the device was invited to; one seek for each round of the store. */
export const roundsOfDevice = (db: Database, device: string): DeviceRound[] =>
  db
    .all<{ plan: string; round: number; ended: number; uploaded: number }>(
      `SELECT r.plan, r.round,
         r.phase IN (SELECT value FROM json_each(?2)) OR p.status IN ('finished', 'failed') AS ended,
         EXISTS (SELECT 1 FROM uploads u
           WHERE u.plan = r.plan AND u.round = r.round AND u.device = ?1 AND u.acknowledged = 1) AS uploaded
       FROM rounds r JOIN plans p ON p.hash = r.plan
       WHERE EXISTS (SELECT 1 FROM invitations i WHERE i.plan = r.plan AND i.round = r.round AND i.device = ?1)
         OR EXISTS (SELECT 1 FROM lates l WHERE l.plan = r.plan AND l.round = r.round AND l.device = ?1)
       ORDER BY p.position, r.round`,
      device,
      JSON.stringify(FINAL_PHASES),
    )
    .map(({ plan, round, ended, uploaded }) => ({
      plan,
      round,
      ended: ended === 1,
      uploaded: uploaded === 1,
    }));

/** A certified cohort in tree order; a device that was erased is ''. */
export interface CohortLeaves {
  readonly devices: readonly string[];
  readonly hashes: readonly Uint8Array[];
}

/** The leaves of a cohort's tree: kept ones where somebody was erased, else from the signed entries. */
export function cohortLeaves(
  db: Database,
  row: repository.RoundKey,
  cohort: readonly string[],
): CohortLeaves {
  const kept = db.get<{ devices: string; hashes: Uint8Array }>(
    'SELECT devices, hashes FROM cohort_leaves WHERE plan = ? AND round = ?',
    row.plan,
    row.round,
  );
  if (kept) {
    const devices = JSON.parse(kept.devices) as string[];
    const at = (i: number) => kept.hashes.slice(i * HASH_BYTES, (i + 1) * HASH_BYTES);
    return { devices, hashes: devices.map((_, i) => at(i)) };
  }
  const entries = repository.entriesOf(db, row.plan, repository.bindingOfRow(row), cohort);
  return {
    devices: entries.map(({ deviceId }) => deviceId),
    hashes: entries.map((entry) => leafHash(entryLeaf(entry))),
  };
}

/** Fixes the leaves of an ended round's cohort before an entry under them goes. */
export function keepLeaves(db: Database, plan: string, round: number): void {
  const kept = 'SELECT 1 AS found FROM cohort_leaves WHERE plan = ? AND round = ?';
  const row = db.get(kept, plan, round) ? undefined : repository.getRound(db, plan, round);
  if (!row) return;
  const { cohort } = repository.loadRoundState(db, plan, row);
  if (cohort === null) return;
  const { devices, hashes } = cohortLeaves(db, { ...row, plan }, cohort);
  db.run(
    'INSERT INTO cohort_leaves VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
    plan,
    round,
    JSON.stringify(devices),
    concat(...hashes),
  );
}

/** Rows that were erased, by what they were. */
export class Erased {
  readonly #counts = new Map<string, number>();
  add(what: string, { changes }: { readonly changes: number }): void {
    if (changes > 0) this.#counts.set(what, (this.#counts.get(what) ?? 0) + changes);
  }
  /** What both have counted: a transaction counts for itself, because it may be run again. */
  plus(other: Erased): Erased {
    const sum = new Erased();
    for (const part of [this, other])
      for (const { what, count } of part.list()) sum.add(what, { changes: count });
    return sum;
  }
  list(): { what: string; count: number }[] {
    return [...this.#counts].map(([what, count]) => ({ what, count }));
  }
}

const nobody = (): string => `erased-${toHex(randomBytes(12))}`;

/** Makes the device's rows of an ended round speak of nobody. */
export function eraseFromRound(
  db: Database,
  device: string,
  { plan, round }: Pick<DeviceRound, 'plan' | 'round'>,
  erased: Erased,
): void {
  keepLeaves(db, plan, round);
  const name = nobody();
  const at = [plan, round, device] as const;
  const where = 'plan = ? AND round = ? AND device = ?';
  erased.add(
    'device id in invitations; the pseudonym stays',
    db.run(`UPDATE invitations SET device = ? WHERE ${where}`, name, ...at),
  );
  erased.add(
    'signed uploads: device id, certificate, digest, signature',
    db.run(
      `UPDATE uploads SET device = ?, digest = '', signature = x'', certificate = x'', body_digest = '' WHERE ${where}`,
      name,
      ...at,
    ),
  );
  erased.add('ciphertext places', db.run(`DELETE FROM upload_chunks WHERE ${where}`, ...at));
  erased.add('late uploads', db.run(`DELETE FROM lates WHERE ${where}`, ...at));
  erased.add("key holders' verdicts", repository.renameInVerdicts(db, { plan, round, device }, name));
  erased.add('rejections', db.run(`DELETE FROM rejections WHERE ${where}`, ...at));
  db.run(
    'UPDATE rounds SET state = replace(state, ?, ?) WHERE plan = ? AND round = ?',
    JSON.stringify(device),
    JSON.stringify(name),
    plan,
    round,
  );
  db.run(
    'UPDATE cohort_leaves SET devices = replace(devices, ?, \'""\') WHERE plan = ? AND round = ?',
    JSON.stringify(device),
    plan,
    round,
  );
}

/** Everything outside of rounds. The pseudonym stays taken: nobody else may be charged under it. */
export function eraseFromRecords(db: Database, device: string, erased: Erased): void {
  const drop = (table: string) => db.run(`DELETE FROM ${table} WHERE device = ?`, device);
  erased.add('consents and their receipts', drop('consents'));
  erased.add('withdrawals and their receipts', drop('withdrawals'));
  erased.add('budget alarms', drop('budget_alarms'));
  erased.add('subject access reports', drop('subject_access'));
  let bindings = 0;
  for (const { epoch } of db.all<{ epoch: string }>('SELECT epoch FROM pseudonyms WHERE device = ?', device))
    bindings += db.run(
      'UPDATE pseudonyms SET device = ? WHERE device = ? AND epoch = ?',
      nobody(),
      device,
      epoch,
    ).changes;
  erased.add('links between device id and pseudonym', { changes: bindings });
}
