/**
 * (ε, δ) of a pair of normal distributions: what an adversary who sees one number can tell.
 *
 * For: the f-DP one-run audit and cosine canaries. Shares no code with crypto/dp. Trusts: nothing.
 * May be called by: auditor/canary, experiments/canary.
 */
import { ensure } from '../../crypto/error.ts';
import { normalCdf } from './special-functions.ts';

export interface Normal {
  readonly mean: number;
  readonly deviation: number;
}

/** P[X > x] without cancellation. */
const upper = (x: number, { mean, deviation }: Normal): number => normalCdf((mean - x) / deviation);
const between = (low: number, high: number, n: Normal): number =>
  low >= n.mean ? upper(low, n) - upper(high, n) : 1 - upper(high, n) - (1 - upper(low, n));

/** δ(ε) of P against Q in one direction: sup over events of P(E) − e^ε·Q(E). */
export function hockeyStick(p: Normal, q: Normal, epsilon: number): number {
  ensure(p.deviation > 0 && q.deviation > 0, 'FIELD_OUT_OF_RANGE', 'deviations must be positive');
  // ln p(x)/q(x) − ε = a·x² + b·x + c; the best event is where it is positive.
  const [vp, vq] = [p.deviation ** 2, q.deviation ** 2];
  const a = 1 / (2 * vq) - 1 / (2 * vp);
  const b = p.mean / vp - q.mean / vq;
  const c = q.mean ** 2 / (2 * vq) - p.mean ** 2 / (2 * vp) + Math.log(q.deviation / p.deviation) - epsilon;
  const difference = (tail: (n: Normal) => number) => Math.max(0, tail(p) - Math.exp(epsilon) * tail(q));
  if (Math.abs(a) < 1e-14 * (1 / vp + 1 / vq)) {
    if (b === 0) return c > 0 ? Math.max(0, 1 - Math.exp(epsilon)) : 0;
    const x = -c / b;
    return difference((n) => (b > 0 ? upper(x, n) : normalCdf((x - n.mean) / n.deviation)));
  }
  const root = b * b - 4 * a * c;
  if (root <= 0) return a > 0 ? Math.max(0, 1 - Math.exp(epsilon)) : 0;
  const [x, y] = [(-b - Math.sqrt(root)) / (2 * a), (-b + Math.sqrt(root)) / (2 * a)].sort(
    (s, t) => s - t,
  ) as [number, number];
  if (a > 0) return difference((n) => upper(y, n) + normalCdf((x - n.mean) / n.deviation));
  return difference((n) => between(x, y, n));
}

const EPSILON_MAX = 1e4;

/** Smallest ε with both directions within δ; 0 for equal distributions, at most 10,000. */
export function epsilonOfNormals(p: Normal, q: Normal, delta: number): number {
  ensure(delta > 0 && delta < 1, 'FIELD_OUT_OF_RANGE', 'delta lies strictly between 0 and 1');
  const worst = (epsilon: number) => Math.max(hockeyStick(p, q, epsilon), hockeyStick(q, p, epsilon));
  if (worst(0) <= delta) return 0;
  let high = 1;
  while (high < EPSILON_MAX && worst(high) > delta) high *= 2;
  let low = high / 2 < 1 ? 0 : high / 2;
  for (let i = 0; i < 100 && high - low > 1e-13 * high; i++) {
    const middle = (low + high) / 2;
    if (worst(middle) > delta) low = middle;
    else high = middle;
  }
  return Math.min(high, EPSILON_MAX);
}

/** δ of μ-Gaussian DP at ε (Dong, Roth, Su 2019, arXiv 1905.02383, §2.3). */
export const gaussianDelta = (mu: number, epsilon: number): number =>
  normalCdf(mu / 2 - epsilon / mu) - Math.exp(epsilon) * normalCdf(-mu / 2 - epsilon / mu);

/** The largest μ with which μ-Gaussian DP implies (ε, δ)-DP. */
export function gaussianMu(epsilon: number, delta: number): number {
  ensure(delta > 0 && delta < 1 && epsilon >= 0, 'FIELD_OUT_OF_RANGE', 'epsilon ≥ 0 and delta in (0, 1)');
  let high = 1;
  while (gaussianDelta(high, epsilon) < delta) high *= 2;
  let low = 0;
  for (let i = 0; i < 200; i++) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if (gaussianDelta(middle, epsilon) <= delta) low = middle;
    else high = middle;
  }
  return low;
}

/** The smallest ε with which μ-Gaussian DP implies (ε, δ)-DP. μ > 0. */
export const gaussianEpsilon = (mu: number, delta: number): number =>
  epsilonOfNormals({ mean: mu, deviation: 1 }, { mean: 0, deviation: 1 }, delta);
