/**
 * What a device's part of a strategy is given, and the steps that strategies share.
 *
 * Trusts: an approved plan, verified weights, local data. May be called by: client/training/strategies.
 */
import { ensure } from '../../../crypto/error.ts';
import type { Plan } from '../../../protos/plan.ts';
import { type MemoryKey, modelOf } from '../../../protos/strategies/index.ts';
import type { TrainEngine, TrainingData, TrainOptions } from '../engine.ts';
import type { StrategyMemory } from './memory.ts';

export interface LocalRound {
  readonly plan: Plan;
  readonly round: number;
  /** What the round's model hash binds: the model, then what the strategy sends with it. Not changed. */
  readonly blob: Float32Array;
  readonly data: TrainingData;
  readonly engine: Pick<TrainEngine, 'train' | 'predict'>;
  /** Clip of the round, model units. */
  readonly clip: number;
  /** Needed by strategies that keep something between rounds. */
  readonly memory?: StrategyMemory | undefined;
}

/** What a device sums up, before any weight: sharedLength + extraLength entries, model units. */
export type LocalStrategy = (round: LocalRound) => Promise<Float64Array>;

/** Local epochs from `start`, by the plan's terms. */
export const trainFrom = (
  { plan, round, data, engine }: LocalRound,
  start: Float32Array,
  more: Partial<TrainOptions> = {},
): Promise<Float32Array> => {
  const { epochs, batchSize, learningRate, l2 } = plan.training;
  const seed = `${plan.seed}/${round}`;
  return engine.train(plan.model, start, data, {
    epochs,
    batchSize,
    learningRate,
    l2,
    proximalMu: 0,
    seed,
    ...more,
  });
};

export const modelOfRound = ({ plan, blob }: Pick<LocalRound, 'plan' | 'blob'>): Float32Array =>
  modelOf(plan, blob);

/** after − before, as doubles; the first `length` entries, in a vector with room for `extra` more. */
export function difference(
  after: Float32Array,
  before: Float32Array,
  length = before.length,
  extra = 0,
): Float64Array {
  const update = new Float64Array(length + extra);
  for (let i = 0; i < length; i++) update[i] = after[i]! - before[i]!;
  return update;
}

/** What was kept under `key`, which must have `length` entries; null in a device's first round. */
export async function recall(
  { plan, memory }: Pick<LocalRound, 'plan' | 'memory'>,
  key: MemoryKey,
  length: number,
): Promise<Float32Array | null> {
  const values = await memoryOf({ plan, memory }).load(key);
  ensure(
    values === null || values.length === length,
    'VECTOR_LENGTH_MISMATCH',
    `this device keeps ${values?.length} numbers for ${plan.training.strategy}, the plan has ${length}`,
  );
  return values;
}

export function memoryOf({ plan, memory }: Pick<LocalRound, 'plan' | 'memory'>): StrategyMemory {
  ensure(memory, 'INTERNAL', `${plan.training.strategy} needs a device that remembers`);
  return memory;
}

export function squaredNorm(vector: Float64Array): number {
  let squares = 0;
  for (const value of vector) squares += value * value;
  return squares;
}
