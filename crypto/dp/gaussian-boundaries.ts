/**
 * Cumulative probabilities of the discrete Gaussian N_Z(0, σ²) as intervals of fixed-point integers, to any precision.
 *
 * For: crypto/dp/gaussian-table.ts, which compares uniform bits with them. Let w(k) = exp(−k²/2σ²),
 * N_m = w(0) + 2·Σ_{1≤k≤m} w(k) and Z = N_∞; a magnitude is at most m with probability N_m / Z. Everything is a
 * bigint that is known to be too small by at most a stated number of units in the last place (2^-precision):
 *
 * - q = exp(−1/2σ²) by its series, then w(k+1) = w(k)·r_k, r_k = q^(2k+1), r_(k+1) = r_k·q², all rounded down.
 * - A product of x and y in [0, 1] that are too small by a and b is, rounded down, too small by at most a + b + 1.
 *   Hence, with E = ROOT_ERROR: r_k by (k+1)·E, w(k) by k²·(E+1), N_m by 2·m³·(E+1).
 * - What the sum leaves out beyond K is at most 2·w(K+1) / (1 − r_(K+1)): the ratios fall.
 *
 * Trusts: nothing. No floating-point number decides anything here; one chooses how far to sum, which the last bound
 * then judges. May be called by: crypto/dp/gaussian-table.ts and tests.
 */
import { integerSquareRoot, type Rational } from './rational.ts';

/** q is too small by at most 2 units and q² by at most 5, so that 6 covers each factor of r and its rounding. */
const ROOT_ERROR = 6n;
/** Extra bits while the series is summed. */
const GUARD_BITS = 64n;

/** N_m ∈ [numeratorLow, numeratorHigh] and Z ∈ [totalLow, totalHigh], in units of 2^-precision. */
export interface Boundary {
  readonly numeratorLow: bigint;
  readonly numeratorHigh: bigint;
  readonly totalLow: bigint;
  readonly totalHigh: bigint;
}

/**
 * exp(−n/d) in units of 2^-precision, rounded down: too small by at most 2 units. n ≥ 0, d > 0.
 *
 * Halves the argument s times until it is at most 1/2, sums the alternating series with GUARD_BITS more bits, and
 * squares s times. A term is too small by less than 2 units (its own rounding and at most half of its predecessor's);
 * the terms left out add up to less than the first of them, itself below 2. So J terms are within 2J + 2; a square
 * doubles the error and adds a unit: 2^s·(4J + 5) units at most, far below 2^64.
 */
export function exponentialLow(n: bigint, d: bigint, precision: number): bigint {
  if (n >= d * BigInt(precision)) return 0n; // exp(−precision) < 2^-precision: one unit
  let s = 0n;
  while (n << 1n > d << s) s++;
  const bits = BigInt(precision) + GUARD_BITS;
  const divisor = d << s;
  let term = 1n << bits;
  let sum = 0n;
  let terms = 0n;
  while (term > 0n) {
    sum += terms & 1n ? -term : term;
    terms++;
    term = (term * n) / (divisor * terms);
  }
  sum -= 2n * terms + 2n; // from here on never too large
  for (let i = 0n; i < s; i++) sum = (sum * sum) >> bits;
  return sum >> GUARD_BITS;
}

export class GaussianBoundaries {
  readonly precision: number;
  /** numerators[m] = N_m, rounded down. */
  readonly #numerators: bigint[] = [];
  readonly #totalLow: bigint;
  readonly #totalHigh: bigint;

  /** variance > 0; precision ≥ 1 bits. Takes about 1.2·σ·√precision products. */
  constructor(variance: Rational, precision: number) {
    this.precision = precision;
    const bits = BigInt(precision);
    const one = 1n << bits;
    const { numerator, denominator } = variance;
    const sigmaCeiling = integerSquareRoot(numerator / denominator) + 1n;
    // w(k) falls below 2^-precision at k = σ·√(2 ln 2·precision). The bound below holds wherever this stops.
    const sigma = Math.sqrt(Number((numerator << 64n) / denominator)) / 2 ** 32;
    const last = Math.ceil(sigma * Math.sqrt(2 * Math.LN2 * precision)) + 1;

    let ratio = exponentialLow(denominator, 2n * numerator, precision);
    const square = (ratio * ratio) >> bits;
    let weight = one;
    let sum = one;
    this.#numerators.push(sum);
    for (let k = 1; k <= last; k++) {
      weight = (weight * ratio) >> bits;
      ratio = (ratio * square) >> bits;
      sum += weight << 1n;
      this.#numerators.push(sum);
    }
    this.#totalLow = sum;
    const next = BigInt(last + 1);
    const weightHigh = ((weight * ratio) >> bits) + next * next * (ROOT_ERROR + 1n);
    const rest = one - ((ratio * square) >> bits) - (next + 1n) * ROOT_ERROR; // 1 − r_(last+1), rounded down
    const crude = one * (1n + 3n * sigmaCeiling); // Z ≤ 1 + 2·∫ w = 1 + σ·√(2π)
    const tail = rest > 0n ? ((2n * weightHigh) << bits) / rest + 1n : crude;
    const total = sum + this.#numeratorError(last) + tail;
    this.#totalHigh = total < crude ? total : crude;
  }

  #numeratorError(m: number): bigint {
    return 2n * BigInt(m) ** 3n * (ROOT_ERROR + 1n);
  }

  /** The interval of N_m / Z, m ≥ 0. Beyond what was summed it reaches up to 1. */
  boundary(m: number): Boundary {
    const numerators = this.#numerators;
    const totals = { totalLow: this.#totalLow, totalHigh: this.#totalHigh };
    if (m >= numerators.length)
      return { numeratorLow: numerators.at(-1)!, numeratorHigh: this.#totalHigh, ...totals };
    const numeratorLow = numerators[m]!;
    return { numeratorLow, numeratorHigh: numeratorLow + this.#numeratorError(m), ...totals };
  }

  /** A bound on the width of the intervals N_m / Z of `boundary`, m up to what was summed, in units of 2^-bits. */
  width(bits: number): bigint {
    const error = this.#numeratorError(this.#numerators.length - 1) + this.#totalHigh - this.#totalLow;
    return (error << BigInt(bits)) / this.#totalLow + 1n;
  }
}
