/** A small experiment for the tests of this directory: made-up people in four hospitals, seconds to run. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ExperimentFile, parseExperiment } from './experiment.ts';

export const SMALL = `name: small
dataset: { name: synthetic-band, rows: 400 }
clients: site
split: per-site
model: { kind: lr }
training: { strategy: fedavg, epochs: 2, batchSize: 32, learningRate: 0.5 }
rounds: 2
privacy: { unit: record, epsilon: 8, gamma: 1/3 }
baselines: [central]
simulation: { workers: 0 }
seeds: 2
`;

export const smallExperiment = (
  overrides: Readonly<Record<string, unknown>> = {},
  text: string = SMALL,
): ExperimentFile => parseExperiment(text, 'small.yaml', overrides);

export function temporaryFolder(): { readonly path: string; dispose(): void } {
  const path = mkdtempSync(join(tmpdir(), 'pulsefold-run-'));
  return { path, dispose: () => rmSync(path, { recursive: true, force: true }) };
}
