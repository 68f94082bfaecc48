/**
 * What docs/results.json holds: figures of every seed, as the run folders have them, so that the page can be written again
 * and every interval on it recomputed without running anything.
 *
 * Trusts: its own file. May be called by: experiments/results.
 */
import { existsSync, readFileSync } from 'node:fs';
import { ensure } from '../../crypto/error.ts';
import type { LabelKind } from '../../protos/features.ts';
import type { MetricName } from '../runs/task-metrics.ts';

export const STORED_VERSION = 1;

export type StoredModel = 'federated' | 'central' | 'local' | 'personal' | 'common';

export interface StoredPrivacy {
  readonly unit: string;
  readonly epsilon: number;
  readonly epsilonSpent: number;
  readonly delta: string;
  readonly gamma: string;
}

/** One model of one sweep point, after its last round. */
export interface StoredCondition {
  readonly model: StoredModel;
  /** The sweep point's label; empty without a sweep. */
  readonly label: string;
  readonly privacy: StoredPrivacy | null;
  readonly clients: number;
  readonly testRows: number;
  /** Rows that all clients train on together. */
  readonly trainRows: number;
  readonly rounds: number;
  /** Uploaded by one device in one round, sealed as the plan says; null for what is no federation. */
  readonly bytesPerClientRound: number | null;
  readonly seeds: readonly string[];
  /** First 16 hexadecimal digits of the SHA-256 over the test rows, by seed: equal ones pair. */
  readonly tests: readonly string[];
  /** By seed, six digits; null where a metric is not defined. */
  readonly values: Readonly<Partial<Record<MetricName, readonly (number | null)[]>>>;
}

export interface StoredRun {
  readonly id: string;
  readonly file: string;
  readonly experimentSha256: string;
  readonly dataset: string;
  readonly task: LabelKind;
  readonly ran: Readonly<Record<string, string>>;
  readonly code: readonly string[];
  readonly machine: string;
  /** Computing time of all units done, wall clock, milliseconds. */
  readonly elapsedMs: number;
  readonly conditions: readonly StoredCondition[];
}

export interface StoredResults {
  readonly version: typeof STORED_VERSION;
  readonly runs: readonly StoredRun[];
}

/** Empty where there is no file yet. @throws DATA_INVALID */
export function readStored(file: string): StoredResults {
  if (!existsSync(file)) return { version: STORED_VERSION, runs: [] };
  const stored = JSON.parse(readFileSync(file, 'utf8')) as StoredResults;
  ensure(
    stored.version === STORED_VERSION && Array.isArray(stored.runs),
    'DATA_INVALID',
    `${file} is of another version: remove it and run npm run results`,
  );
  return stored;
}

/** One condition a line: a diff shows what moved. */
export function storedText({ version, runs }: StoredResults): string {
  const runText = ({ conditions, ...head }: StoredRun): string => {
    const lines = conditions.map((condition) => `      ${JSON.stringify(condition)}`).join(',\n');
    const fields = Object.entries(head).map(([name, value]) => `    "${name}": ${JSON.stringify(value)}`);
    return `  {\n${fields.join(',\n')},\n    "conditions": [\n${lines}\n    ]\n  }`;
  };
  return `{\n"version": ${version},\n"runs": [\n${runs.map(runText).join(',\n')}\n]\n}\n`;
}
