/**
 * Privacy events: what happened, never an ε. Accountants interpret them (rdp.ts, zcdp.ts, pld.ts); the ledger and the
 * log store them.
 *
 * Every mechanism names its unit and its neighbouring relation; its sensitivity is the distance between neighbouring
 * inputs under that relation (L2 for Gaussians, L1 for Laplace). Trusts: nothing; `parseEvent` takes hostile text.
 * May be called by: everyone.
 */
import { ensure, PulsefoldError } from '../error.ts';
import { checkFixedSize, checkMechanism, checkPoisson, unsupported } from './event-checks.ts';
import { DEPTH_MAX, eventFromPlain, eventToPlain } from './event-text.ts';
import type { Adjacency, CountedEvent, DpEvent, GaussianEvent, LeafEvent } from './event-types.ts';
import { parseRational, rational } from './rational.ts';

export type * from './event-types.ts';

const LEAVES_MAX = 1_000_000;

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
        leaves.push({ event: checkLeaf(node), count });
    }
  };
  walk(event, 1, 0);
  const adjacencies = new Set(leaves.map(({ event: leaf }) => adjacencyKey(leaf)));
  if (adjacencies.size > 1) unsupported('events of different units or neighbouring relations do not compose');
  return leaves;
}

const MECHANISM_TYPES: ReadonlySet<string> = new Set<Exclude<DpEvent['type'], 'composed' | 'self_composed'>>([
  'gaussian',
  'discrete_gaussian',
  'distributed_discrete_gaussian',
  'laplace',
  'discrete_laplace',
  'randomised_response',
  'mixture_of_gaussians',
  'tree_aggregation',
  'banded_matrix_factorisation',
  'clip_quantile',
]);

function checkLeaf(leaf: LeafEvent): LeafEvent {
  if (leaf.type === 'poisson_sampled') return checkPoisson(leaf);
  if (leaf.type === 'fixed_size_sampled') return checkFixedSize(leaf);
  if (!MECHANISM_TYPES.has(leaf.type))
    unsupported(
      `no accountant knows the event type '${String((leaf as { type?: unknown }).type).slice(0, 40)}'`,
    );
  return checkMechanism(leaf);
}

/** Unit and relation of one leaf. */
export function adjacencyOf(leaf: LeafEvent): Adjacency {
  return leaf.type === 'poisson_sampled' || leaf.type === 'fixed_size_sampled' ? leaf.event : leaf;
}

function adjacencyKey(leaf: LeafEvent): string {
  const { unit, neighbouring } = adjacencyOf(leaf);
  return `${unit}/${neighbouring}`;
}

/** Equal leaves merged, zero counts gone: a thousand equal rounds cost one evaluation. @throws UNSUPPORTED_EVENT. */
export function mergedLeaves(event: DpEvent): CountedEvent[] {
  const merged = new Map<string, { event: LeafEvent; count: number }>();
  for (const { event: leaf, count } of flattenEvent(event)) {
    if (count === 0) continue;
    const key = JSON.stringify(eventToPlain(leaf));
    const known = merged.get(key);
    if (known) known.count += count;
    else merged.set(key, { event: leaf, count });
  }
  return [...merged.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, leaf]) => leaf);
}

/** Canonical JSON with exact rationals as text: equal events, equal bytes. */
export function formatEvent(event: DpEvent): string {
  flattenEvent(event);
  return JSON.stringify(eventToPlain(event));
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
  const event = eventFromPlain(plain);
  flattenEvent(event);
  return event;
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
