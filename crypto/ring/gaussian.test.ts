import { describe, expect, it } from 'vitest';
import { type RandomSource, seededRandom, uniform } from '../random.ts';
import { errorSamples, FloodSampler, floodResidues, floodValue } from './gaussian.ts';
import { createModulus } from './modulus.ts';

const sigmaBits = 59;
const sigma = 2 ** sigmaBits;

/** χ² of observed counts against expected ones. */
const chiSquare = (observed: readonly number[], expected: readonly number[]): number =>
  observed.reduce((sum, count, i) => sum + (count - expected[i]!) ** 2 / expected[i]!, 0);

describe('errorSamples: N_Z(0, 3.2²)', () => {
  const count = 100_000;
  const samples = errorSamples(count, seededRandom('error'));

  it('has the exact probabilities', () => {
    const weight = (x: number) => Math.exp((-x * x) / (2 * 10.24));
    let total = 0;
    for (let x = -60; x <= 60; x++) total += weight(x);
    const range = Array.from({ length: 21 }, (_, i) => i - 10);
    const observed = range.map((x) => samples.filter((sample) => sample === x).length);
    const expected = range.map((x) => (count * weight(x)) / total);
    expect(chiSquare(observed, expected)).toBeLessThan(48); // 21 cells: exceeded with probability 7e-4
  });

  it('has variance 10.24 and no bias', () => {
    const mean = samples.reduce((sum, x) => sum + x, 0) / count;
    const variance = samples.reduce((sum, x) => sum + x * x, 0) / count;
    expect(Math.abs(mean)).toBeLessThan(4 * (3.2 / Math.sqrt(count)));
    expect(Math.abs(variance / 10.24 - 1)).toBeLessThan(4 * Math.sqrt(2 / count));
  });
});

type Sampler = (count: number, source: RandomSource) => bigint[];

const exact: Sampler = (count, source) => {
  const sampler = new FloodSampler(sigmaBits, source);
  return Array.from({ length: count }, () => floodValue(sampler.next(), sigmaBits));
};

/** The mistake to be caught: a double at 2^59 has a spacing of 2^6 to 2^7, so its low bits are bare. */
const roundedDouble: Sampler = (count, source) =>
  Array.from({ length: count }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform(source)));
    return BigInt(Math.round(sigma * radius * Math.cos(2 * Math.PI * uniform(source))));
  });

/** χ² of the low 7 bits over their 128 values. */
function lowBits(sampler: Sampler): number {
  const count = 12_800;
  const bins = new Array<number>(128).fill(0);
  for (const value of sampler(count, seededRandom('low bits'))) bins[Number(BigInt.asUintN(7, value))]!++;
  return chiSquare(bins, new Array<number>(128).fill(count / 128));
}

describe('FloodSampler: N_Z(0, (2^59)²)', () => {
  const count = 20_000;
  const samples = exact(count, seededRandom('flood')).map((value) => Number(value) / sigma);

  it('has the variance and kurtosis of a Gaussian of that width', () => {
    const moment = (k: number) => samples.reduce((sum, x) => sum + x ** k, 0) / count;
    expect(Math.abs(moment(1))).toBeLessThan(4 / Math.sqrt(count));
    expect(Math.abs(moment(2) - 1)).toBeLessThan(4 * Math.sqrt(2 / count));
    expect(Math.abs(moment(4) - 3)).toBeLessThan(4 * Math.sqrt(96 / count));
  });

  it('fills the quantiles of the normal distribution', () => {
    // Deciles of N(0, 1).
    const edges = [-1.2816, -0.8416, -0.5244, -0.2533, 0, 0.2533, 0.5244, 0.8416, 1.2816];
    const bins = new Array<number>(10).fill(0);
    for (const x of samples) bins[edges.filter((edge) => x > edge).length]!++;
    expect(chiSquare(bins, new Array<number>(10).fill(count / 10))).toBeLessThan(30); // 9 d.o.f.: 4e-4
  });

  it('has uniform low bits, and a rounded double would not', () => {
    const limit = 185; // 127 degrees of freedom: exceeded with probability 6e-4
    expect(lowBits(exact)).toBeLessThan(limit);
    expect(lowBits(roundedDouble)).toBeGreaterThan(10 * limit);
  });

  it('gives the same integers as residues of every prime', () => {
    const primes = [1_099_511_390_209n, 1_099_511_480_321n];
    const residues = floodResidues(sigmaBits, primes.map(createModulus), 200, seededRandom('residues'));
    const values = exact(200, seededRandom('residues'));
    for (const [block, prime] of primes.entries()) {
      for (const [i, value] of values.entries()) {
        expect(BigInt(residues[block * 200 + i]!)).toBe(((value % prime) + prime) % prime);
      }
    }
  });

  it('refuses widths its limbs cannot hold', () => {
    expect(() => new FloodSampler(63, seededRandom('x'))).toThrow(/2\^62/);
  });
});
