/**
 * The negacyclic number-theoretic transform modulo primes below 2^26, in plain doubles.
 *
 * As SEAL does it: ψ is the smallest primitive 2n-th root of unity, ψ's powers lie in bit-reversed order, the forward
 * transform (Cooley–Tukey) takes natural order to bit-reversed order, the inverse (Gentleman–Sande) the reverse.
 * Residues are kept centred, in ±p/2. Exactness: a product stays below 2^53 − 2^26, and v − p·round(v/p) is exact and within
 * ±(1/2 + 2^−20)·p, since the rounded quotient is off by 2^−20 of a unit at most. There is no branch and no index
 * that depends on data; a JavaScript engine promises no more than that (it may, in principle, compile arithmetic to
 * anything), so keys are one-time besides.
 * Trusts: its caller to pass centred residues. May be called by: crypto/secagg/long, and crypto/kernels as an oracle.
 */
import { ensure } from '../../error.ts';

/** 1.5·2^52: adding and subtracting it rounds a double of magnitude below 2^51 to the nearest integer. */
const roundingUnit = 6_755_399_441_055_744;

/** The centred residue of an integer |value| ≤ 2^53 − 2^26 modulo `prime`; `inverse` = 1/prime. */
export function centre(value: number, prime: number, inverse: number): number {
  return value - prime * (value * inverse + roundingUnit - roundingUnit);
}

/** base^exponent modulo prime, in [0, prime). Exponent ≥ 0. */
export function power(base: number, exponent: number, prime: number): number {
  const inverse = 1 / prime;
  let result = 1;
  let square = centre(base, prime, inverse);
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result = centre(result * square, prime, inverse);
    square = centre(square * square, prime, inverse);
  }
  return result < 0 ? result + prime : result;
}

/** value^−1 modulo prime, in [0, prime). */
export const invertModulo = (value: number, prime: number): number => power(value, prime - 2, prime);

/** The smallest ψ with ψ^n = −1: SEAL's choice, so that transforms agree with it. */
export function smallestPrimitiveRoot(polyDegree: number, prime: number): number {
  ensure(prime % (2 * polyDegree) === 1, 'PARAMETER_UNSAFE', 'the prime must be 1 modulo 2n');
  let root = 0;
  for (let base = 2; root === 0; base++) {
    const candidate = power(base, (prime - 1) / (2 * polyDegree), prime);
    if (power(candidate, polyDegree, prime) === prime - 1) root = candidate;
  }
  // The primitive roots are the odd powers of any one of them.
  const inverse = 1 / prime;
  const step = centre(root * root, prime, inverse);
  let smallest = root;
  for (let i = 1, current = root; i < polyDegree; i++) {
    current = centre(current * step, prime, inverse);
    const positive = current < 0 ? current + prime : current;
    if (positive < smallest) smallest = positive;
  }
  return smallest;
}

function reverseBits(value: number, width: number): number {
  let result = 0;
  for (let i = 0; i < width; i++) result |= ((value >>> i) & 1) << (width - 1 - i);
  return result;
}

/** Transforms of one ring Z_p[X]/(X^n + 1). Both work in place on n centred residues. */
export class NegacyclicTransform {
  readonly polyDegree: number;
  readonly prime: number;
  readonly inverse: number;
  /** n^−1, which the inverse transform leaves to its caller. */
  readonly degreeInverse: number;
  readonly #roots: Float64Array;
  readonly #inverseRoots: Float64Array;

  constructor(polyDegree: number, prime: number) {
    this.polyDegree = polyDegree;
    this.prime = prime;
    this.inverse = 1 / prime;
    this.degreeInverse = invertModulo(polyDegree, prime);
    const width = Math.log2(polyDegree);
    const root = smallestPrimitiveRoot(polyDegree, prime);
    this.#roots = this.#powers(root, width);
    this.#inverseRoots = this.#powers(invertModulo(root, prime), width);
  }

  #powers(root: number, width: number): Float64Array {
    const out = new Float64Array(this.polyDegree);
    for (let i = 0, current = 1; i < this.polyDegree; i++) {
      out[reverseBits(i, width)] = current;
      current = centre(current * root, this.prime, this.inverse);
    }
    return out;
  }

  /** Natural order to bit-reversed order, values at ψ^(2·rev(i) + 1). */
  forward(values: Float64Array): void {
    const { polyDegree: n, prime, inverse } = this;
    const roots = this.#roots;
    let layer = 0;
    for (let groups = 1, half = n >>> 1; groups < n; groups <<= 1, half >>>= 1, layer++) {
      // A layer adds p/2 to the bound on |value|: it starts at p/2 and must stay below 4p for exact products.
      if (layer === 7) this.#centreAll(values);
      for (let group = 0, start = 0; group < groups; group++, start += 2 * half) {
        const root = roots[groups + group]!;
        for (let i = start, j = start + half; i < start + half; i++, j++) {
          const product = values[j]! * root;
          const term = product - prime * (product * inverse + roundingUnit - roundingUnit);
          const kept = values[i]!;
          values[i] = kept + term;
          values[j] = kept - term;
        }
      }
    }
    this.#centreAll(values);
  }

  /** Bit-reversed order to natural order, times n: multiply by `degreeInverse` before or after. */
  inverseTimesDegree(values: Float64Array): void {
    const { polyDegree: n, prime, inverse } = this;
    const roots = this.#inverseRoots;
    let layer = 0;
    for (let groups = n >>> 1, half = 1; groups >= 1; groups >>>= 1, half <<= 1, layer++) {
      for (let group = 0, start = 0; group < groups; group++, start += 2 * half) {
        const root = roots[groups + group]!;
        for (let i = start, j = start + half; i < start + half; i++, j++) {
          const first = values[i]!;
          const second = values[j]!;
          const product = (first - second) * root;
          values[i] = first + second;
          values[j] = product - prime * (product * inverse + roundingUnit - roundingUnit);
        }
      }
      // Sums double the bound: p/2, p, 2p. A difference of 2p times a root is the most that stays exact.
      if (layer % 2 === 1) this.#centreAll(values);
    }
    this.#centreAll(values);
  }

  #centreAll(values: Float64Array): void {
    const { prime, inverse } = this;
    for (let i = 0; i < values.length; i++) {
      const value = values[i]!;
      values[i] = value - prime * (value * inverse + roundingUnit - roundingUnit);
    }
  }
}

const transforms = new Map<string, NegacyclicTransform>();

/** The transform of (n, prime), made once. There are 28 of them at most: those of the primes in parameters.ts. */
export function transformFor(polyDegree: number, prime: number): NegacyclicTransform {
  const key = `${polyDegree}/${prime}`;
  let transform = transforms.get(key);
  if (transform === undefined) {
    transform = new NegacyclicTransform(polyDegree, prime);
    transforms.set(key, transform);
  }
  return transform;
}
