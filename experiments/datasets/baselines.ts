/**
 * What a federated run is compared with: the same model trained on all training rows in one place, and on
 * one client's rows alone. Same engine, same splits, same features.
 *
 * For: experiments/ and the demo's table (central_auc, local_auc). Harness only.
 */
import type { TrainEngine, TrainOptions } from '../../client/training/engine.ts';
import type { ModelSpec } from '../../client/training/model.ts';
import { initialWeights } from '../../client/training/model.ts';
import { ensure } from '../../crypto/error.ts';
import { outputKindOf } from '../../protos/model.ts';
import type { Evaluation, TaskMetrics } from './evaluate.ts';
import { evaluate, evaluateTask } from './evaluate.ts';
import type { Dataset } from './index.ts';
import { subset } from './index.ts';

/**
 * Options that bring the baselines near their optimum: LR by full-batch gradient descent (convex, so the
 * path does not matter), MLP by minibatches.
 */
export function baselineOptions(spec: ModelSpec, seed: string): TrainOptions {
  const shared = { proximalMu: 0, l2: 1e-4, seed };
  // Squared error curves by ‖x‖² ≤ inputs + 1: a longer step may diverge (log-loss curves a quarter as much).
  if (spec.kind === 'lr' && outputKindOf(spec) === 'regression')
    return { ...shared, epochs: 1000, batchSize: 1_000_000, learningRate: 1 / (spec.inputs + 1) };
  return spec.kind === 'lr'
    ? { ...shared, epochs: 400, batchSize: 1_000_000, learningRate: 1 }
    : { ...shared, epochs: 30, batchSize: 32, learningRate: 0.1 };
}

export interface CentralBaseline {
  readonly weights: Float32Array;
  readonly evaluation: Evaluation;
}

/** Trains on all of `train` at once and evaluates on `test`. */
export async function centralBaseline(
  engine: TrainEngine,
  spec: ModelSpec,
  dataset: Dataset,
  rows: { readonly train: readonly number[]; readonly test: readonly number[] },
  options: TrainOptions,
): Promise<CentralBaseline> {
  const start = initialWeights(spec, options.seed);
  const weights = await engine.train(spec, start, subset(dataset, rows.train), options);
  return { weights, evaluation: await evaluate(engine, spec, weights, dataset, rows.test) };
}

/** The model of a data set's task: `hidden` empty is linear (logistic, softmax or linear regression). */
export function modelOf(
  dataset: Pick<Dataset, 'inputs' | 'schema'>,
  hidden: readonly number[] = [],
): ModelSpec {
  const { label } = dataset.schema;
  return {
    kind: hidden.length === 0 ? 'lr' : 'mlp',
    inputs: dataset.inputs,
    hidden: [...hidden],
    activation: 'relu',
    ...('classes' in label ? { output: { kind: 'classes', count: label.classes.length } } : {}),
    ...('target' in label ? { output: { kind: 'regression' } } : {}),
  };
}

/** Any task: trains on all of `train` at once and measures on `test`. */
export async function centralTaskBaseline(
  engine: TrainEngine,
  spec: ModelSpec,
  dataset: Dataset,
  rows: { readonly train: readonly number[]; readonly test: readonly number[] },
  options: TrainOptions,
): Promise<{ readonly weights: Float32Array; readonly metrics: TaskMetrics }> {
  const start = initialWeights(spec, options.seed);
  const weights = await engine.train(spec, start, subset(dataset, rows.train), options);
  return { weights, metrics: await evaluateTask(engine, spec, weights, dataset, rows.test) };
}

export interface LocalBaseline {
  /** Means over clients of a client-only model's metrics on the *pooled* test rows. */
  readonly auc: number;
  readonly accuracy: number;
  readonly clients: readonly { readonly name: string; readonly auc: number; readonly accuracy: number }[];
}

/**
 * One model per client, trained on that client's rows only and evaluated on the pooled test rows.
 * @param clients rows per client; at most `clientsMax` (default 50) are tried, evenly spaced, so that 300
 *   one-person clients do not take minutes
 */
export async function localBaseline(
  engine: TrainEngine,
  spec: ModelSpec,
  dataset: Dataset,
  clients: ReadonlyMap<string, readonly number[]>,
  test: readonly number[],
  options: TrainOptions,
  clientsMax = 50,
): Promise<LocalBaseline> {
  ensure(clients.size > 0, 'DATA_EMPTY', 'there are no clients');
  const all = [...clients];
  const tried = Math.min(all.length, clientsMax);
  const results: LocalBaseline['clients'][number][] = [];
  for (let i = 0; i < tried; i++) {
    const [name, train] = all[Math.floor((i * all.length) / tried)]!;
    const { evaluation } = await centralBaseline(engine, spec, dataset, { train, test }, options);
    results.push({ name, auc: evaluation.auc, accuracy: evaluation.accuracy });
  }
  const mean = (pick: (result: (typeof results)[number]) => number): number =>
    results.reduce((sum, result) => sum + pick(result), 0) / results.length;
  return { auc: mean((result) => result.auc), accuracy: mean((result) => result.accuracy), clients: results };
}
