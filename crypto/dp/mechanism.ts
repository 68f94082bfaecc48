/**
 * What a client does to its update before sealing it: clip → fixed point → public rotation → stochastic rounding →
 * norm bound on the integers → exact discrete Gaussian noise (distributed discrete Gaussian, Kairouz, Liu, Steinke
 * 2021, arXiv 2102.06387; DESIGN §2.5).
 *
 * For: client/ (protect…), coordinator/ (decodeSum), whoever calibrates (normBoundSquared). After clipping nothing is
 * decided in floating point until the opened sum: all values are integers in doubles below 2^53, and the L2 bound
 * that the accountant uses is enforced on the integers that are sent. How long a call takes depends on the data (redraws
 * of rounding; of noise, too, where no pool was filled), so callers give out no finer timing than that of the upload.
 * Trusts: its parameters come from an approved plan; the update may be anything.
 * May be called by: client, coordinator, experiments.
 */
import { ensure } from '../error.ts';
import { type RandomSource, systemRandom } from '../random.ts';
import { createEncoder, encode, squaredNorm } from './encoder.ts';
import { checkParameters, type MechanismParameters, updateDimension } from './mechanism-parameters.ts';
import { NoisePool } from './noise-pool.ts';
import { PersonProtector } from './person-protector.ts';
import { floorRational, multiplyRational, rationalToNumber } from './rational.ts';
import { createRotation, rotateInverse } from './rotation.ts';

export {
  centredResidue,
  type DigitLayout,
  fitsModulus,
  fromDigits,
  integerLayout,
  toDigits,
} from './digits.ts';
export {
  conditionalNormBoundSquared,
  deterministicNormBoundSquared,
  type MechanismParameters,
  normBoundSquared,
  updateDimension,
} from './mechanism-parameters.ts';
export { NoisePool } from './noise-pool.ts';
export { PersonProtector } from './person-protector.ts';
export { digitLayout, signalBound, slotBitsFor } from './slots.ts';

/**
 * Adds the client's exact noise share in place (modulo 2^32, which is post-processing), drawn now. Exported for
 * benchmarks, which time it apart; clients call `protect…`.
 */
export const addNoise = (values: Int32Array, p: MechanismParameters, random: RandomSource): Int32Array =>
  new NoisePool(p, random).addTo(values, p);

const withNoise = (values: Int32Array, p: MechanismParameters, random: RandomSource, pool?: NoisePool) =>
  pool ? pool.addTo(values, p) : addNoise(values, p, random);

/**
 * One person's update (length = `updateDimension`, model units) → noised integers (length = dimension). `pool`: noise
 * drawn ahead; devices fill one before they train. @throws DATA_INVALID for a non-finite entry, VECTOR_LENGTH_MISMATCH, PARAMETER_UNSAFE.
 */
export const protectPerson = (
  update: Float64Array,
  p: MechanismParameters,
  random: RandomSource = systemRandom,
  pool?: NoisePool,
): Int32Array => withNoise(protectPersonWithoutNoise(update, p, random), p, random, pool);

/**
 * All of `protectPerson` but the noise: bounded integers that protect nobody. Exported for benchmarks and tests, which
 * look at it apart; it must never be sent, and no role calls it.
 */
export const protectPersonWithoutNoise = (
  update: Float64Array,
  p: MechanismParameters,
  random: RandomSource,
): Int32Array => new PersonProtector(p).withoutNoise(update, random);

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
  pool?: NoisePool,
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
    for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + encoder.values[i]!;
  }
  return withNoise(sum, p, random, pool);
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
  pool?: NoisePool,
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
  return withNoise(values, p, random, pool);
}

/**
 * Opened integer sum → sum of updates in model units (not a mean): inverse rotation, times clip/G. Public arithmetic.
 */
export function decodeSum(sum: Float64Array, p: MechanismParameters): Float64Array {
  checkParameters(p);
  ensure(sum.length === p.dimension, 'VECTOR_LENGTH_MISMATCH', 'the sum has another dimension');
  const length = updateDimension(p);
  const out = rotateInverse(createRotation(p.rotationSeed, length), sum.subarray(0, length));
  const unit = rationalToNumber(p.clip) / p.unitsPerClip;
  for (let i = 0; i < out.length; i++) out[i] = out[i]! * unit;
  return out;
}

/**
 * The noised fraction of `count` clients whose norm was within the clip: b̄ = (1 + S/(h·count))/2 for the last entry S of
 * the sum, cut to [0, 1]; its noise has deviation σ·√count/(2·h·count). Call for mechanisms with a clip bit.
 */
export function fractionWithinClip(sum: Float64Array, p: MechanismParameters, count: number): number {
  checkParameters(p);
  ensure(p.clipBitUnits !== undefined, 'INTERNAL', 'the mechanism has no clip bit');
  ensure(sum.length === p.dimension, 'VECTOR_LENGTH_MISMATCH', 'the sum has another dimension');
  const fraction = (1 + sum[p.dimension - 1]! / (p.clipBitUnits * count)) / 2;
  return Math.min(1, Math.max(0, fraction));
}
