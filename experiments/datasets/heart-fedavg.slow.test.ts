/**
 * Goal: the engine, the splits and the server optimiser together reach what central training reaches on the
 * four hospitals, and more than a hospital alone. Plain calls, no privacy and no protocol: a ceiling for the
 * federated runs, not a second implementation of a round. 20 seeds, mean; hyper-parameters chosen on this
 * public benchmark.
 */
import { expect, test } from 'vitest';
import { loadTrainEngine } from '../../client/training/engine.ts';
import type { ModelSpec } from '../../client/training/model.ts';
import { initialWeights, parameterCount } from '../../client/training/model.ts';
import type { ServerHyper } from '../../coordinator/aggregation/server-optimizer.ts';
import { initialServerState, serverStep } from '../../coordinator/aggregation/server-optimizer.ts';
import { baselineOptions, centralBaseline, localBaseline } from './baselines.ts';
import { evaluate } from './evaluate.ts';
import { datasetAvailable, findDataRoot, loadDataset, subset } from './index.ts';
import { bySite, splitPerSite } from './splits.ts';

const dataRoot = findDataRoot();
const available = await datasetAvailable('uci-heart', dataRoot);
const seeds = Array.from({ length: 20 }, (_, i) => String(i));
const rounds = 10;
const hyper: ServerHyper = { strategy: 'fedavgm', learningRate: 1, momentum: 0.5 };
const local = { epochs: 5, batchSize: 16, learningRate: 0.3, proximalMu: 0, l2: 0 };

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

test.skipIf(!available)(
  'FedAvg with server momentum over four hospitals',
  { timeout: 240_000 },
  async (context) => {
    const engine = await loadTrainEngine();
    const dataset = await loadDataset('uci-heart', { dataRoot });
    const spec: ModelSpec = { kind: 'lr', inputs: dataset.inputs, hidden: [], activation: 'relu' };
    const central: number[] = [];
    const alone: number[] = [];
    const federated: number[] = [];
    let deltaNormMax = 0;
    for (const seed of seeds) {
      const split = splitPerSite(dataset, seed);
      const sites = bySite(dataset, split.train);
      const options = baselineOptions(spec, seed);
      central.push((await centralBaseline(engine, spec, dataset, split, options)).evaluation.auc);
      alone.push((await localBaseline(engine, spec, dataset, sites, split.test, options)).auc);
      let weights = initialWeights(spec, seed);
      let state = initialServerState(hyper, parameterCount(spec));
      for (let round = 0; round < rounds; round++) {
        const update = new Float64Array(weights.length);
        for (const [site, rows] of sites) {
          const trained = await engine.train(spec, weights, subset(dataset, rows), {
            ...local,
            seed: `${seed}/${round}/${site}`,
          });
          const delta = trained.map((value, i) => value - weights[i]!);
          deltaNormMax = Math.max(deltaNormMax, Math.hypot(...delta));
          delta.forEach((value, i) => {
            update[i]! += value / sites.size;
          });
        }
        ({ weights, state } = serverStep(state, weights, update, hyper));
      }
      federated.push((await evaluate(engine, spec, weights, dataset, split.test)).auc);
    }
    const figures = { central: mean(central), federated: mean(federated), local: mean(alone), deltaNormMax };
    await context.annotate(JSON.stringify(figures));
    expect(figures.central).toBeGreaterThanOrEqual(0.86);
    expect(figures.federated).toBeGreaterThanOrEqual(figures.central - 0.005);
    expect(figures.federated).toBeGreaterThan(figures.local + 0.02);
  },
);
