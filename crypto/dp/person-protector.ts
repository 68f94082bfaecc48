/**
 * What `protectPerson` does (crypto/dp/mechanism.ts), for many updates under the same parameters: rotation, bounds and the
 * table of the noise are derived once.
 *
 * For: crypto/dp/mechanism.ts, and simulations that stand in for a whole population. One update's draws come from that
 * update's source alone, whatever was protected before.
 * Trusts: its parameters come from an approved plan; updates may be anything. May be called by: crypto/dp, experiments.
 */
import { ensure } from '../error.ts';
import type { RandomSource } from '../random.ts';
import { isSamplable, sampleDiscreteGaussian } from './discrete-gaussian.ts';
import { createEncoder, type Encoder, encode, isWithinClip } from './encoder.ts';
import { type GaussianTable, gaussianTable } from './gaussian-table.ts';
import { type MechanismParameters, updateDimension } from './mechanism-parameters.ts';

/** A table for σ up to 2^10 takes some milliseconds to build, which a population is worth. */
const TABLE_VARIANCE_MAX = 2n ** 20n;

/** Never asked: every update brings its own source. */
const NO_SOURCE: RandomSource = {
  seeded: true,
  fill() {
    throw new Error('a protector draws from the source of an update');
  },
};

export class PersonProtector {
  readonly #p: MechanismParameters;
  readonly #encoder: Encoder;
  #table: GaussianTable | null = null;
  #noise: Int32Array | null = null;

  /** @throws PARAMETER_UNSAFE */
  constructor(p: MechanismParameters) {
    ensure(
      p.unit !== 'record',
      'PARAMETER_UNSAFE',
      "unit 'record' protects each record: call protectRecords",
    );
    this.#p = p;
    this.#encoder = createEncoder(p, 1, NO_SOURCE);
  }

  /** Bounded integers that protect nobody: for `protectPersonWithoutNoise`. A fresh array. @throws as `protectPerson` */
  withoutNoise(update: Float64Array, random: RandomSource): Int32Array {
    const values = new Int32Array(this.#p.dimension);
    this.#encode(update, random, values);
    return values;
  }

  /** As `protectPerson`, into `values` (dimension entries). @throws DATA_INVALID, VECTOR_LENGTH_MISMATCH. */
  protect(update: Float64Array, random: RandomSource, values: Int32Array): void {
    this.#encode(update, random, values);
    if (this.#p.unit === 'none') return;
    const noise = this.#draw(random);
    for (let i = 0; i < values.length; i++) values[i] = values[i]! + noise[i]!;
    noise.fill(0);
  }

  #encode(update: Float64Array, random: RandomSource, values: Int32Array): void {
    const { clipBitUnits } = this.#p;
    const length = updateDimension(this.#p);
    ensure(update.length === length, 'VECTOR_LENGTH_MISMATCH', `the update must have ${length} entries`);
    const encoder = this.#encoder;
    encoder.bits.restart(random);
    encode(encoder, update, 0);
    values.set(encoder.values);
    if (clipBitUnits !== undefined)
      values[length] = isWithinClip(encoder, update) ? clipBitUnits : -clipBitUnits;
    encoder.values.fill(0);
  }

  /** Exact samples; by the table also for short vectors, because it serves many of them. */
  #draw(random: RandomSource): Int32Array {
    const { noiseVariance: variance, dimension } = this.#p;
    const { numerator, denominator } = variance;
    const isTabled = isSamplable(variance) && numerator <= TABLE_VARIANCE_MAX * denominator;
    if (!isTabled) return sampleDiscreteGaussian(variance, dimension, random);
    this.#table ??= gaussianTable(variance);
    this.#noise ??= new Int32Array(dimension);
    this.#table.fill(this.#noise, random);
    return this.#noise;
  }
}
