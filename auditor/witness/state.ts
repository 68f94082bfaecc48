/**
 * What a witness must never forget: per log, the largest tree that it has cosigned. On node:sqlite, WAL with
 * synchronous=FULL, so that a committed record is on the disk before the cosignature leaves the process.
 *
 * Two processes on one file are safe: a record is checked and replaced within one write transaction. What it cannot
 * see is the whole file put back to an older copy. Trusts: SQLite and the file system. May be called by: witness.ts.
 */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { PulsefoldError } from '../../crypto/error.ts';

export interface WitnessRecord {
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
  /** Signed by the log and by this witness. */
  readonly note: string;
  /** Time in the last cosignature, Unix seconds. */
  readonly timestampSeconds: number;
}

const BUSY_TIMEOUT_MS = 5_000;
/** Proofs of misbehaviour kept per log. */
const EVIDENCE_MAX = 100;

export class WitnessState {
  readonly #database: DatabaseSync;

  /** Opens or creates the file with mode 0600; ':memory:' for tests. Throws CONFIG_INVALID. */
  constructor(path: string) {
    try {
      if (path !== ':memory:') {
        mkdirSync(dirname(path), { recursive: true });
        closeSync(openSync(path, 'a', 0o600));
      }
      this.#database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
      this.#database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;
        CREATE TABLE IF NOT EXISTS logs (
          origin TEXT PRIMARY KEY, size INTEGER NOT NULL CHECK (size >= 0), root BLOB NOT NULL, note TEXT NOT NULL,
          timestamp_seconds INTEGER NOT NULL) STRICT;
        CREATE TABLE IF NOT EXISTS evidence (
          origin TEXT NOT NULL, note TEXT NOT NULL, cosigned TEXT NOT NULL, time_seconds INTEGER NOT NULL,
          PRIMARY KEY (origin, note)) STRICT;
        CREATE TRIGGER IF NOT EXISTS logs_only_grow BEFORE UPDATE ON logs WHEN NEW.size < OLD.size
          OR (NEW.size = OLD.size AND NEW.root <> OLD.root)
          BEGIN SELECT RAISE(ABORT, 'a witness never goes back'); END;
        CREATE TRIGGER IF NOT EXISTS logs_stay BEFORE DELETE ON logs
          BEGIN SELECT RAISE(ABORT, 'a witness never forgets'); END;`);
    } catch (cause) {
      throw new PulsefoldError('CONFIG_INVALID', `witness: cannot open ${path} as its database`, { cause });
    }
  }

  /** The last record of a log, undefined before the first. */
  get(origin: string): WitnessRecord | undefined {
    const row = this.#database
      .prepare('SELECT size, root, note, timestamp_seconds FROM logs WHERE origin = ?')
      .get(origin) as { size: number; root: Uint8Array; note: string; timestamp_seconds: number } | undefined;
    if (row === undefined) return undefined;
    return { size: row.size, root: row.root, note: row.note, timestampSeconds: row.timestamp_seconds };
  }

  /**
   * Checks and replaces the record of a log as one step. `decide` gets the last record; what it returns is durable when
   * `update` returns; if it throws, nothing changes. Throws UNAVAILABLE while another process holds the file.
   */
  update(origin: string, decide: (last: WitnessRecord | undefined) => WitnessRecord): WitnessRecord {
    this.#exec('BEGIN IMMEDIATE');
    try {
      const next = decide(this.get(origin));
      this.#database
        .prepare(
          `INSERT INTO logs VALUES (?, ?, ?, ?, ?) ON CONFLICT (origin) DO UPDATE SET size = excluded.size,
           root = excluded.root, note = excluded.note, timestamp_seconds = excluded.timestamp_seconds`,
        )
        .run(origin, next.size, next.root, next.note, next.timestampSeconds);
      this.#exec('COMMIT');
      return next;
    } catch (error) {
      if (this.#database.isTransaction) this.#exec('ROLLBACK');
      throw error;
    }
  }

  /** Keeps a checkpoint that a log signed although it contradicts what was cosigned. */
  keepEvidence(origin: string, note: string, cosigned: string, timeSeconds: number): void {
    const count = this.#database
      .prepare('SELECT count(*) AS n FROM evidence WHERE origin = ?')
      .get(origin) as {
      n: number;
    };
    if (count.n >= EVIDENCE_MAX) return;
    this.#database
      .prepare('INSERT OR IGNORE INTO evidence VALUES (?, ?, ?, ?)')
      .run(origin, note, cosigned, timeSeconds);
  }

  evidence(origin: string): { readonly note: string; readonly cosigned: string }[] {
    return this.#database
      .prepare('SELECT note, cosigned FROM evidence WHERE origin = ? ORDER BY time_seconds')
      .all(origin) as { note: string; cosigned: string }[];
  }

  close(): void {
    this.#database.close();
  }

  #exec(sql: string): void {
    try {
      this.#database.exec(sql);
    } catch (cause) {
      throw new PulsefoldError('UNAVAILABLE', 'witness: the record could not be made durable; retry', {
        cause,
      });
    }
  }
}
