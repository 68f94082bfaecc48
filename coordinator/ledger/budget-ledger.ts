/**
 * The budget ledger: one global privacy filter per person (or per hospital record set), over the Store.
 *
 * Reserve before a round, charge by its certificate, free only by a certificate without the participant or
 * by a quorum-signed abort (DESIGN §2.11, §5). `within` joins a transaction of the caller (ledger-transaction.ts holds
 * the operations); the other methods run one of their own.
 * Trusts: certificates and aborts passed in were verified by the caller (quorum signatures). Knows
 * participants only as pseudonyms. May be called by: the coordinator's rounds and console.
 */
import type { Database, Store } from '../storage/store.ts';
import type { LedgerEvent, LedgerReplay, RoundKey } from './ledger-events.ts';
import { LEDGER_MIGRATIONS } from './ledger-migrations.ts';
import { LedgerTransaction } from './ledger-transaction.ts';
import type {
  Balance,
  CheckOptions,
  FilterTerms,
  OpenFilter,
  Refusal,
  ReserveOptions,
  ReserveResult,
  SettleResult,
  VerifiedAbort,
  VerifiedCertificate,
} from './ledger-types.ts';

export type { FilterOrder } from './ledger-amounts.ts';
export { PSEUDONYMS_MAX } from './ledger-checks.ts';
export type { LedgerEvent, QuotaLimit, ReplayedBalance, RoundKey } from './ledger-events.ts';
export { LedgerReplay, replay } from './ledger-events.ts';
export { LedgerTransaction } from './ledger-transaction.ts';
export type * from './ledger-types.ts';

/** The ledger with a transaction of its own per call; `within` joins a transaction of the caller. */
export class BudgetLedger {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
    store.migrate('ledger', LEDGER_MIGRATIONS);
  }

  within(database: Database): LedgerTransaction {
    return new LedgerTransaction(database);
  }
  openFilter(terms: OpenFilter): void {
    this.#store.transaction('ledger.open', (database) => this.within(database).openFilter(terms));
  }
  /** Pseudonyms whose filter is open with other terms. */
  openFilters(terms: FilterTerms, pseudonyms: readonly string[]): string[] {
    return this.#store.transaction('ledger.open', (d) => this.within(d).openFilters(terms, pseudonyms));
  }
  reserve(
    key: RoundKey,
    pseudonyms: readonly string[],
    charge: number | string,
    options?: ReserveOptions,
  ): ReserveResult {
    return this.#store.transaction('ledger.reserve', (d) =>
      this.within(d).reserve(key, pseudonyms, charge, options),
    );
  }
  /** The decision alone, on a snapshot: null if the charge fits now. */
  check(pseudonym: string, charge: number | string, options?: CheckOptions): Refusal | null {
    return this.#store.read('ledger.check', (d) => this.within(d).check(pseudonym, charge, options));
  }
  /** True if it is new. */
  withdraw(pseudonym: string, scope = '*'): boolean {
    return this.#store.transaction('ledger.withdraw', (d) => this.within(d).withdraw(pseudonym, scope));
  }
  settle(key: RoundKey, certificate: VerifiedCertificate, actual?: number | string): SettleResult {
    return this.#store.transaction('ledger.settle', (d) => this.within(d).settle(key, certificate, actual));
  }
  releaseByAbort(key: RoundKey, abort: VerifiedAbort): SettleResult {
    return this.#store.transaction('ledger.abort', (database) =>
      this.within(database).releaseByAbort(key, abort),
    );
  }
  balance(pseudonym: string): Balance {
    return this.#store.read('ledger.balance', (database) => this.within(database).balance(pseudonym));
  }
  pseudonyms(): string[] {
    return this.#store.read('ledger.pseudonyms', (database) => this.within(database).pseudonyms());
  }
  events(): LedgerEvent[] {
    return this.#store.read('ledger.events', (database) => this.within(database).events());
  }
  /** All events applied in order, page by page, by the numbers of accounts. Throws LOG_INCONSISTENT. */
  replay(): LedgerReplay<number> {
    return this.#store.read('ledger.replay', (database) => this.within(database).replay());
  }
  verify(): void {
    this.#store.read('ledger.verify', (database) => this.within(database).verify());
  }
}
