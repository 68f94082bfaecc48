/**
 * Figures of stored conditions: means with intervals, and differences seed by seed.
 *
 * Pure. May be called by: experiments/results.
 */
import { type Estimate, estimateOf, pairedDifference } from '../runs/statistics.ts';
import { METRICS_OF, type MetricName } from '../runs/task-metrics.ts';
import type { StoredCondition, StoredModel, StoredResults, StoredRun } from './stored.ts';

export const runOf = ({ runs }: StoredResults, id: string): StoredRun | undefined =>
  runs.find((run) => run.id === id);

export interface Selection {
  readonly run: string;
  readonly model: StoredModel;
  /** Among swept points: this ε, or this label. */
  readonly epsilon?: number;
  readonly label?: string;
}

/** The first condition that fits; undefined where it has not been run. */
export function conditionOf(results: StoredResults, selection: Selection): StoredCondition | undefined {
  const { run, model, epsilon, label } = selection;
  return runOf(results, run)?.conditions.find(
    (condition) =>
      condition.model === model &&
      (epsilon === undefined || condition.privacy?.epsilon === epsilon) &&
      (label === undefined || condition.label === label),
  );
}

export const primaryOf = ({ task }: StoredRun): MetricName => METRICS_OF[task][0];

/** Over the seeds that have a value; null where none has. */
export function meanOfMetric(condition: StoredCondition, metric: MetricName): Estimate | null {
  const values = (condition.values[metric] ?? []).filter((value) => value !== null);
  return values.length === 0 ? null : estimateOf(values);
}

/**
 * a − b over the seeds of both that tested on the same rows; null where there is none. Where seeds deal the rows anew, the
 * interval allows for test rows that overlap between seeds, as `pulsefold compare` does.
 */
export function differenceOf(a: StoredCondition, b: StoredCondition, metric: MetricName): Estimate | null {
  const pairs = a.seeds.flatMap((seed, i) => {
    const j = b.seeds.indexOf(seed);
    const [x, y] = [a.values[metric]?.[i], b.values[metric]?.[j]];
    const isPair = j >= 0 && a.tests[i] === b.tests[j];
    return !isPair || x === null || x === undefined || y === null || y === undefined
      ? []
      : [{ x, y, test: a.tests[i] }];
  });
  if (pairs.length === 0) return null;
  const isDealtAnew = new Set(pairs.map(({ test }) => test)).size > 1;
  return pairedDifference(
    pairs.map(({ x }) => x),
    pairs.map(({ y }) => y),
    isDealtAnew ? a.testRows / a.trainRows : 0,
  );
}
