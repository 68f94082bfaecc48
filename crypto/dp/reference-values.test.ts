/**
 * The published values of research/privacy-accounting.md §2 that belong to accountants, by row; rows 1–7 (RDP), 17 and
 * 18 stand in rdp.test.ts, 19 in mechanism.test.ts, 25 and 26 in protos/adaptive-clip.test.ts, 28 and 29 with the canaries.
 * Row 30 (shuffling) is no event of ours: nobody here shuffles, and cohorts are public. Brackets must contain the value up to the digits it is printed with, or up to the grid of the
 * accountant that it comes from.
 */
import { describe, expect, it } from 'vitest';
import { accountDelta, accountEpsilon, rdpEpsilon } from './accountants.ts';
import { calibrateNoise } from './calibration.ts';
import { parseEventList } from './event-list.ts';
import type { DpEvent } from './events.ts';
import { gaussianDelta, gaussianEpsilon, gaussianMu, tradeoffCurve } from './gaussian-dp.ts';
import { type Bracket, OneDirection } from './loss-bracket.ts';
import { discreteGaussianLaw, discreteLaw, type LossLaw, logMixture } from './loss-law.ts';
import { renyiDivergence } from './loss-moments.ts';
import { parseRational, rational, rationalToNumber } from './rational.ts';
import {
  adaptiveClipNoiseMultiplier,
  bandedSensitivitySquared,
  inverseRootCoefficients,
  treeSensitivitySquared,
} from './sensitivity.ts';
import { zcdp } from './zcdp.ts';

const events = (...list: object[]): DpEvent => ({
  type: 'composed',
  events: parseEventList(JSON.stringify(list)).map(({ event }) => event),
});
const sampled = (q: number, sigma: number, count: number) => ({
  mechanism: 'poisson_sampled_gaussian',
  q,
  sigma,
  count,
});
const expectInside = ({ low, high }: Bracket, value: number, tolerance: number): void => {
  expect(high - low).toBeLessThanOrEqual(1e-3);
  expect(low).toBeLessThanOrEqual(value + tolerance);
  expect(high).toBeGreaterThanOrEqual(value - tolerance);
};

describe('reference values (research/privacy-accounting.md §2)', () => {
  it('row 4: the exact Gaussian', () => {
    const bracket = accountEpsilon('pld', events({ mechanism: 'gaussian', sigma: '4.530877117' }), 1e-6);
    expectInside(bracket, 0.927392338, 5e-10);
    expect(bracket.high - bracket.low).toBeLessThan(1e-6);
    expect(gaussianEpsilon(1 / 4.530877117, 1e-6)).toBeCloseTo(0.927392338, 9);
  });

  it('row 7, PLD half', () =>
    expectInside(
      accountEpsilon('pld', events({ mechanism: 'gaussian', sigma: 0.7, count: 2 }), 1e-5),
      10.1224946,
      5e-8,
    ));

  it('row 8: three Gaussians of σ = √3 are 1-GDP', () => {
    const event = events({ mechanism: 'gaussian', sigma2: 3, count: 3 });
    expectInside(accountDelta('pld', event, 1), 0.126936737507, 1e-11);
    expect(gaussianMu(event)).toBeCloseTo(1, 14);
    expect(gaussianDelta(1, 1)).toBeCloseTo(0.126936737507, 11);
    expect(tradeoffCurve(event, [0.1])[0]!.truePositiveRateMax).toBeCloseTo(0.38914, 5);
  });

  it('row 9', () => expectInside(accountDelta('pld', events(sampled(0.2, 0.5, 3)), 1), 0.15594, 1e-3));

  it('row 10: the smallest σ for (1, 1e-5), q = .01', () => {
    const epsilonAt = (sigma: number) => accountEpsilon('pld', events(sampled(0.01, sigma, 1)), 1e-5);
    expectInside(epsilonAt(0.67379294682), 1, 1e-9);
    expect(epsilonAt(0.675).high).toBeLessThan(1);
    expect(epsilonAt(0.6725).low).toBeGreaterThan(1);
    const { noise } = calibrateNoise((sigma) => events(sampled(0.01, sigma, 1)), {
      epsilon: 1,
      delta: 1e-5,
      accountant: 'pld',
    });
    expect(noise).toBeGreaterThan(0.67379);
    expect(noise).toBeLessThan(0.674);
  });

  it.each([
    [20, 13.55],
    [500, 70.962],
  ])('row 11: the smallest Laplace scale for (1, 1e-4), %d queries', (count, scale) => {
    const { noise } = calibrateNoise((b) => events({ mechanism: 'laplace', scale: b, count }), {
      epsilon: 1,
      delta: 1e-4,
      accountant: 'pld',
    });
    expect(Math.abs(noise - scale)).toBeLessThan(0.03);
  });

  it('row 12: Poisson Laplace at δ = 1e-14 is the sum of the largest losses', () => {
    const event = events({ mechanism: 'poisson_sampled_laplace', q: 0.2, scale: 0.5, count: 3 });
    expectInside(accountEpsilon('pld', event, 1e-14), 3 * Math.log(1 + 0.2 * (Math.exp(2) - 1)), 1e-9);
  });

  it.each([
    [0.06, 22],
    [0.1, 20],
  ])('row 13: optimal composition of 30 × (1, .001) at δ = %d', (delta, epsilon) => {
    const [e, d] = [Math.E, 0.001];
    const pair: LossLaw = {
      ...discreteLaw(
        [
          { with: ((1 - d) * e) / (1 + e), logRatio: 1 },
          { with: (1 - d) / (1 + e), logRatio: -1 },
        ],
        1,
        'remove',
        [{ mass: d, lossMax: Infinity }],
      ),
    };
    // Kairouz, Oh, Viswanath: steps of 2, the first that fits.
    const fits = (at: number) => new OneDirection([{ law: pair, count: 30 }], 0).delta(at).high <= delta;
    expect(fits(epsilon)).toBe(true);
    expect(fits(epsilon - 2)).toBe(false);
  });

  it('row 14: the exponential mechanism at ε = 1, by its worst pair of two outcomes', () => {
    // A bounded range: losses t and t − ε (arXiv 1909.13830). The library has no such event, its loss laws take the pair.
    const divergence = (order: number, top: number): number => {
      const mass = (Math.exp(1 - top) - 1) / (Math.exp(1 - top) - Math.exp(-top));
      const outcomes = [
        { with: mass, logRatio: top },
        { with: 1 - mass, logRatio: top - 1 },
      ];
      return renyiDivergence(discreteLaw(outcomes, 1, 'remove'), order);
    };
    const worst = (order: number): number => {
      let most = 0;
      for (let top = 1e-4; top < 1; top += 1e-4) most = Math.max(most, divergence(order, top));
      return most;
    };
    // The closed form at order 1: ε/(e^ε − 1) − 1 − ln(ε/(e^ε − 1)).
    expect(worst(1 + 1e-6)).toBeCloseTo(0.123301561, 6);
    expect(worst(1000)).toBeGreaterThan(0.98);
    expect(worst(1000)).toBeLessThanOrEqual(1);
  });

  it('row 15: the discrete Gaussian at σ = 1, cut off beyond ±1', () => {
    const { atoms } = discreteGaussianLaw(1, 1, 1, 'remove');
    const massAt = (loss: number) => atoms.find((atom) => Math.abs(atom.loss - loss) < 1e-12)!.mass;
    // Of three outcomes the last is beyond what the other law reaches when it is cut off.
    const [low, high, beyond] = [massAt(-0.5), massAt(0.5), massAt(1.5)];
    const kept = low + high + beyond;
    expect(high / kept).toBeCloseTo(0.45186276, 8);
    expect(low / kept).toBeCloseTo(0.27406862, 8);
    expect(beyond / kept).toBeCloseTo(0.27406862, 8);
  });

  it('row 16: δ(1) at σ² = 4, discrete and continuous', () => {
    expectInside(
      accountDelta('pld', events({ mechanism: 'discrete_gaussian', sigma2: '4' }), 1),
      0.0072487768,
      1e-10,
    );
    expectInside(accountDelta('pld', events({ mechanism: 'gaussian', sigma2: 4 }), 1), 0.006829595, 1e-10);
    const direct = discreteGaussianLaw(4, 1, 1, 'remove').atoms.reduce(
      (sum, { mass, loss }) => sum + mass * Math.max(0, -Math.expm1(1 - loss)),
      0,
    );
    expect(direct).toBeCloseTo(0.0072487768, 10);
  });

  it('row 20: Skellam noise costs what a Gaussian of its variance does, within the published bound', () => {
    // Not an event of ours: it wins nothing over the discrete Gaussian (docs/adr/0035). Its law passes through the same code.
    const poisson = Array.from({ length: 301 }, () => 0);
    poisson[0] = Math.exp(-50);
    for (let k = 1; k < poisson.length; k++) poisson[k] = (poisson[k - 1]! * 50) / k;
    const skellam = (x: number): number =>
      poisson.reduce((sum, mass, k) => sum + mass * (poisson[k - x] ?? 0), 0);
    const outcomes = Array.from({ length: 161 }, (_, i) => i - 80).map((x) => ({
      with: skellam(x - 1),
      logRatio: Math.log(skellam(x - 1) / skellam(x)),
    }));
    const exact = renyiDivergence(discreteLaw(outcomes, 1, 'remove'), 2);
    // No noise of this variance costs less (Hammersley, Chapman, Robbins).
    expect(exact).toBeGreaterThan(Math.log(1.01));
    expect(exact).toBeCloseTo(0.01, 5);
    expect(exact).toBeLessThanOrEqual(0.010225);
  });

  it('row 21: Gboard', () => {
    const gboard = events({
      mechanism: 'tree_aggregation',
      sigma: 7,
      steps: 2000,
      participations: 6,
      // 313 steps lie between two participations.
      separation: 314,
    });
    expect(zcdp(gboard)).toBeCloseTo(79 / 98, 12);
    expect(rdpEpsilon(gboard, 1e-10).epsilon).toBeCloseTo(8.9, 2);
    expectInside(accountEpsilon('pld', gboard, 1e-10), 8.526, 5e-4);
  });

  it.each([
    [1, 7, 8, 4],
    [3, 3, 9, 11],
    [3, 2, 7, 9],
    [6, 313, 2000, 79],
  ])('row 22: tree sensitivity² (%d, %d, %d)', (participationsMax, between, steps, squared) =>
    expect(treeSensitivitySquared({ participationsMax, separationMin: between + 1, steps })).toBe(squared),
  );

  it.each([
    ['1.13', 18.7096],
    ['8.83', 1.77319],
  ])('row 23: single-epoch tree of 1600 steps, σ = %s', (sigma, epsilon) => {
    const tree = events({ mechanism: 'tree_aggregation', sigma, steps: 1600 });
    // dp_accounting minimises over a coarser set of orders.
    const exact = rdpEpsilon(tree, 1e-6).epsilon;
    expect(exact).toBeLessThanOrEqual(epsilon + 1e-4);
    expect(exact).toBeGreaterThan(epsilon - 2e-2);
  });

  it('row 24: banded factorisation and the coefficients of the inverse root', () => {
    const raw = [1, 1, 1, 1].map(() => rational(1n, 2n));
    const squared = (participationsMax: number) =>
      rationalToNumber(
        bandedSensitivitySquared({ steps: 32, participationsMax, separationMin: 4, coefficients: raw }),
      );
    expect(squared(32)).toBe(8);
    expect(squared(6)).toBe(6);
    expect(inverseRootCoefficients(5)).toEqual(['1', '-1/2', '-1/8', '-1/16', '-5/128'].map(parseRational));
  });

  it('row 27: the share of an adaptive clip', () => {
    expect(adaptiveClipNoiseMultiplier(1, 1)).toBeCloseTo(1.1547005384, 10);
    expect(adaptiveClipNoiseMultiplier(1, 5)).toBeCloseTo(1.0050378153, 10);
    const split = events(
      { mechanism: 'clip_quantile', sigma: 5 },
      { mechanism: 'gaussian', sigma: adaptiveClipNoiseMultiplier(1, 5) },
    );
    expect(gaussianMu(split)).toBeCloseTo(1, 12);
  });

  it('row 31: n = 10000, b = 64, σ = 2 on microbatches (a record moves two of them: σ = 1), 5 epochs', () => {
    const steps = Math.ceil((5 * 10_000) / 64);
    expect(rdpEpsilon(events(sampled(0.0064, 1, steps)), 1e-6).epsilon).toBeCloseTo(1.616, 2);
  });

  it('row 32: 128 × PSG(.016, 1), add-remove, replace-one and without replacement', () => {
    expectInside(accountEpsilon('pld', events(sampled(0.016, 1, 128)), 1e-6), 1.55655, 2e-4);
    // Replace-one against the pair that dp_accounting takes; no theorem makes it an event of ours.
    const q = 0.016;
    const weight = (x: number) => logMixture(q, x - 0.5);
    const pair: LossLaw = {
      atoms: [],
      pieces: [
        {
          low: -16.5,
          high: 17.5,
          stepMax: 0.25,
          logDensity: (x) => weight(x) - (x * x) / 2 - Math.log(2 * Math.PI) / 2,
          loss: (x) => weight(x) - weight(-x),
        },
      ],
      tails: [{ mass: 1e-60, lossMax: Infinity }],
      lossMax: Infinity,
      lossMaxMass: 0,
    };
    expectInside(new OneDirection([{ law: pair, count: 128 }], 0).epsilon(1e-6), 1.93877, 2e-4);
    // Wang, Balle, Kasiviswanathan 2019 give RDP 2.64610; the divergence of the dominating pair itself is smaller.
    const fixed = events({ mechanism: 'fixed_size_sampled_gaussian', n: 1000, b: 16, sigma: 1, count: 128 });
    const { epsilon } = rdpEpsilon(fixed, 1e-6);
    expect(epsilon).toBeLessThan(2.6461);
    expect(accountEpsilon('pld', fixed, 1e-6).high).toBeLessThan(epsilon);
  });
});
