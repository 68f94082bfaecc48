/**
 * The figures of the results page: one chart of intervals for each table.
 *
 * Pure. May be called by: experiments/results.
 */
import { intervalChart } from '../runs/charts.ts';
import type { Estimate } from '../runs/statistics.ts';
import { METRICS, METRICS_OF } from '../runs/task-metrics.ts';
import { SETS } from './catalogue.ts';
import { type FilledTable, filledTable, type ResultRow } from './rows.ts';
import type { StoredResults } from './stored.ts';

export interface ResultChart {
  /** File name without `results-` and `.svg`. */
  readonly name: string;
  readonly title: string;
  readonly svg: string;
}

/** One a table that has more than a row or two. */
export function chartsOf(results: StoredResults): ResultChart[] {
  return SETS.flatMap((set) =>
    set.tables.flatMap((table, index): ResultChart[] => {
      const filled = filledTable(results, table);
      if (!filled || filled.rows.length < 3) return [];
      const name = index === 0 ? set.id : `${set.id}-${index + 1}`;
      const title = `${set.title}: ${table.title.replace(/^./, (letter) => letter.toLowerCase())}`;
      return [{ name, title, svg: chartOf(title, filled) }];
    }),
  );
}

const KINDS = ['central', 'local', 'federated', 'common', 'personal'];
const PRIVATE_KIND = KINDS.length;

function chartOf(title: string, { task, rows }: FilledTable): string {
  const { title: metric, better, digits } = METRICS[METRICS_OF[task][0]];
  const central = rows.find(({ condition }) => condition.model === 'central');
  const seeds = [...new Set(rows.map(({ primary }) => primary.n))].sort((a, b) => a - b);
  const isPlaced = rows.some(({ name }) => name.includes(':'));
  return intervalChart({
    title,
    subtitle: `${metric}, ${better} is better; 95 % t interval over ${seeds.join(' or ')} seeds`,
    xLabel: metric,
    rows: rows.map(({ name, primary, condition }) => ({
      name,
      value: primary.mean,
      // Seeds that change nothing have no interval worth showing.
      ...(isWide(primary) ? { low: primary.low, high: primary.high } : {}),
      kind: kindOf(condition),
    })),
    ...(central && !isPlaced ? { reference: central.primary.mean } : {}),
    text: (value) => value.toFixed(Math.min(3, digits)),
    notes: [
      'Harness: test rows in one place, outside the guarantee. Simulated: seal none, identity none; noise: seeded, not private.',
    ],
  });
}

/** Wider than the figures' last digit. */
const isWide = ({ low, high }: Estimate): boolean => low !== null && high !== null && high - low >= 0.001;

const kindOf = ({ model, privacy }: ResultRow['condition']): number =>
  privacy ? PRIVATE_KIND : KINDS.indexOf(model);
