/**
 * The budget ledger: one global privacy filter per person (or per hospital record set), over the Store.
 *
 * Reserve before a round, charge by its certificate, free only by a certificate without the participant or
 * by a quorum-signed abort (DESIGN §2.11, §5). Each decision is O(1) filter arithmetic of
 * crypto/dp/filter.ts; the ledger stores events, from which `replay` recomputes every balance.
 * Trusts: certificates and aborts passed in were verified by the caller (quorum signatures). Knows
 * participants only as pseudonyms. May be called by: the coordinator's rounds and console.
 */
import { type BudgetFilter, canReserve, release, reserve, settle } from '../../crypto/dp/filter.ts';
import { ensure } from '../../crypto/error.ts';
import type { Database, Store } from '../storage/store.ts';
import {
  chargeSteps,
  decimalText,
  epsilonOfAmount,
  type FilterOrder,
  fromSteps,
  limitStepsOf,
  orderOf,
  orderText,
  realOf,
  toSteps,
} from './ledger-amounts.ts';
import { type LedgerEvent, type RoundKey, replay } from './ledger-events.ts';
import { type FilterRow, LEDGER_MIGRATIONS, LedgerTables } from './ledger-tables.ts';

import type {
  Balance,
  OpenFilter,
  Refusal,
  ReserveOptions,
  ReserveResult,
  SettleResult,
  VerifiedAbort,
  VerifiedCertificate,
} from './ledger-types.ts';

export type { FilterOrder } from './ledger-amounts.ts';
export type { LedgerEvent, ReplayedBalance, RoundKey } from './ledger-events.ts';
export { replay } from './ledger-events.ts';
export type * from './ledger-types.ts';

export const PSEUDONYMS_MAX = 10_000;
const PSEUDONYM = /^[A-Za-z0-9_-]{1,128}$/;
const HASH = /^[0-9a-f]{64}$/;

const roundKey = ({ planHash, round }: RoundKey): RoundKey => ({ planHash, round });
const short = (value: number): string => String(Number(value.toPrecision(4)));

const filterOf = (row: FilterRow): BudgetFilter => ({
  order: orderOf(row.filter_order),
  limit: fromSteps(row.limit_steps),
  spent: fromSteps(row.spent_steps),
  reserved: fromSteps(row.reserved_steps),
});

function checkRound({ planHash, round }: RoundKey): void {
  ensure(HASH.test(planHash), 'MALFORMED_MESSAGE', 'ledger: the plan hash is 32 bytes in hexadecimal');
  ensure(Number.isSafeInteger(round) && round >= 1, 'FIELD_OUT_OF_RANGE', 'ledger: rounds count from 1');
}

function checkPseudonyms(pseudonyms: readonly string[]): string[] {
  ensure(
    pseudonyms.length <= PSEUDONYMS_MAX,
    'FIELD_OUT_OF_RANGE',
    `ledger: at most ${PSEUDONYMS_MAX} pseudonyms`,
  );
  for (const pseudonym of pseudonyms)
    ensure(
      PSEUDONYM.test(pseudonym),
      'MALFORMED_MESSAGE',
      'ledger: a pseudonym is 1 to 128 letters, digits, - or _',
    );
  return [...new Set(pseudonyms)].sort();
}

/**
 * The ledger's operations inside a transaction that the caller runs, together with other state and log
 * leaves.
 */
export class LedgerTransaction {
  readonly #tables: LedgerTables;
  /** ε by order, δ and amount: a thousand participants with one history need one conversion. */
  readonly #epsilons = new Map<string, number>();

  constructor(database: Database) {
    this.#tables = new LedgerTables(database);
  }

  /** Opens a filter. The same terms again change nothing; other terms throw STATEMENT_CONFLICT. */
  openFilter(terms: OpenFilter): void {
    const { pseudonym, unit } = terms;
    checkPseudonyms([pseudonym]);
    ensure(
      unit === 'person' || unit === 'record',
      'FIELD_OUT_OF_RANGE',
      'ledger: the unit is person or record',
    );
    const epsilon = decimalText(terms.epsilon);
    const delta = decimalText(terms.delta);
    const order = orderText(terms.order);
    const known = this.#tables.filter(pseudonym);
    if (known !== undefined) {
      const same =
        known.unit === unit &&
        known.epsilon === epsilon &&
        known.delta === delta &&
        known.filter_order === order;
      ensure(
        same,
        'STATEMENT_CONFLICT',
        'ledger: this filter is open with other terms; a budget cannot be changed',
      );
      return;
    }
    const limitSteps = limitStepsOf(epsilon, delta, terms.order);
    this.#tables.insertFilter({
      pseudonym,
      unit,
      epsilon,
      delta,
      filter_order: order,
      limit_steps: limitSteps,
    });
    this.#tables.record({ kind: 'open', pseudonym, unit, epsilon, delta, order, limitSteps });
  }

  /**
   * Reserves `charge` (RDP at the filters' order, or ρ) for each pseudonym that can afford it and says in
   * words why the others cannot. Idempotent by (plan, round, pseudonym). Throws STATEMENT_CONFLICT for
   * another charge in the same round, ROUND_CLOSED after the round was settled or aborted.
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
    const round = this.#tables.round(key);
    if (round === undefined) this.#tables.openRound(key, steps);
    else {
      ensure(round.state === 'reserved', 'ROUND_CLOSED', `ledger: this round is already ${round.state}`);
      ensure(
        round.charge_steps === steps,
        'STATEMENT_CONFLICT',
        'ledger: this round was opened with another charge',
      );
    }
    const reserved: string[] = [];
    const refused: Refusal[] = [];
    const fresh: string[] = [];
    for (const pseudonym of wanted) {
      if (this.#tables.reservation(key, pseudonym) === undefined) {
        const refusal = this.#reserveOne(key, pseudonym, fromSteps(steps), options.order);
        if (refusal !== undefined) {
          refused.push(refusal);
          continue;
        }
        fresh.push(pseudonym);
      }
      reserved.push(pseudonym);
    }
    if (fresh.length > 0) {
      const mechanism = options.mechanism ?? {};
      this.#tables.record({
        kind: 'reserve',
        ...roundKey(key),
        chargeSteps: steps,
        mechanism,
        pseudonyms: fresh,
      });
    }
    return { reserved, refused };
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
    if (this.#isEnded(key, 'settled', certificate.hash)) return this.#outcome(key);
    const promised = this.#tables.round(key)?.charge_steps ?? 0;
    const paid = actual === undefined ? promised : chargeSteps(actual);
    ensure(paid <= promised, 'BUDGET_EXCEEDED', 'ledger: a round cannot cost more than was reserved for it');
    const held = this.#tables.pseudonymsIn(key, 'reserved');
    ensure(
      held.filter((pseudonym) => included.has(pseudonym)).length === included.size,
      'STATEMENT_CONFLICT',
      'ledger: the certificate names a participant without a reservation',
    );
    this.#tables.endRound(key, 'settled', certificate.hash);
    for (const pseudonym of held)
      this.#endOne(key, pseudonym, promised, included.has(pseudonym) ? paid : undefined);
    const result = this.#outcome(key);
    const certificateHash = certificate.hash;
    this.#tables.record({ kind: 'settle', ...roundKey(key), certificateHash, chargeSteps: paid, ...result });
    return result;
  }

  /**
   * Frees the round's reservations by a quorum-signed abort. Idempotent by its hash; STATEMENT_CONFLICT
   * otherwise.
   */
  releaseByAbort(key: RoundKey, abort: VerifiedAbort): SettleResult {
    if (this.#isEnded(key, 'aborted', abort.hash)) return this.#outcome(key);
    const promised = this.#tables.round(key)?.charge_steps ?? 0;
    const held = this.#tables.pseudonymsIn(key, 'reserved');
    this.#tables.endRound(key, 'aborted', abort.hash);
    for (const pseudonym of held) this.#endOne(key, pseudonym, promised, undefined);
    this.#tables.record({ kind: 'abort', ...roundKey(key), abortHash: abort.hash, released: held });
    return { charged: [], released: held };
  }

  /** Throws NOT_FOUND for a pseudonym without a filter. */
  balance(pseudonym: string): Balance {
    const row = this.#tables.filter(pseudonym);
    ensure(row, 'NOT_FOUND', 'ledger: no filter for this pseudonym');
    const filter = filterOf(row);
    return {
      unit: row.unit,
      ...filter,
      epsilonSpent: this.#epsilon(row, filter.spent),
      epsilonHeld: this.#epsilon(row, filter.spent + filter.reserved),
      epsilonAllowed: realOf(row.epsilon),
      delta: realOf(row.delta),
    };
  }

  /** Pseudonyms of all open filters, ascending. */
  pseudonyms(): string[] {
    return this.#tables.filters().map((row) => row.pseudonym);
  }

  /** All events in order. */
  events(): LedgerEvent[] {
    return this.#tables.events();
  }

  /** Replays the events and compares them with the tables. Throws LOG_INCONSISTENT where they differ. */
  verify(): void {
    const replayed = replay(this.events());
    const rows = this.#tables.filters();
    ensure(rows.length === replayed.size, 'LOG_INCONSISTENT', 'ledger: filters and events disagree');
    for (const row of rows) {
      const filter = filterOf(row);
      const balance = replayed.get(row.pseudonym);
      ensure(
        balance !== undefined &&
          balance.spent === filter.spent &&
          balance.reserved === filter.reserved &&
          balance.limit === filter.limit,
        'LOG_INCONSISTENT',
        'ledger: a balance does not follow from its events',
      );
    }
  }

  #reserveOne(key: RoundKey, pseudonym: string, charge: number, order?: FilterOrder): Refusal | undefined {
    const row = this.#tables.filter(pseudonym);
    if (row === undefined) {
      const reason = 'No privacy budget has been opened for this participant.';
      return { pseudonym, reason, epsilonSpent: 0, epsilonAllowed: 0 };
    }
    const filter = filterOf(row);
    const refuse = (reason: string): Refusal => {
      const epsilonSpent = this.#epsilon(row, filter.spent + filter.reserved);
      return { pseudonym, reason, epsilonSpent, epsilonAllowed: realOf(row.epsilon) };
    };
    if (order !== undefined && order !== filter.order)
      return refuse(`This budget counts at order ${filter.order}, the round is charged at order ${order}.`);
    if (!canReserve(filter, charge)) {
      const held = filter.spent + filter.reserved;
      return refuse(
        `The privacy budget is ε = ${short(realOf(row.epsilon))} (δ = ${short(realOf(row.delta))}). ` +
          `ε = ${short(this.#epsilon(row, held))} is spent or promised; this round would bring it to ` +
          `ε = ${short(this.#epsilon(row, held + charge))}, so this participant sits it out.`,
      );
    }
    this.#tables.insertReservation(key, pseudonym);
    this.#save(pseudonym, reserve(filter, charge));
    return undefined;
  }

  /** True if exactly this statement has already ended the round; throws if another one has. */
  #isEnded(key: RoundKey, state: 'settled' | 'aborted', hash: string): boolean {
    checkRound(key);
    ensure(HASH.test(hash), 'MALFORMED_MESSAGE', 'ledger: a statement hash is 32 bytes in hexadecimal');
    const round = this.#tables.round(key);
    if (round === undefined || round.state === 'reserved') return false;
    const same = round.state === state && round.statement_hash === hash;
    ensure(same, 'STATEMENT_CONFLICT', `ledger: this round was already ${round.state} by another statement`);
    return true;
  }

  #endOne(key: RoundKey, pseudonym: string, promised: number, paid: number | undefined): void {
    const filter = filterOf(this.#tables.filter(pseudonym)!);
    this.#tables.setReservation(key, pseudonym, paid === undefined ? 'released' : 'charged');
    const amount = fromSteps(promised);
    this.#save(
      pseudonym,
      paid === undefined ? release(filter, amount) : settle(filter, amount, fromSteps(paid)),
    );
  }

  #save(pseudonym: string, filter: BudgetFilter): void {
    this.#tables.setAmounts(pseudonym, toSteps(filter.spent), toSteps(filter.reserved));
  }

  #outcome(key: RoundKey): SettleResult {
    return {
      charged: this.#tables.pseudonymsIn(key, 'charged'),
      released: this.#tables.pseudonymsIn(key, 'released'),
    };
  }

  #epsilon(row: FilterRow, amount: number): number {
    const id = `${row.filter_order} ${row.delta} ${amount}`;
    const known = this.#epsilons.get(id);
    if (known !== undefined) return known;
    const epsilon = epsilonOfAmount(orderOf(row.filter_order), amount, realOf(row.delta));
    this.#epsilons.set(id, epsilon);
    return epsilon;
  }
}

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
  verify(): void {
    this.#store.read('ledger.verify', (database) => this.within(database).verify());
  }
}
