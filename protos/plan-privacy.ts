/**
 * What a plan's privacy terms must satisfy together, beyond the form of each field: refused at every parse, so that no
 * role ever runs such a plan.
 *
 * Trusts: each field's own form (protos/plan.ts). May be called by: protos/plan.ts.
 */
import { fitsModulus } from '../crypto/dp/digits.ts';
import {
  compareRational,
  divideRational,
  ONE,
  parseRational,
  rationalToNumber,
  ZERO,
} from '../crypto/dp/rational.ts';
import type { Plan, PrivacyTerms } from './plan.ts';

export interface PlanIssue {
  readonly path: string[];
  readonly message: string;
}

/** Beyond it "δ" is no small probability any more, and conversions are vacuous. */
const DELTA_MAX = parseRational('1/100');
/** arXiv 2102.06387, Theorem 1: sums of discrete Gaussians are understood for σ ≥ 1/2. */
const VARIANCE_MIN = parseRational('1/4');

export function privacyIssues(plan: Plan): PlanIssue[] {
  const { privacy } = plan;
  if (!privacy) return [];
  return [...termIssues(plan, privacy), ...recordIssues(plan, privacy), ...capacityIssues(plan, privacy)];
}

function termIssues(plan: Plan, privacy: PrivacyTerms): PlanIssue[] {
  const issues: PlanIssue[] = [];
  const issue = (path: string[], message: string) => issues.push({ path, message });
  const delta = parseRational(privacy.delta);
  if (compareRational(delta, ZERO) <= 0 || compareRational(delta, DELTA_MAX) > 0)
    issue(['privacy', 'delta'], 'more than 0 and at most 1/100; usual is 0.00001');
  for (const field of ['noiseVariance', 'evaluationNoiseVariance'] as const) {
    const variance = privacy[field];
    if (variance !== undefined && compareRational(parseRational(variance), VARIANCE_MIN) < 0)
      issue(['privacy', field], 'at least 1/4: below that a sum of discrete Gaussians has no proof');
  }
  if (plan.training.weighting === 'records')
    issue(['training', 'weighting'], 'weights by record count reveal the count; use "equal" under DP');
  if (privacy.unit === 'person' && privacy.samplingRate !== '1')
    issue(
      ['privacy', 'samplingRate'],
      'coordinator and holders see the cohort, so person-level plans have q = 1',
    );
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
  if (mechanism.recordsMax < eligibility.recordsMax)
    issues.push({
      path: ['mechanism', 'recordsMax'],
      message: `at least eligibility.recordsMax (${eligibility.recordsMax}): every eligible table must fit whole`,
    });
  return issues;
}

/**
 * One plaintext coefficient holds one entry of a noised sum (crypto/dp/digits.ts): it must fit where everything that
 * the plan expects points the same way. Person: cohortMax clips. Record: the expected batch of clips. Evaluation: all
 * rows in one cell, where the rows are cohortMax people (a person's histogram has norm 1), or for records the smaller
 * of cohortMax tables of eligibility.recordsMax and the records that the plan itself expects, expectedBatch/q: tables
 * of hospitals differ by orders of magnitude, so the first alone would refuse far too much.
 */
function capacityIssues(plan: Plan, privacy: PrivacyTerms): PlanIssue[] {
  const issues: PlanIssue[] = [];
  const { cohortMax } = plan.rounds;
  const { unitsPerClip, expectedBatch } = plan.mechanism;
  const batch = parseRational(expectedBatch ?? '0');
  const clips = privacy.unit === 'person' ? cohortMax : rationalToNumber(batch);
  if (!fitsModulus(clips * unitsPerClip, parseRational(privacy.noiseVariance), cohortMax))
    issues.push({
      path: ['mechanism', 'unitsPerClip'],
      message:
        `a sum of ${clips} clips of ${unitsPerClip} units and twelve deviations of the noise must stay within ` +
        '2^14, half the plaintext modulus: lower unitsPerClip (and calibrate the noise again)',
    });
  const rate = parseRational(privacy.samplingRate);
  if (plan.rounds.evaluation === 0 || !privacy.evaluationNoiseVariance || rate.numerator <= 0n) return issues;
  const expected = Math.ceil(rationalToNumber(divideRational(batch, rate)));
  const rows =
    privacy.unit === 'person' ? cohortMax : Math.min(cohortMax * plan.eligibility.recordsMax, expected);
  if (!fitsModulus(rows, parseRational(privacy.evaluationNoiseVariance), cohortMax))
    issues.push({
      path: ['rounds', 'evaluation'],
      message: `a histogram cell may reach ${rows} rows and its noise, more than 2^14: evaluate with fewer clients`,
    });
  return issues;
}
