/**
 * What a strategy is on the server: how an opened sum is read, and how it moves the released blob.
 *
 * Pure post-processing. Trusts: that sums come from certified rounds; lengths are checked by their caller.
 * May be called by: coordinator/aggregation.
 */
import { z } from 'zod';
import type { Plan } from '../../../protos/plan.ts';
import type { TrainingTerms } from '../../../protos/plan-training.ts';
import type { GroupMean } from '../combine.ts';

export const learningRate = z.number().positive().max(10_000);
export const beta = z.number().min(0).max(0.99999);
/** Adaptivity τ: smaller is more adaptive. */
export const tau = z.number().positive().max(1);

/** Optimiser state, float64; empty where a strategy keeps none. */
export interface Moments {
  readonly first: Float64Array;
  readonly second: Float64Array;
}

/** What a sum is read with. */
export interface SumTerms {
  readonly plan: Plan;
  /** Clip of the round, model units. */
  readonly clip: number;
  /** |A| of the certificate. */
  readonly cohortCount: number;
  /** Releases since the version that the round started from; 0 where rounds do not overlap. */
  readonly staleness: number;
}

export interface ServerStrategy<Hyper> {
  /** From a plan's terms. */
  hyperOf(training: TrainingTerms): Hyper;
  initialMoments(hyper: Hyper, dimension: number): Moments;
  /**
   * What entry i of a blob of `dimension` entries moves by, for entry i of the direction; moves the moments in place.
   */
  move(hyper: Hyper, delta: number, moments: Moments, i: number, dimension: number): number;
  /** Mean of one opened sum, all coordinates, and its weight among others; null where that is not positive. */
  mean?(sum: Float64Array, count: number): GroupMean | null;
  /** From the (combined) mean to the direction, without a strategy's extra coordinates. */
  direction?(mean: Float64Array, terms: SumTerms): Float64Array;
}

const NONE = new Float64Array(0);
export const noMoments = (): Moments => ({ first: NONE, second: NONE });

/** Server momentum, v ← β·v + Δ, moving by η·v: of fedavgm and fedbuff. */
export const momentumMoments = (_: unknown, dimension: number): Moments => ({
  first: new Float64Array(dimension),
  second: NONE,
});
export function momentumMove(
  { learningRate, momentum }: { readonly learningRate: number; readonly momentum: number },
  delta: number,
  { first }: Moments,
  i: number,
): number {
  first[i] = momentum * first[i]! + delta;
  return learningRate * first[i]!;
}
