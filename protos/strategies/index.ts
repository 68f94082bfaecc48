/**
 * The registry of strategies, and the lengths that follow from a plan's.
 *
 * Trusts: a validated plan. May be called by: every role. docs/strategies.md.
 */
import { initialWeights, parameterCount } from '../model.ts';
import type { Plan } from '../plan.ts';
import type { StrategyName } from '../plan-training.ts';
import { ditto } from './ditto.ts';
import { fedbuff } from './fedbuff.ts';
import { fednova } from './fednova.ts';
import { fedper } from './fedper.ts';
import { qfedavg } from './qfedavg.ts';
import { scaffold } from './scaffold.ts';
import { plainTerms, type StrategyTerms } from './strategy.ts';

export type { MemoryKey, PlanIssue, StrategyTerms } from './strategy.ts';

const strategies: Readonly<Record<StrategyName, StrategyTerms>> = {
  fedavg: plainTerms,
  // The proximal term is the device's, the difference is summed as ever.
  fedprox: { ...plainTerms, fields: ['proximalMu'] },
  fedavgm: plainTerms,
  fedadam: plainTerms,
  fedyogi: plainTerms,
  fedadagrad: plainTerms,
  fednova,
  scaffold,
  qfedavg,
  fedper,
  ditto,
  fedbuff,
};

export const strategyOf = ({ training }: Plan): StrategyTerms => strategies[training.strategy];

/** Leading parameters of the model that are summed. */
export const sharedLength = (plan: Plan): number => strategyOf(plan).sharedLength(plan);

/** Coordinates that a strategy sums beside them. */
export const extraLength = (plan: Plan): number => strategyOf(plan).extraLength(plan);

/** Entries of what a strategy sums: without a weight and a clip bit. */
export const updateLength = (plan: Plan): number => sharedLength(plan) + extraLength(plan);

/** Entries of what the model hash of a round binds: the model, and what the strategy sends with it. */
export const blobLength = (plan: Plan): number =>
  parameterCount(plan.model) + strategyOf(plan).companionLength(plan);

/** The blob that the first round starts from: the initial model, zeros after it. */
export function initialBlob(plan: Plan): Float32Array {
  const blob = new Float32Array(blobLength(plan));
  blob.set(initialWeights(plan.model, plan.seed));
  return blob;
}

/** The model in a blob; a view. */
export const modelOf = (plan: Plan, blob: Float32Array): Float32Array =>
  blob.subarray(0, parameterCount(plan.model));
