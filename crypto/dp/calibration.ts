/**
 * From a budget to parameters: the least noise, or the most steps, with which a family of events stays within (ε, δ).
 * (From parameters to a budget: accountants.ts. Plans calibrate their integer noise in plan-accounting.ts.)
 *
 * Data-independent: only the budget and the shape of the plan go in. Trusts: that more noise, or fewer steps, costs no
 * more. May be called by: plan tools, tests.
 */
import { PulsefoldError } from '../error.ts';
import { type Accountant, upperEpsilon } from './accountants.ts';
import type { DpEvent } from './events.ts';

export interface Budget {
  readonly epsilon: number;
  readonly delta: number;
  readonly accountant: Accountant;
}

/** Noise is found to this share of itself, rounded up. */
const NOISE_PRECISION = 1e-6;
const NOISE_MIN = 1e-3;
const NOISE_MAX = 1e9;

/**
 * The least `noise` (σ or a scale, whatever `eventOf` makes of it) for which the event stays within the budget, and the
 * ε it then has. @throws PARAMETER_UNSAFE when no noise up to 1e9 does, UNSUPPORTED_EVENT.
 */
export function calibrateNoise(
  eventOf: (noise: number) => DpEvent,
  budget: Budget,
): { noise: number; epsilon: number } {
  const epsilonAt = (noise: number) => upperEpsilon(budget.accountant, eventOf(noise), budget.delta);
  let high = 1;
  while (epsilonAt(high) > budget.epsilon) {
    high *= 2;
    if (high > NOISE_MAX)
      throw new PulsefoldError('PARAMETER_UNSAFE', 'no noise fits this budget: raise epsilon or delta');
  }
  let low = high / 2;
  while (low > NOISE_MIN && epsilonAt(low) <= budget.epsilon) {
    high = low;
    low /= 2;
  }
  while (high - low > NOISE_PRECISION * high) {
    const middle = (low + high) / 2;
    if (epsilonAt(middle) > budget.epsilon) low = middle;
    else high = middle;
  }
  return { noise: high, epsilon: epsilonAt(high) };
}

/** The most steps, 0 to stepsMax, for which `eventOf(steps)` stays within the budget. @throws UNSUPPORTED_EVENT. */
export function calibrateSteps(
  eventOf: (steps: number) => DpEvent,
  budget: Budget,
  stepsMax = 1_000_000_000,
): number {
  const fits = (steps: number) =>
    upperEpsilon(budget.accountant, eventOf(steps), budget.delta) <= budget.epsilon;
  let low = 0;
  let high = 1;
  while (high <= stepsMax && fits(high)) {
    low = high;
    high *= 2;
  }
  high = Math.min(high, stepsMax + 1);
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle;
  }
  return low;
}
