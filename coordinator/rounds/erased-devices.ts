/**
 * Devices that were erased, remembered by a keyed mark alone: who holds the table cannot tell which they were, yet one
 * that came back under its old key would be recognised and could not open a second budget.
 *
 * Beside the mark stands nothing: a time, a count or a commitment could be found again in the log's leaf, which has the
 * pseudonym. So whoever learns a device id again, with this coordinator's key, sees that it was erased and no more.
 *
 * Trusts: its store, and the coordinator's signing key for the marks. May be called by: coordinator/rounds,
 * coordinator/grpc.
 */
import { toHex, utf8 } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import type { Database } from '../storage/store.ts';
import type { RoundServices } from './services.ts';

export const ERASURE_MIGRATIONS = [
  `CREATE TABLE erased_devices (mark TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
   CREATE TABLE erasures_pending (device TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
   CREATE TABLE cohort_leaves (
     plan TEXT NOT NULL, round INTEGER NOT NULL, devices TEXT NOT NULL, hashes BLOB NOT NULL,
     PRIMARY KEY (plan, round)) STRICT, WITHOUT ROWID;
   CREATE TABLE plan_ends (plan TEXT PRIMARY KEY, ended_ms INTEGER NOT NULL, forgotten INTEGER NOT NULL)
     STRICT, WITHOUT ROWID;`,
];

const markOf = (
  { suite, signingKey }: Pick<RoundServices, 'suite' | 'signingKey'>,
  deviceId: string,
): string => toHex(suite.mac(signingKey.secretKey, utf8('pulsefold/v1/erased-device'), utf8(deviceId)));

type Marked = Pick<RoundServices, 'suite' | 'signingKey'>;

/** Whether the device was erased. Costs a lookup and no more while nobody was ever erased. */
export function wasErased(services: Marked, db: Database, deviceId: string): boolean {
  if (db.get('SELECT 1 AS found FROM erased_devices LIMIT 1') === undefined) return false;
  const mark = markOf(services, deviceId);
  return db.get('SELECT 1 AS found FROM erased_devices WHERE mark = ?', mark) !== undefined;
}

export function markErased(services: Marked, db: Database, deviceId: string): void {
  db.run('INSERT INTO erased_devices VALUES (?)', markOf(services, deviceId));
}

/** Throws ERASED. */
export function requireNotErased(services: RoundServices, deviceId: string): void {
  const erased = services.store.read('erased', (db) => wasErased(services, db, deviceId));
  ensure(
    !erased,
    'ERASED',
    'this device asked to be erased; a person who wants to take part again enrols anew, in a later budget epoch',
  );
}
