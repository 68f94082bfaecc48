/**
 * The plots of a run folder: learning curves, figures after the last round, what privacy and bytes cost.
 *
 * Pure. May be called by: experiments/runs.
 */
import { type ChartSeries, intervalChart, lineChart, SERIES_MAX } from './charts.ts';
import type { MetricsLine, ModelRole } from './folder.ts';
import { estimateOf } from './statistics.ts';
import { isEvaluated, type RunSummary } from './summary.ts';
import { isMetricName, METRICS, type MetricName } from './task-metrics.ts';

export interface Plot {
  /** File name without `.svg`. */
  readonly name: string;
  readonly svg: string;
}

/** Rows of one chart that a person still reads. */
const ROWS_MAX = 60;

const ROLE_TITLES: Readonly<Record<ModelRole, string>> = {
  federated: 'federated',
  central: 'central (all rows in one place)',
  local: 'local (one client alone)',
};
const ROLE_KIND: Readonly<Record<ModelRole, number>> = { federated: 0, central: 2, local: 6 };

/** What ran, in one line: stands under every figure. */
export function ranText({ ran, noise }: RunSummary): string {
  const parts = Object.entries(ran)
    .filter(([name]) => name !== 'noise' && name !== 'workers')
    .map(([name, value]) => `${name}: ${value}`);
  return [...parts, `noise: ${noise}`].join(', ');
}

export function runPlots(summary: RunSummary, lines: readonly MetricsLine[]): Plot[] {
  const { primary_metric: primary, task, points } = summary;
  const plots: Plot[] = [{ name: `${primary}-by-round`, svg: curve(summary, lines, primary) }];
  if (task !== 'regression')
    plots.push({ name: 'log_loss-by-round', svg: curve(summary, lines, 'log_loss') });
  plots.push({ name: `${primary}-final`, svg: finals(summary, primary) });
  const personal = `personal_${primary}`;
  if (isMetricName(personal) && summary.metrics.includes(personal))
    plots.push({ name: `${personal}-final`, svg: finals(summary, personal) });
  if (points.some(({ privacy }) => privacy !== null))
    plots.push({ name: `${primary}-by-epsilon`, svg: byEpsilon(summary, lines, primary) });
  if (points.some(({ per_device }) => per_device)) plots.push({ name: 'per-device', svg: devices(summary) });
  return plots;
}

/** What most devices pay and what the unluckiest do. */
function devices(summary: RunSummary): string {
  const accounted = summary.points.flatMap(({ label, per_device }) =>
    per_device ? [{ label, curve: per_device.curve }] : [],
  );
  const { of } = accounted[0]!.curve;
  const alike = accounted.filter(({ curve }) => curve.of === of);
  const isBattery = of === 'battery_share';
  const series = alike.map(({ label, curve: { values } }) => ({
    name: pointName(label),
    points: values.map((value, i) => ({
      x: (100 * i) / (values.length - 1),
      y: isBattery ? 100 * value : value,
    })),
  }));
  const { all, left } = shown(series, []);
  return lineChart({
    title: `${isBattery ? 'Battery' : 'Bytes'} by device: ${summary.name}`,
    subtitle: `${summary.dataset_title}; ${seedsText(summary)}; the whole run; lower is better`,
    xLabel: 'devices, percent, from the one that pays least',
    yLabel: isBattery ? 'percent of a full battery' : 'bytes sent and fetched',
    series: all,
    notes: [...(left > 0 ? [`${left} more in the table.`] : []), ranText(summary)],
  });
}

const notesOf = (summary: RunSummary, left = 0): string[] => [
  ...(left > 0 ? [`${left} more in the table.`] : []),
  `${summary.evaluation}. Bands and whiskers: ${summary.interval}.`,
  ranText(summary),
];

const seedsText = ({ seeds }: RunSummary): string =>
  seeds.length === 1 ? 'one seed' : `mean of ${seeds.length} seeds`;

const pointName = (label: string): string => (label === '' ? 'federated' : label);

/** Mean over seeds of a metric at each value of x. */
function meansBy(
  lines: readonly MetricsLine[],
  metric: MetricName,
  xOf: (line: MetricsLine) => number | null,
): ChartSeries['points'] {
  const { least, most } = METRICS[metric];
  const by = new Map<number, { readonly x: number[]; readonly y: number[] }>();
  for (const line of lines) {
    const [y, x] = [line[metric], xOf(line)];
    if (y === null || y === undefined || x === null || line.round === null) continue;
    const group = by.get(line.round) ?? { x: [], y: [] };
    group.x.push(x);
    group.y.push(y);
    by.set(line.round, group);
  }
  return [...by.values()].map((group) => {
    const { mean, low, high } = estimateOf(group.y);
    const within = (end: number | null) => end && Math.min(most, Math.max(least, end));
    return { x: estimateOf(group.x).mean, y: mean, low: within(low), high: within(high) };
  });
}

function federatedSeries(
  { points }: RunSummary,
  lines: readonly MetricsLine[],
  metric: MetricName,
  xOf: (line: MetricsLine) => number | null,
): ChartSeries[] {
  const evaluated = lines.filter((line) => line.model === 'federated' && isEvaluated(line));
  const byPoint = Map.groupBy(evaluated, ({ point }) => point);
  return points.map(({ index, label }) => ({
    name: pointName(label),
    points: meansBy(byPoint.get(index) ?? [], metric, xOf),
  }));
}

/** Baselines that are the same for every point are drawn once. */
function referenceSeries({ points }: RunSummary, metric: MetricName): ChartSeries[] {
  return (['central', 'local'] as const).flatMap((role) => {
    const values = points.flatMap(({ models }) => models[role]?.[metric]?.mean ?? []);
    const [first] = values;
    if (first === undefined || values.some((value) => value !== first)) return [];
    return [{ name: ROLE_TITLES[role], points: [{ x: 0, y: first }], isReference: true }];
  });
}

/** Only so many lines can be told apart; the table has them all. */
function shown(series: readonly ChartSeries[], references: readonly ChartSeries[]) {
  const kept = series.filter(({ points }) => points.length > 0).slice(0, SERIES_MAX - references.length);
  return { all: [...kept, ...references], left: series.length - kept.length };
}

function curve(summary: RunSummary, lines: readonly MetricsLine[], metric: MetricName): string {
  const { all, left } = shown(
    federatedSeries(summary, lines, metric, (line) => line.round),
    referenceSeries(summary, metric),
  );
  const { title, better } = METRICS[metric];
  return lineChart({
    title: `${title} by round: ${summary.name}`,
    subtitle: `${summary.dataset_title}; ${seedsText(summary)}; ${better} is better`,
    xLabel: 'round',
    yLabel: title,
    series: all,
    notes: notesOf(summary, left),
  });
}

function byEpsilon(summary: RunSummary, lines: readonly MetricsLine[], metric: MetricName): string {
  const priced = { ...summary, points: summary.points.filter(({ privacy }) => privacy !== null) };
  const { all, left } = shown(
    federatedSeries(priced, lines, metric, (line) => line.epsilon_spent),
    referenceSeries(priced, metric),
  );
  const { title, better } = METRICS[metric];
  const { privacy } = priced.points[0]!;
  return lineChart({
    title: `${title} by privacy spent: ${summary.name}`,
    subtitle: `${summary.dataset_title}; ${seedsText(summary)}; ${better} is better`,
    xLabel: `ε of the most-charged ${privacy!.unit} (δ ${privacy!.delta}, γ ${privacy!.gamma})`,
    yLabel: title,
    series: all,
    notes: notesOf(summary, left),
  });
}

function finals(summary: RunSummary, metric: MetricName): string {
  const { title, better, digits } = METRICS[metric];
  const references = referenceSeries(summary, metric).length > 0;
  const rows = summary.points.flatMap(({ label, models }, i) =>
    (['federated', 'central', 'local'] as const).flatMap((role) => {
      const estimate = models[role]?.[metric];
      // The same baseline under every point stands once, at the end.
      if (!estimate || (role !== 'federated' && references && i < summary.points.length - 1)) return [];
      const name =
        role === 'federated'
          ? pointName(label)
          : references || label === ''
            ? ROLE_TITLES[role]
            : `${label}: ${role}`;
      return [{ name, value: estimate.mean, low: estimate.low, high: estimate.high, kind: ROLE_KIND[role] }];
    }),
  );
  return intervalChart({
    title: `${title} after the last round: ${summary.name}`,
    subtitle: `${summary.dataset_title}; ${seedsText(summary)}; ${better} is better`,
    xLabel: title,
    rows: rows.slice(0, ROWS_MAX),
    text: (value) => value.toFixed(digits),
    notes: notesOf(summary, Math.max(0, rows.length - ROWS_MAX)),
  });
}
