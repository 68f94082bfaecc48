/**
 * The accountant's numbers derived from the plan: sensitivity, dimension, honest noise shares. Written from
 * docs/protocol.md and independent of crypto/dp and protos/plan-mechanism.ts, which the audited parties used.
 *
 * Trusts: the parsed plan. May be called by: auditor/.
 */
import { parameterCount } from '../protos/model.ts';
import type { Plan } from '../protos/plan.ts';
import type { MechanismTerms } from './accountant.ts';

export type RoundPurpose = 'training' | 'evaluation';

/** Numerator and denominator of '1/3', '0.25' or '7'. */
export function fraction(text: string): [bigint, bigint] {
  const [left, right] = text.split('/');
  if (right !== undefined) return [BigInt(left!), BigInt(right)];
  const [whole, decimals = ''] = left!.split('.');
  return [BigInt(whole! + decimals), 10n ** BigInt(decimals.length)];
}

/** As a double; 'Infinity' and exponents too, as leaves may hold them. */
export function real(text: string): number {
  const [left, right] = text.split('/');
  return right === undefined ? Number(left) : Number(left) / Number(right);
}

/** ⌊√n⌋, by bits from the top. */
export function squareRoot(n: bigint): bigint {
  let root = 0n;
  for (let bit = 1n << BigInt((n.toString(2).length / 2 + 1) | 0); bit > 0n; bit >>= 1n)
    if ((root + bit) * (root + bit) <= n) root += bit;
  return root;
}

/**
 * D²: the smaller of ⌊(G+√d)²⌋ and ⌊G² + G + (d + 2√d)/4⌋ (conditional rounding, arXiv 2102.06387 Prop.
 * 22).
 */
export function normBoundSquared(unitsPerClip: number, dimension: number): bigint {
  const g = BigInt(unitsPerClip);
  const d = BigInt(dimension);
  const always = g * g + d + squareRoot(4n * g * g * d);
  const conditional = g * g + g + (d + squareRoot(4n * d)) / 4n;
  return always < conditional ? always : conditional;
}

export function dimensionOf(plan: Plan, purpose: RoundPurpose): number {
  if (purpose === 'evaluation') return 2 * plan.evaluation.bins;
  return parameterCount(plan.model) + (plan.training.weighting === 'records' ? 1 : 0);
}

/**
 * Opened coefficients of a noised round: one per entry. More would be more than the sum (digits carry), and no
 * accountant covers them. undefined without DP, where the length is a matter of packing.
 */
export const openedLength = (plan: Plan, purpose: RoundPurpose): number | undefined =>
  plan.privacy === null ? undefined : dimensionOf(plan, purpose);

/** ⌊(1−γ)·|A|⌋, exact. */
export function honestShares(gamma: string, cohortCount: number): number {
  const [numerator, denominator] = fraction(gamma);
  return Number(((denominator - numerator) * BigInt(cohortCount)) / denominator);
}

/** What the plan says a round with this cohort does; undefined for a plan without DP. */
export function termsOf(plan: Plan, purpose: RoundPurpose, cohortCount: number): MechanismTerms | undefined {
  const { privacy } = plan;
  if (privacy === null) return undefined;
  const dimension = dimensionOf(plan, purpose);
  const training = purpose === 'training';
  return {
    // A record changes one bin by one; a person's histogram has norm at most 1.
    sensitivitySquared: training ? Number(normBoundSquared(plan.mechanism.unitsPerClip, dimension)) : 1,
    shareVariance: real(training ? privacy.noiseVariance : (privacy.evaluationNoiseVariance ?? '0')),
    shares: honestShares(privacy.gamma, cohortCount),
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
