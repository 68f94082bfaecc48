/**
 * Zero-concentrated differential privacy: ρ of events, and the tight conversions between ρ, ε and δ of Canonne, Kamath,
 * Steinke 2020 (arXiv 2004.00010, Proposition 12 and what follows from it for zCDP): minimised over every real order.
 *
 * Trusts: nothing. May be called by: accountants, the ledger, the auditor.
 */
import { ensure, PulsefoldError } from '../error.ts';
import { type DpEvent, flattenEvent, type LeafEvent, type MechanismEvent } from './events.ts';
import { isCertain, pureRho } from './loss-pairs.ts';
import { divideRational, rational, rationalToNumber } from './rational.ts';
import { distributedTau, normalisedSensitivitySquared } from './rdp.ts';
import { gaussianRatio } from './sensitivity.ts';

/** The mechanism that a leaf amounts to without sampling; null where it is sampled, 'nothing' at a rate of 0. */
function unsampled(leaf: LeafEvent): MechanismEvent | 'nothing' | null {
  if (leaf.type === 'poisson_sampled') {
    if (leaf.samplingRate.numerator === 0n) return 'nothing';
    return isCertain(leaf) ? leaf.event : null;
  }
  if (leaf.type === 'fixed_size_sampled') {
    if (leaf.batchSize === 0) return 'nothing';
    return leaf.batchSize === leaf.populationSize ? leaf.event : null;
  }
  return leaf;
}

/** True when zCDP describes the whole tree: nothing in it is sampled at a rate strictly between 0 and 1, or a mixture. */
export const isConcentrated = (event: DpEvent): boolean =>
  flattenEvent(event).every(({ event: leaf }) => {
    const mechanism = unsampled(leaf);
    return mechanism !== null && (mechanism === 'nothing' || mechanism.type !== 'mixture_of_gaussians');
  });

/** ρ of an event tree. @throws UNSUPPORTED_EVENT for a sampled leaf: no ρ holds at every order. */
export function zcdp(event: DpEvent): number {
  let total = 0;
  for (const { event: leaf, count } of flattenEvent(event)) {
    const mechanism = unsampled(leaf);
    if (mechanism === null)
      throw new PulsefoldError(
        'UNSUPPORTED_EVENT',
        `a ${leaf.type === 'poisson_sampled' ? 'Poisson-sampled' : 'sampled'} event has no zCDP bound: account it by RDP`,
      );
    if (mechanism !== 'nothing') total += count * zcdpOfMechanism(mechanism);
  }
  return total;
}

function zcdpOfMechanism(event: MechanismEvent): number {
  switch (event.type) {
    case 'gaussian':
    case 'tree_aggregation':
    case 'banded_matrix_factorisation':
    case 'clip_quantile':
      return rationalToNumber(gaussianRatio(event)) / 2;
    case 'discrete_gaussian':
      return rationalToNumber(divideRational(rational(event.sensitivitySquared), event.variance)) / 2;
    case 'distributed_discrete_gaussian': {
      // Of the two bounds in rdp.ts only this one is linear in α, as zCDP demands.
      const tau = distributedTau(event.noiseShares, rationalToNumber(event.varianceLocal));
      return (Math.sqrt(normalisedSensitivitySquared(event)) + Math.sqrt(event.dimension) * tau) ** 2 / 2;
    }
    case 'laplace':
    case 'discrete_laplace':
    case 'randomised_response':
      return pureRho(event);
    case 'mixture_of_gaussians': {
      // A mixture is no worse than its largest distance (quasi-convexity).
      const largest = event.components
        .filter(({ probability }) => probability.numerator > 0n)
        .map(({ sensitivity }) => rationalToNumber(sensitivity))
        .reduce((most, value) => Math.max(most, value), 0);
      return largest ** 2 / (2 * rationalToNumber(event.variance));
    }
  }
}

/** Smallest ln δ and the order that gives it, for ρ-zCDP at ε. */
function logDeltaOfRho(rho: number, epsilon: number): { logDelta: number; order: number } {
  // d/dα of (α−1)(αρ−ε) + α·ln(1−1/α) − ln(α−1) is (2α−1)ρ − ε + ln(1−1/α): increasing, so bisect its zero.
  let low = 1;
  let high = (epsilon + 1) / (2 * rho) + 2;
  for (let i = 0; i < 200 && low < high; i++) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if ((2 * middle - 1) * rho - epsilon + Math.log1p(-1 / middle) < 0) low = middle;
    else high = middle;
  }
  const order = high;
  const logDelta =
    (order - 1) * (order * rho - epsilon) + order * Math.log1p(-1 / order) - Math.log(order - 1);
  return { logDelta: Math.min(0, logDelta), order };
}

const checkRho = (rho: number) => ensure(rho >= 0, 'FIELD_OUT_OF_RANGE', 'rho must be at least 0');
const checkDelta = (delta: number) =>
  ensure(delta > 0 && delta < 1, 'FIELD_OUT_OF_RANGE', 'delta lies strictly between 0 and 1');
const checkEpsilon = (epsilon: number) =>
  ensure(epsilon >= 0, 'FIELD_OUT_OF_RANGE', 'epsilon must be at least 0');

/** Smallest δ so that ρ-zCDP implies (ε, δ)-DP. */
export function zcdpToDelta(rho: number, epsilon: number): number {
  checkRho(rho);
  checkEpsilon(epsilon);
  return rho === 0 ? 0 : Math.exp(logDeltaOfRho(rho, epsilon).logDelta);
}

/** Smallest ε so that ρ-zCDP implies (ε, δ)-DP, rounded up, and the order that shows it. */
export function zcdpToEpsilon(rho: number, delta: number): { epsilon: number; order: number } {
  checkRho(rho);
  checkDelta(delta);
  if (rho === 0) return { epsilon: 0, order: Infinity };
  const target = Math.log(delta);
  let low = 0;
  let high = rho + 2 * Math.sqrt(rho * -target);
  for (let i = 0; i < 200; i++) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if (logDeltaOfRho(rho, middle).logDelta <= target) high = middle;
    else low = middle;
  }
  return { epsilon: high, order: logDeltaOfRho(rho, high).order };
}

/** Largest ρ so that ρ-zCDP implies (ε, δ)-DP, rounded down. */
export function rhoForBudget(epsilon: number, delta: number): number {
  checkEpsilon(epsilon);
  checkDelta(delta);
  const target = Math.log(delta);
  let low = 0;
  let high = epsilon + 1;
  for (let i = 0; i < 200; i++) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if (logDeltaOfRho(middle, epsilon).logDelta <= target) low = middle;
    else high = middle;
  }
  return low;
}
