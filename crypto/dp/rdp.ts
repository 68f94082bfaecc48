/**
 * Rényi differential privacy of events, at every order α > 1.
 *
 * Unsampled Gaussians (continuous, discrete, distributed discrete, trees, banded factorisations) in closed form;
 * Poisson-sampled continuous Gaussian exactly by quadrature, as the larger of the add and the remove direction;
 * (sampled) Laplace, randomised response, mixtures of Gaussians and batches of fixed size from the law of their loss;
 * Poisson-sampled discrete Gaussians as an upper bound at integer orders ≥ 2 only.
 * Trusts: nothing. May be called by: accountants, the ledger, the auditor.
 */
import { PulsefoldError } from '../error.ts';
import {
  type DistributedDiscreteGaussianEvent,
  type DpEvent,
  flattenEvent,
  type LeafEvent,
  type MechanismEvent,
} from './events.ts';
import type { LossLaw } from './loss-law.ts';
import { renyiDivergence } from './loss-moments.ts';
import { fixedSizeLaw, isSilent, mixtureLaw, type PureEvent, pureEpsilon, pureLaw } from './loss-pairs.ts';
import { divideRational, type Rational, rational, rationalToNumber } from './rational.ts';
import { gaussianRatio } from './sensitivity.ts';
import { log1pExp, logAddExp, logBernoulliExcess, logExpm1, logSumExp } from './special-functions.ts';

/** Points of a quadrature at most. */
const POINTS_MAX = 2e6;

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

function rdpOfLeaf(leaf: LeafEvent, order: number): number {
  if (!(order > 1 && order < Infinity))
    throw new PulsefoldError('FIELD_OUT_OF_RANGE', 'a Rényi order exceeds 1');
  if (leaf.type === 'fixed_size_sampled')
    return isSilent(leaf) ? 0 : renyiDivergence(fixedSizeLaw(leaf, order), order);
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
  if (mechanism.type === 'laplace' || mechanism.type === 'discrete_laplace')
    return isSilent(mechanism) ? 0 : largerOf((direction) => pureLaw(mechanism, rate, direction), order);
  return Number.isInteger(order) ? sampledMomentBound(rate, order, mechanismCurve(mechanism)) : Infinity;
}

/** The larger divergence of both directions. */
const largerOf = (law: (direction: 'add' | 'remove') => LossLaw, order: number): number =>
  Math.max(renyiDivergence(law('remove'), order), renyiDivergence(law('add'), order));

const rdpOfMechanism = (event: MechanismEvent, order: number): number => mechanismCurve(event)(order);

/** RDP of one unsampled mechanism as a function of the order; the parameters are read once. */
function mechanismCurve(event: MechanismEvent): (order: number) => number {
  switch (event.type) {
    case 'gaussian':
    case 'tree_aggregation':
    case 'banded_matrix_factorisation':
    case 'clip_quantile': {
      const ratio = rationalToNumber(gaussianRatio(event));
      return (order) => (order / 2) * ratio;
    }
    case 'laplace':
    case 'discrete_laplace':
    case 'randomised_response':
      return pureCurve(event);
    case 'mixture_of_gaussians':
      return (order) =>
        isSilent(event) ? 0 : largerOf((direction) => mixtureLaw(event, direction, order), order);
    case 'discrete_gaussian': {
      // Equal to the continuous Gaussian's for integer shifts (arXiv 2004.00010, on Rényi divergences of the discrete Gaussian).
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

/** Both directions have one law, and it is the same for every order. */
function pureCurve(event: PureEvent): (order: number) => number {
  if (isSilent(event)) return () => 0;
  const law = pureLaw(event, 1, 'remove');
  if (event.type !== 'laplace') return (order) => renyiDivergence(law, order);
  const ratio = pureEpsilon(event);
  return (order) => {
    // Where they cancel, quadrature does not.
    if (order * ratio < 0.01) return renyiDivergence(law, order);
    const logs = [
      Math.log(order / (2 * order - 1)) + (order - 1) * ratio,
      Math.log((order - 1) / (2 * order - 1)) - order * ratio,
    ];
    return logSumExp(logs) / (order - 1);
  };
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

/** Poisson-sampled Gaussian (sensitivity 1, deviation sigma) at any order: the larger of both directions. */
export function sampledGaussianRdp(rate: number, sigma: number, order: number): number {
  // Too many points: a sampled release is at least no worse than an unsampled one (quasi-convexity).
  if ((order + 24 * sigma) / Math.min(sigma / 8, sigma * sigma) > POINTS_MAX)
    return order / (2 * sigma * sigma);
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
