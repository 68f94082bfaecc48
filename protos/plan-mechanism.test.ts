import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chargeOf } from '../crypto/dp/filter.ts';
import { roundEvent } from '../crypto/dp/plan-accounting.ts';
import { finishPlan, type ParsedPlan } from './plan.ts';
import { accountPlan, realisedCharge, roundMechanismOf, vectorLength } from './plan-mechanism.ts';
import { digitCountOf, layoutOf, schemeOf } from './plan-scheme.ts';

const feature = (column: string) => ({ column, kind: 'number', minimum: 0, maximum: 1 });
const person = {
  unit: 'person',
  epsilon: '1000',
  delta: '0.00001',
  gamma: '1/10',
  noiseVariance: '10',
  evaluationNoiseVariance: '10',
};
const record = { ...person, unit: 'record', gamma: '1/3', samplingRate: '1/2' };
const base = {
  version: 1,
  name: 'capacity',
  purpose: 'A test of derived numbers.',
  aggregation: { transport: 'bfv' },
  suite: 'intl',
  seed: '1',
  features: {
    dataset: 'test',
    label: { column: 'event', positive: { above: 0 } },
    features: [feature('a'), feature('b')],
    complete: true,
  },
  model: { kind: 'lr', inputs: 2, hidden: [], activation: 'relu' },
  training: { strategy: 'fedavg', epochs: 1, batchSize: 8, learningRate: 0.1 },
  rounds: {
    training: 2,
    evaluation: 1,
    cohortMin: 200,
    cohortTarget: 300,
    cohortMax: 300,
    checkInWindowMs: 1000,
    deadlineMs: 10_000,
  },
  eligibility: { recordsMin: 1, recordsMax: 400 },
  mechanism: { clip: '2', unitsPerClip: 32, expectedBatch: '300', recordsMax: 400 },
  privacy: person,
  evaluation: { path: 'federated', bins: 20 },
  holders: [1, 2, 3, 4].map((i) => ({
    id: `holder-${i}`,
    signingPublicKey: `${i}`.repeat(64),
    sealingPublicKey: `${i + 4}`.repeat(64),
  })),
  registrarSha256: '0'.repeat(64),
  coordinatorPublicKey: '9'.repeat(64),
};
const planOf = (changes: object): ParsedPlan => finishPlan({ ...base, ...changes });
const hospitals = { ...base.rounds, cohortMin: 3, cohortTarget: 4, cohortMax: 4 };
const refusal = (field: string) =>
  expect.objectContaining({ code: 'PLAN_INVALID', message: expect.stringContaining(`plan.${field}:`) });

describe('a noised plan', () => {
  it.each([
    ['person', {}],
    ['record', { privacy: record, rounds: hospitals }],
  ])('opens one coefficient per entry, unit %s', (_unit, changes) => {
    const parsed = planOf(changes);
    for (const kind of ['training', 'evaluation'] as const) {
      expect(layoutOf(parsed, kind)).toMatchObject({ digitBits: 15, digitCount: 1 });
      expect(digitCountOf(parsed, kind)).toBe(vectorLength(parsed.plan, kind));
    }
    expect(layoutOf(planOf({ ...changes, privacy: null }), 'training').digitCount).toBeGreaterThan(0);
  });

  it('takes wider slots of the long cipher where its sums would leave the 15 bits of bfv', () => {
    const withUnits = (unitsPerClip: number, changes: object = {}) =>
      planOf({ ...changes, mechanism: { ...base.mechanism, unitsPerClip } });
    const record4 = { privacy: record, rounds: hospitals };
    const narrow = schemeOf(withUnits(48, record4), 'training'); // 300 · 48 + 12 · ~7
    expect(narrow).toMatchObject({ layout: { modulusBits: 15 }, scheme: { long: null } });
    const wide = schemeOf(withUnits(64, record4), 'training');
    expect(wide).toMatchObject({ layout: { modulusBits: 16 }, scheme: { long: { slotBits: 16 } } });
    // Without noise there are as many digits as it takes.
    expect(layoutOf(finishPlan({ ...base, privacy: null }), 'training').digitCount).toBeGreaterThan(1);
  });

  it('is refused, naming the field, when no slot of 32 bits holds its sums', () => {
    const huge = { ...person, noiseVariance: '4000000000000000' };
    expect(() => planOf({ privacy: huge })).toThrow(refusal('mechanism.unitsPerClip'));
    const cells = { ...person, evaluationNoiseVariance: '4000000000000000' };
    expect(() => planOf({ privacy: cells })).toThrow(refusal('rounds.evaluation'));
  });

  it('under shares takes words of 16 bits, and 32 where they are too narrow', () => {
    const aggregation = { transport: 'shares' };
    const of = (changes: object) => schemeOf(planOf({ aggregation, ...changes }), 'training').scheme;
    expect(of({})).toMatchObject({ long: null, wordBits: 16 });
    expect(of({ privacy: { ...person, noiseVariance: '40000000' } })).toMatchObject({
      long: null,
      wordBits: 32,
    });
  });

  it('is refused when a table could be cut, a sum has no proof, or δ is no small number', () => {
    const changed = (terms: object) => () => planOf({ privacy: { ...person, ...terms } });
    expect(changed({ delta: '0.1' })).toThrow(refusal('privacy.delta'));
    expect(changed({ delta: '0' })).toThrow(refusal('privacy.delta'));
    expect(changed({ delta: '0.01' })).not.toThrow();
    expect(changed({ noiseVariance: '0.2499' })).toThrow(refusal('privacy.noiseVariance'));
    expect(changed({ evaluationNoiseVariance: '0' })).toThrow(refusal('privacy.evaluationNoiseVariance'));
    expect(() =>
      planOf({ privacy: record, rounds: hospitals, mechanism: { ...base.mechanism, recordsMax: 399 } }),
    ).toThrow(refusal('mechanism.recordsMax'));
  });
});

describe('the realised charge', () => {
  // σ² = 1/4: τ is far from negligible and grows with the number of shares.
  const rounds = { ...base.rounds, training: 1, evaluation: 0, cohortMin: 3, cohortMax: 2000 };
  const shaky = planOf({
    rounds,
    privacy: { ...person, gamma: '0', noiseVariance: '1/4', epsilon: '100000000' },
    mechanism: { clip: '1', unitsPerClip: 1 },
  });

  it('never passes what was reserved, for any cohort the plan allows', () => {
    const reserved = accountPlan(shaky)!;
    let formulaAbove = 0;
    fc.assert(
      fc.property(fc.integer({ min: 3, max: 2000 }), (count) => {
        const charged = realisedCharge(shaky, 'training', count, reserved.order);
        expect(charged).toBeLessThanOrEqual(reserved.charge.training);
        expect(charged).toBeGreaterThan(0);
        const formula = chargeOf(roundEvent(roundMechanismOf(shaky, 'training', count)!), reserved.order);
        if (formula > reserved.charge.training) formulaAbove++;
      }),
    );
    // The weakened rule, the formula alone, does pass it.
    expect(formulaAbove).toBeGreaterThan(0);
  });

  it('is less than the reservation where more noise shows', () => {
    const parsed = planOf({
      privacy: { ...record, epsilon: '1000000' },
      rounds: { ...hospitals, cohortMax: 9 },
    });
    const { order, charge } = accountPlan(parsed)!;
    expect(realisedCharge(parsed, 'training', 9, order)).toBeLessThan(charge.training);
    // Below cohortMin nothing is discounted.
    const small = realisedCharge(parsed, 'training', 2, order);
    expect(small).toBeGreaterThan(charge.training);
  });
});
