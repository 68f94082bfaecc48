import { describe, expect, it } from 'vitest';
import { seededRandom } from '../random.ts';
import { sampleDiscreteGaussian } from './discrete-gaussian.ts';
import {
  type MechanismParameters,
  NoisePool,
  protectPerson,
  protectPersonWithoutNoise,
} from './mechanism.ts';
import { rational, ZERO } from './rational.ts';

const p: MechanismParameters = {
  unit: 'person',
  dimension: 600,
  clip: rational(1n),
  unitsPerClip: 4096,
  rotationSeed: new Uint8Array(32).fill(7),
  noiseVariance: rational(90_001n, 4n),
  clients: 10,
  recordsMax: 1,
};

describe('a noise pool', () => {
  it('adds what the sampler drew, once, and is wiped', () => {
    const noise = sampleDiscreteGaussian(p.noiseVariance, p.dimension, seededRandom('pool'));
    const pool = new NoisePool(p, seededRandom('pool'));
    const values = pool.addTo(new Int32Array(p.dimension).fill(5), p);
    expect(values).toEqual(noise.map((value) => value + 5));
    expect(() => pool.addTo(new Int32Array(p.dimension), p)).toThrow(
      expect.objectContaining({ code: 'INTERNAL' }),
    );
    const unused = new NoisePool(p, seededRandom('pool'));
    unused.wipe();
    expect(() => unused.addTo(new Int32Array(p.dimension), p)).toThrow(/one sum/);
  });

  it('refuses a round with other noise or another length, and is not spent by it', () => {
    const pool = new NoisePool(p, seededRandom('pool'));
    const other = { ...p, noiseVariance: rational(4n) };
    expect(() => pool.addTo(new Int32Array(p.dimension), other)).toThrow(/another round/);
    expect(() => pool.addTo(new Int32Array(p.dimension + 1), p)).toThrow(/another round/);
    expect(() => new NoisePool({ ...p, noiseVariance: ZERO }, seededRandom('pool'))).toThrow(
      expect.objectContaining({ code: 'PARAMETER_UNSAFE' }),
    );
    expect(pool.addTo(new Int32Array(p.dimension), p).some((value) => value !== 0)).toBe(true);
  });

  it('is zero without DP', () => {
    const none: MechanismParameters = { ...p, unit: 'none', noiseVariance: ZERO };
    const values = new Int32Array(p.dimension).fill(3);
    expect(new NoisePool(none, seededRandom('pool')).addTo(values, none)).toEqual(
      new Int32Array(p.dimension).fill(3),
    );
  });

  it('leaves nothing to draw but the rounding once there is an update, whatever the noise is', () => {
    const update = Float64Array.from({ length: p.dimension }, (_, i) => Math.sin(i) / 30);
    // Requests for random bytes after the pool is full: their number and sizes are all that could take time.
    const requests = (pool: NoisePool | undefined) => {
      const sizes: number[] = [];
      const source = seededRandom('rounding');
      const counting = {
        seeded: true,
        fill<T extends Uint8Array>(target: T): T {
          sizes.push(target.length);
          return source.fill(target);
        },
      };
      const values = protectPerson(update, p, counting, pool);
      return { sizes, values };
    };
    const [a, b] = ['a', 'b'].map((seed) => requests(new NoisePool(p, seededRandom(seed))));
    expect(a!.values).not.toEqual(b!.values);
    expect(a!.sizes).toEqual(b!.sizes);
    const rounding: number[] = [];
    const source = seededRandom('rounding');
    const bare = protectPersonWithoutNoise(update, p, {
      seeded: true,
      fill<T extends Uint8Array>(target: T): T {
        rounding.push(target.length);
        return source.fill(target);
      },
    });
    expect(a!.sizes).toEqual(rounding);
    expect(new NoisePool(p, seededRandom('a')).addTo(bare, p)).toEqual(a!.values);
    // Weakened: without a pool the noise is drawn after the update, and the requests show it.
    expect(requests(undefined).sizes.length).toBeGreaterThan(rounding.length);
  });
});
