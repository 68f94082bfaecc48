/**
 * Directions that canaries push into: everything at once, and each layer by itself, because a bug may spare one layer.
 *
 * Trusts: nothing. May be called by: experiments/canary.
 */
import { type RandomSource, randomBytes } from '../../crypto/random.ts';
import { modelLayout } from '../../protos/model.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import type { Stage } from './bench.ts';

export interface Direction {
  readonly name: string;
  /** Norm 1. */
  readonly vector: Float64Array;
}

/** Random signs on [start, end), 0 elsewhere, norm 1. */
export function randomSigns(
  dimension: number,
  start: number,
  end: number,
  random: RandomSource,
): Float64Array {
  const bytes = randomBytes(Math.ceil((end - start) / 8), random);
  const size = 1 / Math.sqrt(end - start);
  const out = new Float64Array(dimension);
  for (let i = start; i < end; i++)
    out[i] = (bytes[(i - start) >> 3]! >> ((i - start) & 7)) & 1 ? -size : size;
  return out;
}

/** The whole vector, then every layer's weights and biases apart. */
export function directionsOf(
  { plan }: ParsedPlan,
  { dimension, updateDimension }: Pick<Stage, 'dimension' | 'updateDimension'>,
  random: RandomSource,
): Direction[] {
  const whole = randomSigns(dimension, 0, updateDimension, random);
  const out: Direction[] = [{ name: 'whole update', vector: whole }];
  modelLayout(plan.model).forEach(({ weightsAt, biasAt, outputs }, layer) => {
    const add = (what: string, start: number, end: number): void => {
      out.push({ name: `layer ${layer + 1} ${what}`, vector: randomSigns(dimension, start, end, random) });
    };
    add('weights', weightsAt, biasAt);
    add('biases', biasAt, biasAt + outputs);
  });
  return out;
}

export function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
