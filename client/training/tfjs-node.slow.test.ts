/**
 * Goal: the tfjs-node engine computes what tfjs-wasm does, leaks nothing and starts quietly on this Node.
 * Method: PULSEFOLD_TFJS_NODE names an unpacked @tensorflow/tfjs-node whose native part is built
 * (docs/tfjs-node.md); skipped without it, because npm cannot always install that package.
 */
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type * as tfCore from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import type { TrainEngine, TrainingData, TrainOptions } from './engine.ts';
import { loadTrainEngine } from './engine.ts';
import type { ModelSpec } from './model.ts';
import { initialWeights, parameterCount } from './model.ts';
import { loadTfjsNode } from './tfjs-load.ts';

const run = promisify(execFile);
const given = process.env.PULSEFOLD_TFJS_NODE;
const packageDirectory = resolve(given ?? '.');
if (!given) console.warn('tfjs-node tests skipped: PULSEFOLD_TFJS_NODE is not set (docs/tfjs-node.md)');

const specs: readonly ModelSpec[] = [
  { kind: 'lr', inputs: 13, hidden: [], activation: 'relu' },
  { kind: 'mlp', inputs: 13, hidden: [16], activation: 'relu' },
  { kind: 'mlp', inputs: 13, hidden: [32, 16], activation: 'tanh' },
];
const batchSizes = [32, 1000];
const cases = specs.flatMap((spec) => batchSizes.map((batchSize) => ({ ...spec, spec, batchSize })));
const options: TrainOptions = {
  epochs: 10,
  batchSize: 32,
  learningRate: 0.2,
  proximalMu: 0.1,
  l2: 0.01,
  seed: 'tfjs-node',
};

function sample(count: number, inputs: number): TrainingData {
  return {
    features: Float32Array.from({ length: count * inputs }, (_, i) => Math.sin(i * 12.9898 + 1) ** 3),
    labels: Uint8Array.from({ length: count }, (_, i) => (Math.sin(i * 3.3) > 0 ? 1 : 0)),
    count,
  };
}

function distanceMax(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i]!)), 0);
}

describe.skipIf(!given)('tfjs-node engine', () => {
  let node: TrainEngine;
  let wasm: TrainEngine;
  let tf: typeof tfCore;
  beforeAll(async () => {
    const loaders = { 'tfjs-node': (s: TrainEngine['skipped']) => loadTfjsNode(s, packageDirectory) };
    node = await loadTrainEngine(['tfjs-node'], loaders);
    wasm = await loadTrainEngine(['tfjs-wasm']);
    // The package's own copy, which is not ours when it is unpacked elsewhere.
    tf = createRequire(join(packageDirectory, 'package.json'))('@tensorflow/tfjs-core') as typeof tfCore;
  });

  test('is the native backend', () => {
    expect(node.name).toBe('tfjs-node');
    expect(node.skipped).toEqual([]);
    expect(tf.findBackend('tensorflow')).not.toBeNull();
  });

  test.each(cases)(
    'agrees with tfjs-wasm to 1e-5 and leaks nothing: $kind $hidden, batch $batchSize',
    async ({ spec, batchSize }) => {
      const data = sample(300, spec.inputs);
      const start = initialWeights(spec, 'w');
      const tensors = tf.memory().numTensors;
      const all = async (engine: TrainEngine): Promise<Float32Array[]> => {
        const trained = await engine.train(spec, start, data, { ...options, batchSize });
        return [
          trained,
          await engine.recordGradients(spec, trained, data),
          await engine.predict(spec, trained, data.features, data.count),
        ];
      };
      const [ours, theirs] = [await all(node), await all(wasm)];
      expect(distanceMax(ours[0]!, start)).toBeGreaterThan(1e-2); // something was learned
      expect(ours[1]!.length).toBe(300 * parameterCount(spec));
      ours.forEach((values, i) => {
        expect(distanceMax(values, theirs[i]!)).toBeLessThan(1e-5);
      });
      const tooFar = { ...options, epochs: 100, learningRate: 100, l2: 1000 };
      await expect(node.train(spec, start, data, tooFar)).rejects.toThrow(
        expect.objectContaining({ code: 'DATA_INVALID' }),
      );
      expect(tf.memory().numTensors).toBe(tensors);
    },
  );

  test('is deterministic on matrices large enough for several threads', async () => {
    const spec: ModelSpec = { kind: 'mlp', inputs: 100, hidden: [128, 64], activation: 'relu' };
    const train = (): Promise<Float32Array> =>
      node.train(spec, initialWeights(spec, 'w'), sample(2000, 100), {
        ...options,
        epochs: 2,
        batchSize: 2000,
      });
    const first = await train();
    for (let i = 0; i < 3; i++) expect(await train()).toEqual(first);
  });

  test('is the default in a fresh process that finds it, which prints nothing', async () => {
    const script = `
      import { loadTrainEngine } from ${JSON.stringify(new URL('./engine.ts', import.meta.url).href)};
      const engine = await loadTrainEngine();
      const spec = { kind: 'lr', inputs: 1, hidden: [], activation: 'relu' };
      const data = { features: new Float32Array(2), labels: new Uint8Array(2), count: 2 };
      await engine.recordGradients(spec, new Float32Array(2), data);
      const events = ['uncaughtException', 'unhandledRejection'];
      console.log(JSON.stringify([engine.name, ...events.map((event) => process.listenerCount(event))]));`;
    const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '--eval', script], {
      env: { ...process.env, NODE_PATH: resolve(packageDirectory, '../..') },
    });
    expect(stderr).toBe('');
    expect(stdout).toBe('["tfjs-node",0,0]\n');
  });

  test('fails without the utilities we put back; once this passes, remove them', async () => {
    const script = `
      const tf = require(${JSON.stringify(packageDirectory)});
      tf.matMul(tf.ones([2, 2]), tf.ones([2, 2])).dataSync();`;
    await expect(run(process.execPath, ['--eval', script])).rejects.toThrow(
      'isNullOrUndefined) is not a function',
    );
  });
});
