/**
 * Exact metrics of binary scores, for the `harness` evaluation path (all scores in one place; DESIGN §2.12).
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

/**
 * Mean value of the worst 10 % of clients (⌈n/10⌉ clients, at least one), the fairness figure of q-FFL (Li
 * et al. 1905.10497). `perClient` holds one accuracy (or AUC) per client with at least one test row; NaNs
 * are left out.
 */
export function worstDecile(perClient: Scores): number {
  const values = Array.from(perClient).filter((value) => !Number.isNaN(value));
  ensure(values.length > 0, 'DATA_EMPTY', 'no client has a value');
  values.sort((a, b) => a - b);
  const worst = values.slice(0, Math.ceil(values.length / 10));
  return worst.reduce((sum, value) => sum + value, 0) / worst.length;
}
