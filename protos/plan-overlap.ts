/**
 * Rounds that overlap: how many may be open at a time, and what an update is worth that came late (docs/adr/0041).
 *
 * The buffer of FedBuff (Nguyen et al. 2022, arXiv 2106.06639) is a round here: one model version, one cohort of at least
 * cohortMin, one certificate, one charge. Sums are sealed, so staleness discounts whole sums, never one update.
 * Trusts: each field's own form (protos/plan.ts). May be called by: every role.
 */
import type { Plan } from './plan.ts';
import type { PlanIssue } from './strategies/index.ts';

/** Each open round holds a reservation of everybody in it, and a committee key that nobody has erased yet. */
export const OVERLAP_MAX = 8;

/** Rounds that may be open beside the oldest open one; 0: rounds follow one another. */
export const overlapOf = ({ rounds }: Pick<Plan, 'rounds'>): number => rounds.overlap ?? 0;

/**
 * The last round that must have ended before `round` opens; its key, and those before, are of no more use once `round` is
 * certified. Rounds that are open at a time stand within overlap + 1 consecutive numbers.
 */
export const lastEndedBefore = (plan: Pick<Plan, 'rounds'>, round: number): number =>
  round - overlapOf(plan) - 1;

/**
 * What a sum is multiplied by, (1 + t)^(−1/2): the discount that Nguyen et al. 2022 put on single updates.
 * @param staleness t, releases between the version that the round started from and the one that its sum moves; ≥ 0
 */
export const stalenessDiscount = (staleness: number): number => 1 / Math.sqrt(1 + staleness);

/** Why a strategy cannot do with sums of older versions; others only lack the discount. */
const REASONS: Readonly<Record<string, string>> = {
  scaffold: 'its corrections hold for one version of c, and every open round would move another',
  fedadam: 'it divides a step by its own length, so that no discount of late sums is left',
  fedyogi: 'it divides a step by its own length, so that no discount of late sums is left',
  fedadagrad: 'it divides a step by its own length, so that no discount of late sums is left',
};

/** What makes a plan's overlap one that nobody should run. */
export function overlapIssues({ rounds, training }: Plan): PlanIssue[] {
  if (overlapOf({ rounds }) === 0 || training.strategy === 'fedbuff') return [];
  const reason = REASONS[training.strategy] ?? 'it would count late sums like fresh ones';
  const message =
    `rounds that overlap need training.strategy: fedbuff, which discounts sums of older models; ` +
    `${training.strategy} does not: ${reason}`;
  return [{ path: ['rounds', 'overlap'], message }];
}
