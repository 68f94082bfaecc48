// Which plans may have rounds that overlap, and what a late sum is worth.
import { expect, it } from 'vitest';
import { fromUtf8 } from '../crypto/bytes.ts';
import { finishPlan, type Plan } from './plan.ts';
import { lastEndedBefore, OVERLAP_MAX, overlapOf, stalenessDiscount } from './plan-overlap.ts';

const feature = (column: string) => ({ column, kind: 'number', minimum: 0, maximum: 200 });
const holder = (i: number) => ({
  id: `holder-${i}`,
  signingPublicKey: `${i}`.repeat(64),
  sealingPublicKey: `${i + 4}`.repeat(64),
});
const planOf = (overlap: number | undefined, strategy: string, training: object = {}) =>
  finishPlan({
    version: 1,
    name: 'overlap',
    purpose: 'A test.',
    suite: 'intl',
    seed: '1',
    features: {
      dataset: 'test',
      label: { column: 'event', positive: { above: 0 } },
      features: [feature('age'), feature('pulse')],
      complete: true,
    },
    model: { kind: 'lr', inputs: 2, hidden: [], activation: 'relu' },
    training: { strategy, epochs: 1, batchSize: 8, learningRate: 0.1, ...training },
    rounds: {
      training: 4,
      cohortMin: 3,
      cohortTarget: 3,
      cohortMax: 8,
      checkInWindowMs: 1000,
      deadlineMs: 10_000,
      ...(overlap === undefined ? {} : { overlap }),
    },
    mechanism: { clip: '1', unitsPerClip: 64 },
    privacy: null,
    holders: [1, 2, 3, 4].map(holder),
    registrarSha256: '0'.repeat(64),
    coordinatorPublicKey: 'a'.repeat(64),
  });

it('is 0 where a plan does not state it, and then the plan has the bytes it had', () => {
  const { plan, bytes } = planOf(undefined, 'fedavg');
  expect(overlapOf(plan)).toBe(0);
  expect(fromUtf8(bytes)).not.toContain('"overlap":');
  expect(overlapOf(planOf(2, 'fedbuff').plan)).toBe(2);
});

it('is refused where late sums would count like fresh ones, with the reason', () => {
  const cases: [string, object, RegExp][] = [
    ['fedavg', {}, /count late sums like fresh ones/],
    ['fedavgm', {}, /count late sums like fresh ones/],
    ['scaffold', { populationCount: 10 }, /one version of c/],
    ['fedadam', {}, /divides a step by its own length/],
  ];
  for (const [strategy, training, reason] of cases) {
    expect(() => planOf(1, strategy, training)).toThrow(reason);
    expect(() => planOf(1, strategy, training)).toThrow(/plan\.rounds\.overlap: .*strategy: fedbuff/);
    expect(planOf(0, strategy, training).plan.training.strategy).toBe(strategy);
  }
  expect(() => planOf(1, 'fedbuff', { proximalMu: 0.1 })).toThrow(/proximalMu: fedbuff has no proximal term/);
  for (const overlap of [-1, 1.5, OVERLAP_MAX + 1])
    expect(() => planOf(overlap, 'fedbuff')).toThrow(/overlap/);
});

it('discounts by the square root, and a fresh sum not at all', () => {
  expect([0, 3, 8].map(stalenessDiscount)).toEqual([1, 1 / 2, 1 / 3]);
  expect(stalenessDiscount(1)).toBeCloseTo(Math.SQRT1_2, 15);
});

it('leaves s rounds before a certified one open', () => {
  const rounds = (overlap?: number) => ({ rounds: { overlap } }) as unknown as Plan;
  expect([undefined, 0, 1, 3].map((overlap) => lastEndedBefore(rounds(overlap), 10))).toEqual([9, 9, 8, 6]);
});
