import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addRational,
  ceilRational,
  compareRational,
  divideRational,
  floorRational,
  formatRational,
  integerSquareRoot,
  multiplyRational,
  numberRoundedUpTo1024th,
  parseRational,
  type Rational,
  rational,
  rationalFromNumber,
  rationalToNumber,
  roundUpTo1024th,
  subtractRational,
} from './rational.ts';

const anyRational = fc
  .tuple(fc.bigInt({ min: -(10n ** 25n), max: 10n ** 25n }), fc.bigInt({ min: 1n, max: 10n ** 25n }))
  .map(([n, d]) => rational(n, d));

describe('rational', () => {
  it.each([
    ['3/7', 3n, 7n],
    ['6/14', 3n, 7n],
    ['12.5', 25n, 2n],
    ['-0.125', -1n, 8n],
    ['4', 4n, 1n],
    ['000.10', 1n, 10n],
  ])('reads %s', (text, numerator, denominator) => {
    expect(parseRational(text)).toEqual({ numerator, denominator });
  });

  it.each([
    '',
    ' 1',
    '1 ',
    '1e5',
    '1/0',
    '1/-2',
    '1.5/2',
    '.5',
    '5.',
    '+1',
    'NaN',
    '0x10',
    '1/2/3',
    '٣',
    '1'.repeat(31),
    `0.${'1'.repeat(63)}`,
  ])('refuses %j', (text) => {
    expect(() => parseRational(text)).toThrow(expect.objectContaining({ code: 'MALFORMED_MESSAGE' }));
  });

  it('refuses what is not text or not an integer', () => {
    expect(() => parseRational(3 as unknown as string)).toThrow();
    expect(() => rational(0.5)).toThrow();
    expect(() => rational(1, 0)).toThrow();
  });

  it('formats what it parses', () => {
    fc.assert(
      fc.property(anyRational, (r) => {
        expect(parseRational(formatRational(r))).toEqual(r);
      }),
    );
  });

  it('is a field with an order', () => {
    fc.assert(
      fc.property(anyRational, anyRational, anyRational, (a, b, c) => {
        expect(multiplyRational(a, addRational(b, c))).toEqual(
          addRational(multiplyRational(a, b), multiplyRational(a, c)),
        );
        expect(subtractRational(addRational(a, b), b)).toEqual(a);
        if (b.numerator !== 0n) expect(multiplyRational(divideRational(a, b), b)).toEqual(a);
        expect(compareRational(a, b)).toBe(-compareRational(b, a) || 0);
        expect(compareRational(subtractRational(a, rational(1n, 10n ** 30n)), a)).toBe(-1);
      }),
    );
  });

  it('floors and ceils towards the right side of zero', () => {
    expect([floorRational(rational(-7n, 2n)), ceilRational(rational(-7n, 2n))]).toEqual([-4n, -3n]);
    expect([floorRational(rational(7n, 2n)), ceilRational(rational(7n, 2n))]).toEqual([3n, 4n]);
    expect([floorRational(rational(-4n)), ceilRational(rational(-4n))]).toEqual([-4n, -4n]);
  });

  it('rounds to the nearest double', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e200, max: 1e200 }), (x) => {
        expect(rationalToNumber(rationalFromNumber(x))).toBe(x === 0 ? 0 : x);
      }),
    );
    // 2^53 + 1 + tiny is above the tie and must round up; a quotient cut short would round to even, down.
    const aboveTie = addRational(rational(2n ** 53n + 1n), rational(1n, 10n ** 40n));
    expect(rationalToNumber(aboveTie)).toBe(2 ** 53 + 2);
    expect(rationalToNumber(rational(1n, 3n))).toBe(1 / 3);
  });

  it('rounds up to multiples of 1/1024, by less than one', () => {
    const check = (value: Rational) => {
      const up = roundUpTo1024th(value);
      expect(1024n % up.denominator).toBe(0n);
      expect(compareRational(up, value)).toBeGreaterThanOrEqual(0);
      expect(compareRational(subtractRational(up, rational(1n, 1024n)), value)).toBe(-1);
    };
    fc.assert(fc.property(anyRational, check));
    expect(numberRoundedUpTo1024th(1 / 1024)).toEqual(rational(1n, 1024n));
    expect(numberRoundedUpTo1024th(1e-300)).toEqual(rational(1n, 1024n));
    expect(() => numberRoundedUpTo1024th(0)).toThrow();
    expect(() => numberRoundedUpTo1024th(Number.NaN)).toThrow();
  });

  it('takes exact integer square roots', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 200n }), (n) => {
        const root = integerSquareRoot(n);
        expect(root * root <= n && n < (root + 1n) * (root + 1n)).toBe(true);
      }),
    );
    expect(integerSquareRoot((2n ** 60n) ** 2n - 1n)).toBe(2n ** 60n - 1n);
    expect(() => integerSquareRoot(-1n)).toThrow();
  });
});
