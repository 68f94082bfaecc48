/**
 * How integers travel as slots of a sum modulo 2^modulusBits, and what a slot can hold.
 *
 * A noised value takes exactly one slot. The accountant's theorem is about the *sum* of the noised vectors; positional
 * digits would open one sum per column, and the carries between columns are not a function of the sum (a column far
 * above the noise shows one person's carry bare). One slot opens the sum modulo 2^modulusBits: post-processing of it.
 * Several digits per value are for plans without noise, where the sum is meant to be exact.
 *
 * Trusts: nothing. May be called by: client, coordinator, protos, experiments.
 */
import { ensure } from '../error.ts';
import { floorRational, integerSquareRoot, multiplyRational, type Rational, rational } from './rational.ts';

/** log2 of BFV's plaintext modulus: the modulus where nothing else is said. */
export const PLAIN_MODULUS_BITS = 15;
/** A slot of the long cipher is an int32; the narrowest holds noise alone. */
export const MODULUS_BITS_MIN = 2;
export const MODULUS_BITS_MAX = 32;

export interface DigitLayout {
  /** Digits are signed, in [−2^(digitBits−1), 2^(digitBits−1)). */
  readonly digitBits: number;
  /** Slots per entry; 1 whenever there is noise. */
  readonly digitCount: number;
  /** Slots add up modulo 2^modulusBits and open centred, in [−2^(modulusBits−1), 2^(modulusBits−1)). 2 to 32. */
  readonly modulusBits: number;
}

/** 2^(modulusBits−1). @throws FIELD_OUT_OF_RANGE */
function halfModulus(modulusBits: number): number {
  ensure(
    Number.isInteger(modulusBits) && modulusBits >= MODULUS_BITS_MIN && modulusBits <= MODULUS_BITS_MAX,
    'FIELD_OUT_OF_RANGE',
    `modulusBits: a whole number, ${MODULUS_BITS_MIN} to ${MODULUS_BITS_MAX}`,
  );
  return 2 ** (modulusBits - 1);
}

/** The layout of every noised plan: the value modulo 2^modulusBits, nothing else. @throws FIELD_OUT_OF_RANGE */
export function residueLayout(modulusBits: number): DigitLayout {
  halfModulus(modulusBits);
  return { digitBits: modulusBits, digitCount: 1, modulusBits };
}

/**
 * The layout of a noised vector under the long cipher: the integer itself. LongSum adds slots as integers and carries
 * from one into the next, so a device must not reduce its own value first: the carry would then depend on which
 * devices wrapped, and not on the sum alone (the leak of ADR 18 in another place).
 */
export function integerLayout(modulusBits: number): DigitLayout {
  halfModulus(modulusBits);
  return { digitBits: MODULUS_BITS_MAX, digitCount: 1, modulusBits };
}

/** The representative of `value` modulo 2^bits in [−2^(bits−1), 2^(bits−1)). Exact for |value| < 2^52, bits ≤ 32. */
export function centredResidue(value: number, bits: number = PLAIN_MODULUS_BITS): number {
  const base = 2 ** bits;
  const shifted = value + base / 2;
  return shifted - Math.floor(shifted / base) * base - base / 2;
}

/** Highest integer that `count` signed digits of `bits` bits write. */
const largestWritten = (bits: number, count: number): number =>
  ((2 ** (bits - 1) - 1) * (2 ** (bits * count) - 1)) / (2 ** bits - 1);

/**
 * Exact packing of values without noise, |value| ≤ bound < 2^31: `clients` digits of the extreme value still add up
 * inside [−2^(modulusBits−1), 2^(modulusBits−1)), so no carry is lost.
 * @throws PARAMETER_UNSAFE above 2^(modulusBits−2) clients (8,192 for 15 bits), FIELD_OUT_OF_RANGE.
 */
export function exactLayout(clients: number, bound: number, modulusBits: number): DigitLayout {
  const half = halfModulus(modulusBits);
  ensure(
    Number.isInteger(bound) && bound >= 0 && bound < 2 ** 31 && clients * bound <= 2 ** 52,
    'FIELD_OUT_OF_RANGE',
    'values below 2^31 whose sum stays below 2^52',
  );
  let digitBits = modulusBits;
  while (digitBits > 1 && clients * 2 ** (digitBits - 1) > half) digitBits--;
  ensure(
    digitBits >= 2,
    'PARAMETER_UNSAFE',
    `more than ${half / 2} clients do not fit one modulus of ${modulusBits} bits`,
  );
  let digitCount = 1;
  while (largestWritten(digitBits, digitCount) < bound) digitCount++;
  return { digitBits, digitCount, modulusBits };
}

/**
 * Whether a noised sum stays inside one slot but for a chance of 2^-100: signal + 12·σ_sum ≤ 2^(modulusBits−1) with
 * σ_sum² = clients·noiseVariance. Utility only: a sum that wraps around is as private and useless.
 */
export function fitsModulus(
  signal: number,
  noiseVariance: Rational,
  clients: number,
  modulusBits: number = PLAIN_MODULUS_BITS,
): boolean {
  const variance = floorRational(multiplyRational(noiseVariance, rational(clients)));
  return signal + 12 * Number(integerSquareRoot(variance) + 1n) <= halfModulus(modulusBits);
}

/**
 * Values → signed digits, least significant first, the digits of one value side by side; the rest is dropped. Into `out`
 * (a fresh array where there is none) of values × digitCount entries, other than `values`.
 */
export function toDigits(
  values: Int32Array,
  layout: DigitLayout,
  out: Int32Array = new Int32Array(values.length * layout.digitCount),
): Int32Array {
  const { digitBits, digitCount } = layout;
  ensure(out.length === values.length * digitCount, 'VECTOR_LENGTH_MISMATCH', 'digits: values × digitCount');
  const spare = 32 - digitBits; // shifting left and back keeps the low digitBits bits, with their sign
  if (digitCount === 1) {
    for (let i = 0; i < out.length; i++) out[i] = (values[i]! << spare) >> spare;
    return out;
  }
  const base = 2 ** digitBits;
  for (let i = 0; i < values.length; i++) {
    let rest = values[i]!;
    for (let j = 0; j < digitCount; j++) {
      const digit = (rest << spare) >> spare;
      out[i * digitCount + j] = digit;
      rest = (rest - digit) / base; // stays an int32, though rest − digit may not be one
    }
  }
  return out;
}

/**
 * Opened digit sums → integer sums of the values; with one digit of modulusBits bits the centred residue of the sum.
 * @throws VECTOR_LENGTH_MISMATCH, FIELD_OUT_OF_RANGE for a digit sum outside [−2^(modulusBits−1), 2^(modulusBits−1)).
 */
export function fromDigits(sums: Int32Array, layout: DigitLayout, dimension: number): Float64Array {
  const { digitBits, digitCount } = layout;
  const half = halfModulus(layout.modulusBits);
  ensure(
    sums.length === dimension * digitCount,
    'VECTOR_LENGTH_MISMATCH',
    'digit sums: dimension × digitCount',
  );
  const base = 2 ** digitBits;
  const out = new Float64Array(dimension);
  for (let i = 0; i < dimension; i++) {
    let value = 0;
    for (let j = digitCount - 1; j >= 0; j--) {
      const digit = sums[i * digitCount + j]!;
      if (digit < -half || digit >= half)
        ensure(false, 'FIELD_OUT_OF_RANGE', `a digit sum leaves the modulus of ${layout.modulusBits} bits`);
      value = value * base + digit;
    }
    out[i] = value;
  }
  return out;
}
