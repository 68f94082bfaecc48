/**
 * Columns of plans whose rows are made up in encoded form: nothing is read through them, but they count.
 *
 * Pure. May be called by: experiments/bench.
 */
import { featuresMax } from '../../protos/features.ts';

/** Columns that make so many inputs: numbers where a schema may list so many, else categories of up to 64 values. */
export function featuresFor(inputs: number): object[] {
  if (inputs <= featuresMax)
    return Array.from({ length: inputs }, (_, i) => ({
      column: `x${i}`,
      kind: 'number',
      minimum: -1,
      maximum: 1,
    }));
  const groups = Math.ceil(inputs / 64);
  return Array.from({ length: groups }, (_, group) => ({
    column: `c${group}`,
    kind: 'category',
    values: Array.from({ length: Math.floor((inputs + group) / groups) }, (_value, value) => `v${value}`),
  }));
}
