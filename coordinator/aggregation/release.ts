/**
 * From an opened digit sum to the next model, or to the metrics of a federated evaluation. Pure post-processing.
 *
 * Trusts: that the sum was opened under the certificate whose cohort count is given. May be called by:
 * coordinator/release-round.ts, experiments/simulation.
 */
import {
  decodeSum,
  fractionWithinClip,
  fromDigits,
  type MechanismParameters,
} from '../../crypto/dp/mechanism.ts';
import { parseRational, rationalToNumber } from '../../crypto/dp/rational.ts';
import { ensure } from '../../crypto/error.ts';
import { adaptiveClipOf, nextClip } from '../../protos/adaptive-clip.ts';
import { type HistogramMetrics, metricsFromHistogram } from '../../protos/histogram-metrics.ts';
import { groupTermsOf, type ParsedPlan, type Plan } from '../../protos/plan.ts';
import { faultyMaxOf, normFactorOf, trimOf } from '../../protos/plan-groups.ts';
import { mechanismOfRound, vectorLength } from '../../protos/plan-mechanism.ts';
import { layoutOf, schemeOf } from '../../protos/plan-scheme.ts';
import { blobLength, updateLength } from '../../protos/strategies/index.ts';
import { combineGroups, type GroupMean } from './combine.ts';
import {
  initialServerState,
  parseServerState,
  type ServerHyper,
  serializeServerState,
  serverStep,
} from './server-optimizer.ts';
import { serverStrategyOf } from './strategies/index.ts';

/** Server hyper-parameters as the plan states them. */
export const serverHyperOf = ({ training }: Plan): ServerHyper =>
  serverStrategyOf(training.strategy).hyperOf(training);

export const initialOptimizer = (plan: Plan): string =>
  serializeServerState(initialServerState(serverHyperOf(plan), blobLength(plan)));

export interface OpenedSum {
  /** Slots; in a round with groups those of each group in turn. */
  readonly digits: Int32Array;
  readonly round: number;
  /** |A| of the certificate. */
  readonly cohortCount: number;
  /** As the round's configuration states it, where the plan's clip adapts. */
  readonly clip?: string;
  /** Releases since the version that the round started from, where rounds overlap; absent: 0. */
  readonly staleness?: number;
  /** Members and validity of each group; null or absent: one sum. */
  readonly groups?: { readonly sizes: readonly number[]; readonly valid: readonly boolean[] } | null;
}

const NO_WEIGHT = 'the opened weights of the cohort do not add up to anything positive';

/**
 * The mean update (or minus the mean gradient) that a training sum stands for, in model units: what moves the blob.
 * @throws OPENING_FAILED where the opened weights of the cohort are not positive.
 */
export function meanUpdate(parsed: ParsedPlan, sum: OpenedSum): Float64Array {
  const { plan } = parsed;
  const mechanism = mechanismOfRound(parsed, { kind: 'training', ...sum });
  const mean = combinedMean(parsed, mechanism, sum);
  const { cohortCount, staleness = 0 } = sum;
  const terms = { plan, clip: rationalToNumber(mechanism.clip), cohortCount, staleness };
  const direction = serverStrategyOf(plan.training.strategy).direction?.(mean, terms) ?? mean;
  const length = blobLength(plan);
  if (direction.length === length) return direction;
  // What stays on the devices does not move.
  const whole = new Float64Array(length);
  whole.set(direction);
  return whole;
}

/** The mean of the one sum, or of the groups' by the plan's rule; with the strategy's extra coordinates. */
function combinedMean(parsed: ParsedPlan, mechanism: MechanismParameters, sum: OpenedSum): Float64Array {
  const terms = groupTermsOf(parsed.plan);
  ensure(
    Boolean(terms) === Boolean(sum.groups),
    'INTERNAL',
    'the plan has groups or the opened sum has, not both',
  );
  if (!terms || !sum.groups) {
    const whole = meanOf(parsed, mechanism, sum.digits, sum.cohortCount);
    ensure(whole, 'OPENING_FAILED', NO_WEIGHT);
    return whole.mean;
  }
  const { sizes, valid } = sum.groups;
  const { slotCount } = schemeOf(parsed, 'training').scheme;
  ensure(
    sum.digits.length === sizes.length * slotCount && valid.length === sizes.length,
    'INTERNAL',
    'the opened sum has other groups than it says',
  );
  const means = sizes.flatMap((size, i) => {
    const digits = sum.digits.subarray(i * slotCount, (i + 1) * slotCount);
    return (valid[i] && meanOf(parsed, mechanism, digits, size)) || [];
  });
  // One client's weight can be a lie that takes its group's total below zero.
  ensure(2 * means.length > sizes.length, 'OPENING_FAILED', NO_WEIGHT);
  return combineGroups(means, {
    combine: terms.combine,
    groupCount: sizes.length,
    trim: trimOf(terms),
    normFactor: normFactorOf(terms),
    faultyMax: faultyMaxOf(terms),
    keptCount: terms.keptCount,
  });
}

/** What `count` clients' slots stand for, and its weight among others; null where that is not positive. */
function meanOf(
  parsed: ParsedPlan,
  mechanism: MechanismParameters,
  digits: Int32Array,
  count: number,
): GroupMean | null {
  const { plan } = parsed;
  const length = vectorLength(plan, 'training');
  const total = decodeSum(fromDigits(digits, layoutOf(parsed, 'training'), length), mechanism);
  const dimension = updateLength(plan);
  if (plan.training.weighting === 'records') {
    const weight = total[dimension]!;
    if (weight <= 0) return null;
    return { mean: total.subarray(0, dimension).map((value) => value / weight), count: weight };
  }
  if (plan.privacy?.unit === 'record') {
    // A public divisor: the realised batch is private (DESIGN §2.5).
    const batch = rationalToNumber(parseRational(plan.mechanism.expectedBatch!));
    return { mean: total.map((value) => -value / batch), count };
  }
  const strategy = serverStrategyOf(plan.training.strategy);
  return strategy.mean ? strategy.mean(total, count) : { mean: total.map((value) => value / count), count };
}

export interface TrainingRelease {
  /** The next blob: the model and what the strategy sends with it (protos/strategies). */
  readonly weights: Float32Array;
  readonly optimizer: string;
  /** Adaptive clips: the noised fraction of norms within this round's clip, and the next round's clip. */
  readonly clip?: { readonly fractionWithin: number; readonly next: string };
}

/**
 * One training release.
 * @param weights the newest blob, which the sum moves; where rounds overlap, not always the one that they started from
 */
export function releaseTraining(
  parsed: ParsedPlan,
  sum: OpenedSum,
  weights: Float32Array,
  optimizer: string,
): TrainingRelease {
  const step = serverStep(
    parseServerState(optimizer),
    weights,
    meanUpdate(parsed, sum),
    serverHyperOf(parsed.plan),
  );
  const clip = adaptedClip(parsed, sum);
  return { weights: step.weights, optimizer: serializeServerState(step.state), ...(clip ? { clip } : {}) };
}

/** What the clip bits of a sum say, and the clip of the next training round; undefined for a fixed clip. */
function adaptedClip(parsed: ParsedPlan, sum: OpenedSum): TrainingRelease['clip'] {
  const terms = adaptiveClipOf(parsed.plan, 'training');
  if (!terms) return undefined;
  const mechanism = mechanismOfRound(parsed, { kind: 'training', ...sum });
  const integers = fromDigits(
    sum.digits,
    layoutOf(parsed, 'training'),
    vectorLength(parsed.plan, 'training'),
  );
  const fractionWithin = fractionWithinClip(integers, mechanism, sum.cohortCount);
  return { fractionWithin, next: nextClip(terms, mechanism.clip, fractionWithin) };
}

/** One evaluation release: score histograms by label, first the negatives' bins, then the positives'. */
export function releaseEvaluation(
  parsed: ParsedPlan,
  sum: OpenedSum,
): { histogram: number[]; metrics: HistogramMetrics } {
  const length = vectorLength(parsed.plan, 'evaluation');
  const histogram = [...fromDigits(sum.digits, layoutOf(parsed, 'evaluation'), length)];
  return { histogram, metrics: metricsFromHistogram(histogram) };
}
