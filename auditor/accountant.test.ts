import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { zcdpToEpsilon } from '../crypto/dp/conversion.ts';
import { roundEvent } from '../crypto/dp/plan-accounting.ts';
import { rational } from '../crypto/dp/rational.ts';
import { rdp } from '../crypto/dp/rdp.ts';
import { zcdp } from '../crypto/dp/zcdp.ts';
import { chargeOf, epsilonOf, tau } from './accountant.ts';
import { real } from './numbers.ts';
import { honestShares, normBoundSquared, squareRoot } from './plan-terms.ts';

const relative = (a: number, b: number): number =>
  Math.abs(a - b) / Math.max(Math.abs(a), Math.abs(b), 1e-300);
const gaussian = (sigma: number, samplingRate: number) => ({
  sensitivitySquared: 1,
  shareVariance: sigma * sigma,
  shares: 1,
  dimension: 1,
  samplingRate,
});

describe('published values (research/privacy-accounting.md §2)', () => {
  it.each([
    [5, 2.18075656e-3],
    [50, 2.38460375e-2],
    [100, 167.416308],
  ])('row 1: Poisson Gaussian q=.01 σ=2.5 ×50 at order %i', (order, expected) => {
    expect(relative(50 * chargeOf(gaussian(2.5, 0.01), order), expected)).toBeLessThan(1e-8);
  });
  it('row 3: RDP 1.1 at order 32, δ = 1e-5', () => {
    expect(epsilonOf(1.1, 32, 1e-5)).toBeCloseTo(1.32783806176, 10);
  });
  it('row 5: n=60000 b=150 σ=1.3, 15 epochs', () => {
    const steps = 15 * 400;
    expect(epsilonOf(steps * chargeOf(gaussian(1.3, 150 / 60000), 19), 19, 1e-5)).toBeCloseTo(
      0.7242234026,
      9,
    );
  });
  it('row 17: ρ = .025 at δ = 1e-6', () => {
    expect(epsilonOf(0.025, 'zcdp', 1e-6)).toBeCloseTo(1.0140742547, 9);
  });
  it.each([
    [100, 1, 5.477887e-4],
    [100, 4, 7.157e-17],
    [1000, 0.49, 0.772781],
  ])('row 18: τ of %i shares with variance %f', (shares, variance, expected) => {
    expect(relative(tau(variance, shares), expected)).toBeLessThan(1e-4);
  });
  it('row 19: β = e^(−1/2), c/γ = 100, d = 1024', () => {
    // Row 19 is the norm for the exact √(2 ln 1/β) = 1; ours floors its square.
    expect(Math.sqrt(Number(normBoundSquared(100, 1024)))).toBeCloseTo(101.843016, 2);
  });
});

it('has no bound for several shares of a variance below 1/4', () => {
  const terms = { sensitivitySquared: 4, shareVariance: 0.25, shares: 3, dimension: 3, samplingRate: 1 };
  for (const order of ['zcdp', 8] as const) {
    expect(chargeOf(terms, order)).toBeLessThan(Infinity);
    expect(chargeOf({ ...terms, shareVariance: 0.2499 }, order)).toBe(Infinity);
    expect(chargeOf({ ...terms, shareVariance: 0.2499, shares: 1 }, order)).toBeLessThan(Infinity);
  }
});

describe('against crypto/dp, which the audited side used', () => {
  const mechanism = fc.record({
    sensitivity: fc.integer({ min: 1, max: 5_000 }),
    variance: fc.integer({ min: 1, max: 100_000 }),
    shares: fc.integer({ min: 1, max: 50 }),
    dimension: fc.integer({ min: 1, max: 500 }),
    rate: fc.integer({ min: 1, max: 100 }),
  });
  it('RDP, zCDP and ε are equal', () => {
    fc.assert(
      fc.property(mechanism, fc.integer({ min: 2, max: 64 }), (m, order) => {
        const event = roundEvent({
          unit: 'record',
          sensitivitySquared: BigInt(m.sensitivity),
          noiseVariance: rational(m.variance),
          noiseShares: m.shares,
          samplingRate: rational(m.rate, 100),
          dimension: m.dimension,
        });
        const terms = {
          sensitivitySquared: m.sensitivity,
          shareVariance: m.variance,
          shares: m.shares,
          dimension: m.dimension,
          samplingRate: m.rate / 100,
        };
        const mine = chargeOf(terms, order);
        // The binomial sum is 1 + the moment, so tiny values keep an absolute error of about 1e-15.
        expect(Math.abs(mine - rdp(event, order))).toBeLessThan(1e-14 + 1e-9 * mine);
        if (m.rate < 100) {
          expect(chargeOf(terms, 'zcdp')).toBe(Number.POSITIVE_INFINITY);
          return;
        }
        const rho = chargeOf(terms, 'zcdp');
        expect(relative(rho, zcdp(event))).toBeLessThan(1e-12);
        if (rho < 100)
          expect(relative(epsilonOf(rho, 'zcdp', 1e-5), zcdpToEpsilon(rho, 1e-5).epsilon)).toBeLessThan(1e-9);
      }),
      { numRuns: 150 },
    );
  });
  it('has no bound where there is none, and nothing costs nothing', () => {
    expect(chargeOf(gaussian(1, 0.1), 2.5)).toBe(Number.POSITIVE_INFINITY);
    expect(chargeOf(gaussian(1, 0), 8)).toBe(0);
    expect(epsilonOf(0, 'zcdp', 1e-5)).toBe(0);
    expect(epsilonOf(0, 8, 1e-5)).toBe(0);
  });
});

describe('terms of a plan', () => {
  it('integer square roots, honest shares and reals are exact', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 1n << 120n }), (n) => {
        const root = squareRoot(n);
        expect(root * root <= n && (root + 1n) * (root + 1n) > n).toBe(true);
      }),
    );
    expect([
      honestShares('1/3', 3),
      honestShares('0.34', 3),
      honestShares('0', 7),
      honestShares('1/3', 200),
    ]).toEqual([2, 1, 7, 133]);
    expect([real('1/4'), real('0.25'), real('3'), real('Infinity')]).toEqual([
      0.25,
      0.25,
      3,
      Number.POSITIVE_INFINITY,
    ]);
  });
});
