/**
 * Goal: every engine computes the same, right numbers, and leaves nothing behind. Method: one contract suite
 * over all engines that load here, with two independent oracles: tf.grads (autodiff) and a float64 loop
 * written below.
 */
import { createRequire } from 'node:module';
import type * as tfCore from '@tensorflow/tfjs-core';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { TrainEngine, TrainingData, TrainOptions } from './engine.ts';
import { loadTrainEngine } from './engine.ts';
import type { ModelSpec } from './model.ts';
import { initialWeights, modelLayout, outputKindOf, outputsOf, parameterCount } from './model.ts';

const require = createRequire(import.meta.url);
const tf = require('@tensorflow/tfjs-core') as typeof tfCore;

const specs: readonly ModelSpec[] = [
  { kind: 'lr', inputs: 5, hidden: [], activation: 'relu' },
  { kind: 'mlp', inputs: 5, hidden: [7], activation: 'relu' },
  { kind: 'mlp', inputs: 5, hidden: [6, 4], activation: 'tanh' },
  { kind: 'mlp', inputs: 5, hidden: [6, 4, 3], activation: 'relu' },
  { kind: 'lr', inputs: 5, hidden: [], activation: 'relu', output: { kind: 'classes', count: 3 } },
  { kind: 'mlp', inputs: 5, hidden: [6], activation: 'tanh', output: { kind: 'classes', count: 5 } },
  { kind: 'lr', inputs: 5, hidden: [], activation: 'relu', output: { kind: 'regression' } },
  { kind: 'mlp', inputs: 5, hidden: [7, 2], activation: 'relu', output: { kind: 'regression' } },
];
const options: TrainOptions = {
  epochs: 3,
  batchSize: 8,
  learningRate: 0.2,
  proximalMu: 0,
  l2: 0,
  seed: 'test',
};

function sample(count: number, spec: ModelSpec = specs[0]!): TrainingData {
  const kind = outputKindOf(spec);
  const label = (i: number): number => (Math.sin(i * 3.3) > 0 ? 1 : 0);
  return {
    features: Float32Array.from({ length: count * spec.inputs }, (_, i) => Math.sin(i * 12.9898 + 1) ** 3),
    labels:
      kind === 'regression'
        ? Float32Array.from({ length: count }, (_, i) => Math.sin(i * 3.3))
        : Uint8Array.from({ length: count }, (_, i) =>
            kind === 'binary' ? label(i) : (i * i + label(i)) % outputsOf(spec),
          ),
    count,
  };
}

/** What the model's outputs are compared with, for one row: one number an output. */
const targetsOf = (spec: ModelSpec, data: TrainingData, row: number): number[] => {
  const label = data.labels[row]!;
  return outputKindOf(spec) === 'classes'
    ? Array.from({ length: outputsOf(spec) }, (_, j) => Number(j === label))
    : [label];
};

/** Outputs from the sums of the last layer, in doubles. */
function outputsFrom(spec: ModelSpec, sums: readonly number[]): number[] {
  const kind = outputKindOf(spec);
  if (kind === 'regression') return [...sums];
  if (kind === 'binary') return sums.map((z) => 1 / (1 + Math.exp(-z)));
  const total = sums.reduce((sum, z) => sum + Math.exp(z), 0);
  return sums.map((z) => Math.exp(z) / total);
}

const startWeights = (spec: ModelSpec): Float32Array =>
  initialWeights(spec, 'w').map((value, i) => value + 0.1 * Math.cos(i));

/** Oracle 2: gradient of the mean loss in float64, by the chain rule written as loops. */
function loopGradient(spec: ModelSpec, weights: ArrayLike<number>, data: TrainingData): Float64Array {
  const layers = modelLayout(spec);
  const gradient = new Float64Array(parameterCount(spec));
  for (let r = 0; r < data.count; r++) {
    const values: number[][] = [[...data.features.subarray(r * spec.inputs, (r + 1) * spec.inputs)]];
    layers.forEach((layer, l) => {
      const sums = Array.from({ length: layer.outputs }, (_, j) => {
        let sum = weights[layer.biasAt + j]!;
        for (let i = 0; i < layer.inputs; i++)
          sum += values[l]![i]! * weights[layer.weightsAt + i * layer.outputs + j]!;
        return sum;
      });
      const squash = (x: number): number => (spec.activation === 'relu' ? Math.max(0, x) : Math.tanh(x));
      values.push(l + 1 === layers.length ? outputsFrom(spec, sums) : sums.map(squash));
    });
    const targets = targetsOf(spec, data, r);
    let delta = values.at(-1)!.map((value, j) => value - targets[j]!);
    for (let l = layers.length - 1; l >= 0; l--) {
      const layer = layers[l]!;
      const input = values[l]!;
      for (let j = 0; j < layer.outputs; j++) {
        gradient[layer.biasAt + j]! += delta[j]! / data.count;
        for (let i = 0; i < layer.inputs; i++)
          gradient[layer.weightsAt + i * layer.outputs + j]! += (input[i]! * delta[j]!) / data.count;
      }
      delta = input.map((value, i) => {
        let sum = 0;
        for (let j = 0; j < layer.outputs; j++)
          sum += delta[j]! * weights[layer.weightsAt + i * layer.outputs + j]!;
        return sum * (spec.activation === 'relu' ? Number(value > 0) : 1 - value ** 2);
      });
    }
  }
  return gradient;
}

/** Oracle 1: tf.grads on a forward pass of its own, one record at a time. */
function autodiffGradient(
  spec: ModelSpec,
  weights: Float32Array,
  data: TrainingData,
  record: number,
): number[] {
  return tf.tidy(() => {
    const layers = modelLayout(spec);
    const parameters = layers.flatMap((layer) => [
      tf.tensor2d(weights.slice(layer.weightsAt, layer.biasAt), [layer.inputs, layer.outputs]),
      tf.tensor1d(weights.slice(layer.biasAt, layer.biasAt + layer.outputs)),
    ]);
    const row = tf.tensor2d(data.features.slice(record * spec.inputs, (record + 1) * spec.inputs), [
      1,
      spec.inputs,
    ]);
    const targets = targetsOf(spec, data, record);
    const loss = (...values: tfCore.Tensor[]): tfCore.Tensor => {
      let current: tfCore.Tensor = row;
      for (let l = 0; l < layers.length; l++) {
        current = tf.add(
          tf.matMul(current as tfCore.Tensor2D, values[2 * l] as tfCore.Tensor2D),
          values[2 * l + 1]!,
        );
        if (l + 1 < layers.length) current = spec.activation === 'relu' ? tf.relu(current) : tf.tanh(current);
      }
      const kind = outputKindOf(spec);
      if (kind === 'regression') return tf.mul(0.5, tf.sum(tf.square(tf.sub(current, targets))));
      // Log-loss of a logit: softplus(z) − y·z; cross-entropy of logits: log Σ e^z − z_y.
      const entropy = kind === 'binary' ? tf.softplus(current) : tf.logSumExp(current);
      return tf.sub(tf.sum(entropy), tf.sum(tf.mul(current, targets)));
    };
    return tf
      .grads(loss)(parameters)
      .flatMap((gradient) => [...gradient.dataSync()]);
  });
}

function distanceMax(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let worst = 0;
  for (let i = 0; i < a.length; i++) worst = Math.max(worst, Math.abs(a[i]! - b[i]!));
  return worst;
}

describe.each(['tfjs-wasm', 'tfjs-cpu', 'kernel'])('engine contract: %s', (name) => {
  let engine: TrainEngine;
  let tensorsBefore: number;
  beforeAll(async () => {
    engine = await loadTrainEngine([name]);
    // Registers the gradient functions tf.grads needs; only this oracle uses it.
    require('@tensorflow/tfjs-layers');
  });
  beforeEach(() => {
    tensorsBefore = tf.memory().numTensors;
  });
  afterEach(() => {
    expect(tf.memory().numTensors, 'leaked tensors').toBe(tensorsBefore);
  });

  test.each(specs)(
    'record gradients equal single-record autodiff to 1e-5: $kind $hidden $activation $output',
    async (spec) => {
      const data = sample(9, spec);
      const weights = startWeights(spec);
      const rows = await engine.recordGradients(spec, weights, data);
      const d = parameterCount(spec);
      expect(rows.length).toBe(9 * d);
      for (let r = 0; r < 9; r++)
        expect(
          distanceMax(rows.subarray(r * d, (r + 1) * d), autodiffGradient(spec, weights, data, r)),
        ).toBeLessThan(1e-5);
    },
  );

  test.each(specs)(
    'full-batch training equals the float64 loop: $kind $hidden $activation $output',
    async (spec) => {
      const data = sample(20, spec);
      const start = startWeights(spec);
      const { learningRate } = options;
      const [proximalMu, l2] = [0.3, 0.05];
      const gradientOffset = start.map((_, i) => Math.sin(i) / 10);
      const half = Math.floor(start.length / 2);
      const expected = Float64Array.from(start);
      const isBias = new Set(
        modelLayout(spec).flatMap((layer) =>
          Array.from({ length: layer.outputs }, (_, j) => layer.biasAt + j),
        ),
      );
      for (let epoch = 0; epoch < 4; epoch++) {
        const gradient = loopGradient(spec, expected, data);
        gradient.forEach((value, i) => {
          const decay = isBias.has(i) ? 0 : l2 * expected[i]!;
          const pull = proximalMu * (expected[i]! - start[i]!);
          if (i > 0 && i < half) expected[i]! -= learningRate * (value + decay + pull + gradientOffset[i]!);
        });
      }
      const trained = await engine.train(spec, start, data, {
        ...options,
        epochs: 4,
        batchSize: 64,
        proximalMu,
        l2,
        gradientOffset,
        frozen: [
          [0, 1],
          [half, start.length],
        ],
      });
      expect(distanceMax(trained, expected)).toBeLessThan(1e-5);
      expect(distanceMax(trained, start)).toBeGreaterThan(1e-2);
      expect([trained[0], ...trained.subarray(half)]).toEqual([start[0], ...start.subarray(half)]);
      expect(start).toEqual(startWeights(spec)); // inputs are left alone
    },
  );

  test('minibatches: deterministic in the seed, different between seeds, and they learn', async () => {
    const spec = specs[1]!;
    const data = sample(50);
    const train = (seed: string): Promise<Float32Array> =>
      engine.train(spec, startWeights(spec), data, { ...options, epochs: 30, seed });
    const first = await train('a');
    expect(await train('a')).toEqual(first);
    expect(await train('b')).not.toEqual(first);
    const loss = async (weights: Float32Array): Promise<number> => {
      const p = await engine.predict(spec, weights, data.features, data.count);
      return p.reduce((sum, value, i) => sum - Math.log(data.labels[i] ? value : 1 - value), 0) / data.count;
    };
    expect(await loss(first)).toBeLessThan((await loss(startWeights(spec))) * 0.9);
  });

  test('says how many steps it took', async () => {
    const counts: number[] = [];
    const onSteps = (steps: number): void => void counts.push(steps);
    for (const batchSize of [8, 50, 1000])
      await engine.train(specs[0]!, startWeights(specs[0]!), sample(50), { ...options, batchSize, onSteps });
    expect(counts).toEqual([21, 3, 3]);
  });

  test('classes learn what decides them', async () => {
    const spec: ModelSpec = {
      kind: 'lr',
      inputs: 2,
      hidden: [],
      activation: 'relu',
      output: { kind: 'classes', count: 3 },
    };
    const count = 300;
    const features = Float32Array.from({ length: 2 * count }, (_, i) => Math.sin(i * i));
    const labels = Uint8Array.from({ length: count }, (_, i) =>
      features[2 * i]! > 0.3 ? 2 : features[2 * i + 1]! > 0 ? 1 : 0,
    );
    const data = { features, labels, count };
    const trained = await engine.train(spec, new Float32Array(9), data, {
      ...options,
      epochs: 40,
      learningRate: 1,
    });
    const p = await engine.predict(spec, trained, features, count);
    expect(p.length).toBe(3 * count);
    let right = 0;
    for (let i = 0; i < count; i++) {
      const row = [...p.subarray(3 * i, 3 * i + 3)];
      expect(row[0]! + row[1]! + row[2]!).toBeCloseTo(1, 5);
      if (row.indexOf(Math.max(...row)) === labels[i]) right++;
    }
    expect(right / count).toBeGreaterThan(0.9);
  });

  test('FedProx: a large μ keeps the weights near the received ones', async () => {
    const spec = specs[0]!;
    const far = await engine.train(spec, startWeights(spec), sample(50), { ...options, epochs: 50 });
    const near = await engine.train(spec, startWeights(spec), sample(50), {
      ...options,
      epochs: 50,
      proximalMu: 4,
    });
    expect(distanceMax(near, startWeights(spec))).toBeLessThan(distanceMax(far, startWeights(spec)) / 2);
  });

  test('predictions are the sigmoid of the logit, also far out', async () => {
    const spec: ModelSpec = { kind: 'lr', inputs: 1, hidden: [], activation: 'relu' };
    const p = await engine.predict(spec, Float32Array.of(2, 1), Float32Array.of(0, 1, -1, 200, -200), 5);
    const sigmoid = (z: number): number => 1 / (1 + Math.exp(-z));
    expect(distanceMax(p, [sigmoid(1), sigmoid(3), sigmoid(-1), 1, 0])).toBeLessThan(1e-6);
  });

  test('calls may overlap', async () => {
    const spec = specs[2]!;
    const alone = await engine.train(spec, startWeights(spec), sample(30), options);
    const both = await Promise.all([
      engine.train(spec, startWeights(spec), sample(30), options),
      engine.train(spec, startWeights(spec), sample(30), options),
    ]);
    expect(both).toEqual([alone, alone]);
  });

  const lr = specs[0]!;
  const good = sample(4);
  const zeros = new Float32Array(6);
  const classes: ModelSpec = { ...lr, output: { kind: 'classes', count: 3 } };
  const zeros3 = new Float32Array(18);
  const regression: ModelSpec = { ...lr, output: { kind: 'regression' } };
  const reals: TrainingData = { ...good, labels: new Float32Array(4) };
  const nan = (values: Float32Array): Float32Array => values.with(1, Number.NaN) as Float32Array;
  test.each<[string, string, (engine: TrainEngine) => Promise<unknown>]>([
    ['empty client', 'DATA_EMPTY', (e) => e.train(lr, zeros, sample(0), options)],
    ['no rows to predict', 'DATA_EMPTY', (e) => e.predict(lr, zeros, new Float32Array(0), 0)],
    [
      'NaN in data',
      'DATA_INVALID',
      (e) => e.train(lr, zeros, { ...good, features: nan(good.features) }, options),
    ],
    [
      'NaN in data (gradients)',
      'DATA_INVALID',
      (e) => e.recordGradients(lr, zeros, { ...good, features: nan(good.features) }),
    ],
    [
      'infinite weight',
      'DATA_INVALID',
      (e) => e.train(lr, zeros.with(0, Number.POSITIVE_INFINITY) as Float32Array, good, options),
    ],
    [
      'label 2',
      'DATA_INVALID',
      (e) => e.train(lr, zeros, { ...good, labels: Uint8Array.of(0, 1, 2, 0) }, options),
    ],
    [
      'a class too many',
      'DATA_INVALID',
      (e) => e.train(classes, zeros3, { ...good, labels: Uint8Array.of(0, 1, 3, 0) }, options),
    ],
    ['real targets for classes', 'DATA_INVALID', (e) => e.train(classes, zeros3, reals, options)],
    ['classes for a regression', 'DATA_INVALID', (e) => e.train(regression, zeros, good, options)],
    [
      'a target that is no number',
      'DATA_INVALID',
      (e) => e.train(regression, zeros, { ...reals, labels: nan(new Float32Array(4)) }, options),
    ],
    [
      'a short gradient offset',
      'VECTOR_LENGTH_MISMATCH',
      (e) => e.train(lr, zeros, good, { ...options, gradientOffset: new Float32Array(5) }),
    ],
    [
      'a NaN gradient offset',
      'DATA_INVALID',
      (e) => e.train(lr, zeros, good, { ...options, gradientOffset: nan(new Float32Array(6)) }),
    ],
    ...[
      [[0, 7]],
      [[3, 3]],
      [[-1, 2]],
      [
        [0, 3],
        [2, 4],
      ],
      [[0.5, 2]],
    ].map((frozen): [string, string, (engine: TrainEngine) => Promise<unknown>] => [
      `frozen ranges ${JSON.stringify(frozen)}`,
      'FIELD_OUT_OF_RANGE',
      (e) =>
        e.train(lr, zeros, good, { ...options, frozen: frozen as unknown as readonly [number, number][] }),
    ]),
    [
      'too few labels',
      'DATA_INVALID',
      (e) => e.train(lr, zeros, { ...good, labels: Uint8Array.of(0) }, options),
    ],
    ['too few features', 'DATA_INVALID', (e) => e.predict(lr, zeros, good.features, 5)],
    [
      'wrong-length weights',
      'VECTOR_LENGTH_MISMATCH',
      (e) => e.train(lr, new Float32Array(5), good, options),
    ],
    ['no epochs', 'FIELD_OUT_OF_RANGE', (e) => e.train(lr, zeros, good, { ...options, epochs: 0 })],
    [
      'NaN rate',
      'FIELD_OUT_OF_RANGE',
      (e) => e.train(lr, zeros, good, { ...options, learningRate: Number.NaN }),
    ],
    [
      'divergence',
      'DATA_INVALID',
      (e) => e.train(lr, zeros, good, { ...options, epochs: 100, learningRate: 100, l2: 1000 }),
    ],
  ])('refuses %s with %s', async (_, code, action) => {
    await expect(action(engine)).rejects.toThrow(expect.objectContaining({ code }));
  });
});
