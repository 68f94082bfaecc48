/**
 * Goal: on the split that does not leak, central models of each set reach the figures of research/health-data.md §2, and
 * none reaches what would mean a leak. AUC, accuracy and error are means over folds (or seeds), with their range.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import type { TrainEngine, TrainOptions } from '../../client/training/engine.ts';
import { loadTrainEngine } from '../../client/training/engine.ts';
import { personalSplit } from '../runs/personal.ts';
import { centralTaskBaseline, modelOf } from './baselines.ts';
import type { TaskMetrics } from './evaluate.ts';
import { evaluateTask } from './evaluate.ts';
import type { Dataset, DatasetName, SplitRule } from './index.ts';
import {
  datasetAvailable,
  datasets,
  findDataRoot,
  loadDataset,
  splitOf,
  subset,
  targetHalfRange,
} from './index.ts';
import { splitRows } from './split-rules.ts';

const dataRoot = findDataRoot();
const present = new Map<DatasetName, boolean>();
for (const name of Object.keys(datasets) as DatasetName[])
  present.set(name, await datasetAvailable(name, dataRoot));

let engine: TrainEngine;
beforeAll(async () => {
  engine = await loadTrainEngine(['kernel']);
});

const options = (epochs: number, batchSize: number, learningRate: number, l2 = 1e-4): TrainOptions => ({
  epochs,
  batchSize,
  learningRate,
  proximalMu: 0,
  l2,
  seed: '0',
});

/** The one figure that a task is judged by: AUC, accuracy, mean absolute error. */
function figureOf(metrics: TaskMetrics): number {
  if (metrics.task === 'binary') return metrics.auc;
  return metrics.task === 'classes' ? metrics.accuracy : metrics.meanAbsoluteError;
}

interface Case {
  readonly name: DatasetName;
  readonly hidden: readonly number[];
  readonly splits: readonly (readonly [string, SplitRule])[];
  readonly train: TrainOptions;
  /** Bounds of the mean figure. */
  readonly atLeast: number;
  readonly below: number;
}

const folds = (count: number, seeds: readonly string[] = ['0']): [string, SplitRule][] =>
  seeds.flatMap((seed) =>
    Array.from(
      { length: count },
      (_, fold) => [seed, { rule: 'by-person', fold, folds: count }] as [string, SplitRule],
    ),
  );
const seeds = (rule: SplitRule, count = 5): [string, SplitRule][] =>
  Array.from({ length: count }, (_, seed) => [String(seed), rule]);

const cases: Case[] = [
  // Research: LR .838.
  {
    name: 'uci-heart',
    hidden: [],
    splits: seeds({ rule: 'per-site' }),
    train: options(400, 1e6, 1),
    atLeast: 0.83,
    below: 0.95,
  },
  // Research: LR .786 (80/20), on these rows .791; MLP .794.
  {
    name: 'cardio',
    hidden: [],
    splits: [['0', { rule: 'index-mod-5' }]],
    train: options(3, 64, 0.2),
    atLeast: 0.785,
    below: 0.83,
  },
  {
    name: 'cardio',
    hidden: [16],
    splits: [['0', { rule: 'index-mod-5' }]],
    train: options(4, 64, 0.1, 0),
    atLeast: 0.792,
    below: 0.83,
  },
  // Research: LR .778; next cycle .790.
  {
    name: 'nhanes',
    hidden: [],
    splits: seeds({ rule: 'per-site' }),
    train: options(400, 1e6, 1),
    atLeast: 0.765,
    below: 0.85,
  },
  {
    name: 'nhanes',
    hidden: [],
    splits: [['0', { rule: 'next-cycle' }]],
    train: options(400, 1e6, 1),
    atLeast: 0.775,
    below: 0.85,
  },
  // Research: LR .831.
  { name: 'pima', hidden: [], splits: folds(5), train: options(400, 1e6, 1), atLeast: 0.82, below: 0.9 },
  // Research: MLP-64 .748 on new users.
  {
    name: 'wisdm',
    hidden: [],
    splits: folds(5, ['0', '1']),
    train: options(60, 32, 0.1),
    atLeast: 0.73,
    below: 0.88,
  },
  // Research: LR .92; target .93.
  {
    name: 'mitbih-af',
    hidden: [],
    splits: folds(4, ['0', '1', '2']),
    train: options(100, 32, 0.2, 1e-3),
    atLeast: 0.93,
    below: 0.995,
  },
  // Research: LR .79, target .82.
  {
    name: 'apnea',
    hidden: [],
    splits: folds(5, ['0', '1']),
    train: options(15, 64, 0.2),
    atLeast: 0.82,
    below: 0.93,
  },
];

describe('central models on the split that does not leak', () => {
  test.each(cases)(
    '$name, hidden $hidden: at least $atLeast, below $below',
    { timeout: 240_000 },
    async (given) => {
      if (!present.get(given.name)) return;
      const dataset = await loaded(given.name);
      const figures = await figuresOf(dataset, given);
      const mean = figures.reduce((a, b) => a + b) / figures.length;
      console.info(
        `${given.name} ${given.hidden} ${mean.toFixed(4)} (${Math.min(...figures).toFixed(3)}-${Math.max(...figures).toFixed(3)})`,
      );
      expect(mean).toBeGreaterThanOrEqual(given.atLeast);
      expect(mean).toBeLessThan(given.below);
    },
  );

  test.skipIf(!present.get('lifesnaps'))(
    'lifesnaps: less than 0.99 bpm off, where "as today" is 1.01 bpm off',
    async () => {
      const dataset = await loaded('lifesnaps');
      const scale = targetHalfRange(dataset.schema);
      // Over all rows of all folds, as the error of "as today" is.
      let error = 0;
      let asToday = 0;
      for (const [seed, rule] of folds(5)) {
        const split = splitOf(dataset, seed, rule);
        const spec = modelOf(dataset);
        const { metrics } = await centralTaskBaseline(
          engine,
          spec,
          dataset,
          split,
          options(100, 32, 0.05, 0),
        );
        error += (figureOf(metrics) * split.test.length) / dataset.count;
        for (const row of split.test) asToday += (Math.abs(dataset.labels[row]!) * scale) / dataset.count;
      }
      console.info(`lifesnaps ${error.toFixed(4)} bpm, as today ${asToday.toFixed(4)} bpm`);
      expect(asToday).toBeCloseTo(1.0096, 3);
      expect(error).toBeLessThan(0.97);
      expect(error, 'less would be a look at tomorrow').toBeGreaterThan(0.85);
    },
  );

  test.skipIf(!present.get('apnea'))(
    'apnea: random minutes are refused; they would read better than new people',
    { timeout: 240_000 },
    async () => {
      const dataset = await loaded('apnea');
      expect(dataset.count).toBe(17_045);
      expect(dataset.labels.filter((label) => label === 1).length).toBe(6514);
      expect(new Set(dataset.rows.map((row) => row.person)).size).toBe(25);
      expect(() => splitOf(dataset, '0', { rule: 'random' })).toThrow(
        expect.objectContaining({ code: 'PARAMETER_UNSAFE' }),
      );
      const spec = modelOf(dataset, [16]);
      const of = async (split: { train: readonly number[]; test: readonly number[] }): Promise<number> =>
        figureOf((await centralTaskBaseline(engine, spec, dataset, split, options(8, 64, 0.1))).metrics);
      let honest = 0;
      for (const [seed, rule] of folds(5)) honest += (await of(splitOf(dataset, seed, rule))) / 5;
      const leaky = await of(splitRows(dataset, '0', { rule: 'random', share: 0.8 }));
      console.info(`apnea MLP: new people ${honest.toFixed(4)}, random minutes ${leaky.toFixed(4)}`);
      expect(leaky).toBeGreaterThan(honest + 0.04);
    },
  );
});

test.skipIf(!present.get('wisdm'))(
  'wisdm, new users with five windows of each activity of their own: at least .80, before that under .80',
  async () => {
    const dataset = await loaded('wisdm');
    const spec = modelOf(dataset, [32]);
    const hits = { before: 0, after: 0, rows: 0 };
    for (const [seed, rule] of folds(5)) {
      const split = splitOf(dataset, seed, rule);
      const { weights } = await centralTaskBaseline(engine, spec, dataset, split, options(25, 32, 0.1));
      const { test: rest, people } = personalSplit(dataset, split.test, { rows: 5 });
      for (const { adapt, positions } of people) {
        const rows = positions.map((position) => rest[position]!);
        const own = subset(dataset, adapt);
        const personal = await engine.train(spec, weights, own, options(30, 8, 0.05, 0));
        const of = async (model: Float32Array): Promise<number> =>
          rows.length * figureOf(await evaluateTask(engine, spec, model, dataset, rows));
        hits.before += await of(weights);
        hits.after += await of(personal);
        hits.rows += rows.length;
      }
    }
    const [before, after] = [hits.before / hits.rows, hits.after / hits.rows];
    console.info(`wisdm new users: ${before.toFixed(4)}, personalised ${after.toFixed(4)}`);
    expect(before).toBeGreaterThan(0.73);
    expect(before).toBeLessThan(0.8);
    expect(after).toBeGreaterThan(0.8);
  },
);

const cache = new Map<DatasetName, Promise<Dataset>>();
function loaded(name: DatasetName): Promise<Dataset> {
  const dataset = cache.get(name) ?? loadDataset(name, { dataRoot });
  cache.set(name, dataset);
  return dataset;
}

async function figuresOf(dataset: Dataset, { hidden, splits, train }: Case): Promise<number[]> {
  const spec = modelOf(dataset, hidden);
  const figures: number[] = [];
  for (const [seed, rule] of splits) {
    const split = splitOf(dataset, seed, rule);
    figures.push(
      figureOf((await centralTaskBaseline(engine, spec, dataset, split, { ...train, seed })).metrics),
    );
  }
  return figures;
}
