/**
 * Exact metrics of binary scores, class probabilities and predicted numbers, for the `harness` evaluation path (all
 * scores in one place; DESIGN §2.12).
 *
 * For: experiments/. Pure. Trusts: nothing; shapes and ranges are checked. The federated path has its own
 * metrics from histograms (protos/histogram-metrics.ts) and is tested against these.
 */
import { ensure } from '../../crypto/error.ts';

type Scores = ArrayLike<number>;

function check(labels: Scores, scores: Scores): void {
  ensure(labels.length === scores.length, 'VECTOR_LENGTH_MISMATCH', 'one score per label is needed');
  ensure(labels.length > 0, 'DATA_EMPTY', 'a metric needs at least one row');
  for (let i = 0; i < labels.length; i++) {
    ensure(labels[i] === 0 || labels[i] === 1, 'DATA_INVALID', `row ${i}: the label must be 0 or 1`);
    ensure(Number.isFinite(scores[i]), 'DATA_INVALID', `row ${i}: the score is not finite`);
  }
}

/**
 * Area under the ROC curve by the Mann–Whitney statistic with mid-ranks: P(score⁺ > score⁻) + ½·P(equal).
 * @returns NaN when one class is absent (the AUC is then undefined).
 */
export function auc(labels: Scores, scores: Scores): number {
  check(labels, scores);
  const order = Array.from({ length: scores.length }, (_, i) => i).sort((a, b) => scores[a]! - scores[b]!);
  let positives = 0;
  let rankSum = 0;
  for (let from = 0; from < order.length; ) {
    let to = from;
    while (to < order.length && scores[order[to]!] === scores[order[from]!]) to++;
    const midRank = (from + 1 + to) / 2; // ranks from+1 … to
    for (let i = from; i < to; i++)
      if (labels[order[i]!] === 1) {
        positives++;
        rankSum += midRank;
      }
    from = to;
  }
  const negatives = order.length - positives;
  if (positives === 0 || negatives === 0) return Number.NaN;
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}

/** Share of rows whose side of `threshold` matches the label (score ≥ threshold is positive). */
export function accuracy(labels: Scores, scores: Scores, threshold = 0.5): number {
  check(labels, scores);
  let hits = 0;
  for (let i = 0; i < labels.length; i++) if (scores[i]! >= threshold === (labels[i] === 1)) hits++;
  return hits / labels.length;
}

/** Mean of sensitivity and specificity. @returns NaN when one class is absent. */
export function balancedAccuracy(labels: Scores, scores: Scores, threshold = 0.5): number {
  check(labels, scores);
  const total = [0, 0];
  const hits = [0, 0];
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i]!;
    total[label]!++;
    if (scores[i]! >= threshold === (label === 1)) hits[label]!++;
  }
  return (hits[0]! / total[0]! + hits[1]! / total[1]!) / 2;
}

/**
 * Expected calibration error (Naeini et al. 2015): equal-width bins over [0, 1], Σ (n_b/n)·|mean label −
 * mean score|. The last bin includes 1. Scores must be probabilities.
 */
export function expectedCalibrationError(labels: Scores, scores: Scores, bins = 10): number {
  check(labels, scores);
  const labelSum = new Float64Array(bins);
  const scoreSum = new Float64Array(bins);
  for (let i = 0; i < labels.length; i++) {
    const score = scores[i]!;
    ensure(score >= 0 && score <= 1, 'DATA_INVALID', `row ${i}: the score is not a probability`);
    const bin = Math.min(bins - 1, Math.floor(score * bins));
    labelSum[bin]! += labels[i]!;
    scoreSum[bin]! += score;
  }
  let error = 0;
  for (let bin = 0; bin < bins; bin++) error += Math.abs(labelSum[bin]! - scoreSum[bin]!);
  return error / labels.length;
}

/** Probabilities are held this far from 0 and 1 in a logarithm: one confident error must not make a mean infinite. */
const PROBABILITY_MIN = 1e-7;

/** Mean −ln of the probability given to the true label. Scores must be probabilities. */
export function logLoss(labels: Scores, scores: Scores): number {
  check(labels, scores);
  let sum = 0;
  for (let i = 0; i < labels.length; i++) {
    const given = labels[i] === 1 ? scores[i]! : 1 - scores[i]!;
    sum -= Math.log(Math.min(1, Math.max(PROBABILITY_MIN, given)));
  }
  return sum / labels.length;
}

/** Mean squared difference of probability and label (Brier 1950, of one class: 0 to 1). */
export function brierScore(labels: Scores, scores: Scores): number {
  check(labels, scores);
  let sum = 0;
  for (let i = 0; i < labels.length; i++) sum += (scores[i]! - labels[i]!) ** 2;
  return sum / labels.length;
}

export interface ClassMetrics {
  /** Share of rows whose most probable class (the first of equal ones) is theirs. */
  readonly accuracy: number;
  /** Mean recall over the classes that occur. */
  readonly balancedAccuracy: number;
  /** Mean F1 over the classes that occur or are predicted; a class that is only predicted counts 0. */
  readonly macroF1: number;
  /** Mean −ln of the probability given to the true class. */
  readonly logLoss: number;
  /** Mean over rows of Σ_k (p_k − y_k)²: 0 to 2 (Brier 1950). */
  readonly brierScore: number;
  /** Of the predicted class: mean probability against share of hits, ten equal bins (Guo et al. 1706.04599). */
  readonly calibrationError: number;
}

/**
 * @param labels class indices, 0 to count − 1
 * @param probabilities rows × count, row-major
 */
export function classMetrics(labels: Scores, probabilities: Scores, count: number): ClassMetrics {
  checkClasses(labels, probabilities, count);
  const confusion = new Float64Array(count * count);
  const hits: number[] = [];
  const confidence: number[] = [];
  let loss = 0;
  let squares = 0;
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i]!;
    let best = 0;
    for (let k = 0; k < count; k++) {
      const p = probabilities[i * count + k]!;
      if (p > probabilities[i * count + best]!) best = k;
      squares += (p - (k === label ? 1 : 0)) ** 2;
    }
    const given = probabilities[i * count + label]!;
    loss -= Math.log(Math.min(1, Math.max(PROBABILITY_MIN, given)));
    confusion[label * count + best]!++;
    hits.push(best === label ? 1 : 0);
    // Rounding may leave a softmax a little above one.
    confidence.push(Math.min(1, probabilities[i * count + best]!));
  }
  return {
    ...confusionMetrics(confusion, count),
    logLoss: loss / labels.length,
    brierScore: squares / labels.length,
    calibrationError: expectedCalibrationError(hits, confidence),
  };
}

/** `confusion`: count × count, true class by predicted class. */
function confusionMetrics(confusion: Float64Array, count: number) {
  const recalls: number[] = [];
  const scores: number[] = [];
  let right = 0;
  let rows = 0;
  for (let k = 0; k < count; k++) {
    const hit = confusion[k * count + k]!;
    let actual = 0;
    let predicted = 0;
    for (let j = 0; j < count; j++) {
      actual += confusion[k * count + j]!;
      predicted += confusion[j * count + k]!;
    }
    right += hit;
    rows += actual;
    if (actual > 0) recalls.push(hit / actual);
    if (actual + predicted > 0) scores.push((2 * hit) / (actual + predicted));
  }
  return { accuracy: right / rows, balancedAccuracy: average(recalls), macroF1: average(scores) };
}

function checkClasses(labels: Scores, probabilities: Scores, count: number): void {
  ensure(Number.isInteger(count) && count >= 2, 'FIELD_OUT_OF_RANGE', 'at least two classes');
  ensure(labels.length > 0, 'DATA_EMPTY', 'a metric needs at least one row');
  ensure(
    probabilities.length === labels.length * count,
    'VECTOR_LENGTH_MISMATCH',
    `${count} probabilities per label are needed`,
  );
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i]!;
    ensure(
      Number.isInteger(label) && label >= 0 && label < count,
      'DATA_INVALID',
      `row ${i}: the label must be a class index below ${count}`,
    );
    let sum = 0;
    for (let k = 0; k < count; k++) sum += probabilities[i * count + k]!;
    ensure(Math.abs(sum - 1) < 1e-3, 'DATA_INVALID', `row ${i}: the probabilities do not add up to 1`);
  }
}

export interface RegressionMetrics {
  readonly meanAbsoluteError: number;
  readonly rootMeanSquaredError: number;
  /** 1 − Σ(y − ŷ)²/Σ(y − ȳ)²; NaN where all targets are equal. */
  readonly rSquared: number;
}

/** In the unit of the targets. */
export function regressionMetrics(targets: Scores, predicted: Scores): RegressionMetrics {
  ensure(
    targets.length === predicted.length,
    'VECTOR_LENGTH_MISMATCH',
    'one prediction per target is needed',
  );
  ensure(targets.length > 0, 'DATA_EMPTY', 'a metric needs at least one row');
  const mean = average(Array.from(targets));
  let absolute = 0;
  let squared = 0;
  let spread = 0;
  for (let i = 0; i < targets.length; i++) {
    const error = predicted[i]! - targets[i]!;
    ensure(Number.isFinite(error), 'DATA_INVALID', `row ${i}: target or prediction is not finite`);
    absolute += Math.abs(error);
    squared += error ** 2;
    spread += (targets[i]! - mean) ** 2;
  }
  return {
    meanAbsoluteError: absolute / targets.length,
    rootMeanSquaredError: Math.sqrt(squared / targets.length),
    rSquared: spread === 0 ? Number.NaN : 1 - squared / spread,
  };
}

const average = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * Mean value of the worst 10 % of clients (⌈n/10⌉ clients, at least one), the fairness figure of q-FFL (Li
 * et al. 1905.10497). `perClient` holds one figure per client with at least one test row; NaNs are left out.
 * @param worst 'lowest' for accuracies and AUC, 'highest' for errors
 */
export function worstDecile(perClient: Scores, worst: 'lowest' | 'highest' = 'lowest'): number {
  const values = Array.from(perClient).filter((value) => !Number.isNaN(value));
  ensure(values.length > 0, 'DATA_EMPTY', 'no client has a value');
  values.sort((a, b) => (worst === 'lowest' ? a - b : b - a));
  return average(values.slice(0, Math.ceil(values.length / 10)));
}
