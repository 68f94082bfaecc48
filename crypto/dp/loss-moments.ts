/**
 * Rényi divergence at an order α > 1 from the law of a privacy loss, to about 1e-12 relative.
 *
 * With u = e^(−L) − 1 and p = 1 − α the moment E_P[e^((α−1)L)] is E[(1+u)^p]; as E_P[u] = 0 it exceeds 1 by
 * E[(1+u)^p − 1 − pu], whose integrand is ≥ 0: nothing cancels.
 * Trusts: the law. May be called by: rdp.ts.
 */
import type { LossLaw } from './loss-law.ts';
import { gaussLegendre, log1pExp, logBernoulliExcess, logSumExp } from './special-functions.ts';

const QUADRATURE = gaussLegendre(16);

/** Above it an order is not worth the time; no bound is always a bound. */
const CELLS_MAX = 8000;

/** ln((1+u)^p − 1 − pu) at u = e^(−loss) − 1. */
const logExcess = (power: number, loss: number): number =>
  logBernoulliExcess(power, loss < -700 ? Infinity : Math.expm1(-loss), -loss);

/** D_α of a law, Infinity where it would take too long; its tails must be negligible at that order (`moreDeviations`). */
export function renyiDivergence(law: LossLaw, order: number): number {
  const power = 1 - order;
  const logs = law.atoms.map(({ mass, loss }) => Math.log(mass) + logExcess(power, loss));
  for (const { low, high, stepMax, logDensity, loss } of law.pieces) {
    // The integrand turns with order·loss, too.
    const turns = (order * Math.abs(loss(high) - loss(low))) / 3;
    const cells = Math.ceil(Math.max((high - low) / stepMax, turns));
    if (cells > CELLS_MAX) return Infinity;
    const half = (high - low) / cells / 2;
    for (let cell = 0; cell < cells; cell++)
      for (let i = 0; i < QUADRATURE.nodes.length; i++) {
        const x = low + half * (2 * cell + 1 + QUADRATURE.nodes[i]!);
        logs.push(Math.log(half * QUADRATURE.weights[i]!) + logDensity(x) + logExcess(power, loss(x)));
      }
  }
  return log1pExp(logSumExp(logs.filter((value) => value > -Infinity))) / (order - 1);
}
