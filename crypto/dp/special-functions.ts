/**
 * The normal distribution and quadrature nodes, to about 1e-14 relative also far out in the tails.
 *
 * erfc: ascending series below 2 (all terms positive), Laplace's continued fraction above (Abramowitz–Stegun 7.1.6
 * and 7.1.14). Trusts: nothing. May be called by: accountants.
 */

const SQRT_PI = Math.sqrt(Math.PI);
const SERIES_LIMIT = 2;

/** erf(x)·e^(x²)·√π/2 for 0 ≤ x < 2. */
function scaledErf(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; term > sum * 1e-17; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return sum;
}

/** e^(x²)·erfc(x) for x ≥ 2: 1/(x+ (1/2)/(x+ (2/2)/(x+ ...)))/√π, evaluated from the far end. */
function scaledErfc(x: number): number {
  let fraction = x;
  for (let k = Math.ceil(30 + 400 / (x * x)); k >= 1; k--) fraction = x + k / 2 / fraction;
  return 1 / (fraction * SQRT_PI);
}

/** ln of the upper tail P(N(0,1) > x), any real x. */
export function logNormalTail(x: number): number {
  const y = x / Math.SQRT2;
  if (y >= SERIES_LIMIT) return Math.log(scaledErfc(y) / 2) - y * y;
  return Math.log(normalTail(x));
}

/** P(N(0,1) > x). */
export function normalTail(x: number): number {
  const y = x / Math.SQRT2;
  if (y >= SERIES_LIMIT) return (scaledErfc(y) / 2) * Math.exp(-y * y);
  if (y <= -SERIES_LIMIT) return 1 - normalTail(-x);
  const half = (scaledErf(Math.abs(y)) * Math.exp(-y * y)) / SQRT_PI;
  return y >= 0 ? 0.5 - half : 0.5 + half;
}

/** P(N(0,1) ≤ x). */
export const normalCdf = (x: number): number => normalTail(-x);

/** x with P(N(0,1) ≤ x) = p, 0 < p < 1, by bisection on the log tail. */
export function normalQuantile(p: number): number {
  if (p > 0.5) return -normalQuantile(1 - p);
  let low = -40;
  let high = 0;
  const target = Math.log(p);
  for (let i = 0; i < 120; i++) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if (logNormalTail(-middle) < target) low = middle;
    else high = middle;
  }
  return high;
}

/** Nodes and weights of Gauss–Legendre quadrature on [−1, 1], by Newton's method on the Legendre recurrence. */
export function gaussLegendre(count: number): { nodes: Float64Array; weights: Float64Array } {
  const nodes = new Float64Array(count);
  const weights = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    let x = Math.cos((Math.PI * (i + 0.75)) / (count + 0.5));
    let slope = 1;
    for (let step = 0; step < 100; step++) {
      let previous = 1;
      let value = x;
      for (let k = 2; k <= count; k++)
        [previous, value] = [value, ((2 * k - 1) * x * value - (k - 1) * previous) / k];
      slope = (count * (x * value - previous)) / (x * x - 1);
      const change = value / slope;
      x -= change;
      if (Math.abs(change) < 1e-16) break;
    }
    nodes[i] = x;
    weights[i] = 2 / ((1 - x * x) * slope * slope);
  }
  return { nodes, weights };
}

/** ln(e^a + e^b). */
export function logAddExp(a: number, b: number): number {
  if (a === -Infinity) return b;
  if (b === -Infinity) return a;
  return a > b ? a + Math.log1p(Math.exp(b - a)) : b + Math.log1p(Math.exp(a - b));
}

/** ln(e^x − 1), x > 0. */
export const logExpm1 = (x: number): number => (x > 40 ? x : Math.log(Math.expm1(x)));

/** ln(1 + e^x). */
export const log1pExp = (x: number): number => (x > 40 ? x : Math.log1p(Math.exp(x)));

/** ln Σ e^value; −Infinity for none. */
export function logSumExp(values: readonly number[]): number {
  let largest = -Infinity;
  for (const value of values) if (value > largest) largest = value;
  if (largest === -Infinity) return -Infinity;
  let sum = 0;
  for (const value of values) sum += Math.exp(value - largest);
  return largest + Math.log(sum);
}

/** ln((1+u)^p − 1 − p·u) for p > 1 or p < 0, given u and ln(1+u). */
export function logBernoulliExcess(p: number, u: number, logWeight: number): number {
  if (u === 0) return -Infinity;
  const exponent = p * logWeight;
  if (Math.abs(u) < 0.02 && Math.abs(p * u) < 0.02) {
    // Σ_{k≥2} C(p,k) u^k: (1+u)^p − 1 − pu cancels here.
    let term = p * u;
    let sum = 0;
    for (let k = 2; k < 16; k++) {
      term *= ((p - k + 1) / k) * u;
      sum += term;
    }
    return Math.log(sum);
  }
  if (exponent > 40) {
    // (1+u)^p dominates; p·u may still matter for p near 1.
    const logLinear = u > 0 && p > 0 ? Math.log(p) + (u < Infinity ? Math.log(u) : logWeight) : -Infinity;
    return exponent + Math.log1p(-Math.exp(Math.min(logLinear - exponent, -Number.EPSILON)));
  }
  return Math.log(Math.expm1(exponent) - p * u);
}
