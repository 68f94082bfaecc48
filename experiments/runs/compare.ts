/**
 * Sets finished runs side by side: every sweep point of every run against the first one.
 *
 * Seeds pair two runs where both tested on the very same rows (SHA-256 of them), and then the difference is taken seed by
 * seed, which takes the luck of the split out of it, with a variance that allows for test rows that overlap between
 * seeds; otherwise it is a difference of two independent means and says so.
 * Trusts: nothing in a folder but that its own run wrote it. May be called by: cli, experiments.
 */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ensure } from '../../crypto/error.ts';
import { type FolderHead, type MetricsLine, readJson, readUnit, type UnitRecord } from './folder.ts';
import type { PerDevice } from './per-device.ts';
import {
  type Estimate,
  estimateOf,
  INTERVAL_TEXT,
  meanOf,
  pairedDifference,
  unpairedDifference,
} from './statistics.ts';
import { finalLines, type PointSummary, type RunSummary } from './summary.ts';
import { METRICS, type MetricName } from './task-metrics.ts';

export interface FinishedFolder {
  readonly directory: string;
  readonly head: FolderHead;
  readonly summary: RunSummary;
  readonly records: readonly UnitRecord[];
  readonly lines: readonly MetricsLine[];
}

export interface Condition {
  readonly name: string;
  readonly run: string;
  readonly point: number;
  readonly label: string;
  readonly model: 'federated' | 'central';
  readonly seeds: readonly string[];
  readonly estimates: Readonly<Partial<Record<MetricName, Estimate>>>;
  readonly privacy: PointSummary['privacy'];
  /** Of a federated condition, where its run accounts for it. */
  readonly perDevice: PerDevice | null;
}

export interface Difference {
  readonly condition: string;
  readonly metric: MetricName;
  /** condition − reference. */
  readonly difference: Estimate;
  readonly paired: boolean;
  /** Seeds that pair; of unpaired ones, the smaller number of seeds. */
  readonly seeds: number;
  /** Whose figure is better beyond the interval; null where zero lies in it, or where there is none. */
  readonly better: 'condition' | 'reference' | null;
}

export interface Comparison {
  readonly reference: string;
  readonly metrics: readonly MetricName[];
  readonly conditions: readonly Condition[];
  readonly differences: readonly Difference[];
  readonly evaluation: string;
  readonly noise: readonly string[];
  readonly interval: string;
  readonly notes: readonly string[];
}

/** @throws NOT_FOUND, CONFIG_INVALID for a folder that is no finished run. */
export function readRun(directory: string): FinishedFolder {
  const path = (name: string) => join(directory, name);
  ensure(existsSync(path('run.json')), 'NOT_FOUND', `${directory} is no run folder: run.json is not there`);
  ensure(
    existsSync(path('summary.json')),
    'CONFIG_INVALID',
    `${directory} is not finished: give its pulsefold run command again, it goes on where it was`,
  );
  const summary = readJson<RunSummary>(path('summary.json'));
  const failed = new Set(summary.failures.map(({ point, seed }) => JSON.stringify([point, seed])));
  const units = summary.points.flatMap(({ index }) =>
    summary.seeds.flatMap((seed, seedIndex) => {
      if (failed.has(JSON.stringify([index, seed]))) return [];
      const unit = readUnit(directory, { point: index, seedIndex });
      ensure(unit, 'CONFIG_INVALID', `${directory}: a unit of work is missing or was changed: run it again`);
      return [unit];
    }),
  );
  return {
    directory,
    head: readJson<FolderHead>(path('run.json')),
    summary,
    records: units.map(({ record }) => record),
    lines: units.flatMap(({ lines }) => lines),
  };
}

/** One column of figures: a condition's value and test rows for each seed. */
interface Column {
  readonly condition: Condition;
  readonly bySeed: ReadonlyMap<
    string,
    { readonly line: MetricsLine; readonly testSha256: string; readonly testShare: number }
  >;
}

/** @throws CONFIG_INVALID where the runs have nothing in common that could be compared. */
export function compareRuns(runs: readonly FinishedFolder[], wanted?: readonly MetricName[]): Comparison {
  const [first] = runs;
  ensure(first, 'CONFIG_INVALID', 'name at least one run folder');
  for (const { directory, summary } of runs)
    ensure(
      summary.task === first.summary.task && summary.dataset === first.summary.dataset,
      'CONFIG_INVALID',
      `${directory} is about ${summary.dataset} (${summary.task}), the first about ${first.summary.dataset} ` +
        `(${first.summary.task}): figures of two data sets do not compare`,
    );
  const metrics =
    wanted ??
    first.summary.metrics.filter((metric) => runs.every(({ summary }) => summary.metrics.includes(metric)));
  for (const metric of metrics)
    ensure(
      runs.every(({ summary }) => summary.metrics.includes(metric)),
      'CONFIG_INVALID',
      `these runs do not all have ${metric}; the first has ${first.summary.metrics.join(', ')}`,
    );
  const names = runNames(runs);
  const columns = runs.flatMap((run, i) => columnsOf(run, names[i]!, metrics));
  // The baseline of the first run stands for central training; others only where they have it and the first does not.
  const shown = columns.filter(
    ({ condition }, i) =>
      condition.model === 'federated' || columns.findIndex((c) => c.condition.model === 'central') === i,
  );
  ensure(
    shown.length >= 2,
    'CONFIG_INVALID',
    'a single condition has nothing to be compared with: name two runs',
  );
  const [reference, ...others] = shown;
  return {
    reference: reference!.condition.name,
    metrics,
    conditions: shown.map(({ condition }) => condition),
    differences: others.flatMap((column) =>
      metrics.flatMap((metric) => differenceOf(column, reference!, metric) ?? []),
    ),
    evaluation: first.summary.evaluation,
    noise: [...new Set(runs.map(({ summary }) => summary.noise))],
    interval: INTERVAL_TEXT,
    notes: notesOf(runs),
  };
}

/** By name; by folder where two runs have the same name. */
function runNames(runs: readonly FinishedFolder[]): string[] {
  const names = runs.map(({ summary }) => summary.name);
  if (new Set(names).size === names.length) return names;
  const folders = runs.map(({ directory }) => basename(directory));
  return new Set(folders).size === folders.length ? folders : runs.map(({ directory }) => directory);
}

function columnsOf(run: FinishedFolder, name: string, metrics: readonly MetricName[]): Column[] {
  const last = finalLines(run.lines);
  return run.summary.points.flatMap((point) =>
    (['federated', 'central'] as const).flatMap((model): Column[] => {
      const lines = last.filter((line) => line.point === point.index && line.model === model);
      if (lines.length === 0) return [];
      const bySeed = new Map(
        lines.map((line) => {
          const record = run.records.find(({ point: at, seed }) => at === line.point && seed === line.seed)!;
          const testShare = record.test_rows / (record.train_rows ?? Number.POSITIVE_INFINITY);
          return [line.seed, { line, testSha256: record.test_sha256, testShare }];
        }),
      );
      const parts = [name, model === 'central' ? 'central' : point.label].filter((part) => part !== '');
      const condition: Condition = {
        name: parts.join(': '),
        run: run.directory,
        point: point.index,
        label: point.label,
        model,
        seeds: [...bySeed.keys()],
        estimates: Object.fromEntries(
          metrics.flatMap((metric) => {
            const values = lines.flatMap((line) => line[metric] ?? []);
            return values.length === 0 ? [] : [[metric, estimateOf(values)]];
          }),
        ),
        privacy: model === 'federated' ? point.privacy : null,
        perDevice: model === 'federated' ? (point.per_device ?? null) : null,
      };
      return [{ condition, bySeed }];
    }),
  );
}

function differenceOf(column: Column, reference: Column, metric: MetricName): Difference | null {
  const figureOf = (of: Column, seed: string): number | null => of.bySeed.get(seed)?.line[metric] ?? null;
  const pairs = column.condition.seeds.flatMap((seed) => {
    const [a, b] = [figureOf(column, seed), figureOf(reference, seed)];
    const sameRows = column.bySeed.get(seed)?.testSha256 === reference.bySeed.get(seed)?.testSha256;
    return a === null || b === null || !sameRows ? [] : [{ a, b, ...column.bySeed.get(seed)! }];
  });
  const paired = pairs.length > 0;
  const all = (of: Column) => of.condition.seeds.flatMap((seed) => figureOf(of, seed) ?? []);
  const [a, b] = paired
    ? [pairs.map((pair) => pair.a), pairs.map((pair) => pair.b)]
    : [all(column), all(reference)];
  if (a.length === 0 || b.length === 0) return null;
  // Seeds that all test on the same rows differ by nothing that a split's luck could explain.
  const dealtAnew = new Set(pairs.map(({ testSha256 }) => testSha256)).size > 1;
  const testShare = dealtAnew ? meanOf(pairs.map((pair) => pair.testShare)) : 0;
  const difference = paired ? pairedDifference(a, b, testShare) : unpairedDifference(a, b);
  return {
    condition: column.condition.name,
    metric,
    difference,
    paired,
    seeds: difference.n,
    better: betterOf(difference, metric),
  };
}

function betterOf({ low, high }: Estimate, metric: MetricName): Difference['better'] {
  if (low === null || high === null || (low <= 0 && high >= 0)) return null;
  const isUp = low > 0;
  return isUp === (METRICS[metric].better === 'higher') ? 'condition' : 'reference';
}

function notesOf(runs: readonly FinishedFolder[]): string[] {
  const notes: string[] = [];
  if (new Set(runs.map(({ head }) => head.tableSha256)).size > 1)
    notes.push(
      'The runs read different tables of this data set: seeds pair only where the test rows are the same.',
    );
  const code = new Set(runs.flatMap(({ summary }) => summary.code));
  if (code.size > 1) notes.push(`The runs were made by ${code.size} states of the code.`);
  const engines = new Set(runs.map(({ summary }) => summary.ran.engine));
  if (engines.size > 1) notes.push('The runs used different engines, which differ in the last bits.');
  const failures = runs.flatMap(({ summary }) => summary.failures);
  if (failures.length > 0) notes.push(`${failures.length} units failed and are left out.`);
  return notes;
}
