/**
 * What rounds cost, recomputed from a plan and the certified cohort sizes by the second accountant, and ε from sums of
 * it. Nothing here reads a charge or an ε that somebody stated.
 *
 * Trusts: the parsed plan and cohort counts that the audit accepted. May be called by: auditor/.
 */
import type { Plan } from '../protos/plan.ts';
import { type AccountOrder, chargeOf, epsilonOf, type MechanismTerms } from './accountant.ts';
import type { RoundPurpose } from './group-terms.ts';
import { termsOf } from './plan-terms.ts';

export interface RoundCost {
  /** Mechanism terms that bound this round: its own cohort's, and those of the smallest cohort the plan allows. */
  readonly terms: readonly MechanismTerms[];
}

/**
 * undefined for a plan without DP. A larger cohort has at least the noise of the smallest, so the smaller of both
 * bounds holds (data processing).
 */
export function costOf(plan: Plan, purpose: RoundPurpose, cohortCount: number): RoundCost | undefined {
  const own = termsOf(plan, purpose, cohortCount);
  if (own === undefined) return undefined;
  const { cohortMin } = plan.rounds;
  return { terms: cohortCount > cohortMin ? [own, termsOf(plan, purpose, cohortMin)!] : [own] };
}

/** RDP at this order, or ρ; Infinity where the accountant has no bound. */
export const amountAt = (cost: RoundCost, order: AccountOrder): number =>
  Math.min(...cost.terms.map((terms) => chargeOf(terms, order)));

/** Integer Rényi orders that are tried: dense where small budgets have their best one, then by a twelfth more. */
const ORDERS: readonly number[] = (() => {
  const orders: number[] = [];
  for (let order = 2; order <= 1024; order = Math.max(order + 1, Math.round(order * 1.08)))
    orders.push(order);
  return orders;
})();

/** Adds rounds at many orders at once; ε is the least over the orders, which holds as each of them does. */
export class EpsilonSum {
  readonly #amounts = new Map<AccountOrder, number>(
    ([...ORDERS, 'zcdp'] as AccountOrder[]).map((order) => [order, 0]),
  );
  static readonly #memo = new WeakMap<object, Map<AccountOrder, number>>();

  add(cost: RoundCost): void {
    const known = EpsilonSum.#memo.get(cost) ?? new Map<AccountOrder, number>();
    EpsilonSum.#memo.set(cost, known);
    for (const [order, amount] of this.#amounts) {
      const charge = known.get(order) ?? amountAt(cost, order);
      known.set(order, charge);
      this.#amounts.set(order, amount + charge);
    }
  }

  /** ε at δ; 0 for nothing, Infinity where no order has a bound. */
  epsilonAt(delta: number): number {
    let least = Number.POSITIVE_INFINITY;
    for (const [order, amount] of this.#amounts)
      if (Number.isFinite(amount)) least = Math.min(least, epsilonOf(amount, order, delta));
    return least;
  }
}
