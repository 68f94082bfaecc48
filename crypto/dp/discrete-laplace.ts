/**
 * Exact discrete Laplace, P(x) ∝ exp(−|x|/scale) on the integers, scale rational (Canonne, Kamath, Steinke 2020, arXiv
 * 2004.00010, Algorithm 2).
 *
 * For: counts and histograms whose sensitivity is bounded in L1 ('discrete_laplace' events), and the proposals of the
 * discrete Gaussian's rejection sampler. No floating-point number takes a decision. Drawing time depends on the drawn
 * values (arXiv 2112.05307): callers draw whole vectors, before anything waits for them (crypto/dp/noise-pool.ts).
 * Trusts: the RandomSource. May be called by: crypto/dp, experiments, tests.
 */
import { ensure } from '../error.ts';
import { type RandomSource, systemRandom } from '../random.ts';
import { bernoulliExpOne, bigBelow, bigBernoulliExp } from './exponential-bits.ts';
import type { Rational } from './rational.ts';
import { UniformBits } from './uniform-bits.ts';

/** Largest scale: 512 of them stay inside an int32, beyond which lies a mass of exp(−512). */
export const SCALE_MAX = 2n ** 22n;

/** Largest numerator and denominator of the path in Numbers. */
const FAST_LIMIT = 2n ** 31n;

/** Whether `sampleDiscreteLaplace` takes this scale: positive, at most 2^22, denominator below 2^64. */
export const isLaplaceSamplable = ({ numerator, denominator }: Rational): boolean =>
  numerator > 0n && denominator > 0n && numerator <= SCALE_MAX * denominator && denominator < 2n ** 64n;

function checkRequest(scale: Rational, count: number): void {
  ensure(
    isLaplaceSamplable(scale),
    'PARAMETER_UNSAFE',
    'the Laplace scale must be positive and at most 2^22, its denominator below 2^64',
  );
  ensure(Number.isSafeInteger(count) && count >= 0, 'FIELD_OUT_OF_RANGE', 'count must be a whole number');
}

/** One value of scale t / s: a magnitude of scale t, of which s neighbours fall together. 1 ≤ t, s ≤ 2^31. */
export function drawDiscreteLaplace(bits: UniformBits, t: number, s = 1): number {
  for (;;) {
    const remainder = bits.below(t);
    if (!bits.bernoulliExp(remainder, t)) continue;
    let quotient = 0;
    while (bernoulliExpOne(bits)) quotient++;
    const wide = remainder + t * quotient;
    const magnitude = s === 1 ? wide : Math.floor(wide / s); // exact below 2^53: an integer quotient or 1/s away
    const negative = (bits.half() & 1) === 1;
    if (negative && magnitude === 0) continue; // 0 would otherwise count twice
    return negative ? -magnitude : magnitude;
  }
}

/**
 * `count` independent exact samples. scale in (0, 2^22].
 * @throws PARAMETER_UNSAFE for another scale, FIELD_OUT_OF_RANGE for a bad count.
 */
export function sampleDiscreteLaplace(
  scale: Rational,
  count: number,
  random: RandomSource = systemRandom,
): Int32Array {
  checkRequest(scale, count);
  if (scale.numerator > FAST_LIMIT || scale.denominator > FAST_LIMIT)
    return sampleDiscreteLaplaceReference(scale, count, random);
  const t = Number(scale.numerator);
  const s = Number(scale.denominator);
  const bits = new UniformBits(random, count * 4);
  const out = new Int32Array(count);
  for (let i = 0; i < count; i++) out[i] = drawDiscreteLaplace(bits, t, s);
  return out;
}

/**
 * The same distribution written down straight from the paper in bigint: the oracle of the tests, and the path for
 * scales whose parts are too large for Numbers.
 */
export function sampleDiscreteLaplaceReference(
  scale: Rational,
  count: number,
  random: RandomSource = systemRandom,
): Int32Array {
  checkRequest(scale, count);
  const { numerator: t, denominator: s } = scale;
  const bits = new UniformBits(random, count * 24);
  const out = new Int32Array(count);
  for (let i = 0; i < count; ) {
    const remainder = bigBelow(bits, t);
    if (!bigBernoulliExp(bits, remainder, t)) continue;
    let quotient = 0n;
    while (bigBernoulliExp(bits, 1n, 1n)) quotient++;
    const magnitude = Number((remainder + t * quotient) / s);
    const negative = bigBelow(bits, 2n) === 1n;
    if (negative && magnitude === 0) continue;
    ensure(magnitude === (magnitude | 0), 'INTERNAL', 'a noise value left the int32 range');
    out[i++] = negative ? -magnitude : magnitude;
  }
  return out;
}
