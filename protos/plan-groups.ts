/**
 * Rounds that open in disjoint groups (aggregation.groups of a plan): which, of what sizes, with how many noise shares.
 *
 * Trusts: each field's own form (protos/plan.ts). May be called by: every role, and plan-privacy.ts to refuse plans.
 * docs/adr/0030.
 */
import { groupNoiseShares } from '../crypto/dp/group-shares.ts';
import { noiseShares } from '../crypto/dp/plan-accounting.ts';
import {
  compareRational,
  multiplyRational,
  ONE,
  parseRational,
  type Rational,
  rational,
  rationalToNumber,
  ZERO,
} from '../crypto/dp/rational.ts';
import type { GroupTerms, Plan } from './plan.ts';
import { committeeKeyCount, groupSizeMin, groupsOf, groupTermsOf } from './plan-numbers.ts';
import type { RoundKind } from './round-config.ts';

/** Share of δ that pays for partitions that put too many corrupt devices into a person's group. */
export const PARTITION_DELTA_SHARE = rational(1n, 100n);
/** Defaults of `aggregation.groups`. */
export const TRIM_DEFAULT = rational(1n, 4n);
export const NORM_FACTOR_DEFAULT = rational(2n);
/** A group whose only honest member is the person hides her behind nothing but her own noise; LongSum needs two. */
const GROUP_SHARES_MIN = 2;

/** Most uploads in one opened sum of a round. */
export const sumClientsMax = (plan: Plan, kind: RoundKind): number =>
  Math.ceil(plan.rounds.cohortMax / groupsOf(plan, kind));

/** Largest fraction cut off at each end by `trimmed-mean`. */
export const trimOf = (terms: GroupTerms): Rational =>
  terms.trim === undefined ? TRIM_DEFAULT : parseRational(terms.trim);
/** krum: groups that may be spoiled, the most that 2f + 3 ≤ G allows where the plan does not say. */
export const faultyMaxOf = ({ count, faultyMax }: GroupTerms): number => faultyMax ?? (count - 3) >> 1;
/** `norm-filter` drops groups above this multiple of the median norm. */
export const normFactorOf = (terms: GroupTerms): Rational =>
  terms.normFactor === undefined ? NORM_FACTOR_DEFAULT : parseRational(terms.normFactor);

/** β of one partition: δ/100 over every round that could ever be certified. */
export function partitionFailure(plan: Plan): number {
  const delta = parseRational(plan.privacy?.delta ?? '0');
  const share = rational(1n, PARTITION_DELTA_SHARE.denominator * BigInt(committeeKeyCount(plan)));
  return rationalToNumber(multiplyRational(delta, share));
}

/**
 * δ that epsilons of this plan are converted at: all of privacy.delta, and 99/100 of it where partitions use up the rest.
 * A natural number; call for plans with privacy terms.
 */
export function accountingDelta({ plan }: { readonly plan: Plan }): number {
  const delta = parseRational(plan.privacy?.delta ?? '0');
  if (groupsOf(plan, 'training') === 1) return rationalToNumber(delta);
  const { numerator, denominator } = PARTITION_DELTA_SHARE;
  return rationalToNumber(multiplyRational(delta, rational(denominator - numerator, denominator)));
}

/** What partitions of this plan may use up of a δ, over all its rounds: 1/100 of privacy.delta; 0 without groups. */
export function partitionDelta({ plan }: { readonly plan: Plan }): number {
  if (groupsOf(plan, 'training') === 1) return 0;
  return rationalToNumber(multiplyRational(parseRational(plan.privacy?.delta ?? '0'), PARTITION_DELTA_SHARE));
}

/**
 * Honest noise shares in every sum that a round with `cohortCount` certified clients opens: ⌊(1−γ)·count⌋ of one sum,
 * `groupNoiseShares` of the smallest group. Call for plans with privacy terms.
 */
export function sumNoiseShares(plan: Plan, kind: RoundKind, cohortCount: number): number {
  const gamma = parseRational(plan.privacy?.gamma ?? '0');
  const groups = groupsOf(plan, kind);
  if (groups === 1) return noiseShares(gamma, cohortCount);
  const { cohortMin } = plan.rounds;
  const size = Math.floor(cohortCount / groups);
  // No group, no noise: a cohort below cohortMin is no round of this plan.
  return size === 0 ? 0 : groupNoiseShares({ gamma, cohortMin, size, failure: partitionFailure(plan) });
}

/** What makes a plan with groups one that nobody should run; empty without groups. */
export function groupIssues(plan: Plan): { readonly path: string[]; readonly message: string }[] {
  const terms = groupTermsOf(plan);
  if (!terms) return [];
  const issues = ruleIssues(terms);
  const issue = (field: string, message: string) =>
    issues.push({ path: ['aggregation', 'groups', ...(field ? [field] : [])], message });
  const size = groupSizeMin(plan);
  if (plan.privacy?.unit === 'record')
    issue('', 'groups are for unit person: the noise of a record-unit sum is counted in hospitals');
  if (size < 2)
    issue('count', `rounds.cohortMin ${plan.rounds.cohortMin} leaves ${size} devices per group: at least 2`);
  // Shares are counted once every term makes sense.
  if (issues.length > 0 || !plan.privacy) return issues;
  const shares = sumNoiseShares(plan, 'training', plan.rounds.cohortMin);
  if (shares < GROUP_SHARES_MIN)
    issue(
      'count',
      `a group of ${size} has ${shares} honest noise share at gamma ${plan.privacy.gamma} (but for a share of ` +
        `delta), at least ${GROUP_SHARES_MIN}: fewer groups, a larger rounds.cohortMin or a smaller gamma`,
    );
  return issues;
}

function ruleIssues(terms: GroupTerms) {
  const { combine, count, trim, normFactor } = terms;
  const issues: { path: string[]; message: string }[] = [];
  const issue = (field: string, message: string) =>
    issues.push({ path: ['aggregation', 'groups', field], message });
  if (trim !== undefined) {
    const value = parseRational(trim);
    const fits = compareRational(value, ZERO) > 0 && compareRational(value, rational(1n, 2n)) < 0;
    if (combine !== 'trimmed-mean')
      issue('trim', `combine: ${combine} trims nothing; only trimmed-mean does`);
    else if (!fits) issue('trim', 'more than 0 and less than 1/2');
  }
  const trimmed = multiplyRational(trimOf(terms), rational(BigInt(count)));
  if (combine === 'trimmed-mean' && compareRational(trimmed, ONE) < 0)
    issue(
      'trim',
      `cuts off less than one of ${count} groups, which is nothing: more groups, or a larger share`,
    );
  if (normFactor !== undefined) {
    const fits = compareRational(parseRational(normFactor), ONE) >= 0;
    if (combine !== 'norm-filter')
      issue('normFactor', `combine: ${combine} filters nothing; only norm-filter does`);
    else if (!fits) issue('normFactor', 'at least 1: the median itself must stay');
  }
  return [...issues, ...krumIssues(terms)];
}

/** Blanchard et al. 2017 (arXiv 1703.02757): 2f + 2 < G; multi-Krum averages at most G − f − 2 (El Mhamdi et al. 2018). */
function krumIssues(terms: GroupTerms) {
  const { combine, count, faultyMax, keptCount } = terms;
  const issues: { path: string[]; message: string }[] = [];
  const issue = (field: string, message: string) =>
    issues.push({ path: ['aggregation', 'groups', field], message });
  if (combine !== 'krum') {
    for (const field of ['faultyMax', 'keptCount'] as const)
      if (terms[field] !== undefined) issue(field, `combine: ${combine} has no such setting; krum has`);
    return issues;
  }
  if (faultyMax !== undefined && 2 * faultyMax + 3 > count)
    issue('faultyMax', `krum needs 2·faultyMax + 3 groups, and there are ${count}`);
  const keptMost = count - faultyMaxOf(terms) - 2;
  if (keptCount !== undefined && keptCount > keptMost)
    issue('keptCount', `at most ${keptMost} of ${count} groups with faultyMax ${faultyMaxOf(terms)}`);
  return issues;
}
