/**
 * Cosine canaries: random directions that a few extra clients push into, compared with the released update.
 *
 * For: federated plans where one run must do. An *estimate* without confidence: it is printed beside the bounds and
 * never decides. Trusts: that the directions were drawn at random and shown to nobody.
 * May be called by: auditor/canary, experiments/canary.
 */
import { ensure } from '../../crypto/error.ts';
import { epsilonOfNormals } from './gaussian-tradeoff.ts';

export interface CosineEstimate {
  readonly epsilon: number;
  /** Mean and standard deviation of the canaries' cosines. */
  readonly mean: number;
  readonly deviation: number;
}

/**
 * ε between the cosines of canaries that were never in, N(0, 1/dimension), and a normal fit to those that were: Andrew,
 * Kairouz, Oh, Oprea, McMahan, Suriyakumar 2023 (arXiv 2302.03098), Algorithm 1. For the Gaussian mechanism it
 * converges to the true ε as the dimension grows. At least 2 cosines. @throws DATA_EMPTY, FIELD_OUT_OF_RANGE.
 */
export function epsilonFromCosines(
  cosines: ArrayLike<number>,
  dimension: number,
  delta: number,
): CosineEstimate {
  ensure(cosines.length >= 2, 'DATA_EMPTY', 'at least two canaries are needed');
  ensure(Number.isSafeInteger(dimension) && dimension >= 1, 'FIELD_OUT_OF_RANGE', 'dimension: at least 1');
  let sum = 0;
  for (let i = 0; i < cosines.length; i++) sum += cosines[i]!;
  const mean = sum / cosines.length;
  let squares = 0;
  for (let i = 0; i < cosines.length; i++) squares += (cosines[i]! - mean) ** 2;
  const deviation = Math.sqrt(squares / (cosines.length - 1));
  ensure(deviation > 0, 'DATA_INVALID', 'all cosines are equal: these are not the scores of random canaries');
  const epsilon = epsilonOfNormals(
    { mean: 0, deviation: 1 / Math.sqrt(dimension) },
    { mean, deviation },
    delta,
  );
  return { epsilon, mean, deviation };
}
