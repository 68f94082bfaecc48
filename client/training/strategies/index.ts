/**
 * The registry of devices' parts of strategies: from a received blob and local rows to the vector that is protected,
 * and to the model that this device evaluates.
 *
 * Trusts: an approved plan, verified weights, local data. May be called by: client/agent, experiments.
 */
import { ensure } from '../../../crypto/error.ts';
import type { Plan } from '../../../protos/plan.ts';
import type { StrategyName } from '../../../protos/plan-training.ts';
import { modelOf, updateLength } from '../../../protos/strategies/index.ts';
import { ditto } from './ditto.ts';
import { fednova } from './fednova.ts';
import { fedper, fedperModel } from './fedper.ts';
import { type LocalRound, type LocalStrategy, recall } from './local.ts';
import { plain } from './plain.ts';
import { qfedavg } from './qfedavg.ts';
import { scaffold } from './scaffold.ts';

export type { LocalRound } from './local.ts';
export { type MemoryKey, PlainMemory, type StrategyMemory } from './memory.ts';

const strategies: Readonly<Record<StrategyName, LocalStrategy>> = {
  fedavg: plain,
  fedprox: plain,
  fedavgm: plain,
  fedadam: plain,
  fedyogi: plain,
  fedadagrad: plain,
  fednova,
  scaffold,
  qfedavg,
  fedper,
  ditto,
  fedbuff: plain,
};

/**
 * One device's contribution to a training sum, model units: what its strategy sums, times its weight, and the weight.
 * Clipped, all of it, by `protectPerson`. @throws DATA_INVALID, DATA_EMPTY of the engine, VECTOR_LENGTH_MISMATCH.
 */
export async function localUpdate(round: LocalRound): Promise<Float64Array> {
  const { plan, data } = round;
  const values = await strategies[plan.training.strategy](round);
  ensure(values.length === updateLength(plan), 'INTERNAL', 'the strategy made a vector of another length');
  return weighted(plan, values, data.count);
}

/**
 * The same for plain strategies (protos/strategies: `local`) whose training has been done elsewhere: simulations that
 * train many devices at once. Into `out`, of `contributionLength` entries.
 */
export function plainUpdate(
  plan: Plan,
  received: Float32Array,
  trained: Float32Array,
  rows: number,
  out: Float64Array,
): void {
  const weight = weightOf(plan, rows);
  const length = updateLength(plan);
  ensure(
    out.length === contributionLength(plan),
    'VECTOR_LENGTH_MISMATCH',
    'a contribution of another length',
  );
  for (let i = 0; i < length; i++) out[i] = (weight ?? 1) * (trained[i]! - received[i]!);
  if (weight !== null) out[length] = weight;
}

/** Entries of what a device adds to a training sum before it is protected. */
export const contributionLength = (plan: Plan): number =>
  updateLength(plan) + (plan.training.weighting === 'equal' ? 0 : 1);

/** Null where every device counts the same. */
const weightOf = ({ training, eligibility }: Plan, rows: number): number | null =>
  training.weighting === 'equal' ? null : rows / eligibility.recordsMax;

function weighted(plan: Plan, values: Float64Array, rows: number): Float64Array {
  const weight = weightOf(plan, rows);
  if (weight === null) return values;
  const out = new Float64Array(values.length + 1);
  for (let i = 0; i < values.length; i++) out[i] = weight * values[i]!;
  out[values.length] = weight;
  return out;
}

/** The model that this device uses and evaluates: its personal one where the strategy makes one, else the released. */
export async function modelOfDevice(
  round: Pick<LocalRound, 'plan' | 'blob' | 'memory'>,
): Promise<Float32Array> {
  const { plan, blob } = round;
  if (plan.training.strategy === 'fedper') return fedperModel(round);
  const model = modelOf(plan, blob);
  if (plan.training.strategy !== 'ditto') return model;
  return (await recall(round, 'personal', model.length)) ?? model;
}
