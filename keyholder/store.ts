/**
 * What a key holder must never forget: plans, ceremony steps, accepted entries, its ONE statement per round
 * and its ONE answer per (certificate, active set).
 *
 * For: the key holder's own handlers. Trusts: the holder's own directory (0700) for integrity; secrets come
 * here only sealed (custody.ts, round-seeds.ts), so the file alone opens nothing. May be called by: keyholder/ only.
 * Durability: database.ts.
 */
import { equalBytes } from '../crypto/bytes.ts';
import { ensure } from '../crypto/error.ts';
import type { CeremonyPhase } from '../protos/keyholder-messages.ts';
import { bytesIn, HolderDatabase, type Row } from './database.ts';
import { EntryTable, type RoundRef } from './store-entries.ts';

export type { AcceptedEntry, RoundRef } from './store-entries.ts';

export interface StoredStep {
  readonly inputDigest: Uint8Array;
  readonly reply: Uint8Array;
}
export interface StoredKey {
  readonly keyId: Uint8Array;
  /** Null once erased. */
  readonly sealedShare: Uint8Array | null;
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

const readPartial = (row: Row): StoredPartial => ({
  certificate: bytesIn(row, 'certificate'),
  digitCount: Number(row.digit_count),
  partial: bytesIn(row, 'partial'),
  signature: bytesIn(row, 'signature'),
});

export class HolderStore {
  readonly #database: HolderDatabase;
  /** Accepted entries, and the seeds that came with them. */
  readonly entries: EntryTable;

  /** Opens or creates the file at `path`. Throws CONFIG_INVALID, as HolderDatabase does. */
  constructor(path: string) {
    this.#database = new HolderDatabase(path);
    this.entries = new EntryTable(this.#database);
  }

  close(): void {
    this.#database.close();
  }

  /** Runs `work` as one durable transaction; a nested call joins the outer one. */
  transaction<T>(work: () => T): T {
    return this.#database.transaction(work);
  }

  /** Moves the WAL into the database file and cuts it to zero bytes. */
  truncateLog(): void {
    this.#database.truncateLog();
  }

  putPlan(planHash: Uint8Array, bytes: Uint8Array): void {
    this.#database.run('INSERT INTO plans VALUES (?, ?) ON CONFLICT DO NOTHING', planHash, bytes);
  }
  plan(planHash: Uint8Array): Uint8Array | undefined {
    const row = this.#database.get('SELECT bytes FROM plans WHERE plan_hash = ?', planHash);
    return row && bytesIn(row, 'bytes');
  }
  planCount(): number {
    return Number(this.#database.get('SELECT count(*) AS n FROM plans')?.n);
  }

  ceremonyStep(at: RoundRef, phase: CeremonyPhase): StoredStep | undefined {
    const row = this.#database.get(
      'SELECT input_digest, reply FROM ceremony_steps WHERE plan_hash = ? AND round = ? AND phase = ?',
      at.planHash,
      at.round,
      phase,
    );
    return row && { inputDigest: bytesIn(row, 'input_digest'), reply: bytesIn(row, 'reply') };
  }
  putCeremonyStep(at: RoundRef, phase: CeremonyPhase, step: StoredStep): void {
    this.#database.run(
      'INSERT INTO ceremony_steps VALUES (?, ?, ?, ?, ?)',
      at.planHash,
      at.round,
      phase,
      step.inputDigest,
      step.reply,
    );
  }
  ceremonyState(at: RoundRef): Uint8Array | undefined {
    const row = this.#database.get(
      'SELECT sealed_state FROM ceremony_states WHERE plan_hash = ? AND round = ?',
      at.planHash,
      at.round,
    );
    return row && bytesIn(row, 'sealed_state');
  }
  putCeremonyState(at: RoundRef, sealedState: Uint8Array): void {
    this.#database.run(
      `INSERT INTO ceremony_states VALUES (?, ?, ?)
       ON CONFLICT (plan_hash, round) DO UPDATE SET sealed_state = excluded.sealed_state`,
      at.planHash,
      at.round,
      sealedState,
    );
  }
  deleteCeremonyState(at: RoundRef): void {
    this.#database.run(
      'DELETE FROM ceremony_states WHERE plan_hash = ? AND round = ?',
      at.planHash,
      at.round,
    );
  }

  committeeKey(at: RoundRef): StoredKey | undefined {
    const row = this.#database.get(
      'SELECT key_id, sealed_share FROM committee_keys WHERE plan_hash = ? AND round = ?',
      at.planHash,
      at.round,
    );
    if (!row) return undefined;
    const sealedShare = row.sealed_share === null ? null : bytesIn(row, 'sealed_share');
    return { keyId: bytesIn(row, 'key_id'), sealedShare };
  }
  putCommitteeKey(at: RoundRef, keyId: Uint8Array, sealedShare: Uint8Array): void {
    this.#database.run(
      'INSERT INTO committee_keys VALUES (?, ?, ?, ?)',
      at.planHash,
      at.round,
      keyId,
      sealedShare,
    );
  }

  statement(at: RoundRef): StoredStatement | undefined {
    const row = this.#database.get(
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
    this.#database.run(
      'INSERT INTO statements VALUES (?, ?, ?, ?, ?)',
      at.planHash,
      at.round,
      stored.kind,
      stored.statement,
      stored.signature,
    );
  }

  partial(at: RoundRef, activeSet: readonly number[]): StoredPartial | undefined {
    const row = this.#database.get(
      'SELECT * FROM partials WHERE plan_hash = ? AND round = ? AND active_set = ?',
      at.planHash,
      at.round,
      activeSet.join(','),
    );
    return row && readPartial(row);
  }
  /** Any stored answer of the round: under transport shares all of them are the same but for the signature. */
  anyPartial(at: RoundRef): StoredPartial | undefined {
    const row = this.#database.get(
      'SELECT * FROM partials WHERE plan_hash = ? AND round = ? ORDER BY active_set LIMIT 1',
      at.planHash,
      at.round,
    );
    return row && readPartial(row);
  }
  putPartial(at: RoundRef, activeSet: readonly number[], stored: StoredPartial): void {
    this.#database.run(
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
      this.#database.get(
        'SELECT 1 FROM erasures WHERE plan_hash = ? AND round = ?',
        at.planHash,
        at.round,
      ) !== undefined
    );
  }
  /** Rounds of the plan up to this one whose share is still here. */
  unerasedUpTo(at: RoundRef): RoundRef[] {
    const rows = this.#database.all(
      'SELECT round FROM committee_keys WHERE plan_hash = ? AND round <= ? AND sealed_share IS NOT NULL',
      at.planHash,
      at.round,
    );
    return rows.map((row) => ({ planHash: at.planHash, round: Number(row.round) }));
  }
  /** The last certified round of each plan that has one. */
  lastCertified(): RoundRef[] {
    const rows = this.#database.all(
      `SELECT plan_hash, MAX(round) AS round FROM statements WHERE kind = 'certificate' GROUP BY plan_hash`,
    );
    return rows.map((row) => ({ planHash: bytesIn(row, 'plan_hash'), round: Number(row.round) }));
  }
  /** Rounds whose abort was signed before their key was erased. */
  abortedUnerased(): RoundRef[] {
    const rows = this.#database.all(
      `SELECT plan_hash, round FROM statements WHERE kind = 'abort'
       AND NOT EXISTS (SELECT 1 FROM erasures e WHERE e.plan_hash = statements.plan_hash AND e.round = statements.round)`,
    );
    return rows.map((row) => ({ planHash: bytesIn(row, 'plan_hash'), round: Number(row.round) }));
  }
  /**
   * Forgets everything secret about a round, for good: key share, ceremony state, stored ceremony replies, seeds,
   * stored partials. What was signed, and that it was accepted, stays.
   */
  erase(at: RoundRef): void {
    this.transaction(() => {
      // Overwritten before it is cleared, so that the page that held the share holds zeros whatever the pager does.
      this.#database.run(
        'UPDATE committee_keys SET sealed_share = zeroblob(length(sealed_share)) WHERE plan_hash = ? AND round = ? AND sealed_share IS NOT NULL',
        at.planHash,
        at.round,
      );
      this.#database.run(
        'UPDATE committee_keys SET sealed_share = NULL WHERE plan_hash = ? AND round = ?',
        at.planHash,
        at.round,
      );
      for (const table of ['ceremony_states', 'ceremony_steps', 'partials'])
        this.#database.run(`DELETE FROM ${table} WHERE plan_hash = ? AND round = ?`, at.planHash, at.round);
      this.entries.eraseSeeds(at);
      this.#database.run('INSERT INTO erasures VALUES (?, ?) ON CONFLICT DO NOTHING', at.planHash, at.round);
    });
    // The WAL still holds the page images of before.
    this.truncateLog();
  }
}
