/**
 * What a run amounts to: per sweep point the figures after the last round, averaged over seeds, beside the baselines.
 *
 * Pure. May be called by: experiments.
 */
import { parseRational, rationalToNumber } from '../../crypto/dp/rational.ts';
import { type LabelKind, labelKindOf } from '../../protos/features.ts';
import type { Dataset } from '../datasets/types.ts';
import type { ExperimentFile } from './experiment.ts';
import type { MetricsLine, ModelRole, UnitRecord } from './folder.ts';
import { meanPerDevice, type PerDevice } from './per-device.ts';
import { type Estimate, estimateOf, INTERVAL_TEXT, meanOf, pairedDifference } from './statistics.ts';
import {
  FEDERATED_METRICS,
  isMetricName,
  METRICS_OF,
  type MetricName,
  type MetricValues,
} from './task-metrics.ts';
import type { Versions } from './versions.ts';

export type Estimates = Readonly<Partial<Record<MetricName, Estimate>>>;

export interface PointSummary {
  readonly index: number;
  readonly label: string;
  readonly values: Readonly<Record<string, unknown>>;
  /** After the last round; of the baselines, after their training. */
  readonly models: Readonly<Partial<Record<ModelRole, Estimates>>>;
  /** federated − central, seed by seed. */
  readonly federated_minus_central: Estimates | null;
  readonly clients: number;
  readonly test_rows: number;
  readonly rounds: number;
  /** Training rounds that ended in a release, in the seed with the fewest. */
  readonly rounds_released: number;
  readonly privacy: {
    readonly unit: string;
    readonly epsilon_stated: number;
    readonly epsilon_spent: number | null;
    readonly delta: string;
    readonly gamma: string;
  } | null;
  readonly upload_bytes: number;
  readonly upload_bytes_per_device_round: number;
  /** Means over seeds; null for units of older versions. */
  readonly per_device: PerDevice | null;
  /** Means over seeds. */
  readonly virtual_ms: number;
  readonly elapsed_ms: number;
}

export interface UnitFailure {
  readonly point: number;
  readonly label: string;
  readonly seed: string;
  readonly code: string;
  readonly message: string;
}

export interface RunSummary {
  readonly name: string;
  readonly description: string | null;
  readonly experiment_sha256: string;
  readonly task: LabelKind;
  readonly primary_metric: MetricName;
  /** Those that have a value somewhere in this run. */
  readonly metrics: readonly MetricName[];
  readonly dataset: string;
  readonly dataset_title: string;
  readonly evaluation: string;
  /** What ran: seal, identity, store, engine, threads. */
  readonly ran: Readonly<Record<string, string | number>>;
  /** `seeded, not private`, `system`, or `none` without differential privacy. */
  readonly noise: string;
  /** Whether the same file and seeds give the same log roots again. */
  readonly log_repeats: boolean;
  readonly seeds: readonly string[];
  readonly interval: string;
  /** Those with at least one finished seed. */
  readonly points: readonly PointSummary[];
  /** Units that failed; the same command tries them again. */
  readonly failures: readonly UnitFailure[];
  readonly versions: Versions;
  /** States of the code that units of this folder were run with; one, unless a run was taken up after a change. */
  readonly code: readonly string[];
  /** Computing time of all units. */
  readonly elapsed_ms: number;
}

export const HARNESS_TEXT = 'Harness: all test rows in one place, outside the guarantee';

export interface Finished {
  readonly file: ExperimentFile;
  readonly dataset: Dataset;
  readonly versions: Versions;
  readonly records: readonly UnitRecord[];
  readonly lines: readonly MetricsLine[];
  readonly failures: readonly UnitFailure[];
}

export function summarise({ file, dataset, versions, records, lines, failures }: Finished): RunSummary {
  const task = labelKindOf(dataset.schema);
  const metrics = [...METRICS_OF[task], ...FEDERATED_METRICS].filter((name) =>
    lines.some((line) => typeof line[name] === 'number'),
  );
  const recordsOf = Map.groupBy(records, ({ point }) => point);
  const linesOf = Map.groupBy(lines, ({ point }) => point);
  return {
    name: file.experiment.name,
    description: file.experiment.description ?? null,
    experiment_sha256: file.hashHex,
    task,
    primary_metric: METRICS_OF[task][0],
    metrics,
    dataset: dataset.definition.name,
    dataset_title: dataset.definition.title,
    evaluation: HARNESS_TEXT,
    ran: ranOf(records),
    noise: [...new Set(records.map(({ label }) => label.noise))].join('; '),
    log_repeats: records.every(({ log_repeats }) => log_repeats === true),
    seeds: file.experiment.seeds,
    interval: INTERVAL_TEXT,
    points: file.points.flatMap((point) => {
      const done = recordsOf.get(point.index);
      return done ? [pointSummary(point, metrics, done, linesOf.get(point.index) ?? [])] : [];
    }),
    failures,
    versions,
    code: [...new Set(records.map(({ code }) => code))],
    elapsed_ms: sum(records.map((record) => record.elapsed_ms)),
  };
}

/** Where units differ (threads after a resumption, a seal that is swept), all that ran. */
function ranOf(records: readonly UnitRecord[]): Record<string, string | number> {
  const labels = records.map(({ label }): Readonly<Record<string, string | number>> => ({ ...label }));
  const names = [...new Set(labels.flatMap((label) => Object.keys(label)))];
  return Object.fromEntries(
    names.map((name) => {
      const values = [...new Set(labels.flatMap((label) => label[name] ?? []))];
      return [name, values.length === 1 ? values[0]! : values.join(', ')];
    }),
  );
}

function pointSummary(
  { index, label, values, experiment }: ExperimentFile['points'][number],
  names: readonly MetricName[],
  records: readonly UnitRecord[],
  lines: readonly MetricsLine[],
): PointSummary {
  const last = finalLines(lines);
  const models = Object.fromEntries(
    (['federated', 'central', 'local'] as const)
      .filter((model) => last.some((line) => line.model === model))
      .map((model) => [
        model,
        estimatesOf(
          names,
          last.filter((line) => line.model === model),
        ),
      ]),
  );
  const federated = lines.filter((line) => line.model === 'federated');
  const bytes = sum(federated.map((line) => line.upload_bytes ?? 0));
  const uploads = sum(federated.map((line) => line.uploaded ?? 0));
  const { privacy } = experiment;
  const first = records[0]!;
  return {
    index,
    label,
    values,
    models,
    federated_minus_central: differencesOf(names, last, 'federated', 'central'),
    clients: first.clients,
    test_rows: first.test_rows,
    rounds: experiment.rounds.training,
    rounds_released: Math.min(...records.map(({ seed }) => releasedRounds(federated, seed))),
    privacy: privacy && {
      unit: privacy.unit,
      epsilon_stated: rationalToNumber(parseRational(privacy.epsilon)),
      epsilon_spent: Math.max(...records.map((record) => record.epsilon_spent ?? 0)),
      delta: privacy.delta,
      gamma: privacy.gamma,
    },
    upload_bytes: bytes / records.length,
    upload_bytes_per_device_round: uploads === 0 ? 0 : bytes / uploads,
    per_device: meanPerDevice(records.flatMap(({ per_device }) => per_device ?? [])),
    virtual_ms: sum(endings(federated).map((line) => line.virtual_ms ?? 0)) / records.length,
    elapsed_ms: Math.round(meanOf(records.map((record) => record.elapsed_ms))),
  };
}

const releasedRounds = (lines: readonly MetricsLine[], seed: string): number =>
  lines.filter((line) => line.seed === seed && line.kind === 'training' && line.phase === 'released').length;

/** Each seed's last line, evaluated or not. */
const endings = (lines: readonly MetricsLine[]): MetricsLine[] => [
  ...new Map(lines.map((line) => [line.seed, line])).values(),
];

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** Lines of rounds that were not evaluated have no metric at all. */
export const isEvaluated = (line: MetricsLine): boolean => Object.keys(line).some(isMetricName);

/** Each seed's last line per model that has metrics; what rounds of evaluation released stands in it too. */
export function finalLines(lines: readonly MetricsLine[]): MetricsLine[] {
  const last = new Map<string, MetricsLine>();
  for (const line of lines) {
    if (!isEvaluated(line)) continue;
    const key = JSON.stringify([line.point, line.model, line.seed]);
    const before = last.get(key);
    const [base, more] = line.kind === 'evaluation' && before ? [before, line] : [line, before];
    last.set(key, { ...base, ...(more && federatedOf(more)) });
  }
  return [...last.values()];
}

const federatedOf = (line: MetricsLine): MetricValues =>
  Object.fromEntries(FEDERATED_METRICS.flatMap((name) => (name in line ? [[name, line[name]]] : [])));

/** Over the seeds that have a value. */
export function estimatesOf(names: readonly MetricName[], lines: readonly MetricsLine[]): Estimates {
  return Object.fromEntries(
    names.flatMap((name) => {
      const values = lines.flatMap((line) => line[name] ?? []);
      return values.length === 0 ? [] : [[name, estimateOf(values)]];
    }),
  );
}

function differencesOf(
  names: readonly MetricName[],
  last: readonly MetricsLine[],
  first: ModelRole,
  second: ModelRole,
): Estimates | null {
  const of = (model: ModelRole) =>
    new Map(last.filter((line) => line.model === model).map((line) => [line.seed, line]));
  const [a, b] = [of(first), of(second)];
  const seeds = [...a.keys()].filter((seed) => b.has(seed));
  if (seeds.length === 0) return null;
  return Object.fromEntries(
    names.flatMap((name) => {
      const pairs = seeds.flatMap((seed) => {
        const [x, y] = [a.get(seed)![name], b.get(seed)![name]];
        return x === null || x === undefined || y === null || y === undefined ? [] : [[x, y] as const];
      });
      if (pairs.length === 0) return [];
      return [
        [
          name,
          pairedDifference(
            pairs.map(([x]) => x),
            pairs.map(([, y]) => y),
          ),
        ],
      ];
    }),
  );
}
