/**
 * Discrete Gaussian vectors, of one party or summed over several, between two Gaussian mechanisms: the PLD of the event
 * that a round of the platform is.
 *
 * Which direction of an integer vector is the worst is not known, so nothing is enumerated. Instead the law of the sum is
 * compared, outcome by outcome, with something that follows from a Gaussian mechanism by post-processing, and the other
 * way round. For e_s = 2·Σ_{m≥1} exp(−2π²s²m²) and ρ_s(x) = exp(−x²/2s²), Poisson summation gives
 * Σ_k ρ_s(k − c) = s√2π·(1 ± e_s) for every c. With it, and ρ_a(k)·ρ_b(z − k) = ρ_√(a²+b²)(z)·ρ_c(k − z·a²/(a²+b²)),
 * c = ab/√(a²+b²):
 *
 *   sum     N_Z(0, kσ²) + N_Z(0, σ²) is N_Z(0, (k+1)σ²) up to a factor within exp(±t), t = −ln(1 − e_c) + ln(1 + e_√kσ) +
 *           ln(1 + e_σ), c² = σ²k/(k+1): the shares one by one (the idea of arXiv 2102.06387, with the constants kept).
 *   above   y ~ N(x, s² − r²), then an integer near y with weights ρ_r: that is x + N_Z(0, s²) up to exp(±t),
 *           t = −ln(1 − e_r) + ln(1 + e_s), for every integer x. So the integers say no more than N(x, s² − r²).
 *   below   x + N_Z(0, s²) + N(0, r²) is N(x, s² + r²) up to exp(±t), t = −ln(1 − e_c) + ln(1 + e_s), c² = s²r²/(s²+r²).
 *
 * Coordinates that are equal in both neighbours cancel; at most Δ² differ, by integers. A factor within exp(±η) over all
 * releases (adaptively composed or Poisson-sampled, which keep it) turns δ(ε) into at most e^η·δ(ε − 2η) and at least
 * e^(−η)·δ(ε + 2η). With the noise of a plan, η is below 1e-9 at an r² of 2.
 * Trusts: checked events. May be called by: pld.ts.
 */
import type { DiscreteGaussianEvent, DistributedDiscreteGaussianEvent } from './event-types.ts';
import { integerSquareRoot, multiplyRational, rational, rationalToNumber } from './rational.ts';

export type DiscreteVectorEvent = DiscreteGaussianEvent | DistributedDiscreteGaussianEvent;

/** A Gaussian mechanism that bounds one release, and the factor exp(±slack) between the two. */
export interface NearGaussian {
  /** Squared sensitivity over variance. */
  readonly ratio: number;
  readonly slack: number;
}

/** Rounding of all that is computed here, relative. */
const ABOVE = 1 + 1e-12;
const BELOW = 1 - 1e-12;
/** Coordinates that the vector behind a lower bound has at most: Δ² as a sum of squares, greedily. */
const SQUARES_MAX = 16;
/** Terms of the sum over shares that are added up; the later ones are no larger than the last of them. */
const SHARES_SUMMED_MAX = 100_000;
const SMOOTHINGS = 96;
const SMOOTHING_LEAST = 0.06;
/** Beyond this variance e_r is below 1e-300. */
const SMOOTHING_MOST = 36;
/** For the choice of r² only: a normal quantile at about δ = 1e-6. */
const QUANTILE = 5;

/** e_s at variance s²: relative difference between a sum of ρ_s over the integers, anywhere, and its integral, at most. */
export function periodicError(variance: number): number {
  let sum = 0;
  for (let m = 1; ; m++) {
    const term = Math.exp(-2 * Math.PI ** 2 * variance * m * m);
    sum += term;
    if (term <= sum * 1e-17) return 2 * sum * ABOVE;
  }
}

/** −ln(1 − e) where e is below 1. */
const shrink = (error: number): number => (error < 1 ? -Math.log1p(-error) : Infinity);

/** How far the sum of `shares` discrete Gaussians of this variance is from one: |ln ratio| of any outcome, at most. */
export function sumSlack(shares: number, variance: number): number {
  if (shares === 1) return 0;
  const summed = Math.min(shares - 1, SHARES_SUMMED_MAX);
  const one = Math.log1p(periodicError(variance));
  let sum = 0;
  let term = 0;
  for (let k = 1; k <= summed; k++) {
    term = shrink(periodicError((variance * k) / (k + 1))) + Math.log1p(periodicError(variance * k)) + one;
    sum += term;
    // All later terms lie between this one and `least`.
    const least = shrink(periodicError(variance)) + one;
    if (term - least <= term * 1e-6 || term < 1e-200) return (sum + term * (shares - 1 - k)) * ABOVE;
  }
  return (sum + term * (shares - 1 - summed)) * ABOVE;
}

/** Variance of the sum of the noise, and how far its law is from one discrete Gaussian, by coordinate. */
function noiseOf(event: DiscreteVectorEvent): { variance: number; slack: number } {
  if (event.type === 'discrete_gaussian') return { variance: rationalToNumber(event.variance), slack: 0 };
  const { varianceLocal, noiseShares } = event;
  return {
    variance: rationalToNumber(multiplyRational(varianceLocal, rational(noiseShares))),
    slack: sumSlack(noiseShares, rationalToNumber(varianceLocal)),
  };
}

/** Coordinates in which integer vectors of this squared length can differ. */
function coordinatesMax({ sensitivitySquared, dimension }: DiscreteVectorEvent): number {
  const length = Number(sensitivitySquared);
  return dimension === undefined ? length : Math.min(dimension, length);
}

/** The scalar that the event is: the worst distance is one integer. Null for a vector. */
export function scalarOf(
  event: DiscreteVectorEvent,
): { variance: number; shift: bigint; slack: number } | null {
  if (coordinatesMax(event) !== 1) return null;
  const { variance, slack } = noiseOf(event);
  return { variance, shift: integerSquareRoot(event.sensitivitySquared), slack };
}

/** An integer vector no longer than allowed: its squared length and how many entries it has. */
function longVector({ sensitivitySquared, dimension }: DiscreteVectorEvent): {
  length: number;
  entries: number;
} {
  let rest = sensitivitySquared;
  let entries = 0;
  while (rest > 0n && entries < Math.min(dimension ?? SQUARES_MAX, SQUARES_MAX)) {
    rest -= integerSquareRoot(rest) ** 2n;
    entries++;
  }
  return { length: Number(sensitivitySquared - rest), entries };
}

/** The best of the smoothing variances r² by what it will roughly make of ε: `sign` 1 for least, −1 for most. */
function best(
  releases: number,
  rate: number,
  sign: 1 | -1,
  most: number,
  at: (smoothing: number) => NearGaussian,
): NearGaussian {
  let found: NearGaussian = { ratio: Infinity, slack: Infinity };
  let leastValue = Infinity;
  const step = Math.log(most / SMOOTHING_LEAST) / (SMOOTHINGS - 1);
  for (let i = 0; i < SMOOTHINGS; i++) {
    const one = at(SMOOTHING_LEAST * Math.exp(i * step));
    if (!(one.ratio > 0)) continue;
    const mu = Math.sqrt(one.ratio * releases) * rate;
    const value = sign * ((mu * mu) / 2 + QUANTILE * mu) + 2 * releases * one.slack;
    if (value < leastValue) [leastValue, found] = [value, one];
  }
  return found;
}

/**
 * The Gaussian mechanism that one release cannot exceed ('upper'; slack Infinity: none is known) or that it contains
 * ('lower'), chosen for so many releases at a Poisson rate.
 */
export function nearGaussian(
  event: DiscreteVectorEvent,
  side: 'upper' | 'lower',
  releases: number,
  rate: number,
): NearGaussian {
  const { variance, slack } = noiseOf(event);
  const offCentre = Math.log1p(periodicError(variance));
  if (side === 'upper') {
    const length = Number(event.sensitivitySquared) * ABOVE;
    const coordinates = coordinatesMax(event);
    return best(releases, rate, 1, Math.min(SMOOTHING_MOST, 0.95 * variance), (smoothing) => ({
      ratio: length / (variance - smoothing),
      slack: coordinates * (slack + shrink(periodicError(smoothing)) + offCentre) * ABOVE,
    }));
  }
  const { length, entries } = longVector(event);
  return best(releases, rate, -1, Math.max(SMOOTHING_MOST, variance), (smoothing) => ({
    ratio: (length * BELOW) / (variance + smoothing),
    slack:
      entries *
      (slack + shrink(periodicError((variance * smoothing) / (variance + smoothing))) + offCentre) *
      ABOVE,
  }));
}
