/**
 * The SQLite file of a key holder: one process, durable transactions, nothing left of what was deleted.
 *
 * For: store.ts and store-entries.ts, which know what stands in it. Trusts: the holder's own directory (0700). May be
 * called by: those two.
 *
 * Durability: WAL with synchronous=FULL, so a commit is on disk before the call returns and a reply that left
 * was stored before. `secure_delete` zeroes freed pages and `erase` truncates the WAL; copies that a file
 * system or a flash controller keeps below us are out of reach (docs/threat-model.md).
 */
import { chmodSync } from 'node:fs';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { ensure, PulsefoldError } from '../crypto/error.ts';

const SCHEMA_VERSION = 2;
const SCHEMA = `
  CREATE TABLE plans (plan_hash BLOB PRIMARY KEY, bytes BLOB NOT NULL) WITHOUT ROWID;
  CREATE TABLE ceremony_steps (
    plan_hash BLOB NOT NULL, round INTEGER NOT NULL, phase TEXT NOT NULL,
    input_digest BLOB NOT NULL, reply BLOB NOT NULL, PRIMARY KEY (plan_hash, round, phase)) STRICT;
  CREATE TABLE ceremony_states (
    plan_hash BLOB NOT NULL, round INTEGER NOT NULL, sealed_state BLOB NOT NULL,
    PRIMARY KEY (plan_hash, round)) STRICT;
  CREATE TABLE committee_keys (
    plan_hash BLOB NOT NULL, round INTEGER NOT NULL, key_id BLOB NOT NULL, sealed_share BLOB,
    PRIMARY KEY (plan_hash, round)) STRICT;
  CREATE TABLE entries (
    plan_hash BLOB NOT NULL, round INTEGER NOT NULL, device_id TEXT NOT NULL, model_hash BLOB NOT NULL,
    config_hash BLOB NOT NULL, committee_key_id BLOB NOT NULL, digest BLOB NOT NULL, leaf BLOB NOT NULL,
    sealed_seeds BLOB, PRIMARY KEY (plan_hash, round, device_id)) STRICT;
  CREATE UNIQUE INDEX entries_digest ON entries (plan_hash, round, digest);
  CREATE TABLE seed_tags (
    plan_hash BLOB NOT NULL, round INTEGER NOT NULL, tag BLOB NOT NULL, device_id TEXT NOT NULL,
    PRIMARY KEY (plan_hash, round, tag)) WITHOUT ROWID, STRICT;
  CREATE TABLE statements (
    plan_hash BLOB NOT NULL, round INTEGER NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('certificate', 'abort')),
    statement BLOB NOT NULL, signature BLOB NOT NULL, PRIMARY KEY (plan_hash, round)) STRICT;
  CREATE TABLE partials (
    plan_hash BLOB NOT NULL, round INTEGER NOT NULL, certificate BLOB NOT NULL, active_set TEXT NOT NULL,
    digit_count INTEGER NOT NULL, partial BLOB NOT NULL, signature BLOB NOT NULL,
    PRIMARY KEY (plan_hash, round, active_set)) STRICT;
  CREATE TABLE erasures (plan_hash BLOB NOT NULL, round INTEGER NOT NULL, PRIMARY KEY (plan_hash, round)) STRICT;
`;

export type Row = Record<string, unknown>;
export const bytesIn = (row: Row, column: string): Uint8Array => new Uint8Array(row[column] as Uint8Array);

/** The file, its lock and its transactions. */
export class HolderDatabase {
  readonly #database: DatabaseSync;
  readonly #prepared = new Map<string, StatementSync>();
  #inTransaction = false;

  /**
   * Opens or creates the file at `path`. Throws CONFIG_INVALID when another version wrote it or another
   * process has it open.
   */
  constructor(path: string) {
    this.#database = new DatabaseSync(path);
    try {
      chmodSync(path, 0o600);
      this.#lock(path);
      this.#migrate(path);
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  /**
   * One process per directory: a second one, with its own view of what was signed, is kept out by SQLite's
   * lock.
   */
  #lock(path: string): void {
    try {
      this.#database.exec(
        `PRAGMA busy_timeout=1000; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;
         PRAGMA synchronous=FULL; PRAGMA secure_delete=ON; BEGIN IMMEDIATE; COMMIT;`,
      );
    } catch (cause) {
      throw new PulsefoldError(
        'CONFIG_INVALID',
        `${path} is in use by another process, or is not a database`,
        { cause },
      );
    }
  }

  #migrate(path: string): void {
    const version = Number(this.#database.prepare('PRAGMA user_version').get()?.user_version);
    if (version === 0) {
      this.transaction(() => this.#database.exec(`${SCHEMA} PRAGMA user_version=${SCHEMA_VERSION};`));
      return;
    }
    const known = version === SCHEMA_VERSION;
    ensure(known, 'CONFIG_INVALID', `${path} has schema ${version}, expected ${SCHEMA_VERSION}`);
  }

  close(): void {
    this.#prepared.clear();
    if (this.#database.isOpen) this.#database.close();
  }

  /** Runs `work` as one durable transaction; a nested call joins the outer one. */
  transaction<T>(work: () => T): T {
    if (this.#inTransaction) return work();
    this.#database.exec('BEGIN IMMEDIATE');
    this.#inTransaction = true;
    try {
      const result = work();
      this.#database.exec('COMMIT');
      return result;
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    } finally {
      this.#inTransaction = false;
    }
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#prepared.get(sql);
    if (!statement) {
      statement = this.#database.prepare(sql);
      this.#prepared.set(sql, statement);
    }
    return statement;
  }
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes);
  }
  get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#prepare(sql).get(...values);
  }

  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepare(sql).all(...values) as Row[];
  }

  /** Moves the WAL into the database file and cuts it to zero bytes. */
  truncateLog(): void {
    const row = this.#database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get();
    if (Number(row?.busy ?? 1) !== 0)
      throw new PulsefoldError(
        'INTERNAL',
        'the write-ahead log could not be truncated: another process reads it',
      );
  }
}
