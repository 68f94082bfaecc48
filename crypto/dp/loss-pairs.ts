/**
 * From events to the laws of their privacy loss: which pair dominates which event in which direction.
 *
 * Trusts: events that events.ts has checked. May be called by: pld.ts, rdp.ts.
 */
import { unsupported } from './event-checks.ts';
import type {
  DiscreteLaplaceEvent,
  FixedSizeSampledEvent,
  LaplaceEvent,
  MechanismEvent,
  MixtureOfGaussiansEvent,
  PoissonSampledEvent,
  RandomisedResponseEvent,
} from './event-types.ts';
import {
  type Direction,
  discreteLaplaceLaw,
  fixedSizeGaussianLaw,
  gaussianMixtureLaw,
  type LossLaw,
  laplaceLaw,
  randomisedResponseLaw,
} from './loss-law.ts';
import { divideRational, rational, rationalToNumber } from './rational.ts';
import { gaussianRatio } from './sensitivity.ts';

/** Outcomes of a discrete law that are enumerated at most. */
const SHIFT_MAX = 10_000n;
const DEVIATION_MAX = 1e4;

export type PureEvent = LaplaceEvent | DiscreteLaplaceEvent | RandomisedResponseEvent;

/** The loss of one pure mechanism, Poisson-sampled at `rate`. */
export function pureLaw(event: PureEvent, rate: number, direction: Direction): LossLaw {
  switch (event.type) {
    case 'laplace':
      return laplaceLaw(rationalToNumber(divideRational(event.sensitivity, event.scale)), rate, direction);
    case 'discrete_laplace':
      if (event.sensitivity > SHIFT_MAX)
        unsupported(`a discrete Laplace event of a sensitivity above ${SHIFT_MAX}: account it as laplace`);
      return discreteLaplaceLaw(rationalToNumber(event.scale), Number(event.sensitivity), rate, direction);
    case 'randomised_response':
      return randomisedResponseLaw(
        rationalToNumber(event.truthProbability),
        event.categories,
        rate,
        direction,
      );
  }
}

/** Whether the outcomes of a scalar discrete Gaussian are few enough to be enumerated. */
export const isEnumerable = (variance: number, shift: bigint): boolean =>
  shift <= SHIFT_MAX && variance <= DEVIATION_MAX ** 2;

export function mixtureLaw(event: MixtureOfGaussiansEvent, direction: Direction, order = 0): LossLaw {
  const deviation = Math.sqrt(rationalToNumber(event.variance));
  const shifts = event.components
    .map(({ sensitivity, probability }) => ({
      shift: rationalToNumber(sensitivity) / deviation,
      probability: rationalToNumber(probability),
    }))
    .filter(({ probability }) => probability > 0)
    .sort((a, b) => a.shift - b.shift);
  return gaussianMixtureLaw(shifts, direction, order * shifts.at(-1)!.shift);
}

/** The law of a batch of fixed size, the same in both directions. */
export function fixedSizeLaw(event: FixedSizeSampledEvent, order = 0): LossLaw {
  const shift = Math.sqrt(rationalToNumber(gaussianRatio(gaussianInside(event.event))));
  return fixedSizeGaussianLaw(shift, event.batchSize / event.populationSize, order * shift);
}

function gaussianInside(event: MechanismEvent) {
  return event.type === 'gaussian' ? event : unsupported('only a Gaussian may be sampled at a fixed size');
}

/** The law of one mechanism, Poisson-sampled at `rate` > 0 (1: not sampled). @throws UNSUPPORTED_EVENT. */
export function poissonLaw(event: MechanismEvent, rate: number, direction: Direction): LossLaw {
  switch (event.type) {
    case 'gaussian': {
      const shift = Math.sqrt(rationalToNumber(gaussianRatio(event)));
      return gaussianMixtureLaw(
        [
          { shift: 0, probability: 1 - rate },
          { shift, probability: rate },
        ],
        direction,
      );
    }
    case 'laplace':
    case 'discrete_laplace':
    case 'randomised_response':
      return pureLaw(event, rate, direction);
    case 'mixture_of_gaussians':
      return mixtureLaw(event, direction);
    default:
      return unsupported(`the PLD of ${event.type} is not known: account it by RDP or zCDP`);
  }
}

/** Whether nothing can be learned from an event, so that it costs nothing. */
export function isSilent(event: MechanismEvent | PoissonSampledEvent | FixedSizeSampledEvent): boolean {
  switch (event.type) {
    case 'poisson_sampled':
      return event.samplingRate.numerator === 0n || isSilent(event.event);
    case 'fixed_size_sampled':
      return event.batchSize === 0 || isSilent(event.event);
    case 'gaussian':
    case 'tree_aggregation':
    case 'banded_matrix_factorisation':
      return event.sensitivitySquared.numerator === 0n;
    case 'discrete_gaussian':
    case 'distributed_discrete_gaussian':
      return event.sensitivitySquared === 0n;
    case 'laplace':
      return event.sensitivity.numerator === 0n;
    case 'discrete_laplace':
      return event.sensitivity === 0n;
    case 'mixture_of_gaussians':
      return event.components.every(
        ({ sensitivity, probability }) => sensitivity.numerator === 0n || probability.numerator === 0n,
      );
    case 'randomised_response':
      return rationalToNumber(event.truthProbability) === 1 / event.categories;
    case 'clip_quantile':
      return false;
  }
}

/** Whether a Poisson rate is exactly 1, so that nothing is sampled. */
export const isCertain = ({ samplingRate }: PoissonSampledEvent): boolean =>
  samplingRate.numerator === samplingRate.denominator;

/** ρ ≥ 0 of a pure mechanism: ε-DP is min(ε²/2, ε)-zCDP (Bun, Steinke 2016, Proposition 3.3; D_α ≤ ε ≤ αε). */
export function pureRho(event: PureEvent): number {
  const epsilon = pureEpsilon(event);
  return Math.min((epsilon * epsilon) / 2, epsilon);
}

/** The largest loss of a pure mechanism. */
export function pureEpsilon(event: PureEvent): number {
  switch (event.type) {
    case 'laplace':
      return rationalToNumber(divideRational(event.sensitivity, event.scale));
    case 'discrete_laplace':
      return rationalToNumber(divideRational(rational(event.sensitivity), event.scale));
    case 'randomised_response': {
      const truth = rationalToNumber(event.truthProbability);
      return Math.abs(Math.log((truth * (event.categories - 1)) / (1 - truth)));
    }
  }
}
