/**
 * Personalisation on the device: a new person's phone takes the released model, trains it further on that person's first
 * few windows of each activity, and is tested on the rest. Nothing of it leaves the phone, so it costs no privacy budget.
 *
 * Harness. May be called by: experiments/results.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TrainEngine, TrainOptions } from '../../client/training/engine.ts';
import type { ModelSpec } from '../../protos/model.ts';
import { outputsOf } from '../../protos/model.ts';
import { clientsOf } from '../datasets/clients.ts';
import { subset } from '../datasets/index.ts';
import { classMetrics, worstDecile } from '../datasets/metrics.ts';
import { adaptationOf } from '../datasets/split-rules.ts';
import type { Dataset } from '../datasets/types.ts';
import { unitPath } from '../runs/folder.ts';
import { scenarioOf } from '../runs/scenario.ts';
import { loadEngine } from '../simulation/engines.ts';
import { type DoneUnit, rounded, trainRowsOf } from './collect.ts';
import type { StoredCondition } from './stored.ts';

/** Own windows of each activity. */
export const OWN_ROWS = 5;
const OPTIONS: Omit<TrainOptions, 'seed'> = {
  epochs: 30,
  batchSize: 8,
  learningRate: 0.05,
  proximalMu: 0,
  l2: 0,
};

type Values = Readonly<Record<string, number | null>>;

/** The common model and the adapted ones on the same rows: those left after the adaptation. */
export async function personalConditions(
  directory: string,
  dataset: Dataset,
  units: readonly DoneUnit[],
): Promise<StoredCondition[]> {
  const measured: { unit: DoneUnit; rows: number; common: Values; personal: Values }[] = [];
  for (const unit of units) measured.push({ unit, ...(await measure(directory, dataset, unit)) });
  const first = measured[0];
  if (!first) return [];
  const { record, point } = first.unit;
  return (['common', 'personal'] as const).map((model) => ({
    model,
    label: '',
    privacy: null,
    clients: record.clients,
    testRows: first.rows,
    trainRows: trainRowsOf(dataset, first.unit),
    rounds: point.experiment.rounds.training,
    bytesPerClientRound: null,
    seeds: measured.map(({ unit }) => unit.seed),
    tests: measured.map(({ unit }) => `${unit.record.test_sha256.slice(0, 12)}-own`),
    values: Object.fromEntries(
      Object.keys(first[model]).map((name) => [name, measured.map((one) => one[model][name] ?? null)]),
    ),
  }));
}

async function measure(directory: string, dataset: Dataset, { point, seed, seedIndex }: DoneUnit) {
  const key = { point: point.index, seedIndex };
  const text = readFileSync(join(directory, unitPath(key), 'model.json'), 'utf8');
  const { spec, weights } = JSON.parse(text) as { spec: ModelSpec; weights: number[] };
  const { engine } = await loadEngine(point.experiment.simulation.engine, spec);
  const { test } = scenarioOf(point.experiment, dataset, seed, seedIndex);
  const { adapt, test: rest } = adaptationOf(dataset, test, OWN_ROWS);
  const model = Float32Array.from(weights);
  const people = clientsOf(dataset, { kind: 'person' }, rest);
  const adapted = new Map<string, Float32Array>();
  for (const { name } of people) {
    const own = adapt.filter((row) => dataset.rows[row]!.person === name);
    const data = subset(dataset, own);
    adapted.set(name, await engine.train(spec, model, data, { ...OPTIONS, seed: `${seed}/${name}` }));
  }
  const context = { engine, spec, dataset, people };
  return {
    rows: rest.length,
    common: await metricsOf(context, () => model),
    personal: await metricsOf(context, (name) => adapted.get(name)!),
  };
}

interface Context {
  readonly engine: Pick<TrainEngine, 'predict'>;
  readonly spec: ModelSpec;
  readonly dataset: Dataset;
  readonly people: readonly { readonly name: string; readonly rows: readonly number[] }[];
}

async function metricsOf(
  { engine, spec, dataset, people }: Context,
  modelOf: (person: string) => Float32Array,
): Promise<Values> {
  const labels: number[] = [];
  const scores: number[] = [];
  const each: number[] = [];
  for (const { name, rows } of people) {
    const data = subset(dataset, rows);
    const own = [...(await engine.predict(spec, modelOf(name), data.features, data.count))];
    each.push(classMetrics(data.labels, own, outputsOf(spec)).accuracy);
    labels.push(...data.labels);
    scores.push(...own);
  }
  const metrics = classMetrics(labels, scores, outputsOf(spec));
  return {
    accuracy: rounded(metrics.accuracy),
    macro_f1: rounded(metrics.macroF1),
    balanced_accuracy: rounded(metrics.balancedAccuracy),
    calibration_error: rounded(metrics.calibrationError),
    worst_decile_accuracy: rounded(worstDecile(each)),
  };
}
