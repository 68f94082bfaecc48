/**
 * From an opened digit sum to the next model, or to the metrics of a federated evaluation. Pure post-processing.
 *
 * Trusts: that the sum was opened under the certificate whose cohort count is given. May be called by:
 * coordinator/release-round.ts, experiments/simulation.
 */
import { decodeSum, fromDigits } from '../../crypto/dp/mechanism.ts';
import { parseRational, rationalToNumber } from '../../crypto/dp/rational.ts';
import { ensure } from '../../crypto/error.ts';
import { type HistogramMetrics, metricsFromHistogram } from '../../protos/histogram-metrics.ts';
import { parameterCount } from '../../protos/model.ts';
import type { ParsedPlan, Plan } from '../../protos/plan.ts';
import { mechanismOf, vectorLength } from '../../protos/plan-mechanism.ts';
import { layoutOf } from '../../protos/plan-scheme.ts';
import {
  initialServerState,
  parseServerState,
  type ServerHyper,
  serializeServerState,
  serverStep,
} from './server-optimizer.ts';

/** Server hyper-parameters as the plan states them. */
export function serverHyperOf(plan: Plan): ServerHyper {
  const { strategy, serverLearningRate: learningRate, serverMomentum, beta2, tau } = plan.training;
  if (strategy === 'fedavgm') return { strategy, learningRate, momentum: serverMomentum };
  if (strategy === 'fedadam') return { strategy, learningRate, beta1: serverMomentum, beta2, tau };
  return { strategy, learningRate };
}

export const initialOptimizer = (plan: Plan): string =>
  serializeServerState(initialServerState(serverHyperOf(plan), parameterCount(plan.model)));

export interface OpenedSum {
  readonly digits: Int32Array;
  readonly round: number;
  /** |A| of the certificate. */
  readonly cohortCount: number;
}

/** The mean update (or minus the mean gradient) that a training sum stands for, in model units. */
export function meanUpdate(parsed: ParsedPlan, sum: OpenedSum): Float64Array {
  const { plan } = parsed;
  const length = vectorLength(plan, 'training');
  const integers = fromDigits(sum.digits, layoutOf(parsed, 'training'), length);
  const total = decodeSum(integers, mechanismOf(parsed, 'training', sum.round));
  const dimension = parameterCount(plan.model);
  if (plan.training.weighting === 'records') {
    const weight = total[dimension]!;
    ensure(
      weight > 0,
      'OPENING_FAILED',
      'the opened weights of the cohort do not add up to anything positive',
    );
    return total.subarray(0, dimension).map((value) => value / weight);
  }
  if (plan.privacy?.unit === 'record') {
    // A public divisor: the realised batch is private (DESIGN §2.5).
    const batch = rationalToNumber(parseRational(plan.mechanism.expectedBatch!));
    return total.map((value) => -value / batch);
  }
  return total.map((value) => value / sum.cohortCount);
}

/** One training release. */
export function releaseTraining(
  parsed: ParsedPlan,
  sum: OpenedSum,
  weights: Float32Array,
  optimizer: string,
): { weights: Float32Array; optimizer: string } {
  const step = serverStep(
    parseServerState(optimizer),
    weights,
    meanUpdate(parsed, sum),
    serverHyperOf(parsed.plan),
  );
  return { weights: step.weights, optimizer: serializeServerState(step.state) };
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
