/**
 * Noise that makes a plan keep its ε, on the finest grid that the sums carry.
 *
 * Data-independent: everything follows from the draft's public numbers. May be called by: experiments/demo,
 * experiments/runs.
 */
import { normBoundSquared } from '../../crypto/dp/mechanism.ts';
import { calibrateNoiseVariance, roundEvent } from '../../crypto/dp/plan-accounting.ts';
import { formatRational, parseRational, rationalToNumber } from '../../crypto/dp/rational.ts';
import { isPulsefoldError } from '../../crypto/error.ts';
import { finishPlan, type ParsedPlan } from '../../protos/plan.ts';
import { accountingDelta, mechanismOf, roundMechanismOf } from '../../protos/plan-mechanism.ts';
import { schemeOf } from '../../protos/plan-scheme.ts';

export interface PrivacyDraft {
  readonly unit: 'person' | 'record';
  readonly epsilon: string;
  readonly delta: string;
  readonly gamma: string;
  readonly samplingRate: string;
}

/** A plan but for its privacy terms and its grid. */
export interface PlanDraft {
  readonly mechanism: object;
}

/** The finest grid tried; a finer one buys nothing beside the noise. */
const UNITS_PER_CLIP_MAX = 1024;
/** Of ε, for rounds of evaluation. */
const EVALUATION_SHARE = 0.35;
/** How a plan that does not fit the modulus is refused (protos/plan-privacy.ts). */
const CAPACITY_FIELD = 'plan.mechanism.unitsPerClip:';

/**
 * The finest power-of-two grid (unitsPerClip) that something carries, with the noise that the plan's own rounds need on
 * it. Under bfv a coarser one is worth it where it spares the long cipher: half the bytes.
 * @throws PLAN_INVALID naming the field, PARAMETER_UNSAFE where no noise fits the budget.
 */
export function calibratedPlan(
  draft: PlanDraft,
  privacy: PrivacyDraft,
  onGrid: (unitsPerClip: number) => object = (unitsPerClip) => ({ unitsPerClip }),
): ParsedPlan {
  for (let units = UNITS_PER_CLIP_MAX; ; units /= 2) {
    const gridded = { ...draft, mechanism: { ...draft.mechanism, ...onGrid(units) } };
    try {
      const parsed = calibratedOn(gridded, privacy);
      const { long } = schemeOf(parsed, 'training').scheme;
      if (parsed.plan.aggregation.transport === 'shares' || long === null || units === 1) return parsed;
    } catch (error) {
      if (units === 1 || !isPulsefoldError(error) || !error.message.startsWith(CAPACITY_FIELD)) throw error;
    }
  }
}

/**
 * The same on the grid that the draft states. An evaluation's noise first: it gets a fixed share of ε, the training the
 * rest of what the composition leaves.
 */
export function calibratedOn(draft: PlanDraft, privacy: PrivacyDraft): ParsedPlan {
  const probe = finishPlan({
    ...draft,
    privacy: { ...privacy, noiseVariance: '1', evaluationNoiseVariance: '1' },
  });
  const { plan } = probe;
  const epsilon = rationalToNumber(parseRational(privacy.epsilon));
  const common = { unit: privacy.unit, delta: accountingDelta(probe) };
  let evaluationNoiseVariance: string | undefined;
  const otherEvents = [];
  if (plan.rounds.evaluation > 0) {
    const mechanism = roundMechanismOf(probe, 'evaluation', plan.rounds.cohortMin)!;
    const found = calibrateNoiseVariance({
      ...common,
      noiseShares: mechanism.noiseShares,
      sensitivitySquared: mechanism.sensitivitySquared,
      samplingRate: mechanism.samplingRate,
      dimension: mechanism.dimension,
      rounds: plan.rounds.evaluation,
      epsilon: epsilon * EVALUATION_SHARE,
    });
    evaluationNoiseVariance = formatRational(found.noiseVariance);
    for (let i = 0; i < plan.rounds.evaluation; i++)
      otherEvents.push(roundEvent({ ...mechanism, noiseVariance: found.noiseVariance }));
  }
  const mechanism = mechanismOf(probe, 'training', 1);
  const { noiseVariance } = calibrateNoiseVariance({
    ...common,
    // Of the smallest group, where there are groups.
    noiseShares: roundMechanismOf(probe, 'training', plan.rounds.cohortMin)!.noiseShares,
    sensitivitySquared: normBoundSquared(mechanism),
    samplingRate: parseRational(privacy.samplingRate),
    dimension: mechanism.dimension,
    rounds: plan.rounds.training,
    epsilon,
    otherEvents,
  });
  return finishPlan({
    ...draft,
    privacy: {
      ...privacy,
      noiseVariance: formatRational(noiseVariance),
      ...(evaluationNoiseVariance ? { evaluationNoiseVariance } : {}),
    },
  });
}
