/**
 * The accountant's numbers derived from the plan: sensitivity, dimension, honest noise shares. Written from
 * docs/protocol.md and independent of crypto/dp and protos/plan-mechanism.ts, which the audited parties used.
 *
 * Trusts: the parsed plan. May be called by: auditor/.
 */
import { modelLayout, parameterCount } from '../protos/model.ts';
import type { Plan } from '../protos/plan.ts';
import type { MechanismTerms } from './accountant.ts';
import { groupCountOf, type RoundPurpose, smallestGroupShares } from './group-terms.ts';
import { fraction, real } from './numbers.ts';

/** ⌊√n⌋, by bits from the top. */
export function squareRoot(n: bigint): bigint {
  let root = 0n;
  for (let bit = 1n << BigInt((n.toString(2).length / 2 + 1) | 0); bit > 0n; bit >>= 1n)
    if ((root + bit) * (root + bit) <= n) root += bit;
  return root;
}

/**
 * D²: the smaller of ⌊(G+√d)²⌋ and ⌊G² + G + (d + 2√d)/4⌋ (conditional rounding, arXiv 2102.06387,
 * Theorem 1).
 */
export function normBoundSquared(unitsPerClip: number, dimension: number): bigint {
  const g = BigInt(unitsPerClip);
  const d = BigInt(dimension);
  const always = g * g + d + squareRoot(4n * g * g * d);
  const conditional = g * g + g + (d + squareRoot(4n * d)) / 4n;
  return always < conditional ? always : conditional;
}

/** Numbers that a device's strategy sums (docs/strategies.md, "What is summed"). */
function summedLength({ model, training }: Plan): number {
  const parameters = parameterCount(model);
  switch (training.strategy) {
    case 'scaffold':
      return 2 * parameters;
    case 'fednova':
    case 'qfedavg':
      return parameters + 1;
    case 'fedper':
      return modelLayout(model).at(-(training.personalLayers ?? 1))?.weightsAt ?? 0;
    default:
      return parameters;
  }
}

export function dimensionOf(plan: Plan, purpose: RoundPurpose): number {
  if (purpose === 'evaluation') return 2 * plan.evaluation.bins;
  const clipBit = plan.mechanism.adaptiveClip === undefined ? 0 : 1;
  return summedLength(plan) + (plan.training.weighting === 'records' ? 1 : 0) + clipBit;
}

/**
 * Opened coefficients of a noised round: one per entry and group. More would be more than the sums (digits carry), and
 * no accountant covers them. undefined without DP, where the length is a matter of packing.
 */
export const openedLength = (plan: Plan, purpose: RoundPurpose): number | undefined =>
  plan.privacy === null ? undefined : groupCountOf(plan, purpose) * dimensionOf(plan, purpose);

/** ⌊(1−γ)·|A|⌋, exact. */
export function honestShares(gamma: string, cohortCount: number): number {
  const [numerator, denominator] = fraction(gamma);
  return Number(((denominator - numerator) * BigInt(cohortCount)) / denominator);
}

/** Noise shares in what a round opens: of the whole cohort, or of its smallest group. */
function sharesOf(plan: Plan, purpose: RoundPurpose, cohortCount: number): number {
  const groups = groupCountOf(plan, purpose);
  if (groups > 1) return smallestGroupShares(plan, cohortCount, groups);
  return honestShares(plan.privacy!.gamma, cohortCount);
}

/**
 * The update's bound; and where the clip adapts, the square of one entry more that is bitUnits or −bitUnits, and that the
 * bound on the rotated update does not count.
 */
function trainingSensitivitySquared({ mechanism }: Plan, dimension: number): number {
  const { adaptiveClip, unitsPerClip } = mechanism;
  if (adaptiveClip === undefined) return Number(normBoundSquared(unitsPerClip, dimension));
  const bit = BigInt(adaptiveClip.bitUnits);
  return Number(normBoundSquared(unitsPerClip, dimension - 1) + bit * bit);
}

/** What the plan says a round with this cohort does; undefined for a plan without DP. */
export function termsOf(plan: Plan, purpose: RoundPurpose, cohortCount: number): MechanismTerms | undefined {
  const { privacy } = plan;
  if (privacy === null) return undefined;
  const dimension = dimensionOf(plan, purpose);
  const training = purpose === 'training';
  return {
    // A record changes one bin by one; a person's histogram has norm at most 1.
    sensitivitySquared: training ? trainingSensitivitySquared(plan, dimension) : 1,
    shareVariance: real(training ? privacy.noiseVariance : (privacy.evaluationNoiseVariance ?? '0')),
    shares: sharesOf(plan, purpose, cohortCount),
    dimension,
    samplingRate: training ? real(privacy.samplingRate) : 1,
  };
}

/**
 * Reads a mechanism leaf's event (crypto/dp/events.ts, `formatEvent`) into terms; undefined if it is
 * another kind.
 */
export function termsOfEvent(
  event: unknown,
): (MechanismTerms & { unit: string; neighbouring: string }) | undefined {
  const outer = asRecord(event);
  if (outer === undefined) return undefined;
  const sampled = outer.type === 'poisson_sampled';
  const inner = sampled ? asRecord(outer.event) : outer;
  if (inner === undefined) return undefined;
  const distributed = inner.type === 'distributed_discrete_gaussian';
  if (!distributed && inner.type !== 'discrete_gaussian') return undefined;
  const number = (value: unknown): number => (typeof value === 'string' ? real(value) : Number.NaN);
  const count = (value: unknown): number => (Number.isSafeInteger(value) ? (value as number) : Number.NaN);
  return {
    unit: String(inner.unit),
    neighbouring: String(inner.neighbouring),
    sensitivitySquared: number(inner.sensitivitySquared),
    shareVariance: number(distributed ? inner.varianceLocal : inner.variance),
    shares: distributed ? count(inner.noiseShares) : 1,
    dimension: distributed ? count(inner.dimension) : 1,
    samplingRate: sampled ? number(outer.samplingRate) : 1,
  };
}

const asRecord = (value: unknown): Record<string, unknown> | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
