/**
 * Goal: the report's tight ε lies above the certified bracket of crypto/dp's own account, close to it, and below what
 * the gate adds up.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { roundEvent } from '../crypto/dp/plan-accounting.ts';
import { pldEpsilon } from '../crypto/dp/pld.ts';
import { rational } from '../crypto/dp/rational.ts';
import { chargeOf, epsilonOf } from './accountant.ts';
import { addTight, NOTHING, tightAmountOf, tightEpsilon } from './tight-account.ts';

it('agrees with the other account and stays below the sum that gates', () => {
  const parameters = fc.record({
    units: fc.integer({ min: 64, max: 4096 }),
    multiplier: fc.double({ min: 0.5, max: 8, noNaN: true }),
    shares: fc.integer({ min: 1, max: 2000 }),
    dimension: fc.integer({ min: 1, max: 5000 }),
    rounds: fc.integer({ min: 1, max: 60 }),
  });
  let ratio = 0;
  fc.assert(
    fc.property(parameters, ({ units, multiplier, shares, dimension, rounds }) => {
      const shareVariance = Math.max(2, Math.round(((units * multiplier) ** 2 / shares) * 1024) / 1024);
      const terms = { sensitivitySquared: units ** 2, shareVariance, shares, dimension, samplingRate: 1 };
      const round = tightAmountOf({ terms: [terms] })!;
      const total = Array.from({ length: rounds }, () => round).reduce(addTight, NOTHING);
      const event = roundEvent({
        unit: 'person',
        sensitivitySquared: BigInt(units) ** 2n,
        noiseVariance: rational(Math.round(shareVariance * 1024), 1024n),
        noiseShares: shares,
        samplingRate: rational(1),
        dimension,
      });
      const { low, high } = pldEpsilon({ type: 'self_composed', event, count: rounds }, 1e-6);
      const epsilon = tightEpsilon(total, 1e-6);
      expect(epsilon).toBeGreaterThanOrEqual(low);
      if (high < 20) expect(epsilon).toBeLessThan(high * 1.02 + 1e-3);
      const gate = epsilonOf(chargeOf(terms, 'zcdp') * rounds, 'zcdp', 1e-6);
      expect(epsilon).toBeLessThan(gate * 1.001);
      ratio = Math.max(ratio, gate / epsilon);
    }),
    { numRuns: 20 },
  );
  expect(ratio).toBeGreaterThan(1.05);
});

it('knows no bound for sampled rounds and for noise of about a unit, and takes the better of two', () => {
  const terms = { sensitivitySquared: 10_000, shareVariance: 900, shares: 8, dimension: 10, samplingRate: 1 };
  expect(tightAmountOf({ terms: [{ ...terms, samplingRate: 0.5 }] })).toBeUndefined();
  expect(tightAmountOf({ terms: [{ ...terms, shareVariance: 1, shares: 1 }] })).toBeUndefined();
  expect(tightAmountOf({ terms: [{ ...terms, shareVariance: 0.2 }] })).toBeUndefined();
  const [few, many] = [tightAmountOf({ terms: [terms] })!, { ...terms, shares: 16 }];
  expect(tightAmountOf({ terms: [terms, many] })!.squared).toBeLessThan(few.squared * 0.51);
  expect(tightEpsilon(NOTHING, 1e-6)).toBe(0);
});
