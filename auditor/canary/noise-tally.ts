/**
 * What the noise of releases without any signal looks like, and whether it is the noise that was promised.
 *
 * An ε is only as good as four facts about the noise, and each has a statistic that sees it long before a distance
 * between runs would: its variance (half noise, missing shares), its support (integers, and all of them: sums rounded in
 * floating point are not), and its freshness (a reused stream cancels out between releases).
 * Trusts: nothing. May be called by: auditor/canary, experiments/canary.
 */
import { ensure } from '../../crypto/error.ts';
import { chiSquaredScore } from './special-functions.ts';

/** Decoded integers come back through a rotation in doubles; errors are near 1e-9, other supports near 1/4. */
const LATTICE_TOLERANCE = 1e-3;

export interface NoiseMoments {
  /** Per coordinate of the sum. */
  readonly variance: number;
  /** Fourth cumulant of the sum. */
  readonly fourth: number;
  /** E[(−1)^X] of the sum. */
  readonly parity: number;
}

/** Above it the discrete Gaussian's moments differ from the continuous one's by less than 1e-300. */
const CONTINUOUS_VARIANCE = 64;

/**
 * Moments of the sum of `shares` independent discrete Gaussians of parameter `variance`, each summed from its
 * definition P(x) ∝ exp(−x²/2σ²).
 */
export function discreteGaussianMoments(variance: number, shares: number): NoiseMoments {
  ensure(variance > 0 && shares >= 1, 'FIELD_OUT_OF_RANGE', 'variance above 0 and at least one share');
  if (variance >= CONTINUOUS_VARIANCE) return { variance: shares * variance, fourth: 0, parity: 0 };
  let [mass, second, fourth, parity] = [0, 0, 0, 0];
  const limit = Math.ceil(40 * Math.sqrt(variance)) + 1;
  for (let x = -limit; x <= limit; x++) {
    const weight = Math.exp((-x * x) / (2 * variance));
    mass += weight;
    second += weight * x * x;
    fourth += weight * x ** 4;
    parity += x % 2 === 0 ? weight : -weight;
  }
  const single = second / mass;
  return {
    variance: shares * single,
    fourth: shares * (fourth / mass - 3 * single * single),
    parity: (parity / mass) ** shares,
  };
}

export interface NoiseScores {
  readonly values: number;
  /** Observed over expected variance, and how many deviations that is from 1. */
  readonly varianceRatio: number;
  readonly varianceScore: number;
  /** Share of values that are no integers. */
  readonly offLattice: number;
  /** Deviations of the share of odd integers from what it should be. */
  readonly parityScore: number;
  /** Deviations from 0 of the correlation of each release with the one before. */
  readonly repeatScore: number;
}

/** Collects releases of pure noise, integer units, in the order in which they were made. */
export class NoiseTally {
  #values = 0;
  #squares = 0;
  #odd = 0;
  #offLattice = 0;
  #products = 0;
  #pairs = 0;
  #previous: Float64Array | null = null;

  get values(): number {
    return this.#values;
  }

  /** One release; the array is kept until the next one. */
  add(release: Float64Array): void {
    for (const value of release) {
      const nearest = Math.round(value);
      this.#squares += value * value;
      if (Math.abs(value - nearest) > LATTICE_TOLERANCE) this.#offLattice++;
      else if (nearest % 2 !== 0) this.#odd++;
    }
    this.#values += release.length;
    const previous = this.#previous;
    if (previous && previous.length === release.length) {
      for (let i = 0; i < release.length; i++) this.#products += release[i]! * previous[i]!;
      this.#pairs += release.length;
    }
    this.#previous = release;
  }

  scores(expected: NoiseMoments): NoiseScores {
    ensure(this.#values > 0, 'DATA_EMPTY', 'no release was added');
    const n = this.#values;
    const { variance, fourth, parity } = expected;
    const varianceRatio = this.#squares / n / variance;
    // Var(X²) = 2·variance² + κ₄: so many degrees of freedom does one value stand for.
    const degrees = (2 * n * variance * variance) / (2 * variance * variance + fourth);
    const odd = (1 - parity) / 2;
    return {
      values: n,
      varianceRatio,
      varianceScore: chiSquaredScore(varianceRatio, degrees),
      offLattice: this.#offLattice / n,
      parityScore: (this.#odd - n * odd) / Math.sqrt(n * odd * (1 - odd)),
      repeatScore: this.#pairs === 0 ? 0 : this.#products / (variance * Math.sqrt(this.#pairs)),
    };
  }
}
