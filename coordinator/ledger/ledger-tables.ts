/**
 * The tables of the budget ledger and every SQL statement on them.
 *
 * The CHECK on `budget_balances` and a trigger on `budget_holds` are the last line that keeps spent + reserved within
 * the limit, whatever the code above does; the journal is append-only by trigger, and so is all that its short rows
 * point to. A reservation reads the account and writes only rows that lie beside their predecessors (hold, journal):
 * pages are what a commit costs, and people come in no order. The balance is written when the round ends.
 * Trusts: nothing. May be called by: coordinator/ledger.
 */
import { canonicalJson } from '../../crypto/log/canonical-json.ts';
import type { Database, SqlValue } from '../storage/store.ts';
import type { LedgerEvent, QuotaLimit, RoundKey } from './ledger-events.ts';

export { LEDGER_MIGRATIONS } from './ledger-migrations.ts';

export interface AccountRow {
  id: number;
  unit: 'person' | 'record';
  epsilon: string;
  delta: string;
  filter_order: string;
  limit_steps: number;
  spent_steps: number;
  /** 1 if the account has withdrawn from anything. */
  withdrawn: 0 | 1;
}
export type AccountTerms = Pick<AccountRow, 'unit' | 'epsilon' | 'delta' | 'filter_order' | 'limit_steps'>;

export interface RoundRow {
  id: number;
  charge_steps: number;
  state: 'reserved' | 'settled' | 'aborted';
  statement_hash: string | null;
  /** JSON list of QuotaLimit, ascending by name. */
  quotas: string;
}
export interface QuotaRow {
  limit_steps: number;
  spent_steps: number;
}
/** A reservation whose round has not ended. */
export interface OpenHold {
  round_id: number;
  charge_steps: number;
  quotas: string;
}
export type HoldState = 'reserved' | 'charged' | 'released';

export interface BalanceRow extends QuotaRow {
  id: number;
  pseudonym: string;
}
/** Rows of the journal: an event as JSON, or two numbers that say it. */
export interface JournalPage {
  /** Highest id in it. */
  readonly lastId: number;
  readonly rounds: readonly number[];
  readonly accounts: readonly number[];
  readonly texts: readonly string[];
}
/** `settle` or `abort` with numbers of people for their names: the holds of the round say who, for good. */
export type RoundEnd =
  | (Omit<LedgerEvent & { kind: 'settle' }, 'charged' | 'released'> & Ended & { readonly charged: number })
  | (Omit<LedgerEvent & { kind: 'abort' }, 'released'> & Ended);
type Ended = { readonly released: number };
export interface ChargeRow {
  plan_hash: string;
  round: number;
  charge_steps: number;
}

const TERMS = 'unit, epsilon, delta, filter_order, limit_steps';

/** Row access inside one transaction. */
export class LedgerTables {
  readonly #database: Database;
  constructor(database: Database) {
    this.#database = database;
  }

  account(pseudonym: string): AccountRow | undefined {
    return this.#database.get<AccountRow>(
      `SELECT a.id, t.unit, t.epsilon, t.delta, t.filter_order, b.limit_steps, b.spent_steps,
         EXISTS (SELECT 1 FROM budget_withdrawals w WHERE w.account_id = a.id) AS withdrawn
       FROM budget_accounts a JOIN budget_balances b ON b.id = a.id JOIN budget_terms t ON t.id = b.terms_id
       WHERE a.pseudonym = ?`,
      pseudonym,
    );
  }
  pseudonyms(): string[] {
    return this.#database
      .all<{ pseudonym: string }>('SELECT pseudonym FROM budget_accounts ORDER BY pseudonym')
      .map((row) => row.pseudonym);
  }
  /** Accounts with ids above `afterId`, ascending, for a walk over all of them. */
  balancesAfter(afterId: number, count: number): BalanceRow[] {
    return this.#database.all(
      `SELECT a.pseudonym, a.id, b.limit_steps, b.spent_steps
       FROM budget_balances b JOIN budget_accounts a ON a.id = b.id WHERE b.id > ? ORDER BY b.id LIMIT ?`,
      afterId,
      count,
    );
  }
  /** A set of terms, stored when it is first used. */
  termsId({ unit, epsilon, delta, filter_order, limit_steps }: AccountTerms): number {
    const find = `SELECT id FROM budget_terms WHERE unit = ? AND epsilon = ? AND delta = ? AND filter_order = ?`;
    return (
      this.#database.get<{ id: number }>(find, unit, epsilon, delta, filter_order)?.id ??
      this.#database.run(
        `INSERT INTO budget_terms (${TERMS}) VALUES (?, ?, ?, ?, ?)`,
        unit,
        epsilon,
        delta,
        filter_order,
        limit_steps,
      ).lastRowId
    );
  }
  /** A new account and its row in the journal. */
  insertAccount(pseudonym: string, terms: AccountTerms): AccountRow {
    const { limit_steps } = terms;
    const termsId = this.termsId(terms);
    const id = this.#database.run('INSERT INTO budget_accounts (pseudonym) VALUES (?)', pseudonym).lastRowId;
    this.#database.run('INSERT INTO budget_balances VALUES (?, ?, ?, 0)', id, termsId, limit_steps);
    this.#database.run('INSERT INTO budget_journal (account_id) VALUES (?)', id);
    return { id, ...terms, spent_steps: 0, withdrawn: 0 };
  }
  openHolds(accountId: number): OpenHold[] {
    return this.#database.all<OpenHold>(
      `SELECT h.round_id, c.charge_steps, c.quotas FROM budget_holds h JOIN budget_charges c ON c.id = h.round_id
       WHERE h.account_id = ? AND h.state = 'reserved'`,
      accountId,
    );
  }

  /** Reserved steps of every account with an open hold. */
  reservedByAccount(): Map<number, number> {
    const rows = this.#database.all<{ account_id: number; steps: number }>(
      `SELECT h.account_id, SUM(c.charge_steps) AS steps FROM budget_holds h JOIN budget_charges c ON c.id = h.round_id
       WHERE h.state = 'reserved' GROUP BY h.account_id`,
    );
    return new Map(rows.map(({ account_id, steps }) => [account_id, steps]));
  }

  quota(accountId: number, name: string): QuotaRow | undefined {
    return this.#database.get<QuotaRow>(
      'SELECT limit_steps, spent_steps FROM budget_quotas WHERE account_id = ? AND name = ?',
      accountId,
      name,
    );
  }
  quotasOf(accountId: number): (QuotaRow & { name: string })[] {
    return this.#database.all(
      'SELECT name, limit_steps, spent_steps FROM budget_quotas WHERE account_id = ? ORDER BY name',
      accountId,
    );
  }

  withdrawals(accountId: number): string[] {
    return this.#database
      .all<{ scope: string }>('SELECT scope FROM budget_withdrawals WHERE account_id = ?', accountId)
      .map((row) => row.scope);
  }
  /** False if it is there already. */
  insertWithdrawal(accountId: number, scope: string): boolean {
    const sql = 'INSERT INTO budget_withdrawals VALUES (?, ?) ON CONFLICT DO NOTHING';
    return this.#database.run(sql, accountId, scope).changes === 1;
  }

  round(key: RoundKey): RoundRow | undefined {
    return this.#database.get<RoundRow>(
      `SELECT id, charge_steps, state, statement_hash, quotas FROM budget_charges
       WHERE plan_hash = ? AND round = ?`,
      key.planHash,
      key.round,
    );
  }
  openRound(key: RoundKey, chargeSteps: number, quotas: readonly QuotaLimit[]): RoundRow {
    const text = canonicalJson(quotas);
    const id = this.#database.run(
      "INSERT INTO budget_charges (plan_hash, round, charge_steps, quotas, state) VALUES (?, ?, ?, ?, 'reserved')",
      key.planHash,
      key.round,
      chargeSteps,
      text,
    ).lastRowId;
    return { id, charge_steps: chargeSteps, state: 'reserved', statement_hash: null, quotas: text };
  }
  /** Also for a round without any reservation: it can then never get one. */
  endRound(key: RoundKey, state: 'settled' | 'aborted', statementHash: string): void {
    this.#database.run(
      `INSERT INTO budget_charges (plan_hash, round, charge_steps, quotas, state, statement_hash)
       VALUES (?1, ?2, 0, '[]', ?3, ?4)
       ON CONFLICT DO UPDATE SET state = ?3, statement_hash = ?4`,
      key.planHash,
      key.round,
      state,
      statementHash,
    );
  }

  hold(roundId: number, accountId: number): HoldState | undefined {
    return this.#database.get<{ state: HoldState }>(
      'SELECT state FROM budget_holds WHERE round_id = ? AND account_id = ?',
      roundId,
      accountId,
    )?.state;
  }
  /** False if the account already holds a reservation of this round, in whatever state. */
  insertHold(roundId: number, accountId: number): boolean {
    const { changes } = this.#database.run(
      "INSERT INTO budget_holds VALUES (?, ?, 'reserved') ON CONFLICT DO NOTHING",
      roundId,
      accountId,
    );
    return changes === 1;
  }

  /** Pseudonyms of the round in this state, ascending. */
  namesIn({ planHash, round }: RoundKey, state: HoldState): string[] {
    // A line feed is in no pseudonym, and one long text is read in a fraction of the time of many rows.
    const row = this.#database.get<{ names: string | null }>(
      `SELECT group_concat(a.pseudonym, char(10)) AS names
       FROM budget_holds h CROSS JOIN budget_accounts a ON a.id = h.account_id
       WHERE h.round_id = (SELECT id FROM budget_charges WHERE plan_hash = ? AND round = ?) AND h.state = ?`,
      planHash,
      round,
      state,
    );
    return row!.names === null ? [] : row!.names.split('\n').sort();
  }

  record(event: LedgerEvent | RoundEnd): void {
    this.#database.run('INSERT INTO budget_journal (event) VALUES (?)', canonicalJson(event));
  }

  /**
   * The next rows of the journal, at most `count`, as columns: one long text is read in a fraction of the time of many
   * rows. A row of words has account 0, and its words stand in `texts`.
   */
  journalAfter(afterId: number, count: number): JournalPage {
    const page = this.#database.get<{ last: number | null; numbers: string | null; words: number }>(
      `SELECT max(id) AS last, count(event) AS words,
         group_concat(concat(coalesce(round_id, 0), ',', coalesce(account_id, 0)), ',' ORDER BY id) AS numbers
       FROM (SELECT id, round_id, account_id, event FROM budget_journal WHERE id > ? ORDER BY id LIMIT ?)`,
      afterId,
      count,
    )!;
    const lastId = page.last ?? afterId;
    const numbers = JSON.parse(`[${page.numbers ?? ''}]`) as number[];
    const texts = page.words === 0 ? [] : this.#words(afterId, lastId);
    return {
      lastId,
      rounds: numbers.filter((_, i) => i % 2 === 0),
      accounts: numbers.filter((_, i) => i % 2 === 1),
      texts,
    };
  }
  #words(afterId: number, lastId: number): string[] {
    return this.#database
      .all<{ event: string }>(
        'SELECT event FROM budget_journal WHERE id > ? AND id <= ? AND event IS NOT NULL ORDER BY id',
        afterId,
        lastId,
      )
      .map(({ event }) => event);
  }
  /** By account, in this range. */
  termsIdsBetween(firstId: number, lastId: number): Map<number, number> {
    const row = this.#database.get<{ pairs: string | null }>(
      `SELECT group_concat(concat('[', id, ',', terms_id, ']'), ',') AS pairs
       FROM budget_balances WHERE id BETWEEN ? AND ?`,
      firstId,
      lastId,
    );
    return new Map(JSON.parse(`[${row!.pairs ?? ''}]`) as [number, number][]);
  }
  pseudonymsBetween(firstId: number, lastId: number): Map<number, string> {
    const sql = 'SELECT id, pseudonym FROM budget_accounts WHERE id BETWEEN ? AND ?';
    const rows = this.#database.all<{ id: number; pseudonym: string }>(sql, firstId, lastId);
    return new Map(rows.map(({ id, pseudonym }) => [id, pseudonym]));
  }
  /** Accounts of these pseudonyms, as far as there are any. */
  accountsOf(pseudonyms: readonly string[]): number[] {
    return this.#ids(
      `SELECT group_concat(a.id) AS ids FROM json_each(?) j CROSS JOIN budget_accounts a ON a.pseudonym = j.value`,
      JSON.stringify(pseudonyms),
    );
  }
  /** Accounts of the round in this state. */
  accountsIn({ planHash, round }: RoundKey, state: HoldState): number[] {
    return this.#ids(
      `SELECT group_concat(account_id) AS ids FROM budget_holds
       WHERE round_id = (SELECT id FROM budget_charges WHERE plan_hash = ? AND round = ?) AND state = ?`,
      planHash,
      round,
      state,
    );
  }
  #ids(sql: string, ...values: SqlValue[]): number[] {
    const row = this.#database.get<{ ids: string | null }>(sql, ...values);
    return JSON.parse(`[${row!.ids ?? ''}]`) as number[];
  }
  terms(id: number): AccountTerms | undefined {
    return this.#database.get<AccountTerms>(`SELECT ${TERMS} FROM budget_terms WHERE id = ?`, id);
  }
  charge(roundId: number): ChargeRow | undefined {
    return this.#database.get<ChargeRow>(
      'SELECT plan_hash, round, charge_steps FROM budget_charges WHERE id = ?',
      roundId,
    );
  }
}
