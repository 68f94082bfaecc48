/**
 * Personalisation on the device: a new person's phone takes the released model, trains it further on that person's first
 * few windows of each activity, and is tested on the rest. Nothing of it leaves the phone, so it costs no privacy budget.
 *
 * Harness. May be called by: experiments/results.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelSpec } from '../../protos/model.ts';
import { outputsOf } from '../../protos/model.ts';
import { subset } from '../datasets/index.ts';
import { classMetrics, worstDecile } from '../datasets/metrics.ts';
import type { Dataset } from '../datasets/types.ts';
import { unitPath } from '../runs/folder.ts';
import { adaptedScores, type PersonalSplit, personalSplit } from '../runs/personal.ts';
import { scenarioOf } from '../runs/scenario.ts';
import { loadEngine } from '../simulation/engines.ts';
import { type DoneUnit, rounded, trainRowsOf } from './collect.ts';
import type { StoredCondition } from './stored.ts';

/** Own windows of each activity. */
export const OWN_ROWS = 5;
const OPTIONS = { epochs: 30, batchSize: 8, learningRate: 0.05, proximalMu: 0 };

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
  const split = personalSplit(dataset, test, { rows: OWN_ROWS });
  const model = Float32Array.from(weights);
  const { features, labels, count } = subset(dataset, split.test);
  const common = await engine.predict(spec, model, features, count);
  const adapting = { engine, spec, dataset, split, options: OPTIONS, seed };
  const personal = await adaptedScores(adapting, model, common);
  const metricsOf = (scores: Float32Array): Values => metricsBy(split, labels, scores, outputsOf(spec));
  return { rows: split.test.length, common: metricsOf(common), personal: metricsOf(personal) };
}

/** Of all rows, and of the worst tenth of the people. */
function metricsBy(
  { people }: PersonalSplit,
  labels: ArrayLike<number>,
  scores: Float32Array,
  outputs: number,
): Values {
  const metrics = classMetrics(labels, scores, outputs);
  const each = people.map(({ positions }) => {
    const own = positions.flatMap((at) => [...scores.subarray(at * outputs, (at + 1) * outputs)]);
    const theirs = positions.map((at) => labels[at]!);
    return classMetrics(theirs, own, outputs).accuracy;
  });
  return {
    accuracy: rounded(metrics.accuracy),
    macro_f1: rounded(metrics.macroF1),
    balanced_accuracy: rounded(metrics.balancedAccuracy),
    calibration_error: rounded(metrics.calibrationError),
    worst_decile_accuracy: rounded(worstDecile(each)),
  };
}
