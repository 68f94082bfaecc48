// Goal: a plan with groups is refused where nobody should run it, sizes everything by the smallest or largest group, and
// pays for the partitions; a plan without them is what it was.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex } from '../crypto/bytes.ts';
import { chargeOf } from '../crypto/dp/filter.ts';
import { groupNoiseShares } from '../crypto/dp/group-shares.ts';
import { roundEvent } from '../crypto/dp/plan-accounting.ts';
import { formatRational, parseRational } from '../crypto/dp/rational.ts';
import {
  committeeKeyCount,
  finishPlan,
  groupSizeMax,
  groupSizeMin,
  groupsOf,
  groupTermsOf,
  type ParsedPlan,
} from './plan.ts';
import { accountingDelta, normFactorOf, partitionDelta, partitionFailure, trimOf } from './plan-groups.ts';
import { accountPlan, mechanismOf, realisedCharge, roundMechanismOf } from './plan-mechanism.ts';
import { schemeOf, schemeText } from './plan-scheme.ts';

const feature = (column: string) => ({ column, kind: 'number', minimum: 0, maximum: 1 });
const privacy = {
  unit: 'person',
  epsilon: '1000',
  delta: '0.00001',
  gamma: '1/20',
  noiseVariance: '10',
  evaluationNoiseVariance: '10',
};
const base = {
  version: 1,
  name: 'groups',
  purpose: 'A test of derived numbers.',
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
    cohortMin: 403,
    cohortTarget: 500,
    cohortMax: 505,
    checkInWindowMs: 1000,
    deadlineMs: 10_000,
  },
  mechanism: { clip: '2', unitsPerClip: 32, expectedBatch: '300' },
  privacy,
  evaluation: { path: 'federated', bins: 20 },
  holders: [1, 2, 3, 4].map((i) => ({
    id: `holder-${i}`,
    signingPublicKey: `${i}`.repeat(64),
    sealingPublicKey: `${i + 4}`.repeat(64),
  })),
  registrarSha256: '0'.repeat(64),
  coordinatorPublicKey: '9'.repeat(64),
};
const rounds = (cohortMin: number, cohortMax: number) => ({
  ...base.rounds,
  ...{ cohortMin, cohortTarget: cohortMin, cohortMax },
});
const planOf = (groups: object | undefined, changes: object = {}): ParsedPlan =>
  finishPlan({ ...base, aggregation: { transport: 'shares', ...(groups ? { groups } : {}) }, ...changes });
const eight = { count: 8, combine: 'median' };
const refusal = (field: string, message = '') =>
  expect.objectContaining({
    code: 'PLAN_INVALID',
    message: expect.stringMatching(new RegExp(`plan\\.${field.replaceAll('.', '\\.')}: .*${message}`)),
  });

describe('a plan without groups', () => {
  it('hashes as it did before there were any', () => {
    const parsed = planOf(undefined);
    expect(toHex(parsed.hash)).toBe('db8e81388f87c0ade4bc8bf5f40b28432155960b077fbb8f9e0133383562459b');
    expect(new TextDecoder().decode(parsed.bytes)).not.toContain('"groups":');
    expect(groupTermsOf(parsed.plan)).toBeUndefined();
    expect(groupsOf(parsed.plan, 'training')).toBe(1);
    expect(schemeOf(parsed, 'training').scheme.groups).toBe(1);
    expect(accountingDelta(parsed)).toBe(1e-5);
    expect(partitionDelta(parsed)).toBe(0);
    expect(mechanismOf(parsed, 'training', 1).clients).toBe(505);
  });
});

describe('a plan with groups', () => {
  const parsed = planOf(eight);
  const { plan } = parsed;

  it('groups training rounds, and no evaluation', () => {
    expect([groupsOf(plan, 'training'), groupsOf(plan, 'evaluation')]).toEqual([8, 1]);
    expect([groupSizeMin(plan), groupSizeMax(plan)]).toEqual([50, 64]);
    expect(mechanismOf(parsed, 'training', 1).clients).toBe(64);
    expect(mechanismOf(parsed, 'evaluation', 1).clients).toBe(505);
    expect(schemeOf(parsed, 'training').scheme).toMatchObject({ groups: 8, slotCount: 3, shortCount: 4 });
    expect(schemeOf(parsed, 'evaluation').scheme).toMatchObject({ groups: 1, shortCount: 40 });
    expect(schemeText(parsed)).toMatch(/8 groups/);
    expect(schemeText(planOf(undefined))).not.toMatch(/groups/);
  });

  it('counts the noise of the smallest group, and that of the cohort in evaluations', () => {
    const failure = 1e-5 / 100 / committeeKeyCount(plan);
    expect(committeeKeyCount(plan)).toBe(5);
    expect(partitionFailure(plan)).toBeCloseTo(failure, 20);
    const gamma = parseRational('1/20');
    for (const [cohort, size] of [
      [403, 50],
      [407, 50],
      [408, 51],
      [505, 63],
    ] as const) {
      const shares = groupNoiseShares({ gamma, cohortMin: 403, size, failure });
      expect(roundMechanismOf(parsed, 'training', cohort)!.noiseShares).toBe(shares);
      expect(shares).toBeLessThan(size);
    }
    expect(roundMechanismOf(parsed, 'evaluation', 403)!.noiseShares).toBe(382);
  });

  it('never charges more than was reserved, nor more for a larger cohort than for a smaller one allows', () => {
    const account = accountPlan(parsed)!;
    fc.assert(
      fc.property(fc.integer({ min: 403, max: 505 }), (cohort) => {
        expect(realisedCharge(parsed, 'training', cohort, account.order)).toBeLessThanOrEqual(
          account.charge.training,
        );
      }),
    );
    expect(account.charge.training).toBe(
      chargeOf(roundEvent(roundMechanismOf(parsed, 'training', 403)!), account.order),
    );
  });

  it('costs more than one sum of the same cohort, and converts at 99/100 of δ', () => {
    const account = accountPlan(parsed)!;
    const one = accountPlan(planOf(undefined))!;
    expect(account.delta).toBe(accountingDelta(parsed));
    expect(account.delta).toBeCloseTo(0.99e-5, 18);
    expect(account.delta + partitionDelta(parsed)).toBeCloseTo(1e-5, 18);
    expect(partitionFailure(plan) * committeeKeyCount(plan)).toBeLessThanOrEqual(
      partitionDelta(parsed) * (1 + 1e-12),
    );
    expect(one.delta).toBe(1e-5);
    expect(account.charge.training).toBeGreaterThan(5 * one.charge.training);
    expect(account.charge.evaluation).toBe(one.charge.evaluation);
    expect(() => accountPlan(planOf(eight, { privacy: { ...privacy, epsilon: '1' } }))).toThrow(
      expect.objectContaining({ code: 'BUDGET_EXCEEDED' }),
    );
  });

  it('says how groups are combined', () => {
    expect(formatRational(trimOf(groupTermsOf(planOf({ count: 8, combine: 'trimmed-mean' }).plan)!))).toBe(
      '1/4',
    );
    const trimmed = planOf({ count: 8, combine: 'trimmed-mean', trim: '1/8' });
    expect(formatRational(trimOf(groupTermsOf(trimmed.plan)!))).toBe('1/8');
    expect(
      formatRational(normFactorOf(groupTermsOf(planOf({ count: 8, combine: 'norm-filter' }).plan)!)),
    ).toBe('2');
    const filtered = planOf({ count: 8, combine: 'norm-filter', normFactor: '1' });
    expect(formatRational(normFactorOf(groupTermsOf(filtered.plan)!))).toBe('1');
    expect(planOf({ count: 8, combine: 'mean' }).hashHex).not.toBe(parsed.hashHex);
  });

  it('works without differential privacy, from groups of two', () => {
    const bare = {
      privacy: null,
      rounds: { ...rounds(16, 16), evaluation: 0 },
      evaluation: { path: 'none' },
    };
    expect(schemeOf(planOf(eight, bare), 'training').scheme.groups).toBe(8);
    const less = { ...bare, rounds: { ...bare.rounds, cohortMin: 15 } };
    expect(() => planOf(eight, less)).toThrow(refusal('aggregation.groups.count', 'at least 2'));
  });
});

describe('is refused: a plan with', () => {
  const groups = 'aggregation.groups';
  it.each<[string, object, object, string, string]>([
    ['two groups', { ...eight, count: 2 }, {}, `${groups}.count`, ''],
    ['65 groups', { ...eight, count: 65 }, {}, `${groups}.count`, ''],
    ['a half group', { ...eight, count: 3.5 }, {}, `${groups}.count`, ''],
    ['another rule', { count: 8, combine: 'bulyan' }, {}, `${groups}.combine`, ''],
    ['no rule', { count: 8 }, {}, `${groups}.combine`, ''],
    ['an unknown field', { ...eight, seed: 1 }, {}, groups, ''],
    [
      'a trim of half',
      { count: 8, combine: 'trimmed-mean', trim: '1/2' },
      {},
      `${groups}.trim`,
      'less than 1/2',
    ],
    [
      'a trim of nothing',
      { count: 8, combine: 'trimmed-mean', trim: '0' },
      {},
      `${groups}.trim`,
      'more than 0',
    ],
    ['a trim of the median', { ...eight, trim: '1/4' }, {}, `${groups}.trim`, 'trims nothing'],
    [
      'a small factor',
      { count: 8, combine: 'norm-filter', normFactor: '1/2' },
      {},
      `${groups}.normFactor`,
      'at least 1',
    ],
    [
      'a factor of the mean',
      { count: 8, combine: 'mean', normFactor: '2' },
      {},
      `${groups}.normFactor`,
      'filters',
    ],
    ['transport bfv', eight, { aggregation: { transport: 'bfv', groups: eight } }, 'aggregation', ''],
    [
      'unit record',
      eight,
      { privacy: { ...privacy, unit: 'record' }, mechanism: { ...base.mechanism, recordsMax: 100_000 } },
      groups,
      'unit person',
    ],
    ['groups of one', eight, { rounds: rounds(15, 15) }, `${groups}.count`, 'at least 2'],
    [
      'hardly an honest device per group',
      eight,
      { rounds: rounds(40, 40) },
      `${groups}.count`,
      'honest noise share',
    ],
    [
      'nine of ten corrupt',
      eight,
      { privacy: { ...privacy, gamma: '9/10' } },
      `${groups}.count`,
      'gamma 9/10',
    ],
  ])('%s', (_name, terms, changes, field, message) => {
    expect(() => planOf(terms, changes)).toThrow(refusal(field, message));
  });
});
