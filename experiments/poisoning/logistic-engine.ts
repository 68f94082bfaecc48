/**
 * The TrainEngine port for logistic regression in plain doubles: a thousand one-row clients a round in milliseconds,
 * where a tensor library spends them on its own calls.
 *
 * For: studies with thousands of local trainings. Full batches only (one row per person is one). Agrees with the tfjs
 * engines to 1e-5 (logistic-engine.test.ts). May be called by: experiments.
 */
import type { TrainEngine, TrainingData, TrainOptions } from '../../client/training/engine.ts';
import { ensure } from '../../crypto/error.ts';
import type { ModelSpec } from '../../protos/model.ts';

const sigmoid = (z: number): number => 1 / (1 + Math.exp(-z));

/** `weights`: one per input, then the bias. */
function probability(
  weights: ArrayLike<number>,
  features: Float32Array,
  row: number,
  inputs: number,
): number {
  let z = weights[inputs]!;
  for (let j = 0; j < inputs; j++) z += weights[j]! * features[row * inputs + j]!;
  return sigmoid(z);
}

function requireLogistic(spec: ModelSpec): void {
  ensure(spec.kind === 'lr', 'FIELD_OUT_OF_RANGE', 'this engine trains logistic regression only');
}

export const logisticEngine: Pick<TrainEngine, 'train' | 'recordGradients' | 'predict'> = {
  async train(
    spec: ModelSpec,
    weights: Float32Array,
    data: TrainingData,
    options: TrainOptions,
  ): Promise<Float32Array> {
    requireLogistic(spec);
    ensure(
      options.batchSize >= data.count && options.proximalMu === 0,
      'FIELD_OUT_OF_RANGE',
      'full batches, no proximal term',
    );
    const { inputs } = spec;
    const current = Float64Array.from(weights);
    const gradient = new Float64Array(inputs + 1);
    for (let epoch = 0; epoch < options.epochs; epoch++) {
      gradient.fill(0);
      for (let row = 0; row < data.count; row++) {
        const residual = (probability(current, data.features, row, inputs) - data.labels[row]!) / data.count;
        for (let j = 0; j < inputs; j++)
          gradient[j] = gradient[j]! + residual * data.features[row * inputs + j]!;
        gradient[inputs] = gradient[inputs]! + residual;
      }
      for (let j = 0; j < inputs; j++) gradient[j] = gradient[j]! + options.l2 * current[j]!;
      for (let j = 0; j <= inputs; j++) current[j] = current[j]! - options.learningRate * gradient[j]!;
    }
    return Float32Array.from(current);
  },

  async recordGradients(spec: ModelSpec, weights: Float32Array, data: TrainingData): Promise<Float32Array> {
    requireLogistic(spec);
    const { inputs } = spec;
    const gradients = new Float32Array(data.count * (inputs + 1));
    for (let row = 0; row < data.count; row++) {
      const residual = probability(weights, data.features, row, inputs) - data.labels[row]!;
      const at = row * (inputs + 1);
      for (let j = 0; j < inputs; j++) gradients[at + j] = residual * data.features[row * inputs + j]!;
      gradients[at + inputs] = residual;
    }
    return gradients;
  },

  async predict(
    spec: ModelSpec,
    weights: Float32Array,
    features: Float32Array,
    count: number,
  ): Promise<Float32Array> {
    requireLogistic(spec);
    return Float32Array.from({ length: count }, (_, row) => probability(weights, features, row, spec.inputs));
  },
};
