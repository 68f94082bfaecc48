/**
 * Events as canonical JSON with exact rationals as text, and back. Trusts: nothing, `eventFromPlain` takes hostile
 * values. May be called by: events.ts.
 */
import { ensure, PulsefoldError } from '../error.ts';
import { unsupported } from './event-checks.ts';
import type { Adjacency, DpEvent, MechanismEvent } from './event-types.ts';
import { formatRational, parseRational, type Rational } from './rational.ts';

export const DEPTH_MAX = 16;

/** The plain object whose JSON is canonical: fields always in this order. */
export function eventToPlain(event: DpEvent): object {
  switch (event.type) {
    case 'composed':
      return { type: event.type, events: event.events.map(eventToPlain) };
    case 'self_composed':
      return { type: event.type, count: event.count, event: eventToPlain(event.event) };
    case 'poisson_sampled':
      return {
        type: event.type,
        samplingRate: formatRational(event.samplingRate),
        event: eventToPlain(event.event),
      };
    case 'fixed_size_sampled':
      return {
        type: event.type,
        populationSize: event.populationSize,
        batchSize: event.batchSize,
        event: eventToPlain(event.event),
      };
    default:
      return {
        type: event.type,
        unit: event.unit,
        neighbouring: event.neighbouring,
        ...mechanismFields(event),
      };
  }
}

function mechanismFields(event: MechanismEvent): object {
  switch (event.type) {
    case 'gaussian':
      return {
        sensitivitySquared: formatRational(event.sensitivitySquared),
        variance: formatRational(event.variance),
      };
    case 'discrete_gaussian':
      return {
        sensitivitySquared: event.sensitivitySquared.toString(),
        variance: formatRational(event.variance),
        ...(event.dimension === undefined ? {} : { dimension: event.dimension }),
      };
    case 'distributed_discrete_gaussian':
      return {
        sensitivitySquared: event.sensitivitySquared.toString(),
        varianceLocal: formatRational(event.varianceLocal),
        noiseShares: event.noiseShares,
        dimension: event.dimension,
      };
    case 'laplace':
      return { sensitivity: formatRational(event.sensitivity), scale: formatRational(event.scale) };
    case 'discrete_laplace':
      return { sensitivity: event.sensitivity.toString(), scale: formatRational(event.scale) };
    case 'randomised_response':
      return { truthProbability: formatRational(event.truthProbability), categories: event.categories };
    case 'mixture_of_gaussians':
      return {
        variance: formatRational(event.variance),
        components: event.components.map(({ sensitivity, probability }) => ({
          sensitivity: formatRational(sensitivity),
          probability: formatRational(probability),
        })),
      };
    case 'tree_aggregation':
    case 'banded_matrix_factorisation':
      return {
        ...(event.type === 'tree_aggregation'
          ? {}
          : { coefficients: event.coefficients.map(formatRational) }),
        sensitivitySquared: formatRational(event.sensitivitySquared),
        variance: formatRational(event.variance),
        steps: event.steps,
        participationsMax: event.participationsMax,
        separationMin: event.separationMin,
      };
    case 'clip_quantile':
      return { variance: formatRational(event.variance) };
  }
}

const malformed = (message: string): never => {
  throw new PulsefoldError('MALFORMED_MESSAGE', message);
};

/** Reads fields of one plain object. */
class Fields {
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(plain: unknown) {
    if (typeof plain !== 'object' || plain === null) malformed('an event must be an object');
    this.#fields = plain as Record<string, unknown>;
  }
  has(name: string): boolean {
    return this.#fields[name] !== undefined;
  }
  raw(name: string): unknown {
    return this.#fields[name];
  }
  text(name: string): string {
    const value = this.#fields[name];
    return typeof value === 'string' ? value : malformed(`event field ${name}: expected text`);
  }
  whole(name: string): number {
    const value = this.#fields[name];
    return Number.isSafeInteger(value)
      ? (value as number)
      : malformed(`event field ${name}: expected a whole number`);
  }
  list(name: string): readonly unknown[] {
    const value = this.#fields[name];
    return Array.isArray(value) ? value : malformed(`event field ${name}: expected a list`);
  }
  rational(name: string): Rational {
    return parseRational(this.text(name));
  }
  integer(name: string): bigint {
    const value = this.rational(name);
    ensure(value.denominator === 1n, 'MALFORMED_MESSAGE', `event field ${name}: expected an integer`);
    return value.numerator;
  }
}

/** The event that `eventToPlain` wrote; not yet checked by the accountants' rules. @throws MALFORMED_MESSAGE, UNSUPPORTED_EVENT. */
export function eventFromPlain(plain: unknown, depth = 0): DpEvent {
  if (depth > DEPTH_MAX) malformed(`an event must be an object, nested at most ${DEPTH_MAX} deep`);
  const fields = new Fields(plain);
  const type = fields.text('type');
  switch (type) {
    case 'composed':
      return { type, events: fields.list('events').map((child) => eventFromPlain(child, depth + 1)) };
    case 'self_composed':
      return { type, count: fields.whole('count'), event: eventFromPlain(fields.raw('event'), depth + 1) };
    case 'poisson_sampled':
      return {
        type,
        samplingRate: fields.rational('samplingRate'),
        event: eventFromPlain(fields.raw('event'), depth + 1) as MechanismEvent,
      };
    case 'fixed_size_sampled':
      return {
        type,
        populationSize: fields.whole('populationSize'),
        batchSize: fields.whole('batchSize'),
        event: eventFromPlain(fields.raw('event'), depth + 1) as MechanismEvent,
      };
    default:
      return mechanismFromFields(type, fields);
  }
}

function mechanismFromFields(type: string, fields: Fields): MechanismEvent {
  const adjacency = () => ({
    unit: fields.text('unit') as Adjacency['unit'],
    neighbouring: fields.text('neighbouring') as Adjacency['neighbouring'],
  });
  const gaussian = () => ({
    ...adjacency(),
    sensitivitySquared: fields.rational('sensitivitySquared'),
    variance: fields.rational('variance'),
  });
  const participation = () => ({
    steps: fields.whole('steps'),
    participationsMax: fields.whole('participationsMax'),
    separationMin: fields.whole('separationMin'),
  });
  switch (type) {
    case 'gaussian':
      return { type, ...gaussian() };
    case 'discrete_gaussian':
      return {
        type,
        ...adjacency(),
        sensitivitySquared: fields.integer('sensitivitySquared'),
        variance: fields.rational('variance'),
        ...(fields.has('dimension') ? { dimension: fields.whole('dimension') } : {}),
      };
    case 'distributed_discrete_gaussian':
      return {
        type,
        ...adjacency(),
        sensitivitySquared: fields.integer('sensitivitySquared'),
        varianceLocal: fields.rational('varianceLocal'),
        noiseShares: fields.whole('noiseShares'),
        dimension: fields.whole('dimension'),
      };
    case 'laplace':
      return {
        type,
        ...adjacency(),
        sensitivity: fields.rational('sensitivity'),
        scale: fields.rational('scale'),
      };
    case 'discrete_laplace':
      return {
        type,
        ...adjacency(),
        sensitivity: fields.integer('sensitivity'),
        scale: fields.rational('scale'),
      };
    case 'randomised_response':
      return {
        type,
        ...adjacency(),
        truthProbability: fields.rational('truthProbability'),
        categories: fields.whole('categories'),
      };
    case 'mixture_of_gaussians':
      return {
        type,
        ...adjacency(),
        variance: fields.rational('variance'),
        components: fields.list('components').map((one) => {
          const component = new Fields(one);
          return {
            sensitivity: component.rational('sensitivity'),
            probability: component.rational('probability'),
          };
        }),
      };
    case 'tree_aggregation':
      return { type, ...gaussian(), ...participation() };
    case 'banded_matrix_factorisation':
      return {
        type,
        coefficients: fields
          .list('coefficients')
          .map((one) =>
            typeof one === 'string'
              ? parseRational(one)
              : malformed('event field coefficients: expected text'),
          ),
        ...gaussian(),
        ...participation(),
      };
    case 'clip_quantile':
      return { type, ...adjacency(), variance: fields.rational('variance') };
    default:
      return unsupported(`no accountant knows the event type '${type.slice(0, 40)}'`);
  }
}
