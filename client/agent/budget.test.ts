import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { calibrateNoiseVariance } from '../../crypto/dp/plan-accounting.ts';
import { formatRational } from '../../crypto/dp/rational.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { roundMechanismOf } from '../../protos/plan-mechanism.ts';
import { budgetStateSchema, DeviceBudget } from './budget.ts';
import { FakeCoordinator } from './testing-coordinator.ts';

const limits = { epsilon: 8, delta: 1e-5, units: ['person', 'record'] as const };
const privacy = {
  unit: 'record',
  epsilon: '3',
  delta: '0.00001',
  gamma: '1/3',
  samplingRate: '1/10',
  noiseVariance: '65536',
};
const mechanism = { clip: '1', unitsPerClip: 64, recordsMax: 100, expectedBatch: '10' };
const eligibility = { recordsMin: 1, recordsMax: 100 };
let coordinator: FakeCoordinator;
let person: ParsedPlan;
let record: ParsedPlan;
let open: ParsedPlan;

beforeAll(async () => {
  coordinator = await FakeCoordinator.create();
  person = coordinator.parsed;
  coordinator.replacePlan({ privacy, mechanism, eligibility });
  record = coordinator.parsed;
  coordinator.replacePlan({ privacy: null });
  open = coordinator.parsed;
});

/** The same plan with noise calibrated so that its rounds use up ε exactly. */
function calibrated(samplingRate: string, rounds: number): ParsedPlan {
  const plan = {
    privacy: { ...privacy, samplingRate },
    mechanism,
    eligibility,
    rounds: { ...record.plan.rounds, training: rounds },
  };
  coordinator.replacePlan(plan);
  const round = roundMechanismOf(coordinator.parsed, 'training', 3)!;
  const { noiseVariance } = calibrateNoiseVariance({ ...round, rounds, epsilon: 3, delta: 1e-5 });
  coordinator.replacePlan({
    ...plan,
    privacy: { ...plan.privacy, noiseVariance: formatRational(noiseVariance) },
  });
  return coordinator.parsed;
}

describe("the device's own budget", () => {
  it.each([
    ['without amplification (zCDP)', '1', 7],
    ['with Poisson batches (RDP)', '1/10', 25],
  ])('fits exactly the rounds that a plan of the same ε was calibrated for, %s', (_name, rate, rounds) => {
    const parsed = calibrated(rate, rounds);
    const budget = new DeviceBudget({ ...limits, epsilon: 3 });
    for (let round = 1; round <= rounds; round++) budget.reserve(`r${round}`, parsed, 'training');
    expect(budget.fits(parsed, 'training')).toBe(false);
    expect(() => budget.reserve('more', parsed, 'training')).toThrow(
      expect.objectContaining({ code: 'BUDGET_EXCEEDED' }),
    );
    const { epsilonSpent } = budget.report(parsed);
    expect(epsilonSpent).toBeLessThanOrEqual(3);
    expect(epsilonSpent).toBeGreaterThan(2.99);
  });

  it('refuses a plan without DP, which no ε limits, unless the person allows it', () => {
    const budget = new DeviceBudget({ epsilon: 1000, delta: 1e-5 });
    expect(budget.fits(open, 'training')).toBe(false);
    expect(() => budget.reserve('r1', open, 'training')).toThrow(
      expect.objectContaining({
        code: 'BUDGET_EXCEEDED',
        message: expect.stringMatching(/no differential privacy.*allowWithoutPrivacy/),
      }),
    );
    expect(budget.report(open)).toMatchObject({ unit: 'none', epsilonSpent: 0 });
    const willing = new DeviceBudget({ epsilon: 0, delta: 1e-5, allowWithoutPrivacy: true });
    expect(willing.fits(open, 'training')).toBe(true);
    willing.reserve('r1', open, 'training');
    expect(willing.state).toEqual({});
    expect(willing.report(open)).toMatchObject({ unit: 'none', epsilonSpent: Infinity });
    // Allowing that does not lift the limit on plans with DP.
    expect(willing.fits(person, 'training')).toBe(false);
  });

  it('takes part in plans of its own units only, by default of the person', () => {
    const refusal = expect.objectContaining({
      code: 'BUDGET_EXCEEDED',
      message: expect.stringMatching(/protects each record.*budget\.units/),
    });
    const phone = new DeviceBudget({ epsilon: 8, delta: 1e-5 });
    expect(phone.fits(person, 'training')).toBe(true);
    expect(phone.fits(record, 'training')).toBe(false);
    expect(() => phone.reserve('r1', record, 'training')).toThrow(refusal);
    const hospital = new DeviceBudget({ epsilon: 8, delta: 1e-5, units: ['record'] });
    expect(hospital.fits(record, 'training')).toBe(true);
    expect(hospital.fits(person, 'training')).toBe(false);
  });

  it('is not reset by another plan, another epoch or a restart', () => {
    const budget = new DeviceBudget(limits);
    budget.reserve('r1', person, 'training');
    budget.settle('r1', person, 'training', 3);
    coordinator.replacePlan({ epoch: 'another', name: 'another' });
    const again = new DeviceBudget(limits, budgetStateSchema.parse(JSON.parse(JSON.stringify(budget.state))));
    const before = again.report(coordinator.parsed).epsilonSpent;
    expect(before).toBe(budget.report(person).epsilonSpent);
    again.reserve('r1', coordinator.parsed, 'training');
    expect(again.report(coordinator.parsed).epsilonSpent).toBeGreaterThan(before);
  });

  it('keeps person and record budgets apart', () => {
    const budget = new DeviceBudget(limits);
    budget.reserve('p', person, 'training');
    expect(budget.report(record).epsilonSpent).toBe(0);
    budget.reserve('r', record, 'training');
    expect(budget.state.person!.order).toBe('zcdp');
    expect(budget.state.record!.order).toBeTypeOf('number');
  });

  it('counts what was spent against limits that the person has lowered since', () => {
    const budget = new DeviceBudget(limits);
    budget.reserve('r1', person, 'training');
    const spent = budget.report(person).epsilonSpent;
    const lower = new DeviceBudget({ epsilon: spent, delta: 1e-5 }, budget.state);
    expect(lower.fits(person, 'training')).toBe(false);
    expect(new DeviceBudget(limits, budget.state).fits(person, 'training')).toBe(true);
  });

  it('never lets reserved and spent together pass the limit, whatever happens in between', () => {
    const step = fc.record({
      act: fc.constantFrom('reserve', 'settle', 'release'),
      id: fc.integer({ min: 0, max: 9 }),
      cohort: fc.integer({ min: 3, max: 8 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const budget = new DeviceBudget({ epsilon: 3, delta: 1e-5 });
        for (const { act, id, cohort } of steps) {
          try {
            if (act === 'reserve') budget.reserve(`r${id}`, person, 'training');
            if (act === 'settle') budget.settle(`r${id}`, person, 'training', cohort);
            if (act === 'release') budget.release(`r${id}`, person);
          } catch (error) {
            expect(error).toMatchObject({ code: 'BUDGET_EXCEEDED' });
          }
          expect(budget.report(person).epsilonSpent).toBeLessThanOrEqual(3);
        }
      }),
      { numRuns: 30 },
    );
  });
});
