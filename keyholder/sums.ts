/**
 * The sums of a plan, as a holder sees them: by their number of slots, which is all that an opening says.
 *
 * A holder never learns a round's kind: the configuration that says it is known here by its hash alone. So two kinds with
 * as many slots must be summed alike; a plan where they are not is refused when it is registered.
 * Trusts: a validated plan. May be called by: context.ts, rules.ts, opening.ts.
 */
import { ensure } from '../crypto/error.ts';
import type { SumScheme } from '../crypto/secagg/scheme.ts';
import type { ParsedPlan } from '../protos/plan.ts';
import { sameOrDistinct } from '../protos/plan-privacy.ts';
import { schemeOf } from '../protos/plan-scheme.ts';
import type { RoundKind } from '../protos/round-config.ts';

/** What the holder's half of a sum depends on. */
export type HolderSum = Pick<SumScheme, 'transport' | 'slotCount' | 'shortCount' | 'wordBits' | 'groups'>;

const kindsOf = ({ plan }: ParsedPlan): readonly RoundKind[] =>
  plan.rounds.evaluation > 0 ? ['training', 'evaluation'] : ['training'];

/** One per kind of round. */
const sumsOf = (parsed: ParsedPlan): readonly HolderSum[] =>
  kindsOf(parsed).map((kind) => schemeOf(parsed, kind).scheme);

/** The sum of that many slots. Throws VECTOR_LENGTH_MISMATCH where the plan has none. */
export function sumOf(parsed: ParsedPlan, slotCount: number): HolderSum {
  const sum = sumsOf(parsed).find((candidate) => candidate.slotCount === slotCount);
  ensure(sum, 'VECTOR_LENGTH_MISMATCH', `the plan has no sum of ${slotCount} digits`);
  return sum;
}

/** Throws PLAN_INVALID where two kinds of round have as many slots and yet another sum. */
export function requireDistinctSums(parsed: ParsedPlan): void {
  requireDistinct(sumsOf(parsed));
}

/** `requireDistinctSums` over the sums themselves. */
export function requireDistinct(sums: readonly HolderSum[]): void {
  for (const a of sums)
    for (const b of sums)
      ensure(
        sameOrDistinct(a, b),
        'PLAN_INVALID',
        `training and evaluation both have ${a.slotCount} slots, summed in two ways: change evaluation.bins`,
      );
}
