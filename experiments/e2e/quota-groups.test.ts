// Quotas and groups in one plan are refused: what partitions may use up of δ is outside of what a shared filter bounds.
import { expect, it } from 'vitest';
import { createFilter } from '../../crypto/dp/filter.ts';
import { finishPlan } from '../../protos/plan.ts';
import { accountingDelta, partitionDelta } from '../../protos/plan-groups.ts';
import { accountPlan } from '../../protos/plan-mechanism.ts';
import { planBudgetTerms } from '../../protos/plan-quota.ts';
import { testPlan } from '../canary/testing-plans.ts';

const grouped = testPlan({
  unit: 'person',
  cohortMin: 36,
  gamma: '1/12',
  groups: { count: 4, combine: 'median' },
});
const quota = { family: 'heart', share: '1/2', total: { epsilon: '8', delta: '0.00001', order: 'zcdp' } };

it('refuses a plan with both, and says what to do', () => {
  const { plan } = grouped;
  expect(() => finishPlan({ ...plan, privacy: { ...plan.privacy, quota } })).toThrow(
    expect.objectContaining({
      code: 'PLAN_INVALID',
      message: expect.stringMatching(/quota: .*epoch of its own, without a quota/),
    }),
  );
  const alone = testPlan({ unit: 'person' }).plan;
  expect(finishPlan({ ...alone, privacy: { ...alone.privacy, quota } }).plan.privacy?.quota).toBeDefined();
});

it("because a filter opened at the total's δ leaves partitions none of it", () => {
  const { delta } = quota.total;
  const { filter } = planBudgetTerms(grouped, accountPlan(grouped)!);
  // Alone, the filter of a plan with groups stops at what converts at 99/100 of δ, and partitions have the rest.
  expect(filter.delta).toBe(accountingDelta(grouped));
  expect(accountingDelta(grouped) + partitionDelta(grouped)).toBeCloseTo(
    Number(grouped.plan.privacy!.delta),
    15,
  );
  // Opened by another plan at all of δ_T it would let through more, and two plans' partitions come on top.
  const [shared, own] = [Number(delta), accountingDelta(grouped)].map(
    (at) => createFilter(8, at, 'zcdp').limit,
  );
  expect(shared!).toBeGreaterThan(own!);
  expect(Number(delta) + 2 * partitionDelta(grouped)).toBeGreaterThan(Number(delta));
});
