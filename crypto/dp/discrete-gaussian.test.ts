import { describe, expect, it } from 'vitest';
import { seededRandom, systemRandom, uniform } from '../random.ts';
import { sampleDiscreteGaussian, sampleDiscreteGaussianReference } from './discrete-gaussian.ts';
import { discreteGaussianLaw, goodnessOfFit } from './goodness-of-fit.ts';
import { parseRational, rational, rationalToNumber } from './rational.ts';
import { UniformBits } from './uniform-bits.ts';

const COUNT = 400_000;
/** Chance of a false alarm per test. */
const P_MIN = 1e-7;

describe('exact discrete Gaussian', () => {
  it.each(['1/2', '4', '100', '10000', '12345.6789', '3/1024'])('fits σ² = %s (G-test)', (text) => {
    const variance = parseRational(text);
    const law = discreteGaussianLaw(rationalToNumber(variance));
    const samples = sampleDiscreteGaussian(variance, COUNT, systemRandom);
    if (text === '3/1024') expect(samples.every((x) => x === 0)).toBe(true);
    else expect(goodnessOfFit(samples, law).pValue).toBeGreaterThan(P_MIN);
  });

  it.each(['1/2', '4', '100', '10000'])(
    'the test rejects a rounded float Gaussian 3 percent too wide, σ² = %s',
    (text) => {
      const variance = rationalToNumber(parseRational(text));
      const random = seededRandom(`wrong/${text}`);
      const samples = Float64Array.from({ length: COUNT }, () => {
        const radius = Math.sqrt(-2 * Math.log(1 - uniform(random)));
        return Math.round(1.03 * Math.sqrt(variance) * radius * Math.cos(2 * Math.PI * uniform(random)));
      });
      expect(goodnessOfFit(samples, discreteGaussianLaw(variance)).pValue).toBeLessThan(P_MIN);
    },
  );

  it('the Number path and the bigint path agree in law', () => {
    const variance = parseRational('20.25');
    const law = discreteGaussianLaw(20.25);
    const reference = sampleDiscreteGaussianReference(variance, 30_000, seededRandom('reference'));
    expect(goodnessOfFit(reference, law).pValue).toBeGreaterThan(P_MIN);
    const fast = sampleDiscreteGaussian(variance, 30_000, seededRandom('fast'));
    expect(goodnessOfFit(fast, law).pValue).toBeGreaterThan(P_MIN);
  });

  it('keeps variance and mean at large σ, on both paths', () => {
    for (const [variance, count] of [
      [rational(2n ** 34n), 200_000],
      [rational(2n ** 46n + 1n, 3n), 20_000],
    ] as const) {
      const samples = sampleDiscreteGaussian(variance, count, systemRandom);
      const sigma2 = rationalToNumber(variance);
      let sum = 0;
      let squares = 0;
      for (const x of samples) {
        sum += x;
        squares += x * x;
      }
      expect(Math.abs(squares / count / sigma2 - 1)).toBeLessThan(6 * Math.sqrt(2 / count));
      expect(Math.abs(sum / count) / Math.sqrt(sigma2)).toBeLessThan(6 / Math.sqrt(count));
    }
  });

  it('repeats from a seed, not from the system', () => {
    const variance = rational(100n);
    const draw = (seed: string) => sampleDiscreteGaussian(variance, 64, seededRandom(seed));
    expect(draw('a')).toEqual(draw('a'));
    expect(draw('a')).not.toEqual(draw('b'));
    expect(sampleDiscreteGaussian(variance, 64)).not.toEqual(sampleDiscreteGaussian(variance, 64));
  });

  it.each(['0', '-1', '4503599627370497'])('refuses σ² = %s', (text) => {
    expect(() => sampleDiscreteGaussian(parseRational(text), 1)).toThrow(
      expect.objectContaining({ code: 'PARAMETER_UNSAFE' }),
    );
  });

  it('refuses a count that is not a whole number', () => {
    expect(() => sampleDiscreteGaussian(rational(1n), -1)).toThrow();
    expect(() => sampleDiscreteGaussian(rational(1n), 1.5)).toThrow();
    expect(sampleDiscreteGaussian(rational(1n), 0)).toHaveLength(0);
  });
});

describe('uniform bits', () => {
  const within = (hits: number, count: number, p: number) =>
    expect(Math.abs(hits / count - p)).toBeLessThan(5.5 * Math.sqrt((p * (1 - p)) / count) + 1e-12);

  it.each([
    [1, 3],
    [2 ** 36 - 1, 2 ** 37],
    [2 ** 44 + 12_345, 2 ** 45 - 7],
    [1, 65_536],
    [5, 5],
    [0, 5],
  ])('bernoulli(%d, %d) has its probability', (a, b) => {
    const bits = new UniformBits(systemRandom, 200_000);
    let hits = 0;
    for (let i = 0; i < 200_000; i++) if (bits.bernoulli(a, b)) hits++;
    within(hits, 200_000, a / b);
  });

  it('decides a comparison that ties in the first digits by the remainder', () => {
    // Scripted bits: 0x5555 repeated equals the base-65536 digits of 1/3, so only a late digit decides.
    const script = (last: number) => ({
      seeded: true,
      fill<T extends Uint8Array>(target: T): T {
        new Uint16Array(target.buffer).fill(0x5555).fill(last, 6, 7);
        return target;
      },
    });
    expect(new UniformBits(script(0x5554), 16).bernoulli(1, 3)).toBe(true);
    expect(new UniformBits(script(0x5556), 16).bernoulli(1, 3)).toBe(false);
  });

  it('gives words in blocks, each once, beyond its buffer too', () => {
    let next = 0;
    const counting = {
      seeded: true,
      fill<T extends Uint8Array>(target: T): T {
        const words = new Uint32Array(target.buffer, target.byteOffset, target.length / 4);
        for (let i = 0; i < words.length; i++) words[i] = next++;
        return target;
      },
    };
    const bits = new UniformBits(counting, 16);
    const seen = new Set<number>();
    let drawn = 0;
    for (const count of [5, 11, 7, 16, 40, 1, 9]) {
      for (const word of bits.words(count)) seen.add(word);
      seen.add(bits.word());
      drawn += count + 1;
    }
    expect(seen.size).toBe(drawn);
  });

  it('exp events have their probability', () => {
    const bits = new UniformBits(systemRandom, 400_000);
    let single = 0;
    let product = 0;
    let wide = 0;
    for (let i = 0; i < 200_000; i++) {
      if (bits.bernoulliExp(2, 3)) single++;
      if (bits.bernoulliExpProduct(1, 2, 3, 4)) product++;
      if (bits.bernoulliExpProduct(1, 2, 3 * 2 ** 40, 4 * 2 ** 40)) wide++;
    }
    within(single, 200_000, Math.exp(-2 / 3));
    within(product, 200_000, Math.exp(-3 / 8));
    within(wide, 200_000, Math.exp(-3 / 8));
  });

  it.each([1, 2, 3, 5, 1000, 65_536, 65_537, 2 ** 30 + 1])('below(%d) is uniform', (bound) => {
    const bits = new UniformBits(systemRandom, 100_000);
    let sum = 0;
    for (let i = 0; i < 100_000; i++) {
      const value = bits.below(bound);
      if (!(value >= 0 && value < bound && Number.isInteger(value))) throw new Error('out of range');
      sum += value;
    }
    const deviation = Math.sqrt((bound * bound - 1) / 12 / 100_000);
    expect(Math.abs(sum / 100_000 - (bound - 1) / 2)).toBeLessThanOrEqual(5.5 * deviation);
  });
});
