/**
 * How integers travel as plaintext coefficients, and what a coefficient of the sum can hold.
 *
 * A noised value takes exactly one coefficient, modulo t = 2^15. The accountant's theorem is about the *sum* of the
 * noised vectors; positional digits would open one sum per column, and the carries between columns are not a function
 * of the sum (a column far above the noise shows one person's carry bare). One coefficient opens the sum modulo t:
 * post-processing of it. Several digits per value are for plans without noise, where the sum is meant to be exact.
 *
 * Trusts: nothing. May be called by: client, coordinator, protos, experiments.
 */
import { ensure } from '../error.ts';
import { floorRational, integerSquareRoot, multiplyRational, type Rational, rational } from './rational.ts';

export const PLAIN_MODULUS_BITS = 15;
const MODULUS = 2 ** PLAIN_MODULUS_BITS;
const HALF = MODULUS / 2;

export interface DigitLayout {
  /** Digits are signed, in [−2^(digitBits−1), 2^(digitBits−1)). */
  readonly digitBits: number;
  /** Coefficients per entry; 1 whenever there is noise. */
  readonly digitCount: number;
  readonly plainModulusBits: typeof PLAIN_MODULUS_BITS;
}

/** The layout of every noised plan: the value modulo t, nothing else. */
export const residueLayout: DigitLayout = {
  digitBits: PLAIN_MODULUS_BITS,
  digitCount: 1,
  plainModulusBits: PLAIN_MODULUS_BITS,
};

/** The representative of `value` modulo 2^bits in [−2^(bits−1), 2^(bits−1)). Exact for |value| < 2^52. */
export function centredResidue(value: number, bits: number = PLAIN_MODULUS_BITS): number {
  const base = 2 ** bits;
  const shifted = value + base / 2;
  return shifted - Math.floor(shifted / base) * base - base / 2;
}

/** Lowest and highest integer that `count` signed digits of `bits` bits write. */
const digitRange = (bits: number, count: number): [number, number] => {
  const repeated = (2 ** (bits * count) - 1) / (2 ** bits - 1);
  return [-(2 ** (bits - 1)) * repeated, (2 ** (bits - 1) - 1) * repeated];
};

/**
 * Exact packing of values without noise, |value| ≤ bound: `clients` digits of the extreme value still add up inside
 * [−2^14, 2^14), so no carry is lost. @throws PARAMETER_UNSAFE above 8,192 clients.
 */
export function exactLayout(clients: number, bound: number): DigitLayout {
  let digitBits = PLAIN_MODULUS_BITS;
  while (digitBits > 1 && clients * 2 ** (digitBits - 1) > HALF) digitBits--;
  ensure(digitBits >= 2, 'PARAMETER_UNSAFE', 'more than 8192 clients do not fit one 15-bit plain modulus');
  let digitCount = 1;
  while (digitRange(digitBits, digitCount)[1] < bound) digitCount++;
  return { digitBits, digitCount, plainModulusBits: PLAIN_MODULUS_BITS };
}

/**
 * Whether a noised sum stays inside one coefficient but for a chance of 2^-100: signal + 12·σ_sum ≤ 2^14 with
 * σ_sum² = clients·noiseVariance. Utility only: a sum that wraps around is as private and useless.
 */
export function fitsModulus(signal: number, noiseVariance: Rational, clients: number): boolean {
  const variance = floorRational(multiplyRational(noiseVariance, rational(clients)));
  return signal + 12 * Number(integerSquareRoot(variance) + 1n) <= HALF;
}

/** Values → signed digits, least significant first, the digits of one value side by side; the rest is dropped. */
export function toDigits(values: Int32Array, layout: DigitLayout): Int32Array {
  const { digitBits, digitCount } = layout;
  const out = new Int32Array(values.length * digitCount);
  for (let i = 0; i < values.length; i++) {
    let rest = values[i]!;
    for (let j = 0; j < digitCount; j++) {
      const digit = centredResidue(rest, digitBits);
      out[i * digitCount + j] = digit;
      rest = (rest - digit) / 2 ** digitBits;
    }
  }
  return out;
}

/**
 * Opened digit sums → integer sums of the values; with one digit of 15 bits the centred residue of the sum.
 * @throws VECTOR_LENGTH_MISMATCH, FIELD_OUT_OF_RANGE for a digit sum outside [−2^14, 2^14).
 */
export function fromDigits(sums: Int32Array, layout: DigitLayout, dimension: number): Float64Array {
  const { digitBits, digitCount } = layout;
  ensure(
    sums.length === dimension * digitCount,
    'VECTOR_LENGTH_MISMATCH',
    'digit sums: dimension × digitCount',
  );
  const out = new Float64Array(dimension);
  for (let i = 0; i < dimension; i++) {
    let value = 0;
    for (let j = digitCount - 1; j >= 0; j--) {
      const digit = sums[i * digitCount + j]!;
      ensure(digit >= -HALF && digit < HALF, 'FIELD_OUT_OF_RANGE', 'a digit sum leaves the plain modulus');
      value = value * 2 ** digitBits + digit;
    }
    out[i] = value;
  }
  return out;
}
