/**
 * Goal: 300 one-person clients and three rounds are enough for a useful model, also with the noise of ε = 8.
 * Plain calls with float Gaussian noise from a seed: a forecast for the real pipeline (integers, CSPRNG),
 * itself not private.
 */
import { expect, test } from 'vitest';
import { loadTrainEngine } from '../../client/training/engine.ts';
import type { ModelSpec } from '../../client/training/model.ts';
import { initialWeights, parameterCount } from '../../client/training/model.ts';
import type { ServerHyper } from '../../coordinator/aggregation/server-optimizer.ts';
import { initialServerState, serverStep } from '../../coordinator/aggregation/server-optimizer.ts';
import { seededRandom, uniform } from '../../crypto/random.ts';
import { evaluate } from './evaluate.ts';
import { datasetAvailable, findDataRoot, loadDataset, subset } from './index.ts';
import { splitPersons } from './splits.ts';

const dataRoot = findDataRoot();
const available = await datasetAvailable('cardio', dataRoot);
const seeds = Array.from({ length: 10 }, (_, i) => String(i));
const [people, rounds, clip] = [300, 3, 2];
const hyper: ServerHyper = { strategy: 'fedavg', learningRate: 3 };
const local = { epochs: 5, batchSize: 1, learningRate: 1, proximalMu: 0, l2: 0 };
/**
 * ρ with δ(ε = 8) ≤ 1e-5 is 1.2297 (zCDP to DP by Canonne, Kamath & Steinke 2004.00010); three
 * rounds share it. The sum of 180 honest shares, (1 − γ)·K_min with γ = 0.1 and K_min = 200, has to carry
 * that much noise.
 */
const deviationPerClient = (clip * Math.sqrt(rounds / (2 * 1.2297))) / Math.sqrt(180);

async function run(noisy: boolean): Promise<{ auc: number; accuracy: number; clippedShare: number }> {
  const engine = await loadTrainEngine();
  const dataset = await loadDataset('cardio', { dataRoot });
  const spec: ModelSpec = { kind: 'lr', inputs: dataset.inputs, hidden: [], activation: 'relu' };
  const totals = { auc: 0, accuracy: 0, clippedShare: 0 };
  for (const seed of seeds) {
    const split = splitPersons(dataset, seed, people);
    const random = seededRandom(`simulation/${seed}`);
    const normal = (): number =>
      Math.sqrt(-2 * Math.log(1 - uniform(random))) * Math.cos(2 * Math.PI * uniform(random));
    let weights = initialWeights(spec, seed);
    let state = initialServerState(hyper, parameterCount(spec));
    for (let round = 0; round < rounds; round++) {
      const present = split.clients.filter((_, i) => (i + round) % 4 !== 0); // a quarter of the phones vanish
      const update = new Float64Array(weights.length);
      for (const row of present) {
        const trained = await engine.train(spec, weights, subset(dataset, [row]), { ...local, seed });
        const delta = trained.map((value, i) => value - weights[i]!);
        const norm = Math.hypot(...delta);
        if (norm > clip) totals.clippedShare += 1 / (present.length * rounds * seeds.length);
        delta.forEach((value, i) => {
          const noise = noisy ? deviationPerClient * normal() : 0;
          update[i]! += (value * Math.min(1, clip / norm) + noise) / present.length;
        });
      }
      ({ weights, state } = serverStep(state, weights, update, hyper));
    }
    const evaluation = await evaluate(engine, spec, weights, dataset, split.test);
    totals.auc += evaluation.auc / seeds.length;
    totals.accuracy += evaluation.accuracy / seeds.length;
  }
  return totals;
}

test.skipIf(!available)(
  '300 phones, three rounds, with and without noise',
  { timeout: 240_000 },
  async (context) => {
    const exact = await run(false);
    const noisy = await run(true);
    await context.annotate(JSON.stringify({ exact, noisy }));
    expect(exact.auc).toBeGreaterThan(0.77);
    expect(noisy.auc).toBeGreaterThan(exact.auc - 0.01);
    expect(noisy.auc).toBeLessThan(0.82); // more would be a leak, see the set's README
  },
);
