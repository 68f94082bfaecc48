/**
 * Reads the journal as events, page by page.
 *
 * The commonest rows are two numbers (account opened; account reserved in a round); what they point to cannot be
 * edited (ledger-migrations.ts), so they say as much as the words of an event. Names are fetched by ranges and kept,
 * because a replay of a million reservations would join a million times.
 * Trusts: the ledger's own tables. May be called by: coordinator/ledger.
 */
import { ensure } from '../../crypto/error.ts';
import type { JsonObject } from '../../crypto/log/canonical-json.ts';
import type { LedgerEvent } from './ledger-events.ts';
import type { AccountTerms, ChargeRow, LedgerTables, OpenedRow } from './ledger-tables.ts';

const PAGE_ROWS = 10_000;
/** Accounts fetched together, around one that is needed. */
const BLOCK_IDS = 4096;
const NO_MECHANISM: JsonObject = {};

export class LedgerJournal {
  readonly #tables: LedgerTables;
  /** Pseudonyms by account id; a database that was made before version 2 opens its accounts in words. */
  readonly #names: (string | undefined)[] = [];
  readonly #charges = new Map<number, ChargeRow>();
  readonly #terms = new Map<number, AccountTerms>();
  /** Rows of the accounts from `first` on, by id − first. */
  #block: { readonly first: number; readonly rows: readonly (OpenedRow | undefined)[] } | undefined;
  #lastId = 0;

  constructor(tables: LedgerTables) {
    this.#tables = tables;
  }

  /** The next events in order; none at the end. Reservations of one round that follow each other are one event. */
  next(): LedgerEvent[] {
    const rows = this.#tables.journalAfter(this.#lastId, PAGE_ROWS);
    const events: LedgerEvent[] = [];
    let open: { readonly roundId: number; readonly pseudonyms: string[] } | undefined;
    for (const row of rows) {
      const { event, round_id, account_id } = row;
      if (event === null && round_id !== null) {
        if (open?.roundId !== round_id) {
          open = { roundId: round_id, pseudonyms: [] };
          events.push(this.#reserved(open));
        }
        open.pseudonyms.push(this.#names[account_id!] ?? this.#opened(account_id!).pseudonym);
        continue;
      }
      open = undefined;
      events.push(event === null ? this.#opened(account_id!) : (JSON.parse(event) as LedgerEvent));
    }
    this.#lastId = rows.at(-1)?.id ?? this.#lastId;
    return events;
  }

  #reserved({
    roundId,
    pseudonyms,
  }: {
    readonly roundId: number;
    readonly pseudonyms: string[];
  }): LedgerEvent {
    const { plan_hash, round, charge_steps } = this.#chargeOf(roundId);
    return {
      kind: 'reserve',
      planHash: plan_hash,
      round,
      chargeSteps: charge_steps,
      mechanism: NO_MECHANISM,
      pseudonyms,
    };
  }

  #opened(accountId: number): LedgerEvent & { kind: 'open' } {
    const { pseudonym, terms_id } = this.#account(accountId);
    this.#names[accountId] = pseudonym;
    const { unit, epsilon, delta, filter_order, limit_steps } = this.#termsOf(terms_id);
    return { kind: 'open', pseudonym, unit, epsilon, delta, order: filter_order, limitSteps: limit_steps };
  }

  #account(id: number): OpenedRow {
    const first = id - (id % BLOCK_IDS);
    if (this.#block?.first !== first) {
      const rows: OpenedRow[] = [];
      for (const row of this.#tables.accountsBetween(first, first + BLOCK_IDS - 1))
        rows[row.id - first] = row;
      this.#block = { first, rows };
    }
    const row = this.#block.rows[id - first];
    ensure(row, 'LOG_INCONSISTENT', 'ledger: the journal names an account that is not there');
    return row;
  }

  #termsOf(id: number): AccountTerms {
    const terms = this.#terms.get(id) ?? this.#tables.terms(id);
    ensure(terms, 'LOG_INCONSISTENT', 'ledger: an account has no terms');
    this.#terms.set(id, terms);
    return terms;
  }

  #chargeOf(roundId: number): ChargeRow {
    const row = this.#charges.get(roundId) ?? this.#tables.charge(roundId);
    ensure(row, 'LOG_INCONSISTENT', 'ledger: the journal names a round that is not there');
    this.#charges.set(roundId, row);
    return row;
  }
}
