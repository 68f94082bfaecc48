/**
 * Goal: where devices label alike rows in opposite ways, no common model serves them and personal ones do; the real
 * training kernel, clip and integers.
 */
import { expect, test } from 'vitest';
import type { TrainingData } from '../../client/training/engine.ts';
import { loadKernelEngine } from '../../client/training/kernel-engine.ts';
import { modelOfDevice } from '../../client/training/strategies/index.ts';
import { seededRandom, uniform } from '../../crypto/random.ts';
import { Federation, strategyPlan } from './testing-quadratic.ts';

const INPUTS = 4;
const [TRAIN, TEST] = [40, 200];

/** Rows labelled by the sign of one public direction; `flipped`: by the opposite. */
function tableOf(seed: string, flipped: boolean, count: number): TrainingData {
  const random = seededRandom(seed);
  const features = Float32Array.from({ length: count * INPUTS }, () => 2 * uniform(random) - 1);
  const labels = Uint8Array.from({ length: count }, (_, row) => {
    const at = row * INPUTS;
    const positive = features[at]! - features[at + 1]! + features[at + 2]! > 0;
    return Number(positive !== flipped);
  });
  return { features, labels, count };
}

const binary = (kind: 'lr' | 'mlp') => ({
  model: { kind, inputs: INPUTS, hidden: kind === 'lr' ? [] : [6], activation: 'tanh' },
  features: {
    dataset: 'test',
    label: { column: 'event', positive: { above: 0 } },
    features: Array.from({ length: INPUTS }, (_, i) => ({
      column: `f${i}`,
      kind: 'number',
      minimum: 0,
      maximum: 1,
    })),
    complete: true,
  },
  eligibility: { recordsMin: 1, recordsMax: TRAIN },
});

/** Mean accuracy over the devices, each with the model that it uses, on rows of its own kind. */
async function accuracy(strategy: string, kind: 'lr' | 'mlp', training: object): Promise<number> {
  const engine = await loadKernelEngine();
  const devices = [0, 1, 2, 3, 4, 5].map((i) => ({ seed: `device-${i}`, flipped: i % 2 === 1 }));
  const common = { epochs: 4, batchSize: 10, learningRate: 0.5 };
  const parsed = strategyPlan(strategy, { ...common, ...training }, binary(kind));
  const { plan } = parsed;
  const tables = devices.map(({ seed, flipped }) => tableOf(seed, flipped, TRAIN));
  const federation = new Federation(parsed, engine, tables);
  await federation.run(12);
  let right = 0;
  for (const [i, { seed, flipped }] of devices.entries()) {
    const { memory } = federation.devices[i]!;
    const model = await modelOfDevice({ plan, blob: federation.blob, memory });
    const rows = tableOf(`${seed}/test`, flipped, TEST);
    const scores = await engine.predict(plan.model, model, rows.features, TEST);
    right += scores.reduce((sum, score, row) => sum + Number(Number(score > 0.5) === rows.labels[row]!), 0);
  }
  return right / (TEST * devices.length);
}

test('a common model is a coin toss, Ditto and FedPer are not', async () => {
  expect(await accuracy('fedavg', 'lr', {})).toBeLessThan(0.6);
  expect(await accuracy('fedavg', 'mlp', {})).toBeLessThan(0.6);
  expect(await accuracy('ditto', 'lr', { proximalMu: 0.1 })).toBeGreaterThan(0.9);
  expect(await accuracy('fedper', 'mlp', {})).toBeGreaterThan(0.85);
  // Pulled hard enough to the common model, a personal one is worth as little.
  expect(await accuracy('ditto', 'lr', { proximalMu: 2 })).toBeLessThan(
    await accuracy('ditto', 'lr', { proximalMu: 0.1 }),
  );
});
