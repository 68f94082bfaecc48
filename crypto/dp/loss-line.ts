/**
 * The moments of a composition along the line Re s = θ, at equidistant frequencies: M(θ + iω)/M(θ) of every kind of
 * release by turning the phases of its atoms, to the power of their counts, with what rounding may have done to each.
 *
 * Frequencies at which the product is certainly negligible are stepped over: |M| cannot change faster than E_θ|L − mean|
 * per unit of frequency. Trusts: the atoms. May be called by: loss-composition.ts.
 */
import { atomMoments, type Term } from './loss-tilt.ts';

/** What each M may be off by, relative to M(θ), beside its phases. */
export const UNIT = 2 ** -44;
/** Frequencies whose phases are turned on from one evaluation. */
export const BLOCK = 32;

/** One kind of release on the line Re s = θ: tilted weights, and distances from the tilted mean. */
class Walker {
  readonly count: number;
  readonly mean: number;
  /** E_θ|L − mean|: how fast |M| can change with ω. */
  readonly slope: number;
  readonly #spread: number;
  readonly #tilt: number;
  readonly #weights: Float64Array;
  readonly #offsets: Float64Array;
  readonly #turnsR: Float64Array;
  readonly #turnsI: Float64Array;
  readonly #real: Float64Array;
  readonly #imaginary: Float64Array;

  constructor({ atoms, count }: Term, tilt: number, step: number) {
    const { log: logMoment, mean } = atomMoments(atoms, tilt);
    const weights: number[] = [];
    const offsets: number[] = [];
    let slope = 0;
    let spread = 0;
    for (let j = 0; j < atoms.count; j++) {
      const loss = atoms.losses[j]!;
      const weight = atoms.masses[j]! * Math.exp(tilt * loss - logMoment);
      if (weight < WEIGHT_MIN) continue;
      weights.push(weight);
      offsets.push(loss - mean);
      slope += weight * Math.abs(loss - mean);
      spread += weight * Math.abs(loss);
    }
    this.count = count;
    this.mean = mean;
    this.slope = slope;
    this.#spread = spread + slope;
    this.#tilt = tilt;
    this.#weights = Float64Array.from(weights);
    this.#offsets = Float64Array.from(offsets);
    this.#turnsR = this.#offsets.map((offset) => Math.cos(step * offset));
    this.#turnsI = this.#offsets.map((offset) => Math.sin(step * offset));
    this.#real = new Float64Array(weights.length);
    this.#imaginary = new Float64Array(weights.length);
  }

  get size(): number {
    return this.#weights.length;
  }

  /** How far |M| may be off at a frequency, relative to M(θ). */
  error(frequency: number): number {
    return UNIT + 2 ** -52 * (frequency + this.#tilt) * this.#spread;
  }

  /** Sets the phases to a frequency and returns |M| there. */
  start(frequency: number): number {
    let sumR = 0;
    let sumI = 0;
    for (let j = 0; j < this.#weights.length; j++) {
      const angle = frequency * this.#offsets[j]!;
      const r = this.#weights[j]! * Math.cos(angle);
      const i = this.#weights[j]! * Math.sin(angle);
      this.#real[j] = r;
      this.#imaginary[j] = i;
      sumR += r;
      sumI += i;
    }
    return Math.hypot(sumR, sumI);
  }

  /** M at the present frequency and the next three, real parts first; then turns every phase on to the fourth. */
  nextFour(into: Float64Array): void {
    const real = this.#real;
    const imaginary = this.#imaginary;
    const turnsR = this.#turnsR;
    const turnsI = this.#turnsI;
    let [a, b, c, d, e, f, g, h] = [0, 0, 0, 0, 0, 0, 0, 0];
    for (let j = 0; j < real.length; j++) {
      const turnR = turnsR[j]!;
      const turnI = turnsI[j]!;
      const r0 = real[j]!;
      const i0 = imaginary[j]!;
      a += r0;
      e += i0;
      const r1 = r0 * turnR - i0 * turnI;
      const i1 = r0 * turnI + i0 * turnR;
      b += r1;
      f += i1;
      const r2 = r1 * turnR - i1 * turnI;
      const i2 = r1 * turnI + i1 * turnR;
      c += r2;
      g += i2;
      const r3 = r2 * turnR - i2 * turnI;
      const i3 = r2 * turnI + i2 * turnR;
      d += r3;
      h += i3;
      real[j] = r3 * turnR - i3 * turnI;
      imaginary[j] = r3 * turnI + i3 * turnR;
    }
    into[0] = a;
    into[1] = b;
    into[2] = c;
    into[3] = d;
    into[4] = e;
    into[5] = f;
    into[6] = g;
    into[7] = h;
  }
}

const WEIGHT_MIN = 1e-40;

interface LineOptions {
  readonly tilt: number;
  readonly step: number;
  /** Frequencies 0, step, ... that the sum has. */
  readonly length: number;
  /** μ² of the Gaussian factor. */
  readonly variance: number;
  /** Terms of which ln|M^n| is certainly below this are left out. */
  readonly logNegligible: number;
  readonly workMax: number;
}

/** ln|M| and arg M of all releases together at the frequencies that matter, relative to M(θ), and rounding allowances. */
export class Line {
  /** Which multiple of the step each entry is at; runs of up to BLOCK successive ones. */
  readonly index: number[] = [];
  readonly log: number[] = [];
  readonly phase: number[] = [];
  readonly slack: number[] = [];
  /** Frequency of the first term that was left out; Infinity when none was. */
  skippedFrom = Infinity;
  /** Phases turned; Infinity when it would have been too many. */
  work = 0;

  constructor(terms: readonly Term[], options: LineOptions) {
    const walkers = terms.map((term) => new Walker(term, options.tilt, options.step));
    const size = walkers.reduce((sum, walker) => sum + walker.size, 20);
    for (let k = 0; k < options.length; ) {
      if (this.work > options.workMax) {
        this.work = Infinity;
        return;
      }
      const skip = Math.min(options.length - k, this.#negligible(walkers, k, options));
      this.work += 8 * size;
      if (skip > BLOCK) {
        this.skippedFrom = Math.min(this.skippedFrom, k * options.step);
        k += skip;
        continue;
      }
      const end = Math.min(options.length, k + BLOCK);
      this.#addBlock(walkers, k, end, options.step);
      this.work += size * (end - k);
      k = end;
    }
  }

  /**
   * Sets all walkers to frequency k·step, and says for how many steps from there on every term is negligible: |M| moves
   * by at most `slope` per unit of frequency.
   */
  #negligible(walkers: readonly Walker[], k: number, options: LineOptions): number {
    const frequency = k * options.step;
    const moduli = walkers.map((walker) => walker.start(frequency));
    const gaussian = (options.variance * frequency * frequency) / 2;
    const logAt = (distance: number): number => {
      let log = -gaussian;
      walkers.forEach((walker, c) => {
        const error = walker.error(frequency + distance);
        log += walker.count * Math.min(0, Math.log(moduli[c]! + distance * walker.slope + error));
      });
      return log;
    };
    if (logAt(BLOCK * options.step) > options.logNegligible) return 0;
    let steps = BLOCK;
    while (steps < options.length && logAt(2 * steps * options.step) <= options.logNegligible) steps *= 2;
    return steps + 1;
  }

  #addBlock(walkers: readonly Walker[], from: number, to: number, step: number): void {
    const base = this.index.length;
    for (let k = from; k < to; k++) {
      this.index.push(k);
      this.log.push(0);
      this.phase.push(0);
      this.slack.push(0);
    }
    const four = new Float64Array(8);
    for (const walker of walkers) {
      const { count, mean } = walker;
      for (let k = from; k < to; k++) {
        const lane = (k - from) % 4;
        if (lane === 0) walker.nextFour(four);
        const real = four[lane]!;
        const imaginary = four[lane + 4]!;
        const modulus = Math.sqrt(real * real + imaginary * imaginary);
        const error = walker.error(k * step);
        const at = base + k - from;
        this.log[at]! += count * Math.log(Math.max(modulus, 1e-300));
        this.phase[at]! += count * (Math.atan2(imaginary, real) + mean * step * k);
        // |M|^n is off by the factor (1 + error/|M|)^n.
        const worst = count * Math.log1p(error / Math.max(modulus, error));
        this.slack[at]! += Math.expm1(Math.min(600, worst));
      }
    }
  }
}
