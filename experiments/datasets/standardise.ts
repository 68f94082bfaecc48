/**
 * Standardisation by statistics of private rows: what FLamby's protocol does, and what a private run must
 * not do.
 *
 * For: experiments/ comparisons under `--no-dp` only. Means and deviations of a hospital's rows are a
 * release that no budget was charged for, so the caller has to say `noDp: true`, and whatever it prints is
 * labelled.
 */
import type { TrainingData } from '../../client/training/engine.ts';
import { ensure } from '../../crypto/error.ts';

export interface Standardisation {
  readonly mean: Float64Array;
  /** Population standard deviation (n), 1 where a column is constant. */
  readonly deviation: Float64Array;
}

function requireNoDp(options: { readonly noDp: boolean }): void {
  ensure(
    options.noDp === true,
    'PARAMETER_UNSAFE',
    'statistics of private rows need --no-dp or a charged mechanism; use the public ranges of the schema',
  );
}

/** @throws PulsefoldError PARAMETER_UNSAFE without `noDp: true`; DATA_EMPTY. */
export function fitStandardisation(
  train: TrainingData,
  inputs: number,
  options: { readonly noDp: boolean },
): Standardisation {
  requireNoDp(options);
  ensure(train.count > 0, 'DATA_EMPTY', 'there are no rows to standardise by');
  const mean = new Float64Array(inputs);
  const deviation = new Float64Array(inputs);
  for (let j = 0; j < inputs; j++) {
    let sum = 0;
    for (let i = 0; i < train.count; i++) sum += train.features[i * inputs + j]!;
    mean[j] = sum / train.count;
    let squares = 0;
    for (let i = 0; i < train.count; i++) squares += (train.features[i * inputs + j]! - mean[j]!) ** 2;
    deviation[j] = Math.sqrt(squares / train.count) || 1;
  }
  return { mean, deviation };
}

/** (x − mean) / deviation, as a new table. @throws PulsefoldError PARAMETER_UNSAFE without `noDp: true`. */
export function applyStandardisation(
  data: TrainingData,
  { mean, deviation }: Standardisation,
  options: { readonly noDp: boolean },
): TrainingData {
  requireNoDp(options);
  const inputs = mean.length;
  const features = data.features.map((value, k) => (value - mean[k % inputs]!) / deviation[k % inputs]!);
  return { features, labels: data.labels, count: data.count };
}
