/**
 * Rényi differential privacy of events.
 *
 * Unsampled Gaussians (continuous, discrete, distributed discrete) at every order α > 1; Poisson-sampled continuous
 * Gaussian exactly, at every order, by quadrature, as the larger of the add and the remove direction; Poisson-sampled
 * discrete Gaussians as an upper bound at integer orders ≥ 2.
 * Trusts: nothing. May be called by: accountants, the ledger, the auditor.
 */
import { PulsefoldError } from '../error.ts';
import {
  type DistributedDiscreteGaussianEvent,
  type DpEvent,
  flattenEvent,
  type MechanismEvent,
  type PoissonSampledEvent,
} from './events.ts';
import { divideRational, type Rational, rational, rationalToNumber } from './rational.ts';

/** Integer orders at which sampled discrete mechanisms are accounted: all to 64, then ever coarser. */
export const INTEGER_ORDERS: readonly number[] = [
  ...Array.from({ length: 63 }, (_, i) => i + 2),
  ...Array.from({ length: 16 }, (_, i) => 68 + 4 * i),
  ...Array.from({ length: 8 }, (_, i) => 144 + 16 * i),
  320,
  384,
  512,
  768,
  1024,
];

/**
 * RDP ε(α) of an event tree, α > 1. Infinity where the mechanism has no bound at that order (sampled discrete
 * Gaussian at a fractional order). @throws UNSUPPORTED_EVENT.
 */
export function rdp(event: DpEvent, order: number): number {
  let total = 0;
  for (const { event: leaf, count } of flattenEvent(event))
    if (count > 0) total += count * rdpOfLeaf(leaf, order);
  return total;
}

/** `rdp` at several orders. */
export const rdpCurve = (event: DpEvent, orders: readonly number[]): number[] =>
  orders.map((order) => rdp(event, order));

function rdpOfLeaf(leaf: MechanismEvent | PoissonSampledEvent, order: number): number {
  if (!(order > 1 && order < Infinity))
    throw new PulsefoldError('FIELD_OUT_OF_RANGE', 'a Rényi order exceeds 1');
  if (leaf.type !== 'poisson_sampled') return rdpOfMechanism(leaf, order);
  const rate = rationalToNumber(leaf.samplingRate);
  if (rate === 0) return 0;
  if (rate === 1) return rdpOfMechanism(leaf.event, order);
  const mechanism = leaf.event;
  if (mechanism.type === 'gaussian') {
    if (mechanism.sensitivitySquared.numerator === 0n) return 0;
    const ratio = divideRational(mechanism.variance, mechanism.sensitivitySquared);
    return sampledGaussianRdp(rate, Math.sqrt(rationalToNumber(ratio)), order);
  }
  return Number.isInteger(order) ? sampledMomentBound(rate, order, mechanismCurve(mechanism)) : Infinity;
}

const rdpOfMechanism = (event: MechanismEvent, order: number): number => mechanismCurve(event)(order);

/** RDP of one unsampled mechanism as a function of the order; the parameters are read once. */
function mechanismCurve(event: MechanismEvent): (order: number) => number {
  switch (event.type) {
    case 'gaussian': {
      const ratio = rationalToNumber(divideRational(event.sensitivitySquared, event.variance));
      return (order) => (order / 2) * ratio;
    }
    case 'discrete_gaussian': {
      // Equal to the continuous Gaussian's for integer shifts (CKS 2020, Theorem 14 and Proposition 5).
      const ratio = rationalToNumber(divideRational(rational(event.sensitivitySquared), event.variance));
      return (order) => (order / 2) * ratio;
    }
    case 'distributed_discrete_gaussian': {
      const ratio = normalisedSensitivitySquared(event);
      const tau = distributedTau(event.noiseShares, rationalToNumber(event.varianceLocal));
      const additive = tau * event.dimension;
      const shifted = (Math.sqrt(ratio) + Math.sqrt(event.dimension) * tau) ** 2;
      return (order) => Math.min((order / 2) * ratio + additive, (order / 2) * shifted);
    }
  }
}

/** l2² = D²/(n·σ_c²). */
export const normalisedSensitivitySquared = (event: DistributedDiscreteGaussianEvent): number => {
  const { numerator, denominator }: Rational = event.varianceLocal;
  return rationalToNumber(
    rational(event.sensitivitySquared * denominator, numerator * BigInt(event.noiseShares)),
  );
};

/**
 * τ = 10·Σ_{k=1}^{n−1} exp(−2π²σ²k/(k+1)): how far the sum of n discrete Gaussians N_Z(0, σ²) is from one
 * (arXiv 2102.06387, Theorem 1). The terms fall with k, so beyond 100,000 shares the last one summed bounds each of
 * the rest: the result is then an upper bound.
 */
export function distributedTau(noiseShares: number, variance: number): number {
  const exact = Math.min(noiseShares - 1, 100_000);
  let sum = 0;
  for (let k = exact; k >= 1; k--) sum += Math.exp((-2 * Math.PI ** 2 * variance * k) / (k + 1));
  const rest = noiseShares - 1 - exact;
  if (rest > 0) sum += rest * Math.exp((-2 * Math.PI ** 2 * variance * exact) / (exact + 1));
  return 10 * sum;
}

/**
 * Poisson sampling at rate q of an additive symmetric integer mechanism, integer order α ≥ 2:
 *
 *   ε(α) ≤ 1/(α−1) · ln Σ_k C(α,k) (1−q)^(α−k) q^k exp((k−1)·ε_k),   ε_k = RDP of the unsampled mechanism at order k.
 *
 * Add direction: with ν0 the output law without the record and ν1 = ν0 shifted by the record's integer vector,
 * E_{ν0}[((1−q) + q·ν1/ν0)^α] expands binomially for integer α, and E_{ν0}[(ν1/ν0)^k] = exp((k−1)·D_k(ν1‖ν0)) is 1
 * for k = 0, 1 and at most exp((k−1)·ε_k) for k ≥ 2; for one discrete Gaussian that is exp(k(k−1)Δ²/2σ²), for a sum
 * of them ε_k carries the τ terms of `distributedTau`.
 * Remove direction: the noise is symmetric about 0, so x ↦ μ − x is an involution of Z^d that exchanges ν0 and ν1; by
 * Mironov, Talwar, Zhang 2019 (arXiv 1908.10530, Theorem 5) D_α(ν0‖mixture) ≤ D_α(mixture‖ν0) for such pairs.
 * The other records' sampling and the record's random rounding are mixtures over common randomness: joint
 * quasi-convexity (ibid., Theorem 4).
 */
export function sampledMomentBound(
  rate: number,
  order: number,
  unsampled: (order: number) => number,
): number {
  const logRate = Math.log(rate);
  const logRest = Math.log1p(-rate);
  // Terms k = 0, 1 complete to Σ C(α,k)(1−q)^(α−k)q^k = 1, so the sum is 1 + Σ_{k≥2} w_k·expm1((k−1)ε_k).
  let logBinomial = Math.log(order);
  const logs: number[] = [];
  for (let k = 2; k <= order; k++) {
    logBinomial += Math.log((order - k + 1) / k);
    const exponent = (k - 1) * unsampled(k);
    if (exponent > 0) logs.push(logBinomial + (order - k) * logRest + k * logRate + logExpm1(exponent));
  }
  return log1pExp(logSumExp(logs)) / (order - 1);
}

const logExpm1 = (x: number): number => (x > 40 ? x : Math.log(Math.expm1(x)));
const log1pExp = (x: number): number => (x > 40 ? x : Math.log1p(Math.exp(x)));

function logSumExp(values: readonly number[]): number {
  let largest = -Infinity;
  for (const value of values) if (value > largest) largest = value;
  if (largest === -Infinity) return -Infinity;
  let sum = 0;
  for (const value of values) sum += Math.exp(value - largest);
  return largest + Math.log(sum);
}

/** Poisson-sampled Gaussian (sensitivity 1, deviation sigma) at any order: the larger of both directions. */
export function sampledGaussianRdp(rate: number, sigma: number, order: number): number {
  return Math.max(
    sampledGaussianDirection(rate, sigma, order, 'add'),
    sampledGaussianDirection(rate, sigma, order, 'remove'),
  );
}

/**
 * One direction, by the trapezoid rule on the real line, which converges geometrically for an analytic integrand.
 *
 * With w = (1−q) + q·exp((2x−1)/2σ²) the mixture is w·N(0,σ²), and with p = α ('add': D_α(mixture‖N(0,σ²))) or
 * p = 1−α ('remove': D_α(N(0,σ²)‖mixture)) the moment is E[w^p]. As E[w] = 1,
 *   E[w^p] − 1 = E[w^p − 1 − p(w−1)],
 * whose integrand is ≥ 0 (Bernoulli), so nothing cancels even where the moment differs from 1 by 1e-15.
 * Step: the nearest singularity (w = 0) is πσ² off the axis, hence h ≤ πσ²/4 for error below e^-25.
 */
export function sampledGaussianDirection(
  rate: number,
  sigma: number,
  order: number,
  direction: 'add' | 'remove',
): number {
  const power = direction === 'add' ? order : 1 - order;
  const variance = sigma * sigma;
  const step = Math.min(sigma / 8, (Math.PI * variance) / 4);
  const low = -12 * sigma;
  const high = Math.max(1, direction === 'add' ? order : 1) + 12 * sigma;
  const logRate = Math.log(rate);
  const logRest = Math.log1p(-rate);
  const logs: number[] = [];
  for (let i = 0, count = Math.ceil((high - low) / step); i <= count; i++) {
    const x = low + i * step;
    const z = (2 * x - 1) / (2 * variance);
    // ln w and w − 1, each without cancellation.
    const excess = z < 700 ? rate * Math.expm1(z) : Infinity;
    const logWeight = Math.abs(excess) < 0.5 ? Math.log1p(excess) : logAddExp(logRest, logRate + z);
    const term = logBernoulliExcess(power, excess, logWeight);
    if (term > -Infinity) logs.push(term - (x * x) / (2 * variance));
  }
  const logMoment = logSumExp(logs) + Math.log(step / (sigma * Math.sqrt(2 * Math.PI)));
  return log1pExp(logMoment) / (order - 1);
}

const logAddExp = (a: number, b: number): number =>
  a > b ? a + Math.log1p(Math.exp(b - a)) : b + Math.log1p(Math.exp(a - b));

/** ln((1+u)^p − 1 − p·u) for p > 1 or p < 0, given u and ln(1+u). */
function logBernoulliExcess(p: number, u: number, logWeight: number): number {
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
