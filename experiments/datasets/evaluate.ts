/**
 * The `harness` evaluation path: metrics of a released model on test rows that all lie in one place.
 *
 * For: experiments/ and cli/ demos. Outside the guarantee (DESIGN §2.12): anything printed from here is
 * labelled so.
 */
import type { TrainEngine } from '../../client/training/engine.ts';
import type { ModelSpec } from '../../client/training/model.ts';
import { ensure } from '../../crypto/error.ts';
import type { FeatureSchema } from '../../protos/features.ts';
import { labelKindOf } from '../../protos/features.ts';
import type { Dataset } from './index.ts';
import { subset, targetHalfRange } from './index.ts';
import type { ClassMetrics, RegressionMetrics } from './metrics.ts';
import {
  accuracy,
  auc,
  balancedAccuracy,
  classMetrics,
  expectedCalibrationError,
  regressionMetrics,
} from './metrics.ts';
import { bySite } from './splits.ts';

export interface Metrics {
  readonly rows: number;
  readonly positives: number;
  /** NaN where one class is absent. */
  readonly auc: number;
  readonly accuracy: number;
  readonly balancedAccuracy: number;
  readonly calibrationError: number;
}

export interface Evaluation extends Metrics {
  readonly perSite: readonly ({ readonly site: string } & Metrics)[];
  /** Test rows' labels and scores, in the order of `test`. */
  readonly labels: Uint8Array | Float32Array;
  readonly scores: Float32Array;
}

export function metricsOf(labels: ArrayLike<number>, scores: ArrayLike<number>): Metrics {
  return {
    rows: labels.length,
    positives: Array.from(labels).reduce((sum, label) => sum + label, 0),
    auc: auc(labels, scores),
    accuracy: accuracy(labels, scores),
    balancedAccuracy: balancedAccuracy(labels, scores),
    calibrationError: expectedCalibrationError(labels, scores),
  };
}

/** Pooled and per-site metrics of one model on the rows `test` of `dataset`. */
export async function evaluate(
  engine: TrainEngine,
  spec: ModelSpec,
  weights: Float32Array,
  dataset: Dataset,
  test: readonly number[],
): Promise<Evaluation> {
  ensure(test.length > 0, 'DATA_EMPTY', 'there are no test rows');
  const { features, labels, count } = subset(dataset, test);
  const scores = await engine.predict(spec, weights, features, count);
  const positionOf = new Map(test.map((row, position) => [row, position]));
  const perSite = [...bySite(dataset, test)].map(([site, rows]) => {
    const positions = rows.map((row) => positionOf.get(row)!);
    return {
      site,
      ...metricsOf(
        positions.map((position) => labels[position]!),
        positions.map((position) => scores[position]!),
      ),
    };
  });
  return { ...metricsOf(labels, scores), perSite, labels, scores };
}

/** What a released model reads on test rows, whatever it predicts. */
export type TaskMetrics =
  | ({ readonly task: 'binary' } & Metrics)
  | ({ readonly task: 'classes' } & ClassMetrics)
  /** Errors in the label's own unit. */
  | ({ readonly task: 'regression' } & RegressionMetrics);

/** @param scores as TrainEngine.predict gives them for the rows of `labels` */
export function taskMetricsOf(
  schema: Pick<FeatureSchema, 'label'>,
  labels: ArrayLike<number>,
  scores: ArrayLike<number>,
): TaskMetrics {
  const task = labelKindOf(schema);
  if (task === 'binary') return { task, ...metricsOf(labels, scores) };
  if (task === 'classes') return { task, ...classMetrics(labels, scores, scores.length / labels.length) };
  const scale = targetHalfRange(schema);
  const metrics = regressionMetrics(labels, scores);
  return {
    task,
    meanAbsoluteError: scale * metrics.meanAbsoluteError,
    rootMeanSquaredError: scale * metrics.rootMeanSquaredError,
    rSquared: metrics.rSquared,
  };
}

/** The same for a model and rows of a data set. */
export async function evaluateTask(
  engine: TrainEngine,
  spec: ModelSpec,
  weights: Float32Array,
  dataset: Dataset,
  test: readonly number[],
): Promise<TaskMetrics> {
  ensure(test.length > 0, 'DATA_EMPTY', 'there are no test rows');
  const { features, labels, count } = subset(dataset, test);
  return taskMetricsOf(dataset.schema, labels, await engine.predict(spec, weights, features, count));
}
