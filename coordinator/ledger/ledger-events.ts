/**
 * The ledger's own events and their pure replay: what happened, from which every balance can be
 * recomputed.
 *
 * Trusts: nothing; `replay` refuses a history that the ledger could not have written. May be called by:
 * coordinator/ledger, tests and tools that audit a ledger file.
 */
import type { BudgetFilter } from '../../crypto/dp/filter.ts';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import type { JsonObject } from '../../crypto/log/canonical-json.ts';
import { type FilterOrder, fromSteps, limitStepsOf, orderOf } from './ledger-amounts.ts';

export interface RoundKey {
  /** Lower-case hexadecimal plan hash. */
  readonly planHash: string;
  readonly round: number;
}

/** A ceiling beneath the filter for what one name may use of it, in steps of 2^-40. */
export type QuotaLimit = { readonly name: string; readonly limitSteps: number };

/**
 * What happened. Amounts are whole steps of 2^-40; ε and δ are decimal text. People are named by pseudonym, or inside the
 * ledger by the number of their account.
 */
export type LedgerEvent<Name = string> =
  | {
      readonly kind: 'open';
      readonly pseudonym: Name;
      readonly unit: 'person' | 'record';
      readonly epsilon: string;
      readonly delta: string;
      /** 'zcdp' or a Rényi order. */
      readonly order: string;
      readonly limitSteps: number;
    }
  | (RoundKey & {
      readonly kind: 'reserve';
      readonly chargeSteps: number;
      /**
       * Parameters of the mechanism that is paid for, so that any accountant can interpret the event: stated by the
       * first event of a round, which may reserve for nobody, and empty in the later ones.
       */
      readonly mechanism: JsonObject;
      /** What the round draws on beside the filter; by the first event of a round, if any. */
      readonly quotas?: readonly QuotaLimit[];
      readonly pseudonyms: readonly Name[];
    })
  | (RoundKey & {
      readonly kind: 'settle';
      readonly certificateHash: string;
      /** What each included participant pays; at most what was reserved. */
      readonly chargeSteps: number;
      readonly charged: readonly Name[];
      readonly released: readonly Name[];
    })
  | (RoundKey & { readonly kind: 'abort'; readonly abortHash: string; readonly released: readonly Name[] })
  | {
      readonly kind: 'withdraw';
      readonly pseudonym: Name;
      /** '*' for everything, or the name of a quota or plan (`family:…`, `plan:…`). */
      readonly scope: string;
    };

export interface ReplayedBalance extends BudgetFilter {
  readonly delta: string;
  readonly epsilon: string;
  readonly unit: 'person' | 'record';
  /** By name, once something was reserved under it. */
  readonly quotas: ReadonlyMap<string, BudgetFilter>;
}

/** Scopes by which a participant may have withdrawn from a round. */
export const scopesOf = (planHash: string, quotas: readonly QuotaLimit[]): string[] => [
  '*',
  `plan:${planHash}`,
  ...quotas.map(({ name }) => name),
];

/**
 * The arithmetic of crypto/dp/filter.ts once more, in whole steps and in place: a million accounts are changed a million
 * times, and what the ledger wrote is checked by other code than wrote it.
 */
class Meter {
  readonly limit: number;
  spent = 0;
  reserved = 0;
  constructor(limitSteps: number) {
    this.limit = limitSteps;
  }
  reserve(steps: number): void {
    const fits = steps >= 0 && this.spent + this.reserved + steps <= this.limit;
    ensure(fits, 'LOG_INCONSISTENT', 'ledger: a reservation passes its budget');
    this.reserved += steps;
  }
  end(promised: number, paid: number): void {
    const holds = promised <= this.reserved && paid <= promised;
    ensure(holds, 'LOG_INCONSISTENT', 'ledger: nothing of that size is reserved');
    this.reserved -= promised;
    this.spent += paid;
  }
  filter(order: FilterOrder): BudgetFilter {
    const { limit, spent, reserved } = this;
    return { order, limit: fromSteps(limit), spent: fromSteps(spent), reserved: fromSteps(reserved) };
  }
}

interface Terms {
  readonly order: FilterOrder;
  readonly delta: string;
  readonly epsilon: string;
  readonly unit: 'person' | 'record';
}

class Account {
  readonly terms: Terms;
  readonly meter: Meter;
  /** A handful at most. */
  quotas: { readonly name: string; readonly meter: Meter }[] | undefined = undefined;
  withdrawn: Set<string> | undefined = undefined;
  constructor(terms: Terms, limitSteps: number) {
    this.terms = terms;
    this.meter = new Meter(limitSteps);
  }

  quota({ name, limitSteps }: QuotaLimit): Meter {
    this.quotas ??= [];
    let known = this.quotas.find((quota) => quota.name === name);
    if (known === undefined) {
      known = { name, meter: new Meter(limitSteps) };
      this.quotas.push(known);
    }
    ensure(known.meter.limit === limitSteps, 'LOG_INCONSISTENT', 'ledger: a quota changed its limit');
    return known.meter;
  }
}

interface ReplayedRound<Name> {
  /** Accounts that were promised the charge and not yet settled. */
  readonly open: Map<Name, Account>;
  readonly chargeSteps: number;
  readonly quotas: readonly QuotaLimit[];
  readonly scopes: readonly string[];
  readonly ended: boolean;
}

const NO_QUOTAS: ReadonlyMap<string, BudgetFilter> = new Map();

/** Applies events one by one; `balances` at any time. */
export class LedgerReplay<Name = string> {
  readonly #accounts = new Map<Name, Account>();
  readonly #plans = new Map<string, Map<number, ReplayedRound<Name>>>();
  readonly #over: ReplayedRound<Name> = {
    open: new Map(),
    chargeSteps: 0,
    quotas: [],
    scopes: [],
    ended: true,
  };

  /** Of the account opened last; most have the same. */
  #terms: Terms = { order: 'zcdp', unit: 'person', epsilon: '', delta: '' };

  get size(): number {
    return this.#accounts.size;
  }

  balance(pseudonym: Name): ReplayedBalance | undefined {
    const account = this.#accounts.get(pseudonym);
    if (!account) return undefined;
    const { order, unit, epsilon, delta } = account.terms;
    const quotas = account.quotas
      ? new Map(account.quotas.map(({ name, meter }) => [name, meter.filter(order)]))
      : NO_QUOTAS;
    return { ...account.meter.filter(order), unit, epsilon, delta, quotas };
  }

  balances(): Map<Name, ReplayedBalance> {
    return new Map([...this.#accounts.keys()].map((name) => [name, this.balance(name)!]));
  }

  /** Throws LOG_INCONSISTENT. */
  apply(event: LedgerEvent<Name>): void {
    if (event.kind === 'open') this.#open(event);
    else if (event.kind === 'reserve') this.#reserve(event);
    else if (event.kind === 'settle') this.#end(event, event.charged, event.released, event.chargeSteps);
    else if (event.kind === 'abort') this.#end(event, [], event.released, 0);
    else if (event.kind === 'withdraw') this.#withdraw(event);
    else throw new PulsefoldError('LOG_INCONSISTENT', 'ledger: unknown kind of event');
  }

  #open(event: LedgerEvent<Name> & { kind: 'open' }): void {
    const { pseudonym, unit, epsilon, delta } = event;
    ensure(!this.#accounts.has(pseudonym), 'LOG_INCONSISTENT', 'ledger: a filter was opened twice');
    const order = orderOf(event.order);
    const same = limitStepsOf(epsilon, delta, order) === event.limitSteps;
    ensure(same, 'LOG_INCONSISTENT', 'ledger: a limit does not follow from ε, δ and order');
    const last = this.#terms;
    const known =
      last.order === order && last.unit === unit && last.epsilon === epsilon && last.delta === delta;
    if (!known) this.#terms = { order, unit, epsilon, delta };
    this.#accounts.set(pseudonym, new Account(this.#terms, event.limitSteps));
  }

  #withdraw({ pseudonym, scope }: LedgerEvent<Name> & { kind: 'withdraw' }): void {
    const account = this.#account(pseudonym);
    account.withdrawn ??= new Set();
    account.withdrawn.add(scope);
  }

  #account(pseudonym: Name): Account {
    const account = this.#accounts.get(pseudonym);
    ensure(account, 'LOG_INCONSISTENT', 'ledger: an event of a pseudonym without a filter');
    return account;
  }

  #known({ planHash, round }: RoundKey): ReplayedRound<Name> | undefined {
    return this.#plans.get(planHash)?.get(round);
  }

  #put({ planHash, round }: RoundKey, value: ReplayedRound<Name>): ReplayedRound<Name> {
    const rounds = this.#plans.get(planHash) ?? new Map<number, ReplayedRound<Name>>();
    this.#plans.set(planHash, rounds.set(round, value));
    return value;
  }

  #reserve(event: LedgerEvent<Name> & { kind: 'reserve' }): void {
    const { chargeSteps, quotas = [] } = event;
    const known = this.#known(event);
    const round =
      known ??
      this.#put(event, {
        open: new Map(),
        chargeSteps,
        quotas,
        scopes: scopesOf(event.planHash, quotas),
        ended: false,
      });
    ensure(!round.ended, 'LOG_INCONSISTENT', 'ledger: a reservation after the end of its round');
    ensure(
      round.chargeSteps === chargeSteps && (known === undefined || quotas.length === 0),
      'LOG_INCONSISTENT',
      'ledger: one round was reserved at two charges or quotas',
    );
    for (const pseudonym of event.pseudonyms) {
      const account = this.#account(pseudonym);
      const left = account.withdrawn && round.scopes.some((scope) => account.withdrawn!.has(scope));
      ensure(!left, 'LOG_INCONSISTENT', 'ledger: a reservation after a withdrawal');
      account.meter.reserve(chargeSteps);
      for (const quota of round.quotas) account.quota(quota).reserve(chargeSteps);
      const before = round.open.size;
      round.open.set(pseudonym, account);
      ensure(round.open.size > before, 'LOG_INCONSISTENT', 'ledger: one round reserved a pseudonym twice');
    }
  }

  #end(key: RoundKey, charged: readonly Name[], released: readonly Name[], paidSteps: number): void {
    const round =
      this.#known(key) ??
      this.#put(key, { open: new Map(), chargeSteps: 0, quotas: [], scopes: [], ended: false });
    ensure(!round.ended, 'LOG_INCONSISTENT', 'ledger: a round ended twice');
    // Only that it is over: a history of rounds must not keep its maps.
    this.#put(key, this.#over);
    ensure(
      charged.length === 0 || (paidSteps > 0 && paidSteps <= round.chargeSteps),
      'LOG_INCONSISTENT',
      'ledger: a charge is not within its reservation',
    );
    for (const pseudonym of charged) end(round, pseudonym, paidSteps);
    for (const pseudonym of released) end(round, pseudonym, 0);
    ensure(round.open.size === 0, 'LOG_INCONSISTENT', 'ledger: a round ended and left reservations open');
  }
}

function end<Name>(round: ReplayedRound<Name>, pseudonym: Name, paidSteps: number): void {
  const account = round.open.get(pseudonym);
  ensure(account, 'LOG_INCONSISTENT', 'ledger: a charge or release without a reservation');
  round.open.delete(pseudonym);
  account.meter.end(round.chargeSteps, paidSteps);
  for (const quota of round.quotas) account.quota(quota).end(round.chargeSteps, paidSteps);
}

/**
 * Recomputes all balances from events in order. Pure. Throws LOG_INCONSISTENT for any history that the
 * ledger could not have written: overspending, double charges, releases without reservation, a changed
 * limit, a reservation after a withdrawal.
 */
export function replay(events: Iterable<LedgerEvent>): Map<string, ReplayedBalance> {
  const state = new LedgerReplay<string>();
  for (const event of events) state.apply(event);
  return state.balances();
}
