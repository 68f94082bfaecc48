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
  floorSteps,
  fromSteps,
  limitStepsOf,
  orderText,
  realOf,
  toSteps,
} from './ledger-amounts.ts';
import { type LedgerEvent, LedgerReplay, type QuotaLimit, type RoundKey, scopesOf } from './ledger-events.ts';
import { LedgerJournal } from './ledger-journal.ts';
import { type BalanceRow, LedgerTables, type RoundRow } from './ledger-tables.ts';
import type {
  Balance,
  CheckOptions,
  OpenFilter,
  Quota,
  Refusal,
  ReserveOptions,
  ReserveResult,
  SettleResult,
  VerifiedAbort,
  VerifiedCertificate,
} from './ledger-types.ts';

export const PSEUDONYMS_MAX = 10_000;
const QUOTAS_MAX = 8;
const PAGE_ROWS = 10_000;
const PSEUDONYM = /^[A-Za-z0-9_-]{1,128}$/;
const HASH = /^[0-9a-f]{64}$/;
const QUOTA_NAME = /^(family|plan):[a-z0-9-]{1,64}$/;
const NO_QUOTAS: readonly QuotaLimit[] = [];

function checkRound({ planHash, round }: RoundKey): void {
  ensure(HASH.test(planHash), 'MALFORMED_MESSAGE', 'ledger: the plan hash is 32 bytes in hexadecimal');
  ensure(Number.isSafeInteger(round) && round >= 1, 'FIELD_OUT_OF_RANGE', 'ledger: rounds count from 1');
}

function checkPseudonym(pseudonym: string): void {
  const message = 'ledger: a pseudonym is 1 to 128 letters, digits, - or _';
  ensure(PSEUDONYM.test(pseudonym), 'MALFORMED_MESSAGE', message);
}

function checkPseudonyms(pseudonyms: readonly string[]): string[] {
  const message = `ledger: at most ${PSEUDONYMS_MAX} pseudonyms`;
  ensure(pseudonyms.length <= PSEUDONYMS_MAX, 'FIELD_OUT_OF_RANGE', message);
  for (const pseudonym of pseudonyms) checkPseudonym(pseudonym);
  return pseudonyms.length === 1 ? [...pseudonyms] : [...new Set(pseudonyms)].sort();
}

/** Ascending by name, on the grid. */
function checkQuotas(quotas: readonly Quota[] | undefined): readonly QuotaLimit[] {
  if (quotas === undefined || quotas.length === 0) return NO_QUOTAS;
  ensure(quotas.length <= QUOTAS_MAX, 'FIELD_OUT_OF_RANGE', `ledger: at most ${QUOTAS_MAX} quotas`);
  for (const { name } of quotas)
    ensure(QUOTA_NAME.test(name), 'MALFORMED_MESSAGE', 'ledger: a quota is named family:… or plan:…');
  ensure(
    new Set(quotas.map(({ name }) => name)).size === quotas.length,
    'MALFORMED_MESSAGE',
    'ledger: a quota is named twice',
  );
  return quotas
    .map(({ name, limit }) => ({ name, limitSteps: floorSteps(limit) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

const sameQuotas = (a: readonly QuotaLimit[], b: readonly QuotaLimit[]): boolean =>
  a.length === b.length &&
  a.every(({ name, limitSteps }, i) => name === b[i]!.name && limitSteps === b[i]!.limitSteps);

export class LedgerTransaction {
  readonly #tables: LedgerTables;
  /** Accounts read in this transaction, with the amounts that it wrote. */
  readonly #accounts = new Map<string, LedgerAccount>();

  constructor(database: Database) {
    this.#tables = new LedgerTables(database);
  }

  /** Opens a filter. The same terms again change nothing; other terms throw STATEMENT_CONFLICT. */
  openFilter(terms: OpenFilter): void {
    const { pseudonym, unit } = terms;
    checkPseudonym(pseudonym);
    ensure(['person', 'record'].includes(unit), 'FIELD_OUT_OF_RANGE', 'ledger: the unit is person or record');
    const epsilon = decimalText(terms.epsilon);
    const delta = decimalText(terms.delta);
    const order = orderText(terms.order);
    const account = this.#account(pseudonym)?.row;
    if (account !== undefined) {
      const same =
        account.unit === unit &&
        account.epsilon === epsilon &&
        account.delta === delta &&
        account.filter_order === order;
      const message = 'ledger: this filter is open with other terms; a budget cannot be changed';
      ensure(same, 'STATEMENT_CONFLICT', message);
      return;
    }
    const limitSteps = limitStepsOf(epsilon, delta, terms.order);
    const row = { unit, epsilon, delta, filter_order: order, limit_steps: limitSteps };
    const opened = this.#tables.insertAccount(pseudonym, row);
    this.#accounts.set(pseudonym, new LedgerAccount(this.#tables, pseudonym, opened));
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
    const reserved: string[] = [];
    const refused: Refusal[] = [];
    for (const pseudonym of wanted) {
      const refusal = this.#reserveOne(round, pseudonym, scopes, quotas, options);
      if (refusal === null) reserved.push(pseudonym);
      else refused.push(refusal);
    }
    return { reserved, refused };
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
    const included = new Set(checkPseudonyms(certificate.included));
    const ended = this.#ended(key, 'settled', certificate.hash);
    if (ended) return this.#outcome(ended);
    const round = this.#tables.round(key);
    const promised = round?.charge_steps ?? 0;
    const paid = actual === undefined ? promised : chargeSteps(actual);
    ensure(paid <= promised, 'BUDGET_EXCEEDED', 'ledger: a round cannot cost more than was reserved for it');
    const held = round ? this.#tables.pseudonymsIn(round.id, 'reserved') : [];
    ensure(
      held.filter((pseudonym) => included.has(pseudonym)).length === included.size,
      'STATEMENT_CONFLICT',
      'ledger: the certificate names a participant without a reservation',
    );
    this.#tables.endRound(key, 'settled', certificate.hash);
    const result: SettleResult = { charged: [], released: [] };
    for (const pseudonym of held) {
      const inside = included.has(pseudonym);
      this.#account(pseudonym)!.end(round!, inside ? fromSteps(paid) : undefined);
      (inside ? result.charged : result.released).push(pseudonym);
    }
    const { planHash, round: number } = key;
    const certificateHash = certificate.hash;
    this.#tables.record({
      kind: 'settle',
      planHash,
      round: number,
      certificateHash,
      chargeSteps: paid,
      ...result,
    });
    return result;
  }

  /**
   * Frees the round's reservations by a quorum-signed abort. Idempotent by its hash; STATEMENT_CONFLICT
   * otherwise.
   */
  releaseByAbort(key: RoundKey, abort: VerifiedAbort): SettleResult {
    const ended = this.#ended(key, 'aborted', abort.hash);
    if (ended) return this.#outcome(ended);
    const round = this.#tables.round(key);
    const held = round ? this.#tables.pseudonymsIn(round.id, 'reserved') : [];
    this.#tables.endRound(key, 'aborted', abort.hash);
    for (const pseudonym of held) this.#account(pseudonym)!.end(round!, undefined);
    const { planHash, round: number } = key;
    this.#tables.record({ kind: 'abort', planHash, round: number, abortHash: abort.hash, released: held });
    return { charged: [], released: held };
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

  /** Pseudonyms of all open filters, ascending. */
  pseudonyms(): string[] {
    return this.#tables.pseudonyms();
  }

  /** All events in order. */
  events(): LedgerEvent[] {
    return [...this.#pages()].flat();
  }

  /** All events applied in order, page by page. Throws LOG_INCONSISTENT. */
  replay(): LedgerReplay {
    const replayed = new LedgerReplay();
    for (const page of this.#pages()) for (const event of page) replayed.apply(event);
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
        const balance = replayed.balance(row.pseudonym);
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

  *#pages(): Generator<LedgerEvent[]> {
    const journal = new LedgerJournal(this.#tables);
    for (let page = journal.next(); page.length > 0; page = journal.next()) yield page;
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

  /** The round if exactly this statement has already ended it; throws if another one has. */
  #ended(key: RoundKey, state: 'settled' | 'aborted', hash: string): RoundRow | undefined {
    checkRound(key);
    ensure(HASH.test(hash), 'MALFORMED_MESSAGE', 'ledger: a statement hash is 32 bytes in hexadecimal');
    const round = this.#tables.round(key);
    if (round === undefined || round.state === 'reserved') return undefined;
    const same = round.state === state && round.statement_hash === hash;
    ensure(same, 'STATEMENT_CONFLICT', `ledger: this round was already ${round.state} by another statement`);
    return round;
  }

  #outcome({ id }: RoundRow): SettleResult {
    return {
      charged: this.#tables.pseudonymsIn(id, 'charged'),
      released: this.#tables.pseudonymsIn(id, 'released'),
    };
  }
}

function unopened(pseudonym: string): Refusal {
  const reason = 'No privacy budget has been opened for this participant.';
  return { pseudonym, reason, epsilonSpent: 0, epsilonAllowed: 0 };
}
