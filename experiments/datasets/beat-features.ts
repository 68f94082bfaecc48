/**
 * How irregular one minute of heart beats is: inputs of an atrial-fibrillation model.
 *
 * For: mitbih-af.ts; written so that a phone can compute it from the intervals of its own minute and nothing else.
 * Pure. Trusts: nothing; impossible intervals are dropped, too few give undefined. All but the mean are relative to
 * the minute's own beat length, so that a fast regular heart does not look like a slow irregular one.
 *
 * Sources: sample entropy and its heart-rate corrected form, Lake & Moorman, Am J Physiol 300:H319 (2011); entropy of
 * intervals and turning points, Dash et al., Ann Biomed Eng 37:1701 (2009).
 */

/** Intervals outside are missed or false beats, s. */
const intervalMin = 0.2;
const intervalMax = 3;
/** A minute with fewer intervals than this is no measurement. */
export const intervalsMin = 15;
/** Intervals that differ by less than this share of the median count as alike (sample entropy). */
const tolerance = 0.05;
/** Odd: a regular rhythm sits in the middle of a bin, not on an edge that noise would cross. */
const histogramBins = 15;

/** Names and public ranges: bounds of the definition (shares, correlations), else of what human hearts do. */
export const beatInputs = [
  // s: 200 to 40 beats a minute.
  ['interval_mean', 0.3, 1.5],
  ['variation', 0, 0.5],
  ['step_median', 0, 0.4],
  ['step_lower_quartile', 0, 0.2],
  ['steps_above_6_percent', 0, 1],
  ['interval_entropy', 0, 1],
  ['step_entropy', 0, 1],
  ['sample_entropy', -3, 1],
  ['turning_points', 0, 1],
  ['correlation_1', -1, 1],
  ['correlation_2', -1, 1],
  ['correlation_3', -1, 1],
  ['short_then_long', 0, 0.5],
  ['calm_steps_mean', 0, 0.2],
  ['mode_share', 0, 1],
  ['best_period_step', 0, 0.3],
  ['interquartile', 0, 0.6],
] as const;
export type BeatInput = (typeof beatInputs)[number][0];

/** @param intervals beat-to-beat times of one minute, s, in order; undefined when there are too few */
export function beatFeatures(intervals: readonly number[]): Record<BeatInput, number> | undefined {
  const beats = intervals.filter((value) => value >= intervalMin && value <= intervalMax);
  if (beats.length < intervalsMin) return undefined;
  const sorted = [...beats].sort((a, b) => a - b);
  const median = quantile(sorted, 0.5);
  const mean = sum(beats) / beats.length;
  const steps = beats.slice(1).map((value, i) => value - beats[i]!);
  // Each step against the mean of its two intervals.
  const relative = steps.map((step, i) => (2 * Math.abs(step)) / (beats[i]! + beats[i + 1]!));
  const relativeSorted = [...relative].sort((a, b) => a - b);
  const calm = relativeSorted.slice(0, Math.floor(0.6 * relativeSorted.length));
  const stepMedian = quantile(relativeSorted, 0.5);
  const centred = beats.map((value) => value - mean);
  const variance = sum(centred.map((value) => value * value)) / beats.length + 1e-6;
  const correlation = (lag: number): number =>
    sum(centred.slice(lag).map((value, i) => value * centred[i]!)) / (beats.length - lag) / variance;
  return {
    interval_mean: mean,
    variation: Math.sqrt(variance) / mean,
    step_median: stepMedian,
    step_lower_quartile: quantile(relativeSorted, 0.25),
    steps_above_6_percent: shareOf(relative, (value) => value > 0.06),
    interval_entropy: entropy(
      beats.map((value) => value / median),
      0.25,
      1.75,
    ),
    step_entropy: entropy(
      steps.map((value) => value / median),
      -0.75,
      0.75,
    ),
    sample_entropy: sampleEntropy(beats, tolerance * median) + Math.log(2 * tolerance),
    turning_points: turningPoints(beats),
    correlation_1: correlation(1),
    correlation_2: correlation(2),
    correlation_3: correlation(3),
    short_then_long: shareOf(steps, (_, i) => beats[i]! < 0.87 * median && beats[i + 1]! > 1.08 * median),
    calm_steps_mean: sum(calm) / Math.max(1, calm.length),
    mode_share: modeShare(beats, median),
    // Beats in twos or threes (bigeminy, trigeminy) repeat after two or three: irregular, but not at random.
    best_period_step: Math.min(stepMedian, periodStep(beats, median, 2), periodStep(beats, median, 3)),
    interquartile: (quantile(sorted, 0.75) - quantile(sorted, 0.25)) / median,
  };
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const shareOf = (values: readonly number[], holds: (value: number, i: number) => boolean): number =>
  values.filter(holds).length / Math.max(1, values.length);

/** Linear interpolation between order statistics (type 7 of Hyndman & Fan 1996). */
export function quantile(sorted: readonly number[], share: number): number {
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.min(sorted.length - 1, low + 1);
  return sorted[low]! + (at - low) * (sorted[high]! - sorted[low]!);
}

/** Shannon entropy of a histogram over [from, to], as a share of the largest possible. */
function entropy(values: readonly number[], from: number, to: number): number {
  const counts = new Array<number>(histogramBins).fill(0);
  for (const value of values) {
    const bin = Math.floor(((value - from) / (to - from)) * histogramBins);
    counts[Math.min(histogramBins - 1, Math.max(0, bin))]!++;
  }
  return (
    -sum(
      counts.map((count) => (count === 0 ? 0 : (count / values.length) * Math.log(count / values.length))),
    ) / Math.log(histogramBins)
  );
}

/** −ln(pairs alike for two beats / pairs alike for one), without self matches; m = 1. */
function sampleEntropy(beats: readonly number[], radius: number): number {
  let one = 0;
  let two = 0;
  for (let i = 0; i < beats.length - 1; i++)
    for (let j = i + 1; j < beats.length - 1; j++) {
      if (Math.abs(beats[i]! - beats[j]!) >= radius) continue;
      one++;
      if (Math.abs(beats[i + 1]! - beats[j + 1]!) < radius) two++;
    }
  return -Math.log(Math.max(0.5, two) / Math.max(1, one));
}

function turningPoints(beats: readonly number[]): number {
  let points = 0;
  for (let i = 1; i < beats.length - 1; i++) {
    const [a, b, c] = [beats[i - 1]!, beats[i]!, beats[i + 1]!];
    if ((b > a && b > c) || (b < a && b < c)) points++;
  }
  return points / (beats.length - 2);
}

/** Largest share of intervals within ±4 % of the median around one value. */
function modeShare(beats: readonly number[], median: number): number {
  let largest = 0;
  for (let centre = 0.5; centre < 1.6; centre += 0.02)
    largest = Math.max(
      largest,
      shareOf(beats, (value) => Math.abs(value / median - centre) < 0.04),
    );
  return largest;
}

function periodStep(beats: readonly number[], median: number, lag: number): number {
  const steps = beats.slice(lag).map((value, i) => Math.abs(value - beats[i]!) / median);
  return quantile(
    steps.sort((a, b) => a - b),
    0.5,
  );
}
