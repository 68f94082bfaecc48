/**
 * What the ledger does to a whole cohort at once: a handful of SQL statements instead of a handful per person.
 *
 * The statements decide only what is plain (a filter with the right order and room, no other reservation under way, no
 * withdrawal, quotas as ever); whoever they leave out is decided one by one in ledger-account.ts, which also finds the
 * words. The triggers of ledger-migrations.ts hold for these rows as for any other.
 * Trusts: pseudonyms were checked by ledger-transaction.ts: letters, digits, - and _ only, so that a line feed separates
 * them. May be called by: ledger-transaction.ts.
 */
import type { Database } from '../storage/store.ts';
import type { QuotaLimit } from './ledger-events.ts';
import type { AccountTerms, RoundRow } from './ledger-tables.ts';

const lines = (text: string | null): string[] => (text === null ? [] : text.split('\n'));

/** Someone of the list whose filter is open with other terms, and how many are open. */
const OPENED = `SELECT COUNT(a.id) AS count, group_concat(iif(b.terms_id <> ?2, a.pseudonym, NULL), char(10)) AS others
  FROM json_each(?1) j CROSS JOIN budget_accounts a ON a.pseudonym = j.value
    CROSS JOIN budget_balances b ON b.id = a.id`;

const fitsUnder = (i: number): string =>
  `AND NOT EXISTS (SELECT 1 FROM budget_quotas q WHERE q.account_id = a.id AND q.name = ?${5 + 2 * i}
     AND (q.limit_steps <> ?${6 + 2 * i} OR q.spent_steps + ?3 > q.limit_steps))`;

/** Row access for lists of people inside one transaction. */
export class LedgerCohort {
  readonly #database: Database;
  constructor(database: Database) {
    this.#database = database;
  }

  /** Opens the filters that are not open yet; returns those that are open with other terms, which stay as they are. */
  open(pseudonyms: readonly string[], termsId: number, { limit_steps }: AccountTerms): string[] {
    const db = this.#database;
    const list = JSON.stringify(pseudonyms);
    const known = db.get<{ count: number; others: string | null }>(OPENED, list, termsId)!;
    if (known.count < pseudonyms.length) {
      const last = db.get<{ id: number }>('SELECT coalesce(max(id), 0) AS id FROM budget_accounts')!.id;
      db.run(
        'INSERT INTO budget_accounts (pseudonym) SELECT value FROM json_each(?) WHERE true ON CONFLICT DO NOTHING',
        list,
      );
      db.run(
        'INSERT INTO budget_balances SELECT id, ?, ?, 0 FROM budget_accounts WHERE id > ?',
        termsId,
        limit_steps,
        last,
      );
      db.run('INSERT INTO budget_journal (account_id) SELECT id FROM budget_accounts WHERE id > ?', last);
    }
    return lines(known.others);
  }

  /** Reserves for everybody in whose case it is plain; returns the others. A filter of any order where it is null. */
  reserve(
    round: RoundRow,
    pseudonyms: readonly string[],
    quotas: readonly QuotaLimit[],
    order: string | null,
  ): string[] {
    if (quotas.some(({ limitSteps }) => round.charge_steps > limitSteps)) return [...pseudonyms];
    const list = JSON.stringify(pseudonyms);
    const { changes } = this.#database.run(
      `INSERT INTO budget_holds
       SELECT ?1, a.id, 'reserved'
       FROM json_each(?2) j CROSS JOIN budget_accounts a ON a.pseudonym = j.value
         CROSS JOIN budget_balances b ON b.id = a.id
       WHERE b.spent_steps + ?3 <= b.limit_steps
         AND b.terms_id IN (SELECT id FROM budget_terms WHERE ?4 IS NULL OR filter_order = ?4)
         AND NOT EXISTS (SELECT 1 FROM budget_holds h WHERE h.account_id = a.id AND h.state = 'reserved')
         AND NOT EXISTS (SELECT 1 FROM budget_withdrawals w WHERE w.account_id = a.id)
         ${quotas.map((_, i) => fitsUnder(i)).join(' ')}`,
      round.id,
      list,
      round.charge_steps,
      order,
      ...quotas.flatMap(({ name, limitSteps }) => [name, limitSteps]),
    );
    if (changes === pseudonyms.length) return [];
    const left = this.#database.get<{ names: string | null }>(
      `SELECT group_concat(j.value, char(10)) AS names FROM json_each(?1) j
       WHERE NOT EXISTS (SELECT 1 FROM budget_accounts a CROSS JOIN budget_holds h
         ON h.round_id = ?2 AND h.account_id = a.id WHERE a.pseudonym = j.value)`,
      list,
      round.id,
    );
    return lines(left!.names);
  }

  /** Ends every open hold of the round: `charged` pay `paidSteps`, `released` nothing. Together they are all of them. */
  end(
    round: RoundRow,
    quotas: readonly QuotaLimit[],
    { charged, released }: { readonly charged: readonly string[]; readonly released: readonly string[] },
    paidSteps: number,
  ): void {
    const fewer = charged.length < released.length ? charged : released;
    const [some, rest] = fewer === charged ? ['charged', 'released'] : ['released', 'charged'];
    if (fewer.length > 0)
      this.#database.run(
        `UPDATE budget_holds SET state = ?1 WHERE round_id = ?2 AND account_id IN (
           SELECT a.id FROM json_each(?3) j CROSS JOIN budget_accounts a ON a.pseudonym = j.value)`,
        some!,
        round.id,
        JSON.stringify(fewer),
      );
    const others = "UPDATE budget_holds SET state = ? WHERE round_id = ? AND state = 'reserved'";
    this.#database.run(others, rest!, round.id);
    if (charged.length > 0)
      this.#database.run(
        `UPDATE budget_balances SET spent_steps = spent_steps + ?1
         WHERE id IN (SELECT account_id FROM budget_holds WHERE round_id = ?2 AND state = 'charged')`,
        paidSteps,
        round.id,
      );
    // Whoever drew on a quota has its limit fixed, paid or not.
    for (const { name, limitSteps } of quotas)
      this.#database.run(
        `INSERT INTO budget_quotas
         SELECT account_id, ?1, ?2, iif(state = 'charged', ?3, 0) FROM budget_holds WHERE round_id = ?4
         ON CONFLICT DO UPDATE SET spent_steps = spent_steps + excluded.spent_steps`,
        name,
        limitSteps,
        paidSteps,
        round.id,
      );
  }

  /** Most steps spent of anybody with a hold of the plan, in whatever state. */
  mostSpent(planHash: string, quota: string | undefined): number {
    const db = this.#database;
    const table =
      quota === undefined
        ? 'SELECT id AS account_id, spent_steps FROM budget_balances'
        : 'SELECT account_id, spent_steps FROM budget_quotas WHERE name = ?2';
    const named = quota === undefined ? [] : [quota];
    // Whoever has spent most of all is nearly always in the plan: two short looks instead of one at every hold.
    const first = db.get<{ most: number | null; found: number }>(
      `WITH s AS (${table}), m AS (SELECT max(spent_steps) AS most FROM s)
       SELECT most, coalesce(most = 0 OR EXISTS (
           SELECT 1 FROM s CROSS JOIN budget_charges c CROSS JOIN budget_holds h
             ON h.round_id = c.id AND h.account_id = s.account_id
           WHERE s.spent_steps = most AND c.plan_hash = ?1), 1) AS found
       FROM m`,
      planHash,
      ...named,
    )!;
    if (first.found === 1) return first.most ?? 0;
    const all = db.get<{ most: number | null }>(
      `SELECT max(spent_steps) AS most FROM (${table}) WHERE account_id IN (
         SELECT h.account_id FROM budget_charges c CROSS JOIN budget_holds h ON h.round_id = c.id
         WHERE c.plan_hash = ?1)`,
      planHash,
      ...named,
    );
    return all!.most ?? 0;
  }
}
