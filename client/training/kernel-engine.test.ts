/**
 * Goal: the kernel engine computes what its plain twin does, to the last bit, and what the tfjs engines do, to 1e-5;
 * many clients in one call are the same as one after the other. Method: random specs, data and options.
 */
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { seededRandom, shuffle } from '../../crypto/random.ts';
import type { TrainEngine, TrainingData, TrainOptions } from './engine.ts';
import { loadTrainEngine } from './engine.ts';
import { type KernelEngine, loadKernelEngine } from './kernel-engine.ts';
import { exp, sigmoid, tanh, twinPredict, twinRecordGradients, twinTrain } from './kernels/testing-twin.ts';
import type { ModelSpec } from './model.ts';
import { initialWeights, outputKindOf, outputsOf, parameterCount } from './model.ts';
import { RowOrder } from './row-order.ts';

let kernel: KernelEngine;
let tensor: TrainEngine;
beforeAll(async () => {
  kernel = await loadKernelEngine();
  tensor = await loadTrainEngine(['tfjs-cpu']);
});

const outputs: readonly ModelSpec['output'][] = [
  undefined,
  { kind: 'regression' },
  ...[2, 3, 4, 10, 17].map((count) => ({ kind: 'classes' as const, count })),
];
const specs: fc.Arbitrary<ModelSpec> = fc
  .record({
    inputs: fc.integer({ min: 1, max: 21 }),
    hidden: fc.array(fc.integer({ min: 1, max: 19 }), { maxLength: 3 }),
    activation: fc.constantFrom('relu' as const, 'tanh' as const),
    output: fc.constantFrom(...outputs),
  })
  .map(({ output, ...spec }) => ({
    ...spec,
    kind: spec.hidden.length === 0 ? 'lr' : 'mlp',
    ...(output && { output }),
  }));

/** Rows of numbers about −1 to 1, a third of them exactly 0. */
function sample(spec: ModelSpec, count: number, salt = 0): TrainingData {
  const wave = (i: number): number => Math.sin((i + 1) * 12.9898 + salt);
  const features = Float32Array.from({ length: count * spec.inputs }, (_, i) =>
    wave(3 * i) > 0.4 ? 0 : wave(i) ** 3,
  );
  const kind = outputKindOf(spec);
  const classes = kind === 'classes' ? outputsOf(spec) : 2;
  const labels =
    kind === 'regression'
      ? Float32Array.from({ length: count }, (_, i) => wave(7 * i))
      : Uint8Array.from({ length: count }, (_, i) => Math.floor(classes * Math.abs(wave(7 * i)) * 0.999));
  return { features, labels, count };
}

const startOf = (spec: ModelSpec): Float32Array =>
  initialWeights(spec, 'w').map((value, i) => value + 0.1 * Math.cos(i));

const cases = fc
  .record({
    spec: specs,
    count: fc.integer({ min: 1, max: 40 }),
    batchSize: fc.integer({ min: 1, max: 50 }),
    epochs: fc.integer({ min: 1, max: 3 }),
    proximalMu: fc.constantFrom(0, 0.3),
    l2: fc.constantFrom(0, 0.05),
    hasOffset: fc.boolean(),
    isFrozen: fc.boolean(),
    salt: fc.integer({ min: 0, max: 1000 }),
  })
  .map(({ spec, count, hasOffset, isFrozen, salt, ...rest }) => {
    const dimension = parameterCount(spec);
    const options: TrainOptions = { ...rest, learningRate: 0.2, seed: `seed ${salt}` };
    if (hasOffset)
      options.gradientOffset = Float32Array.from({ length: dimension }, (_, i) => Math.sin(i) / 10);
    if (isFrozen)
      options.frozen = [
        [0, 1],
        [Math.ceil(dimension / 2), dimension],
      ];
    return { spec, data: sample(spec, count, salt), weights: startOf(spec), options };
  });

function distanceMax(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let worst = 0;
  for (let i = 0; i < a.length; i++) worst = Math.max(worst, Math.abs(a[i]! - b[i]!));
  return worst;
}

test('training, record gradients and predictions are the twin’s, bit for bit', async () => {
  await fc.assert(
    fc.asyncProperty(cases, async ({ spec, data, weights, options }) => {
      const trained = await kernel.train(spec, weights, data, options);
      expect(trained).toEqual(twinTrain(spec, weights, data, options));
      expect(await kernel.recordGradients(spec, trained, data)).toEqual(
        twinRecordGradients(spec, trained, data),
      );
      expect(await kernel.predict(spec, trained, data.features, data.count)).toEqual(
        twinPredict(spec, trained, data.features, data.count),
      );
    }),
    { numRuns: 120 },
  );
});

/** 1e-5 is for what rounding does in a few steps; over many, each step's difference is an input to the next one. */
const STEPS_MAX = 12;
const stepsOf = ({ data, options }: { data: TrainingData; options: TrainOptions }): number =>
  options.epochs * Math.ceil(data.count / options.batchSize);

test('training, record gradients and predictions are tfjs’ to 1e-5', async () => {
  await fc.assert(
    fc.asyncProperty(cases, async ({ spec, data, weights, options: drawn }) => {
      const options = { ...drawn };
      while (stepsOf({ data, options }) > STEPS_MAX) options.batchSize *= 2;
      const all = async (engine: TrainEngine): Promise<Float32Array[]> => [
        await engine.train(spec, weights, data, options),
        await engine.recordGradients(spec, weights, data),
        await engine.predict(spec, weights, data.features, data.count),
      ];
      const [ours, theirs] = [await all(kernel), await all(tensor)];
      ours.forEach((values, i) => {
        expect(distanceMax(values, theirs[i]!)).toBeLessThan(1e-5);
      });
    }),
    { numRuns: 25 },
  );
});

describe('the functions beneath', () => {
  const points = Array.from({ length: 20_001 }, (_, i) => Math.fround((i - 10_000) / 700));
  test.each<[string, (x: number) => number, (x: number) => number, (y: number) => number]>([
    ['exp', exp, Math.exp, (y) => 2e-7 * y],
    ['tanh', tanh, Math.tanh, () => 2e-7],
    ['sigmoid', sigmoid, (z) => 1 / (1 + Math.exp(-z)), () => 2e-7],
  ])('%s is right', (_, ours, exact, tolerance) => {
    const excess = points.map((x) => Math.abs(ours(x) - exact(x)) / tolerance(exact(x)));
    expect(Math.max(...excess)).toBeLessThanOrEqual(1);
  });

  test('rows come in the order of crypto/random.ts', () => {
    for (const count of [1, 2, 37, 2500]) {
      const ours = new RowOrder(count, 's');
      const random = seededRandom('batches/s');
      const theirs = Array.from({ length: count }, (_, i) => i);
      for (let epoch = 0; epoch < 3; epoch++) expect([...ours.next()]).toEqual(shuffle(theirs, random));
    }
  });
});

describe('trainMany', () => {
  // Some share a seed: then clients with as many rows take the same order.
  const seeds = (client: number): string => `client ${client % 5}`;

  test('is train() on every slice, bit for bit', async () => {
    await fc.assert(
      fc.asyncProperty(
        cases,
        fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 12 }),
        fc.integer({ min: 0, max: 3 }),
        async ({ spec, weights, options }, counts, skipped) => {
          const offsets = new Uint32Array(counts.length + 1).fill(skipped);
          counts.forEach((count, i) => {
            offsets[i + 1] = offsets[i]! + count;
          });
          const data = sample(spec, offsets.at(-1)! + 1);
          const dimension = parameterCount(spec);
          const out = new Float32Array(counts.length * dimension);
          kernel.trainMany(spec, weights, data, offsets, options, seeds, out);
          for (let i = 0; i < counts.length; i++) {
            const [from, to] = [offsets[i]!, offsets[i + 1]!];
            const own: TrainingData = {
              features: data.features.subarray(from * spec.inputs, to * spec.inputs),
              labels: data.labels.subarray(from, to),
              count: to - from,
            };
            expect(out.subarray(i * dimension, (i + 1) * dimension)).toEqual(
              await kernel.train(spec, weights, own, { ...options, seed: seeds(i) }),
            );
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  test('10,000 phones of one row, in shared memory and more than one window', async () => {
    const spec: ModelSpec = { kind: 'lr', inputs: 13, hidden: [], activation: 'relu' };
    const count = 10_000;
    const { features, labels } = sample(spec, count);
    const shared = new Float32Array(new SharedArrayBuffer(4 * features.length));
    shared.set(features);
    const offsets = Uint32Array.from({ length: count + 1 }, (_, i) => i);
    const out = new Float32Array(count * 14);
    const options: TrainOptions = {
      epochs: 2,
      batchSize: 8,
      learningRate: 1,
      proximalMu: 0,
      l2: 0,
      seed: '-',
    };
    const weights = startOf(spec);
    kernel.trainMany(spec, weights, { features: shared, labels, count }, offsets, options, seeds, out);
    for (const i of [0, 4681, 4682, 9999]) {
      const own = {
        features: features.subarray(13 * i, 13 * i + 13),
        labels: labels.subarray(i, i + 1),
        count: 1,
      };
      expect(out.subarray(14 * i, 14 * i + 14)).toEqual(twinTrain(spec, weights, own, options));
    }
  });

  const spec: ModelSpec = { kind: 'lr', inputs: 2, hidden: [], activation: 'relu' };
  const good = sample(spec, 4);
  const options: TrainOptions = { epochs: 1, batchSize: 8, learningRate: 1, proximalMu: 0, l2: 0, seed: '-' };
  test.each<[string, string, readonly number[], number, Partial<TrainingData>, Partial<TrainOptions>]>([
    ['no offsets', 'DATA_INVALID', [], 6, {}, {}],
    ['an empty client', 'DATA_EMPTY', [0, 2, 2], 6, {}, {}],
    ['descending offsets', 'DATA_INVALID', [2, 1], 6, {}, {}],
    ['rows beyond the table', 'DATA_INVALID', [0, 5], 6, {}, {}],
    ['too little room', 'VECTOR_LENGTH_MISMATCH', [0, 2, 4], 5, {}, {}],
    ['NaN in data', 'DATA_INVALID', [0, 4], 6, { features: good.features.map(() => Number.NaN) }, {}],
    ['label 2', 'DATA_INVALID', [0, 4], 6, { labels: Uint8Array.of(0, 1, 2, 0) }, {}],
    ['divergence', 'DATA_INVALID', [0, 2, 4], 6, {}, { epochs: 100, learningRate: 100, l2: 1000 }],
  ])('refuses %s with %s', (_, code, offsets, room, data, more) => {
    expect(() =>
      kernel.trainMany(
        spec,
        new Float32Array(3).fill(0.1),
        { ...good, ...data },
        Uint32Array.from(offsets),
        { ...options, ...more },
        seeds,
        new Float32Array(room),
      ),
    ).toThrow(expect.objectContaining({ code }));
  });
});

test('a table larger than what stays in kernel memory passes through in pieces', async () => {
  const spec: ModelSpec = { kind: 'lr', inputs: 1024, hidden: [], activation: 'relu' };
  const few = sample(spec, 42);
  const data: TrainingData = {
    features: new Float32Array(4200 * 1024),
    labels: Uint8Array.from({ length: 4200 }, (_, i) => i % 2),
    count: 4200,
  };
  for (let i = 0; i < 100; i++) data.features.set(few.features, i * few.features.length);
  for (const batchSize of [3000, 5000]) {
    const options = { epochs: 2, batchSize, learningRate: 0.1, proximalMu: 0, l2: 0, seed: 'p' };
    const whole = new Float32Array(1025);
    const offsets = Uint32Array.of(0, data.count);
    kernel.trainMany(spec, startOf(spec), data, offsets, options, () => options.seed, whole);
    expect(await kernel.train(spec, startOf(spec), data, options)).toEqual(whole);
  }
});
