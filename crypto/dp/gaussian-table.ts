/**
 * Exact discrete Gaussian N_Z(0, σ²) by inversion: a sign bit, and a uniform real u that is drawn digit by digit and
 * compared with the cumulative probabilities of the magnitudes.
 *
 * For: long vectors of noise (crypto/dp/discrete-gaussian.ts chooses). One word decides nearly always: 31 digits of u
 * against a table of boundaries. Where u falls next to a boundary, more digits are drawn and compared with intervals
 * that contain the boundary (crypto/dp/gaussian-boundaries.ts), and when the intervals are too wide they are computed
 * again with twice the precision. So nothing is rounded and nothing is cut: the magnitude is m exactly when
 * N_(m−1)/Z ≤ u < N_m/Z, whatever the table's precision; the procedure ends with probability 1, and there is no
 * statistical distance to charge to δ.
 *
 * Which entries of the table are read, and how often more digits are drawn, depend on the drawn values, so caches and
 * timing may tell something about them, as they do for rejection sampling (arXiv 2112.05307). A scan of the whole table
 * per value, as crypto/secagg/long does for its small key, is not feasible for σ in the hundreds. Callers draw a whole
 * vector at once and never time-stamp a single coordinate.
 * Trusts: the RandomSource. May be called by: crypto/dp/discrete-gaussian.ts and tests.
 */
import type { RandomSource } from '../random.ts';
import { GaussianBoundaries } from './gaussian-boundaries.ts';
import { formatRational, type Rational } from './rational.ts';
import { UniformBits } from './uniform-bits.ts';

/** Digits of u in a table entry: a word less its sign bit. */
const LEADING_BITS = 31;
const LEADING = 2 ** LEADING_BITS;
/** Bits of the first boundaries, of which 90 are certain at σ = 2^12: next to never are finer ones computed. */
const PRECISION = 128;
const BLOCK_WORDS = 16_384;

export class GaussianTable {
  readonly #variance: Rational;
  /** Boundaries of PRECISION·2^i bits; all but the first are computed when they are needed. */
  readonly #levels: GaussianBoundaries[];
  /** First magnitude to look at, by the leading digits of u. */
  readonly #guide: Int32Array;
  readonly #guideShift: number;
  /** Leading digits at least ceilings[m] mean u ≥ N_m/Z; those below ceilings[m] − slack mean u < N_m/Z. */
  readonly #ceilings: Uint32Array;
  readonly #slack: number;

  /** Another `precision` (bits ≥ 1) changes speed only; tests start low to see the refinement at work. */
  constructor(variance: Rational, precision: number = PRECISION) {
    this.#variance = variance;
    const boundaries = new GaussianBoundaries(variance, precision);
    this.#levels = [boundaries];
    const { ceilings, slack } = leadingDigits(boundaries);
    this.#ceilings = Uint32Array.from(ceilings);
    this.#slack = slack;
    // About four cells of the guide for each magnitude of the bulk.
    const guideBits = Math.min(14, Math.max(6, Math.ceil(Math.log2(ceilings.length)) + 1));
    this.#guideShift = LEADING_BITS - guideBits;
    this.#guide = new Int32Array(2 ** guideBits);
    for (let i = 0, m = 0; i < this.#guide.length; i++) {
      while (i * 2 ** this.#guideShift >= ceilings[m]!) m++;
      this.#guide[i] = m;
    }
  }

  /** Fills `out` with independent samples. */
  fill(out: Int32Array, random: RandomSource): void {
    const guide = this.#guide;
    const ceilings = this.#ceilings;
    const slack = this.#slack;
    const shift = this.#guideShift;
    const words = new Uint32Array(Math.min(BLOCK_WORDS, out.length));
    const bytes = new Uint8Array(words.buffer);
    const more = new UniformBits(random, 16);
    for (let start = 0; start < out.length; start += words.length) {
      const count = Math.min(words.length, out.length - start);
      random.fill(count === words.length ? bytes : bytes.subarray(0, 4 * count));
      for (let i = 0; i < count; i++) {
        const word = words[i]!;
        const leading = word >>> 1;
        let m = guide[leading >>> shift]!;
        let ceiling = ceilings[m]!;
        while (leading >= ceiling) ceiling = ceilings[++m]!;
        if (leading + slack >= ceiling) m = this.#decide(leading, m, more);
        const negative = -(word & 1); // 0 or −1; a zero has one weight only, whatever its sign
        out[start + i] = (m ^ negative) - negative;
      }
    }
  }

  /** The smallest magnitude ≥ m with u < N_m/Z, where u begins with `leading` and further digits come from `bits`. */
  #decide(leading: number, first: number, bits: UniformBits): number {
    let digits = BigInt(leading);
    let count = LEADING_BITS;
    let level = 0;
    for (let m = first; ; ) {
      const boundaries = this.#level(level);
      const boundary = boundaries.boundary(m);
      const scale = BigInt(count);
      if ((digits + 1n) * boundary.totalHigh <= boundary.numeratorLow << scale) return m;
      if (digits * boundary.totalLow >= boundary.numeratorHigh << scale) m++;
      else if (count < boundaries.precision) {
        digits = (digits << 32n) | BigInt(bits.word());
        count += 32;
      } else level++;
    }
  }

  #level(index: number): GaussianBoundaries {
    const known = this.#levels[index];
    if (known) return known;
    const finer = new GaussianBoundaries(this.#variance, this.#levels[0]!.precision * 2 ** index);
    this.#levels[index] = finer;
    return finer;
  }
}

/**
 * ceilings[m] = ⌊2^31·(lower end of N_m/Z)⌋ + slack, where slack covers that floor and the widest interval, up to the
 * first m that no 31 digits exceed.
 */
function leadingDigits(boundaries: GaussianBoundaries): { ceilings: number[]; slack: number } {
  const width = boundaries.width(LEADING_BITS);
  // Intervals so wide that digits alone never decide: one cell, and `#decide` for every value.
  if (width >= LEADING / 2) return { ceilings: [LEADING], slack: LEADING };
  const slack = Number(width) + 1;
  const ceilings: number[] = [];
  for (let m = 0; ; m++) {
    const { numeratorLow, totalHigh } = boundaries.boundary(m);
    const ceiling = Number((numeratorLow << BigInt(LEADING_BITS)) / totalHigh) + slack;
    ceilings.push(ceiling);
    if (ceiling >= LEADING) return { ceilings, slack };
  }
}

/** Tables of the last variances used; a process has a few plans with two variances each. */
const tables = new Map<string, GaussianTable>();
const TABLES_MAX = 4;

/** The table of a variance, from the cache or built, which takes about 7 µs per unit of σ. */
export function gaussianTable(variance: Rational): GaussianTable {
  const key = formatRational(variance);
  const table = tables.get(key) ?? new GaussianTable(variance);
  tables.delete(key);
  tables.set(key, table);
  for (const oldest of tables.keys()) if (tables.size > TABLES_MAX) tables.delete(oldest);
  return table;
}
