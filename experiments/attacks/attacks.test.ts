import { describe, expect, it } from 'vitest';
import { seededRandom, uniform } from '../../crypto/random.ts';
import { loadDataset } from '../datasets/index.ts';
import { poisoningPlan } from '../poisoning/plans.ts';
import { explained, inversion, ratioAttack, shadowAttack } from './inversion.ts';
import { attackAuc, score, truePositives, truePositivesBound } from './membership.ts';
import { openedUpdate, plainUpdate } from './observe.ts';

const vector = (...values: number[]) => Float64Array.from(values);

describe('inversion', () => {
  it('reads a single record exactly from a linear update, whatever its factor', () => {
    const truth = vector(0.25, -1, 0.5);
    for (const factor of [0.5, -3]) {
      const seen = vector(...[...truth, 1].map((value) => factor * value));
      expect([...ratioAttack({ seen, truth })]).toEqual([...truth]);
    }
  });

  it('fits a linear relation exactly and explains nothing of noise', () => {
    const random = seededRandom('attacks/test');
    const draw = () => 2 * uniform(random) - 1;
    const linear = Array.from({ length: 60 }, () => {
      const truth = vector(draw(), draw());
      return { truth, seen: vector(truth[0]! + truth[1]!, truth[0]! - 2 * truth[1]!, 0.5) };
    });
    const attack = shadowAttack(linear.slice(0, 30));
    expect(explained(linear, linear.map(attack))).toBeGreaterThan(0.999);
    const noise = linear.map(({ truth }) => ({ truth, seen: vector(draw(), draw(), draw()) }));
    expect(inversion(noise.slice(0, 30), noise.slice(30)).explained).toBeLessThan(0.3);
  });

  it('guessing the mean explains nothing', () => {
    const sightings = [1, 2, 3].map((value) => ({ truth: vector(value), seen: vector(0, 0) }));
    expect(
      explained(
        sightings,
        sightings.map(() => vector(2)),
      ),
    ).toBe(0);
  });
});

describe('membership', () => {
  it('scores in lengths of the update', () => {
    expect(score(vector(2, 4), vector(1, 2))).toBe(2);
    expect(score(vector(1, 1), vector(0, 0))).toBe(0);
  });

  it('counts wins and ties by hand', () => {
    expect(attackAuc({ members: [1, 2], others: [1, 0] })).toBe((0.5 + 1 + 1 + 1) / 4);
    const scores = { members: [5, 3, 1], others: [4, 2, 0, 0] };
    expect(truePositives(scores, 0.25)).toBe(2 / 3);
    expect(truePositives(scores, 0)).toBe(1 / 3);
  });

  it('bounds true positives by the stated privacy', () => {
    expect(truePositivesBound(0, 0, 0.01)).toBe(0.01);
    expect(truePositivesBound(100, 0, 0.01)).toBe(1);
  });
});

describe('what is seen', async () => {
  const dataset = await loadDataset('synthetic-band', { syntheticRows: 200 });

  it('is the sum of plain updates where there is no noise', async () => {
    const parsed = poisoningPlan(dataset, { clients: 5, rule: 'fedavg', groups: 1, epsilon: null });
    const observation = { parsed, dataset, random: seededRandom('attacks/sum') };
    const rows = [3, 14, 15, 92, 65];
    const seen = await openedUpdate(observation, rows);
    const sum = new Float64Array(seen.length);
    for (const row of rows)
      (await plainUpdate(observation, row)).forEach((value, i) => {
        sum[i] = sum[i]! + value;
      });
    seen.forEach((value, i) => {
      expect(value).toBeCloseTo(sum[i]!, 3);
    });
  });

  it('is not with noise', async () => {
    const parsed = poisoningPlan(dataset, { clients: 20, rule: 'fedavg', groups: 1, epsilon: 1 });
    const observation = { parsed, dataset, random: seededRandom('attacks/noise') };
    const rows = Array.from({ length: 20 }, (_, i) => i);
    const [a, b] = [await openedUpdate(observation, rows), await openedUpdate(observation, rows)];
    const apart = Math.hypot(...a.map((value, i) => value - b[i]!));
    expect(apart).toBeGreaterThan(1);
  });
});
