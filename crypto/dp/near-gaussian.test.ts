import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { accountEpsilon } from './accountants.ts';
import type { DistributedDiscreteGaussianEvent } from './event-types.ts';
import type { DpEvent } from './events.ts';
import { gaussianDelta } from './gaussian-dp.ts';
import { nearGaussian, periodicError, sumSlack } from './near-gaussian.ts';
import { PrivacyLoss } from './pld.ts';
import { rational } from './rational.ts';

const distributed = (
  sensitivitySquared: number,
  varianceLocal: number,
  noiseShares: number,
  dimension: number,
): DistributedDiscreteGaussianEvent => ({
  type: 'distributed_discrete_gaussian',
  unit: 'person',
  neighbouring: 'zero_out',
  sensitivitySquared: BigInt(sensitivitySquared),
  varianceLocal: rational(Math.round(varianceLocal * 1024), 1024n),
  noiseShares,
  dimension,
});

/** Law of the sum of `shares` discrete Gaussians on −reach … reach, by convolution. */
function lawOfSum(variance: number, shares: number, reach: number): Float64Array {
  const at = (values: Float64Array, x: number) => values[x + reach] ?? 0;
  const one = new Float64Array(2 * reach + 1);
  for (let x = -reach; x <= reach; x++) one[x + reach] = Math.exp((-x * x) / (2 * variance));
  const total = one.reduce((sum, mass) => sum + mass, 0);
  one.forEach((mass, i) => {
    one[i] = mass / total;
  });
  let sum = one;
  for (let share = 1; share < shares; share++) {
    const next = new Float64Array(2 * reach + 1);
    for (let x = -reach; x <= reach; x++)
      for (let y = -reach; y <= reach; y++) next[x + reach]! += at(sum, y) * at(one, x - y);
    sum = next;
  }
  return sum;
}

/** δ(ε) of a plane vector with this noise on both coordinates, by enumeration: the worst shift, the worse direction. */
function enumeratedDelta(law: Float64Array, shiftSquaredMax: number, rate: number, epsilon: number): number {
  const reach = (law.length - 1) / 2;
  const mass = (x: number, y: number) => (law[x + reach] ?? 0) * (law[y + reach] ?? 0);
  let worst = 0;
  for (let a = 0; a * a <= shiftSquaredMax; a++)
    for (let b = 0; b <= a && a * a + b * b <= shiftSquaredMax; b++) {
      let [removed, added] = [0, 0];
      for (let x = -reach; x <= reach; x++)
        for (let y = -reach; y <= reach; y++) {
          const base = mass(x, y);
          const mixed = (1 - rate) * base + rate * mass(x - a, y - b);
          removed += Math.max(0, mixed - Math.exp(epsilon) * base);
          added += Math.max(0, base - Math.exp(epsilon) * mixed);
        }
      worst = Math.max(worst, removed, added);
    }
  return worst;
}

describe('periodicError and sumSlack', () => {
  it('bound what sums over the integers differ by, and are of that size', () => {
    for (const variance of [0.125, 0.3, 1, 2]) {
      const sumAt = (centre: number) => {
        let sum = 0;
        for (let k = -60; k <= 60; k++) sum += Math.exp(-((k - centre) ** 2) / (2 * variance));
        return sum / Math.sqrt(2 * Math.PI * variance) - 1;
      };
      const most = Math.max(...[0, 0.25, 0.5, 0.7].map((centre) => Math.abs(sumAt(centre))));
      expect(periodicError(variance)).toBeGreaterThanOrEqual(most - 1e-15);
      if (most > 1e-9) expect(most).toBeGreaterThan(periodicError(variance) * 0.99);
    }
  });

  it('bound the logarithm of every ratio between a sum of shares and one discrete Gaussian', () => {
    for (const [variance, shares] of [
      [0.25, 2],
      [0.3, 4],
      [0.5, 3],
      [1, 5],
    ] as const) {
      const reach = 14;
      const sum = lawOfSum(variance, shares, reach * 2);
      const one = lawOfSum(variance * shares, 1, reach * 2);
      let most = 0;
      // Further out the convolution is cut off.
      for (let x = -reach / 2; x <= reach / 2; x++)
        most = Math.max(most, Math.abs(Math.log(sum[x + reach * 2]! / one[x + reach * 2]!)));
      expect(sumSlack(shares, variance)).toBeGreaterThanOrEqual(most);
      // Of two shares every second outcome is off by the whole of it; more shares even that out.
      if (shares === 2) expect(sumSlack(shares, variance)).toBeLessThan(most * 1.5);
    }
    expect(sumSlack(1, 0.01)).toBe(0);
    // 10·Σ of arXiv 2102.06387, Theorem 1, is looser: row 18 of the research page.
    expect(sumSlack(100, 1)).toBeLessThan(5.477887e-4 / 4);
    expect(sumSlack(1_000_000_000, 4)).toBeLessThan(1e-6);
  });
});

describe('PLD of a distributed discrete Gaussian', () => {
  it('encloses what enumeration gives for small vectors, where the continuous Gaussian does not', () => {
    let continuousTooSmall = 0;
    const parameters = fc.record({
      variance: fc.constantFrom(1, 1.5, 2),
      shares: fc.integer({ min: 1, max: 4 }),
      shiftSquared: fc.integer({ min: 1, max: 10 }),
      rate: fc.constantFrom(1, 1, 0.25),
      epsilon: fc.double({ min: 0, max: 2, noNaN: true }),
    });
    fc.assert(
      fc.property(parameters, ({ variance, shares, shiftSquared, rate, epsilon }) => {
        const law = lawOfSum(variance, shares, 26);
        const truth = enumeratedDelta(law, shiftSquared, rate, epsilon);
        const event = distributed(shiftSquared, variance, shares, 2);
        const { low, high } = new PrivacyLoss(
          rate === 1
            ? event
            : { type: 'poisson_sampled', samplingRate: rational(Math.round(rate * 4), 4n), event },
        ).delta(epsilon);
        expect(low).toBeLessThanOrEqual(truth + 1e-13);
        expect(high).toBeGreaterThanOrEqual(truth - 1e-13);
        const mu = Math.sqrt(shiftSquared / (variance * shares));
        if (rate === 1 && gaussianDelta(mu, epsilon) < truth * (1 - 1e-6)) continuousTooSmall++;
      }),
      { numRuns: 60 },
    );
    expect(continuousTooSmall).toBeGreaterThan(5);
  });

  it('is narrow for the noise of a plan, below zCDP, and at the figure of the continuous Gaussian', () => {
    const rounds = (noiseShares: number, dimension: number, count: number): DpEvent => ({
      type: 'self_composed',
      event: distributed(2 ** 24, 40_000_000 / noiseShares, noiseShares, dimension),
      count,
    });
    for (const [shares, dimension, count] of [
      [8, 13, 30],
      [7500, 13, 30],
      [40_000, 1000, 5],
      [3, 100_000, 100],
    ] as const) {
      const event = rounds(shares, dimension, count);
      const { low, high } = new PrivacyLoss(event).epsilon(1e-6);
      expect(high - low).toBeLessThan(1e-4);
      expect(high).toBeLessThan(accountEpsilon('zcdp', event, 1e-6).high);
      const mu = Math.sqrt((count * 2 ** 24) / 40_000_000);
      expect(gaussianDelta(mu, high)).toBeCloseTo(1e-6, 9);
    }
  });

  it('takes Poisson-sampled rounds beside other mechanisms', () => {
    const round = distributed(2 ** 24, 16_777_216, 8, 13);
    const event: DpEvent = {
      type: 'composed',
      events: [
        {
          type: 'self_composed',
          event: { type: 'poisson_sampled', samplingRate: rational(1, 50n), event: round },
          count: 200,
        },
        {
          type: 'laplace',
          unit: 'person',
          neighbouring: 'zero_out',
          sensitivity: rational(1),
          scale: rational(20),
        },
      ],
    };
    const { low, high } = new PrivacyLoss(event).epsilon(1e-6);
    expect(high - low).toBeLessThan(2e-3);
    expect(low).toBeGreaterThan(0.4);
    expect(high).toBeLessThan(accountEpsilon('rdp', event, 1e-6).high);
  });

  it('promises nothing where the noise is too small, and the Rényi bound where that is better', () => {
    const tiny: DpEvent = { ...distributed(16, 1, 1, 50), varianceLocal: rational(1, 100n) };
    expect(new PrivacyLoss(tiny).epsilon(1e-6)).toEqual({ low: expect.any(Number), high: Infinity });
    expect(new PrivacyLoss(tiny).delta(1)).toMatchObject({ high: 1 });
    const few = distributed(16, 0.25, 1000, 50);
    expect(accountEpsilon('pld', few, 1e-6).high).toBe(accountEpsilon('rdp', few, 1e-6).high);
  });

  it('chooses a smoothing that narrows the bracket', () => {
    const event = distributed(2 ** 24, 4096, 40, 13);
    const [upper, lower] = (['upper', 'lower'] as const).map((side) => nearGaussian(event, side, 30, 1));
    const ratio = 2 ** 24 / (4096 * 40);
    expect(upper!.ratio).toBeGreaterThan(ratio);
    expect(lower!.ratio).toBeLessThan(ratio);
    expect(upper!.ratio / lower!.ratio).toBeLessThan(1 + 1e-4);
    expect(30 * Math.max(upper!.slack, lower!.slack)).toBeLessThan(1e-3);
  });
});
