/**
 * Goal: baselines learn what can be learned, and say what they measured. On the synthetic population: no
 * file needed.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import type { TrainEngine } from '../../client/training/engine.ts';
import { loadTrainEngine } from '../../client/training/engine.ts';
import type { ModelSpec } from '../../client/training/model.ts';
import { baselineOptions, centralBaseline, localBaseline } from './baselines.ts';
import { evaluate } from './evaluate.ts';
import type { Dataset } from './index.ts';
import { loadDataset, subset } from './index.ts';
import { auc } from './metrics.ts';
import { bySite, splitPerSite } from './splits.ts';
import { applyStandardisation, fitStandardisation } from './standardise.ts';

let engine: TrainEngine;
let dataset: Dataset;
let spec: ModelSpec;
beforeAll(async () => {
  engine = await loadTrainEngine();
  dataset = await loadDataset('synthetic-band', { syntheticRows: 1200 });
  spec = { kind: 'lr', inputs: dataset.inputs, hidden: [], activation: 'relu' };
});

describe('baselines', () => {
  test('central beats local-only; both beat chance; per-site figures add up to the pooled ones', async () => {
    const split = splitPerSite(dataset, '0');
    const options = baselineOptions(spec, '0');
    const central = await centralBaseline(engine, spec, dataset, split, options);
    // Small sites, so that being alone hurts.
    const sites = new Map([...bySite(dataset, split.train)].map(([site, rows]) => [site, rows.slice(0, 30)]));
    const local = await localBaseline(engine, spec, dataset, sites, split.test, options);
    expect(central.evaluation.auc).toBeGreaterThan(0.75);
    expect(local.auc).toBeGreaterThan(0.55);
    expect(local.auc).toBeLessThan(central.evaluation.auc);
    expect(local.clients.map((client) => client.name)).toEqual(dataset.sites);
    expect(local.auc).toBeCloseTo(local.clients.reduce((sum, client) => sum + client.auc, 0) / 4, 12);

    const { evaluation } = central;
    expect(evaluation.auc).toBe(auc(evaluation.labels, evaluation.scores));
    expect(evaluation.perSite.reduce((sum, site) => sum + site.rows, 0)).toBe(split.test.length);
    const hits = evaluation.perSite.reduce((sum, site) => sum + site.accuracy * site.rows, 0);
    expect(hits / split.test.length).toBeCloseTo(evaluation.accuracy, 12);
    expect(evaluation.calibrationError).toBeLessThan(0.1);
  });

  test('shuffled labels teach nothing (no path from test rows to the model)', async () => {
    const split = splitPerSite(dataset, '0');
    const labels = dataset.labels.map((_, i) => dataset.labels[(i * 7 + 13) % dataset.count]!);
    const shuffled: Dataset = { ...dataset, labels };
    const { evaluation } = await centralBaseline(engine, spec, shuffled, split, baselineOptions(spec, '0'));
    expect(Math.abs(evaluation.auc - 0.5)).toBeLessThan(0.1);
  });

  test('at most clientsMax clients are tried; one-person clients work', async () => {
    const split = splitPerSite(dataset, '0');
    const people = new Map(split.train.slice(0, 40).map((row) => [String(row), [row]]));
    const local = await localBaseline(
      engine,
      spec,
      dataset,
      people,
      split.test,
      baselineOptions(spec, '0'),
      5,
    );
    expect(local.clients.map((client) => client.name)).toEqual(
      [0, 8, 16, 24, 32].map((i) => [...people.keys()][i]),
    );
    await expect(evaluate(engine, spec, new Float32Array(11), dataset, [])).rejects.toThrow(
      expect.objectContaining({ code: 'DATA_EMPTY' }),
    );
  });
});

describe('standardisation', () => {
  test('needs noDp, said twice', () => {
    const data = subset(dataset, [0, 1, 2]);
    expect(() => fitStandardisation(data, dataset.inputs, { noDp: false })).toThrow(
      expect.objectContaining({ code: 'PARAMETER_UNSAFE' }),
    );
    const fitted = fitStandardisation(data, dataset.inputs, { noDp: true });
    expect(() => applyStandardisation(data, fitted, { noDp: false })).toThrow(
      expect.objectContaining({ code: 'PARAMETER_UNSAFE' }),
    );
  });

  test('gives mean 0 and deviation 1; constant columns stay finite', () => {
    const data = { features: Float32Array.of(1, 5, 3, 5), labels: Uint8Array.of(0, 1), count: 2 };
    const fitted = fitStandardisation(data, 2, { noDp: true });
    expect([...fitted.mean, ...fitted.deviation]).toEqual([2, 5, 1, 1]);
    expect([...applyStandardisation(data, fitted, { noDp: true }).features]).toEqual([-1, 0, 1, 0]);
  });
});
