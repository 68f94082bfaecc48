/**
 * Reads the journal as events, page by page.
 *
 * The commonest rows are two numbers (account opened; account reserved in a round), and the end of a round is a number of
 * people; what they point to cannot be edited (ledger-migrations.ts), so they say as much as the words of an event. A
 * replay of millions of them works on the numbers of accounts; pseudonyms are looked up for people who want to read.
 * Trusts: the ledger's own tables. May be called by: coordinator/ledger.
 */
import { ensure } from '../../crypto/error.ts';
import type { JsonObject } from '../../crypto/log/canonical-json.ts';
import type { LedgerEvent } from './ledger-events.ts';
import type { AccountTerms, ChargeRow, LedgerTables, RoundEnd } from './ledger-tables.ts';

const PAGE_ROWS = 20_000;
/** Accounts fetched together, around one that is needed. */
const BLOCK_IDS = 4096;
const NO_MECHANISM: JsonObject = {};

/** What `of` gives for accounts, fetched in blocks; accounts are opened in order and asked for in order. */
class Blocks<T> {
  readonly #fetch: (first: number, last: number) => Map<number, T>;
  readonly #blocks = new Map<number, Map<number, T>>();
  constructor(fetch: (first: number, last: number) => Map<number, T>) {
    this.#fetch = fetch;
  }
  of(id: number): T {
    const first = id - (id % BLOCK_IDS);
    const block = this.#blocks.get(first) ?? this.#fetch(first, first + BLOCK_IDS - 1);
    this.#blocks.set(first, block);
    const value = block.get(id);
    ensure(value !== undefined, 'LOG_INCONSISTENT', 'ledger: the journal names an account that is not there');
    return value;
  }
}

export class LedgerJournal {
  readonly #tables: LedgerTables;
  readonly #charges = new Map<number, ChargeRow>();
  readonly #terms = new Map<number, AccountTerms>();
  readonly #termsIds: Blocks<number>;
  readonly #names: Blocks<string>;
  #lastId = 0;

  constructor(tables: LedgerTables) {
    this.#tables = tables;
    this.#termsIds = new Blocks((first, last) => tables.termsIdsBetween(first, last));
    this.#names = new Blocks((first, last) => tables.pseudonymsBetween(first, last));
  }

  /**
   * The next events in order, people by the numbers of their accounts; none at the end. Reservations of one round that
   * follow each other are one event.
   */
  next(): LedgerEvent<number>[] {
    const { lastId, rounds, accounts, texts } = this.#tables.journalAfter(this.#lastId, PAGE_ROWS);
    this.#lastId = lastId;
    const events: LedgerEvent<number>[] = [];
    let open: { readonly roundId: number; readonly accounts: number[] } | undefined;
    let text = 0;
    for (let i = 0; i < rounds.length; i++) {
      const roundId = rounds[i]!;
      const account = accounts[i]!;
      if (roundId !== 0) {
        if (open?.roundId !== roundId) {
          open = { roundId, accounts: [] };
          events.push(this.#reserved(roundId, open.accounts));
        }
        open.accounts.push(account);
        continue;
      }
      open = undefined;
      events.push(account === 0 ? this.#inNumbers(JSON.parse(texts[text++]!)) : this.#opened(account));
    }
    return events;
  }

  /** An event with pseudonyms for the numbers of accounts. */
  named(event: LedgerEvent<number>): LedgerEvent {
    const names = (ids: readonly number[]): string[] => ids.map((id) => this.#names.of(id));
    const { kind } = event;
    if (kind === 'reserve') return { ...event, pseudonyms: names(event.pseudonyms) };
    if (kind === 'abort') return { ...event, released: names(event.released).sort() };
    if (kind === 'settle')
      return { ...event, charged: names(event.charged).sort(), released: names(event.released).sort() };
    return { ...event, pseudonym: this.#names.of(event.pseudonym) };
  }

  #reserved(roundId: number, pseudonyms: readonly number[]): LedgerEvent<number> {
    const { plan_hash: planHash, round, charge_steps: chargeSteps } = this.#chargeOf(roundId);
    return { kind: 'reserve', planHash, round, chargeSteps, mechanism: NO_MECHANISM, pseudonyms };
  }

  /** What the journal has in words. A database that was made before version 2 has all its people so, by name. */
  #inNumbers(event: LedgerEvent | RoundEnd): LedgerEvent<number> {
    const { kind } = event;
    if (kind === 'reserve') return { ...event, pseudonyms: this.#idsOf(event.pseudonyms) };
    if (kind === 'abort') return { ...event, released: this.#ended(event, 'released', event.released) };
    if (kind === 'settle') {
      const charged = this.#ended(event, 'charged', event.charged);
      return { ...event, charged, released: this.#ended(event, 'released', event.released) };
    }
    return { ...event, pseudonym: this.#idsOf([event.pseudonym])[0]! };
  }

  /** People of a round by name; or, where the event only counts them, those whose holds ended so. */
  #ended(
    key: { readonly planHash: string; readonly round: number },
    state: 'charged' | 'released',
    who: number | readonly string[],
  ): number[] {
    if (typeof who !== 'number') return this.#idsOf(who);
    const ids = who === 0 ? [] : this.#tables.accountsIn(key, state);
    const same = ids.length === who;
    ensure(same, 'LOG_INCONSISTENT', 'ledger: a round and the journal disagree on its people');
    return ids;
  }

  #idsOf(pseudonyms: readonly string[]): number[] {
    const ids = pseudonyms.length === 0 ? [] : this.#tables.accountsOf(pseudonyms);
    const known = ids.length === pseudonyms.length;
    ensure(known, 'LOG_INCONSISTENT', 'ledger: the journal names an account that is not there');
    return ids;
  }

  #opened(account: number): LedgerEvent<number> {
    const { unit, epsilon, delta, filter_order, limit_steps } = this.#termsOf(this.#termsIds.of(account));
    const limitSteps = limit_steps;
    return { kind: 'open', pseudonym: account, unit, epsilon, delta, order: filter_order, limitSteps };
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
