/**
 * What a plan implies: vector length, integer mechanism, digits, charge. Derived here once, so that client, holder,
 * coordinator and auditor can never disagree about a sensitivity, and nobody types one in.
 *
 * Trusts: a validated plan. May be called by: every role.
 */
import { rdpToEpsilonAt, zcdpToEpsilon } from '../crypto/dp/conversion.ts';
import type { DpEvent } from '../crypto/dp/events.ts';
import { chargeOf } from '../crypto/dp/filter.ts';
import {
  histogramNormBoundSquared,
  type MechanismParameters,
  normBoundSquared,
} from '../crypto/dp/mechanism.ts';
import { accountEvents, type RoundMechanism, roundEvent } from '../crypto/dp/plan-accounting.ts';
import { parseRational, rationalToNumber } from '../crypto/dp/rational.ts';
import { isConcentrated } from '../crypto/dp/zcdp.ts';
import { ensure } from '../crypto/error.ts';
import { getSuite } from '../crypto/identity/suite.ts';
import { adaptiveClipOf, clipOfRound } from './adaptive-clip.ts';
import type { ParsedPlan, Plan, PrivacyTerms } from './plan.ts';
import { accountingDelta, sumClientsMax, sumNoiseShares } from './plan-groups.ts';
import { familyLimit } from './plan-quota.ts';
import type { RoundConfig, RoundKind } from './round-config.ts';
import { publicRotationSeed } from './statements.ts';
import { updateLength } from './strategies/index.ts';

export { accountingDelta } from './plan-groups.ts';

const ZERO = parseRational('0');
const ONE = parseRational('1');
const NO_ROTATION = new Uint8Array(32);

/** Entries of the summed vector: what the strategy sums (and a weight, and a clip bit), or 2 × bins histogram counts. */
export function vectorLength(plan: Plan, kind: RoundKind): number {
  if (kind === 'evaluation') return 2 * plan.evaluation.bins;
  const weight = plan.training.weighting === 'records' ? 1 : 0;
  return updateLength(plan) + weight + (adaptiveClipOf(plan, kind) ? 1 : 0);
}

/** The integer mechanism of a round (crypto/dp/mechanism.ts), at the plan's clip. */
export const mechanismOf = (parsed: ParsedPlan, kind: RoundKind, round: number): MechanismParameters => ({
  ...mechanismOfPlan(parsed.plan, kind),
  rotationSeed: publicRotationSeed(getSuite(parsed.plan.suite), parsed.hash, round),
});

/** The same at the clip that this round's configuration states. @throws WRONG_CONFIG for one the plan does not allow. */
export function mechanismOfRound(
  parsed: ParsedPlan,
  { kind, round, clip: stated }: Pick<RoundConfig, 'kind' | 'round' | 'clip'>,
): MechanismParameters {
  const mechanism = mechanismOf(parsed, kind, round);
  const clip = clipOfRound(parsed.plan, kind, stated);
  return clip ? { ...mechanism, clip } : mechanism;
}

const mechanisms = new WeakMap<Plan, Partial<Record<RoundKind, MechanismParameters>>>();

/** The same but for the rotation, which takes the plan's hash: for what depends on sizes only. Made once for a plan. */
export function mechanismOfPlan(plan: Plan, kind: RoundKind): MechanismParameters {
  const known = mechanisms.get(plan) ?? {};
  const made = known[kind];
  if (made) return made;
  const mechanism = makeMechanism(plan, kind);
  mechanisms.set(plan, { ...known, [kind]: mechanism });
  return mechanism;
}

function makeMechanism(plan: Plan, kind: RoundKind): MechanismParameters {
  const evaluation = kind === 'evaluation';
  const adaptive = adaptiveClipOf(plan, kind);
  const noise = plan.privacy === null ? ZERO : parseRational(evaluationOrTraining(plan, evaluation));
  return {
    unit: plan.privacy?.unit ?? 'none',
    dimension: vectorLength(plan, kind),
    clip: evaluation ? ONE : parseRational(plan.mechanism.clip),
    unitsPerClip: evaluation ? 1 : plan.mechanism.unitsPerClip,
    rotationSeed: NO_ROTATION,
    noiseVariance: noise,
    clients: sumClientsMax(plan, kind),
    recordsMax: recordsMaxOf(plan, evaluation),
    ...(adaptive ? { clipBitUnits: adaptive.bitUnits } : {}),
  };
}

/** An evaluation counts every row of an eligible table; a record-unit batch is at most the table. */
function recordsMaxOf(plan: Plan, evaluation: boolean): number {
  if (evaluation) return plan.eligibility.recordsMax;
  return plan.privacy?.unit === 'record' ? plan.mechanism.recordsMax : 1;
}

function evaluationOrTraining(plan: Plan, evaluation: boolean): string {
  if (!plan.privacy) return '0';
  return evaluation ? (plan.privacy.evaluationNoiseVariance ?? '0') : plan.privacy.noiseVariance;
}

/**
 * The accountable mechanism of a round with `cohortCount` certified clients: the charge is computed for
 * ⌊(1−γ)·cohortCount⌋ honest noise shares (DESIGN §5), in a round with groups for those of its smallest group: groups are
 * disjoint, so a person pays for her own only, and no group has less noise. `null` without DP.
 */
export function roundMechanismOf(
  parsed: ParsedPlan,
  kind: RoundKind,
  cohortCount: number,
): RoundMechanism | null {
  const { privacy } = parsed.plan;
  if (!privacy) return null;
  const parameters = mechanismOf(parsed, kind, 1);
  return {
    unit: privacy.unit,
    sensitivitySquared:
      kind === 'evaluation' ? histogramNormBoundSquared(parameters) : normBoundSquared(parameters),
    noiseVariance: parameters.noiseVariance,
    noiseShares: sumNoiseShares(parsed.plan, kind, cohortCount),
    // Every record of the evaluation table takes part: no amplification is claimed there.
    samplingRate: kind === 'evaluation' ? ONE : parseRational(privacy.samplingRate),
    dimension: parameters.dimension,
  };
}

export interface PlanAccount {
  /** Order at which every filter of this plan runs: fixed by the plan alone, before any data (crypto/dp/filter.ts). */
  readonly order: number | 'zcdp';
  /** ε at `delta` if every round runs with the smallest cohort. */
  readonly epsilon: number;
  /** The plan's δ, less what pays for partitions into groups (plan-groups.ts, `accountingDelta`). */
  readonly delta: number;
  /** Amount at `order` of one round with the smallest cohort. */
  readonly charge: Readonly<Record<RoundKind, number>>;
}

/**
 * Worst-case account of a whole plan (smallest cohort, every round charged), or null without DP. Throws
 * BUDGET_EXCEEDED when the plan's own noise does not keep its stated ε.
 */
export function accountPlan(parsed: ParsedPlan): PlanAccount | null {
  if (!parsed.plan.privacy) return null;
  const known = accounts.get(parsed);
  if (known) return known;
  const account = computeAccount(parsed, parsed.plan.privacy);
  accounts.set(parsed, account);
  return account;
}

/** Rényi divergences are asked for at every check-in; a plan never changes. */
const accounts = new WeakMap<ParsedPlan, PlanAccount>();

function computeAccount(parsed: ParsedPlan, privacy: PrivacyTerms): PlanAccount {
  const { plan } = parsed;
  const delta = accountingDelta(parsed);
  const allowed = rationalToNumber(parseRational(privacy.epsilon));
  const eventOf = (kind: RoundKind) => roundEvent(roundMechanismOf(parsed, kind, plan.rounds.cohortMin)!);
  const training = eventOf('training');
  const evaluation = plan.rounds.evaluation > 0 ? eventOf('evaluation') : null;
  const events: DpEvent[] = [{ type: 'self_composed', event: training, count: plan.rounds.training }];
  if (evaluation) events.push({ type: 'self_composed', event: evaluation, count: plan.rounds.evaluation });
  // A filter that several plans share has the order that all of them state.
  const order =
    privacy.quota?.total.order ??
    (events.every(isConcentrated) ? 'zcdp' : accountEvents(events, delta).order);
  const charge = {
    training: chargeOf(training, order),
    evaluation: evaluation ? chargeOf(evaluation, order) : 0,
  };
  const total = charge.training * plan.rounds.training + charge.evaluation * plan.rounds.evaluation;
  const epsilon = epsilonOfAmount(order, total, delta);
  ensure(
    epsilon <= allowed,
    'BUDGET_EXCEEDED',
    `the plan's noise gives epsilon ${epsilon.toFixed(4)} at delta ${privacy.delta}, more than the ` +
      `${privacy.epsilon} that it states: raise privacy.noiseVariance or run fewer rounds`,
  );
  const share = familyLimit(privacy);
  ensure(
    share === undefined || total <= share,
    'BUDGET_EXCEEDED',
    `the whole plan costs ${total.toPrecision(4)}, its family's share of the budget is ${share?.toPrecision(4)} ` +
      `(order ${order}): raise privacy.quota.share or privacy.noiseVariance, or run fewer rounds`,
  );
  return { order, epsilon, delta, charge };
}

/** ε at δ of an amount spent at an order. */
export const epsilonOfAmount = (order: number | 'zcdp', amount: number, delta: number): number =>
  amount === 0
    ? 0
    : order === 'zcdp'
      ? zcdpToEpsilon(amount, delta).epsilon
      : rdpToEpsilonAt(order, amount, delta);

/**
 * Amount at `order` of one round that `cohortCount` clients were certified for, never above what was reserved for
 * cohortMin: the sum with more noise shares is the sum with cohortMin's and independent noise on top, so by data
 * processing every bound for the fewer shares holds for the more. The formula itself may grow: its τ does with the
 * number of shares. A smaller cohort than cohortMin has no such bound and costs what it costs.
 */
export function realisedCharge(
  parsed: ParsedPlan,
  kind: RoundKind,
  cohortCount: number,
  order: number | 'zcdp',
): number {
  const mechanism = roundMechanismOf(parsed, kind, cohortCount);
  if (!mechanism) return 0;
  const realised = chargeOf(roundEvent(mechanism), order);
  const { cohortMin } = parsed.plan.rounds;
  if (cohortCount <= cohortMin) return realised;
  return Math.min(realised, chargeOf(roundEvent(roundMechanismOf(parsed, kind, cohortMin)!), order));
}
