/**
 * f-DP for reports: the trade-off between the two errors of whoever guesses whether a person took part, and μ-GDP.
 *
 * Dong, Roth, Su 2019 (arXiv 1905.02383): (ε, δ) is one pair of lines under the trade-off curve, a
 * composition of Gaussian mechanisms is exactly μ-GDP with μ² = Σ μᵢ², and μ-GDP is exactly one curve δ(ε) (its §2.3).
 * Trusts: nothing. May be called by: reports, tests.
 */
import { ensure } from '../error.ts';
import { type DpEvent, mergedLeaves } from './events.ts';
import { gaussianRatioOf, PrivacyLoss } from './pld.ts';
import { addRational, multiplyRational, rational, rationalToNumber, ZERO } from './rational.ts';
import { logNormalTail, normalQuantile, normalTail } from './special-functions.ts';

/** μ of a tree that consists of Gaussian mechanisms only; null otherwise. @throws UNSUPPORTED_EVENT. */
export function gaussianMu(event: DpEvent): number | null {
  let sum = ZERO;
  for (const { event: leaf, count } of mergedLeaves(event)) {
    const ratio = gaussianRatioOf(leaf);
    if (!ratio) return null;
    sum = addRational(sum, multiplyRational(ratio, rational(count)));
  }
  return Math.sqrt(rationalToNumber(sum));
}

/** δ(ε) of μ-GDP: Φ(μ/2 − ε/μ) − e^ε·Φ(−μ/2 − ε/μ); to 1e-12 of the larger term. */
export function gaussianDelta(mu: number, epsilon: number): number {
  if (mu === 0) return 0;
  const first = logNormalTail(epsilon / mu - mu / 2);
  const second = epsilon + logNormalTail(epsilon / mu + mu / 2);
  return Math.exp(first) * -Math.expm1(Math.min(0, second - first));
}

/** ε(δ) of μ-GDP, by bisection. */
export function gaussianEpsilon(mu: number, delta: number): number {
  if (gaussianDelta(mu, 0) <= delta) return 0;
  let low = 0;
  let high = 1;
  while (gaussianDelta(mu, high) > delta) high *= 2;
  for (let i = 0; i < 80 && high > low; i++) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if (gaussianDelta(mu, middle) > delta) low = middle;
    else high = middle;
  }
  return high;
}

/** Least type II error of μ-GDP at type I error α: Φ(Φ⁻¹(1 − α) − μ). */
export function gaussianTradeoff(mu: number, falsePositiveRate: number): number {
  ensure(
    falsePositiveRate > 0 && falsePositiveRate < 1,
    'FIELD_OUT_OF_RANGE',
    'a false positive rate lies strictly between 0 and 1',
  );
  return normalTail(normalQuantile(falsePositiveRate) + mu);
}

export interface TradeoffPoint {
  /** Type I error, strictly between 0 and 1. */
  readonly falsePositiveRate: number;
  /** No test at that rate misses less often than this. */
  readonly falseNegativeRateMin: number;
  /** 1 − falseNegativeRateMin: no attack finds more of the members than this. */
  readonly truePositiveRateMax: number;
}

const LINES = 24;
/** The lines run to the ε at this δ. */
const DELTA_LAST = 1e-9;

/**
 * The trade-off curve at the given false positive rates, from below: exact for Gaussian mechanisms, else the best of 24
 * (ε, δ) lines of the PLD. @throws UNSUPPORTED_EVENT, FIELD_OUT_OF_RANGE.
 */
export function tradeoffCurve(event: DpEvent, falsePositiveRates: readonly number[]): TradeoffPoint[] {
  const mu = gaussianMu(event);
  const curve = mu === null ? lines(event) : (alpha: number) => gaussianTradeoff(mu, alpha);
  return falsePositiveRates.map((falsePositiveRate) => {
    ensure(
      falsePositiveRate > 0 && falsePositiveRate < 1,
      'FIELD_OUT_OF_RANGE',
      'a false positive rate lies strictly between 0 and 1',
    );
    const falseNegativeRateMin = curve(falsePositiveRate);
    return { falsePositiveRate, falseNegativeRateMin, truePositiveRateMax: 1 - falseNegativeRateMin };
  });
}

function lines(event: DpEvent): (falsePositiveRate: number) => number {
  const loss = new PrivacyLoss(event);
  const last = loss.epsilon(DELTA_LAST).high;
  const pairs = Array.from({ length: LINES }, (_, i) => {
    const epsilon = (last * i) / (LINES - 1);
    return { epsilon, delta: loss.delta(epsilon).high };
  });
  return (alpha) =>
    pairs.reduce(
      (best, { epsilon, delta }) =>
        Math.max(best, 1 - delta - Math.exp(epsilon) * alpha, Math.exp(-epsilon) * (1 - delta - alpha)),
      0,
    );
}
