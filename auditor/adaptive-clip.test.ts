/**
 * Goal: the second accountant charges a round with a clip bit what the first one does, and more than it would without.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { chargeOf as firstChargeOf } from '../crypto/dp/filter.ts';
import { roundEvent } from '../crypto/dp/plan-accounting.ts';
import { finishPlan } from '../protos/plan.ts';
import { roundMechanismOf } from '../protos/plan-mechanism.ts';
import { chargeOf } from './accountant.ts';
import { openedLength, termsOf, termsOfEvent } from './plan-terms.ts';
import { RunFixture } from './testing.ts';

const { plan } = new RunFixture({}).parsed;
const planOf = (unitsPerClip: number, inputs: number, bitUnits?: number) => {
  const adaptiveClip = { quantile: '1/2', learningRate: 0.2, bitUnits, clipMin: '1/100', clipMax: '100' };
  return finishPlan({
    ...plan,
    model: { kind: 'lr', inputs, hidden: [], activation: 'relu' },
    features: {
      ...plan.features,
      features: Array.from({ length: inputs }, (_, i) => ({
        column: `c${i}`,
        kind: 'number',
        minimum: 0,
        maximum: 1,
      })),
    },
    rounds: { ...plan.rounds, training: 1, evaluation: 0 },
    mechanism: { clip: '1', unitsPerClip, ...(bitUnits === undefined ? {} : { adaptiveClip }) },
    privacy: {
      ...plan.privacy,
      unit: 'person',
      epsilon: '1000000',
      noiseVariance: '20000',
      samplingRate: '1',
    },
  });
};

it('agrees with the first accountant on what a clip bit costs', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 64, max: 2048 }),
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 1, max: 64 }),
      (units, inputs, bit) => {
        const parsed = planOf(units, inputs, bit);
        const cohort = parsed.plan.rounds.cohortMin;
        const event = roundEvent(roundMechanismOf(parsed, 'training', cohort)!);
        const terms = termsOf(parsed.plan, 'training', cohort)!;
        const stated = termsOfEvent(JSON.parse(JSON.stringify(event, asText)));
        expect(stated).toMatchObject({
          sensitivitySquared: terms.sensitivitySquared,
          dimension: terms.dimension,
        });
        const [first, second] = [firstChargeOf(event, 'zcdp'), chargeOf(terms, 'zcdp')];
        expect(Math.abs(first / second - 1)).toBeLessThan(1e-7);
        expect(openedLength(parsed.plan, 'training')).toBe(inputs + 2);
        // An accountant that did not know of the bit would charge less.
        const without = termsOf(planOf(units, inputs).plan, 'training', cohort)!;
        expect(terms.sensitivitySquared - without.sensitivitySquared).toBe(bit * bit);
        expect(chargeOf(without, 'zcdp')).toBeLessThan(second);
      },
    ),
    { numRuns: 12 },
  );
});

/** Exact numbers as the log writes them. */
const asText = (_: string, value: unknown): unknown => {
  if (typeof value === 'bigint') return `${value}`;
  const parts = value as { numerator?: bigint; denominator?: bigint } | null;
  return parts !== null && typeof parts === 'object' && parts.denominator !== undefined
    ? `${parts.numerator}/${parts.denominator}`
    : value;
};
