/** Goal: plans of one epoch under different ε share a person's filter; what one may use is fixed, and refused in words. */
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createFilter } from '../../crypto/dp/filter.ts';
import { rational } from '../../crypto/dp/rational.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { accountPlan } from '../../protos/plan-mechanism.ts';
import { planBudgetTerms, planQuotaName, shareOfLimit } from '../../protos/plan-quota.ts';
import type { EncodedRoundConfig } from '../../protos/round-config.ts';
import { BudgetLedger } from '../ledger/budget-ledger.ts';
import { AppendLog } from '../storage/append-log.ts';
import { openMemoryStore, type SqliteStore } from '../storage/sqlite-store.ts';
import { createWorld, planOf, strongPrivacy, type TestWorld } from '../testing.ts';
import { RoundBudget } from './budget.ts';
import { ROUNDS_MIGRATIONS } from './repository.ts';

const PERSON = 'a'.repeat(64);
const total = { epsilon: '12', delta: '1/100000', order: 'zcdp' };
const coded = (code: string) => expect.objectContaining({ code });

let world: TestWorld;
let store: SqliteStore;
let ledger: BudgetLedger;
let budget: RoundBudget;
beforeAll(async () => {
  world = await createWorld();
});
beforeEach(() => {
  store = openMemoryStore();
  store.migrate('rounds', ROUNDS_MIGRATIONS);
  ledger = new BudgetLedger(store);
  const log = new AppendLog(store, { origin: 'test.example/log' });
  budget = new RoundBudget({ store, ledger, log, suite: world.suite, nowMs: () => 0 });
});

const plan = (name: string, family: string | null, changes: object = {}): ParsedPlan =>
  planOf(world, {
    name,
    privacy: {
      ...strongPrivacy,
      ...(family === null ? {} : { quota: { family, share: '1/2', total } }),
      ...changes,
    },
  });
const reserve = (parsed: ParsedPlan, round: number): string | null =>
  store.transaction('test', (db) => {
    const config = { config: { round, kind: 'training' } } as EncodedRoundConfig;
    return budget.reserve(db, parsed, config, [PERSON]).get(PERSON) ?? null;
  });
/** Rounds that fit until the first refusal, and that refusal. */
function exhaust(parsed: ParsedPlan): { rounds: number; refusal: string } {
  for (let round = 1; ; round++) {
    const refusal = reserve(parsed, round);
    if (refusal !== null) return { rounds: round - 1, refusal };
  }
}

describe('plans that share an epoch', () => {
  it('under other ε terms each keep to their own, and together to the filter', () => {
    const a = plan('heart', 'heart', { epsilon: '8' });
    const b = plan('sleep', 'sleep', { epsilon: '6', noiseVariance: '8192' });
    expect(reserve(a, 1)).toBeNull();
    expect(reserve(b, 1)).toBeNull();
    const { charge } = accountPlan(a)!;
    const limit = createFilter(12, 1e-5, 'zcdp').limit;
    const own = createFilter(8, 1e-5, 'zcdp').limit;
    const fits = Math.floor(Math.min(limit / 2, own) / charge.training);
    expect(exhaust(a)).toEqual({ rounds: fits, refusal: expect.stringMatching(/^Of this privacy budget/) });
    exhaust(b);
    const balance = ledger.balance(PERSON);
    expect(balance.reserved).toBeLessThanOrEqual(limit);
    expect(balance.quotas.map(({ name }) => name)).toEqual(
      ['family:heart', 'family:sleep', planQuotaName(a.hashHex), planQuotaName(b.hashHex)].sort(),
    );
    for (const { reserved, limit: most } of balance.quotas) expect(reserved).toBeLessThanOrEqual(most);
    ledger.verify();
  });

  it('of one family share its part', () => {
    const [a, b] = [plan('heart-1', 'heart'), plan('heart-2', 'heart')];
    const { rounds } = exhaust(a);
    expect(rounds).toBeGreaterThan(0);
    expect(exhaust(b).rounds).toBe(0);
  });

  it('are refused in words where they state another total, another share or none', () => {
    expect(reserve(plan('heart', 'heart'), 1)).toBeNull();
    const other = { quota: { family: 'sleep', share: '1/2', total: { ...total, epsilon: '13' } } };
    expect(reserve(plan('sleep', null, other), 1)).toMatch(/state the same privacy.quota.total/);
    expect(reserve(plan('alone', null), 1)).toMatch(/under other terms/);
    const share = { quota: { family: 'heart', share: '1/3', total } };
    expect(reserve(plan('heart-2', null, share), 1)).toMatch(/share of family:heart .* was fixed/);
  });

  it('count at the order that all of them state', () => {
    const at = { quota: { family: 'heart', share: '1', total: { ...total, order: 12 } } };
    const parsed = plan('heart', null, at);
    expect(accountPlan(parsed)!.order).toBe(12);
    expect(reserve(parsed, 1)).toBeNull();
    expect(ledger.balance(PERSON)).toMatchObject({ order: 12, epsilonAllowed: 12 });
  });
});

describe('plans with a quota', () => {
  it('leave the hash of plans without one as it was', () => {
    expect(plan('heart', null).plan.privacy).not.toHaveProperty('quota');
    expect(planBudgetTerms(plan('heart', null), { order: 'zcdp', delta: 1e-5 })).toEqual({
      filter: { epsilon: '8', delta: '1/100000', order: 'zcdp' },
      quotas: [],
    });
  });

  it.each<[string, object]>([
    ['no share', { share: '0' }],
    ['more than the whole', { share: '3/2' }],
    ['no δ', { total: { ...total, delta: '0' } }],
    ['a large δ', { total: { ...total, delta: '1/10' } }],
    ['a fractional order', { total: { ...total, order: 1.5 } }],
    ['an unknown field', { model: 'x' }],
  ])('with %s are refused', (_name, changes) => {
    const quota = { family: 'heart', share: '1/2', total, ...changes };
    expect(() => plan('heart', null, { quota })).toThrow(coded('PLAN_INVALID'));
  });

  it('cannot be sampled under zCDP, nor cost more than their share', () => {
    const sampled = { unit: 'record', samplingRate: '1/10', quota: { family: 'heart', share: '1', total } };
    expect(() => plan('heart', null, sampled)).toThrow(coded('PLAN_INVALID'));
    const little = plan('heart', null, { quota: { family: 'heart', share: '1/1000', total } });
    expect(() => accountPlan(little)).toThrow(coded('BUDGET_EXCEEDED'));
  });

  it('get a share that is exact and rounds down', () => {
    expect(shareOfLimit(3, rational(1n, 3n))).toBe(1);
    const limit = createFilter(8, 1e-5, 'zcdp').limit;
    const steps = (amount: number) => BigInt(amount * 2 ** 40);
    expect(steps(shareOfLimit(limit, rational(1n, 7n)))).toBe(steps(limit) / 7n);
  });
});
