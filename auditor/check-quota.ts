/**
 * Plans that share a person's budget of one epoch (docs/adr/0032), and withdrawals: what the log must not contain.
 *
 * Trusts: the plan. May be called by: auditor/.
 */
import type { Plan } from '../protos/plan.ts';
import { type AccountOrder, epsilonOf } from './accountant.ts';
import type { RoundContext } from './check-rounds.ts';
import { real } from './numbers.ts';
import type { NumberedLeaf } from './run-directory.ts';

const GRID = 2 ** -40;
/** Two accountants agree to this relative error. */
const RELATIVE = 1e-7;
const EPSILON_TOLERANCE = 1e-6;

/** One pseudonym's balance, over all plans of the log. */
export interface Account {
  order: string;
  spent: number;
  /** Of `spent`, by the plan under audit. */
  ownSpent: number;
  /** Promised and not yet settled, by plan and round. */
  readonly held: Map<string, number>;
}

const sumOf = (amounts: Iterable<number>): number => [...amounts].reduce((total, one) => total + one, 0);

export const wholeOf = ({ spent, held }: Account): number => spent + sumOf(held.values());

/** What one plan has spent and holds of an account. */
export const ownPart = ({ ownSpent, held }: Account, planHash: string): number =>
  ownSpent + sumOf([...held].flatMap(([key, amount]) => (key.startsWith(`${planHash}/`) ? [amount] : [])));

/**
 * A plan with a quota has its own ε, a filter over all plans of the epoch, and a share of that filter. Of the share only
 * this plan's own part can be told from one run directory: other plans' families stand in theirs.
 */
export function checkQuota(
  { parsed, findings }: RoundContext,
  account: Account,
  quota: NonNullable<NonNullable<Plan['privacy']>['quota']>,
  where: { readonly leaf: number; readonly round: number },
): void {
  const { epsilon, delta, order } = quota.total;
  findings.require(
    account.order === String(order),
    'CHARGE_MISMATCH',
    `a participant is charged at order ${account.order}, the plan's shared filter counts at ${order}`,
    where,
  );
  findings.require(
    epsilonOf(wholeOf(account), order, real(delta)) <= real(epsilon) + EPSILON_TOLERANCE,
    'BUDGET_EXCEEDED',
    `all plans of the epoch together bring a participant past ε = ${epsilon}`,
    where,
  );
  const share = largestAmount(real(epsilon), order, real(delta)) * real(quota.share);
  findings.require(
    ownPart(account, parsed.hashHex) <= share * (1 + RELATIVE) + GRID,
    'BUDGET_EXCEEDED',
    `this plan brings a participant past the share (${quota.share}) of family ${quota.family}`,
    where,
  );
}

/** A search per plan, not per participant. */
const largest = new Map<string, number>();

/** The largest amount at an order that converts to at most ε, by bisection; just above it. */
function largestAmount(epsilon: number, order: AccountOrder, delta: number): number {
  const key = `${epsilon} ${order} ${delta}`;
  const known = largest.get(key);
  if (known !== undefined) return known;
  let [low, high] = [0, 1];
  while (high < 4096 && epsilonOf(high, order, delta) <= epsilon) high *= 2;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (epsilonOf(middle, order, delta) <= epsilon) low = middle;
    else high = middle;
  }
  largest.set(key, high);
  return high;
}

/** Nobody who has withdrawn from this plan is charged in a later round of it than the withdrawal's leaf allows. */
export function checkWithdrawals({ parsed, findings }: RoundContext, leaves: readonly NumberedLeaf[]): void {
  const family = parsed.plan.privacy?.quota?.family;
  const scopes = new Set([
    '*',
    `plan:${parsed.hashHex}`,
    ...(family === undefined ? [] : [`family:${family}`]),
  ]);
  /** Last round of this plan that may still charge, by pseudonym. */
  const withdrawn = new Map<string, number>();
  for (const { number, leaf } of leaves) {
    if (leaf.kind === 'withdrawal' && leaf.pseudonym !== undefined && scopes.has(leaf.scope ?? '')) {
      const until = leaf.planHash === parsed.hashHex ? (leaf.afterRound ?? 0) : 0;
      withdrawn.set(leaf.pseudonym, Math.min(until, withdrawn.get(leaf.pseudonym) ?? until));
    }
    // An erasure ends everything, like a withdrawal from it.
    if (leaf.kind === 'erasure') {
      const until = leaf.planHash === parsed.hashHex ? leaf.afterRound : 0;
      withdrawn.set(leaf.pseudonym, Math.min(until, withdrawn.get(leaf.pseudonym) ?? until));
    }
    if (leaf.kind !== 'settlement' || leaf.outcome !== 'charged' || leaf.planHash !== parsed.hashHex)
      continue;
    for (const pseudonym of leaf.pseudonyms) {
      const until = withdrawn.get(pseudonym);
      findings.require(
        until === undefined || leaf.round <= until,
        'SETTLEMENT_MISMATCH',
        `round ${leaf.round} charges a participant who had withdrawn or been erased`,
        { leaf: number, round: leaf.round },
      );
    }
  }
}
