/**
 * The ledger's own event rows and their pure replay: what happened, from which every balance can be
 * recomputed.
 *
 * Trusts: nothing; `replay` refuses a history that the ledger could not have written. May be called by:
 * coordinator/ledger, tests and tools that audit a ledger file.
 */
import {
  type BudgetFilter,
  canReserve,
  createFilter,
  release,
  reserve,
  settle,
} from '../../crypto/dp/filter.ts';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import type { JsonObject } from '../../crypto/log/canonical-json.ts';
import { fromSteps, orderOf, realOf, toSteps } from './ledger-amounts.ts';

export interface RoundKey {
  /** Lower-case hexadecimal plan hash. */
  readonly planHash: string;
  readonly round: number;
}

/** What happened. Amounts are whole steps of 2^-40; ε and δ are decimal text; lists are ascending. */
export type LedgerEvent =
  | {
      readonly kind: 'open';
      readonly pseudonym: string;
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
      /** Parameters of the mechanism that is paid for, so that any accountant can interpret the event. */
      readonly mechanism: JsonObject;
      readonly pseudonyms: readonly string[];
    })
  | (RoundKey & {
      readonly kind: 'settle';
      readonly certificateHash: string;
      /** What each included participant pays; at most what was reserved. */
      readonly chargeSteps: number;
      readonly charged: readonly string[];
      readonly released: readonly string[];
    })
  | (RoundKey & { readonly kind: 'abort'; readonly abortHash: string; readonly released: readonly string[] });

export interface ReplayedBalance extends BudgetFilter {
  readonly delta: string;
  readonly epsilon: string;
  readonly unit: 'person' | 'record';
}

interface ReplayedRound {
  /** Steps promised by each pseudonym and not yet settled. */
  readonly open: Map<string, number>;
  ended: boolean;
}

class Replay {
  readonly balances = new Map<string, ReplayedBalance>();
  readonly #rounds = new Map<string, ReplayedRound>();

  apply(event: LedgerEvent): void {
    if (event.kind === 'open') this.#open(event);
    else if (event.kind === 'reserve') this.#reserve(event);
    else if (event.kind === 'settle') this.#end(event, event.charged, event.released, event.chargeSteps);
    else if (event.kind === 'abort') this.#end(event, [], event.released, 0);
    else throw new PulsefoldError('LOG_INCONSISTENT', 'ledger: unknown kind of event');
  }

  #open(event: LedgerEvent & { kind: 'open' }): void {
    const { pseudonym, unit, epsilon, delta } = event;
    ensure(!this.balances.has(pseudonym), 'LOG_INCONSISTENT', 'ledger: a filter was opened twice');
    const filter = createFilter(realOf(epsilon), realOf(delta), orderOf(event.order));
    const same = toSteps(filter.limit) === event.limitSteps;
    ensure(same, 'LOG_INCONSISTENT', 'ledger: a limit does not follow from ε, δ and order');
    this.balances.set(pseudonym, { ...filter, unit, epsilon, delta });
  }

  #roundOf({ planHash, round }: RoundKey): ReplayedRound {
    const id = `${planHash}/${round}`;
    const known = this.#rounds.get(id) ?? { open: new Map<string, number>(), ended: false };
    this.#rounds.set(id, known);
    return known;
  }

  #reserve(event: LedgerEvent & { kind: 'reserve' }): void {
    const round = this.#roundOf(event);
    const charge = fromSteps(event.chargeSteps);
    ensure(!round.ended, 'LOG_INCONSISTENT', 'ledger: a reservation after the end of its round');
    for (const pseudonym of event.pseudonyms) {
      ensure(!round.open.has(pseudonym), 'LOG_INCONSISTENT', 'ledger: one round reserved a pseudonym twice');
      this.#change(pseudonym, (filter) => {
        ensure(canReserve(filter, charge), 'LOG_INCONSISTENT', 'ledger: a reservation passes its budget');
        return reserve(filter, charge);
      });
      round.open.set(pseudonym, event.chargeSteps);
    }
  }

  #end(key: RoundKey, charged: readonly string[], released: readonly string[], paidSteps: number): void {
    const round = this.#roundOf(key);
    ensure(!round.ended, 'LOG_INCONSISTENT', 'ledger: a round ended twice');
    round.ended = true;
    for (const pseudonym of charged) {
      const promised = this.#take(round, pseudonym);
      ensure(
        paidSteps > 0 && paidSteps <= promised,
        'LOG_INCONSISTENT',
        'ledger: a charge is not within its reservation',
      );
      this.#change(pseudonym, (filter) => settle(filter, fromSteps(promised), fromSteps(paidSteps)));
    }
    for (const pseudonym of released) {
      const promised = this.#take(round, pseudonym);
      this.#change(pseudonym, (filter) => release(filter, fromSteps(promised)));
    }
    ensure(round.open.size === 0, 'LOG_INCONSISTENT', 'ledger: a round ended and left reservations open');
  }

  #take(round: ReplayedRound, pseudonym: string): number {
    const steps = round.open.get(pseudonym);
    ensure(steps !== undefined, 'LOG_INCONSISTENT', 'ledger: a charge or release without a reservation');
    round.open.delete(pseudonym);
    return steps;
  }

  #change(pseudonym: string, change: (filter: BudgetFilter) => BudgetFilter): void {
    const balance = this.balances.get(pseudonym);
    ensure(balance, 'LOG_INCONSISTENT', 'ledger: an event of a pseudonym without a filter');
    this.balances.set(pseudonym, { ...balance, ...change(balance) });
  }
}

/**
 * Recomputes all balances from events in order. Pure. Throws LOG_INCONSISTENT for any history that the
 * ledger could not have written: overspending, double charges, releases without reservation, a changed
 * limit.
 */
export function replay(events: Iterable<LedgerEvent>): Map<string, ReplayedBalance> {
  const state = new Replay();
  for (const event of events) state.apply(event);
  return state.balances;
}
