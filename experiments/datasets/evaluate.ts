/**
 * The `harness` evaluation path: metrics of a released model on test rows that all lie in one place.
 *
 * For: experiments/ and cli/ demos. Outside the guarantee (DESIGN §2.12): anything printed from here is
 * labelled so.
 */
import type { TrainEngine } from '../../client/training/engine.ts';
import type { ModelSpec } from '../../client/training/model.ts';
import { ensure } from '../../crypto/error.ts';
import type { Dataset } from './index.ts';
import { subset } from './index.ts';
import { accuracy, auc, balancedAccuracy, expectedCalibrationError } from './metrics.ts';
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
  readonly labels: Uint8Array;
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
