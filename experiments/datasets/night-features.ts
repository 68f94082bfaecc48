/**
 * How the heart rate swings around one minute of sleep: inputs of an apnoea model.
 *
 * An apnoea slows the heart and its end speeds it up, again and again every 20 to 70 s ("cyclical variation of heart
 * rate", Guilleminault et al., Lancet 323:126 (1984)). So: the power of that band, how regular the cycle is, and the
 * breathing band beside it, over one and five minutes.
 * For: apnea.ts; written so that a phone can compute it from its own night and nothing else. Pure. Trusts: nothing;
 * impossible and ectopic intervals are dropped.
 */

/** Samples a second of the evenly spaced interval series. */
const rate = 2;
const intervalMin = 0.3;
const intervalMax = 2;
/** Intervals further from the median of five than this share are ectopic or missed beats. */
const ectopicShare = 0.2;
/** Logarithms of deviations (s) start here; RR is counted in 10 ms. */
const floor = 1e-3;
const powerFloor = 1e-6;

/** Names and public ranges: seconds, natural logarithms of seconds, shares, correlations. */
export const nightInputs = [
  ['mean_1', 0.4, 1.6],
  ['log_deviation_1', -6, -1],
  ['log_swing_1', -6, -1],
  ['log_breath_1', -6, -1],
  ['skewness_1', -3, 3],
  ['log_range_1', -5, 0.5],
  ['mean_5', 0.4, 1.6],
  ['log_deviation_5', -6, -1],
  ['log_swing_5', -6, -1],
  ['log_breath_5', -6, -1],
  ['skewness_5', -3, 3],
  ['log_range_5', -5, 0.5],
  ['cycle_share_5', 0, 1],
  ['low_share_5', 0, 1],
  ['high_share_5', 0, 1],
  ['log_cycle_power_5', -8, 3],
  ['log_low_power_5', -8, 3],
  ['log_high_power_5', -8, 3],
  ['cycle_correlation_5', -0.2, 1],
  ['cycle_seconds_5', 20, 70],
] as const;
export type NightInput = (typeof nightInputs)[number][0];

/** A night's evenly spaced series and its bands; one index is 1/rate s after the record's start. */
interface Night {
  /** Interval length, s, ectopic beats bridged. */
  readonly series: Float64Array;
  /** What changes slower than 5 s and faster than 120 s. */
  readonly swing: Float64Array;
  /** What changes faster than 10 s: breathing. */
  readonly breath: Float64Array;
}

/**
 * @param times when each beat came, s since the record's start, ascending; at least two
 * @param minutes whole minutes to describe
 * @returns one entry a minute
 */
export function nightFeatures(times: readonly number[], minutes: number): Record<NightInput, number>[] {
  const series = evenlySpaced(times, minutes * 60 * rate);
  const fast = movingMean(series, 5 * rate);
  const slow = movingMean(series, 120 * rate);
  const medium = movingMean(series, 10 * rate);
  const night: Night = {
    series,
    swing: fast.map((value, i) => value - slow[i]!),
    breath: series.map((value, i) => value - medium[i]!),
  };
  return Array.from({ length: minutes }, (_, minute) => {
    const one = windowOf(night, minute, 1);
    const five = windowOf(night, minute, 5);
    const a = shapeOf(one);
    const b = shapeOf(five);
    return {
      mean_1: a.mean,
      log_deviation_1: a.logDeviation,
      log_swing_1: a.logSwing,
      log_breath_1: a.logBreath,
      skewness_1: a.skewness,
      log_range_1: a.logRange,
      mean_5: b.mean,
      log_deviation_5: b.logDeviation,
      log_swing_5: b.logSwing,
      log_breath_5: b.logBreath,
      skewness_5: b.skewness,
      log_range_5: b.logRange,
      ...bandsOf(five.series),
      ...cycleOf(five.swing),
    };
  });
}

/** Linear interpolation of the plausible intervals at `rate` Hz; constant before the first and after the last. */
function evenlySpaced(times: readonly number[], length: number): Float64Array {
  const ends: number[] = [];
  const intervals: number[] = [];
  for (let i = 1; i < times.length; i++) {
    const value = times[i]! - times[i - 1]!;
    const around: number[] = [];
    for (let j = Math.max(1, i - 2); j <= Math.min(times.length - 1, i + 2); j++)
      around.push(times[j]! - times[j - 1]!);
    around.sort((x, y) => x - y);
    const half = around.length >> 1;
    const median = around.length % 2 === 1 ? around[half]! : (around[half - 1]! + around[half]!) / 2;
    if (value < intervalMin || value > intervalMax || Math.abs(value - median) > ectopicShare * median)
      continue;
    ends.push(times[i]!);
    intervals.push(value);
  }
  const series = new Float64Array(length);
  let at = 0;
  for (let k = 0; k < length; k++) {
    const seconds = k / rate;
    while (at < ends.length - 1 && ends[at + 1]! <= seconds) at++;
    const [from, to] = [ends[at] ?? 0, ends[at + 1]];
    const [low, high] = [intervals[at] ?? 0, intervals[at + 1]];
    series[k] =
      to === undefined || high === undefined || seconds <= from
        ? low
        : low + ((high - low) * (seconds - from)) / (to - from);
  }
  return series;
}

/** Centred mean over `width` samples, fewer at the ends. */
function movingMean(series: Float64Array, width: number): Float64Array {
  const sums = new Float64Array(series.length + 1);
  for (let i = 0; i < series.length; i++) sums[i + 1] = sums[i]! + series[i]!;
  const half = width >> 1;
  return series.map((_, i) => {
    const from = Math.max(0, i - half);
    const to = Math.min(series.length, i - half + width);
    return (sums[to]! - sums[from]!) / (to - from);
  });
}

/** The `width` minutes around the middle of a minute, cut at the ends of the night. */
function windowOf(night: Night, minute: number, width: number): Night {
  const from = Math.max(0, Math.round((minute + 0.5 - width / 2) * 60 * rate));
  const to = Math.min(night.series.length, Math.round((minute + 0.5 + width / 2) * 60 * rate));
  return {
    series: night.series.subarray(from, to),
    swing: night.swing.subarray(from, to),
    breath: night.breath.subarray(from, to),
  };
}

function shapeOf({ series, swing, breath }: Night) {
  const all = moments(series);
  const swings = moments(swing);
  // The swing has nothing faster than 5 s: one sample a second shows its range.
  const sorted = new Float64Array(Math.ceil(swing.length / rate));
  for (let i = 0; i < sorted.length; i++) sorted[i] = swing[rate * i]!;
  sorted.sort();
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))]!;
  return {
    mean: all.mean,
    logDeviation: Math.log(all.deviation + floor),
    logSwing: Math.log(swings.deviation + floor),
    logBreath: Math.log(moments(breath).deviation + floor),
    skewness: swings.skewness,
    logRange: Math.log(at(0.95) - at(0.05) + floor),
  };
}

function moments(values: Float64Array): { mean: number; deviation: number; skewness: number } {
  const { length } = values;
  let mean = 0;
  for (let i = 0; i < length; i++) mean += values[i]!;
  mean /= length;
  let squares = 0;
  let cubes = 0;
  for (let i = 0; i < length; i++) {
    const difference = values[i]! - mean;
    const square = difference * difference;
    squares += square;
    cubes += square * difference;
  }
  const deviation = Math.sqrt(squares / length);
  return { mean, deviation, skewness: cubes / length / (deviation + powerFloor) ** 3 };
}

/** Points of the transform at 1 Hz; a five-minute window fills 300 of them. */
const points = 512;
const cosines = Float64Array.from({ length: points }, (_, k) => Math.cos((2 * Math.PI * k) / points));
const sines = Float64Array.from({ length: points }, (_, k) => -Math.sin((2 * Math.PI * k) / points));

/** Power in the cycle band (.01–.04 Hz), LF (.04–.15) and HF (.15–.4), Hann window, mean removed. */
function bandsOf(series: Float64Array) {
  const half = Math.floor(series.length / rate);
  const { mean } = moments(series);
  const real = new Float64Array(points);
  const imaginary = new Float64Array(points);
  let windowPower = 0;
  for (let i = 0; i < half; i++) {
    const weight = 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / (half - 1));
    windowPower += weight * weight;
    real[i] = weight * ((series[rate * i]! + series[rate * i + 1]!) / 2 - mean);
  }
  transform(real, imaginary);
  let [cycle, low, high, total] = [0, 0, 0, 0];
  for (let k = 1; k < points / 2; k++) {
    const hertz = k / points;
    if (hertz >= 0.4) break;
    const power = (real[k]! ** 2 + imaginary[k]! ** 2) / windowPower;
    total += power;
    if (hertz >= 0.15) high += power;
    else if (hertz >= 0.04) low += power;
    else if (hertz >= 0.01) cycle += power;
  }
  const share = (power: number): number => power / (total + powerFloor);
  return {
    cycle_share_5: share(cycle),
    low_share_5: share(low),
    high_share_5: share(high),
    log_cycle_power_5: Math.log(cycle + powerFloor * 100),
    log_low_power_5: Math.log(low + powerFloor * 100),
    log_high_power_5: Math.log(high + powerFloor * 100),
  };
}

/** In-place radix-2 transform (Cooley & Tukey 1965) of `points` values. */
function transform(real: Float64Array, imaginary: Float64Array): void {
  for (let i = 1, j = 0; i < points; i++) {
    let bit = points >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i >= j) continue;
    const swapped = real[i]!; // the input is real: imaginary is zero here
    real[i] = real[j]!;
    real[j] = swapped;
  }
  for (let half = 1; half < points; half *= 2) {
    const step = points / (2 * half);
    for (let start = 0; start < points; start += 2 * half)
      for (let k = 0; k < half; k++) {
        const a = start + k;
        const b = a + half;
        const cosine = cosines[k * step]!;
        const sine = sines[k * step]!;
        const re = real[b]! * cosine - imaginary[b]! * sine;
        const im = real[b]! * sine + imaginary[b]! * cosine;
        real[b] = real[a]! - re;
        imaginary[b] = imaginary[a]! - im;
        real[a] = real[a]! + re;
        imaginary[a] = imaginary[a]! + im;
      }
  }
}

const cycleSecondsMin = 20;
const cycleSecondsMax = 70;

/** The strongest repetition of the swing between 20 and 70 s: its correlation and its period. */
function cycleOf(swing: Float64Array) {
  const length = Math.floor(swing.length / rate);
  const { mean } = moments(swing);
  const values = Float64Array.from({ length }, (_, i) => swing[rate * i]! - mean);
  let energy = powerFloor;
  for (const value of values) energy += value * value;
  let best = Number.NEGATIVE_INFINITY;
  let seconds = cycleSecondsMin;
  for (let lag = cycleSecondsMin; lag <= Math.min(cycleSecondsMax, length - 1); lag++) {
    let sum = 0;
    for (let i = lag; i < length; i++) sum += values[i]! * values[i - lag]!;
    if (sum > best) [best, seconds] = [sum, lag];
  }
  return { cycle_correlation_5: best / energy, cycle_seconds_5: seconds };
}
