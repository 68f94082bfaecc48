/**
 * Input checks every training engine shares: shapes, finiteness, labels, option ranges.
 *
 * For: engines. Trusts: nothing; plans, released weights and local tables all come from outside. Messages
 * name the row, never a value.
 */
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import type { TrainingData, TrainOptions } from './engine.ts';
import type { ModelSpec } from './model.ts';
import { parameterCount } from './model.ts';

/** Index of the first entry that is NaN or infinite, or −1. */
export function firstNonFinite(values: Float32Array): number {
  // A sum is finite unless an entry is not (or it overflows, then the slow scan decides).
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return Number.isFinite(sum) ? -1 : values.findIndex((value) => !Number.isFinite(value));
}

/** @throws PulsefoldError DATA_EMPTY, DATA_INVALID. */
export function checkFeatures(spec: ModelSpec, features: Float32Array, count: number): void {
  ensure(Number.isSafeInteger(count) && count >= 0, 'DATA_INVALID', 'the row count must be a whole number');
  ensure(count > 0, 'DATA_EMPTY', 'there are no rows; nothing can be trained or predicted');
  ensure(
    features.length === count * spec.inputs,
    'DATA_INVALID',
    `${count} rows of ${spec.inputs} inputs need ${count * spec.inputs} values, got ${features.length}`,
  );
  const bad = firstNonFinite(features);
  if (bad >= 0)
    throw new PulsefoldError(
      'DATA_INVALID',
      `row ${Math.floor(bad / spec.inputs)}, input ${bad % spec.inputs}: not a finite number`,
    );
}

/** @throws PulsefoldError DATA_EMPTY, DATA_INVALID. */
export function checkData(spec: ModelSpec, data: TrainingData): void {
  checkFeatures(spec, data.features, data.count);
  ensure(
    data.labels.length === data.count,
    'DATA_INVALID',
    `${data.count} rows need as many labels, got ${data.labels.length}`,
  );
  const bad = data.labels.findIndex((label) => label > 1);
  ensure(bad < 0, 'DATA_INVALID', `row ${bad}: the label must be 0 or 1`);
}

/** @throws PulsefoldError VECTOR_LENGTH_MISMATCH, DATA_INVALID. */
export function checkWeights(spec: ModelSpec, weights: Float32Array): void {
  const expected = parameterCount(spec);
  ensure(
    weights.length === expected,
    'VECTOR_LENGTH_MISMATCH',
    `the model has ${expected} parameters, got ${weights.length} weights`,
  );
  const bad = firstNonFinite(weights);
  ensure(bad < 0, 'DATA_INVALID', `weight ${bad} is not a finite number`);
}

/** @throws PulsefoldError FIELD_OUT_OF_RANGE. */
export function checkOptions(options: TrainOptions): void {
  const { epochs, batchSize, learningRate, proximalMu, l2 } = options;
  const range = (holds: boolean, what: string): void => ensure(holds, 'FIELD_OUT_OF_RANGE', what);
  range(Number.isInteger(epochs) && epochs >= 1 && epochs <= 1000, 'epochs must be 1 to 1000');
  range(Number.isInteger(batchSize) && batchSize >= 1, 'batchSize must be a positive integer');
  range(learningRate > 0 && learningRate <= 100, 'learningRate must be in (0, 100]');
  range(proximalMu >= 0 && proximalMu <= 1000, 'proximalMu must be in [0, 1000]');
  range(l2 >= 0 && l2 <= 1000, 'l2 must be in [0, 1000]');
  range(options.seed.length > 0 && options.seed.length <= 256, 'seed must have 1 to 256 characters');
}

/** @throws PulsefoldError DATA_INVALID with `advice` when an entry is not finite. */
export function checkResult(values: Float32Array, advice: string): Float32Array {
  ensure(firstNonFinite(values) < 0, 'DATA_INVALID', advice);
  return values;
}
