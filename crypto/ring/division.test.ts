import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { divideByLast } from './division.ts';
import { createModulus, residueOf } from './modulus.ts';

const primes = [1_099_511_390_209n, 1_099_511_480_321n, 67_084_289n] as const;
const [q1, q2, p] = primes;
const moduli = primes.map(createModulus);
const total = q1 * q2 * p;

/** Residues of all `values`, modulus after modulus. */
const residuesOf = (values: readonly bigint[], count = 3) =>
  Float64Array.from(moduli.slice(0, count).flatMap((modulus) => values.map((x) => residueOf(x, modulus))));

describe('division by the last prime', () => {
  it('rounds to the nearest, as integers do', () => {
    const value = fc.bigInt({ min: -total / 2n, max: total / 2n });
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 20 }), (values) => {
        // ⌊(2x + p)/2p⌋, shifted so that bigint division, which truncates, gets nothing negative.
        const rounded = values.map((x) => (2n * x + p + 2n * p * total) / (2n * p) - total);
        expect(divideByLast(residuesOf(values), moduli, values.length)).toEqual(residuesOf(rounded, 2));
      }),
    );
  });

  it('at the edges: halves do not occur, p being odd', () => {
    const half = (p - 1n) / 2n;
    const values = [0n, half, half + 1n, -half, -half - 1n, p, -p, total - 1n, 7n * p + half, 7n * p - half];
    const quotients = [0n, 0n, 1n, 0n, -1n, 1n, -1n, 0n, 7n, 7n];
    expect(divideByLast(residuesOf(values), moduli, values.length)).toEqual(residuesOf(quotients, 2));
  });
});
