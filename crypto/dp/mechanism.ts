/**
 * What a client does to its update before sealing it: clip → fixed point → public rotation → stochastic rounding →
 * norm bound on the integers → exact discrete Gaussian noise (distributed discrete Gaussian, Kairouz, Liu, Steinke
 * 2021, arXiv 2102.06387; DESIGN §2.5).
 *
 * For: client/ (protect…), coordinator/ (decodeSum), whoever calibrates (normBoundSquared). After clipping nothing is
 * decided in floating point until the opened sum: all values are integers in doubles below 2^53, and the L2 bound
 * that the accountant uses is enforced on the integers that are sent. How long a call takes depends on the data (redraws
 * of rounding and noise), so callers give out no finer timing than that of the whole upload.
 * Trusts: its parameters come from an approved plan; the update may be anything.
 * May be called by: client, coordinator, experiments.
 */
import { ensure } from '../error.ts';
import { type RandomSource, systemRandom } from '../random.ts';
import { type DigitLayout, exactLayout, residueLayout } from './digits.ts';
import { sampleDiscreteGaussian } from './discrete-gaussian.ts';
import {
  floorRational,
  integerSquareRoot,
  multiplyRational,
  type Rational,
  rationalToNumber,
} from './rational.ts';
import { createRotation, DIMENSION_MAX, type Rotation, rotateForward, rotateInverse } from './rotation.ts';
import { UniformBits } from './uniform-bits.ts';

export { centredResidue, type DigitLayout, fromDigits, toDigits } from './digits.ts';

export interface MechanismParameters {
  /** What the guarantee protects. 'none' = no DP: fixed point, no noise; callers label it loudly. */
  readonly unit: 'person' | 'record' | 'none';
  /** Entries of the vector, including any appended weight coordinate. */
  readonly dimension: number;
  /** L2 clip of one person's update or one record's gradient, model units. */
  readonly clip: Rational;
  /** Integer G: the clip maps to G integer units, so the granularity is clip/G. 1 … 2^24. */
  readonly unitsPerClip: number;
  /** 32 bytes, public. */
  readonly rotationSeed: Uint8Array;
  /** Per client, integer units²; 0 for unit 'none'. */
  readonly noiseVariance: Rational;
  /** Largest possible cohort, for overflow sizing. */
  readonly clients: number;
  /** Most records one client may add up (unit record), else 1. */
  readonly recordsMax: number;
}

/** Attempts at conditional rounding before truncation toward zero. */
const ROUNDING_TRIES = 64;
/** Fixed-point norm limit: G·2^F ≤ 2^26, so squared norms are exact in doubles. */
const FIXED_POINT_BITS = 26;

function checkParameters(p: MechanismParameters): void {
  const whole = (value: number, max: number) => Number.isInteger(value) && value >= 1 && value <= max;
  ensure(whole(p.dimension, DIMENSION_MAX), 'PARAMETER_UNSAFE', `dimension: 1 to ${DIMENSION_MAX}`);
  ensure(whole(p.unitsPerClip, 2 ** 24), 'PARAMETER_UNSAFE', 'unitsPerClip: a whole number, 1 to 2^24');
  ensure(whole(p.clients, 2 ** 24), 'PARAMETER_UNSAFE', 'clients: a whole number, 1 to 2^24');
  ensure(whole(p.recordsMax, 2 ** 24), 'PARAMETER_UNSAFE', 'recordsMax: a whole number, 1 to 2^24');
  const clip = rationalToNumber(p.clip);
  ensure(clip >= 1e-12 && clip <= 1e12, 'PARAMETER_UNSAFE', 'clip: between 1e-12 and 1e12');
  ensure(p.rotationSeed.length === 32, 'PARAMETER_UNSAFE', 'rotationSeed: 32 bytes');
  ensure(
    p.unit === 'none' ? p.noiseVariance.numerator === 0n : p.noiseVariance.numerator > 0n,
    'PARAMETER_UNSAFE',
    "noise variance: 0 for unit 'none', positive for every other unit",
  );
  ensure(valueBound(p) < 2 ** 31, 'PARAMETER_UNSAFE', 'the noised value may leave int32: lower unitsPerClip');
}

/** ⌊(G + √d)²⌋: stochastic rounding moves each coordinate by less than 1, whatever it draws. Exact. */
export const deterministicNormBoundSquared = (unitsPerClip: number, dimension: number): bigint => {
  const g = BigInt(unitsPerClip);
  const d = BigInt(dimension);
  return g * g + integerSquareRoot(4n * g * g * d) + d;
};

/**
 * ⌊G² + d/4 + √(2 ln 1/β)·(G + √d/2)⌋ (arXiv 2102.06387, conditional rounding): one rounding meets it with
 * probability ≥ 1 − β, so redrawing until it does costs 1/(1−β) tries at most. β in (0, 1). The value is a public
 * integer that is enforced, so its own rounding cannot weaken the guarantee.
 */
export const conditionalNormBoundSquared = (
  unitsPerClip: number,
  dimension: number,
  beta: number,
): bigint => {
  ensure(beta > 0 && beta < 1, 'FIELD_OUT_OF_RANGE', 'beta lies strictly between 0 and 1');
  const g = unitsPerClip;
  return BigInt(
    Math.floor(g * g + dimension / 4 + Math.sqrt(-2 * Math.log(beta)) * (g + Math.sqrt(dimension) / 2)),
  );
};

/**
 * D², the squared L2 sensitivity in integer units that accountants use and `protect…` enforces: the smaller of the
 * deterministic bound and the conditional one at β = e^(−1/2), where √(2 ln 1/β) = 1 and integers suffice:
 * ⌊G² + G + (d + 2√d)/4⌋. Never below G², so truncation toward zero always meets it.
 */
export function normBoundSquared(p: MechanismParameters): bigint {
  const deterministic = deterministicNormBoundSquared(p.unitsPerClip, p.dimension);
  const g = BigInt(p.unitsPerClip);
  const d = BigInt(p.dimension);
  const conditional = g * g + g + (d + integerSquareRoot(4n * d)) / 4n;
  return conditional < deterministic ? conditional : deterministic;
}

/** Largest |coordinate| one client's noised integers should show: signal bound + 12σ (P(beyond) < 2^-100). */
function valueBound(p: MechanismParameters): number {
  const bound =
    p.unit === 'none' ? deterministicNormBoundSquared(p.unitsPerClip, p.dimension) : normBoundSquared(p);
  const deviation = integerSquareRoot(floorRational(p.noiseVariance)) + 1n;
  const noise = p.noiseVariance.numerator === 0n ? 0n : 12n * deviation;
  return Number(integerSquareRoot(bound) * BigInt(p.recordsMax) + noise);
}

interface Encoder {
  readonly p: MechanismParameters;
  readonly rotation: Rotation;
  readonly clip: number;
  /** F: one integer unit is 2^F fixed-point steps. */
  readonly fractionBits: number;
  /** G·2^F ≤ 2^26. */
  readonly limit: number;
  readonly bound: number;
  readonly bits: UniformBits;
  readonly scratch: Float64Array;
  readonly rounded: Int32Array;
}

function createEncoder(p: MechanismParameters, vectors: number, random: RandomSource): Encoder {
  checkParameters(p);
  const fractionBits = FIXED_POINT_BITS - Math.ceil(Math.log2(p.unitsPerClip));
  return {
    p,
    rotation: createRotation(p.rotationSeed, p.dimension),
    clip: rationalToNumber(p.clip),
    fractionBits,
    limit: p.unitsPerClip * 2 ** fractionBits,
    bound: Number(normBoundSquared(p)),
    bits: new UniformBits(random, p.dimension * Math.max(1, vectors) * 1.1),
    scratch: new Float64Array(p.dimension),
    rounded: new Int32Array(p.dimension),
  };
}

/**
 * Clips one vector and writes it as fixed-point integers into `scratch`, with L2 norm ≤ limit checked on the integers.
 * Clipping itself may be in doubles: whatever they do, the check below decides. Squares sum exactly: a total within
 * limit² ≤ 2^52 has only exact partial sums, and a larger one cannot round below.
 */
function toFixedPoint(encoder: Encoder, vector: Float64Array | Float32Array, start: number): void {
  const { scratch, limit, clip } = encoder;
  let largest = 0;
  for (let i = 0; i < scratch.length; i++) {
    const magnitude = Math.abs(vector[start + i]!);
    ensure(magnitude < Infinity, 'DATA_INVALID', 'the update has an entry that is not a finite number');
    if (magnitude > largest) largest = magnitude;
  }
  if (largest === 0) {
    scratch.fill(0);
    return;
  }
  // Relative to the largest entry, so that neither squares nor their sum overflow or vanish.
  let sum = 0;
  for (let i = 0; i < scratch.length; i++) sum += (vector[start + i]! / largest) ** 2;
  const relativeNorm = Math.sqrt(sum);
  const clipped = largest * relativeNorm > clip;
  const factor = clipped ? limit / relativeNorm : limit / clip;
  for (let i = 0; i < scratch.length; i++) {
    const value = clipped ? vector[start + i]! / largest : vector[start + i]!;
    scratch[i] = Math.trunc(value * factor);
  }
  while (squaredNorm(scratch) > limit * limit)
    for (let i = 0; i < scratch.length; i++) scratch[i] = Math.trunc(scratch[i]! * (1 - 2 ** -24));
}

function squaredNorm(values: Float64Array | Int32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! * values[i]!;
  return sum;
}

/** How `roundOnce` turns n / 2^s into an integer. */
type RoundingMode = 'stochastic' | 'nearest' | 'toward-zero';

function roundOnce({ rotation, scratch, rounded, fractionBits, bits }: Encoder, mode: RoundingMode): void {
  for (const { start, length, exponent } of rotation.blocks) {
    const shift = fractionBits + exponent; // ≤ 26 + 6
    const divisor = 2 ** shift; // division by a power of two is exact
    for (let i = start; i < start + length; i++) {
      const value = scratch[i]!;
      if (mode === 'toward-zero') rounded[i] = Math.trunc(value / divisor);
      else if (mode === 'nearest') rounded[i] = Math.floor(value / divisor + 0.5);
      else {
        const below = Math.floor(value / divisor);
        const rest = value - below * divisor; // in [0, 2^shift): rounds up with probability rest / 2^shift
        rounded[i] = rest > 0 && bits.word() >>> (32 - shift) < rest ? below + 1 : below;
      }
    }
  }
}

/** One vector → `rounded`: integers with ‖·‖² ≤ D², always. */
function encode(encoder: Encoder, vector: Float64Array | Float32Array, start: number): void {
  toFixedPoint(encoder, vector, start);
  rotateForward(encoder.rotation, encoder.scratch);
  if (encoder.p.unit === 'none') {
    roundOnce(encoder, 'nearest');
    return;
  }
  for (let attempt = 0; attempt < ROUNDING_TRIES; attempt++) {
    roundOnce(encoder, 'stochastic');
    if (squaredNorm(encoder.rounded) <= encoder.bound) return;
  }
  roundOnce(encoder, 'toward-zero'); // ‖trunc(x)‖ ≤ ‖x‖ ≤ G ≤ D
}

/** Adds the client's exact noise share in place (modulo 2^32, which is post-processing). */
function addNoise(values: Int32Array, p: MechanismParameters, random: RandomSource): Int32Array {
  if (p.unit === 'none') return values;
  const noise = sampleDiscreteGaussian(p.noiseVariance, values.length, random);
  for (let i = 0; i < values.length; i++) values[i] = values[i]! + noise[i]!;
  return values;
}

/**
 * One person's update (length = dimension, model units) → noised integers.
 * @throws DATA_INVALID for a non-finite entry, VECTOR_LENGTH_MISMATCH, PARAMETER_UNSAFE.
 */
export function protectPerson(
  update: Float64Array,
  p: MechanismParameters,
  random: RandomSource = systemRandom,
): Int32Array {
  ensure(p.unit !== 'record', 'PARAMETER_UNSAFE', "unit 'record' protects each record: call protectRecords");
  ensure(
    update.length === p.dimension,
    'VECTOR_LENGTH_MISMATCH',
    `the update must have ${p.dimension} entries`,
  );
  const encoder = createEncoder(p, 1, random);
  encode(encoder, update, 0);
  return addNoise(encoder.rounded, p, random);
}

/**
 * `count` record gradients, row-major count × dimension, model units → noised sum of integers. Each record is
 * clipped, rotated, rounded and bounded by itself: rounding only the float sum would break the sensitivity bound.
 * count = 0 (an empty Poisson batch) gives pure noise, which must be sent all the same.
 * @throws DATA_INVALID, VECTOR_LENGTH_MISMATCH, FIELD_OUT_OF_RANGE for count > recordsMax, PARAMETER_UNSAFE.
 */
export function protectRecords(
  rows: Float32Array | Float64Array,
  count: number,
  p: MechanismParameters,
  random: RandomSource = systemRandom,
): Int32Array {
  ensure(
    p.unit !== 'person',
    'PARAMETER_UNSAFE',
    "unit 'person' protects the whole update: call protectPerson",
  );
  ensure(
    Number.isInteger(count) && count >= 0 && count <= p.recordsMax,
    'FIELD_OUT_OF_RANGE',
    `at most ${p.recordsMax} records`,
  );
  ensure(rows.length === count * p.dimension, 'VECTOR_LENGTH_MISMATCH', 'rows must be count × dimension');
  const encoder = createEncoder(p, count, random);
  const sum = new Int32Array(p.dimension);
  for (let record = 0; record < count; record++) {
    encode(encoder, rows, record * p.dimension);
    for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + encoder.rounded[i]!;
  }
  return addNoise(sum, p, random);
}

/** D² of `protectHistogram`: 1 for records (one record changes one bin by 1), ⌊clip²⌋ for a person's counts. */
export const histogramNormBoundSquared = (p: MechanismParameters): bigint =>
  p.unit === 'record' ? 1n : floorRational(multiplyRational(p.clip, p.clip));

/**
 * Counts per bin (length = dimension, ≥ 0) → noised integers, for federated evaluation. Not rotated, not scaled.
 * Record unit: each record must stand in exactly one bin, at most recordsMax in all. Person unit: the person's whole
 * contribution is shrunk to ‖counts‖² ≤ ⌊clip²⌋ (truncated toward zero).
 * @throws DATA_INVALID for a negative count, FIELD_OUT_OF_RANGE, VECTOR_LENGTH_MISMATCH, PARAMETER_UNSAFE.
 */
export function protectHistogram(
  counts: Int32Array,
  p: MechanismParameters,
  random: RandomSource = systemRandom,
): Int32Array {
  checkParameters(p);
  ensure(
    counts.length === p.dimension,
    'VECTOR_LENGTH_MISMATCH',
    `the histogram must have ${p.dimension} bins`,
  );
  let total = 0;
  for (const count of counts) {
    ensure(count >= 0, 'DATA_INVALID', 'a histogram count is negative');
    total += count;
  }
  if (p.unit !== 'person')
    ensure(total <= p.recordsMax, 'FIELD_OUT_OF_RANGE', `at most ${p.recordsMax} records in one histogram`);
  const values = Int32Array.from(counts);
  if (p.unit === 'person') {
    const bound = Number(histogramNormBoundSquared(p));
    const norm = squaredNorm(values);
    if (norm > bound) {
      const factor = Math.sqrt(bound / norm);
      for (let i = 0; i < values.length; i++) values[i] = Math.trunc(values[i]! * factor);
      while (squaredNorm(values) > bound)
        for (let i = 0; i < values.length; i++) values[i] = Math.max(0, values[i]! - 1);
    }
  }
  return addNoise(values, p, random);
}

/** Opened integer sum → sum in model units (not a mean): inverse rotation, times clip/G. Public arithmetic. */
export function decodeSum(sum: Float64Array, p: MechanismParameters): Float64Array {
  checkParameters(p);
  const out = rotateInverse(createRotation(p.rotationSeed, p.dimension), sum);
  const unit = rationalToNumber(p.clip) / p.unitsPerClip;
  for (let i = 0; i < out.length; i++) out[i] = out[i]! * unit;
  return out;
}

/**
 * Coefficients of one entry: one residue modulo 2^15 under noise (crypto/dp/digits.ts says why), else as many digits
 * as the exact sum needs. @throws PARAMETER_UNSAFE without noise above 8,192 clients.
 */
export function digitLayout(p: MechanismParameters): DigitLayout {
  checkParameters(p);
  return p.noiseVariance.numerator > 0n ? residueLayout : exactLayout(p.clients, valueBound(p));
}
