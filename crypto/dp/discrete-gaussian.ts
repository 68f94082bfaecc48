/**
 * Exact discrete Gaussian N_Z(0, σ²), P(x) ∝ exp(−x²/2σ²), σ² rational: for long vectors by exact inversion
 * (crypto/dp/gaussian-table.ts), for short ones and very large σ by rejection
 * (Canonne, Kamath, Steinke 2020, arXiv 2004.00010, Algorithms 1–3). Both have the same distribution.
 *
 * For: the noise of every mechanism. The probabilities are exact: no floating-point number takes a decision, so the
 * attacks of Mironov 2012 on noise drawn in doubles do not apply. Drawing time does depend on the drawn values
 * (arXiv 2112.05307): callers draw a whole vector at once and never time-stamp a single coordinate.
 * Trusts: the RandomSource. May be called by: crypto/dp/mechanism.ts and tests.
 */
import { ensure } from '../error.ts';
import { type RandomSource, systemRandom } from '../random.ts';
import { drawDiscreteLaplace } from './discrete-laplace.ts';
import { bernoulliExpOne, bigBelow, bigBernoulliExp } from './exponential-bits.ts';
import { gaussianTable } from './gaussian-table.ts';
import { integerSquareRoot, type Rational } from './rational.ts';
import { UniformBits } from './uniform-bits.ts';

/** Largest σ²: 32σ stays inside an int32. */
export const VARIANCE_MAX = 2n ** 52n;

const FAST_LIMIT = 2n ** 44n;

/** Above it (σ > 2^14) a table takes too long to build and too much memory. */
const TABLE_VARIANCE_MAX = 2n ** 28n;
/** A table costs about 7 µs per unit of σ, once; rejection about 1 µs per value. Values per unit of σ. */
const TABLE_VALUES_MIN = 4n;

/** Whether `sampleDiscreteGaussian` takes this variance: positive, at most 2^52, denominator below 2^64. */
export const isSamplable = ({ numerator, denominator }: Rational): boolean =>
  numerator > 0n && denominator > 0n && numerator <= VARIANCE_MAX * denominator && denominator < 2n ** 64n;

function checkVariance(variance: Rational): void {
  ensure(
    isSamplable(variance),
    'PARAMETER_UNSAFE',
    'the noise variance must be positive and at most 2^52, its denominator below 2^64',
  );
}

/**
 * `count` independent exact samples. variance in (0, 2^52].
 * @throws PARAMETER_UNSAFE for another variance, FIELD_OUT_OF_RANGE for a bad count.
 */
export function sampleDiscreteGaussian(
  variance: Rational,
  count: number,
  random: RandomSource = systemRandom,
): Int32Array {
  checkVariance(variance);
  ensure(Number.isSafeInteger(count) && count >= 0, 'FIELD_OUT_OF_RANGE', 'count must be a whole number');
  if (!worthTable(variance, count)) return sampleDiscreteGaussianRejection(variance, count, random);
  const out = new Int32Array(count);
  gaussianTable(variance).fill(out, random);
  return out;
}

/** A function of the parameters alone, not of what is in the cache, so that seeded simulations repeat. */
function worthTable({ numerator, denominator }: Rational, count: number): boolean {
  const squared = BigInt(count) ** 2n * denominator; // count ≥ TABLE_VALUES_MIN·σ
  return numerator <= TABLE_VARIANCE_MAX * denominator && squared >= TABLE_VALUES_MIN ** 2n * numerator;
}

/** Canonne–Kamath–Steinke in plain Numbers below 2^53. */
export function sampleDiscreteGaussianRejection(
  variance: Rational,
  count: number,
  random: RandomSource = systemRandom,
): Int32Array {
  checkVariance(variance);
  const t = integerSquareRoot(variance.numerator / variance.denominator) + 1n;
  const exponentDenominator = variance.denominator * t * t;
  if (variance.numerator >= FAST_LIMIT || exponentDenominator >= 2n * FAST_LIMIT)
    return sampleDiscreteGaussianReference(variance, count, random);
  const n = Number(variance.numerator);
  const p = 2 * n;
  const q = Number(exponentDenominator);
  const scale = Number(t);
  const step = Number(variance.denominator * t);
  const bits = new UniformBits(random, count * 12);
  const out = new Int32Array(count);
  for (let i = 0; i < count; ) {
    const y = drawDiscreteLaplace(bits, scale);
    const magnitude = Math.abs(y);
    const product = magnitude * step;
    const accepted =
      product < 2 ** 53
        ? acceptGaussian(bits, Math.abs(product - n), p, q)
        : acceptFar(bits, BigInt(magnitude), variance, t); // |y| > 256σ: e^-256 rare, decided exactly all the same
    if (accepted) out[i++] = y;
  }
  return out;
}

/**
 * True with probability exp(−a²/(p·q)), with a < 2^53 and p, q ≤ 2^45: the acceptance (|y| − σ²/t)²/2σ² of CKS
 * Algorithm 3 as the product of two fractions, so that neither a² nor p·q is ever formed.
 * With a = u·p + r = v·q + s: a²/(pq) = uv + u·(s/q) + v·(r/p) + (r/p)(s/q), and exp of a sum is a conjunction.
 */
function acceptGaussian(bits: UniformBits, a: number, p: number, q: number): boolean {
  const u = Math.floor(a / p);
  const v = Math.floor(a / q);
  const r = a - u * p;
  const s = a - v * q;
  for (let i = u * v; i > 0; i--) if (!bernoulliExpOne(bits)) return false;
  for (let i = 0; i < u; i++) if (!bits.bernoulliExpProduct(1, 1, s, q)) return false;
  for (let i = 0; i < v; i++) if (!bits.bernoulliExpProduct(1, 1, r, p)) return false;
  return bits.bernoulliExpProduct(r, p, s, q);
}

/** The acceptance of CKS Algorithm 3 in bigint. */
function acceptFar(
  bits: UniformBits,
  magnitude: bigint,
  { numerator, denominator }: Rational,
  t: bigint,
): boolean {
  const a = magnitude * denominator * t - numerator;
  return bigBernoulliExp(bits, a * a, 2n * numerator * denominator * t * t);
}

/**
 * The same distribution written down straight from the paper in bigint: the oracle of the tests, and the path for
 * variances too large for the Number path.
 */
export function sampleDiscreteGaussianReference(
  variance: Rational,
  count: number,
  random: RandomSource = systemRandom,
): Int32Array {
  checkVariance(variance);
  const t = integerSquareRoot(variance.numerator / variance.denominator) + 1n;
  const bits = new UniformBits(random, count * 64);
  const out = new Int32Array(count);
  for (let i = 0; i < count; ) {
    const remainder = bigBelow(bits, t);
    if (!bigBernoulliExp(bits, remainder, t)) continue;
    let quotient = 0n;
    while (bigBernoulliExp(bits, 1n, 1n)) quotient++;
    const magnitude = remainder + t * quotient;
    const negative = bigBelow(bits, 2n) === 1n;
    if (negative && magnitude === 0n) continue;
    if (!acceptFar(bits, magnitude, variance, t)) continue;
    const value = Number(negative ? -magnitude : magnitude);
    ensure(
      value === (value | 0),
      'INTERNAL',
      'a noise value left the int32 range (probability below 1e-200)',
    );
    out[i++] = value;
  }
  return out;
}
