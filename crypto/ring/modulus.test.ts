import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addInto, createModulus, invert, multiply, reduce, residueOf } from './modulus.ts';

const primes = [1_099_511_390_209n, 1_099_511_480_321n, 67_084_289n];

describe.each(primes)('arithmetic modulo %s agrees with BigInt', (prime) => {
  const modulus = createModulus(prime);
  const residue = fc.oneof(
    fc.bigInt({ min: 0n, max: prime - 1n }),
    fc.constantFrom(0n, 1n, prime - 1n, prime / 2n),
  );

  it('multiply', () => {
    fc.assert(
      fc.property(residue, residue, (a, b) => {
        expect(multiply(Number(a), Number(b), modulus)).toBe(Number((a * b) % prime));
      }),
      { numRuns: 500 },
    );
  });

  it('reduce, over all of [0, 2^53)', () => {
    const value = fc.oneof(
      fc.maxSafeInteger().map(Math.abs),
      fc.bigInt({ min: 0n, max: 2n ** 53n / prime - 1n }).map((k) => Number(k * prime)),
      fc.bigInt({ min: 1n, max: 2n ** 53n / prime - 1n }).map((k) => Number(k * prime - 1n)),
    );
    fc.assert(
      fc.property(value, (x) => {
        expect(reduce(x, modulus)).toBe(Number(BigInt(x) % prime));
      }),
      { numRuns: 500 },
    );
  });

  it('invert, residueOf, addInto', () => {
    fc.assert(
      fc.property(residue, fc.bigInt({ min: -(2n ** 90n), max: 2n ** 90n }), (a, wide) => {
        if (a !== 0n) expect(multiply(invert(Number(a), modulus), Number(a), modulus)).toBe(1);
        expect((wide - BigInt(residueOf(wide, modulus))) % prime).toBe(0n);
        const target = Float64Array.of(Number(a));
        addInto(target, Float64Array.of(residueOf(wide, modulus)), [modulus], 1);
        expect(target[0]).toBe(residueOf(a + wide, modulus));
      }),
      { numRuns: 100 },
    );
  });
});

it('refuses a prime beyond what doubles carry exactly', () => {
  expect(() => createModulus(2n ** 41n + 9n)).toThrow(/17 to 40 bits/);
});
