/**
 * Zero-concentrated differential privacy: ρ of events, and the tight conversions between ρ, ε and δ of Canonne, Kamath,
 * Steinke 2020 (arXiv 2004.00010, Proposition 12 and Corollary 13): minimised over every real order.
 *
 * Trusts: nothing. May be called by: accountants, the ledger, the auditor.
 */
import { ensure, PulsefoldError } from '../error.ts';
import { type DpEvent, flattenEvent, type MechanismEvent } from './events.ts';
import { divideRational, rational, rationalToNumber } from './rational.ts';
import { distributedTau, normalisedSensitivitySquared } from './rdp.ts';

/** True when the whole tree satisfies zCDP, i.e. nothing in it is Poisson-sampled at a rate below 1. */
export const isConcentrated = (event: DpEvent): boolean =>
  flattenEvent(event).every(
    ({ event: leaf }) =>
      leaf.type !== 'poisson_sampled' ||
      leaf.samplingRate.numerator === 0n ||
      leaf.samplingRate.numerator === leaf.samplingRate.denominator,
  );

/** ρ of an event tree. @throws UNSUPPORTED_EVENT for a Poisson-sampled leaf: no ρ holds at every order. */
export function zcdp(event: DpEvent): number {
  let total = 0;
  for (const { event: leaf, count } of flattenEvent(event)) {
    if (leaf.type !== 'poisson_sampled') total += count * zcdpOfMechanism(leaf);
    else if (leaf.samplingRate.numerator === leaf.samplingRate.denominator)
      total += count * zcdpOfMechanism(leaf.event);
    else if (leaf.samplingRate.numerator !== 0n)
      throw new PulsefoldError(
        'UNSUPPORTED_EVENT',
        'a Poisson-sampled event has no zCDP bound: account it by RDP',
      );
  }
  return total;
}

function zcdpOfMechanism(event: MechanismEvent): number {
  switch (event.type) {
    case 'gaussian':
      return rationalToNumber(divideRational(event.sensitivitySquared, event.variance)) / 2;
    case 'discrete_gaussian':
      return rationalToNumber(divideRational(rational(event.sensitivitySquared), event.variance)) / 2;
    case 'distributed_discrete_gaussian': {
      // Of the two bounds in rdp.ts only this one is linear in α, as zCDP demands.
      const tau = distributedTau(event.noiseShares, rationalToNumber(event.varianceLocal));
      return (Math.sqrt(normalisedSensitivitySquared(event)) + Math.sqrt(event.dimension) * tau) ** 2 / 2;
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
