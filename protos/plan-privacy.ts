/**
 * What a plan's privacy terms must satisfy together, beyond the form of each field: refused at every parse, so that no
 * role ever runs such a plan.
 *
 * Trusts: each field's own form (protos/plan.ts). May be called by: protos/plan.ts.
 */
import { isSamplable } from '../crypto/dp/discrete-gaussian.ts';
import { compareRational, ONE, parseRational, ZERO } from '../crypto/dp/rational.ts';
import { isPulsefoldError } from '../crypto/error.ts';
import type { SumScheme } from '../crypto/secagg/scheme.ts';
import { adaptiveClipIssues } from './adaptive-clip.ts';
import type { Plan, PrivacyTerms } from './plan.ts';
import { groupIssues } from './plan-groups.ts';
import { groupsOf, groupTermsOf } from './plan-numbers.ts';
import { schemeOfPlan } from './plan-scheme.ts';
import type { RoundKind } from './round-config.ts';
import type { PlanIssue } from './strategies/index.ts';

/** Beyond it "δ" is no small probability any more, and conversions are vacuous. */
const DELTA_MAX = parseRational('1/100');
/** arXiv 2102.06387, Theorem 1: sums of discrete Gaussians are understood for σ ≥ 1/2. */
const VARIANCE_MIN = parseRational('1/4');

export function privacyIssues(plan: Plan): PlanIssue[] {
  const { privacy } = plan;
  const issues = privacy
    ? [...termIssues(plan, privacy), ...recordIssues(plan, privacy), ...quotaIssues(plan, privacy)]
    : [];
  issues.push(...adaptiveClipIssues(plan));
  // Sizes are derived from terms that make sense.
  if (issues.length === 0) issues.push(...groupIssues(plan));
  return issues.length > 0 ? issues : capacityIssues(plan);
}

function termIssues(plan: Plan, privacy: PrivacyTerms): PlanIssue[] {
  const issues: PlanIssue[] = [];
  const issue = (path: string[], message: string) => issues.push({ path, message });
  const delta = parseRational(privacy.delta);
  if (compareRational(delta, ZERO) <= 0 || compareRational(delta, DELTA_MAX) > 0)
    issue(['privacy', 'delta'], 'more than 0 and at most 1/100; usual is 0.00001');
  for (const field of ['noiseVariance', 'evaluationNoiseVariance'] as const) {
    const variance = privacy[field];
    if (variance === undefined) continue;
    const value = parseRational(variance);
    if (compareRational(value, VARIANCE_MIN) < 0)
      issue(['privacy', field], 'at least 1/4: below that a sum of discrete Gaussians has no proof');
    if (!isSamplable(value))
      issue(['privacy', field], 'at most 2^52, with a denominator below 2^64: nothing samples another');
  }
  if (plan.training.weighting === 'records')
    issue(['training', 'weighting'], 'weights by record count reveal the count; use "equal" under DP');
  if (privacy.unit === 'person' && privacy.samplingRate !== '1')
    issue(
      ['privacy', 'samplingRate'],
      'coordinator and holders see the cohort, so person-level plans have q = 1',
    );
  const gamma = parseRational(privacy.gamma);
  if (compareRational(gamma, ZERO) < 0 || compareRational(gamma, ONE) >= 0)
    issue(['privacy', 'gamma'], 'from 0 to less than 1: someone must be honest');
  const rate = parseRational(privacy.samplingRate);
  if (compareRational(rate, ZERO) <= 0 || compareRational(rate, ONE) > 0)
    issue(['privacy', 'samplingRate'], 'more than 0 and at most 1');
  if (plan.rounds.evaluation > 0 && !privacy.evaluationNoiseVariance)
    issue(
      ['privacy', 'evaluationNoiseVariance'],
      'an evaluation is a release and is charged; state its noise',
    );
  return issues;
}

/** A batch is never cut and an evaluation never a subset, so that one record moves nothing but itself. */
function recordIssues({ mechanism, eligibility }: Plan, { unit }: PrivacyTerms): PlanIssue[] {
  if (unit !== 'record') return [];
  const issues: PlanIssue[] = [];
  if (mechanism.expectedBatch === undefined)
    issues.push({
      path: ['mechanism', 'expectedBatch'],
      message: 'the record unit divides by a public expected batch; state it',
    });
  else if (compareRational(parseRational(mechanism.expectedBatch), ZERO) <= 0)
    issues.push({ path: ['mechanism', 'expectedBatch'], message: 'more than 0: sums are divided by it' });
  if (mechanism.recordsMax < eligibility.recordsMax)
    issues.push({
      path: ['mechanism', 'recordsMax'],
      message: `at least eligibility.recordsMax (${eligibility.recordsMax}): every eligible table must fit whole`,
    });
  return issues;
}

/** One filter for several plans has one order for all of them, and one δ that nothing else draws on. */
function quotaIssues(plan: Plan, { quota, samplingRate }: PrivacyTerms): PlanIssue[] {
  if (quota === undefined) return [];
  const issues: PlanIssue[] = [];
  const issue = (field: string[], message: string) =>
    issues.push({ path: ['privacy', 'quota', ...field], message });
  const share = parseRational(quota.share);
  if (compareRational(share, ZERO) <= 0 || compareRational(share, ONE) > 0)
    issue(['share'], 'more than 0 and at most 1: a part of the total');
  const delta = parseRational(quota.total.delta);
  if (compareRational(delta, ZERO) <= 0 || compareRational(delta, DELTA_MAX) > 0)
    issue(['total', 'delta'], 'more than 0 and at most 1/100; usual is 0.00001');
  if (quota.total.order === 'zcdp' && samplingRate !== '1')
    issue(
      ['total', 'order'],
      'a sampled mechanism has no zCDP: state a whole Rényi order, the same in every plan',
    );
  if (groupTermsOf(plan) !== undefined)
    issue(
      [],
      'a filter that plans share cannot know how much of its delta partitions into groups will use up (docs/adr/0040): ' +
        'give a plan with aggregation.groups an epoch of its own, without a quota',
    );
  return issues;
}

/**
 * One slot holds one entry of a noised sum (crypto/dp/digits.ts): it must fit where everything that the plan expects
 * points the same way, up to the plan's coherence (protos/plan-scheme.ts).
 */
function capacityIssues(plan: Plan): PlanIssue[] {
  const kinds: RoundKind[] = plan.rounds.evaluation > 0 ? ['training', 'evaluation'] : ['training'];
  const issues = kinds.flatMap((kind) => {
    try {
      schemeOfPlan(plan, kind);
      return [];
    } catch (error) {
      if (!isPulsefoldError(error)) throw error;
      const path = kind === 'evaluation' ? ['rounds', 'evaluation'] : ['mechanism', 'unitsPerClip'];
      return [{ path, message: `nothing carries the sum of a ${kind} round: ${error.message}` }];
    }
  });
  return issues.length > 0 ? issues : sumIssues(plan, kinds);
}

/** Slots that one round opens: exported as text, and read back by auditors. */
const OPENED_SLOTS_MAX = 2 ** 24;

/** What the sums of a plan must be to each other, and all together. */
function sumIssues(plan: Plan, kinds: readonly RoundKind[]): PlanIssue[] {
  const issues: PlanIssue[] = [];
  const [training, evaluation] = kinds.map((kind) => schemeOfPlan(plan, kind).scheme);
  const opened = groupsOf(plan, 'training') * training!.slotCount;
  if (opened > OPENED_SLOTS_MAX)
    issues.push({
      path: ['aggregation', 'groups', 'count'],
      message: `a round would open ${opened} slots, and at most ${OPENED_SLOTS_MAX} are: fewer groups, or a smaller model`,
    });
  if (evaluation && !sameOrDistinct(training!, evaluation))
    issues.push({
      path: ['evaluation', 'bins'],
      message: `training and evaluation both have ${evaluation.slotCount} slots, summed in two ways: change the bins`,
    });
  return issues;
}

/** A holder knows a sum by its number of slots alone, so as many slots must mean the same sum. */
export const sameOrDistinct = (
  a: Pick<SumScheme, 'slotCount' | 'shortCount' | 'wordBits' | 'groups'>,
  b: typeof a,
): boolean =>
  a.slotCount !== b.slotCount ||
  (a.shortCount === b.shortCount && a.wordBits === b.wordBits && a.groups === b.groups);
