/**
 * Exact rational numbers over bigint: privacy parameters never pass through floating point.
 *
 * For: clips, variances, sampling rates, corrupt fractions. Trusts: nothing; `parseRational` takes hostile text.
 * May be called by: everyone.
 */
import { ensure } from '../error.ts';

/** In lowest terms, denominator > 0. Build with `rational` or `parseRational`. */
export interface Rational {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

/** Longest text `parseRational` reads, characters. */
export const RATIONAL_TEXT_LENGTH_MAX = 64;

function greatestCommonDivisor(a: bigint, b: bigint): bigint {
  let x = a < 0n ? -a : a;
  let y = b < 0n ? -b : b;
  while (y !== 0n) [x, y] = [y, x % y];
  return x;
}

/** numerator / denominator in lowest terms. Numbers must be safe integers. Throws FIELD_OUT_OF_RANGE. */
export function rational(numerator: bigint | number, denominator: bigint | number = 1n): Rational {
  for (const part of [numerator, denominator])
    ensure(
      typeof part === 'bigint' || Number.isSafeInteger(part),
      'FIELD_OUT_OF_RANGE',
      'a rational is built from integers',
    );
  let n = BigInt(numerator);
  let d = BigInt(denominator);
  ensure(d !== 0n, 'FIELD_OUT_OF_RANGE', 'a rational needs a denominator other than 0');
  if (d < 0n) [n, d] = [-n, -d];
  const divisor = greatestCommonDivisor(n, d);
  return divisor > 1n
    ? { numerator: n / divisor, denominator: d / divisor }
    : { numerator: n, denominator: d };
}

export const ZERO: Rational = rational(0n);
export const ONE: Rational = rational(1n);

/** Reads '3/7', '12.5', '-4': at most 64 characters and 30 digits a part. Throws MALFORMED_MESSAGE. */
export function parseRational(text: string): Rational {
  ensure(
    typeof text === 'string' && text.length <= RATIONAL_TEXT_LENGTH_MAX,
    'MALFORMED_MESSAGE',
    `a rational has at most ${RATIONAL_TEXT_LENGTH_MAX} characters`,
  );
  const match = /^(-?)(\d{1,30})(?:\/(\d{1,30})|\.(\d{1,30}))?$/.exec(text);
  ensure(match, 'MALFORMED_MESSAGE', "write a rational as '3/7', '12.5' or '4'");
  const [, sign, whole, divisor, decimals] = match;
  let value: Rational;
  if (divisor !== undefined) {
    ensure(BigInt(divisor) !== 0n, 'MALFORMED_MESSAGE', 'a rational needs a denominator other than 0');
    value = rational(BigInt(whole!), BigInt(divisor));
  } else value = rational(BigInt(whole! + (decimals ?? '')), 10n ** BigInt(decimals?.length ?? 0));
  return sign === '-' ? { numerator: -value.numerator, denominator: value.denominator } : value;
}

/** '3/7', or '4' where the denominator is 1; `parseRational` reads it back. */
export const formatRational = (value: Rational): string =>
  value.denominator === 1n ? `${value.numerator}` : `${value.numerator}/${value.denominator}`;

/** −1, 0 or 1. */
export function compareRational(a: Rational, b: Rational): -1 | 0 | 1 {
  const left = a.numerator * b.denominator;
  const right = b.numerator * a.denominator;
  return left < right ? -1 : left > right ? 1 : 0;
}

export const multiplyRational = (a: Rational, b: Rational): Rational =>
  rational(a.numerator * b.numerator, a.denominator * b.denominator);

export const addRational = (a: Rational, b: Rational): Rational =>
  rational(a.numerator * b.denominator + b.numerator * a.denominator, a.denominator * b.denominator);

export const subtractRational = (a: Rational, b: Rational): Rational =>
  rational(a.numerator * b.denominator - b.numerator * a.denominator, a.denominator * b.denominator);

/** a / b. Throws FIELD_OUT_OF_RANGE for b = 0. */
export const divideRational = (a: Rational, b: Rational): Rational =>
  rational(a.numerator * b.denominator, a.denominator * b.numerator);

/** Largest integer ≤ value. */
export function floorRational(value: Rational): bigint {
  const quotient = value.numerator / value.denominator;
  return value.numerator < 0n && quotient * value.denominator !== value.numerator ? quotient - 1n : quotient;
}

/** Smallest integer ≥ value. */
export const ceilRational = (value: Rational): bigint =>
  -floorRational({ numerator: -value.numerator, denominator: value.denominator });

const bitLength = (value: bigint): number => value.toString(2).length;

/** The double nearest to value (ties as in bigint → Number); overflows to ±Infinity. */
export function rationalToNumber(value: Rational): number {
  const negative = value.numerator < 0n;
  const n = negative ? -value.numerator : value.numerator;
  if (n === 0n) return 0;
  // A quotient of at least 66 bits with a sticky last bit rounds exactly as the true value does.
  const shift = 66 - (bitLength(n) - bitLength(value.denominator));
  const up = shift > 0 ? n << BigInt(shift) : n;
  const down = shift < 0 ? value.denominator << BigInt(-shift) : value.denominator;
  const quotient = up / down;
  const sticky = quotient * down === up ? quotient : quotient | 1n;
  // Two steps keep 2^-shift inside the exponent range.
  const half = Math.trunc(-shift / 2);
  const magnitude = Number(sticky) * 2 ** half * 2 ** (-shift - half);
  return negative ? -magnitude : magnitude;
}

/** The exact value of a finite double. Throws FIELD_OUT_OF_RANGE otherwise. */
export function rationalFromNumber(value: number): Rational {
  ensure(Number.isFinite(value), 'FIELD_OUT_OF_RANGE', 'a rational needs a finite number');
  let scaled = value;
  let shift = 0n;
  while (!Number.isInteger(scaled)) {
    scaled *= 2;
    shift++;
  }
  return rational(BigInt(scaled), 1n << shift);
}

/** Denominator of rounded noise variances: one public granularity, so logs stay short. */
export const VARIANCE_DENOMINATOR = 1024n;

/** The smallest multiple of 1/1024 that is ≥ value. */
export const roundUpTo1024th = (value: Rational): Rational =>
  rational(ceilRational(multiplyRational(value, rational(VARIANCE_DENOMINATOR))), VARIANCE_DENOMINATOR);

/** The smallest multiple of 1/1024 that is ≥ the positive double `value`. Throws FIELD_OUT_OF_RANGE. */
export function numberRoundedUpTo1024th(value: number): Rational {
  ensure(value > 0 && Number.isFinite(value), 'FIELD_OUT_OF_RANGE', 'expected a positive finite number');
  return roundUpTo1024th(rationalFromNumber(value));
}

/** ⌊√value⌋ for value ≥ 0, exact (Newton). Throws FIELD_OUT_OF_RANGE. */
export function integerSquareRoot(value: bigint): bigint {
  ensure(value >= 0n, 'FIELD_OUT_OF_RANGE', 'no square root of a negative integer');
  if (value < 2n) return value;
  let root = 1n << BigInt((bitLength(value) + 1) >> 1);
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}
