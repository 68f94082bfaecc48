/**
 * Numbers that a plan implies by counting alone: quorums, keys, groups. Apart from plan.ts, whose validation needs them.
 *
 * Trusts: each field's own form. May be called by: every role, through plan.ts.
 */
import type { GroupTerms, Plan } from './plan.ts';
import type { RoundKind } from './round-config.ts';

/** Number of holders that sign: ⌊(n+f)/2⌋+1, so that any two quorums share an honest holder (DESIGN §2.9). */
export const quorumOf = (plan: Plan): number => Math.floor((plan.holders.length + faultsOf(plan)) / 2) + 1;
/** Holders that may be corrupt or offline, n = 3f+1. */
export const faultsOf = (plan: Plan): number => Math.floor((plan.holders.length - 1) / 3);
/** Threshold of a BFV committee key, t = f+1. */
export const thresholdOf = (plan: Plan): number => faultsOf(plan) + 1;
/**
 * Holders whose answers open a sum. bfv: t = f+1 partial decryptions. shares: 2f+1, so that every summed expansion
 * comes from f+1 holders and a lie of f of them cannot pass.
 */
export const openersOf = (plan: Plan): number =>
  plan.aggregation.transport === 'shares' ? 2 * faultsOf(plan) + 1 : thresholdOf(plan);
/** Committee keys made ahead: one per round, spares included. */
export const committeeKeyCount = (plan: Plan): number =>
  plan.rounds.training + plan.rounds.evaluation + plan.rounds.spare;

export const groupTermsOf = ({ aggregation }: Plan): GroupTerms | undefined =>
  aggregation.transport === 'shares' ? aggregation.groups : undefined;
/** Groups that the sum of a round opens in: 1 without groups, and in evaluation rounds. */
export const groupsOf = (plan: Plan, kind: RoundKind): number =>
  kind === 'training' ? (groupTermsOf(plan)?.count ?? 1) : 1;
/** Devices in the smallest group of a training round with the smallest cohort. */
export const groupSizeMin = (plan: Plan): number =>
  Math.floor(plan.rounds.cohortMin / groupsOf(plan, 'training'));
/** Devices in the largest group of a training round with the largest cohort. */
export const groupSizeMax = (plan: Plan): number =>
  Math.ceil(plan.rounds.cohortMax / groupsOf(plan, 'training'));
