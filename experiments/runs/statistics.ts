/**
 * Means over seeds and differences between runs, with 95 % Student-t intervals.
 *
 * An interval here is about the mean over seeds (splits, initial weights, batches, noise) of one data set; seeds of one
 * data set share rows, so it is no interval for other people or hospitals. Pure. May be called by: experiments, cli.
 */
import { regularisedBeta } from '../../auditor/canary/special-functions.ts';
import { ensure } from '../../crypto/error.ts';

export const CONFIDENCE = 0.95;
export const INTERVAL_TEXT =
  '95 % Student-t interval of the mean over seeds; seeds share one data set, so it says nothing of other people';

export interface Estimate {
  /** Values counted. */
  readonly n: number;
  readonly mean: number;
  /** Sample standard deviation (n − 1); null for one value. */
  readonly deviation: number | null;
  /** Ends of the interval; null for one value. */
  readonly low: number | null;
  readonly high: number | null;
}

/** P(T ≤ t) of Student's t with `degrees` > 0 degrees of freedom (Abramowitz & Stegun 26.7.1, through I_x(a, b)). */
export function studentCdf(t: number, degrees: number): number {
  const tail = regularisedBeta(degrees / (degrees + t * t), degrees / 2, 0.5) / 2;
  return t > 0 ? 1 - tail : tail;
}

/** The t with P(T ≤ t) = level, 0 < level < 1. */
export function studentQuantile(level: number, degrees: number): number {
  ensure(level > 0 && level < 1, 'FIELD_OUT_OF_RANGE', 'level lies in (0, 1)');
  ensure(degrees > 0, 'FIELD_OUT_OF_RANGE', 'at least one degree of freedom');
  if (level < 0.5) return -studentQuantile(1 - level, degrees);
  let low = 0;
  let high = 1;
  while (studentCdf(high, degrees) < level) high *= 2;
  for (let i = 0; i < 200 && high - low > 1e-12 * high; i++) {
    const middle = (low + high) / 2;
    if (studentCdf(middle, degrees) < level) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

export const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

function varianceOf(values: readonly number[], mean: number): number {
  return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
}

/** Mean with its t interval. @throws DATA_EMPTY */
export function estimateOf(values: readonly number[]): Estimate {
  ensure(values.length > 0, 'DATA_EMPTY', 'no value to average');
  const mean = meanOf(values);
  const n = values.length;
  if (n === 1) return { n, mean, deviation: null, low: null, high: null };
  const variance = varianceOf(values, mean);
  const half = studentQuantile((1 + CONFIDENCE) / 2, n - 1) * Math.sqrt(variance / n);
  return { n, mean, deviation: Math.sqrt(variance), low: mean - half, high: mean + half };
}

/**
 * Of a − b, seed by seed. Where seeds deal one table anew, their test rows overlap and the plain variance is too small:
 * `testShare`, test rows over training rows, corrects it (Nadeau & Bengio 2003, Machine Learning 52: 1/n + testShare in
 * the place of 1/n). 0: the same rows in every seed, and the interval is about everything but the split.
 * @throws VECTOR_LENGTH_MISMATCH, DATA_EMPTY
 */
export function pairedDifference(a: readonly number[], b: readonly number[], testShare = 0): Estimate {
  ensure(a.length === b.length, 'VECTOR_LENGTH_MISMATCH', 'pairs need as many values on both sides');
  const plain = estimateOf(a.map((value, i) => value - b[i]!));
  if (plain.low === null || testShare === 0) return plain;
  const half = (plain.mean - plain.low) * Math.sqrt(1 + plain.n * testShare);
  return { ...plain, low: plain.mean - half, high: plain.mean + half };
}

/** Of mean(a) − mean(b) where nothing pairs them (Welch 1947; degrees of freedom by Satterthwaite). */
export function unpairedDifference(a: readonly number[], b: readonly number[]): Estimate {
  const [first, second] = [estimateOf(a), estimateOf(b)];
  const mean = first.mean - second.mean;
  const n = Math.min(first.n, second.n);
  if (first.deviation === null || second.deviation === null)
    return { n, mean, deviation: null, low: null, high: null };
  const [u, v] = [first.deviation ** 2 / first.n, second.deviation ** 2 / second.n];
  const deviation = Math.sqrt(u + v);
  if (deviation === 0) return { n, mean, deviation, low: mean, high: mean };
  const degrees = (u + v) ** 2 / (u ** 2 / (first.n - 1) + v ** 2 / (second.n - 1));
  const half = studentQuantile((1 + CONFIDENCE) / 2, degrees) * deviation;
  return { n, mean, deviation, low: mean - half, high: mean + half };
}
