/**
 * Groups of a plan as the second accountant sees them: how many, how large, how many noise shares each keeps, what of δ
 * is left. Written from docs/protocol.md ("Groups"), independent of crypto/dp/group-shares.ts and
 * protos/plan-mechanism.ts.
 *
 * Corrupt members of one person's group: a partition that nobody steers draws the other n = size − 1 members without
 * replacement from the other people of the cohort, of whom at most a fraction p = γ·K/(K−1) is corrupt (K: cohortMin;
 * a larger cohort has a smaller fraction). Hoeffding 1963, Theorems 1 and 4: P[at least k of n are corrupt] ≤
 * exp(−n·KL(k/n ‖ p)) for k/n > p.
 * Trusts: the parsed plan. May be called by: auditor/.
 */
import type { Plan } from '../protos/plan.ts';
import { real } from './numbers.ts';

export type RoundPurpose = 'training' | 'evaluation';

/** Groups of a round of this purpose; 1: one sum. Evaluations are one sum always. */
export function groupCountOf({ aggregation }: Plan, purpose: RoundPurpose): number {
  if (purpose === 'evaluation' || aggregation.transport !== 'shares') return 1;
  return aggregation.groups?.count ?? 1;
}

/** The equal cut: `count` sizes, the first `cohort mod count` of which have one member more. */
export function groupSizesOf(cohortCount: number, count: number): number[] {
  const small = Math.floor(cohortCount / count);
  return Array.from({ length: count }, (_, i) => (i < cohortCount % count ? small + 1 : small));
}

/** n·KL(k/n ‖ p) in nats, with 0·ln 0 = 0. */
function divergence(k: number, n: number, p: number): number {
  const part = (count: number, expected: number) =>
    count === 0 ? 0 : count * (Math.log(count) - Math.log(expected));
  return part(k, n * p) + part(n - k, n * (1 - p));
}

/** A bound within this relative distance of β counts as above it: rounding must not add a noise share. */
const SLACK = 1e-9;

export interface GroupTerms {
  readonly gamma: string;
  readonly cohortMin: number;
  /** Members of the group. */
  readonly size: number;
  /** β: how often the group may hold more corrupt members than are counted. */
  readonly failure: number;
}

/** Noise shares that a group keeps except with probability β: its size less the corrupt members counted. */
export function groupHonestShares({ gamma, cohortMin, size, failure }: GroupTerms): number {
  const corrupt = (real(gamma) * cohortMin) / (cohortMin - 1);
  if (corrupt === 0 || size < 1) return size;
  const others = size - 1;
  const needed = -Math.log(failure) * (1 + SLACK);
  for (let counted = 0; counted < others; counted++) {
    const one = counted + 1;
    if (one / others > corrupt && divergence(one, others, corrupt) >= needed) return size - counted;
  }
  return size - others;
}

/** Noise shares of the smallest group of a cohort, over every round that could ever be certified. */
export function smallestGroupShares(plan: Plan, cohortCount: number, count: number): number {
  const { gamma, delta } = plan.privacy!;
  const { training, evaluation, spare, cohortMin } = plan.rounds;
  const failure = real(delta) / (100 * (training + evaluation + spare));
  return groupHonestShares({ gamma, cohortMin, size: Math.floor(cohortCount / count), failure });
}

/** δ at which amounts become ε: a plan with groups sets the last hundredth aside for unlucky partitions. */
export const conversionDelta = (plan: Plan): number => {
  const delta = real(plan.privacy!.delta);
  return groupCountOf(plan, 'training') > 1 ? (delta * 99) / 100 : delta;
};
