/**
 * Goal: every engine computes the same, right numbers, and leaves nothing behind. Method: one contract suite
 * over all engines that load here, with two independent oracles: tf.grads (autodiff) and a float64 loop
 * written below.
 */
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import type * as tfCore from '@tensorflow/tfjs-core';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { TrainEngine, TrainingData, TrainOptions } from './engine.ts';
import { loadTrainEngine } from './engine.ts';
import type { ModelSpec } from './model.ts';
import { initialWeights, modelLayout, parameterCount } from './model.ts';
import { restoreRemovedUtilities } from './tfjs-load.ts';

const run = promisify(execFile);
const require = createRequire(import.meta.url);
const tf = require('@tensorflow/tfjs-core') as typeof tfCore;

const specs: readonly ModelSpec[] = [
  { kind: 'lr', inputs: 5, hidden: [], activation: 'relu' },
  { kind: 'mlp', inputs: 5, hidden: [7], activation: 'relu' },
  { kind: 'mlp', inputs: 5, hidden: [6, 4], activation: 'tanh' },
  { kind: 'mlp', inputs: 5, hidden: [6, 4, 3], activation: 'relu' },
];
const options: TrainOptions = {
  epochs: 3,
  batchSize: 8,
  learningRate: 0.2,
  proximalMu: 0,
  l2: 0,
  seed: 'test',
};

function sample(count: number, inputs = 5): TrainingData {
  return {
    features: Float32Array.from({ length: count * inputs }, (_, i) => Math.sin(i * 12.9898 + 1) ** 3),
    labels: Uint8Array.from({ length: count }, (_, i) => (Math.sin(i * 3.3) > 0 ? 1 : 0)),
    count,
  };
}

const startWeights = (spec: ModelSpec): Float32Array =>
  Float32Array.from(
    initialWeights({ ...spec, kind: spec.kind }, 'w'),
    (value, i) => value + 0.1 * Math.cos(i),
  );

/** Oracle 2: gradient of the mean log-loss in float64, by the chain rule written as loops. */
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
      const squash = (x: number): number =>
        l + 1 === layers.length
          ? 1 / (1 + Math.exp(-x))
          : spec.activation === 'relu'
            ? Math.max(0, x)
            : Math.tanh(x);
      values.push(sums.map(squash));
    });
    let delta = [values.at(-1)![0]! - data.labels[r]!];
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
    const label = data.labels[record]!;
    const loss = (...values: tfCore.Tensor[]): tfCore.Tensor => {
      let current: tfCore.Tensor = row;
      for (let l = 0; l < layers.length; l++) {
        current = tf.add(
          tf.matMul(current as tfCore.Tensor2D, values[2 * l] as tfCore.Tensor2D),
          values[2 * l + 1]!,
        );
        if (l + 1 < layers.length) current = spec.activation === 'relu' ? tf.relu(current) : tf.tanh(current);
      }
      // log-loss of a logit: softplus(z) − y·z
      return tf.sum(tf.sub(tf.softplus(current), tf.mul(current, label)));
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

describe.each(['tfjs-wasm', 'tfjs-cpu'])('engine contract: %s', (name) => {
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
    'record gradients equal single-record autodiff to 1e-5: $kind $hidden $activation',
    async (spec) => {
      const data = sample(9);
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

  test.each(specs)('full-batch training equals the float64 loop: $kind $hidden $activation', async (spec) => {
    const data = sample(20);
    const start = startWeights(spec);
    const { learningRate } = options;
    const [proximalMu, l2] = [0.3, 0.05];
    const expected = Float64Array.from(start);
    const isBias = new Set(
      modelLayout(spec).flatMap((layer) => Array.from({ length: layer.outputs }, (_, j) => layer.biasAt + j)),
    );
    for (let epoch = 0; epoch < 4; epoch++) {
      const gradient = loopGradient(spec, expected, data);
      gradient.forEach((value, i) => {
        const decay = isBias.has(i) ? 0 : l2 * expected[i]!;
        expected[i]! -= learningRate * (value + decay + proximalMu * (expected[i]! - start[i]!));
      });
    }
    const trained = await engine.train(spec, start, data, {
      ...options,
      epochs: 4,
      batchSize: 64,
      proximalMu,
      l2,
    });
    expect(distanceMax(trained, expected)).toBeLessThan(1e-5);
    expect(start).toEqual(startWeights(spec)); // inputs are left alone
  });

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

describe('loadTrainEngine', () => {
  test('takes the first that loads and says why the better ones were not used', async () => {
    const engine = await loadTrainEngine();
    expect(['tfjs-node', 'tfjs-wasm']).toContain(engine.name);
    if (engine.name === 'tfjs-wasm') {
      expect(engine.skipped).toEqual([
        { engine: 'tfjs-node', reason: expect.stringContaining('not installed') },
      ]);
    }
  });

  test('falls through failures, in order', async () => {
    const fail = async (): Promise<never> => {
      throw new Error('no SIMD here\nstack');
    };
    const loaders = {
      a: fail,
      b: fail,
      c: async (skipped: TrainEngine['skipped']) => ({ ...(await loadTrainEngine(['tfjs-cpu'])), skipped }),
    };
    const engine = await loadTrainEngine(['a', 'b', 'c'], loaders);
    expect(engine.skipped).toEqual([
      { engine: 'a', reason: 'no SIMD here' },
      { engine: 'b', reason: 'no SIMD here' },
    ]);
    await expect(loadTrainEngine(['a'], loaders)).rejects.toThrow(
      expect.objectContaining({ code: 'UNAVAILABLE' }),
    );
    await expect(loadTrainEngine(['abacus'])).rejects.toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    );
    await expect(loadTrainEngine([])).rejects.toThrow(expect.objectContaining({ code: 'UNAVAILABLE' }));
  });

  test('leaves a fresh process as it was: quick, no handlers, nothing printed', async () => {
    const script = `
      import { loadTrainEngine } from ${JSON.stringify(new URL('./engine.ts', import.meta.url).href)};
      const start = performance.now();
      await loadTrainEngine(['tfjs-wasm']);
      const elapsedMs = performance.now() - start;
      const engine = await loadTrainEngine(['tfjs-cpu']);
      const spec = { kind: 'lr', inputs: 1, hidden: [], activation: 'relu' };
      await engine.predict(spec, new Float32Array(2), new Float32Array(1), 1);
      const events = ['uncaughtException', 'unhandledRejection'];
      const listeners = events.map((event) => process.listenerCount(event));
      console.log(JSON.stringify({ elapsedMs, listeners }));`;
    const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '--eval', script]);
    const lines = stdout.trimEnd().split('\n');
    expect(lines.length, `printed: ${stdout}`).toBe(1);
    expect(stderr).toBe('');
    const { elapsedMs, listeners } = JSON.parse(lines[0]!) as { elapsedMs: number; listeners: number[] };
    expect(listeners).toEqual([0, 0]);
    expect(elapsedMs).toBeLessThan(5000); // about 60 ms on an idle machine
  });

  test.each([
    ["cannot find module '/home/jane doe/x.js'", "cannot find module '<path>'"],
    ['no addon at path: /srv/a/tfjs_binding.node. ', 'no addon at path: <path>'],
    ['/srv/a/b.node: undefined symbol: TF_X', '<path>: undefined symbol: TF_X'],
    ['needs `GLIBC_9` (required by /srv/a.so)', 'needs `GLIBC_9` (required by <path>)'],
    [String.raw`C:\Users\jane\a.node is not valid`, '<path>'],
    ['no @scope/name imported from file:///home/jane/x.js', 'no @scope/name imported from <path>'],
    ['libx.so.2: and / or https://example.org/a', 'libx.so.2: and / or https://example.org/a'],
  ])('keeps the paths of this machine out of a reason: %s', async (message, reason) => {
    const loaders = { a: () => Promise.reject(new Error(message)) };
    await expect(loadTrainEngine(['a'], loaders)).rejects.toThrow(`(${reason})`);
  });

  test('puts back what Node 23 removed, without touching what is there', () => {
    const kept = () => true;
    const util: Record<string, unknown> = {};
    restoreRemovedUtilities(util);
    expect((util.isNullOrUndefined as (value: unknown) => boolean)(undefined)).toBe(true);
    expect((util.isNullOrUndefined as (value: unknown) => boolean)(0)).toBe(false);
    expect(util.isArray).toBe(Array.isArray); // Node's own one warns at every start
    const before: Record<string, unknown> = { isNullOrUndefined: kept };
    restoreRemovedUtilities(before);
    expect(before.isNullOrUndefined).toBe(kept);
  });
});
