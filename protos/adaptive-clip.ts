/**
 * The clip that follows the cohort's norms (Andrew, Thakkar, McMahan, Ramaswamy 2019, arXiv 1905.03871): what a plan
 * may ask for, the public rule from one round's clip to the next, and what a device checks.
 *
 * Every device says with one noised bit whether its update was within the clip; the noised fraction b̄ moves the clip of
 * the next training round towards the plan's quantile. The mechanism's integers do not know the clip (it maps to
 * unitsPerClip units whatever it is), so no clip that a coordinator could state changes anybody's ε; the plan's bounds
 * keep it from making updates useless, or from letting one person's update outweigh the model.
 * Trusts: each field's own form (protos/plan.ts). May be called by: every role. docs/adr/0034.
 */
import {
  compareRational,
  formatRational,
  ONE,
  parseRational,
  type Rational,
  rational,
  rationalFromNumber,
  rationalToNumber,
  ZERO,
} from '../crypto/dp/rational.ts';
import { ensure, isPulsefoldError } from '../crypto/error.ts';
import type { Plan } from './plan.ts';
import { groupTermsOf } from './plan-numbers.ts';
import type { RoundKind } from './round-config.ts';

/** Leading binary digits of a clip: finer than any quantile that noise leaves visible, short to write down. */
const CLIP_DIGITS = 20;
const BOUND_MIN = rational(1n, 10n ** 9n);
const BOUND_MAX = rational(10n ** 9n);

type AdaptiveClip = NonNullable<Plan['mechanism']['adaptiveClip']>;

/** The terms that hold in a round of this kind; evaluations count, they clip nothing. */
export const adaptiveClipOf = (plan: Plan, kind: RoundKind): AdaptiveClip | undefined =>
  kind === 'training' ? plan.mechanism.adaptiveClip : undefined;

/** What makes a plan with an adaptive clip one that nobody should run; empty without. */
export function adaptiveClipIssues(plan: Plan): { readonly path: string[]; readonly message: string }[] {
  const { adaptiveClip, unitsPerClip } = plan.mechanism;
  if (!adaptiveClip) return [];
  const issues: { path: string[]; message: string }[] = [];
  const issue = (field: string, message: string) =>
    issues.push({ path: ['mechanism', 'adaptiveClip', ...(field ? [field] : [])], message });
  if (plan.privacy?.unit !== 'person')
    issue('', 'one bit per update: for plans with privacy.unit person; leave it out of others');
  if (groupTermsOf(plan) !== undefined)
    issue('', 'the clip of plans with aggregation.groups stays fixed in this version; leave one of them out');
  const quantile = parseRational(adaptiveClip.quantile);
  if (compareRational(quantile, ZERO) <= 0 || compareRational(quantile, ONE) >= 0)
    issue('quantile', 'more than 0 and less than 1, such as 1/2');
  if (adaptiveClip.bitUnits > unitsPerClip)
    issue(
      'bitUnits',
      `at most mechanism.unitsPerClip (${unitsPerClip}): the bit must not cost more than the update`,
    );
  const [least, first, most] = [adaptiveClip.clipMin, plan.mechanism.clip, adaptiveClip.clipMax].map(
    parseRational,
  );
  if (compareRational(least!, first!) > 0 || compareRational(first!, most!) > 0)
    issue('clipMin', 'expected clipMin ≤ mechanism.clip ≤ clipMax');
  if (compareRational(least!, BOUND_MIN) < 0) issue('clipMin', 'at least 1/1000000000');
  if (compareRational(most!, BOUND_MAX) > 0) issue('clipMax', 'at most 1000000000');
  return issues;
}

/** The clip that the first training round states; undefined where the plan's own holds. */
export const firstClip = (plan: Plan, kind: RoundKind): string | undefined =>
  adaptiveClipOf(plan, kind) && formatRational(parseRational(plan.mechanism.clip));

/**
 * The clip after a training round: clip·exp(−η·(b̄ − q)), cut to 20 leading binary digits (toward zero), then held within the
 * plan's bounds; as the text that stands in the next round's configuration. Post-processing of a noised sum.
 */
export function nextClip(terms: AdaptiveClip, clip: Rational, fractionWithin: number): string {
  const { quantile, learningRate, clipMin, clipMax } = terms;
  const excess = fractionWithin - rationalToNumber(parseRational(quantile));
  const moved = rationalToNumber(clip) * Math.exp(-learningRate * excess);
  const unit = 2 ** (Math.floor(Math.log2(moved)) - (CLIP_DIGITS - 1));
  const rounded = rationalFromNumber(Math.floor(moved / unit) * unit);
  const [least, most] = [parseRational(clipMin), parseRational(clipMax)];
  const held =
    compareRational(rounded, least) < 0 ? least : compareRational(rounded, most) > 0 ? most : rounded;
  return formatRational(held);
}

/**
 * The clip that a round's configuration states, checked against the plan: none where the plan's own holds.
 * @throws WRONG_CONFIG
 */
export function clipOfRound(plan: Plan, kind: RoundKind, stated: string | undefined): Rational | undefined {
  const terms = adaptiveClipOf(plan, kind);
  if (!terms) {
    ensure(stated === undefined, 'WRONG_CONFIG', 'the round states a clip, the plan has a fixed one');
    return undefined;
  }
  ensure(stated !== undefined, 'WRONG_CONFIG', "the plan's clip adapts and the round states none");
  const clip = readClip(stated);
  const within =
    compareRational(clip, parseRational(terms.clipMin)) >= 0 &&
    compareRational(clip, parseRational(terms.clipMax)) <= 0;
  ensure(within, 'WRONG_CONFIG', "the round's clip is outside the plan's clipMin and clipMax");
  return clip;
}

/** One text per clip, as `nextClip` writes it. */
function readClip(text: string): Rational {
  try {
    const clip = parseRational(text);
    if (formatRational(clip) === text) return clip;
  } catch (error) {
    if (!isPulsefoldError(error)) throw error;
  }
  ensure(false, 'WRONG_CONFIG', "the round's clip is no rational in lowest terms");
}
