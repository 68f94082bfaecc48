/**
 * Distribution functions that the canary statistics need: binomial, normal, χ²; in doubles, relative error about 1e-13.
 *
 * For: auditor/canary. Trusts: nothing. No package of this project has them, and the accountants must not share code
 * with an auditor. Sources: DLMF 5.11, 7.12, 8.9, 8.17 (continued fractions, evaluated by Lentz' method).
 * May be called by: auditor/canary, experiments/canary.
 */
import { ensure } from '../../crypto/error.ts';

const TINY = 1e-300;
const PRECISION = 1e-15;
/** A continued fraction takes about √(a + b) terms; counts here stay below 1e8. */
const TERMS_MAX = 200_000;

/** Stirling's series, DLMF 5.11.1: coefficients of 1/x, 1/x³ … */
const STIRLING = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360_360, 1 / 156];

/** ln Γ(x), x > 0. */
export function logGamma(x: number): number {
  // The series is good to 1e-16 from 12 on; below, Γ(x) = Γ(x+1)/x.
  let product = 1;
  let at = x;
  for (; at < 12; at++) product *= at;
  let series = 0;
  const inverse = 1 / at;
  for (let i = STIRLING.length - 1; i >= 0; i--) series = series * inverse * inverse + STIRLING[i]!;
  return (at - 0.5) * Math.log(at) - at + 0.5 * Math.log(2 * Math.PI) + series * inverse - Math.log(product);
}

/** Lentz' method for b₀ + a₁/(b₁ + a₂/(b₂ + …)). */
function continuedFraction(first: number, term: (i: number) => readonly [a: number, b: number]): number {
  let value = first || TINY;
  let c = value;
  let d = 0;
  for (let i = 1; i <= TERMS_MAX; i++) {
    const [a, b] = term(i);
    d = 1 / (b + a * d || TINY);
    c = b + a / c || TINY;
    value *= c * d;
    if (Math.abs(c * d - 1) < PRECISION) return value;
  }
  ensure(false, 'INTERNAL', 'a continued fraction did not converge: the counts are too large');
}

/** I_x(a, b), the regularised incomplete beta function (DLMF 8.17.22); a, b > 0, 0 ≤ x ≤ 1. */
export function regularisedBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - regularisedBetaTail(1 - x, b, a);
  return regularisedBetaTail(x, a, b);
}

function regularisedBetaTail(x: number, a: number, b: number): number {
  const logFront =
    a * Math.log(x) + b * Math.log1p(-x) + logGamma(a + b) - logGamma(a) - logGamma(b) - Math.log(a);
  const fraction = continuedFraction(1, (i) => {
    const m = i >> 1;
    if (i === 1) return [-((a * (a + b)) / (a * (a + 1))) * x, 1];
    return i % 2 === 0
      ? [(m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m)), 1]
      : [(-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1)), 1];
  });
  return Math.exp(logFront) / fraction;
}

/** P[Binomial(trials, p) ≥ k]. */
export function binomialUpperTail(k: number, trials: number, p: number): number {
  if (k <= 0) return 1;
  if (k > trials) return 0;
  return regularisedBeta(p, k, trials - k + 1);
}

/** P[Binomial(trials, p) = k]. */
export function binomialMass(k: number, trials: number, p: number): number {
  if (k < 0 || k > trials) return 0;
  if (p <= 0 || p >= 1) return Number(k === (p <= 0 ? 0 : trials));
  return Math.exp(
    logGamma(trials + 1) -
      logGamma(k + 1) -
      logGamma(trials - k + 1) +
      k * Math.log(p) +
      (trials - k) * Math.log1p(-p),
  );
}

/** erfc(x) for x ≥ 0, with small relative error in the tail. */
function complementaryError(x: number): number {
  const squared = x * x;
  if (x < 2) {
    // DLMF 7.6.2: erf x = 2/√π · e^(−x²) Σ 2ⁿ x^(2n+1) / (1·3·…·(2n+1)).
    let term = x;
    let sum = x;
    for (let n = 1; term > sum * 1e-17 && n < 200; n++) {
      term *= (2 * squared) / (2 * n + 1);
      sum += term;
    }
    return 1 - (2 / Math.sqrt(Math.PI)) * Math.exp(-squared) * sum;
  }
  // DLMF 7.9.1 from the back; 60 terms are enough from 2 on.
  let fraction = 0;
  for (let n = 60; n >= 1; n--) fraction = n / 2 / (x + fraction);
  return Math.exp(-squared) / (Math.sqrt(Math.PI) * (x + fraction));
}

/** Φ(x). Small relative error in the lower tail, absolute in the upper one. */
export const normalCdf = (x: number): number =>
  x <= 0 ? complementaryError(-x / Math.SQRT2) / 2 : 1 - complementaryError(x / Math.SQRT2) / 2;

/** Φ⁻¹(p); −∞ and ∞ at 0 and 1. */
export function normalQuantile(p: number): number {
  ensure(p >= 0 && p <= 1, 'FIELD_OUT_OF_RANGE', 'a probability lies in [0, 1]');
  if (p === 0 || p === 1) return p === 0 ? -Infinity : Infinity;
  if (p > 0.5) return -lowerQuantile(1 - p);
  return lowerQuantile(p);
}

/** Abramowitz & Stegun 26.2.23 for p ≤ 1/2, then Newton steps on ln Φ. */
function lowerQuantile(p: number): number {
  const t = Math.sqrt(-2 * Math.log(p));
  let x =
    (2.515517 + 0.802853 * t + 0.010328 * t * t) /
      (1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t * t * t) -
    t;
  for (let i = 0; i < 8; i++) {
    const value = normalCdf(x);
    const density = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
    const step = (Math.log(value / p) * value) / density;
    x -= step;
    if (Math.abs(step) < 1e-14 * (1 + Math.abs(x))) break;
  }
  return x;
}

/**
 * Standard normal score of a sum of squares with mean 1 per degree of freedom, `ratio` = observed/expected: Wilson and
 * Hilferty 1931. Good to a few percent of the tail probability from 30 degrees on.
 */
export function chiSquaredScore(ratio: number, degrees: number): number {
  const spread = 2 / (9 * degrees);
  return (Math.cbrt(ratio) - (1 - spread)) / Math.sqrt(spread);
}
