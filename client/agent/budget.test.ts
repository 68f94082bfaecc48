import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { zcdpToEpsilon } from '../../crypto/dp/conversion.ts';
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

  it('pays for the partitions of plans with groups out of its δ, plan by plan', () => {
    const groupedPlan = (name: string): ParsedPlan => {
      coordinator.replacePlan({
        name,
        rounds: { ...person.plan.rounds, cohortMin: 12, cohortTarget: 12, cohortMax: 12 },
        privacy: { ...person.plan.privacy, gamma: '0', epsilon: '1000', delta: '0.0001' },
        aggregation: { transport: 'shares', groups: { count: 3, combine: 'median' } },
      });
      return coordinator.parsed;
    };
    const plans = Array.from({ length: 11 }, (_, i) => groupedPlan(`grouped-${i}`));
    const [first, second] = plans as [ParsedPlan, ParsedPlan];
    const budget = new DeviceBudget({ epsilon: 10_000, delta: 1e-5 });
    budget.reserve('r1', first, 'training');
    const one = budget.report(first).epsilonSpent;
    // Above what the same amount is at the whole of δ: 1/100 of the plan's 1e-4 is gone.
    const { spent, reservations } = budget.state.person!;
    const amount = spent + Object.values(reservations).reduce((total, charge) => total + charge, 0);
    expect(one).toBeCloseTo(zcdpToEpsilon(amount, 0.9e-5).epsilon, 9);
    expect(one).toBeGreaterThan(zcdpToEpsilon(amount, 1e-5).epsilon);
    budget.reserve('r2', first, 'training');
    budget.release('r2', first);
    expect(budget.report(first).epsilonSpent).toBe(one);
    budget.reserve('r2', second, 'training');
    budget.release('r2', second);
    expect(budget.report(first).epsilonSpent).toBeCloseTo(zcdpToEpsilon(amount, 0.8e-5).epsilon, 9);
    // Nine such plans fit this δ, a tenth would leave nothing of it; what they set aside outlives a restart.
    for (const plan of plans.slice(2, 9)) {
      budget.reserve('r2', plan, 'training');
      budget.release('r2', plan);
    }
    const state = budgetStateSchema.parse(JSON.parse(JSON.stringify(budget.state)));
    const again = new DeviceBudget({ epsilon: 10_000, delta: 1e-5 }, state);
    expect(again.fits(plans[10]!, 'training')).toBe(false);
    expect(again.fits(first, 'training')).toBe(true);
    expect(again.report(first).epsilonSpent).toBe(budget.report(first).epsilonSpent);
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
