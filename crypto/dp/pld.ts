/**
 * The PLD accountant: ε(δ) and δ(ε) of a composition as certified brackets, the worse of both directions.
 *
 * Reported, and a gate only for a plan that is frozen before round 1 (DESIGN §5): the filter stays on zCDP and RDP.
 * Gaussian releases (trees and banded factorisations too) compose in closed form; everything else by its loss law.
 * The parameters of a plan must be fixed in advance: this is not a bound for adaptively chosen ones.
 * Trusts: nothing. May be called by: reports, plan checks, the command line.
 */
import { ensure } from '../error.ts';
import type { MechanismEvent } from './event-types.ts';
import { type DpEvent, type LeafEvent, mergedLeaves } from './events.ts';
import { type Bracket, OneDirection, type Part } from './loss-bracket.ts';
import { type Direction, discreteGaussianLaw, gaussianMixtureLaw, type LossLaw } from './loss-law.ts';
import { fixedSizeLaw, isCertain, isEnumerable, isSilent, poissonLaw } from './loss-pairs.ts';
import { type DiscreteVectorEvent, nearGaussian, scalarOf } from './near-gaussian.ts';
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

interface Counted {
  readonly event: LeafEvent;
  readonly count: number;
}

/** One bound of a composition: mechanisms with a known law, and the factor exp(±slack) between them and the event. */
interface Side {
  readonly directions: readonly OneDirection[];
  readonly slack: number;
}

/** δ and ε of one event tree; made once, asked often. @throws UNSUPPORTED_EVENT. */
export class PrivacyLoss {
  readonly #upper: Side;
  readonly #lower: Side;

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
    this.#upper = sideOf(leaves, 'upper');
    // Where every law is known as it is, one side serves for both.
    const exact = leaves.every(({ event: leaf }) => !isNear(leaf));
    this.#lower = exact ? this.#upper : sideOf(leaves, 'lower');
  }

  /** ε_low ≤ ε ≤ ε_up at 1e-45 ≤ δ < 1. @throws FIELD_OUT_OF_RANGE. */
  epsilon(delta: number): Bracket {
    ensure(
      delta >= DELTA_MIN && delta < 1,
      'FIELD_OUT_OF_RANGE',
      `the PLD accountant takes delta from ${DELTA_MIN} to below 1`,
    );
    const high = delta * Math.exp(-this.#upper.slack);
    const low = delta * Math.exp(this.#lower.slack);
    return {
      low: low < 1 ? Math.max(0, worst(this.#lower, (of) => of.epsilon(low).low) - 2 * this.#lower.slack) : 0,
      high:
        high >= DELTA_MIN / 2
          ? worst(this.#upper, (of) => of.epsilon(high).high) + 2 * this.#upper.slack
          : Infinity,
    };
  }

  /** δ_low ≤ δ ≤ δ_up at 0 ≤ ε ≤ 1e6. @throws FIELD_OUT_OF_RANGE. */
  delta(epsilon: number): Bracket {
    ensure(
      epsilon >= 0 && epsilon <= EPSILON_MAX,
      'FIELD_OUT_OF_RANGE',
      `the PLD accountant takes epsilon from 0 to ${EPSILON_MAX}`,
    );
    const at = epsilon - 2 * this.#upper.slack;
    const high = worst(this.#upper, (of) => of.delta(Math.max(0, at)).high);
    const low = worst(this.#lower, (of) => of.delta(epsilon + 2 * this.#lower.slack).low);
    return {
      low: low > 0 ? Math.exp(-this.#lower.slack) * low : 0,
      // Below ε = 0: P(E) − e^ε·Q(E) = (P(E) − Q(E)) + (1 − e^ε)·Q(E).
      high: at > -1 ? Math.min(1, Math.exp(this.#upper.slack) * (high - Math.expm1(Math.min(0, at)))) : 1,
    };
  }
}

const worst = ({ directions }: Side, of: (direction: OneDirection) => number): number =>
  Math.max(...directions.map(of));

/** The mechanism of a leaf and how likely a unit takes part in it. */
const mechanismOf = (leaf: LeafEvent): { readonly event: MechanismEvent; readonly rate: number } | null => {
  if (leaf.type === 'fixed_size_sampled') return null;
  if (leaf.type === 'poisson_sampled')
    return { event: leaf.event, rate: rationalToNumber(leaf.samplingRate) };
  return { event: leaf, rate: 1 };
};

const isVector = (event: MechanismEvent): event is DiscreteVectorEvent =>
  event.type === 'discrete_gaussian' || event.type === 'distributed_discrete_gaussian';

/** Whether the law of a leaf is known only between two others. */
function isNear(leaf: LeafEvent): boolean {
  const event = mechanismOf(leaf)?.event;
  if (!event || !isVector(event)) return false;
  return enumerable(event)?.slack !== 0;
}

/** The scalar that a discrete Gaussian is, where its outcomes can be enumerated. */
function enumerable(event: DiscreteVectorEvent) {
  const scalar = scalarOf(event);
  return scalar && isEnumerable(scalar.variance, scalar.shift) ? scalar : null;
}

function sideOf(leaves: readonly Counted[], side: 'upper' | 'lower'): Side {
  let gaussian: Rational = ZERO;
  let variance = 0;
  let slack = 0;
  const laws: { law: (direction: Direction) => LossLaw; count: number; symmetric: boolean }[] = [];
  for (const { event: leaf, count } of leaves) {
    const ratio = gaussianRatioOf(leaf);
    if (ratio) {
      gaussian = addRational(gaussian, multiplyRational(ratio, rational(count)));
      continue;
    }
    const symmetric = isSymmetric(leaf);
    const mechanism = mechanismOf(leaf);
    if (!mechanism || !isVector(mechanism.event)) {
      laws.push({ law: (direction) => lawOf(leaf, direction), count, symmetric });
      continue;
    }
    const { event, rate } = mechanism;
    const scalar = enumerable(event);
    const near = scalar ?? nearGaussian(event, side, count, rate);
    slack += count * near.slack;
    if ('shift' in near) {
      const shift = Number(near.shift);
      const law = (direction: Direction) => discreteGaussianLaw(near.variance, shift, rate, direction);
      laws.push({ law, count, symmetric });
    } else if (near.slack === Infinity) return { slack, directions: [] };
    else if (rate === 1) variance += near.ratio * count;
    else {
      const shifts = [
        { shift: 0, probability: 1 - rate },
        { shift: Math.sqrt(near.ratio), probability: rate },
      ];
      laws.push({ law: (direction) => gaussianMixtureLaw(shifts, direction), count, symmetric });
    }
  }
  variance += rationalToNumber(gaussian);
  const both: readonly Direction[] = laws.every(({ symmetric }) => symmetric)
    ? ['remove']
    : ['remove', 'add'];
  return {
    slack,
    directions: both.map((direction) => {
      const parts = laws.map(({ law, count }): Part => ({ law: law(direction), count }));
      return new OneDirection(parts, variance);
    }),
  };
}

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
