/**
 * The targets of issue 5, each with where its figure stands in the stored results. A target that is missed stays missed.
 *
 * Pure. May be called by: experiments/results.
 */
import type { Estimate } from '../runs/statistics.ts';
import { conditionOf, differenceOf, meanOfMetric, primaryOf, runOf, type Selection } from './figures-of.ts';
import type { StoredResults } from './stored.ts';

export interface Target {
  readonly set: string;
  readonly what: string;
  readonly figure: Selection;
  /** The target is for figure − this, seed by seed. */
  readonly minus?: Selection;
  readonly bound: number;
  readonly is: 'at least' | 'below';
  readonly digits: number;
  /** What limits it; shown where the target is missed. */
  readonly limit?: string;
}

export interface TargetOutcome {
  readonly target: Target;
  /** Null: not run yet. */
  readonly reached: Estimate | null;
  readonly outcome: 'met' | 'missed' | 'not run';
}

const heart: Selection = { run: 'heart', model: 'federated' };
const heartCentral: Selection = { run: 'heart', model: 'central' };
const leftOut = (site: string, title: string, bound: number, limit?: string): Target => ({
  set: 'heart',
  what: `Leave ${title} out: federated AUC`,
  figure: { run: 'heart-leave-one-out', model: 'federated', label: `split.site=${site}` },
  bound,
  is: 'at least',
  digits: 2,
  ...(limit ? { limit } : {}),
});

export const TARGETS: readonly Target[] = [
  {
    set: 'heart',
    what: 'Central AUC, mean of 20 splits',
    figure: heartCentral,
    bound: 0.87,
    is: 'at least',
    digits: 2,
    limit:
      'which splits the seeds draw: the standard error of the mean is .0045, and the same central model reads .875 on seeds ' +
      '100–119 and .878 on 200–219; a network of 16 units and l2 up to 1e-2 read the same within .001 on each range',
  },
  {
    set: 'heart',
    what: 'Federated − central, AUC',
    figure: heart,
    minus: heartCentral,
    bound: -0.005,
    is: 'at least',
    digits: 3,
  },
  {
    set: 'heart',
    what: 'Federated, record-level ε = 3, − central, AUC',
    figure: { run: 'heart-dp', model: 'federated', epsilon: 3 },
    minus: heartCentral,
    bound: -0.01,
    is: 'at least',
    digits: 2,
  },
  leftOut(
    'cleveland',
    'Cleveland',
    0.86,
    'the other three hospitals, not federating: the central model of their 437 rows reads the same .853 (.83 in the notes, ' +
      'whose .86 was one federated run); l2 of 1e-2, which leaving hospitals out of those three prefers, reads .859',
  ),
  leftOut('hungarian', 'Hungary', 0.87),
  leftOut('switzerland', 'Switzerland', 0.9),
  leftOut('va', 'the VA', 0.71),
  {
    set: 'cardio',
    what: 'LR, person-level ε = 0.5, δ = 1e-6: AUC',
    figure: { run: 'cardio', model: 'federated', epsilon: 0.5 },
    bound: 0.789,
    is: 'at least',
    digits: 3,
  },
  {
    set: 'cardio',
    what: 'MLP, person-level ε = 1, δ = 1e-6: AUC',
    figure: { run: 'cardio-mlp', model: 'federated', epsilon: 1 },
    bound: 0.795,
    is: 'at least',
    digits: 3,
    limit: 'rounds and phones: 20,000 of 54,900 phones take part, in few rounds, to bound computing time',
  },
  {
    set: 'nhanes',
    what: 'Federated AUC',
    figure: { run: 'nhanes', model: 'federated' },
    bound: 0.774,
    is: 'at least',
    digits: 3,
  },
  {
    set: 'atrial-fibrillation',
    what: 'New people, federated AUC',
    figure: { run: 'atrial-fibrillation', model: 'federated' },
    bound: 0.93,
    is: 'at least',
    digits: 2,
  },
  {
    set: 'apnea',
    what: 'New people, federated AUC',
    figure: { run: 'apnea', model: 'federated' },
    bound: 0.82,
    is: 'at least',
    digits: 2,
  },
  {
    set: 'wisdm',
    what: 'New people with personalisation, accuracy',
    figure: { run: 'wisdm-mlp', model: 'personal' },
    bound: 0.75,
    is: 'at least',
    digits: 2,
  },
  {
    set: 'lifesnaps',
    what: 'Federated mean absolute error, bpm',
    figure: { run: 'lifesnaps', model: 'federated' },
    bound: 0.99,
    is: 'below',
    digits: 2,
  },
];

export const outcomesOf = (results: StoredResults): TargetOutcome[] =>
  TARGETS.map((target) => outcomeOf(results, target));

/** Judged by the mean; its interval stands beside it. */
export function outcomeOf(results: StoredResults, target: Target): TargetOutcome {
  const reached = reachedOf(results, target);
  if (reached === null) return { target, reached, outcome: 'not run' };
  const { bound, is } = target;
  const isMet = is === 'at least' ? reached.mean >= bound : reached.mean < bound;
  return { target, reached, outcome: isMet ? 'met' : 'missed' };
}

function reachedOf(results: StoredResults, { figure, minus }: Target): Estimate | null {
  const run = runOf(results, figure.run);
  const condition = conditionOf(results, figure);
  if (!run || !condition) return null;
  if (!minus) return meanOfMetric(condition, primaryOf(run));
  const other = conditionOf(results, minus);
  return other ? differenceOf(condition, other, primaryOf(run)) : null;
}
