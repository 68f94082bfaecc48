/**
 * A comparison as one HTML page: curves over each other, differences with their intervals, the table.
 *
 * Pure. May be called by: experiments/runs, cli.
 */
import { escaped } from '../bench/svg.ts';
import { type ChartSeries, intervalChart, lineChart, SERIES_MAX } from './charts.ts';
import type { Comparison, Condition, FinishedFolder } from './compare.ts';
import { facts, figure, heading, page, paragraph, table } from './html.ts';
import { intervalText, signedText } from './page.ts';
import { PER_DEVICE_COLUMNS, perDeviceRows } from './per-device.ts';
import { estimateOf } from './statistics.ts';
import { isEvaluated } from './summary.ts';
import { METRICS, type MetricName } from './task-metrics.ts';

export function comparePage(comparison: Comparison, runs: readonly FinishedFolder[]): string {
  const { conditions, metrics, notes, reference, evaluation, interval, noise } = comparison;
  const [primary] = metrics;
  const title = `Comparison with ${reference}`;
  return page(title, [
    `<header><h1>${escaped(title)}</h1></header>`,
    paragraph(
      `${evaluation}. Brackets, bands and whiskers: ${interval}. Noise: ${noise.join('; ')}.`,
      'soft',
    ),
    ...notes.map((note) => paragraph(note, 'mark')),
    figure(overlay(comparison, runs, primary!)),
    figure(differences(comparison, primary!)),
    heading('Figures after the last round'),
    table(
      [{ title: 'condition' }, ...metrics.map((name) => ({ title: METRICS[name].title, isNumber: true }))],
      conditions.map((condition) => [
        condition.name,
        ...metrics.map((name) => intervalText(condition.estimates[name], METRICS[name].digits)),
      ]),
    ),
    heading(`Differences from ${reference}`),
    table(
      [{ title: 'condition' }, ...metrics.map((name) => ({ title: METRICS[name].title, isNumber: true }))],
      conditions
        .slice(1)
        .map((condition) => [
          condition.name,
          ...metrics.map((name) =>
            signedText(differenceOf(comparison, condition, name)?.difference, METRICS[name].digits),
          ),
        ]),
    ),
    ...devicesPart(conditions),
    heading('Conditions'),
    facts(
      conditions.map((condition): [string, string] => [condition.name, conditionText(comparison, condition)]),
    ),
  ]);
}

function devicesPart(conditions: Comparison['conditions']): string[] {
  const rows = conditions.flatMap(({ name, perDevice }) =>
    perDevice ? perDeviceRows(perDevice).map((row) => [name, ...row]) : [],
  );
  if (rows.length === 0) return [];
  const [quantity, ...levels] = PER_DEVICE_COLUMNS;
  return [
    heading('Per device, the whole run'),
    table(
      [{ title: 'condition' }, { title: quantity }, ...levels.map((title) => ({ title, isNumber: true }))],
      rows,
    ),
  ];
}

const differenceOf = ({ differences }: Comparison, { name }: Condition, metric: MetricName) =>
  differences.find((one) => one.condition === name && one.metric === metric);

/** Seeds, pairing, privacy, folder. */
export function conditionText(comparison: Comparison, condition: Condition): string {
  const { privacy, seeds, run } = condition;
  const difference = differenceOf(comparison, condition, comparison.metrics[0]!);
  const pairing =
    difference === undefined
      ? 'reference'
      : difference.paired
        ? `${difference.seeds} paired`
        : 'unpaired: other test rows';
  const spent = privacy
    ? `ε ${(privacy.epsilon_spent ?? 0).toFixed(3)} per ${privacy.unit}, δ ${privacy.delta}, γ ${privacy.gamma}`
    : condition.model === 'central'
      ? 'all rows in one place'
      : 'no privacy';
  return `${seeds.length} ${seeds.length === 1 ? 'seed' : 'seeds'}, ${pairing}; ${spent}; ${run}`;
}

function overlay(comparison: Comparison, runs: readonly FinishedFolder[], metric: MetricName): string {
  const series = comparison.conditions
    .map((condition) => seriesOf(condition, runs, metric))
    .filter(({ points }) => points.length > 0)
    .slice(0, SERIES_MAX);
  const { title, better } = METRICS[metric];
  return lineChart({
    title: `${title} by round`,
    subtitle: `${runs[0]!.summary.dataset_title}; ${better} is better`,
    xLabel: 'round',
    yLabel: title,
    series,
    notes: [`${comparison.evaluation}.`, `noise: ${comparison.noise.join('; ')}`],
  });
}

function seriesOf(condition: Condition, runs: readonly FinishedFolder[], metric: MetricName): ChartSeries {
  const { lines } = runs.find(({ directory }) => directory === condition.run)!;
  const own = lines.filter(
    (line) => line.point === condition.point && line.model === condition.model && isEvaluated(line),
  );
  if (condition.model === 'central') {
    const mean = condition.estimates[metric]?.mean;
    return {
      name: condition.name,
      points: mean === undefined ? [] : [{ x: 0, y: mean }],
      isReference: true,
    };
  }
  const rounds = [...new Set(own.map((line) => line.round ?? 0))];
  return {
    name: condition.name,
    points: rounds.flatMap((round) => {
      const values = own.filter((line) => line.round === round).flatMap((line) => line[metric] ?? []);
      if (values.length === 0) return [];
      const { mean, low, high } = estimateOf(values);
      return [{ x: round, y: mean, low, high }];
    }),
  };
}

function differences(comparison: Comparison, metric: MetricName): string {
  const { title, better, digits } = METRICS[metric];
  const rows = comparison.differences
    .filter((one) => one.metric === metric)
    .map(({ condition, difference, better: winner }) => ({
      name: condition,
      value: difference.mean,
      low: difference.low,
      high: difference.high,
      kind: winner === 'condition' ? 2 : winner === 'reference' ? 1 : 6,
    }));
  return intervalChart({
    title: `${title}: difference from ${comparison.reference}`,
    subtitle: `${better} is better; green: better beyond the interval, orange: worse, grey: not told apart`,
    xLabel: `difference of ${title}`,
    rows,
    reference: 0,
    text: (value) => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(digits)}`,
    notes: [`Whiskers: ${comparison.interval}.`, `noise: ${comparison.noise.join('; ')}`],
  });
}
