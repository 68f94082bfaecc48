/**
 * The short spellings of releases that people and other tools write, as in
 * [{"mechanism": "poisson_sampled_gaussian", "q": 0.01, "sigma": 2.5, "count": 50}, …], and the events they mean.
 *
 * Amounts may be numbers, read as the decimals they are written in, or exact text ('1/3'). Trusts: nothing: hostile
 * text, read once with caps; every error names the event and the field. May be called by: the command line, benchmarks.
 */
import { ensure, isPulsefoldError, PulsefoldError } from '../error.ts';
import { type Adjacency, type DpEvent, flattenEvent, type LeafEvent } from './events.ts';
import { multiplyRational, parseRational, type Rational, rational, rationalFromNumber } from './rational.ts';

/** Longest text of a list, characters. */
export const EVENT_LIST_LENGTH_MAX = 4 * 1024 * 1024;
const EVENTS_MAX = 100_000;
const EXPONENT_MAX = 30;
const LIST_MAX = 4096;

/** Reads the fields of one event and remembers which were read. */
class EventFields {
  readonly #where: string;
  readonly #fields: ReadonlyMap<string, unknown>;
  readonly #read = new Set<string>(['mechanism']);

  constructor(index: number, plain: unknown) {
    this.#where = `event ${index}`;
    if (typeof plain !== 'object' || plain === null || Array.isArray(plain))
      throw new PulsefoldError('MALFORMED_MESSAGE', `${this.#where}: expected an object with a mechanism`);
    this.#fields = new Map(Object.entries(plain));
  }

  fail(name: string, expected: string): never {
    throw new PulsefoldError('MALFORMED_MESSAGE', `${this.#where}, ${name}: ${expected}`);
  }
  has = (name: string): boolean => this.#fields.has(name);

  #value(name: string): unknown {
    this.#read.add(name);
    return this.#fields.get(name);
  }
  text(name: string): string {
    const value = this.#value(name);
    if (typeof value !== 'string' || value.length > 64) this.fail(name, 'expected a short text');
    return value;
  }
  choice<T extends string>(name: string, choices: readonly T[], fallback: T): T {
    const value = this.has(name) ? this.text(name) : fallback;
    return choices.find((choice) => choice === value) ?? this.fail(name, `expected ${choices.join(', ')}`);
  }
  whole(name: string, fallback?: number): number {
    const value = this.#value(name) ?? fallback;
    if (!Number.isSafeInteger(value)) this.fail(name, 'expected a whole number');
    return value as number;
  }
  number(name: string): number {
    const value = this.#value(name);
    if (typeof value !== 'number' || !Number.isFinite(value)) this.fail(name, 'expected a number');
    return value;
  }
  /** A number as it is written in decimal, or exact text. */
  amount(name: string, fallback?: string): Rational {
    return this.#toRational(name, this.#value(name) ?? fallback);
  }
  amounts(name: string): Rational[] {
    const list = this.#value(name);
    if (!Array.isArray(list) || list.length === 0 || list.length > LIST_MAX)
      this.fail(name, `expected a list of 1 to ${LIST_MAX} numbers`);
    return list.map((one, i) => this.#toRational(`${name}[${i}]`, one));
  }
  squared(name: string): Rational {
    const value = this.amount(name);
    return multiplyRational(value, value);
  }
  integer(name: string, fallback: string): bigint {
    const value = this.amount(name, fallback);
    if (value.denominator !== 1n) this.fail(name, 'expected a whole number');
    return value.numerator;
  }
  /** sigma, or its square as sigma2. */
  variance(): Rational {
    if (this.has('sigma2') && this.has('sigma')) this.fail('sigma2', 'give sigma or sigma2, not both');
    return this.has('sigma2') ? this.amount('sigma2') : this.squared('sigma');
  }

  #toRational(name: string, value: unknown): Rational {
    if (typeof value !== 'string' && !(typeof value === 'number' && Number.isFinite(value)))
      this.fail(name, "expected a number or exact text such as '0.01' or '1/3'");
    const match = /^(.+?)(?:e([+-]?\d{1,3}))?$/i.exec(String(value).slice(0, 80));
    const exponent = Number(match?.[2] ?? 0);
    if (!match || Math.abs(exponent) > EXPONENT_MAX)
      this.fail(name, `expected a number with an exponent of at most ${EXPONENT_MAX}`);
    try {
      const power = rational(10n ** BigInt(Math.abs(exponent)));
      const scale = exponent < 0 ? { numerator: 1n, denominator: power.numerator } : power;
      return multiplyRational(parseRational(match[1]!), scale);
    } catch {
      this.fail(name, "expected a number or exact text such as '0.01' or '1/3'");
    }
  }

  ensureAllRead(): void {
    for (const name of this.#fields.keys())
      if (!this.#read.has(name)) this.fail(name.slice(0, 40), 'this mechanism has no such field');
  }
}

type Reader = (fields: EventFields, adjacency: Adjacency) => LeafEvent;

const gaussian = (fields: EventFields, adjacency: Adjacency) =>
  ({
    type: 'gaussian',
    ...adjacency,
    sensitivitySquared: squareOf(fields.amount('sensitivity', '1')),
    variance: fields.variance(),
  }) as const;
const laplace = (fields: EventFields, adjacency: Adjacency) =>
  ({
    type: 'laplace',
    ...adjacency,
    sensitivity: fields.amount('sensitivity', '1'),
    scale: fields.amount('scale'),
  }) as const;
const discreteGaussian = (fields: EventFields, adjacency: Adjacency) =>
  ({
    type: 'discrete_gaussian',
    ...adjacency,
    sensitivitySquared: fields.integer('sensitivity', '1') ** 2n,
    variance: fields.variance(),
    dimension: fields.whole('dimension', 1),
  }) as const;
const discreteLaplace = (fields: EventFields, adjacency: Adjacency) =>
  ({
    type: 'discrete_laplace',
    ...adjacency,
    sensitivity: fields.integer('sensitivity', '1'),
    scale: fields.amount('scale'),
  }) as const;
const participation = (fields: EventFields) => ({
  steps: fields.whole('steps'),
  participationsMax: fields.whole('participations', 1),
  separationMin: fields.whole('separation', 1),
});

const squareOf = (value: Rational): Rational => multiplyRational(value, value);

const poisson =
  (inner: (fields: EventFields, adjacency: Adjacency) => Extract<LeafEvent, Adjacency>): Reader =>
  (fields, adjacency) => ({
    type: 'poisson_sampled',
    samplingRate: fields.amount('q'),
    event: inner(fields, adjacency),
  });

function randomisedResponse(fields: EventFields, adjacency: Adjacency): LeafEvent {
  const categories = fields.whole('categories', 2);
  if (fields.has('p') === fields.has('epsilon'))
    fields.fail('p', 'give p (chance of the true answer) or epsilon');
  if (fields.has('p'))
    return { type: 'randomised_response', ...adjacency, truthProbability: fields.amount('p'), categories };
  const epsilon = fields.number('epsilon');
  if (!(epsilon >= 0 && epsilon <= 30)) fields.fail('epsilon', 'expected a number from 0 to 30');
  const truth = Math.exp(epsilon) / (Math.exp(epsilon) + categories - 1);
  return {
    type: 'randomised_response',
    ...adjacency,
    truthProbability: rationalFromNumber(truth),
    categories,
  };
}

function mixture(fields: EventFields, adjacency: Adjacency): LeafEvent {
  const sensitivities = fields.amounts('sensitivities');
  const probabilities = fields.amounts('probabilities');
  if (probabilities.length !== sensitivities.length)
    fields.fail('probabilities', 'expected as many as sensitivities');
  return {
    type: 'mixture_of_gaussians',
    ...adjacency,
    variance: fields.variance(),
    components: sensitivities.map((sensitivity, i) => ({ sensitivity, probability: probabilities[i]! })),
  };
}

interface Mechanism {
  /** Its fields, for people. */
  readonly fields: string;
  readonly read: Reader;
}

/** The spellings of `mechanism`; each takes count, neighbouring and unit too. */
const MECHANISMS: Readonly<Record<string, Mechanism>> = {
  gaussian: { fields: 'sigma (or sigma2), sensitivity', read: gaussian },
  poisson_sampled_gaussian: { fields: 'q, sigma (or sigma2), sensitivity', read: poisson(gaussian) },
  fixed_size_sampled_gaussian: {
    fields: 'n, b (a batch of b of n records; neighbouring: replace_one), sigma, sensitivity',
    read: (fields, adjacency) => ({
      type: 'fixed_size_sampled',
      populationSize: fields.whole('n'),
      batchSize: fields.whole('b'),
      event: gaussian(fields, adjacency),
    }),
  },
  laplace: { fields: 'scale, sensitivity', read: laplace },
  poisson_sampled_laplace: { fields: 'q, scale, sensitivity', read: poisson(laplace) },
  discrete_gaussian: {
    fields: 'sigma2 (or sigma), sensitivity (whole), dimension (1)',
    read: discreteGaussian,
  },
  poisson_sampled_discrete_gaussian: {
    fields: 'q, sigma2 (or sigma), sensitivity (whole), dimension (1)',
    read: poisson(discreteGaussian),
  },
  discrete_laplace: { fields: 'scale, sensitivity (whole)', read: discreteLaplace },
  poisson_sampled_discrete_laplace: {
    fields: 'q, scale, sensitivity (whole)',
    read: poisson(discreteLaplace),
  },
  distributed_discrete_gaussian: {
    fields: 'sigma2 (of one share), shares, dimension, sensitivity (whole)',
    read: (fields, adjacency) => ({
      type: 'distributed_discrete_gaussian',
      ...adjacency,
      sensitivitySquared: fields.integer('sensitivity', '1') ** 2n,
      varianceLocal: fields.variance(),
      noiseShares: fields.whole('shares'),
      dimension: fields.whole('dimension'),
    }),
  },
  randomised_response: {
    fields: 'p (chance of the truth) or epsilon, categories (2)',
    read: randomisedResponse,
  },
  mixture_of_gaussians: { fields: 'sigma (or sigma2), sensitivities, probabilities', read: mixture },
  tree_aggregation: {
    fields: 'sigma, steps, participations (1), separation (1: least difference of steps), sensitivity',
    read: (fields, adjacency) => ({
      ...gaussian(fields, adjacency),
      type: 'tree_aggregation',
      ...participation(fields),
    }),
  },
  banded_matrix_factorisation: {
    fields: 'sigma, coefficients, steps, participations (1), separation (1), sensitivity',
    read: (fields, adjacency) => ({
      ...gaussian(fields, adjacency),
      type: 'banded_matrix_factorisation',
      coefficients: fields.amounts('coefficients'),
      ...participation(fields),
    }),
  },
  clip_quantile: {
    fields: 'sigma (of the noise on the bits of adaptive clipping)',
    read: (fields, adjacency) => ({ type: 'clip_quantile', ...adjacency, variance: fields.variance() }),
  },
};

/** Other spellings. */
const ALIASES: Readonly<Record<string, string>> = {
  randomized_response: 'randomised_response',
  banded_matrix_factorization: 'banded_matrix_factorisation',
};

/** Every mechanism with its fields, for help texts. */
export const MECHANISM_FIELDS: readonly (readonly [string, string])[] = Object.entries(MECHANISMS).map(
  ([name, { fields }]) => [name, fields],
);

/** One entry of a list. */
export interface ListedEvent {
  readonly mechanism: string;
  readonly count: number;
  readonly event: DpEvent;
}

function readEvent(plain: unknown, index: number): ListedEvent {
  const fields = new EventFields(index, plain);
  const spelling = fields.text('mechanism');
  const mechanism = Object.hasOwn(ALIASES, spelling) ? ALIASES[spelling]! : spelling;
  const known = Object.hasOwn(MECHANISMS, mechanism) ? MECHANISMS[mechanism] : undefined;
  if (!known)
    throw new PulsefoldError(
      'UNSUPPORTED_EVENT',
      `event ${index}, mechanism: '${mechanism}' is not one of ${Object.keys(MECHANISMS).join(', ')}`,
    );
  const adjacency: Adjacency = {
    unit: fields.choice('unit', ['record', 'person'], 'record'),
    neighbouring: fields.choice(
      'neighbouring',
      ['add_or_remove', 'zero_out', 'replace_one'],
      mechanism === 'fixed_size_sampled_gaussian' ? 'replace_one' : 'add_or_remove',
    ),
  };
  const count = fields.whole('count', 1);
  if (count < 0) fields.fail('count', 'expected a whole number of at least 0');
  const once = known.read(fields, adjacency);
  fields.ensureAllRead();
  const event: DpEvent = { type: 'self_composed', count, event: once };
  try {
    flattenEvent(event);
  } catch (error) {
    if (isPulsefoldError(error)) throw new PulsefoldError(error.code, `event ${index}: ${error.message}`);
    throw error;
  }
  return { mechanism, count, event };
}

/** The whole list, checked event by event. @throws MALFORMED_MESSAGE, UNSUPPORTED_EVENT. */
export function parseEventList(text: string): ListedEvent[] {
  ensure(text.length <= EVENT_LIST_LENGTH_MAX, 'MALFORMED_MESSAGE', 'the events exceed 4 MiB');
  let plain: unknown;
  try {
    plain = JSON.parse(text);
  } catch {
    throw new PulsefoldError(
      'MALFORMED_MESSAGE',
      'the events are not JSON: give a list such as the one in --help',
    );
  }
  ensure(Array.isArray(plain), 'MALFORMED_MESSAGE', 'the events must be a list: [{"mechanism": …}, …]');
  ensure(
    plain.length <= EVENTS_MAX,
    'MALFORMED_MESSAGE',
    `at most ${EVENTS_MAX} events: use count for equal ones`,
  );
  return plain.map((one, index) => readEvent(one, index));
}
