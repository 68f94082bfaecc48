/**
 * G-test of integer samples against the discrete Gaussian or Laplace law, with its p-value.
 *
 * For: tests of the samplers and `pulsefold bench noise`. Cells reach into both tails: about 64 cells of the bulk, then
 * cells that halve outwards down to 20 expected samples, so that a cut tail shows as much as a wrong deviation. Works in
 * floating point: it judges samplers, it draws nothing. Trusts: nothing. May be called by: experiments, tests.
 */
import { ensure } from '../error.ts';

/** A law on the integers, symmetric about 0, as weights of magnitudes. */
export interface SymmetricLaw {
  /** Proportional to the probability of +magnitude. */
  readonly weight: (magnitude: number) => number;
  /** Beyond it lies less than 1e-10 of the mass. */
  readonly radius: number;
  /** Of the weights of all integers. */
  readonly total: number;
}

/** From here on the sum of exp(−x²/2σ²) over the integers is σ·√(2π) to all digits (Poisson summation). */
const CONTINUOUS_VARIANCE = 4;

/** N_Z(0, variance). */
export function discreteGaussianLaw(variance: number): SymmetricLaw {
  const weight = (magnitude: number) => Math.exp(-(magnitude * magnitude) / (2 * variance));
  let total = Math.sqrt(2 * Math.PI * variance);
  if (variance < CONTINUOUS_VARIANCE) {
    total = 1;
    for (let m = 1; m < 40; m++) total += 2 * weight(m);
  }
  return { weight, total, radius: Math.ceil(7 * Math.sqrt(variance)) + 2 };
}

/** P(x) ∝ exp(−|x|/scale). */
export const discreteLaplaceLaw = (scale: number): SymmetricLaw => ({
  weight: (magnitude) => Math.exp(-magnitude / scale),
  total: 1 + 2 / Math.expm1(1 / scale),
  radius: Math.ceil(25 * scale) + 2,
});

export interface Fit {
  readonly statistic: number;
  readonly degrees: number;
  /** Chance of a statistic at least as large from a right sampler. */
  readonly pValue: number;
}

const CELL_EXPECTED_MIN = 20;
/** Largest probability of a cell that holds more than one magnitude. */
const CELL_SHARE = 1 / 64;

interface Cells {
  /** Smallest magnitude of each signed cell, outermost first; below the last one lies the cell around 0. */
  readonly edges: readonly number[];
  /** Probability of each, on one side. */
  readonly shares: readonly number[];
  /** Probability of the cell around 0. */
  readonly centre: number;
}

function cellsOf({ weight, radius, total }: SymmetricLaw, count: number): Cells {
  const edges: number[] = [];
  const shares: number[] = [];
  let share = 0;
  let wanted = CELL_EXPECTED_MIN / count;
  for (let m = radius; m >= 1; m--) {
    share += weight(m) / total;
    if (share < wanted) continue;
    edges.push(m);
    shares.push(share);
    share = 0;
    wanted = Math.min(2 * wanted, CELL_SHARE);
  }
  const centre = 2 * share + weight(0) / total;
  return { edges, shares, centre };
}

/** Tests samples as they come; `count` is how many there will be. */
export class FitTest {
  readonly #count: number;
  readonly #cells: Cells;
  /** Cell of a magnitude up to the outermost edge. */
  readonly #cellOf: Uint16Array;
  /** By cell: positive samples, then negative ones, then those around 0. */
  readonly #observed: Float64Array;

  constructor(law: SymmetricLaw, count: number) {
    this.#count = count;
    this.#cells = cellsOf(law, count);
    const { edges } = this.#cells;
    const centre = 2 * edges.length;
    this.#cellOf = new Uint16Array((edges[0] ?? 0) + 1).fill(centre);
    edges.forEach((edge, i) => {
      this.#cellOf.fill(i, edge, i === 0 ? edge + 1 : edges[i - 1]!);
    });
    this.#observed = new Float64Array(centre + 1);
  }

  add(samples: ArrayLike<number>): void {
    const cellOf = this.#cellOf;
    const sides = this.#cells.edges.length;
    const outermost = cellOf.length - 1;
    for (let i = 0; i < samples.length; i++) {
      const sample = samples[i]!;
      const cell = cellOf[Math.min(Math.abs(sample), outermost)]!;
      const at = cell < sides && sample < 0 ? cell + sides : cell;
      this.#observed[at] = this.#observed[at]! + 1;
    }
  }

  /** @throws INTERNAL unless exactly `count` samples came. */
  result(): Fit {
    const { shares, centre } = this.#cells;
    const expected = [...shares, ...shares, centre].map((share) => share * this.#count);
    let came = 0;
    let statistic = 0;
    expected.forEach((value, i) => {
      const observed = this.#observed[i]!;
      came += observed;
      if (observed > 0) statistic += 2 * observed * Math.log(observed / value);
    });
    ensure(came === this.#count, 'INTERNAL', `${came} samples came, ${this.#count} were announced`);
    const degrees = expected.length - 1;
    return { statistic, degrees, pValue: degrees === 0 ? 1 : chiSquaredTail(statistic, degrees) };
  }
}

/** The test of one array. */
export function goodnessOfFit(samples: ArrayLike<number>, law: SymmetricLaw): Fit {
  const test = new FitTest(law, samples.length);
  test.add(samples);
  return test.result();
}

/** P(χ² of `degrees` ≥ x): the incomplete gamma function at half-integers, by series or continued fraction. */
export function chiSquaredTail(x: number, degrees: number): number {
  const a = degrees / 2;
  const y = Math.max(0, x) / 2;
  if (y === 0) return 1;
  // ln Γ(a) upwards from Γ(1/2) = √π or Γ(1) = 1.
  let logGamma = degrees % 2 === 1 ? Math.log(Math.PI) / 2 : 0;
  for (let k = degrees % 2 === 1 ? 0.5 : 1; k < a; k++) logGamma += Math.log(k);
  const front = Math.exp(a * Math.log(y) - y - logGamma);
  if (y < a + 1) {
    let term = 1 / a;
    let sum = term;
    for (let n = 1; term > sum * 1e-17; n++) {
      term *= y / (a + n);
      sum += term;
    }
    return 1 - front * sum;
  }
  // Legendre's fraction from the far end: 1/(y+1−a − 1(1−a)/(y+3−a − 2(2−a)/(…))).
  let fraction = 0;
  for (let n = Math.ceil(200 + 20 * Math.sqrt(a)); n >= 1; n--)
    fraction = (n * (n - a)) / (y + 2 * n + 1 - a - fraction);
  return front / (y + 1 - a - fraction);
}
