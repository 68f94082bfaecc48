/**
 * What a key holder must never forget: plans, ceremony steps, accepted entries, its ONE statement per round
 * and its ONE partial decryption per (certificate, active set).
 *
 * For: the key holder's own handlers. Trusts: the holder's own directory (0700) for integrity; secrets come
 * here only sealed (custody.ts), so the file alone opens nothing. May be called by: keyholder/ only.
 *
 * Durability: WAL with synchronous=FULL, so a commit is on disk before the call returns and a reply that left
 * was stored before. `secure_delete` zeroes freed pages and `erase` truncates the WAL; copies that a file
 * system or a flash controller keeps below us are out of reach (docs/threat-model.md).
 */
import { chmodSync } from 'node:fs';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { equalBytes } from '../crypto/bytes.ts';
import { ensure, PulsefoldError } from '../crypto/error.ts';
import type { CeremonyPhase } from '../protos/keyholder-messages.ts';

const SCHEMA_VERSION = 1;
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
    PRIMARY KEY (plan_hash, round, device_id)) STRICT;
  CREATE UNIQUE INDEX entries_digest ON entries (plan_hash, round, digest);
  CREATE TABLE statements (
    plan_hash BLOB NOT NULL, round INTEGER NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('certificate', 'abort')),
    statement BLOB NOT NULL, signature BLOB NOT NULL, PRIMARY KEY (plan_hash, round)) STRICT;
  CREATE TABLE partials (
    plan_hash BLOB NOT NULL, round INTEGER NOT NULL, certificate BLOB NOT NULL, active_set TEXT NOT NULL,
    digit_count INTEGER NOT NULL, partial BLOB NOT NULL, signature BLOB NOT NULL,
    PRIMARY KEY (plan_hash, round, active_set)) STRICT;
  CREATE TABLE erasures (plan_hash BLOB NOT NULL, round INTEGER NOT NULL, PRIMARY KEY (plan_hash, round)) STRICT;
`;

/** One round of one plan. */
export interface RoundRef {
  readonly planHash: Uint8Array;
  readonly round: number;
}
export interface StoredStep {
  readonly inputDigest: Uint8Array;
  readonly reply: Uint8Array;
}
export interface StoredKey {
  readonly keyId: Uint8Array;
  /** Null once erased. */
  readonly sealedShare: Uint8Array | null;
}
/** What this holder accepted from one device. `leaf` is the leaf of the cohort tree. */
export interface AcceptedEntry {
  readonly deviceId: string;
  readonly modelHash: Uint8Array;
  readonly configHash: Uint8Array;
  readonly committeeKeyId: Uint8Array;
  readonly digest: Uint8Array;
  readonly leaf: Uint8Array;
}
export interface StoredStatement {
  readonly kind: 'certificate' | 'abort';
  readonly statement: Uint8Array;
  readonly signature: Uint8Array;
}
export interface StoredPartial {
  /** The certificate statement that it was made under. */
  readonly certificate: Uint8Array;
  readonly digitCount: number;
  readonly partial: Uint8Array;
  readonly signature: Uint8Array;
}

type Row = Record<string, unknown>;
const bytesIn = (row: Row, column: string): Uint8Array => new Uint8Array(row[column] as Uint8Array);

export class HolderStore {
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

  #statement(sql: string): StatementSync {
    let statement = this.#prepared.get(sql);
    if (!statement) {
      statement = this.#database.prepare(sql);
      this.#prepared.set(sql, statement);
    }
    return statement;
  }
  #run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#statement(sql).run(...values).changes);
  }
  #get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#statement(sql).get(...values);
  }

  putPlan(planHash: Uint8Array, bytes: Uint8Array): void {
    this.#run('INSERT INTO plans VALUES (?, ?) ON CONFLICT DO NOTHING', planHash, bytes);
  }
  plan(planHash: Uint8Array): Uint8Array | undefined {
    const row = this.#get('SELECT bytes FROM plans WHERE plan_hash = ?', planHash);
    return row && bytesIn(row, 'bytes');
  }
  planCount(): number {
    return Number(this.#get('SELECT count(*) AS n FROM plans')?.n);
  }

  ceremonyStep(at: RoundRef, phase: CeremonyPhase): StoredStep | undefined {
    const row = this.#get(
      'SELECT input_digest, reply FROM ceremony_steps WHERE plan_hash = ? AND round = ? AND phase = ?',
      at.planHash,
      at.round,
      phase,
    );
    return row && { inputDigest: bytesIn(row, 'input_digest'), reply: bytesIn(row, 'reply') };
  }
  putCeremonyStep(at: RoundRef, phase: CeremonyPhase, step: StoredStep): void {
    this.#run(
      'INSERT INTO ceremony_steps VALUES (?, ?, ?, ?, ?)',
      at.planHash,
      at.round,
      phase,
      step.inputDigest,
      step.reply,
    );
  }
  ceremonyState(at: RoundRef): Uint8Array | undefined {
    const row = this.#get(
      'SELECT sealed_state FROM ceremony_states WHERE plan_hash = ? AND round = ?',
      at.planHash,
      at.round,
    );
    return row && bytesIn(row, 'sealed_state');
  }
  putCeremonyState(at: RoundRef, sealedState: Uint8Array): void {
    this.#run(
      `INSERT INTO ceremony_states VALUES (?, ?, ?)
       ON CONFLICT (plan_hash, round) DO UPDATE SET sealed_state = excluded.sealed_state`,
      at.planHash,
      at.round,
      sealedState,
    );
  }
  deleteCeremonyState(at: RoundRef): void {
    this.#run('DELETE FROM ceremony_states WHERE plan_hash = ? AND round = ?', at.planHash, at.round);
  }

  committeeKey(at: RoundRef): StoredKey | undefined {
    const row = this.#get(
      'SELECT key_id, sealed_share FROM committee_keys WHERE plan_hash = ? AND round = ?',
      at.planHash,
      at.round,
    );
    if (!row) return undefined;
    const sealedShare = row.sealed_share === null ? null : bytesIn(row, 'sealed_share');
    return { keyId: bytesIn(row, 'key_id'), sealedShare };
  }
  putCommitteeKey(at: RoundRef, keyId: Uint8Array, sealedShare: Uint8Array): void {
    this.#run('INSERT INTO committee_keys VALUES (?, ?, ?, ?)', at.planHash, at.round, keyId, sealedShare);
  }

  /** Whose upload has this digest, if anybody's was accepted. */
  deviceOfDigest(at: RoundRef, digest: Uint8Array): string | undefined {
    const row = this.#get(
      'SELECT device_id FROM entries WHERE plan_hash = ? AND round = ? AND digest = ?',
      at.planHash,
      at.round,
      digest,
    );
    return row && String(row.device_id);
  }
  entry(at: RoundRef, deviceId: string): AcceptedEntry | undefined {
    const row = this.#get(
      'SELECT * FROM entries WHERE plan_hash = ? AND round = ? AND device_id = ?',
      at.planHash,
      at.round,
      deviceId,
    );
    return (
      row && {
        deviceId,
        modelHash: bytesIn(row, 'model_hash'),
        configHash: bytesIn(row, 'config_hash'),
        committeeKeyId: bytesIn(row, 'committee_key_id'),
        digest: bytesIn(row, 'digest'),
        leaf: bytesIn(row, 'leaf'),
      }
    );
  }
  putEntry(at: RoundRef, entry: AcceptedEntry): void {
    this.#run(
      'INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
      at.planHash,
      at.round,
      entry.deviceId,
      entry.modelHash,
      entry.configHash,
      entry.committeeKeyId,
      entry.digest,
      entry.leaf,
    );
  }
  entryCount(at: RoundRef): number {
    const row = this.#get(
      'SELECT count(*) AS n FROM entries WHERE plan_hash = ? AND round = ?',
      at.planHash,
      at.round,
    );
    return Number(row?.n);
  }

  statement(at: RoundRef): StoredStatement | undefined {
    const row = this.#get(
      'SELECT kind, statement, signature FROM statements WHERE plan_hash = ? AND round = ?',
      at.planHash,
      at.round,
    );
    return (
      row && {
        kind: row.kind as StoredStatement['kind'],
        statement: bytesIn(row, 'statement'),
        signature: bytesIn(row, 'signature'),
      }
    );
  }
  /**
   * Durable on return. The primary key is the last line of defence against a second statement for a round.
   */
  putStatement(at: RoundRef, stored: StoredStatement): void {
    const before = this.statement(at);
    if (before) {
      const same = before.kind === stored.kind && equalBytes(before.statement, stored.statement);
      ensure(same, 'STATEMENT_CONFLICT', 'another statement for this round is already signed');
      return;
    }
    this.#run(
      'INSERT INTO statements VALUES (?, ?, ?, ?, ?)',
      at.planHash,
      at.round,
      stored.kind,
      stored.statement,
      stored.signature,
    );
  }

  partial(at: RoundRef, activeSet: readonly number[]): StoredPartial | undefined {
    const row = this.#get(
      'SELECT * FROM partials WHERE plan_hash = ? AND round = ? AND active_set = ?',
      at.planHash,
      at.round,
      activeSet.join(','),
    );
    return (
      row && {
        certificate: bytesIn(row, 'certificate'),
        digitCount: Number(row.digit_count),
        partial: bytesIn(row, 'partial'),
        signature: bytesIn(row, 'signature'),
      }
    );
  }
  putPartial(at: RoundRef, activeSet: readonly number[], stored: StoredPartial): void {
    this.#run(
      'INSERT INTO partials VALUES (?, ?, ?, ?, ?, ?, ?)',
      at.planHash,
      at.round,
      stored.certificate,
      activeSet.join(','),
      stored.digitCount,
      stored.partial,
      stored.signature,
    );
  }

  isErased(at: RoundRef): boolean {
    return (
      this.#get('SELECT 1 FROM erasures WHERE plan_hash = ? AND round = ?', at.planHash, at.round) !==
      undefined
    );
  }
  /** Earlier rounds of the plan whose share is still here. */
  unerasedBefore(at: RoundRef): RoundRef[] {
    const rows = this.#statement(
      `SELECT round FROM committee_keys WHERE plan_hash = ? AND round < ? AND sealed_share IS NOT NULL`,
    ).all(at.planHash, at.round) as Row[];
    return rows.map((row) => ({ planHash: at.planHash, round: Number(row.round) }));
  }
  /** Rounds whose abort was signed before their key was erased. */
  abortedUnerased(): RoundRef[] {
    const rows = this.#statement(
      `SELECT plan_hash, round FROM statements WHERE kind = 'abort'
       AND NOT EXISTS (SELECT 1 FROM erasures e WHERE e.plan_hash = statements.plan_hash AND e.round = statements.round)`,
    ).all() as Row[];
    return rows.map((row) => ({ planHash: bytesIn(row, 'plan_hash'), round: Number(row.round) }));
  }
  /**
   * Forgets everything secret about a round's key, for good: share, ceremony state, stored ceremony replies,
   * stored partials. What was signed, and what was accepted, stays.
   */
  erase(at: RoundRef): void {
    this.transaction(() => {
      // Overwritten before it is cleared, so that the page that held the share holds zeros whatever the pager does.
      this.#run(
        'UPDATE committee_keys SET sealed_share = zeroblob(length(sealed_share)) WHERE plan_hash = ? AND round = ? AND sealed_share IS NOT NULL',
        at.planHash,
        at.round,
      );
      this.#run(
        'UPDATE committee_keys SET sealed_share = NULL WHERE plan_hash = ? AND round = ?',
        at.planHash,
        at.round,
      );
      for (const table of ['ceremony_states', 'ceremony_steps', 'partials'])
        this.#run(`DELETE FROM ${table} WHERE plan_hash = ? AND round = ?`, at.planHash, at.round);
      this.#run('INSERT INTO erasures VALUES (?, ?) ON CONFLICT DO NOTHING', at.planHash, at.round);
    });
    // The WAL still holds the page images of before.
    this.truncateLog();
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
