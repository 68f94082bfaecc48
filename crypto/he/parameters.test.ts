import { describe, expect, it } from 'vitest';
import {
  assertCorrectness,
  assertSmudging,
  bfv4096,
  contributionsMax,
  defineBfvParameters,
  digitCountMax,
  freshNoiseSigma,
  openedCoefficients,
  openingNoiseMax,
  polynomialCount,
  smudgingBits,
} from './parameters.ts';

const unsafe = expect.objectContaining({ code: 'PARAMETER_UNSAFE' });

describe('bfv4096', () => {
  it('stays below the 2024 guideline limit of 107 bits', () => {
    const q = bfv4096.dataPrimes.reduce((product, prime) => product * prime, bfv4096.specialPrime);
    expect(q.toString(2).length).toBe(106);
  });

  it('has the noise the research measured: sigma about 34 per fresh ciphertext', () => {
    expect(freshNoiseSigma(bfv4096, 4)).toBeGreaterThan(28);
    expect(freshNoiseSigma(bfv4096, 5)).toBeLessThan(36);
  });

  it('opens right at 11 sigma for 2 of 4 with room, and hides the noise to 2^-40', () => {
    const limit = 2 ** 64;
    expect(openingNoiseMax(bfv4096, 2, 4) / limit).toBeLessThan(0.5);
    const committee = { contributions: contributionsMax, holderCount: 4, threshold: 2, polynomials: 2 };
    const bits = smudgingBits(bfv4096, committee);
    expect(bits).toBeGreaterThan(40);
    // The √sets and √t factors count: without them the bound would look 1.8 bits better.
    expect(smudgingBits(bfv4096, { ...committee, holderCount: 1, threshold: 1 }) - bits).toBeGreaterThan(1.7);
  });
});

describe('unsafe parameters cannot be constructed', () => {
  it.each([
    ['weaker flooding', { floodSigmaBits: 58 }],
    ['flooding that leaves no margin', { floodSigmaBits: 62 }],
    ['a plain modulus that leaves no margin', { plainModulus: 2 ** 20 }],
    ['log q over the limit', { specialPrime: 1_099_511_521_281n }],
    ['a degree without guideline entry', { polyDegree: 512 }],
    ['a degree too small for q', { polyDegree: 2048 }],
    ['a prime without NTT', { specialPrime: 67_108_859n }],
    ['a repeated prime', { dataPrimes: [1_099_511_390_209n, 1_099_511_390_209n] }],
  ])('%s', (_, change) => {
    expect(() => defineBfvParameters({ ...bfv4096, ...change })).toThrow(unsafe);
  });

  it('active sets too large for 11 sigma, committees with too many sets', () => {
    expect(() => assertCorrectness(bfv4096, 8, 10)).not.toThrow();
    expect(() => assertCorrectness(bfv4096, 9, 10)).toThrow(unsafe);
    const wide = { contributions: contributionsMax, holderCount: 10, threshold: 4, polynomials: 2 };
    expect(() => assertSmudging(bfv4096, wide)).toThrow(unsafe);
  });
});

describe('vector shapes', () => {
  it.each([
    [1, [64]],
    [64, [64]],
    [65, [65]],
    [4096, [4096]],
    [4097, [4096, 1]],
    [9000, [4096, 4096, 808]],
  ])('%i digits open %j coefficients', (digits, lengths) => {
    expect(openedCoefficients(bfv4096, digits)).toEqual(lengths);
  });

  it.each([0, -1, 1.5, Number.NaN, digitCountMax + 1])('%d digits are refused', (digits) => {
    expect(() => polynomialCount(bfv4096, digits)).toThrow(
      expect.objectContaining({ code: 'VECTOR_LENGTH_MISMATCH' }),
    );
  });
});
