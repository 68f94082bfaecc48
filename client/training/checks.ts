/**
 * Input checks every training engine shares: shapes, finiteness, labels, option ranges.
 *
 * For: engines. Trusts: nothing; plans, released weights and local tables all come from outside. Messages
 * name the row, never a value.
 */
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import type { TrainingData, TrainOptions } from './engine.ts';
import type { ModelSpec } from './model.ts';
import { LEARNING_RATE_MAX, parameterCount } from './model.ts';

/** Index of the first entry that is NaN or infinite, or −1. */
export function firstNonFinite(values: Float32Array): number {
  // A sum is finite unless an entry is not (or it overflows, then the slow scan decides). Four at a time: additions
  // wait for each other.
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  const last = values.length - 3;
  let i = 0;
  for (; i < last; i += 4) {
    a += values[i]!;
    b += values[i + 1]!;
    c += values[i + 2]!;
    d += values[i + 3]!;
  }
  for (; i < values.length; i++) a += values[i]!;
  const sum = a + b + c + d;
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
  if (spec.embedding) checkIndices(spec.inputs, spec.embedding, features, count);
}

function checkIndices(
  inputs: number,
  { columns, vocabulary }: NonNullable<ModelSpec['embedding']>,
  features: Float32Array,
  count: number,
): void {
  for (let row = 0; row < count; row++)
    for (let column = 0; column < columns; column++) {
      const index = features[row * inputs + column]!;
      if (!(Number.isInteger(index) && index >= 0 && index < vocabulary))
        throw new PulsefoldError(
          'DATA_INVALID',
          `row ${row}, input ${column}: not a whole number from 0 to ${vocabulary - 1}`,
        );
    }
}

/** @throws PulsefoldError DATA_EMPTY, DATA_INVALID. */
export function checkData(spec: ModelSpec, data: TrainingData): void {
  checkFeatures(spec, data.features, data.count);
  checkLabels(spec, data);
}

/** @throws PulsefoldError DATA_INVALID. */
export function checkLabels(
  spec: ModelSpec,
  { labels, count }: Pick<TrainingData, 'labels' | 'count'>,
): void {
  ensure(labels.length === count, 'DATA_INVALID', `${count} rows need as many labels, got ${labels.length}`);
  if (spec.output?.kind === 'regression') {
    ensure(labels instanceof Float32Array, 'DATA_INVALID', 'a regression needs real targets (Float32Array)');
    const bad = firstNonFinite(labels);
    ensure(bad < 0, 'DATA_INVALID', `row ${bad}: the target is not a finite number`);
    return;
  }
  ensure(labels instanceof Uint8Array, 'DATA_INVALID', 'class labels are whole numbers (Uint8Array)');
  const last = spec.output ? spec.output.count - 1 : 1;
  let most = 0;
  for (let i = 0; i < count; i++) most = Math.max(most, labels[i]!);
  if (most <= last) return;
  const bad = labels.findIndex((label) => label > last);
  throw new PulsefoldError(
    'DATA_INVALID',
    `row ${bad}: the label must be ${last === 1 ? '0 or 1' : `0 to ${last}`}`,
  );
}

/** @throws PulsefoldError VECTOR_LENGTH_MISMATCH, DATA_INVALID. */
export function checkWeights(spec: ModelSpec, weights: Float32Array, what = 'weights'): void {
  const expected = parameterCount(spec);
  ensure(
    weights.length === expected,
    'VECTOR_LENGTH_MISMATCH',
    `the model has ${expected} parameters, got ${weights.length} ${what}`,
  );
  const bad = firstNonFinite(weights);
  ensure(bad < 0, 'DATA_INVALID', `${what}: entry ${bad} is not a finite number`);
}

/** @throws PulsefoldError FIELD_OUT_OF_RANGE, VECTOR_LENGTH_MISMATCH, DATA_INVALID. */
export function checkOptions(spec: ModelSpec, options: TrainOptions): void {
  const { epochs, batchSize, learningRate, proximalMu, l2 } = options;
  const range = (holds: boolean, what: string): void => ensure(holds, 'FIELD_OUT_OF_RANGE', what);
  range(Number.isInteger(epochs) && epochs >= 1 && epochs <= 1000, 'epochs must be 1 to 1000');
  range(Number.isInteger(batchSize) && batchSize >= 1, 'batchSize must be a positive integer');
  range(
    learningRate > 0 && learningRate <= LEARNING_RATE_MAX,
    `learningRate must be in (0, ${LEARNING_RATE_MAX}]`,
  );
  range(proximalMu >= 0 && proximalMu <= 1000, 'proximalMu must be in [0, 1000]');
  range(l2 >= 0 && l2 <= 1000, 'l2 must be in [0, 1000]');
  range(options.seed.length > 0 && options.seed.length <= 256, 'seed must have 1 to 256 characters');
  if (options.gradientOffset) checkWeights(spec, options.gradientOffset, 'gradientOffset');
  let end = 0;
  for (const [from, to] of options.frozen ?? []) {
    range(
      Number.isSafeInteger(from) && Number.isSafeInteger(to) && end <= from && from < to,
      'frozen must be ascending ranges [from, to) that do not overlap',
    );
    end = to;
  }
  range(end <= parameterCount(spec), 'frozen must lie within the parameters');
}

/** @throws PulsefoldError DATA_INVALID with `advice` when an entry is not finite. */
export function checkResult(values: Float32Array, advice: string): Float32Array {
  ensure(firstNonFinite(values) < 0, 'DATA_INVALID', advice);
  return values;
}
