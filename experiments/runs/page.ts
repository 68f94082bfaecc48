/**
 * index.html of a run folder: what was asked, what came out, what it cost, what it ran on.
 *
 * Pure. May be called by: experiments/runs.
 */

import { formatBytes, formatDuration } from '../../cli/terminal.ts';
import { escaped } from '../bench/svg.ts';
import type { ModelRole } from './folder.ts';
import {
  code,
  facts,
  figure,
  heading,
  links,
  page,
  paragraph,
  type TableColumn,
  table,
  tiles,
} from './html.ts';
import { PER_DEVICE_COLUMNS, perDeviceNote, perDeviceRows } from './per-device.ts';
import { type Plot, ranText } from './plots.ts';
import type { Estimate } from './statistics.ts';
import type { Estimates, PointSummary, RunSummary } from './summary.ts';
import { METRICS } from './task-metrics.ts';

export interface PageInput {
  readonly summary: RunSummary;
  readonly plots: readonly Plot[];
  readonly experimentText: string;
}

export const meanText = (estimate: Estimate | undefined, digits: number): string =>
  estimate === undefined ? '–' : estimate.mean.toFixed(digits);

/** `0.8123 [0.8011, 0.8235]` */
export const intervalText = (estimate: Estimate | undefined, digits: number): string =>
  estimate === undefined || estimate.low === null || estimate.high === null
    ? meanText(estimate, digits)
    : `${estimate.mean.toFixed(digits)} [${estimate.low.toFixed(digits)}, ${estimate.high.toFixed(digits)}]`;

/** `+0.0012 [−0.0003, +0.0027]` */
export function signedText(estimate: Estimate | undefined, digits: number): string {
  if (estimate === undefined) return '–';
  const signed = (value: number): string => {
    const text = Math.abs(value).toFixed(digits);
    return Number(text) === 0 ? text : `${value < 0 ? '−' : '+'}${text}`;
  };
  if (estimate.low === null || estimate.high === null) return signed(estimate.mean);
  return `${signed(estimate.mean)} [${signed(estimate.low)}, ${signed(estimate.high)}]`;
}

export function runPage({ summary, plots, experimentText }: PageInput): string {
  return page(summary.name, [
    `<header><h1>${escaped(summary.name)}</h1></header>`,
    summary.description === null ? '' : paragraph(summary.description),
    paragraph(`${summary.dataset_title}. Research data, not for diagnosis.`, 'soft'),
    ...warningsOf(summary).map((text) => paragraph(text, 'mark')),
    tiles(tileRows(summary)),
    heading('Figures'),
    paragraph(
      `After the last round. ${summary.evaluation}. Brackets: ${summary.interval}.${federatedNote(summary)}`,
      'soft',
    ),
    table(...resultTable(summary)),
    ...differenceTable(summary),
    heading('Cost'),
    table(...costTable(summary)),
    ...devicesPart(summary),
    heading('Plots'),
    ...plots.map(({ svg }) => figure(svg)),
    heading('What ran'),
    facts(ranRows(summary)),
    heading('Experiment'),
    code(experimentText),
    heading('Files'),
    links([
      ['metrics.ndjson', 'one line per round and seed'],
      ['metrics.csv', 'the same as a table'],
      ['summary.json', 'the figures of this page'],
      ['versions.json', 'code, packages, machine, data'],
      ['experiment.yaml', 'the experiment as it was given'],
      ['experiment.json', 'the same in canonical form, with what the command line changed'],
      ['units/', 'per sweep point and seed: canonical plan, metrics, model, timing'],
      ['plots/', 'the plots as SVG'],
    ]),
    `<footer>pulsefold ${escaped(summary.versions.pulsefold)}, experiment ${summary.experiment_sha256.slice(0, 12)}</footer>`,
  ]);
}

const federatedNote = ({ metrics }: RunSummary): string =>
  metrics.some((name) => name.startsWith('federated_'))
    ? ' Federated evaluation: released by rounds inside the guarantee, from the devices’ own rows.'
    : '';

export function warningsOf({ noise, points, failures }: RunSummary): string[] {
  const warnings: string[] = [];
  if (noise.includes('not private')) warnings.push(`noise: ${noise}`);
  if (points.some(({ privacy }) => privacy === null))
    warnings.push('No differential privacy: the model may reveal its training records.');
  for (const { label, seed, code, message } of failures)
    warnings.push(
      `Failed and left out: ${label === '' ? '' : `${label}, `}seed ${seed}: ${code}: ${message}`,
    );
  for (const { label, rounds, rounds_released: released } of points)
    if (released < rounds)
      warnings.push(`${label === '' ? 'Rounds' : label}: ${released} of ${rounds} rounds were released.`);
  return warnings;
}

/** The point that did best by the primary metric. */
function bestOf({ points, primary_metric: primary }: RunSummary): PointSummary {
  const sign = METRICS[primary].better === 'higher' ? 1 : -1;
  const value = ({ models }: PointSummary): number =>
    sign * (models.federated?.[primary]?.mean ?? Number.NEGATIVE_INFINITY);
  return points.reduce((best, point) => (value(point) > value(best) ? point : best));
}

function tileRows(summary: RunSummary): [string, string][] {
  const { primary_metric: primary, points, seeds } = summary;
  const best = bestOf(summary);
  const { title, digits } = METRICS[primary];
  const rows: [string, string][] = [
    [
      points.length === 1 ? `${title}, federated` : `${title}, best point: ${best.label}`,
      meanText(best.models.federated?.[primary], digits),
    ],
  ];
  const central = best.models.central?.[primary];
  if (central) rows.push([`${title}, central`, meanText(central, digits)]);
  if (best.privacy)
    rows.push([`spent of ε ${best.privacy.epsilon_stated} per ${best.privacy.unit}`, epsilonText(best)]);
  rows.push(
    ['devices', best.clients.toLocaleString('en-GB')],
    ['rounds', String(best.rounds)],
    [seeds.length === 1 ? 'seed' : 'seeds', String(seeds.length)],
  );
  return rows;
}

const epsilonText = ({ privacy }: PointSummary): string =>
  privacy?.epsilon_spent === null || privacy?.epsilon_spent === undefined
    ? '–'
    : `ε ${privacy.epsilon_spent.toFixed(3)}`;

export interface ResultRow {
  /** Of the point; empty for a baseline that all points share, and without a sweep. */
  readonly label: string;
  readonly model: ModelRole;
  readonly estimates: Estimates;
  readonly privacy: PointSummary['privacy'];
}

/** Federated points in their order, each with its baselines; a baseline that all share stands once, at the end. */
export function resultRows({ points, primary_metric: primary }: RunSummary): ResultRow[] {
  const shared = (['central', 'local'] as const).filter((role) => {
    const means = points.map(({ models }) => models[role]?.[primary]?.mean);
    return points.length > 1 && means.every((mean) => mean !== undefined && mean === means[0]);
  });
  const rowOf = (point: PointSummary, model: ModelRole, label: string): ResultRow[] => {
    const estimates = point.models[model];
    return estimates
      ? [{ label, model, estimates, privacy: model === 'federated' ? point.privacy : null }]
      : [];
  };
  const own = points.flatMap((point) =>
    (['federated', 'central', 'local'] as const)
      .filter((model) => model === 'federated' || !shared.includes(model))
      .flatMap((model) => rowOf(point, model, point.label)),
  );
  return [...own, ...shared.flatMap((model) => rowOf(points[0]!, model, ''))];
}

function resultTable(summary: RunSummary): [TableColumn[], string[][]] {
  const { points, metrics: names, primary_metric: primary } = summary;
  const several = points.length > 1;
  const columns = [
    ...(several ? [{ title: 'point' }] : []),
    { title: 'model' },
    ...names.map((name) => ({ title: METRICS[name].title, isNumber: true })),
  ];
  const rows = resultRows(summary).map(({ label, model, estimates }) => [
    ...(several ? [label === '' ? 'all points' : label] : []),
    model,
    ...names.map((name) => {
      const { digits } = METRICS[name];
      return name === primary ? intervalText(estimates[name], digits) : meanText(estimates[name], digits);
    }),
  ]);
  return [columns, rows];
}

function differenceTable({ points, metrics }: RunSummary): string[] {
  if (points.every((point) => point.federated_minus_central === null)) return [];
  // More columns of intervals do not fit a page; summary.json has all.
  const names = metrics.slice(0, 3);
  const several = points.length > 1;
  return [
    paragraph('Federated minus central, paired by seed:', 'soft'),
    table(
      [
        ...(several ? [{ title: 'point' }] : []),
        ...names.map((name) => ({ title: METRICS[name].title, isNumber: true })),
      ],
      points.map((point) => [
        ...(several ? [point.label] : []),
        ...names.map((name) => signedText(point.federated_minus_central?.[name], METRICS[name].digits)),
      ]),
    ),
  ];
}

function costTable({ points }: RunSummary): [TableColumn[], string[][]] {
  const number = (title: string) => ({ title, isNumber: true });
  const several = points.length > 1;
  return [
    [
      ...(several ? [{ title: 'point' }] : []),
      number('ε spent / stated'),
      number('δ'),
      number('γ'),
      number('bytes per device and round'),
      number('all uploads'),
      number('simulated time'),
      number('computed in'),
    ],
    points.map((point) => {
      const { privacy } = point;
      return [
        ...(several ? [point.label] : []),
        privacy ? `${(privacy.epsilon_spent ?? 0).toFixed(3)} / ${privacy.epsilon_stated}` : 'no privacy',
        privacy?.delta ?? '–',
        privacy?.gamma ?? '–',
        formatBytes(Math.round(point.upload_bytes_per_device_round)),
        formatBytes(Math.round(point.upload_bytes)),
        formatDuration(point.virtual_ms),
        formatDuration(point.elapsed_ms),
      ];
    }),
  ];
}

function devicesPart({ points }: RunSummary): string[] {
  const [first] = points.flatMap(({ per_device }) => per_device ?? []);
  if (!first) return [];
  const several = points.length > 1;
  const [quantity, ...levels] = PER_DEVICE_COLUMNS;
  return [
    heading('Per device'),
    paragraph(`Of the whole run. ${perDeviceNote(first)}`, 'soft'),
    table(
      [
        ...(several ? [{ title: 'point' }] : []),
        { title: quantity },
        ...levels.map((title) => ({ title, isNumber: true })),
      ],
      points.flatMap(({ label, per_device }) =>
        per_device ? perDeviceRows(per_device).map((row) => [...(several ? [label] : []), ...row]) : [],
      ),
    ),
  ];
}

function ranRows(summary: RunSummary): [string, string][] {
  const { versions, code: states, ran } = summary;
  return [
    ['simulation', ranText(summary)],
    ['threads', String(ran.workers ?? '–')],
    ['seeds', summary.seeds.join(', ')],
    [
      'log roots',
      summary.log_repeats ? 'repeat with the seed' : 'do not repeat; the figures of a seeded run do',
    ],
    [
      'data',
      `${versions.data.name}: ${versions.data.rows} rows, table ${versions.data.table_sha256.slice(0, 16)}`,
    ],
    ['code', states.join('; ')],
    [
      'packages',
      Object.entries(versions.packages)
        .map(([name, version]) => `${name} ${version}`)
        .join(', '),
    ],
    ['machine', `${versions.processor}, ${formatBytes(versions.memory_bytes)}, ${versions.system}`],
    ['experiment', summary.experiment_sha256],
  ];
}
