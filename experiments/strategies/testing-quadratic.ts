/**
 * Test support: devices whose losses are a/2·‖w − b‖², so that strategies have closed forms, and the real pipeline
 * around them: plan, device's part, clip and integers, opened sum, release.
 *
 * Trusts: nothing that ships may import it (.dependency-cruiser.cjs). May be called by: tests in experiments/strategies.
 */
import { protectContribution } from '../../client/agent/protect.ts';
import type { TrainEngine, TrainingData, TrainOptions } from '../../client/training/engine.ts';
import type { ModelSpec } from '../../client/training/model.ts';
import { PlainMemory, type StrategyMemory } from '../../client/training/strategies/index.ts';
import { initialOptimizer, type OpenedSum, releaseTraining } from '../../coordinator/aggregation/release.ts';
import { centredResidue } from '../../crypto/dp/mechanism.ts';
import { type RandomSource, seededRandom } from '../../crypto/random.ts';
import { finishPlan, type ParsedPlan } from '../../protos/plan.ts';
import { digitCountOf, layoutOf } from '../../protos/plan-scheme.ts';
import type { RoundConfig } from '../../protos/round-config.ts';
import { initialBlob, modelOf } from '../../protos/strategies/index.ts';

/** Loss a/2·‖w − b‖²; `records` decides how many steps an epoch takes. */
export interface Quadratic {
  readonly a: number;
  readonly b: readonly number[];
  readonly records?: number;
}

type Engine = Pick<TrainEngine, 'train' | 'predict' | 'recordGradients'>;

/** Gradient descent on quadratics, by the contract of TrainEngine. */
export class QuadraticEngine implements Engine {
  readonly #losses = new Map<Float32Array, Quadratic>();

  dataOf(loss: Quadratic): TrainingData {
    const count = loss.records ?? 1;
    const features = new Float32Array(count * (loss.b.length - 1));
    this.#losses.set(features, loss);
    return { features, labels: new Float32Array(count), count };
  }

  async train(
    _spec: ModelSpec,
    weights: Float32Array,
    data: TrainingData,
    options: TrainOptions,
  ): Promise<Float32Array> {
    const { a, b } = this.#losses.get(data.features)!;
    const { epochs, batchSize, learningRate, proximalMu, gradientOffset } = options;
    const steps = epochs * Math.ceil(data.count / batchSize);
    const current = Float64Array.from(weights);
    for (let step = 0; step < steps; step++)
      for (let i = 0; i < current.length; i++) {
        const pull = proximalMu * (current[i]! - weights[i]!);
        const gradient = a * (current[i]! - b[i]!) + pull + (gradientOffset?.[i] ?? 0);
        current[i] = current[i]! - learningRate * gradient;
      }
    options.onSteps?.(steps);
    return Float32Array.from(current);
  }

  /** Values whose half squared error from targets of 0 is the loss. */
  async predict(
    _spec: ModelSpec,
    weights: Float32Array,
    features: Float32Array,
    count: number,
  ): Promise<Float32Array> {
    const { a, b } = this.#losses.get(features)!;
    const squares = b.reduce((sum, value, i) => sum + (weights[i]! - value) ** 2, 0);
    return new Float32Array(count).fill(Math.sqrt(a * squares));
  }

  async recordGradients(_spec: ModelSpec, weights: Float32Array, data: TrainingData): Promise<Float32Array> {
    const { a, b } = this.#losses.get(data.features)!;
    return Float32Array.from({ length: data.count * weights.length }, (_, i) => {
      const at = i % weights.length;
      return a * (weights[at]! - b[at]!);
    });
  }
}

/** Settings without which a strategy is refused. */
export const neededTerms: Readonly<Record<string, object>> = {
  scaffold: { populationCount: 4 },
  qfedavg: { fairness: 1, lossMax: 10 },
  ditto: { proximalMu: 0.5 },
};

const feature = (column: string) => ({ column, kind: 'number', minimum: 0, maximum: 1 });

/** Zero-initialised linear model of `parameters` entries; for fedper two layers, the last of 3 entries. */
export function strategyPlan(
  strategy: string,
  training: object = {},
  changes: object = {},
  parameters = 3,
): ParsedPlan {
  const inputs = strategy === 'fedper' ? 2 : parameters - 1;
  const hidden = strategy === 'fedper' ? [2] : [];
  return finishPlan({
    version: 1,
    name: 'strategies',
    purpose: 'A test of strategies.',
    suite: 'intl',
    seed: '1',
    features: {
      dataset: 'test',
      label: { column: 'value', target: { minimum: 0, maximum: 1 } },
      features: Array.from({ length: inputs }, (_, i) => feature(`f${i}`)),
      complete: true,
    },
    model: {
      kind: strategy === 'fedper' ? 'mlp' : 'lr',
      inputs,
      hidden,
      activation: 'tanh',
      output: { kind: 'regression' },
    },
    training: {
      strategy,
      epochs: 2,
      batchSize: 1,
      learningRate: 0.1,
      ...neededTerms[strategy],
      ...training,
    },
    rounds: {
      training: 500,
      cohortMin: 2,
      cohortTarget: 4,
      cohortMax: 16,
      checkInWindowMs: 1000,
      deadlineMs: 10_000,
    },
    eligibility: { recordsMin: 1, recordsMax: 10 },
    mechanism: { clip: '16', unitsPerClip: 2 ** 22 },
    privacy: null,
    aggregation: { transport: 'shares' },
    holders: [1, 2, 3, 4].map((i) => ({
      id: `holder-${i}`,
      signingPublicKey: `${i}`.repeat(64),
      sealingPublicKey: `${i + 4}`.repeat(64),
    })),
    registrarSha256: '0'.repeat(64),
    coordinatorPublicKey: '9'.repeat(64),
    ...changes,
  });
}

const NO_HASH = '0'.repeat(64);

export const trainingConfig = (parsed: ParsedPlan, round: number): RoundConfig => ({
  version: 1,
  planHash: parsed.hashHex,
  round,
  kind: 'training',
  modelHash: NO_HASH,
  committeeKeyId: NO_HASH,
  digitCount: digitCountOf(parsed, 'training'),
  openedAtMs: 0,
});

export interface Device {
  readonly data: TrainingData;
  readonly memory: StrategyMemory;
}

/** A federation that runs rounds through protectContribution and releaseTraining. */
export class Federation {
  readonly parsed: ParsedPlan;
  readonly engine: Engine;
  readonly devices: readonly Device[];
  readonly #random: RandomSource;
  blob: Float32Array;
  optimizer: string;
  round = 0;

  constructor(
    parsed: ParsedPlan,
    engine: Engine,
    tables: readonly TrainingData[],
    memories?: StrategyMemory[],
  ) {
    this.parsed = parsed;
    this.engine = engine;
    this.devices = tables.map((data, i) => ({ data, memory: memories?.[i] ?? new PlainMemory() }));
    this.#random = seededRandom('strategies');
    this.blob = initialBlob(parsed.plan);
    this.optimizer = initialOptimizer(parsed.plan);
  }

  static ofQuadratics(parsed: ParsedPlan, losses: readonly Quadratic[]): Federation {
    const engine = new QuadraticEngine();
    return new Federation(
      parsed,
      engine,
      losses.map((loss) => engine.dataOf(loss)),
    );
  }

  get model(): Float32Array {
    return modelOf(this.parsed.plan, this.blob);
  }

  contribution({ data, memory }: Device, round = this.round, weights = this.blob): Promise<Int32Array> {
    const { parsed, engine } = this;
    const config = trainingConfig(parsed, round);
    return protectContribution({ parsed, config, weights, data, engine, random: this.#random, memory });
  }

  /** One round of the devices of these indices, all where absent; `late`: from an older blob than the newest. */
  async step(
    cohort: readonly number[] = this.devices.map((_, i) => i),
    late?: { readonly blob: Float32Array; readonly staleness: number },
  ): Promise<void> {
    this.round += 1;
    const totals = new Float64Array(digitCountOf(this.parsed, 'training'));
    for (const index of cohort)
      for (const [i, value] of (
        await this.contribution(this.devices[index]!, this.round, late?.blob)
      ).entries())
        totals[i]! += value;
    const { modulusBits } = layoutOf(this.parsed, 'training');
    const digits = Int32Array.from(totals, (total) => centredResidue(total, modulusBits));
    const { staleness = 0 } = late ?? {};
    const sum: OpenedSum = { digits, round: this.round, cohortCount: cohort.length, staleness };
    const release = releaseTraining(this.parsed, sum, this.blob, this.optimizer);
    this.blob = release.weights;
    this.optimizer = release.optimizer;
  }

  async run(rounds: number): Promise<Float32Array> {
    for (let i = 0; i < rounds; i++) await this.step();
    return this.model;
  }
}
