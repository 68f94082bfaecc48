/**
 * One door to the accountants: ε at δ, δ at ε, by 'pld', 'rdp' or 'zcdp', always as a bracket.
 *
 * The upper end is what may be promised. The lower end is the PLD's, which no accountant can undercut: it shows what a
 * looser one gives away; 0 where no PLD is known. Trusts: nothing. May be called by: reports, the command line, tests.
 */
import { ensure, isPulsefoldError } from '../error.ts';
import { rdpToDelta, rdpToEpsilonAt } from './conversion.ts';
import { type DpEvent, mergedLeaves } from './events.ts';
import type { Bracket } from './loss-bracket.ts';
import { PrivacyLoss } from './pld.ts';
import { INTEGER_ORDERS, rdp } from './rdp.ts';
import { zcdp, zcdpToDelta, zcdpToEpsilon } from './zcdp.ts';

export type Accountant = 'pld' | 'rdp' | 'zcdp';
export const ACCOUNTANTS: readonly Accountant[] = ['pld', 'rdp', 'zcdp'];

/** Orders that are tried first; where fractional ones have a bound, the best is refined between its neighbours. */
const FIRST_ORDERS: readonly number[] = [
  1.01, 1.03, 1.1, 1.2, 1.35, 1.5, 1.75, 2, 2.3, 2.6, 3, 3.5, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 32, 40,
  48, 64, 96, 128, 192, 256, 512, 1024, 4096, 16384, 65536,
];
const REFINEMENTS = 24;
const WIDE = 1e-2;

/** The tree with equal leaves merged, so that each is evaluated once per order. */
function compacted(event: DpEvent): DpEvent {
  return {
    type: 'composed',
    events: mergedLeaves(event).map(({ event: leaf, count }) => ({
      type: 'self_composed',
      event: leaf,
      count,
    })),
  };
}

/** The order that minimises `value(α, rdp(α))`: on a ladder, then by golden section. Integer orders only: the best of those. */
function bestOrder(event: DpEvent, value: (order: number, rdp: number) => number): number {
  const at = (order: number) => value(order, rdp(event, order));
  const orders = rdp(event, 1.5) < Infinity ? FIRST_ORDERS : INTEGER_ORDERS;
  const values: number[] = [];
  for (const order of orders) {
    values.push(at(order));
    // Both bounds fall and then rise with the order, at last to Infinity.
    const [first, second, third] = values.slice(-3);
    if (values.length > 4 && third! >= second! && second! >= first! && third! > Math.min(...values)) break;
    if (third === Infinity && values.length > 4 && Math.min(...values) < Infinity) break;
  }
  const best = values.indexOf(Math.min(...values));
  if (orders === INTEGER_ORDERS) return orders[best]!;
  // On ln(α − 1), where the bounds are well scaled.
  let low = Math.log(orders[Math.max(0, best - 1)]! - 1);
  let high = Math.log(orders[Math.min(orders.length - 1, best + 1)]! - 1);
  const golden = (Math.sqrt(5) - 1) / 2;
  const point = (x: number) => at(1 + Math.exp(x));
  let left = high - golden * (high - low);
  let right = low + golden * (high - low);
  let atLeft = point(left);
  let atRight = point(right);
  for (let i = 0; i < REFINEMENTS; i++) {
    if (atLeft < atRight) {
      [high, right, atRight] = [right, left, atLeft];
      left = high - golden * (high - low);
      atLeft = point(left);
    } else {
      [low, left, atLeft] = [left, right, atRight];
      right = low + golden * (high - low);
      atRight = point(right);
    }
  }
  return 1 + Math.exp(atLeft < atRight ? left : right);
}

/** ε of an event tree at δ. @throws UNSUPPORTED_EVENT, FIELD_OUT_OF_RANGE. */
export function accountEpsilon(accountant: Accountant, event: DpEvent, delta: number): Bracket {
  ensure(delta > 0 && delta < 1, 'FIELD_OUT_OF_RANGE', 'delta lies strictly between 0 and 1');
  if (accountant === 'pld') {
    const { low, high } = new PrivacyLoss(event).epsilon(delta);
    // Noise of a few units on a vector leaves the PLD a wide bracket, or none: then the Rényi bound may be better.
    return { low, high: high - low > WIDE ? Math.min(high, rdpEpsilon(event, delta).epsilon) : high };
  }
  const high = upperEpsilon(accountant, event, delta);
  return {
    low: Math.min(
      high,
      lowerEnd(() => new PrivacyLoss(event).epsilon(delta)),
    ),
    high,
  };
}

/** The upper end alone. @throws UNSUPPORTED_EVENT, FIELD_OUT_OF_RANGE. */
export function upperEpsilon(accountant: Accountant, event: DpEvent, delta: number): number {
  if (accountant === 'pld') return accountEpsilon(accountant, event, delta).high;
  return accountant === 'zcdp' ? zcdpToEpsilon(zcdp(event), delta).epsilon : rdpEpsilon(event, delta).epsilon;
}

/** δ of an event tree at ε ≥ 0. @throws UNSUPPORTED_EVENT, FIELD_OUT_OF_RANGE. */
export function accountDelta(accountant: Accountant, event: DpEvent, epsilon: number): Bracket {
  ensure(epsilon >= 0 && epsilon < Infinity, 'FIELD_OUT_OF_RANGE', 'epsilon must be at least 0');
  if (accountant === 'pld') return new PrivacyLoss(event).delta(epsilon);
  const high = accountant === 'zcdp' ? zcdpToDelta(zcdp(event), epsilon) : rdpDelta(event, epsilon).delta;
  return {
    low: Math.min(
      high,
      lowerEnd(() => new PrivacyLoss(event).delta(epsilon)),
    ),
    high,
  };
}

/** Smallest ε over all orders that have a bound, and the order. */
export function rdpEpsilon(event: DpEvent, delta: number): { epsilon: number; order: number } {
  const compact = compacted(event);
  if (compact.type === 'composed' && compact.events.length === 0) return { epsilon: 0, order: Infinity };
  const order = bestOrder(compact, (alpha, value) => rdpToEpsilonAt(alpha, value, delta));
  return { epsilon: rdpToEpsilonAt(order, rdp(compact, order), delta), order };
}

/** Smallest δ over all orders that have a bound, and the order. */
export function rdpDelta(event: DpEvent, epsilon: number): { delta: number; order: number } {
  const compact = compacted(event);
  if (compact.type === 'composed' && compact.events.length === 0) return { delta: 0, order: Infinity };
  const deltaAt = (alpha: number, value: number) =>
    (alpha - 1) * (value - epsilon + Math.log1p(-1 / alpha)) - Math.log(alpha);
  const order = bestOrder(compact, deltaAt);
  return rdpToDelta([order], [rdp(compact, order)], epsilon);
}

function lowerEnd(bracket: () => Bracket): number {
  try {
    return bracket().low;
  } catch (error) {
    if (isPulsefoldError(error)) return 0;
    throw error;
  }
}
