/**
 * The TrainEngine port: what local training needs from a numerical library, and the choice of one.
 *
 * For: client agents, experiments (baselines, evaluation). Data never leaves the process through here:
 * weights and rows in, weights, gradients or probabilities out. Trusts: the installed @tensorflow packages.
 * Every engine passes the same contract suite (engine.test.ts); engines differ in the last bits, so a
 * reproducible run pins its engine.
 */
import { PulsefoldError } from '../../crypto/error.ts';
import type { ModelSpec } from './model.ts';

export interface TrainingData {
  /** count × inputs, row-major, finite. */
  readonly features: Float32Array;
  /** count entries: class indices (0 or 1 for a binary model), or Float32Array of real targets for regression. */
  readonly labels: Uint8Array | Float32Array;
  readonly count: number;
}

export interface TrainOptions {
  /** Passes over the local rows, 1 to 1,000. */
  epochs: number;
  /** Rows per SGD step; at least `count` means full batches. */
  batchSize: number;
  /** SGD step length on the mean loss: log-loss, softmax cross-entropy, half squared error. */
  learningRate: number;
  /** FedProx (Li et al. 1812.06127): adds μ/2·‖w − w_received‖² to the loss; 0 is FedAvg. */
  proximalMu: number;
  /** Adds l2/2·‖W‖² over all weights but not the biases. */
  l2: number;
  /** Seeds the order of the rows; public. */
  seed: string;
  /** parameterCount entries, added to the gradient of every step (SCAFFOLD's c − c_i). */
  gradientOffset?: Float32Array;
  /** Ranges [from, to) of the flat vector whose weights do not move (FedPer); ascending, not overlapping. */
  frozen?: readonly (readonly [number, number])[];
  /** Told once, at the end, how many SGD steps were taken (FedNova). */
  onSteps?: (steps: number) => void;
}

export type EngineName = 'tfjs-node' | 'tfjs-wasm' | 'tfjs-cpu' | 'kernel';

export interface TrainEngine {
  readonly name: EngineName;
  /** Engines preferred over this one and why each was not used. */
  readonly skipped: readonly { engine: string; reason: string }[];
  /** New flat weights after the local epochs; the caller subtracts. */
  train(
    spec: ModelSpec,
    weights: Float32Array,
    data: TrainingData,
    options: TrainOptions,
  ): Promise<Float32Array>;
  /** count × parameterCount, row-major: gradient of each record's own loss at `weights`. */
  recordGradients(spec: ModelSpec, weights: Float32Array, data: TrainingData): Promise<Float32Array>;
  /** count × outputsOf(spec), row-major: probability of class 1 (binary), of each class, or the value (regression). */
  predict(
    spec: ModelSpec,
    weights: Float32Array,
    features: Float32Array,
    count: number,
  ): Promise<Float32Array>;
}

/** Loads one engine or throws with the reason; `skipped` is passed through to the engine. */
export type EngineLoader = (skipped: TrainEngine['skipped']) => Promise<TrainEngine>;

/** Without 'kernel', which is there by name only. */
export const engineOrder: readonly EngineName[] = ['tfjs-node', 'tfjs-wasm', 'tfjs-cpu'];

const defaultLoaders: Readonly<Record<string, EngineLoader>> = {
  'tfjs-node': async (skipped) => (await import('./tfjs-load.ts')).loadTfjsNode(skipped),
  'tfjs-wasm': async (skipped) => (await import('./tfjs-load.ts')).loadTfjsWasm(skipped),
  'tfjs-cpu': async (skipped) => (await import('./tfjs-load.ts')).loadTfjsCpu(skipped),
  kernel: async (skipped) => (await import('./kernel-engine.ts')).loadKernelEngine(skipped),
};

const reasonLengthMax = 300;

/**
 * The first engine of `prefer` that loads; the ones before it are listed in its `skipped` with the reason.
 * @throws PulsefoldError CONFIG_INVALID for an unknown name; UNAVAILABLE when none loads.
 */
export async function loadTrainEngine(
  prefer: readonly string[] = engineOrder,
  loaders: Readonly<Record<string, EngineLoader>> = defaultLoaders,
): Promise<TrainEngine> {
  const skipped: { engine: string; reason: string }[] = [];
  for (const engine of prefer) {
    const loader = Object.hasOwn(loaders, engine) ? loaders[engine] : undefined;
    if (!loader)
      throw new PulsefoldError(
        'CONFIG_INVALID',
        `unknown training engine "${engine.slice(0, 40)}"; known: ${Object.keys(loaders).join(', ')}`,
      );
    try {
      return await loader([...skipped]);
    } catch (error) {
      skipped.push({ engine, reason: describeFailure(error) });
    }
  }
  const tried = skipped.map(({ engine, reason }) => `${engine} (${reason})`).join('; ');
  throw new PulsefoldError(
    'UNAVAILABLE',
    `no training engine could be loaded: ${tried || 'none was asked for'}`,
  );
}

/** An absolute path or file URL, up to the punctuation that ends it; names may hold spaces. */
const absolutePath = /(?:file:\/\/|(?<![\w.@/\\-]))(?:[A-Za-z]:)?[\\/](?![\\/\s])[^:'"()]*/g;

/** First line of an error, without paths of this machine. */
function describeFailure(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const firstLine = message.split('\n')[0] ?? '';
  return firstLine.replace(absolutePath, '<path>').slice(0, reasonLengthMax);
}
