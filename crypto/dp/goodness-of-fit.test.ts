import { describe, expect, it } from 'vitest';
import { seededRandom, uniform } from '../random.ts';
import { sampleDiscreteGaussian, sampleDiscreteGaussianRejection } from './discrete-gaussian.ts';
import { sampleDiscreteLaplace, sampleDiscreteLaplaceReference } from './discrete-laplace.ts';
import {
  chiSquaredTail,
  discreteGaussianLaw,
  discreteLaplaceLaw,
  FitTest,
  goodnessOfFit,
} from './goodness-of-fit.ts';
import { parseRational, rational, rationalToNumber } from './rational.ts';
import { normalTail } from './special-functions.ts';

const COUNT = 100_000;
/** Enough that a deviation 1 % off shows in every run; 1e5 show it in two of three. */
const COUNT_WRONG = 1_000_000;
/** Samples are seeded: a right sampler passes always. */
const P_MIN = 1e-3;
const P_WRONG = 1e-6;

describe('right samplers', () => {
  it.each(['1', '2', '10', '100', '100003'])('discrete Gaussian, σ = %s', (sigma) => {
    const variance = rational(BigInt(sigma) ** 2n);
    const samples = sampleDiscreteGaussian(variance, COUNT, seededRandom(`fit/gaussian/${sigma}`));
    expect(goodnessOfFit(samples, discreteGaussianLaw(rationalToNumber(variance))).pValue).toBeGreaterThan(
      P_MIN,
    );
  });

  it.each(['1/10', '1/2', '3/7', '2', '100', '12.5', '65537'])('discrete Laplace, scale %s', (text) => {
    const scale = parseRational(text);
    const samples = sampleDiscreteLaplace(scale, COUNT, seededRandom(`fit/laplace/${text}`));
    expect(goodnessOfFit(samples, discreteLaplaceLaw(rationalToNumber(scale))).pValue).toBeGreaterThan(P_MIN);
  });

  it('discrete Laplace in bigint, also where the scale has parts beyond 2^31', () => {
    for (const text of ['7/2', '30000000001/10000000000']) {
      const scale = parseRational(text);
      const samples = sampleDiscreteLaplaceReference(scale, 20_000, seededRandom(`fit/reference/${text}`));
      expect(goodnessOfFit(samples, discreteLaplaceLaw(rationalToNumber(scale))).pValue).toBeGreaterThan(
        P_MIN,
      );
    }
  });
});

describe('wrong samplers fail', () => {
  const sigma = 10;
  const law = discreteGaussianLaw(sigma ** 2);
  const right = () => sampleDiscreteGaussian(rational(100n), COUNT_WRONG, seededRandom('wrong/base'));

  it('none is wrong', () => {
    expect(goodnessOfFit(right(), law).pValue).toBeGreaterThan(P_MIN);
  });

  it.each(['99/10', '101/10'])('a deviation of %s instead of 10', (text) => {
    const wrong = parseRational(text);
    const variance = rational(wrong.numerator ** 2n, wrong.denominator ** 2n);
    const samples = sampleDiscreteGaussian(variance, COUNT_WRONG, seededRandom(`wrong/${text}`));
    expect(goodnessOfFit(samples, law).pValue).toBeLessThan(P_WRONG);
  });

  it('a tail cut at four deviations (6e-5 of the mass), drawn again or clamped', () => {
    const samples = right();
    const within = samples.filter((x) => Math.abs(x) <= 4 * sigma);
    expect(within.length).toBeLessThan(samples.length);
    expect(goodnessOfFit(within, law).pValue).toBeLessThan(P_WRONG);
    const clamped = samples.map((x) => Math.max(-35, Math.min(35, x)));
    expect(goodnessOfFit(clamped, law).pValue).toBeLessThan(P_WRONG);
  });

  it('a rounded continuous Gaussian at σ = 1/2, a lost sign', () => {
    const random = seededRandom('wrong/rounded');
    const rounded = Float64Array.from({ length: COUNT }, () => {
      const radius = Math.sqrt(-2 * Math.log(1 - uniform(random)));
      return Math.round(0.5 * radius * Math.cos(2 * Math.PI * uniform(random)));
    });
    expect(goodnessOfFit(rounded, discreteGaussianLaw(0.25)).pValue).toBeLessThan(P_WRONG);
    const unsigned = right().map((x) => Math.abs(x));
    expect(goodnessOfFit(unsigned, law).pValue).toBeLessThan(P_WRONG);
  });

  it('a Laplace scale 1 percent off, a zero that counts twice, a Gaussian for a Laplace', () => {
    const laplace = discreteLaplaceLaw(2);
    const wide = sampleDiscreteLaplace(parseRational('2.02'), COUNT_WRONG, seededRandom('wrong/laplace'));
    expect(goodnessOfFit(wide, laplace).pValue).toBeLessThan(P_WRONG);
    // Weight 2 for zero: what forgetting to draw a negative zero again gives.
    const random = seededRandom('wrong/zero');
    const zeros = sampleDiscreteLaplace(rational(2n), COUNT_WRONG, random);
    const extra = zeros.reduce((n, x) => n + (x === 0 ? 1 : 0), 0);
    const twice = Int32Array.from({ length: COUNT_WRONG + extra }, (_, i) => zeros[i] ?? 0);
    expect(goodnessOfFit(twice, laplace).pValue).toBeLessThan(P_WRONG);
    const gaussian = sampleDiscreteGaussianRejection(rational(8n), COUNT, seededRandom('wrong/law'));
    expect(goodnessOfFit(gaussian, laplace).pValue).toBeLessThan(P_WRONG);
  });
});

describe('the test itself', () => {
  it('weighs all of a law', () => {
    for (const law of [0.01, 0.25, 3.99, 4, 100]
      .map(discreteGaussianLaw)
      .concat([0.1, 1, 30].map(discreteLaplaceLaw))) {
      let sum = law.weight(0);
      for (let m = 1; m <= 4 * law.radius; m++) sum += 2 * law.weight(m);
      expect(sum / law.total).toBeCloseTo(1, 12);
    }
  });

  it('its p-value is that of closed forms', () => {
    for (const x of [0.1, 1, 5, 30, 200]) {
      expect(chiSquaredTail(x, 2) / Math.exp(-x / 2)).toBeCloseTo(1, 11);
      expect(chiSquaredTail(x, 1) / (2 * normalTail(Math.sqrt(x)))).toBeCloseTo(1, 10);
      expect(chiSquaredTail(x, 4) / (Math.exp(-x / 2) * (1 + x / 2))).toBeCloseTo(1, 11);
    }
    // Tables: the 5 % and 0.1 % points of 10 and 100 degrees.
    expect(chiSquaredTail(18.307038, 10)).toBeCloseTo(0.05, 7);
    expect(chiSquaredTail(149.44925, 100)).toBeCloseTo(0.001, 7);
    expect(chiSquaredTail(0, 7)).toBe(1);
  });

  it('p-values of a right sampler are spread over (0, 1)', () => {
    const law = discreteGaussianLaw(100);
    const values = Array.from({ length: 40 }, (_, i) => {
      const samples = sampleDiscreteGaussian(rational(100n), 20_000, seededRandom(`spread/${i}`));
      return goodnessOfFit(samples, law).pValue;
    });
    const below = values.filter((p) => p < 0.5).length;
    expect(below).toBeGreaterThan(8);
    expect(below).toBeLessThan(32);
  });

  it('refuses another number of samples than was announced', () => {
    const test = new FitTest(discreteGaussianLaw(4), 10);
    test.add([0, 1, 2]);
    expect(() => test.result()).toThrow(expect.objectContaining({ code: 'INTERNAL' }));
  });
});

describe('parameters of the discrete Laplace', () => {
  it.each(['0', '-1', '4194305', '1/18446744073709551616'])('refuses scale %s', (text) => {
    expect(() => sampleDiscreteLaplace(parseRational(text), 1)).toThrow(
      expect.objectContaining({ code: 'PARAMETER_UNSAFE' }),
    );
  });

  it('repeats from a seed, not from the system, and takes whole counts only', () => {
    const draw = (seed: string) => sampleDiscreteLaplace(rational(50n), 64, seededRandom(seed));
    expect(draw('a')).toEqual(draw('a'));
    expect(draw('a')).not.toEqual(draw('b'));
    expect(sampleDiscreteLaplace(rational(50n), 64)).not.toEqual(sampleDiscreteLaplace(rational(50n), 64));
    expect(() => sampleDiscreteLaplace(rational(1n), 1.5)).toThrow();
    expect(sampleDiscreteLaplace(rational(1n), 0)).toHaveLength(0);
  });
});
