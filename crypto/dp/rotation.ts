/**
 * Public random rotation: random signs, then block-wise normalised Hadamard, for any dimension without padding.
 *
 * For: spreading a vector's energy before rounding (Kairouz, Liu, Steinke 2021, arXiv 2102.06387). The dimension is
 * cut into blocks of 4^j coordinates (largest first, at most 4096): for these the normalisation 1/√(4^j) = 2^−j is a
 * power of two, so the rotation of integers is integers over a known power of two, exactly orthonormal, and never
 * rounds. `forward` therefore decides nothing in floating point; `inverse` works on opened, public sums.
 * Trusts: nothing (the seed is public). May be called by: crypto/dp/mechanism.ts and tests.
 */
import { createHash } from 'node:crypto';
import { utf8 } from '../bytes.ts';
import { ensure } from '../error.ts';

/** Largest block, 4^6: keeps every intermediate below 2^26·2^6. */
const BLOCK_EXPONENT_MAX = 6;

/** Largest vector this project rotates, entries. */
export const DIMENSION_MAX = 1 << 22;

export interface Block {
  readonly start: number;
  readonly length: number;
  /** j for a block of 4^j: its rotated integers are to be read over 2^j. */
  readonly exponent: number;
}

export interface Rotation {
  readonly dimension: number;
  /** +1 or −1 per coordinate. */
  readonly signs: Int8Array;
  readonly blocks: readonly Block[];
}

function blocksOf(dimension: number): Block[] {
  const blocks: Block[] = [];
  let start = 0;
  for (let exponent = BLOCK_EXPONENT_MAX; exponent >= 0; exponent--) {
    const length = 4 ** exponent;
    for (; dimension - start >= length; start += length) blocks.push({ start, length, exponent });
  }
  return blocks;
}

/** The rotation of a 32-byte public seed; the same seed and dimension always give the same one. */
export function createRotation(seed: Uint8Array, dimension: number): Rotation {
  ensure(seed.length === 32, 'FIELD_OUT_OF_RANGE', 'the rotation seed has 32 bytes');
  ensure(
    Number.isInteger(dimension) && dimension >= 1 && dimension <= DIMENSION_MAX,
    'FIELD_OUT_OF_RANGE',
    `the dimension lies between 1 and ${DIMENSION_MAX}`,
  );
  const stream = createHash('shake256', { outputLength: (dimension + 7) >> 3 })
    .update(utf8('pulsefold/v1/rotation'))
    .update(seed)
    .digest();
  return { dimension, signs: signsOf(stream, dimension), blocks: blocksOf(dimension) };
}

/** Bit → sign, least significant first, 1 = −1; four at a time. */
function signsOf(stream: Uint8Array, dimension: number): Int8Array {
  const patterns = new Int8Array(64);
  for (let i = 0; i < 64; i++) patterns[i] = ((i >> 2) >> (i & 3)) & 1 ? -1 : 1;
  const quads = new Int32Array(patterns.buffer);
  const out = new Int32Array(2 * stream.length);
  for (let i = 0; i < stream.length; i++) {
    out[2 * i] = quads[stream[i]! & 15]!;
    out[2 * i + 1] = quads[stream[i]! >> 4]!;
  }
  return new Int8Array(out.buffer, 0, dimension);
}

/**
 * In-place unnormalised Walsh–Hadamard transform of one block of 4^j; exact on integers whose sums stay
 * below 2^53. Three levels at a time, for one load and one store of each value instead of three.
 */
function hadamard(values: Float64Array, start: number, length: number): void {
  let half = 1;
  for (; 8 * half <= length; half *= 8) threeLevels(values, start, length, half);
  for (; half < length; half *= 2) {
    for (let group = start; group < start + length; group += 2 * half) {
      for (let i = group; i < group + half; i++) {
        const a = values[i]!;
        const b = values[i + half]!;
        values[i] = a + b;
        values[i + half] = a - b;
      }
    }
  }
}

/** Levels half, 2·half and 4·half of the transform, on groups of 8·half values. */
function threeLevels(values: Float64Array, start: number, length: number, half: number): void {
  for (let group = start; group < start + length; group += 8 * half) {
    for (let i = group; i < group + half; i++) {
      const x0 = values[i]!;
      const x1 = values[i + half]!;
      const x2 = values[i + 2 * half]!;
      const x3 = values[i + 3 * half]!;
      const x4 = values[i + 4 * half]!;
      const x5 = values[i + 5 * half]!;
      const x6 = values[i + 6 * half]!;
      const x7 = values[i + 7 * half]!;
      const a0 = x0 + x1;
      const a1 = x0 - x1;
      const a2 = x2 + x3;
      const a3 = x2 - x3;
      const a4 = x4 + x5;
      const a5 = x4 - x5;
      const a6 = x6 + x7;
      const a7 = x6 - x7;
      const b0 = a0 + a2;
      const b1 = a1 + a3;
      const b2 = a0 - a2;
      const b3 = a1 - a3;
      const b4 = a4 + a6;
      const b5 = a5 + a7;
      const b6 = a4 - a6;
      const b7 = a5 - a7;
      values[i] = b0 + b4;
      values[i + half] = b1 + b5;
      values[i + 2 * half] = b2 + b6;
      values[i + 3 * half] = b3 + b7;
      values[i + 4 * half] = b0 - b4;
      values[i + 5 * half] = b1 - b5;
      values[i + 6 * half] = b2 - b6;
      values[i + 7 * half] = b3 - b7;
    }
  }
}

/**
 * Rotates one block of fixed-point integers (of a vector with L2 norm ≤ 2^26) into the first `block.length` entries of
 * `out`: integers that stand for value / 2^block.exponent, |value| ≤ 2^32, exact.
 */
export function rotateBlock(rotation: Rotation, block: Block, values: Int32Array, out: Float64Array): void {
  const { start, length } = block;
  const { signs } = rotation;
  for (let i = 0; i < length; i++) out[i] = values[start + i]! * signs[start + i]!;
  hadamard(out, 0, length);
}

/** Inverse rotation of an opened sum (public, hence in doubles); returns a new vector in the same units. */
export function rotateInverse(rotation: Rotation, sum: Float64Array): Float64Array {
  ensure(sum.length === rotation.dimension, 'VECTOR_LENGTH_MISMATCH', 'the sum has another dimension');
  const out = Float64Array.from(sum);
  for (const { start, length, exponent } of rotation.blocks) {
    hadamard(out, start, length);
    const scale = 2 ** -exponent;
    for (let i = start; i < start + length; i++) out[i] = out[i]! * scale;
  }
  for (let i = 0; i < out.length; i++) out[i] = out[i]! * rotation.signs[i]!;
  return out;
}
