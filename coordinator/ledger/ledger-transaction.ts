/**
 * The ledger's operations inside a transaction that the caller runs, together with other state and log leaves.
 *
 * Decisions are in ledger-account.ts. The journal gets what happened, from which `replay` recomputes every balance.
 * Trusts: certificates and aborts passed in were verified by the caller. May be called by: coordinator/ledger and
 * coordinator/rounds through BudgetLedger.within.
 */
import type { BudgetFilter } from '../../crypto/dp/filter.ts';
import { ensure } from '../../crypto/error.ts';
import type { JsonObject } from '../../crypto/log/canonical-json.ts';
import type { Database } from '../storage/store.ts';
import { LedgerAccount, quotasOf } from './ledger-account.ts';
import {
  chargeSteps,
  decimalText,
  fromSteps,
  limitStepsOf,
  orderText,
  realOf,
  toSteps,
} from './ledger-amounts.ts';
import {
  checkPseudonym,
  checkPseudonyms,
  checkQuotas,
  checkRound,
  HASH,
  partedBy,
  QUOTA_NAME,
  sameQuotas,
} from './ledger-checks.ts';
import { LedgerCohort } from './ledger-cohort.ts';
import { type LedgerEvent, LedgerReplay, type QuotaLimit, type RoundKey, scopesOf } from './ledger-events.ts';
import { LedgerJournal } from './ledger-journal.ts';
import { type AccountTerms, type BalanceRow, LedgerTables, type RoundRow } from './ledger-tables.ts';
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

const PAGE_ROWS = 10_000;
/** From this many people on, a list is worth statements of its own. */
const COHORT_MIN = 4;

export class LedgerTransaction {
  readonly #tables: LedgerTables;
  readonly #cohort: LedgerCohort;
  /** Accounts read in this transaction, with the amounts that it wrote. */
  readonly #accounts = new Map<string, LedgerAccount>();

  constructor(database: Database) {
    this.#tables = new LedgerTables(database);
    this.#cohort = new LedgerCohort(database);
  }

  /** Opens a filter. The same terms again change nothing; other terms throw STATEMENT_CONFLICT. */
  openFilter({ pseudonym, ...terms }: OpenFilter): void {
    const refused = this.openFilters(terms, [pseudonym]);
    const message = 'ledger: this filter is open with other terms; a budget cannot be changed';
    ensure(refused.length === 0, 'STATEMENT_CONFLICT', message);
  }

  /**
   * Opens a filter with these terms for each pseudonym that has none. Returns, in no order, the pseudonyms whose filter
   * is open with other terms; theirs stay as they are.
   */
  openFilters(terms: FilterTerms, pseudonyms: readonly string[]): string[] {
    const wanted = checkPseudonyms(pseudonyms);
    const row = termsRow(terms);
    if (wanted.length >= COHORT_MIN) {
      const refused = this.#cohort.open(wanted, this.#tables.termsId(row), row);
      this.#accounts.clear();
      return refused;
    }
    return wanted.filter((pseudonym) => {
      const account = this.#account(pseudonym)?.row;
      if (account !== undefined) return !sameTerms(account, row);
      const opened = this.#tables.insertAccount(pseudonym, row);
      this.#accounts.set(pseudonym, new LedgerAccount(this.#tables, pseudonym, opened));
      return false;
    });
  }

  /**
   * Reserves `charge` (RDP at the filters' order, or ρ) for each pseudonym that can afford it, in its filter and in
   * every quota of the round, and says in words why the others cannot. Idempotent by (plan, round, pseudonym). Throws
   * STATEMENT_CONFLICT for another charge or other quotas in the same round, ROUND_CLOSED after the round was settled
   * or aborted.
   */
  reserve(
    key: RoundKey,
    pseudonyms: readonly string[],
    charge: number | string,
    options: ReserveOptions = {},
  ): ReserveResult {
    checkRound(key);
    const wanted = checkPseudonyms(pseudonyms);
    const steps = chargeSteps(charge);
    const quotas = checkQuotas(options.quotas);
    const round = this.#tables.round(key) ?? this.#openRound(key, steps, quotas, options.mechanism);
    ensure(round.state === 'reserved', 'ROUND_CLOSED', `ledger: this round is already ${round.state}`);
    ensure(
      round.charge_steps === steps && sameQuotas(quotasOf(round), quotas),
      'STATEMENT_CONFLICT',
      'ledger: this round was opened with another charge or other quotas',
    );
    const scopes = scopesOf(key.planHash, quotas);
    const many = wanted.length >= COHORT_MIN;
    const order = options.order === undefined ? null : orderText(options.order);
    const asked = many ? this.#cohort.reserve(round, wanted, quotas, order) : wanted;
    if (many) this.#accounts.clear();
    const refused: Refusal[] = [];
    for (const pseudonym of asked) {
      const refusal = this.#reserveOne(round, pseudonym, scopes, quotas, options);
      if (refusal !== null) refused.push(refusal);
    }
    if (refused.length === 0) return { reserved: wanted, refused };
    const left = new Set(refused.map(({ pseudonym }) => pseudonym));
    return { reserved: wanted.filter((pseudonym) => !left.has(pseudonym)), refused };
  }

  /** Whether `charge` would fit now, for a plan's next round: null, or why not. Writes nothing. */
  check(pseudonym: string, charge: number | string, options: CheckOptions = {}): Refusal | null {
    checkPseudonym(pseudonym);
    const quotas = checkQuotas(options.quotas);
    const account = this.#account(pseudonym);
    const amount = fromSteps(chargeSteps(charge));
    if (account === undefined) return unopened(pseudonym);
    return account.refusal(amount, scopesOf('', quotas), quotas, options.order);
  }

  /**
   * No further charge of this pseudonym within `scope`: '*', `plan:<hash>` or the name of a quota. What is spent or
   * reserved stands and is settled as ever. True if it is new. Throws NOT_FOUND without a filter.
   */
  withdraw(pseudonym: string, scope = '*'): boolean {
    checkPseudonym(pseudonym);
    const known = scope === '*' || QUOTA_NAME.test(scope);
    ensure(known, 'MALFORMED_MESSAGE', 'ledger: a withdrawal is from *, family:… or plan:…');
    const account = this.#account(pseudonym);
    ensure(account, 'NOT_FOUND', 'ledger: no filter for this pseudonym');
    const fresh = this.#tables.insertWithdrawal(account.row.id, scope);
    account.row.withdrawn = 1;
    if (fresh) this.#tables.record({ kind: 'withdraw', pseudonym, scope });
    return fresh;
  }

  /**
   * Charges the participants in a verified certificate and frees the others of this round. `actual` is what
   * each included one pays when the certified cohort brought more noise than planned (default: all that was
   * reserved). Idempotent by the certificate's hash. Throws STATEMENT_CONFLICT for a second, different
   * statement or for an included pseudonym that holds no reservation, BUDGET_EXCEEDED for a charge above
   * the reservation.
   */
  settle(key: RoundKey, certificate: VerifiedCertificate, actual?: number | string): SettleResult {
    const included = checkPseudonyms(certificate.included);
    const ended = this.#ended(key, 'settled', certificate.hash);
    if (ended) return ended;
    const round = this.#tables.round(key);
    const promised = round?.charge_steps ?? 0;
    const paid = actual === undefined ? promised : chargeSteps(actual);
    ensure(paid <= promised, 'BUDGET_EXCEEDED', 'ledger: a round cannot cost more than was reserved for it');
    const held = round ? this.#tables.namesIn(key, 'reserved') : [];
    const { charged, released } = partedBy(held, included);
    ensure(
      charged.length === included.length,
      'STATEMENT_CONFLICT',
      'ledger: the certificate names a participant without a reservation',
    );
    this.#end(key, 'settled', certificate.hash, { charged, released }, paid);
    return { charged, released };
  }

  /** The holds of a round say for good who paid and who did not; the journal says what, and how many. */
  #end(
    key: RoundKey,
    state: 'settled' | 'aborted',
    hash: string,
    { charged, released }: SettleResult,
    paidSteps: number,
  ): void {
    const round = this.#tables.round(key);
    this.#tables.endRound(key, state, hash);
    if (round) this.#cohort.end(round, quotasOf(round), { charged, released }, paidSteps);
    this.#accounts.clear();
    const who = { planHash: key.planHash, round: key.round, released: released.length };
    if (state === 'aborted') this.#tables.record({ kind: 'abort', ...who, abortHash: hash });
    else {
      const paid = { certificateHash: hash, chargeSteps: paidSteps, charged: charged.length };
      this.#tables.record({ kind: 'settle', ...who, ...paid });
    }
  }

  /**
   * Frees the round's reservations by a quorum-signed abort. Idempotent by its hash; STATEMENT_CONFLICT
   * otherwise.
   */
  releaseByAbort(key: RoundKey, abort: VerifiedAbort): SettleResult {
    const ended = this.#ended(key, 'aborted', abort.hash);
    if (ended) return ended;
    const round = this.#tables.round(key);
    const released = round ? this.#tables.namesIn(key, 'reserved') : [];
    this.#end(key, 'aborted', abort.hash, { charged: [], released }, 0);
    return { charged: [], released };
  }

  /** Throws NOT_FOUND for a pseudonym without a filter. */
  balance(pseudonym: string): Balance {
    const account = this.#account(pseudonym);
    ensure(account, 'NOT_FOUND', 'ledger: no filter for this pseudonym');
    const { filter, row } = account;
    const quotas = account.quotaNames().map((name) => {
      const { limit, spent, reserved } = account.quota(name, 0);
      return { name, limit, spent, reserved };
    });
    return {
      unit: row.unit,
      ...filter,
      epsilonSpent: account.epsilon(filter.spent),
      epsilonHeld: account.epsilon(filter.spent + filter.reserved),
      epsilonAllowed: realOf(row.epsilon),
      delta: realOf(row.delta),
      quotas,
      withdrawn: this.#tables.withdrawals(row.id),
    };
  }

  /** Whether a filter is open. */
  has(pseudonym: string): boolean {
    return this.#account(pseudonym) !== undefined;
  }

  /** What is spent in the filter, or under a quota; 0 without a filter. */
  spent(pseudonym: string, quota?: string): number {
    const account = this.#account(pseudonym);
    if (account === undefined) return 0;
    return quota === undefined ? fromSteps(account.row.spent_steps) : account.quota(quota, 0).spent;
  }

  /** The most that anybody has spent, in the filter or under a quota, who ever held a reservation of this plan. */
  mostSpent(planHash: string, quota?: string): number {
    return fromSteps(this.#cohort.mostSpent(planHash, quota));
  }

  /** Pseudonyms of all open filters, ascending. */
  pseudonyms(): string[] {
    return this.#tables.pseudonyms();
  }

  /** All events in order. */
  events(): LedgerEvent[] {
    const journal = new LedgerJournal(this.#tables);
    return [...pagesOf(journal)].flat().map((event) => journal.named(event));
  }

  /** All events applied in order, page by page, by the numbers of accounts. Throws LOG_INCONSISTENT. */
  replay(): LedgerReplay<number> {
    const replayed = new LedgerReplay<number>();
    for (const page of pagesOf(new LedgerJournal(this.#tables)))
      for (const event of page) replayed.apply(event);
    return replayed;
  }

  /** Replays the events and compares them with the tables. Throws LOG_INCONSISTENT where they differ. */
  verify(): void {
    const replayed = this.replay();
    const open = this.#tables.reservedByAccount();
    let count = 0;
    for (let lastId = 0; ; ) {
      const rows = this.#tables.balancesAfter(lastId, PAGE_ROWS);
      for (const row of rows) {
        const balance = replayed.balance(row.id);
        const same =
          balance !== undefined &&
          toSteps(balance.limit) === row.limit_steps &&
          toSteps(balance.spent) === row.spent_steps &&
          toSteps(balance.reserved) === (open.get(row.id) ?? 0) &&
          (balance.quotas.size === 0 || this.#sameQuotas(row, balance.quotas));
        ensure(same, 'LOG_INCONSISTENT', 'ledger: a balance does not follow from its events');
      }
      count += rows.length;
      if (rows.length < PAGE_ROWS) break;
      lastId = rows.at(-1)!.id;
    }
    ensure(count === replayed.size, 'LOG_INCONSISTENT', 'ledger: filters and events disagree');
  }

  #sameQuotas({ pseudonym }: BalanceRow, replayed: ReadonlyMap<string, BudgetFilter>): boolean {
    const account = this.#account(pseudonym)!;
    const names = account.quotaNames();
    return (
      names.length === replayed.size &&
      names.every((name) => {
        const stored = account.quota(name, 0);
        const balance = replayed.get(name);
        return (
          balance?.limit === stored.limit &&
          balance.spent === stored.spent &&
          balance.reserved === stored.reserved
        );
      })
    );
  }

  #account(pseudonym: string): LedgerAccount | undefined {
    const known = this.#accounts.get(pseudonym);
    if (known !== undefined) return known;
    const row = this.#tables.account(pseudonym);
    if (row === undefined) return undefined;
    const account = new LedgerAccount(this.#tables, pseudonym, row);
    this.#accounts.set(pseudonym, account);
    return account;
  }

  /** The journal learns once per round what its reservations pay for, also if nobody gets one. */
  #openRound(
    key: RoundKey,
    steps: number,
    quotas: readonly QuotaLimit[],
    mechanism: JsonObject = {},
  ): RoundRow {
    const { planHash, round } = key;
    const drawn = quotas.length > 0 ? { quotas } : {};
    this.#tables.record({
      kind: 'reserve',
      planHash,
      round,
      chargeSteps: steps,
      mechanism,
      ...drawn,
      pseudonyms: [],
    });
    return this.#tables.openRound(key, steps, quotas);
  }

  #reserveOne(
    round: RoundRow,
    pseudonym: string,
    scopes: readonly string[],
    quotas: readonly QuotaLimit[],
    { order }: CheckOptions,
  ): Refusal | null {
    const account = this.#account(pseudonym);
    if (account === undefined) return unopened(pseudonym);
    const refusal = account.refusal(fromSteps(round.charge_steps), scopes, quotas, order);
    // Asked again, what was promised stays promised.
    if (refusal !== null) return account.holds(round) ? null : refusal;
    account.reserve(round);
    return null;
  }

  /** What exactly this statement has already done to the round; throws if another one has ended it. */
  #ended(key: RoundKey, state: 'settled' | 'aborted', hash: string): SettleResult | undefined {
    checkRound(key);
    ensure(HASH.test(hash), 'MALFORMED_MESSAGE', 'ledger: a statement hash is 32 bytes in hexadecimal');
    const round = this.#tables.round(key);
    if (round === undefined || round.state === 'reserved') return undefined;
    const same = round.state === state && round.statement_hash === hash;
    ensure(same, 'STATEMENT_CONFLICT', `ledger: this round was already ${round.state} by another statement`);
    return this.#outcome(key);
  }

  #outcome(key: RoundKey): SettleResult {
    return { charged: this.#tables.namesIn(key, 'charged'), released: this.#tables.namesIn(key, 'released') };
  }
}

function* pagesOf(journal: LedgerJournal): Generator<LedgerEvent<number>[]> {
  for (let page = journal.next(); page.length > 0; page = journal.next()) yield page;
}

function termsRow({ unit, order, ...terms }: FilterTerms): AccountTerms {
  ensure(['person', 'record'].includes(unit), 'FIELD_OUT_OF_RANGE', 'ledger: the unit is person or record');
  const epsilon = decimalText(terms.epsilon);
  const delta = decimalText(terms.delta);
  const limit_steps = limitStepsOf(epsilon, delta, order);
  return { unit, epsilon, delta, filter_order: orderText(order), limit_steps };
}

const sameTerms = (a: AccountTerms, b: AccountTerms): boolean =>
  a.unit === b.unit && a.epsilon === b.epsilon && a.delta === b.delta && a.filter_order === b.filter_order;

function unopened(pseudonym: string): Refusal {
  const reason = 'No privacy budget has been opened for this participant.';
  return { pseudonym, reason, epsilonSpent: 0, epsilonAllowed: 0 };
}
