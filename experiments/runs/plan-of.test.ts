/**
 * Goal: the plan of an experiment is a real plan that keeps its ε with noise for the smallest cohort, on the finest grid
 * that fits; what contradicts itself is refused before anything runs.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { accountPlan, roundMechanismOf } from '../../protos/plan-mechanism.ts';
import { loadDataset } from '../datasets/index.ts';
import type { Dataset } from '../datasets/types.ts';
import { planOf } from './plan-of.ts';
import { scenarioOf } from './scenario.ts';
import { smallExperiment } from './testing-experiment.ts';

let dataset: Dataset;
beforeAll(async () => {
  dataset = await loadDataset('synthetic-band', { syntheticRows: 400 });
});

/** Keys of nobody. */
const parties = {
  holders: ['a', 'b', 'c', 'd'].map((id, i) => ({
    id: `holder-${id}`,
    signingPublicKey: String(i + 1).repeat(64),
    sealingPublicKey: String(i + 5).repeat(64),
  })),
  registrarSha256: '0'.repeat(64),
  coordinatorPublicKey: '9'.repeat(64),
};

const phones = {
  clients: { by: 'row', count: 100 },
  split: 'index-mod-5',
  'training.batchSize': 1,
  privacy: { unit: 'person', epsilon: 2, gamma: '1/10' },
};

function planFor(overrides: Readonly<Record<string, unknown>>, seed = '0') {
  const { experiment } = smallExperiment(overrides);
  const scenario = scenarioOf(experiment, dataset, seed, 0);
  return { scenario, parsed: planOf(experiment, parties, scenario) };
}

describe('calibration', () => {
  test('the smallest cohort spends all of ε and no more', () => {
    for (const overrides of [
      {},
      phones,
      { ...phones, adaptiveClip: ADAPTIVE },
      { ...phones, groups: GROUPS },
    ]) {
      const { parsed } = planFor(overrides);
      const stated = Number(parsed.plan.privacy!.epsilon);
      const { epsilon } = accountPlan(parsed)!;
      expect(epsilon).toBeLessThanOrEqual(stated);
      expect(epsilon).toBeGreaterThan(0.999 * stated);
    }
  });

  test('a larger minimum needs less noise from each device', () => {
    const noise = (minimum: number | 'all') =>
      roundMechanismOf(planFor({ ...phones, 'cohort.minimum': minimum }).parsed, 'training', 100)!
        .noiseVariance;
    const per = ({ numerator, denominator }: { numerator: bigint; denominator: bigint }) =>
      Number(numerator) / Number(denominator);
    expect(per(noise('all')) / per(noise(50))).toBeCloseTo(45 / 90, 1);
  });

  test('the grid: the finest by default, the stated one where one is stated', () => {
    expect(planFor(phones).parsed.plan.mechanism.unitsPerClip).toBe(1024);
    const stated = { ...phones, mechanism: { clip: 2, unitsPerClip: 32 } };
    expect(planFor(stated).parsed.plan.mechanism.unitsPerClip).toBe(32);
    expect(planFor({ ...phones, privacy: null }).parsed.plan.mechanism.unitsPerClip).toBe(2 ** 20);
  });

  test("the clip's bit is an eighth of the grid", () => {
    const { unitsPerClip, adaptiveClip } = planFor({ ...phones, adaptiveClip: ADAPTIVE }).parsed.plan
      .mechanism;
    expect(adaptiveClip!.bitUnits).toBe(unitsPerClip / 8);
  });

  test('evaluation rounds are paid from the same ε', () => {
    const { parsed } = planFor({ evaluation: { federated: { rounds: 1 } } });
    expect(parsed.plan.rounds.evaluation).toBe(1);
    const account = accountPlan(parsed)!;
    expect(account.charge.evaluation).toBeGreaterThan(0);
    expect(account.epsilon).toBeLessThanOrEqual(8);
  });
});

const ADAPTIVE = { quantile: 0.5, learningRate: 0.2, clipMin: 0.1, clipMax: 10 };
const GROUPS = { count: 5, combine: 'median' };

describe('sizes', () => {
  test('cohort, batch and table bounds are public and coarse', () => {
    const { parsed, scenario } = planFor({});
    expect(parsed.plan.rounds).toMatchObject({ cohortMin: 3, cohortTarget: 4, cohortMax: 4 });
    expect(Number(parsed.plan.mechanism.expectedBatch) % 10).toBe(0);
    expect(parsed.plan.mechanism.recordsMax % 100).toBe(0);
    expect(parsed.plan.mechanism.recordsMax).toBeGreaterThan(
      Math.max(...scenario.clients.map((c) => c.rows.length)),
    );
    expect(planFor(phones).parsed.plan.rounds).toMatchObject({
      cohortMin: 66,
      cohortTarget: 100,
      cohortMax: 100,
    });
    expect(planFor({ ...phones, cohort: { target: 30 } }).parsed.plan.rounds).toMatchObject({
      cohortMin: 20,
      cohortMax: 30,
    });
  });

  test('clients own training rows only, each once; the same seed draws the same ones', () => {
    const { scenario } = planFor(phones);
    const rows = scenario.clients.flatMap((client) => client.rows);
    expect(new Set(rows).size).toBe(100);
    expect(rows.some((row) => scenario.test.includes(row))).toBe(false);
    expect(planFor(phones).parsed.hashHex).toBe(planFor(phones).parsed.hashHex);
    expect(planFor(phones, '1').scenario.clients).not.toEqual(scenario.clients);
  });

  test('folds of people: as many seeds in a row as folds test everybody once', () => {
    const { experiment } = smallExperiment({ split: { rule: 'by-person', folds: 4 } });
    const tested = [0, 1, 2, 3].flatMap(
      (index) => scenarioOf(experiment, dataset, String(index), index).test,
    );
    expect(tested.length).toBe(dataset.count);
    expect(new Set(tested).size).toBe(dataset.count);
  });
});

test('contradictions are refused', () => {
  expect(() => planFor({ 'simulation.seal': 'bfv', transport: 'shares' })).toThrow(/contradict/);
  expect(() => planFor({ ...phones, groups: GROUPS, transport: 'bfv' })).toThrow(/groups open by shares/);
  expect(() => planFor({ ...phones, cohort: { target: 500 } })).toThrow(
    /500: the training rows make 100 clients/,
  );
  expect(() => planFor({ ...phones, clients: { by: 'row', count: 9999 } })).toThrow(/clients\.count 9999/);
  expect(() => planFor({ groups: GROUPS })).toThrow(expect.objectContaining({ code: 'PLAN_INVALID' }));
});
