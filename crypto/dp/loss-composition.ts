/**
 * δ of a composition, by Fourier inversion along a vertical line, bounded from both sides.
 *
 * With M(s) = E_P[e^(sL)] of all releases together and any tilt θ > 0,
 *
 *   δ(ε) = E[(1 − e^(ε−L))_+] = 1/2π ∫ M(θ+iω)·e^(−(θ+iω)ε) / ((θ+iω)(θ+iω+1)) dω.
 *
 * Tilting to the saddle point keeps full relative precision at any δ. The atoms need no common grid: M is evaluated at
 * equidistant ω by rotating each atom's phase, so what FFT accountants lose to gridding times the number of
 * compositions is not lost here. What stands between the sum that is computed and δ, all of it added or subtracted:
 *
 * - Smoothing. Upper: composing with one more Gaussian mechanism of μ₀² can only raise δ, and makes the integrand
 *   fall as e^(−μ₀²ω²/2). Lower: that raise is at most e^(−y/2)·μ₀·φ(y/μ₀) at y = L − ε (integrate the vega
 *   e^(−y/2)·φ(y/√u)·e^(−u/8)/(2√u) over variances u ≤ μ₀²), whose transform is subtracted: a factor
 *   1/(s(s+1)) − μ₀²·e^(μ₀²/8) in the place of 1/(s(s+1)).
 * - Aliasing. By Poisson summation the trapezoid sum is Σ_k e^(θkW)·δ(ε + kW), W = 2π/step: never less than δ(ε)
 *   (upper: nothing to do); the other terms are bounded by Chernoff at other tilts (lower: subtracted).
 * - Truncation at Ω: |M(θ+iω)| ≤ M(θ), times the Gaussian factor.
 * - Rounding: each M is taken to be off by `unit`·M(θ) and the phases by 2^-52 of their size; count-fold powers
 *   multiply that. Both are summed with the absolute values of the terms.
 * Trusts: the atoms (loss-atoms.ts). May be called by: loss-bracket.ts.
 */
import { BLOCK, Line, UNIT } from './loss-line.ts';
import { logChernoffConstant, moments, type Term } from './loss-tilt.ts';

export interface CompositionOptions {
  readonly upper: readonly Term[];
  readonly lower: readonly Term[];
  /** μ² of everything Gaussian in the composition. */
  readonly gaussianVariance: number;
  /** P-mass treated as loss +∞ in all. */
  readonly infiniteMass: number;
  readonly tilt: number;
  /** μ₀² of the smoothing, 0 where gaussianVariance does it. */
  readonly smoothing: number;
  /** Smallest ε the sums will be asked for, and the size of δ there, for the choice of W and Ω. */
  readonly epsilonMin: number;
  readonly deltaScale: number;
}

/** ln of the Chernoff bound on E[(1 − e^(y−L))_+] without its factor e^(−tilt·y), of the smoothed compositions. */
interface Rung {
  readonly tilt: number;
  readonly upper: number;
  readonly lower: number;
}

const TILT_FACTORS = [
  0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.6, 1.8, 2.2, 2.7, 4, 8,
];
/** Up to this many nats from the saddle point cost e^nats in rounding, which is there to spare. */
const CONDITION_MAX = 4;
const DELTA_UNDERFLOW = 1e-300;
const ALIAS_SHARE = 1e-7;
export const WORK_MAX = 4e8;

/** Fourier coefficients of one composition at one tilt; `upper` and `lower` then cost a sum each. */
export class Composition {
  readonly #tilt: number;
  readonly #infiniteMass: number;
  readonly #logMoment: { readonly upper: number; readonly lower: number };
  readonly #ladder: readonly Rung[];
  readonly #window: number;
  readonly #step: number;
  readonly #tail: number;
  readonly #sides: { readonly upper: Side; readonly lower: Side };

  constructor(options: CompositionOptions) {
    const { smoothing, gaussianVariance } = options;
    const variance = gaussianVariance + smoothing;
    this.#infiniteMass = options.infiniteMass;
    this.#ladder = TILT_FACTORS.map((factor) => {
      const at = factor * options.tilt;
      const constant = logChernoffConstant(at);
      return {
        tilt: at,
        upper: moments(options.upper, variance, at).log + constant,
        lower: moments(options.lower, variance, at).log + constant,
      };
    });
    const { tilt, window } = chooseTilt(this.#ladder, options);
    this.#tilt = tilt;
    this.#window = window;
    this.#logMoment = {
      upper: moments(options.upper, variance, tilt).log,
      lower: moments(options.lower, variance, tilt).log,
    };
    const scale = Math.exp(this.#logMoment.upper - tilt * options.epsilonMin);
    const frequencyMax = chooseFrequency(variance, (ALIAS_SHARE * options.deltaScale) / scale, smoothing);
    this.#step = (2 * Math.PI) / this.#window;
    const length = Math.ceil(frequencyMax / this.#step) + 2;
    const reached = (length - 1) * this.#step;
    this.#tail = truncation(variance, reached, smoothing);
    const logNegligible = Math.log((ALIAS_SHARE * options.deltaScale) / scale);
    const side = (terms: readonly Term[], lowered: boolean) =>
      makeSide(
        new Line(terms, { tilt, step: this.#step, length, variance, logNegligible, workMax: WORK_MAX }),
        { tilt, step: this.#step, variance, smoothing, lowered, skipped: Math.exp(logNegligible), reached },
      );
    const upper = side(options.upper, false);
    const lower = upper.work < Infinity ? side(options.lower, true) : upper;
    this.#sides = { upper, lower };
  }

  /** Whether the sums were small enough to be computed; else only a larger smoothing helps. */
  get feasible(): boolean {
    return this.#sides.upper.work + this.#sides.lower.work < Infinity;
  }

  /** Σ_{k≠0} e^(θkW)·δ(ε + kW) at most. */
  #aliases(epsilon: number): number {
    let above = Infinity;
    let below = Infinity;
    for (const { tilt, lower } of this.#ladder) {
      if (tilt === this.#tilt) continue;
      const apart = Math.abs(tilt - this.#tilt) * this.#window;
      const bound = Math.exp(lower - tilt * epsilon - apart) / -Math.expm1(-apart);
      if (tilt > this.#tilt) above = Math.min(above, bound);
      else below = Math.min(below, bound);
    }
    return above + below;
  }

  /** δ(ε) is at most this. */
  upper(epsilon: number): number {
    const scale = Math.exp(this.#logMoment.upper - this.#tilt * epsilon);
    const { value, slack } = invert(this.#sides.upper, this.#step, epsilon);
    const sum = scale * (value + slack + this.#tail) * (1 + this.#scaleError(this.#logMoment.upper, epsilon));
    // What underflows is not 0.
    return Math.min(1, Math.max(DELTA_UNDERFLOW, sum) + this.#infiniteMass);
  }

  /** δ(ε) is at least this. */
  lower(epsilon: number): number {
    const scale = Math.exp(this.#logMoment.lower - this.#tilt * epsilon);
    const { value, slack } = invert(this.#sides.lower, this.#step, epsilon);
    const sum = scale * (value - slack - this.#tail) * (1 - this.#scaleError(this.#logMoment.lower, epsilon));
    return Math.max(0, sum - this.#aliases(epsilon) * (1 + 2 ** -20));
  }

  /** What rounding the exponent of e^(ln M(θ) − θε) does. */
  #scaleError(logMoment: number, epsilon: number): number {
    return Math.expm1(2 ** -49 * (Math.abs(logMoment) + this.#tilt * epsilon + 1));
  }
}

/** The rung near the saddle point with the smallest window W that keeps the aliases of both sides under their share. */
function chooseTilt(
  ladder: readonly Rung[],
  { tilt: saddle, epsilonMin, deltaScale }: CompositionOptions,
): { tilt: number; window: number } {
  const target = Math.log(ALIAS_SHARE * deltaScale);
  const height = ({ tilt, upper, lower }: Rung) => Math.max(upper, lower) - tilt * epsilonMin;
  const atSaddle = ladder.find(({ tilt }) => tilt === saddle)!;
  let best = { tilt: saddle, window: Infinity };
  for (const rung of ladder) {
    if (rung.tilt === 0 || height(rung) > height(atSaddle) + CONDITION_MAX) continue;
    let above = Infinity;
    let below = Infinity;
    for (const other of ladder) {
      const needed = (Math.max(0, height(other) - target) + Math.LN2) / Math.abs(other.tilt - rung.tilt);
      if (other.tilt > rung.tilt) above = Math.min(above, needed);
      if (other.tilt < rung.tilt) below = Math.min(below, needed);
    }
    const window = Math.max(above, below);
    if (window < best.window) best = { tilt: rung.tilt, window };
  }
  return best;
}

/** Amplitudes of the terms, and how far off each may be. */
interface Side {
  readonly index: readonly number[];
  readonly real: Float64Array;
  readonly imaginary: Float64Array;
  /** Σ of what does not depend on ε, with what was left out. */
  readonly slack: number;
  /** Σ |term|·ω, for the rounding of ωε. */
  readonly turning: number;
  readonly work: number;
}

interface SideOptions {
  readonly tilt: number;
  readonly step: number;
  readonly variance: number;
  readonly smoothing: number;
  readonly lowered: boolean;
  /** |M^n| of every term that was left out is at most this; the last of them is before `reached`. */
  readonly skipped: number;
  readonly reached: number;
}

function makeSide(line: Line, o: SideOptions): Side {
  const length = line.log.length;
  const real = new Float64Array(length);
  const imaginary = new Float64Array(length);
  const bump = o.lowered ? o.smoothing * Math.exp(o.smoothing / 8) : 0;
  let slack = 0;
  let turning = 0;
  for (let at = 0; at < length; at++) {
    const w = line.index[at]! * o.step;
    // s(s+1) = θ(θ+1) − ω² + iω(2θ+1); 1/(s(s+1)) − bump.
    const a = o.tilt * (o.tilt + 1) - w * w;
    const b = w * (2 * o.tilt + 1);
    const norm = a * a + b * b;
    const kernelR = a / norm - bump;
    const kernelI = -b / norm;
    // The smoothing and every Gaussian: e^(variance·(s(s+1) − θ(θ+1))/2).
    const amplitude = Math.exp(line.log[at]! - (o.variance * w * w) / 2) * (w === 0 ? 0.5 : 1);
    const angle = line.phase[at]! + (o.variance * b) / 2;
    const cosine = amplitude * Math.cos(angle);
    const sine = amplitude * Math.sin(angle);
    real[at] = cosine * kernelR - sine * kernelI;
    imaginary[at] = cosine * kernelI + sine * kernelR;
    const size = amplitude * Math.hypot(kernelR, kernelI);
    slack += size * (line.slack[at]! + UNIT + 2 ** -52 * Math.abs(angle));
    turning += size * w;
  }
  // step·Σ (1/ω² + bump) over what was left out, the first at skippedFrom ≥ step.
  if (line.skippedFrom < Infinity) slack += (o.skipped * (2 / line.skippedFrom + bump * o.reached)) / o.step;
  return { index: line.index, real, imaginary, slack, turning, work: line.work };
}

/** 1/2π ∫: (step/π)·Re Σ' term·e^(−iωε), and its rounding. */
function invert(side: Side, step: number, epsilon: number): { value: number; slack: number } {
  const { index, real, imaginary } = side;
  const turnR = Math.cos(step * epsilon);
  const turnI = -Math.sin(step * epsilon);
  let sum = 0;
  let r = 1;
  let i = 0;
  for (let at = 0; at < real.length; at++) {
    const k = index[at]!;
    if (at % BLOCK === 0 || k !== index[at - 1]! + 1) {
      r = Math.cos(k * step * epsilon);
      i = -Math.sin(k * step * epsilon);
    }
    sum += real[at]! * r - imaginary[at]! * i;
    const turned = r * turnR - i * turnI;
    i = r * turnI + i * turnR;
    r = turned;
  }
  const factor = step / Math.PI;
  return { value: factor * sum, slack: factor * (side.slack + 2 ** -51 * epsilon * side.turning) };
}

/** (1/π)·∫_Ω^∞ (1/ω² + bump)·e^(−variance·ω²/2) dω at most, also for the trapezoid sum (the integrand falls). */
function truncation(variance: number, frequency: number, smoothing: number): number {
  const decay = Math.exp((-variance * frequency * frequency) / 2);
  const bump = smoothing * Math.exp(smoothing / 8);
  const integral = Math.min(1 / frequency, 1 / (variance * frequency ** 3)) + bump / (variance * frequency);
  return (decay * integral) / Math.PI;
}

function chooseFrequency(variance: number, target: number, smoothing: number): number {
  let high = 1;
  while (truncation(variance, high, smoothing) > target) high *= 2;
  let low = high / 2;
  for (let i = 0; i < 30; i++) {
    const middle = (low + high) / 2;
    if (truncation(variance, middle, smoothing) > target) low = middle;
    else high = middle;
  }
  return high;
}
