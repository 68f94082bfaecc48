/**
 * One vector → bounded integers: clip → fixed point → rotation → stochastic rounding, redrawn until the norm bound
 * that the accountant uses holds (arXiv 2102.06387; docs/protocol.md, "Differential privacy").
 *
 * For: crypto/dp/mechanism.ts. After clipping nothing is decided in floating point: doubles hold integers below 2^53
 * only, and what they are multiplied by is a power of two.
 * Trusts: its parameters come from an approved plan; the vector may be anything.
 * May be called by: crypto/dp/mechanism.ts.
 */
import { ensure } from '../error.ts';
import type { RandomSource } from '../random.ts';
import {
  checkParameters,
  type MechanismParameters,
  updateDimension,
  updateNormBoundSquared,
} from './mechanism-parameters.ts';
import { rationalToNumber } from './rational.ts';
import { type Block, createRotation, type Rotation, rotateBlock } from './rotation.ts';
import { UniformBits } from './uniform-bits.ts';

/** Attempts at conditional rounding before truncation toward zero. */
const ROUNDING_TRIES = 64;
/** Fixed-point norm limit: G·2^F ≤ 2^26, so squared norms are exact in doubles. */
const FIXED_POINT_BITS = 26;

export interface Encoder {
  readonly p: MechanismParameters;
  readonly rotation: Rotation;
  readonly clip: number;
  /** F: one integer unit is 2^F fixed-point steps. */
  readonly fractionBits: number;
  /** G·2^F ≤ 2^26. */
  readonly limit: number;
  readonly bound: number;
  readonly bits: UniformBits;
  /** One block while it is rotated: it stays in the processor's first cache. */
  readonly scratch: Float64Array;
  /** The vector in fixed point, |entries| ≤ limit, then block by block the result. */
  readonly values: Int32Array;
}

/** `vectors` that will be encoded size the buffer of random words only. @throws PARAMETER_UNSAFE */
export function createEncoder(p: MechanismParameters, vectors: number, random: RandomSource): Encoder {
  checkParameters(p);
  const fractionBits = FIXED_POINT_BITS - Math.ceil(Math.log2(p.unitsPerClip));
  const dimension = updateDimension(p);
  const rotation = createRotation(p.rotationSeed, dimension);
  return {
    p,
    rotation,
    clip: rationalToNumber(p.clip),
    fractionBits,
    limit: p.unitsPerClip * 2 ** fractionBits,
    bound: Number(updateNormBoundSquared(p)),
    bits: new UniformBits(random, dimension * Math.max(1, vectors) * 1.1),
    scratch: new Float64Array(rotation.blocks[0]!.length),
    values: new Int32Array(dimension),
  };
}

/** Whether the vector's norm, in doubles, is within the clip: what the clip bit says. @throws DATA_INVALID */
export function isWithinClip({ clip, values }: Encoder, vector: Float64Array): boolean {
  const { scale, relativeNorm } = normOf(vector, 0, values.length);
  return scale * relativeNorm <= clip;
}

/** One vector (dimension entries from `start` on) → `values`: integers with ‖·‖² ≤ D², always. @throws DATA_INVALID */
export function encode(encoder: Encoder, vector: Float64Array | Float32Array, start: number): void {
  if (encoder.p.unit === 'none') {
    encodeOnce(encoder, vector, start, roundToNearest);
    return;
  }
  for (let attempt = 0; attempt < ROUNDING_TRIES; attempt++)
    if (encodeOnce(encoder, vector, start, roundStochastically) <= encoder.bound) return;
  encodeOnce(encoder, vector, start, roundTowardZero); // ‖trunc(x)‖ ≤ ‖x‖ ≤ G ≤ D
}

/**
 * Fixed point, rotation and one rounding. Another attempt starts again from the vector, with the same result up to the
 * rounding: that is rare, and spares a second array. Returns ‖values‖²: exact up to 2^53, and no larger total rounds
 * down to the bound, which is far below.
 */
function encodeOnce(
  encoder: Encoder,
  vector: Float64Array | Float32Array,
  start: number,
  round: Rounding,
): number {
  toFixedPoint(encoder, vector, start);
  const { rotation, values, scratch, fractionBits } = encoder;
  let total = 0;
  for (const block of rotation.blocks) {
    rotateBlock(rotation, block, values, scratch);
    total += round(encoder, block, fractionBits + block.exponent);
  }
  return total;
}

/**
 * Clips one vector and writes it as fixed-point integers into `values`, with L2 norm ≤ limit checked on the integers.
 * Clipping itself may be in doubles: whatever they do, the check decides. Squares sum exactly: a total within
 * limit² ≤ 2^52 has only exact partial sums, and a larger one cannot round below.
 */
function toFixedPoint(encoder: Encoder, vector: Float64Array | Float32Array, start: number): void {
  const { values, limit, clip } = encoder;
  const { scale, relativeNorm } = normOf(vector, start, values.length);
  if (relativeNorm === 0) {
    values.fill(0);
    return;
  }
  const clipped = scale * relativeNorm > clip;
  const factor = clipped ? limit / relativeNorm : limit / clip;
  let squares: number;
  if (clipped && scale !== 1) {
    const relative = Float64Array.from(values, (_, i) => vector[start + i]! / scale);
    squares = truncate(values, relative, 0, factor);
  } else squares = truncate(values, vector, start, factor);
  while (squares > limit * limit) {
    for (let i = 0; i < values.length; i++) values[i] = Math.trunc(values[i]! * (1 - 2 ** -24));
    squares = squaredNorm(values);
  }
}

/**
 * `values` = vector · factor toward zero; returns their squared norm. Magnitudes exceed the limit of 2^26 by
 * rounding errors at most, so that `| 0` only truncates.
 */
function truncate(
  values: Int32Array,
  vector: Float64Array | Float32Array,
  start: number,
  factor: number,
): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const value = (vector[start + i]! * factor) | 0;
    values[i] = value;
    sum += value * value;
  }
  return sum;
}

/** Sums of squares in this range lost nothing to overflow or to underflow. */
const SQUARES_MIN = 2 ** -900;
const SQUARES_MAX = 2 ** 900;

/** L2 norm of `length` entries as scale · relativeNorm; scale is 1 but for extreme vectors. @throws DATA_INVALID */
function normOf(
  vector: Float64Array | Float32Array,
  start: number,
  length: number,
): { scale: number; relativeNorm: number } {
  let sum = 0;
  for (let i = start; i < start + length; i++) sum += vector[i]! * vector[i]!;
  if (sum >= SQUARES_MIN && sum <= SQUARES_MAX) return { scale: 1, relativeNorm: Math.sqrt(sum) };
  // Not a number, infinite, zero or nearly one of them: relative to the largest entry.
  let scale = 0;
  for (let i = start; i < start + length; i++) {
    const magnitude = Math.abs(vector[i]!);
    ensure(magnitude < Infinity, 'DATA_INVALID', 'the update has an entry that is not a finite number');
    if (magnitude > scale) scale = magnitude;
  }
  if (scale === 0) return { scale: 1, relativeNorm: 0 };
  sum = 0;
  for (let i = start; i < start + length; i++) sum += (vector[i]! / scale) ** 2;
  return { scale, relativeNorm: Math.sqrt(sum) };
}

/** Exact up to 2^53; a larger total does not round below. */
export function squaredNorm(values: Int32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! * values[i]!;
  return sum;
}

/** Rounds the block in `scratch`, n / 2^shift with shift ≤ 26 + 6, into `values`; returns the sum of their squares. */
type Rounding = (encoder: Encoder, block: Block, shift: number) => number;

/**
 * Up with probability rest / 2^shift, exactly, rest the value modulo 2^shift: ⌊(n + r) / 2^shift⌋ for a uniform integer
 * r in [0, 2^shift). |n| ≤ 2^32 and r < 2^32, so the sum is exact; so is its product with a power of two.
 */
function roundStochastically({ scratch, values, bits }: Encoder, block: Block, shift: number): number {
  const { start, length } = block;
  const words = bits.words(length);
  const unit = 2 ** -shift;
  const spare = 32 - shift;
  let sum = 0;
  for (let i = 0; i < length; i++) {
    const value = Math.floor((scratch[i]! + (words[i]! >>> spare)) * unit) | 0;
    values[start + i] = value;
    sum += value * value;
  }
  return sum;
}

function roundToNearest({ scratch, values }: Encoder, { start, length }: Block, shift: number): number {
  const unit = 2 ** -shift;
  for (let i = 0; i < length; i++) values[start + i] = Math.floor(scratch[i]! * unit + 0.5);
  return 0; // without noise there is no bound to meet
}

function roundTowardZero({ scratch, values }: Encoder, { start, length }: Block, shift: number): number {
  const unit = 2 ** -shift;
  for (let i = 0; i < length; i++) values[start + i] = Math.trunc(scratch[i]! * unit);
  return 0; // meets the bound by itself
}
