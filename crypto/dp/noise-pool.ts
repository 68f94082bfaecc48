/**
 * One round's noise, drawn before there is anything to hide with it.
 *
 * How long a sampler takes may tell something of the values (arXiv 2112.05307; `pulsefold bench noise` measures it for
 * ours), and what it tells of the noise it tells of the update. A device therefore fills the pool while it still waits
 * for the model; between the trained update and the sealed bytes there is one addition per entry, whatever was drawn.
 * A pool serves once and is wiped when it has: noise that two sums share cancels out.
 * Trusts: its parameters come from an approved plan. May be called by: client, crypto/dp/mechanism.ts, tests.
 */
import { ensure } from '../error.ts';
import type { RandomSource } from '../random.ts';
import { sampleDiscreteGaussian } from './discrete-gaussian.ts';
import { checkParameters, type MechanismParameters } from './mechanism-parameters.ts';
import { compareRational, type Rational } from './rational.ts';

export class NoisePool {
  readonly #variance: Rational;
  readonly #noise: Int32Array;
  #isSpent = false;

  /** Draws p.dimension values of N_Z(0, p.noiseVariance); zeros for unit 'none'. @throws PARAMETER_UNSAFE. */
  constructor(p: MechanismParameters, random: RandomSource) {
    checkParameters(p);
    this.#variance = p.noiseVariance;
    this.#noise =
      p.unit === 'none'
        ? new Int32Array(p.dimension)
        : sampleDiscreteGaussian(p.noiseVariance, p.dimension, random);
  }

  /**
   * Adds the noise in place (modulo 2^32, which is post-processing) and wipes it.
   * @throws INTERNAL for a second time, or for other parameters than it was filled for.
   */
  addTo(values: Int32Array, p: MechanismParameters): Int32Array {
    const noise = this.#noise;
    ensure(!this.#isSpent, 'INTERNAL', 'a noise pool serves one sum: fill another');
    ensure(
      values.length === noise.length && compareRational(this.#variance, p.noiseVariance) === 0,
      'INTERNAL',
      'the noise pool was filled for another round than this',
    );
    for (let i = 0; i < values.length; i++) values[i] = values[i]! + noise[i]!;
    this.wipe();
    return values;
  }

  /** For rounds that end before their noise was needed; may be called at any time. */
  wipe(): void {
    this.#isSpent = true;
    this.#noise.fill(0);
  }
}
