/** Tallies of noise: exact moments, no alarm on the real sampler, an alarm on each kind of wrong noise. */
import { describe, expect, it } from 'vitest';
import { sampleDiscreteGaussian } from '../../crypto/dp/discrete-gaussian.ts';
import { parseRational, rationalToNumber } from '../../crypto/dp/rational.ts';
import { seededRandom } from '../../crypto/random.ts';
import { discreteGaussianMoments, type NoiseScores, NoiseTally } from './noise-tally.ts';

const LENGTH = 500;

/** Scores of `releases` sums of `shares` shares of the project's own sampler, changed by `change`. */
function scoresOf(
  variance: string,
  shares: number,
  seed: string,
  change: (sum: Float64Array, release: number) => Float64Array = (sum) => sum,
): NoiseScores {
  const random = seededRandom(seed);
  const rational = parseRational(variance);
  const tally = new NoiseTally();
  for (let release = 0; release < 40; release++) {
    const sum = new Float64Array(LENGTH);
    for (let share = 0; share < shares; share++)
      sampleDiscreteGaussian(rational, LENGTH, random).forEach((value, i) => {
        sum[i] = sum[i]! + value;
      });
    tally.add(change(sum, release));
  }
  return tally.scores(discreteGaussianMoments(rationalToNumber(rational), shares));
}

describe('moments of the discrete Gaussian', () => {
  it('approach the continuous ones, and are smaller for small σ', () => {
    // σ = 1: the sum over integers is within 1e-6 of the integral (Poisson summation, e^(−2π²)).
    const one = discreteGaussianMoments(1, 3);
    expect(one.variance).toBeCloseTo(3, 5);
    expect(Math.abs(one.fourth)).toBeLessThan(1e-4);
    // E(−1)^X = θ₄/θ₃ ≈ 2e^(−π²/2) for one share.
    expect(discreteGaussianMoments(1, 1).parity).toBeCloseTo(2 * Math.exp((-Math.PI * Math.PI) / 2), 5);
    const quarter = discreteGaussianMoments(0.25, 1);
    const [p0, p1, p2] = [0, 1, 2].map((x) => Math.exp(-2 * x * x)) as [number, number, number];
    expect(quarter.variance).toBeCloseTo((2 * p1 + 8 * p2) / (p0 + 2 * p1 + 2 * p2), 6);
    expect(discreteGaussianMoments(1e6, 7)).toEqual({ variance: 7e6, fourth: 0, parity: 0 });
  });
});

describe('NoiseTally', () => {
  const worst = ({ varianceScore, parityScore, repeatScore }: NoiseScores) =>
    Math.max(Math.abs(varianceScore), Math.abs(parityScore), Math.abs(repeatScore));

  it.each([
    ['1/4', 2],
    ['1/4', 1],
    ['3/2', 3],
    ['5000', 4],
  ])('finds nothing in the sampler: σ² = %s, %d shares', (variance, shares) => {
    for (const seed of ['a', 'b', 'c']) {
      const scores = scoresOf(variance, shares, seed);
      expect(worst(scores)).toBeLessThan(4);
      expect(scores.offLattice).toBe(0);
      expect(scores.values).toBe(40 * LENGTH);
    }
  });

  it('sees missing variance, fractions, a lost bit and a repeated stream', () => {
    const changed = (change: (sum: Float64Array, release: number) => Float64Array) =>
      scoresOf('20', 2, 'changed', change);
    const smaller = changed((sum) => sum.map((value) => Math.round(0.95 * value)));
    expect(smaller.varianceScore).toBeLessThan(-6);
    expect(changed((sum) => sum.map((value) => value + 0.25)).offLattice).toBe(1);
    expect(
      Math.abs(changed((sum) => sum.map((value) => 2 * Math.round(value / 2))).parityScore),
    ).toBeGreaterThan(50);
    let first: Float64Array | null = null;
    const repeated = changed((sum) => {
      first ??= sum;
      return first;
    });
    expect(repeated.repeatScore).toBeGreaterThan(50);
  });
});
