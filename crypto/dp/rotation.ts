/**
 * Public random rotation: random signs, then block-wise normalised Hadamard, for any dimension without padding.
 *
 * For: spreading a vector's energy before rounding (Kairouz, Liu, Steinke 2021, arXiv 2102.06387). The dimension is
 * cut into blocks of 4^j coordinates (largest first, at most 4096): for these the normalisation 1/√(4^j) = 2^−j is a
 * power of two, so the rotation of integers is integers over a known power of two, exactly orthonormal, and never
 * rounds. `forward` therefore decides nothing in floating point; `inverse` works on opened, public sums.
 * Trusts: nothing (the seed is public). May be called by: crypto/dp/mechanism.ts and tests.
 */
import { shake256 } from '@noble/hashes/sha3.js';
import { concat, utf8 } from '../bytes.ts';
import { ensure } from '../error.ts';

/** Largest block, 4^6: keeps every intermediate below 2^26·2^6. */
const BLOCK_EXPONENT_MAX = 6;

/** Largest vector this project rotates, entries. */
export const DIMENSION_MAX = 1 << 22;

interface Block {
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
  const stream = shake256(concat(utf8('pulsefold/v1/rotation'), seed), { dkLen: (dimension + 7) >> 3 });
  const signs = new Int8Array(dimension);
  for (let i = 0; i < dimension; i++) signs[i] = (stream[i >> 3]! >> (i & 7)) & 1 ? -1 : 1;
  return { dimension, signs, blocks: blocksOf(dimension) };
}

/** In-place unnormalised Walsh–Hadamard transform of one block; exact on integers. */
function hadamard(values: Float64Array, start: number, length: number): void {
  for (let half = 1; half < length; half *= 2) {
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

/**
 * Rotates fixed-point integers in place. Input: integers with L2 norm ≤ 2^26. Output: integers that stand for
 * value / 2^exponent(block): |output| ≤ 2^32, exact.
 */
export function rotateForward(rotation: Rotation, values: Float64Array): void {
  const { signs } = rotation;
  for (let i = 0; i < values.length; i++) values[i] = values[i]! * signs[i]!;
  for (const block of rotation.blocks) hadamard(values, block.start, block.length);
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
