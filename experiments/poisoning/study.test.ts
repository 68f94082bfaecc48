import { describe, expect, it } from 'vitest';
import { loadTrainEngine } from '../../client/training/engine.ts';
import { PulsefoldError } from '../../crypto/error.ts';
import { loadDataset } from '../datasets/index.ts';
import { splitPersons } from '../datasets/splits.ts';
import { spoiledShare } from './bench.ts';
import { logisticEngine } from './logistic-engine.ts';
import { type PlanSettings, poisoningPlan } from './plans.ts';
import { type Attack, poisonedOutcome } from './study.ts';

const dataset = await loadDataset('synthetic-band');
const CLIENTS = 60;
const { clients, test } = splitPersons(dataset, 'poisoning-test', CLIENTS);
const population = { dataset, clients, test };
const oneSum: PlanSettings = { clients: CLIENTS, rule: 'fedavg', groups: 1, epsilon: null };
const outcomeOf = (settings: PlanSettings, malicious: number, attack: Attack) =>
  poisonedOutcome(population, {
    parsed: poisoningPlan(dataset, settings),
    attack,
    malicious,
    boost: CLIENTS,
    seed: '1',
  });
const aucOf = async (settings: PlanSettings, malicious: number) =>
  (await outcomeOf(settings, malicious, 'boosted')).auc;

describe('boosted clients', () => {
  it('turn one sum against its people, while groups hold with fewer than half of them spoiled', async () => {
    const clean = await aucOf(oneSum, 0);
    expect(await aucOf(oneSum, 6)).toBeLessThan(clean - 0.1);
    for (const rule of ['median', 'norm-filter'] as const) {
      const settings: PlanSettings = { ...oneSum, rule, groups: 20 };
      expect(await aucOf(settings, 3)).toBeGreaterThan(clean - 0.06);
      // No defence holds against a majority of groups.
      expect(await aucOf(settings, 30)).toBeLessThan(clean - 0.1);
    }
  });

  it('gives the same figure for the same seed', async () => {
    expect(await aucOf(oneSum, 6)).toBe(await aucOf(oneSum, 6));
  });

  it('plant a backdoor in one sum and not in groups whose norms are filtered', async () => {
    const clean = await outcomeOf(oneSum, 0, 'backdoor');
    const spoiled = await outcomeOf(oneSum, 6, 'backdoor');
    expect(spoiled.missedWithTrigger).toBeGreaterThan(clean.missedWithTrigger + 0.3);
    const held = await outcomeOf({ ...oneSum, rule: 'norm-filter', groups: 20 }, 3, 'backdoor');
    expect(held.missedWithTrigger).toBeLessThan(clean.missedWithTrigger + 0.2);
  });

  it('cannot outnumber the clients', async () => {
    await expect(aucOf(oneSum, CLIENTS + 1)).rejects.toThrow(PulsefoldError);
  });
});

it('the share of spoiled groups is the hypergeometric one', () => {
  const settings = { ...oneSum, clients: 10, groups: 2 };
  // 1 − C(8,5)/C(10,5) · … with two malicious: 1 − (8·7·6·5·4)/(10·9·8·7·6).
  expect(spoiledShare(settings, 2)).toBeCloseTo(1 - 6720 / 30_240, 4);
  expect(spoiledShare(settings, 0)).toBe(0);
  expect(spoiledShare(settings, 10)).toBe(1);
});

it('the plain engine trains like the tensor engine', async () => {
  const tensor = await loadTrainEngine(['tfjs-cpu']);
  const spec = { kind: 'lr' as const, inputs: dataset.inputs, hidden: [], activation: 'relu' as const };
  const rows = 20;
  const data = {
    features: dataset.features.slice(0, rows * dataset.inputs),
    labels: dataset.labels.slice(0, rows),
    count: rows,
  };
  const start = Float32Array.from({ length: dataset.inputs + 1 }, (_, i) => Math.sin(i) / 4);
  const options = { epochs: 5, batchSize: rows, learningRate: 0.5, proximalMu: 0, l2: 0.01, seed: 'x' };
  const ours = await logisticEngine.train(spec, start, data, options);
  const theirs = await tensor.train(spec, start, data, options);
  const gradients = await logisticEngine.recordGradients(spec, start, data);
  const expected = await tensor.recordGradients(spec, start, data);
  for (const [i, value] of theirs.entries()) expect(ours[i]).toBeCloseTo(value, 5);
  for (const [i, value] of expected.entries()) expect(gradients[i]).toBeCloseTo(value, 5);
});
