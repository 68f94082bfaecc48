/**
 * The harness of a demo: scores the released model on the held-out rows and compares it with central and local-only
 * training. All data in one place, outside the guarantee, and labelled so (DESIGN §2.12).
 *
 * May be called by: experiments/ only.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TrainEngine } from '../../client/training/engine.ts';
import type { ModelSpec } from '../../protos/model.ts';
import { baselineOptions, centralBaseline, localBaseline } from '../datasets/baselines.ts';
import { type Evaluation, evaluate } from '../datasets/evaluate.ts';
import { worstDecile } from '../datasets/metrics.ts';
import type { Scenario } from './scenario.ts';

export interface HarnessResult {
  readonly federated: Evaluation;
  readonly central: Evaluation;
  readonly local: { readonly auc: number; readonly accuracy: number };
  /** Mean accuracy of the worst tenth of sites (at least one). */
  readonly worstDecile: number;
}

export interface ModelFile {
  readonly spec: ModelSpec;
  readonly weights: readonly number[];
  readonly modelHash: string;
}

export const readModel = (runDirectory: string): ModelFile =>
  JSON.parse(readFileSync(join(runDirectory, 'model.json'), 'utf8')) as ModelFile;

export async function runHarness(
  engine: TrainEngine,
  scenario: Scenario,
  runDirectory: string,
  seed: string,
): Promise<HarnessResult> {
  const model = readModel(runDirectory);
  const { dataset, train, test } = scenario;
  const federated = await evaluate(engine, model.spec, Float32Array.from(model.weights), dataset, test);
  const options = baselineOptions(model.spec, seed);
  const central = await centralBaseline(engine, model.spec, dataset, { train, test }, options);
  const clients = new Map(scenario.clients.map((client) => [client.name, client.train] as const));
  const local = await localBaseline(engine, model.spec, dataset, clients, test, options, 20);
  writePredictions(runDirectory, federated);
  return {
    federated,
    central: central.evaluation,
    local: { auc: local.auc, accuracy: local.accuracy },
    worstDecile: worstDecile(federated.perSite.map((site) => site.accuracy)),
  };
}

/** predictions.csv: what an outside script needs to recompute every AUC in the table. */
function writePredictions(runDirectory: string, evaluation: Evaluation): void {
  const lines = Array.from(evaluation.labels, (label, i) => `test,${label},${evaluation.scores[i]}`);
  writeFileSync(join(runDirectory, 'predictions.csv'), `split,label,score\n${lines.join('\n')}\n`);
}
