/**
 * What makes an event one that accountants may read: parameters in range, unit and neighbouring relation named, sampling
 * only where a theorem covers it. Trusts: nothing. May be called by: events.ts.
 */
import { PulsefoldError } from '../error.ts';
import type {
  FixedSizeSampledEvent,
  MechanismEvent,
  Participation,
  PoissonSampledEvent,
} from './event-types.ts';
import { addRational, compareRational, ONE, type Rational, ZERO } from './rational.ts';

export const unsupported = (message: string): never => {
  throw new PulsefoldError('UNSUPPORTED_EVENT', message);
};

const CATEGORIES_MAX = 1_000_000;
const COMPONENTS_MAX = 1000;
/** So that sums over all steps stay quick. */
export const STEPS_MAX = 1 << 20;
export const BANDS_MAX = 4096;

const isCount = (value: number, least: number, most = Number.MAX_SAFE_INTEGER): boolean =>
  Number.isSafeInteger(value) && value >= least && value <= most;

function checkScale(name: string, sensitivity: Rational, noise: Rational): void {
  if (noise.numerator <= 0n || sensitivity.numerator < 0n)
    unsupported(`a ${name} event needs a positive amount of noise and a sensitivity of at least 0`);
}

function checkParticipation({ steps, participationsMax, separationMin }: Participation): void {
  if (!isCount(steps, 1, STEPS_MAX)) unsupported(`steps: a whole number from 1 to ${STEPS_MAX}`);
  if (!isCount(participationsMax, 1) || !isCount(separationMin, 1))
    unsupported('participations and their separation are whole numbers of at least 1');
}

const whole = (value: bigint): Rational => ({ numerator: value, denominator: 1n });

/** @throws UNSUPPORTED_EVENT. */
export function checkMechanism(event: MechanismEvent): MechanismEvent {
  if (event.unit !== 'person' && event.unit !== 'record')
    unsupported('an event must name its unit: person or record');
  if (!['add_or_remove', 'zero_out', 'replace_one'].includes(event.neighbouring))
    unsupported('an event must name its neighbouring relation: add_or_remove, zero_out or replace_one');
  switch (event.type) {
    case 'gaussian':
      checkScale('Gaussian', event.sensitivitySquared, event.variance);
      return event;
    case 'discrete_gaussian':
      checkScale('discrete Gaussian', whole(event.sensitivitySquared), event.variance);
      if (event.dimension !== undefined && !isCount(event.dimension, 1))
        unsupported('the dimension of a discrete Gaussian is a whole number of at least 1');
      return event;
    case 'distributed_discrete_gaussian':
      checkScale('discrete Gaussian', whole(event.sensitivitySquared), event.varianceLocal);
      if (!isCount(event.noiseShares, 1)) unsupported('a distributed event needs at least one noise share');
      if (!isCount(event.dimension, 1)) unsupported('a distributed event needs its dimension');
      // arXiv 2102.06387, Theorem 1: the sum of several is close to one discrete Gaussian for σ ≥ 1/2 only.
      if (event.noiseShares > 1 && 4n * event.varianceLocal.numerator < event.varianceLocal.denominator)
        unsupported('a distributed discrete Gaussian of several shares needs a variance of at least 1/4');
      return event;
    case 'laplace':
      checkScale('Laplace', event.sensitivity, event.scale);
      return event;
    case 'discrete_laplace':
      checkScale('discrete Laplace', whole(event.sensitivity), event.scale);
      return event;
    case 'randomised_response':
      if (!isCount(event.categories, 2, CATEGORIES_MAX))
        unsupported(`randomised response has 2 to ${CATEGORIES_MAX} categories`);
      if (
        compareRational(event.truthProbability, ZERO) <= 0 ||
        compareRational(event.truthProbability, ONE) >= 0
      )
        unsupported('randomised response tells the truth with a probability strictly between 0 and 1');
      return event;
    case 'mixture_of_gaussians':
      return checkMixture(event);
    case 'tree_aggregation':
      checkScale('tree aggregation', event.sensitivitySquared, event.variance);
      checkParticipation(event);
      return event;
    case 'banded_matrix_factorisation':
      checkScale('matrix factorisation', event.sensitivitySquared, event.variance);
      checkParticipation(event);
      if (!isCount(event.coefficients.length, 1, Math.min(event.steps, BANDS_MAX)))
        unsupported(`a banded factorisation has 1 to ${BANDS_MAX} coefficients, no more than steps`);
      return event;
    case 'clip_quantile':
      checkScale('clip quantile', ONE, event.variance);
      return event;
  }
}

function checkMixture(event: Extract<MechanismEvent, { type: 'mixture_of_gaussians' }>): MechanismEvent {
  if (!isCount(event.components.length, 1, COMPONENTS_MAX))
    unsupported(`a mixture of Gaussians has 1 to ${COMPONENTS_MAX} components`);
  let sum = ZERO;
  for (const { sensitivity, probability } of event.components) {
    checkScale('mixture of Gaussians', sensitivity, event.variance);
    if (probability.numerator < 0n) unsupported('probabilities of a mixture are at least 0');
    sum = addRational(sum, probability);
  }
  if (compareRational(sum, ONE) !== 0) unsupported('the probabilities of a mixture of Gaussians sum to 1');
  if (event.neighbouring === 'replace_one')
    unsupported('a mixture of Gaussians is accounted for add_or_remove and zero_out, not for replace_one');
  return event;
}

const POISSON_INNER: readonly string[] = [
  'gaussian',
  'discrete_gaussian',
  'distributed_discrete_gaussian',
  'laplace',
  'discrete_laplace',
];

/** @throws UNSUPPORTED_EVENT. */
export function checkPoisson(event: PoissonSampledEvent): PoissonSampledEvent {
  const { samplingRate, event: inner } = event;
  if (samplingRate.numerator < 0n || samplingRate.numerator > samplingRate.denominator)
    unsupported('a sampling rate lies between 0 and 1');
  if (!POISSON_INNER.includes(inner.type))
    unsupported('only a single Gaussian or Laplace mechanism may be Poisson-sampled');
  checkMechanism(inner);
  if (inner.neighbouring === 'replace_one')
    unsupported('Poisson sampling is accounted for add_or_remove and zero_out, not for replace_one');
  return event;
}

/** @throws UNSUPPORTED_EVENT. */
export function checkFixedSize(event: FixedSizeSampledEvent): FixedSizeSampledEvent {
  const { populationSize, batchSize, event: inner } = event;
  if (!isCount(populationSize, 1) || !isCount(batchSize, 0, populationSize))
    unsupported('a fixed-size batch has 0 to populationSize records');
  if (inner.type !== 'gaussian') unsupported('only a Gaussian mechanism may be sampled at a fixed size');
  checkMechanism(inner);
  // Removing a record changes who else is drawn: the theorem is about one record replaced (zeroed: a special case).
  if (inner.neighbouring === 'add_or_remove')
    unsupported('sampling at a fixed size is accounted for replace_one and zero_out, not for add_or_remove');
  return event;
}
