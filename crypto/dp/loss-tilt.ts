/**
 * Moments of a composition at a real tilt θ: ln E_P[e^(θL)] and its derivatives, and the Chernoff constant that turns it
 * into a bound on δ. Trusts: nothing. May be called by: loss-line.ts, loss-composition.ts, loss-bracket.ts.
 */
import type { Atoms } from './loss-atoms.ts';

/** `count` releases, each with these atoms. */
export interface Term {
  readonly atoms: Atoms;
  readonly count: number;
}

/** ln M(θ) and its first two derivatives, from atoms and a Gaussian of the given μ². */
export interface Moments {
  readonly log: number;
  readonly mean: number;
  readonly variance: number;
}

export function moments(terms: readonly Term[], gaussianVariance: number, tilt: number): Moments {
  let log = (gaussianVariance * tilt * (tilt + 1)) / 2;
  let mean = gaussianVariance * (tilt + 0.5);
  let variance = gaussianVariance;
  for (const { atoms, count } of terms) {
    const one = atomMoments(atoms, tilt);
    log += count * one.log;
    mean += count * one.mean;
    variance += count * one.variance;
  }
  return { log, mean, variance };
}

export function atomMoments({ masses, losses, count }: Atoms, tilt: number): Moments {
  let largest = -Infinity;
  for (let i = 0; i < count; i++) largest = Math.max(largest, tilt * losses[i]!);
  let sum = 0;
  let first = 0;
  for (let i = 0; i < count; i++) {
    const weight = masses[i]! * Math.exp(tilt * losses[i]! - largest);
    sum += weight;
    first += weight * losses[i]!;
  }
  const mean = first / sum;
  let second = 0;
  for (let i = 0; i < count; i++) {
    const distance = losses[i]! - mean;
    second += masses[i]! * Math.exp(tilt * losses[i]! - largest) * distance * distance;
  }
  return { log: largest + Math.log(sum), mean, variance: second / sum };
}

/** ln sup_y (1 − e^(−y))·e^(−θy) = θ·ln θ − (1+θ)·ln(1+θ): turns moments into δ (the RDP conversion). */
export const logChernoffConstant = (tilt: number): number =>
  tilt === 0 ? 0 : tilt * Math.log(tilt) - (1 + tilt) * Math.log1p(tilt);
