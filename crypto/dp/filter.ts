/**
 * The budget filter: says, before anything happens, whether one more release still fits.
 *
 * For: the coordinator's global filter per person, model quotas beneath it, and the device's own copy. Pure functions
 * on a plain value, O(1) each; they fail closed: whatever is not a clean, affordable charge throws.
 *
 * Why it is sound. Rounds are chosen adaptively (their noise, size and even existence may depend on earlier
 * releases), so ε's of different orders must not be minimised afterwards over what happened to be spent. With *one*
 * Rényi order α, chosen before anything is spent and independently of the data, the sum of the adaptively chosen
 * RDP(α) charges stopped at B(α) is itself RDP(α) ≤ B(α) (Feldman, Zrnic 2021, arXiv 2008.11193; Lécuyer
 * 2021, arXiv 2103.01379), hence (ε, δ)-DP; and likewise zCDP charges stopped at ρ (Rogers et al. 2016; Whitehouse et
 * al. 2023, arXiv 2203.05481). A filter on PLD or on the minimum over orders is not (DESIGN §5).
 *
 * Amounts are multiples of 2^-40 below 2^13: sums and differences of such doubles are exact, so no sequence of
 * reserve, settle and release can drift. Limits round down, charges round up.
 * Trusts: charges come from `chargeOf` on a round's event. May be called by: coordinator/ledger, client, auditor.
 */
import { ensure, PulsefoldError } from '../error.ts';
import { rdpLimit, rhoForBudget } from './conversion.ts';
import type { DpEvent } from './events.ts';
import { rdp } from './rdp.ts';
import { zcdp } from './zcdp.ts';

export interface BudgetFilter {
  /** The Rényi order every charge is measured at, or 'zcdp'. Never changes. */
  readonly order: number | 'zcdp';
  readonly limit: number;
  readonly spent: number;
  readonly reserved: number;
}

const STEP = 2 ** -40;
const AMOUNT_MAX = 2 ** 12;

/**
 * An empty filter that guarantees (epsilon, delta). `order` must be fixed now, e.g. calibrateNoiseVariance's; unit
 * person uses 'zcdp'. @throws PARAMETER_UNSAFE when the order cannot reach (epsilon, delta) at all.
 */
export function createFilter(epsilon: number, delta: number, order: number | 'zcdp'): BudgetFilter {
  ensure(
    epsilon >= 0 && epsilon < Infinity,
    'PARAMETER_UNSAFE',
    'epsilon must be a finite number, at least 0',
  );
  ensure(delta > 0 && delta < 1, 'PARAMETER_UNSAFE', 'delta lies strictly between 0 and 1');
  ensure(order === 'zcdp' || (order > 1 && order < Infinity), 'PARAMETER_UNSAFE', 'a Rényi order exceeds 1');
  const exact = order === 'zcdp' ? rhoForBudget(epsilon, delta) : rdpLimit(order, epsilon, delta);
  ensure(
    exact >= 0,
    'PARAMETER_UNSAFE',
    `order ${order} alone costs more than epsilon: choose a larger order before anything is spent`,
  );
  const limit = Math.floor(Math.min(exact, AMOUNT_MAX) / STEP) * STEP;
  return { order, limit, spent: 0, reserved: 0 };
}

/** Rounds a charge up to the filter's grid. @throws UNSUPPORTED_EVENT for a negative, infinite or NaN charge. */
export function roundCharge(charge: number): number {
  ensure(
    charge >= 0 && charge < Infinity,
    'UNSUPPORTED_EVENT',
    'this event has no finite charge at the fixed order',
  );
  return charge > AMOUNT_MAX ? charge : Math.ceil(charge / STEP) * STEP;
}

/** What an event costs at the filter's order. @throws UNSUPPORTED_EVENT; the filter is untouched. */
export const chargeOf = (event: DpEvent, order: number | 'zcdp'): number =>
  roundCharge(order === 'zcdp' ? zcdp(event) : rdp(event, order));

const available = (filter: BudgetFilter): number => filter.limit - filter.spent - filter.reserved;

/** Whether `charge` fits beside everything spent and reserved. False for anything that is not a plain amount ≥ 0. */
export const canReserve = (filter: BudgetFilter, charge: number): boolean =>
  charge >= 0 && charge <= AMOUNT_MAX && roundCharge(charge) <= available(filter);

/** Sets `charge` aside. @throws BUDGET_EXCEEDED, with the figures, when it does not fit. */
export function reserve(filter: BudgetFilter, charge: number): BudgetFilter {
  if (!canReserve(filter, charge))
    throw new PulsefoldError(
      'BUDGET_EXCEEDED',
      `needs ${charge.toPrecision(6)}, left ${available(filter).toPrecision(6)} of ${filter.limit.toPrecision(6)} ` +
        `(${filter.order === 'zcdp' ? 'zCDP' : `RDP at order ${filter.order}`}): lower rounds or wait for a new budget`,
    );
  return { ...filter, reserved: filter.reserved + roundCharge(charge) };
}

/**
 * A certificate exists: the reservation becomes spent. `actual` (default: all of it) may be smaller when the certified
 * cohort brought more noise shares than planned; it can never be larger. @throws BUDGET_EXCEEDED.
 */
export function settle(filter: BudgetFilter, charge: number, actual: number = charge): BudgetFilter {
  const reserved = takeReserved(filter, charge);
  const spent = roundCharge(actual);
  ensure(
    spent <= roundCharge(charge),
    'BUDGET_EXCEEDED',
    'a round cannot cost more than was reserved for it',
  );
  return { ...filter, reserved, spent: filter.spent + spent };
}

/** A quorum-signed abort, or a certificate without this device: the reservation is free again. */
export const release = (filter: BudgetFilter, charge: number): BudgetFilter => ({
  ...filter,
  reserved: takeReserved(filter, charge),
});

function takeReserved(filter: BudgetFilter, charge: number): number {
  const amount = roundCharge(charge);
  ensure(amount <= filter.reserved, 'BUDGET_EXCEEDED', 'nothing of that size is reserved');
  return filter.reserved - amount;
}
