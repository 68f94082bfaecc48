/**
 * What a plan may use of a person's budget where several plans share it (docs/adr/0032): one filter per person and
 * epoch under terms that all those plans state alike, the family's share of it, and the plan's own ε.
 *
 * Only the filter carries the guarantee, so it has one order for all plans; shares are ceilings that refuse more. May
 * be called by: every role. Trusts: a validated plan.
 */
import { createFilter } from '../crypto/dp/filter.ts';
import { parseRational, type Rational, rationalToNumber } from '../crypto/dp/rational.ts';
import type { ParsedPlan, PrivacyTerms } from './plan.ts';
import { groupTermsOf } from './plan-numbers.ts';

export type FilterOrder = number | 'zcdp';

export interface PlanFilterTerms {
  readonly epsilon: string;
  readonly delta: string | number;
  readonly order: FilterOrder;
}

/** A ceiling beneath the filter, as an amount at its order. */
export interface PlanQuota {
  /** `family:<name>` or `plan:<hash>`. */
  readonly name: string;
  readonly limit: number;
}

export interface PlanBudgetTerms {
  readonly filter: PlanFilterTerms;
  readonly quotas: readonly PlanQuota[];
}

const STEPS_PER_UNIT = 2n ** 40n;

/** share × limit, rounded down to the filters' grid; exact. */
export function shareOfLimit(limit: number, share: Rational): number {
  const steps = BigInt(limit * Number(STEPS_PER_UNIT));
  return Number((steps * share.numerator) / share.denominator) / Number(STEPS_PER_UNIT);
}

export const familyQuotaName = (family: string): string => `family:${family}`;
export const planQuotaName = (planHash: string): string => `plan:${planHash}`;

const realOf = (value: string | number): number =>
  typeof value === 'number' ? value : rationalToNumber(parseRational(value));
const limitOf = ({ epsilon, delta, order }: PlanFilterTerms): number =>
  createFilter(realOf(epsilon), realOf(delta), order).limit;

/** Largest amount that all plans of this family may use of one person's filter; undefined without a quota. */
export function familyLimit({ quota }: PrivacyTerms): number | undefined {
  if (quota === undefined) return undefined;
  return shareOfLimit(limitOf(quota.total), parseRational(quota.share));
}

/**
 * The terms under which a person's filter is opened for this plan, and the ceilings that its rounds draw on. `order` and
 * `delta` are those of the plan's own account, for plans that state no quota: such a plan has the filter to itself or
 * shares it with plans of the very same terms.
 */
export function planBudgetTerms(
  parsed: ParsedPlan,
  account: { readonly order: FilterOrder; readonly delta: number },
): PlanBudgetTerms {
  const known = memo.get(parsed);
  if (known) return known;
  const privacy = parsed.plan.privacy!;
  const { epsilon, quota } = privacy;
  const { order } = account;
  // Where partitions may use up a part of δ, the filter stops at the rest.
  const delta = groupTermsOf(parsed.plan) ? account.delta : privacy.delta;
  const terms =
    quota === undefined
      ? { filter: { epsilon, delta, order }, quotas: [] }
      : {
          filter: quota.total,
          quotas: [
            { name: familyQuotaName(quota.family), limit: familyLimit(privacy)! },
            { name: planQuotaName(parsed.hashHex), limit: limitOf({ epsilon, delta, order }) },
          ],
        };
  memo.set(parsed, terms);
  return terms;
}

/** Limits are searched for, and a plan never changes. */
const memo = new WeakMap<ParsedPlan, PlanBudgetTerms>();
