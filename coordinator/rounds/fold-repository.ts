/**
 * The table of the fold: per shard one row that holds a partial sum together with the devices in it, so that a crash
 * can never part them.
 *
 * Trusts: its own database. May be called by: coordinator/rounds through repository.ts.
 */
import type { Database } from '../storage/store.ts';

export interface FoldRow {
  readonly shard: number;
  /** `BodyFolder.bytes()`. */
  readonly sum: Uint8Array;
  readonly devices: readonly string[];
}

export function putFold(db: Database, plan: string, round: number, row: FoldRow): void {
  db.run(
    `INSERT INTO fold_state (plan, round, shard, sum, devices, count) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (plan, round, shard)
     DO UPDATE SET sum = excluded.sum, devices = excluded.devices, count = excluded.count`,
    plan,
    round,
    row.shard,
    row.sum,
    JSON.stringify(row.devices),
    row.devices.length,
  );
}

export const foldDevices = (
  db: Database,
  plan: string,
  round: number,
): { readonly shard: number; readonly devices: string[]; readonly count: number }[] =>
  db
    .all<{ shard: number; devices: string; count: number }>(
      'SELECT shard, devices, count FROM fold_state WHERE plan = ? AND round = ? ORDER BY shard',
      plan,
      round,
    )
    .map(({ shard, devices, count }) => ({ shard, devices: JSON.parse(devices) as string[], count }));

export const foldSum = (db: Database, plan: string, round: number, shard: number): Uint8Array | undefined =>
  db.get<{ sum: Uint8Array }>(
    'SELECT sum FROM fold_state WHERE plan = ? AND round = ? AND shard = ?',
    plan,
    round,
    shard,
  )?.sum;

export function dropFold(db: Database, plan: string, round: number): void {
  db.run('DELETE FROM fold_state WHERE plan = ? AND round = ?', plan, round);
}

export const hasCiphertexts = (db: Database, plan: string, round: number): boolean =>
  db.get('SELECT 1 FROM upload_chunks WHERE plan = ? AND round = ? LIMIT 1', plan, round) !== undefined ||
  db.get('SELECT 1 FROM fold_state WHERE plan = ? AND round = ? LIMIT 1', plan, round) !== undefined;

/** Where the ciphertexts of a finished round stood, and their sums; the signed entries stay. */
export function dropCiphertexts(db: Database, plan: string, round: number): void {
  db.run('DELETE FROM upload_chunks WHERE plan = ? AND round = ?', plan, round);
  dropFold(db, plan, round);
}
