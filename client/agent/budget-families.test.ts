import { beforeAll, describe, expect, it } from 'vitest';
import type { ParsedPlan } from '../../protos/plan.ts';
import { budgetStateSchema, DeviceBudget } from './budget.ts';
import { FakeCoordinator } from './testing-coordinator.ts';

const coded = (code: string) => expect.objectContaining({ code });
let heart: ParsedPlan;
let heartAgain: ParsedPlan;
let sleep: ParsedPlan;
let alone: ParsedPlan;

beforeAll(async () => {
  const coordinator = await FakeCoordinator.create();
  alone = coordinator.parsed;
  const plan = (name: string, family: string, share: string) => {
    const quota = { family, share, total: { epsilon: '8', delta: '0.00001', order: 'zcdp' } };
    coordinator.replacePlan({ name, privacy: { ...alone.plan.privacy, quota } });
    return coordinator.parsed;
  };
  heart = plan('heart', 'heart', '1/4');
  heartAgain = plan('heart-2', 'heart', '1/4');
  sleep = plan('sleep', 'sleep', '3/4');
});

/** Rounds until the device refuses. */
function rounds(budget: DeviceBudget, parsed: ParsedPlan): number {
  for (let count = 0; ; count++) {
    if (!budget.fits(parsed, 'training')) {
      expect(() => budget.reserve('one more', parsed, 'training')).toThrow(coded('BUDGET_EXCEEDED'));
      return count;
    }
    budget.reserve(`${parsed.plan.name} ${count}`, parsed, 'training');
  }
}

describe('shares of the device’s own budget', () => {
  const limits = { epsilon: 30, delta: 1e-5 };

  it('a family stops at its share, its next plan has nothing left, another family goes on', () => {
    const whole = rounds(new DeviceBudget(limits), alone);
    const budget = new DeviceBudget(limits);
    const first = rounds(budget, heart);
    expect(first).toBe(Math.floor(whole / 4));
    expect(rounds(budget, heartAgain)).toBe(0);
    expect(rounds(budget, sleep)).toBeGreaterThan(2 * first);
    expect(budget.report(heart).epsilonSpent).toBeLessThanOrEqual(30);
  });

  it('an abort gives the share back, a settlement keeps what it cost, a restart forgets nothing', () => {
    const budget = new DeviceBudget(limits);
    const fits = rounds(budget, heart);
    budget.release('heart 0', heart);
    expect(budget.fits(heartAgain, 'training')).toBe(true);
    budget.reserve('again', heartAgain, 'training');
    for (let i = 1; i < fits; i++)
      budget.settle(`heart ${i}`, heart, 'training', heart.plan.rounds.cohortMin);
    const state = budgetStateSchema.parse(JSON.parse(JSON.stringify(budget.state)));
    const { spent, families, reservations } = state.person!;
    expect(families!.heart!.spent).toBe(spent);
    expect(families!.heart!.reservations).toEqual(reservations);
    expect(new DeviceBudget(limits, state).fits(heart, 'training')).toBe(false);
  });

  it('a refusal says whose share is used up', () => {
    const budget = new DeviceBudget(limits);
    rounds(budget, heart);
    expect(() => budget.reserve('x', heartAgain, 'training')).toThrow(
      /family heart have used their share \(1\/4\)/,
    );
  });
});
