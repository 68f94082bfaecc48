/**
 * Privacy events: what happened, never an ε. Accountants interpret them (rdp.ts, zcdp.ts); the ledger and the log
 * store them.
 *
 * Every mechanism names its unit and its neighbouring relation; its sensitivity is the L2 distance between
 * neighbouring inputs under that relation. Trusts: nothing; `parseEvent` takes hostile text.
 * May be called by: everyone.
 */
import { ensure, PulsefoldError } from '../error.ts';
import { formatRational, parseRational, type Rational, rational } from './rational.ts';

export interface Adjacency {
  readonly unit: 'person' | 'record';
  /** 'zero_out': one contribution becomes the zero vector, the public cohort stays. */
  readonly neighbouring: 'add_or_remove' | 'zero_out' | 'replace_one';
}

/** Continuous N(0, variance·I): reference values and cross-checks only, no production mechanism draws it. */
export interface GaussianEvent extends Adjacency {
  readonly type: 'gaussian';
  readonly sensitivitySquared: Rational;
  readonly variance: Rational;
}

/** One party adds N_Z(0, variance) to every coordinate of an integer vector. */
export interface DiscreteGaussianEvent extends Adjacency {
  readonly type: 'discrete_gaussian';
  readonly sensitivitySquared: bigint;
  readonly variance: Rational;
}

/** noiseShares honest parties each add N_Z(0, varianceLocal) to every coordinate (arXiv 2102.06387). */
export interface DistributedDiscreteGaussianEvent extends Adjacency {
  readonly type: 'distributed_discrete_gaussian';
  readonly sensitivitySquared: bigint;
  readonly varianceLocal: Rational;
  readonly noiseShares: number;
  readonly dimension: number;
}

export type MechanismEvent = GaussianEvent | DiscreteGaussianEvent | DistributedDiscreteGaussianEvent;

/** Each unit takes part independently with probability samplingRate, and which ones did stays secret. */
export interface PoissonSampledEvent {
  readonly type: 'poisson_sampled';
  readonly samplingRate: Rational;
  readonly event: MechanismEvent;
}

export interface ComposedEvent {
  readonly type: 'composed';
  readonly events: readonly DpEvent[];
}

export interface SelfComposedEvent {
  readonly type: 'self_composed';
  readonly event: DpEvent;
  readonly count: number;
}

export type DpEvent = MechanismEvent | PoissonSampledEvent | ComposedEvent | SelfComposedEvent;

/** A leaf of the tree and how often it happened. */
export interface CountedEvent {
  readonly event: MechanismEvent | PoissonSampledEvent;
  readonly count: number;
}

const DEPTH_MAX = 16;
const LEAVES_MAX = 1_000_000;

const unsupported = (message: string): never => {
  throw new PulsefoldError('UNSUPPORTED_EVENT', message);
};

function checkMechanism(event: MechanismEvent): MechanismEvent {
  if (event.unit !== 'person' && event.unit !== 'record')
    unsupported('an event must name its unit: person or record');
  if (!['add_or_remove', 'zero_out', 'replace_one'].includes(event.neighbouring))
    unsupported('an event must name its neighbouring relation');
  if (event.type === 'gaussian') {
    if (event.variance.numerator <= 0n || event.sensitivitySquared.numerator < 0n)
      unsupported('a Gaussian event needs a positive variance and a sensitivity of at least 0');
    return event;
  }
  const variance = event.type === 'discrete_gaussian' ? event.variance : event.varianceLocal;
  if (variance.numerator <= 0n || event.sensitivitySquared < 0n)
    unsupported('a discrete Gaussian event needs a positive variance and a sensitivity of at least 0');
  if (event.type === 'distributed_discrete_gaussian') {
    if (!Number.isSafeInteger(event.noiseShares) || event.noiseShares < 1)
      unsupported('a distributed event needs at least one noise share');
    if (!Number.isSafeInteger(event.dimension) || event.dimension < 1)
      unsupported('a distributed event needs its dimension');
    // arXiv 2102.06387, Theorem 1: the sum of several is close to one discrete Gaussian for σ ≥ 1/2 only.
    if (event.noiseShares > 1 && 4n * variance.numerator < variance.denominator)
      unsupported('a distributed discrete Gaussian of several shares needs a variance of at least 1/4');
  }
  return event;
}

function checkSampled(event: PoissonSampledEvent): PoissonSampledEvent {
  const { samplingRate, event: inner } = event;
  if (samplingRate.numerator < 0n || samplingRate.numerator > samplingRate.denominator)
    unsupported('a sampling rate lies between 0 and 1');
  if (!['gaussian', 'discrete_gaussian', 'distributed_discrete_gaussian'].includes(inner.type))
    unsupported('only a single Gaussian mechanism may be Poisson-sampled');
  checkMechanism(inner);
  if (inner.neighbouring === 'replace_one')
    unsupported('Poisson sampling is accounted for add_or_remove and zero_out, not for replace_one');
  return event;
}

/**
 * The leaves of a tree with multiplicities, checked. All leaves must share unit and neighbouring relation: ε's of
 * different relations must not be added. @throws UNSUPPORTED_EVENT.
 */
export function flattenEvent(event: DpEvent): CountedEvent[] {
  const leaves: CountedEvent[] = [];
  const walk = (node: DpEvent, count: number, depth: number): void => {
    if (depth > DEPTH_MAX) unsupported(`events nest at most ${DEPTH_MAX} deep`);
    if (leaves.length >= LEAVES_MAX) unsupported(`at most ${LEAVES_MAX} events`);
    switch (node.type) {
      case 'gaussian':
      case 'discrete_gaussian':
      case 'distributed_discrete_gaussian':
        leaves.push({ event: checkMechanism(node), count });
        return;
      case 'poisson_sampled':
        leaves.push({ event: checkSampled(node), count });
        return;
      case 'composed':
        for (const child of node.events) walk(child, count, depth + 1);
        return;
      case 'self_composed': {
        const total = count * node.count;
        if (!Number.isSafeInteger(node.count) || node.count < 0 || !Number.isSafeInteger(total))
          unsupported('a repetition count must be a whole number');
        walk(node.event, total, depth + 1);
        return;
      }
      default:
        unsupported(
          `no accountant knows the event type '${String((node as { type?: unknown }).type).slice(0, 40)}'`,
        );
    }
  };
  walk(event, 1, 0);
  const adjacencies = new Set(leaves.map(({ event: leaf }) => adjacencyKey(leaf)));
  if (adjacencies.size > 1) unsupported('events of different units or neighbouring relations do not compose');
  return leaves;
}

function adjacencyKey(leaf: MechanismEvent | PoissonSampledEvent): string {
  const { unit, neighbouring } = leaf.type === 'poisson_sampled' ? leaf.event : leaf;
  return `${unit}/${neighbouring}`;
}

/** Canonical JSON with exact rationals as text: equal events, equal bytes. */
export function formatEvent(event: DpEvent): string {
  flattenEvent(event);
  return JSON.stringify(toPlain(event));
}

function toPlain(event: DpEvent): unknown {
  switch (event.type) {
    case 'composed':
      return { type: event.type, events: event.events.map(toPlain) };
    case 'self_composed':
      return { type: event.type, count: event.count, event: toPlain(event.event) };
    case 'poisson_sampled':
      return {
        type: event.type,
        samplingRate: formatRational(event.samplingRate),
        event: toPlain(event.event),
      };
    default: {
      const head = { type: event.type, unit: event.unit, neighbouring: event.neighbouring };
      if (event.type === 'gaussian')
        return {
          ...head,
          sensitivitySquared: formatRational(event.sensitivitySquared),
          variance: formatRational(event.variance),
        };
      const sensitivitySquared = event.sensitivitySquared.toString();
      if (event.type === 'discrete_gaussian')
        return { ...head, sensitivitySquared, variance: formatRational(event.variance) };
      return {
        ...head,
        sensitivitySquared,
        varianceLocal: formatRational(event.varianceLocal),
        noiseShares: event.noiseShares,
        dimension: event.dimension,
      };
    }
  }
}

const EVENT_TEXT_LENGTH_MAX = 65_536;

/** Reads `formatEvent`'s text back. @throws MALFORMED_MESSAGE or UNSUPPORTED_EVENT. */
export function parseEvent(text: string): DpEvent {
  ensure(text.length <= EVENT_TEXT_LENGTH_MAX, 'MALFORMED_MESSAGE', 'an event has at most 65,536 characters');
  let plain: unknown;
  try {
    plain = JSON.parse(text);
  } catch {
    throw new PulsefoldError('MALFORMED_MESSAGE', 'an event must be JSON');
  }
  const event = fromPlain(plain, 0);
  flattenEvent(event);
  return event;
}

function fromPlain(plain: unknown, depth: number): DpEvent {
  if (typeof plain !== 'object' || plain === null || depth > DEPTH_MAX)
    throw new PulsefoldError('MALFORMED_MESSAGE', 'an event must be an object, nested at most 16 deep');
  const fields = plain as Record<string, unknown>;
  const text = (name: string): string => {
    const value = fields[name];
    if (typeof value !== 'string')
      throw new PulsefoldError('MALFORMED_MESSAGE', `event field ${name}: expected text`);
    return value;
  };
  const whole = (name: string): number => {
    const value = fields[name];
    if (!Number.isSafeInteger(value))
      throw new PulsefoldError('MALFORMED_MESSAGE', `event field ${name}: expected a whole number`);
    return value as number;
  };
  const integer = (name: string): bigint => {
    const value = parseRational(text(name));
    ensure(value.denominator === 1n, 'MALFORMED_MESSAGE', `event field ${name}: expected an integer`);
    return value.numerator;
  };
  const adjacency = () => ({
    unit: text('unit') as Adjacency['unit'],
    neighbouring: text('neighbouring') as Adjacency['neighbouring'],
  });
  const type = text('type');
  switch (type) {
    case 'composed':
      ensure(Array.isArray(fields.events), 'MALFORMED_MESSAGE', 'a composed event needs its events');
      return { type, events: fields.events.map((child) => fromPlain(child, depth + 1)) };
    case 'self_composed':
      return { type, count: whole('count'), event: fromPlain(fields.event, depth + 1) };
    case 'poisson_sampled':
      return {
        type,
        samplingRate: parseRational(text('samplingRate')),
        event: fromPlain(fields.event, depth + 1) as MechanismEvent,
      };
    case 'gaussian':
      return {
        type,
        ...adjacency(),
        sensitivitySquared: parseRational(text('sensitivitySquared')),
        variance: parseRational(text('variance')),
      };
    case 'discrete_gaussian':
      return {
        type,
        ...adjacency(),
        sensitivitySquared: integer('sensitivitySquared'),
        variance: parseRational(text('variance')),
      };
    case 'distributed_discrete_gaussian':
      return {
        type,
        ...adjacency(),
        sensitivitySquared: integer('sensitivitySquared'),
        varianceLocal: parseRational(text('varianceLocal')),
        noiseShares: whole('noiseShares'),
        dimension: whole('dimension'),
      };
    default:
      return unsupported(`no accountant knows the event type '${type.slice(0, 40)}'`);
  }
}

/** A continuous Gaussian of sensitivity 1 and the given noise multiplier (a decimal), record add-or-remove. */
export function gaussianEvent(noiseMultiplier: string, adjacency?: Adjacency): GaussianEvent {
  const sigma = parseRational(noiseMultiplier);
  return {
    type: 'gaussian',
    unit: adjacency?.unit ?? 'record',
    neighbouring: adjacency?.neighbouring ?? 'add_or_remove',
    sensitivitySquared: rational(1n),
    variance: rational(sigma.numerator ** 2n, sigma.denominator ** 2n),
  };
}
