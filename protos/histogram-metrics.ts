/**
 * Metrics from histograms of scores by label: what the federated evaluation path releases (DESIGN §2.12).
 *
 * For: clients (which count their own test rows into a histogram), the coordinator and auditors (which read
 * metrics off the opened, possibly noisy sum). Pure. Trusts: nothing; a histogram is 2·bins integers from
 * the network. Why histograms: they add up exactly under secure aggregation, and one record changes one cell
 * by one.
 */
import { ensure } from '../crypto/error.ts';

export const histogramBinsMax = 1000;
const calibrationBins = 10;

/**
 * Layout of the vector: `bins` counts of negative rows by rising score, then `bins` counts of positive rows.
 */
export type ScoreHistogram = ArrayLike<number>;

/** Bins must be a multiple of 20: then 0.5 and the ten calibration bins lie on bin edges. */
export function checkHistogramBins(bins: number): void {
  ensure(
    Number.isInteger(bins) && bins >= 20 && bins <= histogramBinsMax && bins % 20 === 0,
    'FIELD_OUT_OF_RANGE',
    `a score histogram needs a multiple of 20 bins, 20 to ${histogramBinsMax}`,
  );
}

/**
 * Counts rows by label and score; bin b holds scores in [b/bins, (b+1)/bins), the last one also 1.
 * @returns 2·bins counts
 * @throws PulsefoldError DATA_INVALID, VECTOR_LENGTH_MISMATCH, FIELD_OUT_OF_RANGE
 */
export function scoreHistogram(
  labels: ArrayLike<number>,
  scores: ArrayLike<number>,
  bins: number,
): Int32Array {
  checkHistogramBins(bins);
  ensure(labels.length === scores.length, 'VECTOR_LENGTH_MISMATCH', 'one score per label is needed');
  const counts = new Int32Array(2 * bins);
  for (let i = 0; i < labels.length; i++) {
    const score = scores[i]!;
    const label = labels[i]!;
    ensure(score >= 0 && score <= 1, 'DATA_INVALID', `row ${i}: the score is not a probability`);
    ensure(label === 0 || label === 1, 'DATA_INVALID', `row ${i}: the label must be 0 or 1`);
    counts[label * bins + Math.min(bins - 1, Math.floor(score * bins))]! += 1;
  }
  return counts;
}

export interface HistogramMetrics {
  /** Rows and positive rows after negative (noisy) counts were set to 0. */
  readonly rows: number;
  readonly positives: number;
  /** NaN where one class is empty. Differs from the exact AUC by at most `aucErrorMax` (without noise). */
  readonly auc: number;
  /** ½·Σ p_b·n_b / (P·N): all that the order inside bins can change. */
  readonly aucErrorMax: number;
  /** At threshold 0.5. */
  readonly accuracy: number;
  /** At threshold 0.5; NaN where one class is empty. */
  readonly balancedAccuracy: number;
  /**
   * Expected calibration error over ten bins, the score of a row taken as the middle of its histogram bin:
   * within ½/bins of the exact one (without noise).
   */
  readonly calibrationError: number;
}

/**
 * Metrics of a summed histogram. Noise may have made counts negative; those count as 0, which is
 * post-processing.
 * @throws PulsefoldError VECTOR_LENGTH_MISMATCH, FIELD_OUT_OF_RANGE, DATA_INVALID (a count is not finite)
 */
export function metricsFromHistogram(histogram: ScoreHistogram): HistogramMetrics {
  ensure(
    histogram.length % 2 === 0,
    'VECTOR_LENGTH_MISMATCH',
    'a score histogram has an even number of counts',
  );
  const bins = histogram.length / 2;
  checkHistogramBins(bins);
  const count = (index: number): number => {
    const value = histogram[index]!;
    ensure(Number.isFinite(value), 'DATA_INVALID', `count ${index} is not finite`);
    return Math.max(0, value);
  };
  let positives = 0;
  let negatives = 0;
  let ordered = 0; // pairs (positive, negative) with the positive in a higher bin
  let tied = 0; // pairs in one bin
  let truePositives = 0;
  let trueNegatives = 0;
  const gaps = new Float64Array(calibrationBins); // Σ label − Σ score
  for (let bin = 0; bin < bins; bin++) {
    const negative = count(bin);
    const positive = count(bins + bin);
    ordered += positive * negatives;
    tied += positive * negative;
    negatives += negative;
    positives += positive;
    if (2 * bin >= bins) truePositives += positive;
    else trueNegatives += negative;
    gaps[Math.floor((bin * calibrationBins) / bins)]! +=
      positive - (positive + negative) * ((bin + 0.5) / bins);
  }
  const rows = positives + negatives;
  const pairs = positives * negatives;
  return {
    rows,
    positives,
    auc: pairs > 0 ? (ordered + tied / 2) / pairs : Number.NaN,
    aucErrorMax: pairs > 0 ? tied / 2 / pairs : Number.NaN,
    accuracy: rows > 0 ? (truePositives + trueNegatives) / rows : Number.NaN,
    balancedAccuracy: pairs > 0 ? (truePositives / positives + trueNegatives / negatives) / 2 : Number.NaN,
    calibrationError: rows > 0 ? gaps.reduce((sum, gap) => sum + Math.abs(gap), 0) / rows : Number.NaN,
  };
}
