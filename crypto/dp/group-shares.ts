/**
 * Noise shares of one group of a cohort that was partitioned at random.
 *
 * For: rounds that open in disjoint groups (docs/adr/0030), each of which is a release of its own: whoever takes a person's
 * update out of it has the noise of her group only. γ bounds the corrupt fraction of the whole cohort; of a group it
 * holds up to a tail, which costs δ.
 * Trusts: the partition to be drawn after the cohort is fixed, uniformly (crypto/secagg/shares/partition.ts).
 * May be called by: protos. The auditor has its own (auditor/group-terms.ts).
 */
import { ensure } from '../error.ts';
import { type Rational, rational, rationalToNumber } from './rational.ts';

export interface GroupSharesInput {
  /** Fraction of the cohort that may be corrupt, in [0, 1). */
  readonly gamma: Rational;
  /** Devices in the smallest cohort, at least 2. The cohort that was partitioned has at least as many. */
  readonly cohortMin: number;
  /** Devices in the group. */
  readonly size: number;
  /** β in (0, 1): probability, over the partition, that fewer shares are there for a given person. */
  readonly failure: number;
}

/** Far above the rounding error of a sum of two products of magnitude 1e7, and nothing beside −ln β. */
const EXPONENT_MARGIN = 1e-6;

/**
 * size − c, where c is the number of corrupt members besides the person herself that β allows for: the smallest c in
 * 0..n with exp(−n·KL((c+1)/n ‖ p)) ≤ β and (c+1)/n > p, where n = size − 1 and p = γ·cohortMin/(cohortMin − 1); c = n
 * where there is none.
 *
 * Why: for a given honest person the n others of her group are a uniform sample, without replacement, of the N − 1 other
 * devices, of which at most γ·N are corrupt, a fraction of at most γ·N/(N−1) ≤ p. By Hoeffding (1963), Theorem 1, which by
 * his Theorem 4 holds without replacement, the probability of c + 1 or more corrupt ones is at most exp(−n·KL). Larger p
 * only makes it larger.
 *
 * Never falls when `size` grows, so that fewer devices than planned are what may be charged for, never more: the bound is
 * min over λ ≥ 0 of e^(−λ(c+1))·(1 − p + p·e^λ)^n, and going to n + 1 and c + 1 multiplies each of them by
 * e^(−λ)·(1 − p + p·e^λ) = (1 − p)·e^(−λ) + p ≤ 1. So c grows by at most 1 when the size does, and size − c never falls;
 * (c+2)/(n+1) > p follows from (c+1)/n > p and p < 1.
 *
 * Rounding errs to larger c, that is to fewer shares. At least 1 (she is honest herself). Throws PARAMETER_UNSAFE,
 * FIELD_OUT_OF_RANGE.
 */
export function groupNoiseShares({ gamma, cohortMin, size, failure }: GroupSharesInput): number {
  ensure(
    gamma.numerator >= 0n && gamma.numerator < gamma.denominator,
    'PARAMETER_UNSAFE',
    'gamma lies in [0, 1)',
  );
  const whole = Number.isSafeInteger(cohortMin) && Number.isSafeInteger(size) && cohortMin >= 2 && size >= 1;
  ensure(whole, 'FIELD_OUT_OF_RANGE', 'a group has at least one device, a cohort at least two');
  ensure(
    failure > 0 && failure < 1,
    'FIELD_OUT_OF_RANGE',
    'a failure probability lies strictly between 0 and 1',
  );
  if (gamma.numerator === 0n) return size;
  const least = BigInt(cohortMin);
  const fraction = rational(gamma.numerator * least, gamma.denominator * (least - 1n));
  if (fraction.numerator >= fraction.denominator) return 1;
  const others = size - 1;
  const p = rationalToNumber(fraction);
  const needed = -Math.log(failure) + EXPONENT_MARGIN;
  for (let corrupt = 0; corrupt < others; corrupt++) {
    // Exact: (c + 1)/n > p.
    const above = BigInt(corrupt + 1) * fraction.denominator > BigInt(others) * fraction.numerator;
    if (above && tailExponent(corrupt + 1, others, p) >= needed) return size - corrupt;
  }
  return 1;
}

/** n·KL(m/n ‖ p) for 0 < m ≤ n and p < m/n. */
function tailExponent(m: number, n: number, p: number): number {
  const rest = m === n ? 0 : (n - m) * Math.log((n - m) / (n * (1 - p)));
  return m * Math.log(m / (n * p)) + rest;
}
