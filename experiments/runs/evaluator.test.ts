/**
 * Goal: what a run says of a model is true of the test rows: figures in the label's own unit, the worst clients found,
 * personalisation that tests nobody on a row it adapted to.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import type { FeatureSchema } from '../../protos/features.ts';
import type { ModelSpec } from '../../protos/model.ts';
import type { Dataset } from '../datasets/types.ts';
import type { Engine } from '../simulation/device-work.ts';
import { loadEngine } from '../simulation/engines.ts';
import { Evaluator } from './evaluator.ts';
import { personalSplit } from './personal.ts';
import type { ExperimentScenario } from './scenario.ts';

const lr = (more: object = {}): ModelSpec => ({
  kind: 'lr',
  inputs: 1,
  hidden: [],
  activation: 'relu',
  ...more,
});

interface Row {
  readonly x: number;
  readonly y: number;
  readonly person?: string;
  readonly site?: string;
}

function datasetOf(rows: readonly Row[], label: object = { positive: { above: 0 } }): Dataset {
  const isReal = 'target' in label;
  return {
    definition: { name: 'made-up' },
    schema: { label: { column: 'y', ...label } } as unknown as FeatureSchema,
    rows: rows.map(({ person, site }, index) => ({
      index,
      person: person ?? String(index),
      site: site ?? 'one',
      values: {},
    })),
    features: Float32Array.from(rows, ({ x }) => x),
    labels: (isReal ? Float32Array : Uint8Array).from(rows.map(({ y }) => y)),
    count: rows.length,
    inputs: 1,
  } as unknown as Dataset;
}

const scenarioOf = (dataset: Dataset, test: readonly number[], more: Partial<ExperimentScenario> = {}) =>
  ({
    dataset,
    seed: '0',
    clients: [{ name: 'all', rows: dataset.rows.map((_, i) => i) }],
    evaluation: [],
    train: dataset.rows.map((_, i) => i),
    test,
    people: [],
    ...more,
  }) as ExperimentScenario;

const every = (dataset: Dataset): number[] => dataset.rows.map((_, i) => i);

let engine: Engine;
beforeAll(async () => {
  ({ engine } = await loadEngine('kernel', lr()));
});

describe('metrics', () => {
  test('binary, by hand: p = σ(x)', async () => {
    const rows = [-2, -1, 1, 2].map((x, i) => ({ x, y: [0, 1, 0, 1][i]!, site: i < 2 ? 'a' : 'b' }));
    const dataset = datasetOf(rows);
    const metrics = await new Evaluator(engine, scenarioOf(dataset, every(dataset)), lr()).metrics(
      Float32Array.of(1, 0),
    );
    expect(metrics.auc).toBe(0.75);
    expect(metrics.accuracy).toBe(0.5);
    const loss = [2, -1, -1, 2].map((z) => Math.log(1 + Math.exp(-z)));
    expect(metrics.log_loss).toBeCloseTo(loss.reduce((sum, value) => sum + value, 0) / 4, 5);
    // Both hospitals are ordered right.
    expect(metrics.worst_decile_auc).toBe(1);
    expect(Object.keys(metrics).some((name) => name.startsWith('personal_'))).toBe(false);
  });

  test('one hospital has no worst decile; one class has no AUC', async () => {
    const dataset = datasetOf([
      { x: 1, y: 1 },
      { x: 2, y: 1 },
    ]);
    const metrics = await new Evaluator(engine, scenarioOf(dataset, [0, 1]), lr()).metrics(
      Float32Array.of(1, 0),
    );
    expect(metrics).toMatchObject({ auc: null, worst_decile_auc: null, accuracy: 1 });
  });

  test("errors of a regression are in the label's unit", async () => {
    // Targets from −10 to 10 bpm: scaled 0.1 is 1 bpm.
    const label = { target: { minimum: -10, maximum: 10 } };
    const rows = [
      { x: 0, y: 0.1, person: 'a' },
      { x: 0, y: 0.3, person: 'a' },
      { x: 0, y: -0.8, person: 'b' },
    ];
    const dataset = datasetOf(rows, label);
    const spec = lr({ output: { kind: 'regression' } });
    const metrics = await new Evaluator(engine, scenarioOf(dataset, [0, 1, 2]), spec).metrics(
      Float32Array.of(0, 0),
    );
    expect(metrics.mae).toBeCloseTo((1 + 3 + 8) / 3, 5);
    expect(metrics.rmse).toBeCloseTo(Math.sqrt((1 + 9 + 64) / 3), 5);
    expect(metrics.worst_decile_mae).toBeCloseTo(8, 5);
  });

  test('classes: the worst person is found', async () => {
    const spec = lr({ output: { kind: 'classes', count: 3 } });
    const dataset = datasetOf(
      [
        { x: 1, y: 2, person: 'a' },
        { x: 1, y: 2, person: 'a' },
        { x: 1, y: 0, person: 'b' },
        { x: 1, y: 2, person: 'b' },
      ],
      { classes: ['p', 'q', 'r'] },
    );
    // Always the third class.
    const weights = Float32Array.of(0, 0, 0, 0, 0, 3);
    const metrics = await new Evaluator(engine, scenarioOf(dataset, every(dataset)), spec).metrics(weights);
    expect(metrics).toMatchObject({ accuracy: 0.75, worst_decile_accuracy: 0.5 });
  });
});

test('baselines: central learns from all clients, local from one', async () => {
  // Each client knows one label only, and inputs of one sign.
  const rows = Array.from({ length: 40 }, (_, i) => ({ x: i < 20 ? 0.2 : 1, y: i < 20 ? 0 : 1 }));
  const dataset = datasetOf(rows);
  const clients = [every(dataset).slice(0, 20), every(dataset).slice(20)].map((own, i) => ({
    name: String(i),
    rows: own,
  }));
  const evaluator = new Evaluator(engine, scenarioOf(dataset, every(dataset), { clients }), lr());
  expect((await evaluator.central()).accuracy).toBe(1);
  expect((await evaluator.local()).accuracy).toBe(0.5);
});

describe('personalisation', () => {
  /** Two people for whom the same input means the opposite. */
  const opposite = Array.from({ length: 40 }, (_, i) => {
    const x = (i % 2) * 2 - 1;
    return { x, y: x > 0 === i < 20 ? 1 : 0, person: i < 20 ? 'a' : 'b' };
  });
  const dataset = datasetOf(opposite);

  test('the first rows of each person and label adapt, the later ones test, none does both', () => {
    const { test: kept, people } = personalSplit(dataset, every(dataset), { share: 0.3 });
    const adapting = people.flatMap(({ adapt }) => adapt);
    expect(adapting.sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 20, 21, 22, 23, 24, 25]);
    expect([...kept, ...adapting].sort((a, b) => a - b)).toEqual(every(dataset));
    for (const { adapt, positions } of people) {
      const own = dataset.rows[adapt[0]!]!.person;
      expect(positions.map((position) => dataset.rows[kept[position]!]!.person)).toEqual(
        positions.map(() => own),
      );
      expect(positions.length).toBe(14);
    }
  });

  test('or so many rows of each label', () => {
    const { test: kept, people } = personalSplit(dataset, every(dataset), { rows: 2 });
    expect(people.map(({ adapt }) => [...adapt].sort((a, b) => a - b))).toEqual([
      [0, 1, 2, 3],
      [20, 21, 22, 23],
    ]);
    expect(kept).toHaveLength(32);
  });

  test('somebody is always left to test; people of one row cannot adapt', () => {
    const few = datasetOf([
      { x: 1, y: 0, person: 'a' },
      { x: 1, y: 1, person: 'a' },
      { x: 1, y: 1, person: 'b' },
    ]);
    const { test: kept, people } = personalSplit(few, [0, 1, 2], { share: 0.9 });
    expect(kept).toContain(1);
    expect(kept).toContain(2);
    expect(people).toEqual([{ adapt: [0], positions: [0] }]);
    expect(() =>
      personalSplit(
        datasetOf([
          { x: 1, y: 0 },
          { x: 1, y: 1 },
        ]),
        [0, 1],
        { share: 0.5 },
      ),
    ).toThrow(/several test rows/);
  });

  test('it helps where people differ, and leaves the figures of the released model alone', async () => {
    const { test: kept, people } = personalSplit(dataset, every(dataset), { share: 0.5 });
    const scenario = scenarioOf(dataset, kept, { people });
    const how = { share: 0.5, epochs: 50, batchSize: 16, learningRate: 1, proximalMu: 0 };
    const weights = Float32Array.of(0.1, 0);
    const before = await new Evaluator(engine, scenario, lr()).metrics(weights);
    const after = await new Evaluator(engine, scenario, lr(), how).metrics(weights);
    expect(after).toMatchObject(before);
    expect(before.auc).toBe(0.5);
    expect(after.personal_auc).toBe(1);
    expect(after.personal_worst_decile_auc).toBe(1);
    expect(before.worst_decile_auc).toBe(0);
    expect([...weights]).toEqual([...Float32Array.of(0.1, 0)]);
  });
});
