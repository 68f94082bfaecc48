/**
 * Goal: convolutions, recurrent units and embeddings give the right numbers on wasm and cpu, and the two kernels that
 * wasm lacks are right in general. Method: models of tfjs-layers (conv1d, gru) and one-hot products (embedding), with
 * autodiff on the cpu backend, as oracles; the cpu backend's own kernels.
 */
import { createRequire } from 'node:module';
import type * as tfCore from '@tensorflow/tfjs-core';
import type * as tfLayers from '@tensorflow/tfjs-layers';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { TrainEngine, TrainingData, TrainOptions } from './engine.ts';
import { loadTrainEngine } from './engine.ts';
import { loadKernelEngine } from './kernel-engine.ts';
import type { ModelSpec } from './model.ts';
import {
  convolutionLayout,
  initialWeights,
  modelLayout,
  outputKindOf,
  outputsOf,
  parameterBlocks,
  parameterCount,
  parseModelSpec,
} from './model.ts';
import { pieceRowsOf, TrainingRun } from './tfjs-run.ts';

const require = createRequire(import.meta.url);
const tf = require('@tensorflow/tfjs-core') as typeof tfCore;

const base = { inputs: 24, hidden: [], activation: 'tanh' } as const;
const specs: readonly ModelSpec[] = [
  {
    ...base,
    kind: 'cnn',
    hidden: [5],
    channels: 2,
    convolutions: [
      { filters: 3, width: 4, stride: 2 },
      { filters: 4, width: 2, stride: 1 },
    ],
    summary: 'flatten',
  },
  {
    ...base,
    kind: 'cnn',
    activation: 'relu',
    output: { kind: 'classes', count: 3 },
    channels: 1,
    convolutions: [{ filters: 5, width: 5, stride: 3 }],
    summary: 'mean',
  },
  { ...base, kind: 'gru', channels: 3, units: 4, output: { kind: 'regression' } },
  { ...base, kind: 'gru', hidden: [3], channels: 2, units: 5, output: { kind: 'classes', count: 4 } },
  {
    ...base,
    kind: 'embedding',
    inputs: 6,
    hidden: [4],
    embedding: { columns: 4, vocabulary: 9, size: 3 },
    summary: 'flatten',
  },
  {
    ...base,
    kind: 'embedding',
    inputs: 4,
    output: { kind: 'classes', count: 3 },
    embedding: { columns: 4, vocabulary: 7, size: 2 },
    summary: 'mean',
  },
].map((spec) => parseModelSpec(spec));

function sample(spec: ModelSpec, count: number): TrainingData {
  const columns = spec.embedding?.columns ?? 0;
  const features = Float32Array.from({ length: count * spec.inputs }, (_, i) =>
    i % spec.inputs < columns ? (i * i + 3 * i) % spec.embedding!.vocabulary : Math.sin(i * 12.9898 + 1) ** 3,
  );
  const labels =
    outputKindOf(spec) === 'regression'
      ? Float32Array.from({ length: count }, (_, i) => Math.sin(i * 3.3))
      : Uint8Array.from({ length: count }, (_, i) => ((i * i + i) % Math.max(2, outputsOf(spec))) & 3);
  return { features, labels, count };
}

const startOf = (spec: ModelSpec): Float32Array =>
  initialWeights(spec, 'w').map((value, i) => value + 0.1 * Math.cos(i));

/** One tensor per block, as they stand in the flat vector. */
const blocksOf = (spec: ModelSpec, weights: Float32Array): tfCore.Tensor[] =>
  parameterBlocks(spec).map(({ at, shape }) =>
    tf.tensor(weights.slice(at, at + shape.reduce((product, size) => product * size, 1)), [...shape]),
  );

/** Sums of the last layer, with tfjs-layers' conv1d and gru, and one-hot products for an embedding. */
function oracleSums(spec: ModelSpec, blocks: readonly tfCore.Tensor[], rows: tfCore.Tensor2D): tfCore.Tensor {
  const layers = require('@tensorflow/tfjs-layers') as typeof tfLayers;
  const count = rows.shape[0];
  let current: tfCore.Tensor = rows;
  const apply = (layer: tfLayers.layers.Layer, parameters: readonly tfCore.Tensor[]): void => {
    layer.apply(current); // makes its variables
    // Not setWeights: that copies, and autodiff would end there.
    (layer.trainableWeights as unknown as { val: unknown }[]).forEach((variable, i) => {
      variable.val = parameters[i]!;
    });
    current = layer.apply(current) as tfCore.Tensor;
  };
  if (spec.kind === 'embedding') {
    const { columns, vocabulary, size } = spec.embedding!;
    const ids = tf.cast(tf.slice(rows, [0, 0], [count, columns]), 'int32');
    const oneHot = tf.reshape(tf.oneHot(ids as tfCore.Tensor2D, vocabulary), [count * columns, vocabulary]);
    const vectors = tf.matMul(tf.cast(oneHot, 'float32'), blocks[0] as tfCore.Tensor2D);
    const series = tf.reshape(vectors, [count, columns, size]);
    const summary =
      spec.summary === 'mean' ? tf.mean(series, 1) : tf.reshape(series, [count, columns * size]);
    const others = tf.slice(rows, [0, columns], [count, spec.inputs - columns]);
    current = tf.concat([summary as tfCore.Tensor2D, others], 1);
  } else current = tf.reshape(rows, [count, spec.inputs / spec.channels!, spec.channels!]);
  convolutionLayout(spec).forEach(({ filters, width, stride }, i) => {
    const { activation } = spec;
    const layer = layers.layers.conv1d({
      filters,
      kernelSize: width,
      strides: stride,
      activation,
      padding: 'valid',
    });
    apply(layer, blocks.slice(2 * i, 2 * i + 2));
  });
  if (spec.kind === 'gru')
    apply(
      layers.layers.gru({
        units: spec.units!,
        recurrentActivation: 'sigmoid',
        recurrentInitializer: 'zeros',
      }),
      blocks.slice(0, 3),
    );
  if (spec.kind === 'cnn')
    current = spec.summary === 'mean' ? tf.mean(current, 1) : tf.reshape(current, [count, -1]);
  const dense = blocks.slice(-2 * modelLayout(spec).length);
  for (let i = 0; i < dense.length; i += 2) {
    current = tf.add(tf.matMul(current as tfCore.Tensor2D, dense[i] as tfCore.Tensor2D), dense[i + 1]!);
    if (i + 2 < dense.length) current = spec.activation === 'relu' ? tf.relu(current) : tf.tanh(current);
  }
  return current;
}

interface OracleResult {
  readonly sums: Float32Array;
  readonly gradient: Float32Array;
}

/** Both engines ask the same questions. */
const answers = new Map<string, Promise<OracleResult>>();

function oracle(spec: ModelSpec, weights: Float32Array, data: TrainingData): Promise<OracleResult> {
  const key = [JSON.stringify(spec), weights, data.features, data.labels].join('/');
  const answer = answers.get(key) ?? computed(spec, weights, data);
  answers.set(key, answer);
  return answer;
}

/** Gradient of the rows' summed loss by autodiff, flat; and the sums. On the cpu backend. */
async function computed(spec: ModelSpec, weights: Float32Array, data: TrainingData): Promise<OracleResult> {
  const before = tf.getBackend();
  await tf.setBackend('cpu');
  const result = tf.tidy(() => {
    const rows = tf.tensor2d(data.features.slice(), [data.count, spec.inputs]);
    const kind = outputKindOf(spec);
    const labels = tf.tensor1d(Float32Array.from(data.labels));
    const targets =
      kind === 'classes' ? tf.oneHot(tf.cast(labels, 'int32'), outputsOf(spec)) : tf.reshape(labels, [-1, 1]);
    let lastSums = new Float32Array(0);
    const loss = (...blocks: tfCore.Tensor[]): tfCore.Tensor => {
      const sums = oracleSums(spec, blocks, rows);
      lastSums = Float32Array.from(sums.dataSync());
      if (kind === 'regression') return tf.mul(0.5, tf.sum(tf.square(tf.sub(sums, targets))));
      const entropy = kind === 'binary' ? tf.softplus(sums) : tf.logSumExp(sums, 1);
      return tf.sub(tf.sum(entropy), tf.sum(tf.mul(sums, targets)));
    };
    const blocks = blocksOf(spec, weights);
    const flat = tf
      .grads(loss)(blocks)
      .flatMap((gradient) => [...gradient.dataSync()]);
    return { sums: lastSums, gradient: Float32Array.from(flat) };
  });
  await tf.setBackend(before);
  return result;
}

function outputsFrom(spec: ModelSpec, sums: Float32Array): number[] {
  const kind = outputKindOf(spec);
  if (kind === 'regression') return [...sums];
  if (kind === 'binary') return Array.from(sums, (z) => 1 / (1 + Math.exp(-z)));
  const count = outputsOf(spec);
  return Array.from(sums, (z, i) => {
    const from = i - (i % count);
    return Math.exp(z) / sums.slice(from, from + count).reduce((sum, x) => sum + Math.exp(x), 0);
  });
}

function distanceMax(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let worst = 0;
  for (let i = 0; i < a.length; i++) worst = Math.max(worst, Math.abs(a[i]! - b[i]!));
  return worst;
}

const options: TrainOptions = {
  epochs: 3,
  batchSize: 50,
  learningRate: 0.2,
  proximalMu: 0.1,
  l2: 0.05,
  seed: 'test',
};

describe.each(['tfjs-wasm', 'tfjs-cpu'])('%s', (name) => {
  let engine: TrainEngine;
  let tensorsBefore: number;
  beforeAll(async () => {
    engine = await loadTrainEngine([name]);
    await loadTrainEngine(['tfjs-cpu']);
    require('@tensorflow/tfjs-layers');
    // Variables that layers keep are the oracle's; make them before counting.
    for (const spec of specs) await oracle(spec, startOf(spec), sample(spec, 1));
  });
  beforeEach(() => {
    tensorsBefore = tf.memory().numTensors;
  });
  afterEach(() => {
    expect(tf.memory().numTensors, 'leaked tensors').toBe(tensorsBefore);
  });

  test.each(specs)('predictions are the oracle’s: $kind $summary $output', async (spec) => {
    const data = sample(spec, 7);
    const { sums } = await oracle(spec, startOf(spec), data);
    tensorsBefore = tf.memory().numTensors;
    const ours = await engine.predict(spec, startOf(spec), data.features, data.count);
    expect(distanceMax(ours, outputsFrom(spec, sums))).toBeLessThan(1e-5);
  });

  test.each(specs)('record gradients are autodiff’s to 1e-5: $kind $summary $output', async (spec) => {
    const data = sample(spec, 4);
    const d = parameterCount(spec);
    const expected: Float32Array[] = [];
    for (let i = 0; i < data.count; i++) {
      const features = data.features.slice(i * spec.inputs, (i + 1) * spec.inputs);
      const row = { features, labels: data.labels.slice(i, i + 1), count: 1 };
      expected.push((await oracle(spec, startOf(spec), row)).gradient);
    }
    tensorsBefore = tf.memory().numTensors;
    const ours = await engine.recordGradients(spec, startOf(spec), data);
    expected.forEach((gradient, i) => {
      expect(Math.max(...gradient.map(Math.abs))).toBeGreaterThan(1e-2);
      expect(distanceMax(ours.subarray(i * d, (i + 1) * d), gradient)).toBeLessThan(1e-5);
    });
  });

  test.each(specs)('training is descent along autodiff to 1e-5: $kind $summary $output', async (spec) => {
    const data = sample(spec, 12);
    const start = startOf(spec);
    const frozen: [number, number][] = [[3, 9]];
    const expected = start.slice();
    for (let epoch = 0; epoch < options.epochs; epoch++) {
      const { gradient } = await oracle(spec, expected, data);
      for (const { at, shape, decays } of parameterBlocks(spec))
        for (let i = at; i < at + shape.reduce((product, size) => product * size, 1); i++) {
          const decay = (decays ? options.l2 : 0) * expected[i]!;
          const pull = options.proximalMu * (expected[i]! - start[i]!);
          if (i < 3 || i >= 9)
            expected[i] = expected[i]! - options.learningRate * (gradient[i]! / data.count + decay + pull);
        }
    }
    tensorsBefore = tf.memory().numTensors;
    const trained = await engine.train(spec, start, data, { ...options, frozen });
    expect(distanceMax(trained, start)).toBeGreaterThan(1e-2);
    expect(distanceMax(trained, expected)).toBeLessThan(1e-5);
    expect(await engine.train(spec, start, data, { ...options, batchSize: 5 })).toEqual(
      await engine.train(spec, start, data, { ...options, batchSize: 5 }),
    );
  });

  test('an index outside of the table is refused, naming row and input', async () => {
    const spec = specs[4]!;
    const data = sample(spec, 3);
    for (const bad of [-1, 9, 0.5, Number.NaN]) {
      const features = data.features.with(7, bad) as Float32Array;
      const attempt = engine.train(spec, startOf(spec), { ...data, features }, options);
      await expect(attempt).rejects.toThrow(
        expect.objectContaining({ code: 'DATA_INVALID', message: expect.stringContaining('row 1, input 1') }),
      );
    }
  });
});

test('a batch taken in pieces is one step with the sum of all', async () => {
  await loadTrainEngine(['tfjs-wasm']);
  for (const spec of specs) {
    const data = sample(spec, 12);
    const trainedIn = (pieceRows: number, batchSize: number): Float32Array => {
      const run = new TrainingRun(tf, spec, startOf(spec), data, { ...options, batchSize }, pieceRows);
      for (let epoch = 0; epoch < 2; epoch++) for (const batch of run.batches()) run.step(batch);
      const weights = run.flatWeights();
      run.dispose();
      return weights;
    };
    const tensorsBefore = tf.memory().numTensors;
    for (const batchSize of [12, 7])
      for (const pieceRows of [1, 5])
        expect(distanceMax(trainedIn(pieceRows, batchSize), trainedIn(100, batchSize))).toBeLessThan(1e-6);
    expect(tf.memory().numTensors).toBe(tensorsBefore);
  }
  expect(specs.map(pieceRowsOf).every((rows) => rows > 1000)).toBe(true);
});

test('the kernel engine says that it trains dense models only, and who does not', async () => {
  const kernel = await loadKernelEngine();
  for (const spec of specs) {
    const data = sample(spec, 2);
    const refused = expect.objectContaining({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(`tfjs-wasm or tfjs-cpu for ${spec.kind}`),
    });
    await expect(kernel.train(spec, startOf(spec), data, options)).rejects.toThrow(refused);
    await expect(kernel.recordGradients(spec, startOf(spec), data)).rejects.toThrow(refused);
    await expect(kernel.predict(spec, startOf(spec), data.features, 2)).rejects.toThrow(refused);
  }
});

describe('kernels that wasm lacks', () => {
  beforeAll(async () => {
    await loadTrainEngine(['tfjs-wasm']);
    await loadTrainEngine(['tfjs-cpu']);
  });
  const wave = (length: number): Float32Array =>
    Float32Array.from({ length }, (_, i) => Math.sin(i * 1.7) ** 3);
  const on = (backend: string, run: () => tfCore.Tensor): Float32Array => {
    void tf.setBackend(backend);
    return tf.tidy(() => run().dataSync<'float32'>().slice());
  };
  const both = (run: () => tfCore.Tensor): [Float32Array, Float32Array] => [on('wasm', run), on('cpu', run)];

  test.each<[string, number[], number[], number[], unknown]>([
    ['plain', [2, 5, 6, 3], [2, 3, 3, 4], [1, 1], 'valid'],
    ['strides', [2, 7, 9, 1], [3, 2, 1, 2], [2, 3], 'valid'],
    ['same', [3, 6, 5, 2], [3, 4, 2, 3], [2, 1], 'same'],
    ['padding of one', [1, 4, 4, 2], [3, 3, 2, 2], [1, 1], 1],
  ])('filter gradient, %s', (_, xShape, filterShape, strides, pad) => {
    const info = tf.backend_util.computeConv2DInfo(
      xShape as [number, number, number, number],
      filterShape as [number, number, number, number],
      strides as [number, number],
      1,
      pad as 'valid',
    );
    const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
    const [wasm, cpu] = both(() => {
      const x = tf.tensor(wave(product(xShape)), xShape);
      const dy = tf.tensor(wave(product(info.outShape)).map(Math.cos), info.outShape);
      const attributes = { strides, pad, dataFormat: 'NHWC', filterShape } as tfCore.NamedAttrMap;
      return tf.engine().runKernel('Conv2DBackpropFilter', { x, dy }, attributes) as tfCore.Tensor;
    });
    expect(distanceMax(wasm, cpu)).toBeLessThan(1e-5);
    expect(Math.max(...cpu.map(Math.abs))).toBeGreaterThan(0.1);
  });

  test('segment sums, of vectors and matrices, with empty and unknown segments', () => {
    for (const tail of [[3], [2, 2], []]) {
      const shape = [6, ...tail];
      const [wasm, cpu] = both(() =>
        tf.unsortedSegmentSum(
          tf.tensor(wave(shape.reduce((a, b) => a * b, 1)), shape),
          tf.tensor1d([4, 0, 4, 1, 9, 4], 'int32'),
          6,
        ),
      );
      expect(distanceMax(wasm, cpu)).toBeLessThan(1e-6);
      expect(wasm.length).toBe(6 * tail.reduce((a, b) => a * b, 1));
    }
  });

  test('are lacking without us; once this fails, remove them', () => {
    for (const kernel of ['Conv2DBackpropFilter', 'UnsortedSegmentSum']) {
      const ours = tf.getKernel(kernel, 'wasm')!;
      tf.unregisterKernel(kernel, 'wasm');
      // The package registers its kernels when it is loaded: none is left once ours is gone.
      expect(tf.getKernel(kernel, 'wasm')).toBeUndefined();
      expect(ours.setupFunc).toBeUndefined();
      tf.registerKernel(ours);
    }
  });
});
