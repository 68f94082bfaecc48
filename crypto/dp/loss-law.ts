/**
 * The privacy loss of one release: the law of L = ln P(x)/Q(x), x ~ P, for a pair (P, Q) that dominates a mechanism
 * between neighbours, in the shape that the PLD accountant discretises (loss-atoms.ts).
 *
 * Pairs: Gaussian, Laplace, discrete Gaussian and Laplace (scalar), k-ary randomised response; Poisson sampling of each
 * (Zhu, Dong, Wang 2022, arXiv 2106.08567, on Poisson sampling: the mixture against the unsampled law, both directions); mixtures
 * of Gaussians (arXiv 2310.15526, §4); sampling without replacement under replace-one (arXiv 2106.08567,
 * its appendix on subsets: one side's pair above loss 0, the other's below).
 * 'remove' puts the law with the person's data first (P), 'add' puts it second.
 * Trusts: nothing. May be called by: loss-pairs.ts.
 */

import { normalTail } from './special-functions.ts';

export type Direction = 'add' | 'remove';

/** P-mass at one finite loss. */
export interface LossAtom {
  readonly mass: number;
  readonly loss: number;
}

/** A stretch low ≤ x ≤ high on which P has a density and the loss is monotone and smooth. */
export interface LossPiece {
  readonly low: number;
  readonly high: number;
  /** Cells no wider than this are integrated to 1e-14 by eight Gauss–Legendre points. */
  readonly stepMax: number;
  readonly logDensity: (x: number) => number;
  readonly loss: (x: number) => number;
}

export interface LossLaw {
  readonly atoms: readonly LossAtom[];
  readonly pieces: readonly LossPiece[];
  /** What lies outside atoms and pieces: P-mass at most `mass`, loss at most `lossMax` (maybe Infinity). */
  readonly tails: readonly { readonly mass: number; readonly lossMax: number }[];
  /** Supremum of the loss; Infinity where there is none. */
  readonly lossMax: number;
  /** P-mass of exactly that supremum, 0 where it is not attained. */
  readonly lossMaxMass: number;
}

/** Tail that is cut off from unbounded laws, per release: P-mass 1e-60 or less. */
const TAIL_DEVIATIONS = 16.5;
const TAIL_MASS = 1e-60;

const LOG_SQRT_2PI = Math.log(2 * Math.PI) / 2;

/** ln(1 − q + q·e^z) without cancellation. */
export function logMixture(rate: number, z: number): number {
  if (rate === 1) return z;
  if (z > 30) return z + Math.log(rate) + Math.log1p(((1 - rate) / rate) * Math.exp(-z));
  const excess = rate * Math.expm1(z);
  return excess > -0.5 ? Math.log1p(excess) : Math.log(1 - rate + rate * Math.exp(z));
}

/** One component of a mixture of Gaussians: shift in units of the deviation, and its probability. */
export interface Shift {
  readonly shift: number;
  readonly probability: number;
}

/**
 * Σ p_i N(shift_i, 1) against N(0, 1), shifts ≥ 0 in units of σ. Poisson sampling at rate q is
 * [{shift: 0, probability: 1 − q}, {shift: 1/σ, probability: q}]. moreDeviations: how much further than TAIL_MASS needs
 * the tails are kept, for high moments.
 */
export function gaussianMixtureLaw(
  shifts: readonly Shift[],
  direction: Direction,
  moreDeviations = 0,
): LossLaw {
  const largest = Math.max(...shifts.map(({ shift }) => shift));
  const weight = mixtureWeight(shifts);
  const sign = direction === 'remove' ? 1 : -1;
  const low = -TAIL_DEVIATIONS - moreDeviations;
  const high = TAIL_DEVIATIONS + moreDeviations + (direction === 'remove' ? largest : 0);
  const logDensity =
    direction === 'remove'
      ? (x: number) => weight(x) - (x * x) / 2 - LOG_SQRT_2PI
      : (x: number) => (-x * x) / 2 - LOG_SQRT_2PI;
  const loss = (x: number) => sign * weight(x);
  const zero = shifts.reduce((sum, { shift, probability }) => (shift === 0 ? sum + probability : sum), 0);
  return {
    atoms: [],
    pieces: [{ low, high, stepMax: Math.min(0.25, 0.75 / largest), logDensity, loss }],
    tails:
      direction === 'remove'
        ? [
            { mass: TAIL_MASS, lossMax: loss(low) },
            { mass: TAIL_MASS, lossMax: Infinity },
          ]
        : [
            { mass: TAIL_MASS, lossMax: zero > 0 ? -Math.log(zero) : Infinity },
            { mass: TAIL_MASS, lossMax: loss(high) },
          ],
    lossMax: direction === 'add' && zero > 0 ? -Math.log(zero) : Infinity,
    lossMaxMass: 0,
  };
}

/** x ↦ ln Σ p_i exp(x·shift_i − shift_i²/2). */
function mixtureWeight(shifts: readonly Shift[]): (x: number) => number {
  const [first, second] = shifts;
  if (shifts.length === 2 && first!.shift === 0) {
    const { shift, probability } = second!;
    return (x) => logMixture(probability, x * shift - (shift * shift) / 2);
  }
  const terms = shifts.map(({ shift, probability }) => ({
    shift,
    base: Math.log(probability) - (shift * shift) / 2,
  }));
  return (x) => {
    let largest = -Infinity;
    for (const { shift, base } of terms) largest = Math.max(largest, base + x * shift);
    let sum = 0;
    for (const { shift, base } of terms) sum += Math.exp(base + x * shift - largest);
    return largest + Math.log(sum);
  };
}

/**
 * Laplace noise, shift/scale = `ratio`, Poisson-sampled at `rate` (1: not sampled). Between the two centres the
 * unsampled loss y runs from −ratio to ratio with density e^(−(ratio−y)/2)/4 under the shifted law; beyond them it is
 * constant.
 */
export function laplaceLaw(ratio: number, rate: number, direction: Direction): LossLaw {
  // Masses under the law with the record (with) and without (base), as functions of the unsampled loss of `with`.
  const top = { with: 0.5, base: 0.5 * Math.exp(-ratio) };
  const bottom = { with: 0.5 * Math.exp(-ratio), base: 0.5 };
  const mixed = (part: { with: number; base: number }) =>
    direction === 'remove' ? rate * part.with + (1 - rate) * part.base : part.base;
  const sign = direction === 'remove' ? 1 : -1;
  const lossOf = (y: number) => sign * logMixture(rate, y);
  // ln of the base law's density, and of the mixture's.
  const logBase = (y: number) => -(ratio + y) / 2 - Math.log(4);
  const logDensity = direction === 'remove' ? (y: number) => logBase(y) + logMixture(rate, y) : logBase;
  const highest = direction === 'remove' ? { at: ratio, part: top } : { at: -ratio, part: bottom };
  return {
    atoms: [
      { mass: mixed(top), loss: lossOf(ratio) },
      { mass: mixed(bottom), loss: lossOf(-ratio) },
    ],
    pieces: ratio > 0 ? [{ low: -ratio, high: ratio, stepMax: 0.5, logDensity, loss: lossOf }] : [],
    tails: [],
    lossMax: lossOf(highest.at),
    lossMaxMass: mixed(highest.part),
  };
}

/** A pair on finitely many outcomes: P(with) and P(without), Poisson-sampled at `rate`. Masses must each sum to 1 − tails. */
export function discreteLaw(
  outcomes: readonly { readonly with: number; readonly logRatio: number }[],
  rate: number,
  direction: Direction,
  tails: LossLaw['tails'] = [],
): LossLaw {
  const sign = direction === 'remove' ? 1 : -1;
  const atoms = outcomes.map(({ with: mass, logRatio }) => {
    const base = mass * Math.exp(-logRatio);
    return {
      mass: direction === 'remove' ? rate * mass + (1 - rate) * base : base,
      loss: sign * logMixture(rate, logRatio),
    };
  });
  const atomMax = atoms.reduce((most, { loss }) => Math.max(most, loss), -Infinity);
  const lossMax = tails.reduce((most, tail) => Math.max(most, tail.lossMax), atomMax);
  const mass = atoms.reduce((sum, atom) => (atom.loss === lossMax ? sum + atom.mass : sum), 0);
  return { atoms, pieces: [], tails, lossMax, lossMaxMass: mass };
}

/** Scalar discrete Gaussian N_Z(0, variance) shifted by the integer `shift` ≥ 1, at most 200,000 outcomes. */
export function discreteGaussianLaw(
  variance: number,
  shift: number,
  rate: number,
  direction: Direction,
): LossLaw {
  const reach = Math.ceil(TAIL_DEVIATIONS * Math.sqrt(variance)) + 2;
  let total = 0;
  for (let x = reach + shift; x >= 1; x--) total += 2 * Math.exp((-x * x) / (2 * variance));
  total += 1;
  const outcomes: { with: number; logRatio: number }[] = [];
  for (let x = -reach; x <= reach + shift; x++)
    outcomes.push({
      with: Math.exp((-(x - shift) * (x - shift)) / (2 * variance)) / total,
      logRatio: ((2 * x - shift) * shift) / (2 * variance),
    });
  // Beyond `reach` both ways; above, the loss of 'remove' is unbounded, of 'add' it stays under −ln(1 − rate).
  const below = logMixture(rate, ((-2 * reach - shift) * shift) / (2 * variance));
  const above = logMixture(rate, ((2 * reach + shift) * shift) / (2 * variance));
  const capped = rate < 1 ? -Math.log1p(-rate) : Infinity;
  return discreteLaw(
    outcomes,
    rate,
    direction,
    direction === 'remove'
      ? [
          { mass: TAIL_MASS, lossMax: below },
          { mass: TAIL_MASS, lossMax: Infinity },
        ]
      : [
          { mass: TAIL_MASS, lossMax: capped },
          { mass: TAIL_MASS, lossMax: -above },
        ],
  );
}

/** Discrete Laplace P(x) ∝ e^(−|x|/scale), shifted by the integer `shift`: exact, shift + 1 outcomes. */
export function discreteLaplaceLaw(
  scale: number,
  shift: number,
  rate: number,
  direction: Direction,
): LossLaw {
  const decay = Math.exp(-1 / scale);
  // P(X ≥ 0) of noise centred at 0: 1/(1 + e^(−1/scale)); a single point costs (1 − decay)/(1 + decay).
  const side = 1 / (1 + decay);
  const point = -Math.expm1(-1 / scale) / (1 + decay);
  const outcomes = [
    { with: side * Math.exp(-shift / scale), logRatio: -shift / scale },
    { with: side, logRatio: shift / scale },
  ];
  for (let x = 1; x < shift; x++)
    outcomes.push({ with: point * Math.exp(-(shift - x) / scale), logRatio: (2 * x - shift) / scale });
  return discreteLaw(outcomes, rate, direction);
}

/** k-ary randomised response: the truth with probability p, each other answer with (1 − p)/(k − 1). */
export function randomisedResponseLaw(
  truth: number,
  categories: number,
  rate: number,
  direction: Direction,
): LossLaw {
  const other = (1 - truth) / (categories - 1);
  const epsilon = Math.abs(Math.log(truth / other));
  const [high, low] = truth >= other ? [truth, other] : [other, truth];
  const outcomes = [
    { with: high, logRatio: epsilon },
    { with: low, logRatio: -epsilon },
  ];
  if (categories > 2) outcomes.push({ with: (categories - 2) * other, logRatio: 0 });
  return discreteLaw(outcomes, rate, direction);
}

/**
 * Gaussian (shift 1/σ = `shift`) on a batch drawn without replacement, one record replaced; rate = batch/population.
 * Where P exceeds Q the pair is (mixture, Q), where Q exceeds P it is (P, mixture); what they leave over has loss 0.
 * Under replace-one both directions have this law.
 */
export function fixedSizeGaussianLaw(shift: number, rate: number, moreDeviations = 0): LossLaw {
  const middle = shift / 2;
  const logBase = (x: number) => (-x * x) / 2 - LOG_SQRT_2PI;
  const z = (x: number) => x * shift - (shift * shift) / 2;
  const stepMax = Math.min(0.25, 0.75 / shift);
  // Above the middle: (1−q)·N(0) + q·N(shift) against N(0). Below: N(shift) against q·N(0) + (1−q)·N(shift).
  const above = (x: number) => logMixture(rate, z(x));
  const below = (x: number) => -logMixture(rate, -z(x));
  // The two stretches carry 1 − (1−q)·TV of the mass; TV = 2Φ(shift/2) − 1.
  const overlap = 2 * (0.5 - normalTail(middle));
  const rest = (1 - rate) * overlap;
  return {
    atoms: rest > 0 ? [{ mass: rest, loss: 0 }] : [],
    pieces: [
      {
        low: middle,
        high: TAIL_DEVIATIONS + moreDeviations + shift,
        stepMax,
        logDensity: (x) => logBase(x) + above(x),
        loss: above,
      },
      {
        low: -TAIL_DEVIATIONS,
        high: middle,
        stepMax,
        logDensity: (x) => logBase(x - shift),
        loss: below,
      },
    ],
    tails: [
      { mass: TAIL_MASS, lossMax: Infinity },
      { mass: TAIL_MASS, lossMax: 0 },
    ],
    lossMax: Infinity,
    lossMaxMass: 0,
  };
}
