/**
 * The second accountant: RDP at integer orders and zCDP, written from the papers and sharing no code with
 * crypto/dp, so that one mistake does not confirm itself.
 *
 * Sources: Canonne–Kamath–Steinke arXiv 2004.00010 (discrete Gaussian, conversion), Kairouz–Liu–Steinke
 * arXiv 2102.06387 (sums of discrete Gaussians, τ), Mironov–Talwar–Zhang arXiv 1908.10530 (Poisson sampling
 * by the binomial sum). Trusts: nothing. May be called by: auditor/.
 */

/** One round's mechanism in plain numbers; integer units. */
export interface MechanismTerms {
  /** D², squared L2 sensitivity. */
  readonly sensitivitySquared: number;
  /** Variance of one noise share. */
  readonly shareVariance: number;
  /** Honest shares in the sum; 1 for a single discrete (or continuous) Gaussian. */
  readonly shares: number;
  readonly dimension: number;
  /** Poisson rate; 1 means no amplification. */
  readonly samplingRate: number;
}

/** At 'zcdp' an amount is ρ, at a number it is RDP of that order. */
export type AccountOrder = number | 'zcdp';

/** τ = 10 Σ_{k=1}^{n−1} exp(−2π² σ² k/(k+1)), arXiv 2102.06387 Theorem 1. */
export function tau(shareVariance: number, shares: number): number {
  let total = 0;
  for (let k = 1; k < shares; k++) total += Math.exp((-2 * Math.PI * Math.PI * shareVariance * k) / (k + 1));
  return 10 * total;
}

/** Unsampled RDP at any order α > 1: the smaller of the two bounds of arXiv 2102.06387, Theorem 1. */
function gaussianRdp(terms: MechanismTerms, order: number): number {
  const ratio = terms.sensitivitySquared / (terms.shares * terms.shareVariance);
  const distance = tau(terms.shareVariance, terms.shares);
  const additive = (order * ratio) / 2 + distance * terms.dimension;
  const norm = Math.sqrt(ratio) + distance * Math.sqrt(terms.dimension);
  return Math.min(additive, (order * norm * norm) / 2);
}

function logSumExp(values: readonly number[]): number {
  const largest = Math.max(...values);
  if (largest === Number.NEGATIVE_INFINITY) return largest;
  return largest + Math.log(values.reduce((total, value) => total + Math.exp(value - largest), 0));
}

/** ln C(n, k) by Σ ln((n−k+i)/i). */
function logBinomial(n: number, k: number): number {
  let total = 0;
  for (let i = 1; i <= k; i++) total += Math.log((n - k + i) / i);
  return total;
}

/**
 * RDP at an integer order ≥ 2 with Poisson sampling: ln Σ_k C(α,k)(1−q)^{α−k} q^k e^{(k−1)·rdp(k)} / (α−1).
 */
function sampledRdp(terms: MechanismTerms, order: number): number {
  const logs: number[] = [];
  for (let k = 0; k <= order; k++) {
    const moment = k < 2 ? 0 : (k - 1) * gaussianRdp(terms, k);
    logs.push(
      logBinomial(order, k) +
        (order - k) * Math.log1p(-terms.samplingRate) +
        k * Math.log(terms.samplingRate) +
        moment,
    );
  }
  return Math.max(0, logSumExp(logs)) / (order - 1);
}

/**
 * What one round costs at `order`; Infinity where this accountant has no bound (sampling with zCDP or at an
 * order that is no integer).
 */
export function chargeOf(terms: MechanismTerms, order: AccountOrder): number {
  if (terms.samplingRate === 0) return 0;
  // The theorem on sums of discrete Gaussians asks for σ ≥ 1/2.
  if (terms.shares > 1 && 4 * terms.shareVariance < 1) return Number.POSITIVE_INFINITY;
  const sampled = terms.samplingRate < 1;
  if (order === 'zcdp') {
    if (sampled) return Number.POSITIVE_INFINITY;
    const ratio = terms.sensitivitySquared / (terms.shares * terms.shareVariance);
    const norm = Math.sqrt(ratio) + tau(terms.shareVariance, terms.shares) * Math.sqrt(terms.dimension);
    return (norm * norm) / 2;
  }
  if (!sampled) return gaussianRdp(terms, order);
  return Number.isInteger(order) && order >= 2 ? sampledRdp(terms, order) : Number.POSITIVE_INFINITY;
}

/** ε = R + ln(1 − 1/α) − ln(δα)/(α−1), arXiv 2004.00010 Proposition 12. */
const convert = (rdp: number, order: number, delta: number): number =>
  rdp + Math.log1p(-1 / order) - Math.log(delta * order) / (order - 1);

/** ε at δ of an accumulated amount, never negative; nothing spent is 0. */
export function epsilonOf(amount: number, order: AccountOrder, delta: number): number {
  if (amount === 0) return 0;
  if (order !== 'zcdp') return Math.max(0, convert(amount, order, delta));
  // ρ-zCDP is (α, ρα)-RDP for all α; the bound has one minimum in ln(α−1), found by golden section.
  const at = (logExcess: number): number => {
    const alpha = 1 + Math.exp(logExcess);
    return convert(amount * alpha, alpha, delta);
  };
  const ratio = (Math.sqrt(5) - 1) / 2;
  let low = -30;
  let high = 30;
  for (let i = 0; i < 200; i++) {
    const left = high - ratio * (high - low);
    const right = low + ratio * (high - low);
    if (at(left) < at(right)) high = right;
    else low = left;
  }
  return Math.max(0, at((low + high) / 2));
}
