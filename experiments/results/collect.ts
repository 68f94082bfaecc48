/**
 * From a run folder to what docs/results.json holds: the units that are done, each model's figures after its last round.
 *
 * Trusts: run folders of experiments/runs. May be called by: experiments/results.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parseRational, rationalToNumber } from '../../crypto/dp/rational.ts';
import { ensure } from '../../crypto/error.ts';
import { labelKindOf } from '../../protos/features.ts';
import type { Dataset } from '../datasets/types.ts';
import type { ExperimentFile, Point } from '../runs/experiment.ts';
import { type FolderHead, type MetricsLine, readUnit, type UnitRecord } from '../runs/folder.ts';
import { scenarioOf } from '../runs/scenario.ts';
import { finalLines } from '../runs/summary.ts';
import { METRICS_OF, type MetricName } from '../runs/task-metrics.ts';
import type { Versions } from '../runs/versions.ts';
import type { StoredCondition, StoredPrivacy, StoredRun } from './stored.ts';

export interface DoneUnit {
  readonly point: Point;
  readonly seed: string;
  readonly seedIndex: number;
  readonly record: UnitRecord;
  readonly lines: readonly MetricsLine[];
}

/** Six digits say more than any of these figures knows. */
export const rounded = (value: number | null | undefined): number | null =>
  value === null || value === undefined ? null : Number(value.toFixed(6));

/** What is done so far, in the order of points and seeds. @throws CONFIG_INVALID for a folder of another experiment. */
export function doneUnits(directory: string, file: ExperimentFile): DoneUnit[] {
  const head = join(directory, 'run.json');
  if (!existsSync(head)) return [];
  const { hashHex } = JSON.parse(readFileSync(head, 'utf8')) as FolderHead;
  ensure(
    hashHex === file.hashHex,
    'CONFIG_INVALID',
    `${directory} was run from another version of ${file.yaml.file}: run npm run results with --fresh`,
  );
  return file.points.flatMap((point) =>
    file.experiment.seeds.flatMap((seed, seedIndex): DoneUnit[] => {
      const unit = readUnit(directory, { point: point.index, seedIndex });
      return unit ? [{ point, seed, seedIndex, ...unit }] : [];
    }),
  );
}

export function collectRun(
  id: string,
  directory: string,
  file: ExperimentFile,
  dataset: Dataset,
): StoredRun | null {
  const units = doneUnits(directory, file);
  if (units.length === 0) return null;
  const versions = JSON.parse(readFileSync(join(directory, 'versions.json'), 'utf8')) as Versions;
  const task = labelKindOf(dataset.schema);
  return {
    id,
    file: relative(join(import.meta.dirname, '../..'), file.yaml.file),
    experimentSha256: file.hashHex,
    dataset: dataset.definition.name,
    task,
    ran: ranOf(units),
    code: [...new Set(units.map(({ record }) => record.code))],
    machine: `${versions.processor}, ${Math.round(versions.memory_bytes / 2 ** 30)} GiB, ${versions.system}`,
    elapsedMs: units.reduce((sum, { record }) => sum + record.elapsed_ms, 0),
    conditions: file.points.flatMap((point) =>
      conditionsOf(
        dataset,
        point,
        units.filter((unit) => unit.point === point),
        METRICS_OF[task],
      ),
    ),
  };
}

function ranOf(units: readonly DoneUnit[]): Record<string, string> {
  const labels = units.map(({ record }): Record<string, unknown> => ({ ...record.label }));
  // How many threads there were changes no figure.
  const names = Object.keys(labels[0]!).filter((name) => name !== 'workers');
  return Object.fromEntries(
    names.map((name) => [name, [...new Set(labels.map((label) => String(label[name])))].join(' | ')]),
  );
}

function conditionsOf(
  dataset: Dataset,
  point: Point,
  units: readonly DoneUnit[],
  names: readonly MetricName[],
): StoredCondition[] {
  const { label, experiment } = point;
  const trainRows = units[0] ? trainRowsOf(dataset, units[0]) : 0;
  return (['federated', 'central', 'local'] as const).flatMap((model): StoredCondition[] => {
    const own = units.flatMap((unit) => {
      const line = finalLines(unit.lines).find((one) => one.model === model);
      return line ? [{ unit, line }] : [];
    });
    const first = own[0]?.unit.record;
    if (!first) return [];
    const isFederated = model === 'federated';
    return [
      {
        model,
        label,
        privacy: isFederated ? privacyOf(experiment, units) : null,
        clients: first.clients,
        testRows: first.test_rows,
        trainRows,
        rounds: isFederated ? experiment.rounds.training : 0,
        bytesPerClientRound: isFederated ? bytesOf(units) : null,
        seeds: own.map(({ unit }) => unit.seed),
        tests: own.map(({ unit }) => unit.record.test_sha256.slice(0, 16)),
        values: Object.fromEntries(
          names.flatMap((name) => {
            const values = own.map(({ line }) => rounded(line[name]));
            // What this run does not measure need not be stored as such, seed by seed.
            return values.every((value) => value === null) ? [] : [[name, values]];
          }),
        ),
      },
    ];
  });
}

/** Folders of older versions do not say. */
export function trainRowsOf(dataset: Dataset, { record, point, seed, seedIndex }: DoneUnit): number {
  return record.train_rows ?? scenarioOf(point.experiment, dataset, seed, seedIndex).train.length;
}

function privacyOf({ privacy }: Point['experiment'], units: readonly DoneUnit[]): StoredPrivacy | null {
  if (privacy === null) return null;
  const { unit, delta, gamma } = privacy;
  const spent = Math.max(...units.map(({ record }) => record.epsilon_spent ?? 0));
  const epsilon = rationalToNumber(parseRational(privacy.epsilon));
  return { unit, epsilon, epsilonSpent: Number(spent.toFixed(4)), delta, gamma };
}

function bytesOf(units: readonly DoneUnit[]): number {
  const lines = units.flatMap((unit) => unit.lines).filter((line) => line.model === 'federated');
  const total = (name: 'upload_bytes' | 'uploaded') =>
    lines.reduce((sum, line) => sum + (line[name] ?? 0), 0);
  const uploads = total('uploaded');
  return uploads === 0 ? 0 : Math.round(total('upload_bytes') / uploads);
}
