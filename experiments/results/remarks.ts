/**
 * What a table says that a reader could miss: where a model under privacy, or a federated one at all, is worth no more than
 * knowing nothing or one client's own rows. From the figures by the same rules for every set.
 *
 * Pure. May be called by: experiments/results.
 */
import { METRICS, METRICS_OF, type MetricName } from '../runs/task-metrics.ts';
import type { ResultSet } from './catalogue.ts';
import { differenceOf, meanOfMetric } from './figures-of.ts';
import { type FilledTable, placeOf, type ResultRow } from './rows.ts';

/** One sentence each; none where the figures give no reason. */
export function remarksOf({ task, rows }: FilledTable, naive?: ResultSet['naive']): string[] {
  const [metric] = METRICS_OF[task];
  const places = [...new Set(rows.map(({ condition }) => placeOf(condition.label)))];
  return places.flatMap((place) => {
    const own = rows.filter(({ condition }) => placeOf(condition.label) === place);
    const found = [...nothingLearned(own, task, naive), ...aloneIsBetter(own, metric)];
    return found.map((text) => (place === '' ? text : `${place}: ${text}`));
  });
}

const isPrivate = ({ condition }: ResultRow): boolean =>
  condition.model === 'federated' && condition.privacy !== null;

/** Better than what needs no data: the stated rule of thumb; else chance, or one number for everybody. */
function nothingLearned(
  rows: readonly ResultRow[],
  task: FilledTable['task'],
  naive: ResultSet['naive'],
): string[] {
  const [metric] = METRICS_OF[task];
  if (naive) {
    const beats = ({ primary }: ResultRow): boolean => isBetter(metric, primary.mean, naive.value);
    const rule = `${naive.what} (${text(naive.value)})`;
    return shortfall(rows, metric, beats, [`beats ${rule}`, `does not beat ${rule}`]);
  }
  if (task === 'binary')
    return shortfall(rows, metric, ({ primary }) => (primary.low ?? primary.mean) > 0.5, [
      'is told from chance (AUC .5) by its interval',
      'is not told from chance (AUC .5) by its interval',
    ]);
  if (task === 'regression')
    return shortfall(rows, metric, ({ condition }) => (meanOfMetric(condition, 'r_squared')?.mean ?? 1) > 0, [
      'beats one number for everybody (R² above 0)',
      'does not beat one number for everybody (R² 0)',
    ]);
  return [];
}

function shortfall(
  rows: readonly ResultRow[],
  metric: MetricName,
  holds: (row: ResultRow) => boolean,
  [claim, denial]: readonly [string, string],
): string[] {
  const plain = rows.find((row) => row.condition.model === 'federated' && !isPrivate(row));
  const said = plain && !holds(plain) ? [`Without privacy the federated model ${denial}.`] : [];
  const tried = rows.filter(isPrivate);
  const failing = tried.filter((row) => !holds(row));
  if (failing.length === 0) return said;
  if (failing.length < tried.length)
    return [...said, `At ${epsilons(failing)} the federated model ${denial}.`];
  const best = tried.reduce((a, b) => (isBetter(metric, b.primary.mean, a.primary.mean) ? b : a));
  const reads = `the best, at ${epsilons([best])}, reads ${text(best.primary.mean)}`;
  return [...said, `No model under privacy ${claim}: ${reads}.`];
}

function aloneIsBetter(rows: readonly ResultRow[], metric: MetricName): string[] {
  const alone = rows.find(({ condition }) => condition.model === 'local');
  if (!alone) return [];
  const loses = ({ condition, primary }: ResultRow): boolean => {
    const difference = differenceOf(condition, alone.condition, metric);
    return isBetter(metric, 0, difference?.mean ?? primary.mean - alone.primary.mean);
  };
  const losing = rows.filter((row) => row.condition.model === 'federated' && loses(row));
  if (losing.length === 0) return [];
  const [priced, free] = [losing.filter(isPrivate), losing.filter((row) => !isPrivate(row))];
  const which = [
    ...(free.length > 0 ? ['without privacy'] : []),
    ...(priced.length > 0 ? [`at ${epsilons(priced)}`] : []),
  ].join(' and ');
  return [
    `One client's own rows (${text(alone.primary.mean)}) are worth more than the federated model ${which}.`,
  ];
}

const isBetter = (metric: MetricName, value: number, than: number): boolean =>
  METRICS[metric].better === 'higher' ? value > than : value < than;

const text = (value: number): string => value.toFixed(3).replace(/^0\./, '.');

/** `ε = 0.5, 1 and 3` */
function epsilons(rows: readonly ResultRow[]): string {
  const values = rows.map(({ condition }) => String(condition.privacy!.epsilon));
  const last = values.at(-1)!;
  return `ε = ${values.length === 1 ? last : `${values.slice(0, -1).join(', ')} and ${last}`}`;
}
