/**
 * RDP → (ε, δ), in both directions, and the budget a fixed order leaves (Canonne, Kamath, Steinke 2020,
 * Proposition 12; also Balle et al. 2020, Theorem 21):
 *
 *   ε(δ) = ε_α + ln(1 − 1/α) − ln(δ·α)/(α − 1).
 *
 * The zCDP conversions, minimised over all real orders, are in zcdp.ts and re-exported here.
 * Trusts: nothing. May be called by: accountants, the ledger, the auditor.
 */
import { ensure } from '../error.ts';

export { rhoForBudget, zcdpToDelta, zcdpToEpsilon } from './zcdp.ts';

function checkOrder(order: number): void {
  ensure(order > 1 && order < Infinity, 'FIELD_OUT_OF_RANGE', 'a Rényi order exceeds 1');
}

/** What one order costs beyond its RDP: ε(δ) − ε_α. */
function overhead(order: number, delta: number): number {
  checkOrder(order);
  ensure(delta > 0 && delta < 1, 'FIELD_OUT_OF_RANGE', 'delta lies strictly between 0 and 1');
  return Math.log1p(-1 / order) - Math.log(delta * order) / (order - 1);
}

/** ε of RDP `rdp` at one order, ≥ 0. */
export const rdpToEpsilonAt = (order: number, rdp: number, delta: number): number =>
  Math.max(0, rdp + overhead(order, delta));

/** Smallest ε over the orders, and the order that gives it. `rdp[i]` belongs to `orders[i]`. */
export function rdpToEpsilon(
  orders: readonly number[],
  rdp: readonly number[],
  delta: number,
): { epsilon: number; order: number } {
  ensure(
    orders.length > 0 && orders.length === rdp.length,
    'VECTOR_LENGTH_MISMATCH',
    'one RDP value per order',
  );
  let best = { epsilon: Infinity, order: orders[0]! };
  for (let i = 0; i < orders.length; i++) {
    const epsilon = rdpToEpsilonAt(orders[i]!, rdp[i]!, delta);
    if (epsilon < best.epsilon) best = { epsilon, order: orders[i]! };
  }
  return best;
}

/** Smallest δ over the orders for a given ε, at most 1. */
export function rdpToDelta(
  orders: readonly number[],
  rdp: readonly number[],
  epsilon: number,
): { delta: number; order: number } {
  ensure(
    orders.length > 0 && orders.length === rdp.length,
    'VECTOR_LENGTH_MISMATCH',
    'one RDP value per order',
  );
  let best = { delta: 1, order: orders[0]! };
  for (let i = 0; i < orders.length; i++) {
    const order = orders[i]!;
    checkOrder(order);
    const logDelta = (order - 1) * (rdp[i]! - epsilon + Math.log1p(-1 / order)) - Math.log(order);
    const delta = Math.min(1, Math.exp(logDelta));
    if (delta < best.delta) best = { delta, order };
  }
  return best;
}

/** B(α): the largest RDP at `order` that still converts to (ε, δ); negative when the order cannot reach it at all. */
export const rdpLimit = (order: number, epsilon: number, delta: number): number =>
  epsilon - overhead(order, delta);
