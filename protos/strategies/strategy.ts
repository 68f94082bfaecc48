/**
 * What both sides of a round must agree on about a strategy: which numbers travel, in which order, at which scale.
 *
 * A device sums up `sharedLength` parameters and `extraLength` coordinates after them; then the weight and the clip bit
 * that a plan may ask for. All of it but the bit is ONE vector: clipped, rotated and noised together, so that no
 * coordinate escapes the sensitivity that accounts are computed from (protos/plan-mechanism.ts).
 * Trusts: a validated plan, but in `issues`. May be called by: every role, through index.ts.
 */
import { parseRational, rationalToNumber } from '../../crypto/dp/rational.ts';
import { modelLayout, parameterCount } from '../model.ts';
import type { Plan } from '../plan.ts';

export interface PlanIssue {
  readonly path: string[];
  readonly message: string;
}

/** What a device keeps between rounds and never sends. */
export type MemoryKey = 'control' | 'personal';

export interface StrategyTerms {
  /** `plain`: local epochs from the received model, and their difference is all that is sent. */
  readonly local: 'plain' | 'own';
  readonly memory?: MemoryKey;
  /** Settings of `training` that this strategy reads and others may not have. */
  readonly fields: readonly string[];
  /** Leading parameters of the model that are summed; the others stay on the device. */
  sharedLength(plan: Plan): number;
  /** Coordinates that are summed after them. */
  extraLength(plan: Plan): number;
  /** Entries after the model in what the model hash of a round binds. */
  companionLength(plan: Plan): number;
  /** Beyond the form of each field. Must not derive lengths of the sum. */
  issues?(plan: Plan): PlanIssue[];
}

/** The whole model, nothing beside it. */
export const plainTerms: StrategyTerms = {
  local: 'plain',
  fields: [],
  sharedLength: ({ model }) => parameterCount(model),
  extraLength: () => 0,
  companionLength: () => 0,
};

/** Offset of the first parameter of the last `count` dense layers; 0 where nothing stands before them. */
export function layersFrom({ model }: Plan, count: number): number {
  const layers = modelLayout(model);
  return layers[layers.length - count]?.weightsAt ?? 0;
}

/** Part of the clip that an extra coordinate takes at its largest: it leaves √(1 − 1/16) = 97 % to the update. */
export const COORDINATE_SHARE = 1 / 4;

/** Deviations of a sum's noise that its extra coordinate must be worth where every device has the largest value. */
const COORDINATE_SIGNAL_MIN = 5;

/** Refuses a plan whose noise drowns the one coordinate that the strategy divides or multiplies by. */
export function coordinateIssues(
  { privacy, rounds, mechanism, training }: Plan,
  devices: number,
): PlanIssue[] {
  if (!privacy) return [];
  const deviation = Math.sqrt(rationalToNumber(parseRational(privacy.noiseVariance)) * devices);
  const signal = (COORDINATE_SHARE * mechanism.unitsPerClip * devices) / deviation;
  if (!(signal < COORDINATE_SIGNAL_MIN)) return [];
  const message =
    `${training.strategy} adds one number per device, whose sum over ${devices} devices is at most ` +
    `${signal.toPrecision(2)} deviations of the noise, and needs ${COORDINATE_SIGNAL_MIN}: raise rounds.cohortMin ` +
    `(${rounds.cohortMin}) or lower privacy.noiseVariance`;
  return [trainingIssue('strategy', message)];
}

export const trainingIssue = (field: string, message: string): PlanIssue => ({
  path: ['training', field],
  message,
});
