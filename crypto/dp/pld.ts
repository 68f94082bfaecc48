/**
 * The PLD accountant: ε(δ) and δ(ε) of a composition as certified brackets, the worse of both directions.
 *
 * Reported, and a gate only for a plan that is frozen before round 1 (DESIGN §5): the filter stays on zCDP and RDP.
 * Gaussian releases (trees and banded factorisations too) compose in closed form; everything else by its loss law.
 * The parameters of a plan must be fixed in advance: this is not a bound for adaptively chosen ones.
 * Trusts: nothing. May be called by: reports, plan checks, the command line.
 */
import { ensure } from '../error.ts';
import { type DpEvent, type LeafEvent, mergedLeaves } from './events.ts';
import { type Bracket, OneDirection, type Part } from './loss-bracket.ts';
import type { Direction, LossLaw } from './loss-law.ts';
import { fixedSizeLaw, isCertain, isSilent, poissonLaw } from './loss-pairs.ts';
import {
  addRational,
  multiplyRational,
  type Rational,
  rational,
  rationalToNumber,
  ZERO,
} from './rational.ts';
import { gaussianRatio } from './sensitivity.ts';

export type { Bracket } from './loss-bracket.ts';

/** Releases of one composition at most; rounding errors grow with them and are part of the bracket. */
const RELEASES_MAX = 1e9;
/** Each kind costs milliseconds. */
const KINDS_MAX = 2000;
export const DELTA_MIN = 1e-45;
const EPSILON_MAX = 1e6;

/** δ and ε of one event tree; made once, asked often. @throws UNSUPPORTED_EVENT. */
export class PrivacyLoss {
  readonly #directions: readonly OneDirection[];

  constructor(event: DpEvent) {
    const leaves = mergedLeaves(event).filter(({ event: leaf }) => !isSilent(leaf));
    const releases = leaves.reduce((sum, { count }) => sum + count, 0);
    ensure(
      releases <= RELEASES_MAX,
      'UNSUPPORTED_EVENT',
      `the PLD accountant takes at most ${RELEASES_MAX} releases: account them by RDP`,
    );
    ensure(
      leaves.length <= KINDS_MAX,
      'UNSUPPORTED_EVENT',
      `the PLD accountant takes at most ${KINDS_MAX} different releases: account them by RDP`,
    );
    let gaussian: Rational = ZERO;
    const others: { event: LeafEvent; count: number }[] = [];
    for (const { event: leaf, count } of leaves) {
      const ratio = gaussianRatioOf(leaf);
      if (ratio) gaussian = addRational(gaussian, multiplyRational(ratio, rational(count)));
      else others.push({ event: leaf, count });
    }
    const variance = rationalToNumber(gaussian);
    const symmetric = others.every(({ event: leaf }) => isSymmetric(leaf));
    this.#directions = (symmetric ? (['remove'] as const) : (['remove', 'add'] as const)).map(
      (direction) =>
        new OneDirection(
          others.map(({ event: leaf, count }): Part => ({ law: lawOf(leaf, direction), count })),
          variance,
        ),
    );
  }

  /** ε_low ≤ ε ≤ ε_up at 1e-45 ≤ δ < 1. @throws FIELD_OUT_OF_RANGE. */
  epsilon(delta: number): Bracket {
    ensure(
      delta >= DELTA_MIN && delta < 1,
      'FIELD_OUT_OF_RANGE',
      `the PLD accountant takes delta from ${DELTA_MIN} to below 1`,
    );
    return worse(this.#directions.map((direction) => direction.epsilon(delta)));
  }

  /** δ_low ≤ δ ≤ δ_up at 0 ≤ ε ≤ 1e6. @throws FIELD_OUT_OF_RANGE. */
  delta(epsilon: number): Bracket {
    ensure(
      epsilon >= 0 && epsilon <= EPSILON_MAX,
      'FIELD_OUT_OF_RANGE',
      `the PLD accountant takes epsilon from 0 to ${EPSILON_MAX}`,
    );
    return worse(this.#directions.map((direction) => direction.delta(epsilon)));
  }
}

const worse = (brackets: readonly Bracket[]): Bracket => ({
  low: Math.max(...brackets.map(({ low }) => low)),
  high: Math.max(...brackets.map(({ high }) => high)),
});

/** μ² where the leaf is a Gaussian mechanism. */
export function gaussianRatioOf(leaf: LeafEvent): Rational | undefined {
  switch (leaf.type) {
    case 'poisson_sampled':
      return isCertain(leaf) ? gaussianRatioOf(leaf.event) : undefined;
    case 'fixed_size_sampled':
      return leaf.batchSize === leaf.populationSize ? gaussianRatioOf(leaf.event) : undefined;
    case 'gaussian':
    case 'tree_aggregation':
    case 'banded_matrix_factorisation':
    case 'clip_quantile':
      return gaussianRatio(leaf);
    default:
      return undefined;
  }
}

/** Whether both directions have the same law. */
const isSymmetric = (leaf: LeafEvent): boolean =>
  leaf.type === 'poisson_sampled' ? isCertain(leaf) : leaf.type !== 'mixture_of_gaussians';

function lawOf(leaf: LeafEvent, direction: Direction): LossLaw {
  if (leaf.type === 'fixed_size_sampled') return fixedSizeLaw(leaf);
  if (leaf.type === 'poisson_sampled')
    return poissonLaw(leaf.event, rationalToNumber(leaf.samplingRate), direction);
  return poissonLaw(leaf, 1, direction);
}

/** `new PrivacyLoss(event).epsilon(delta)`. */
export const pldEpsilon = (event: DpEvent, delta: number): Bracket => new PrivacyLoss(event).epsilon(delta);

/** `new PrivacyLoss(event).delta(epsilon)`. */
export const pldDelta = (event: DpEvent, epsilon: number): Bracket => new PrivacyLoss(event).delta(epsilon);
