/**
 * Goal: plans name strategies that can be run as they are meant; what needs single updates, correlated noise or a free
 * coordinate is refused with the reason, and a plan without new settings hashes as it did.
 */
import { describe, expect, it } from 'vitest';
import { toHex } from '../crypto/bytes.ts';
import { finishPlan, parsePlanBytes } from './plan.ts';
import { vectorLength } from './plan-mechanism.ts';
import { trainingSchema } from './plan-training.ts';

const feature = (column: string) => ({ column, kind: 'number', minimum: 0, maximum: 1 });
const privacy = { unit: 'person', epsilon: '1000', delta: '0.00001', gamma: '1/20', noiseVariance: '10' };
const record = { ...privacy, unit: 'record', samplingRate: '1/2' };
const base = {
  version: 1,
  name: 'strategies',
  purpose: 'A test of training terms.',
  suite: 'intl',
  seed: '1',
  features: {
    dataset: 'test',
    label: { column: 'event', positive: { above: 0 } },
    features: [feature('a'), feature('b')],
    complete: true,
  },
  model: { kind: 'lr', inputs: 2, hidden: [], activation: 'relu' },
  rounds: {
    training: 2,
    cohortMin: 40,
    cohortTarget: 50,
    cohortMax: 60,
    checkInWindowMs: 1000,
    deadlineMs: 10_000,
  },
  eligibility: { recordsMax: 10 },
  mechanism: { clip: '2', unitsPerClip: 32, expectedBatch: '300', recordsMax: 10 },
  privacy,
  holders: [1, 2, 3, 4].map((i) => ({
    id: `holder-${i}`,
    signingPublicKey: `${i}`.repeat(64),
    sealingPublicKey: `${i + 4}`.repeat(64),
  })),
  registrarSha256: '0'.repeat(64),
  coordinatorPublicKey: '9'.repeat(64),
};
const planOf = (training: object, changes: object = {}) =>
  finishPlan({
    ...base,
    training: { strategy: 'fedavg', epochs: 1, batchSize: 8, learningRate: 0.1, ...training },
    ...changes,
  });
const mlp = { model: { kind: 'mlp', inputs: 2, hidden: [3, 4], activation: 'relu' } };
/** A series of two steps: one filter bank, then the output layer. */
const convolution = {
  model: {
    kind: 'cnn',
    inputs: 2,
    channels: 1,
    convolutions: [{ filters: 3, width: 2, stride: 1 }],
    summary: 'flatten',
    hidden: [],
    activation: 'relu',
  },
};
const refusal = (field: string, message: string) =>
  expect.objectContaining({
    code: 'PLAN_INVALID',
    message: expect.stringMatching(new RegExp(`^plan\\.${field.replaceAll('.', '\\.')}: .*${message}`, 's')),
  });

it('a plan without new settings keeps the bytes it had', () => {
  const parsed = planOf({ strategy: 'fedadam', serverMomentum: 0.9 });
  expect(toHex(parsed.hash)).toBe('d8121719fe31d7c12c352c69efe157766ee14b3d14cfc32cd8019890174ae92e');
  for (const name of [
    'populationCount',
    'controlScale',
    'fairness',
    'lossMax',
    'personalLayers',
    'faultyMax',
  ])
    expect(new TextDecoder().decode(parsed.bytes)).not.toContain(name);
  expect(Object.keys(trainingSchema.parse(parsed.plan.training))).toHaveLength(11);
});

it.each<[string, object, object, number]>([
  ['fedyogi', { serverMomentum: 0.9, beta2: 0.9, tau: 0.01 }, {}, 3],
  ['fedadagrad', { tau: 0.01 }, {}, 3],
  ['fednova', {}, {}, 4],
  ['scaffold', { populationCount: 1000, controlScale: 0.5 }, {}, 6],
  ['qfedavg', { fairness: 1, lossMax: 2 }, {}, 4],
  ['fedper', {}, mlp, 9 + 16],
  ['fedper', { personalLayers: 2 }, mlp, 9],
  ['fedper', {}, convolution, 2 * 1 * 3 + 3],
  ['ditto', { proximalMu: 0.1 }, {}, 3],
])('%s %o sums %i entries and survives the wire', (strategy, training, changes, length) => {
  const parsed = planOf({ strategy, ...training }, changes);
  expect(vectorLength(parsed.plan, 'training')).toBe(length);
  expect(parsePlanBytes(parsed.bytes).plan).toEqual(parsed.plan);
});

it('a strategy’s second vector stands beside a weight and a clip bit', () => {
  const adaptiveClip = { quantile: '1/2', learningRate: 0.2, bitUnits: 4, clipMin: '1', clipMax: '4' };
  const parsed = planOf({ strategy: 'fednova' }, { mechanism: { ...base.mechanism, adaptiveClip } });
  expect(vectorLength(parsed.plan, 'training')).toBe(5);
  const weighted = planOf({ strategy: 'fednova', weighting: 'records' }, { privacy: null });
  expect(vectorLength(weighted.plan, 'training')).toBe(5);
});

describe('is refused', () => {
  it.each<[string, string]>([
    ['krum', 'single updates.*combine: krum'],
    ['multi-krum', 'single updates.*keptCount'],
    ['Bulyan', 'single updates'],
    ['median', 'only sums of a cohort.*combine: median'],
    ['trimmed-mean', 'combine: trimmed-mean'],
    ['FedTrimmedAvg', 'combine: trimmed-mean'],
    ['dp-sgd', 'privacy.unit: record'],
    ['dp-fedavg', 'privacy.unit: person'],
    ['dp-ftrl', 'each cohort draws its own.*docs/adr/0035'],
    ['sgd', 'expected one of fedavg'],
    ['constructor', 'expected one of fedavg'],
  ])('strategy %s, with what to do instead', (strategy, message) => {
    expect(() => planOf({ strategy })).toThrow(refusal('training.strategy', message));
  });

  it.each<[string, object, object, string, string]>([
    ['scaffold without N', { strategy: 'scaffold' }, {}, 'populationCount', 'state N'],
    ['N below a cohort', { strategy: 'scaffold', populationCount: 49 }, {}, 'populationCount', 'at least'],
    [
      'scaffold by records',
      { strategy: 'scaffold', populationCount: 50, weighting: 'records' },
      { privacy: null },
      'weighting',
      'alike',
    ],
    ['qfedavg without q', { strategy: 'qfedavg', lossMax: 2 }, {}, 'fairness', 'state q'],
    [
      'qfedavg under DP with unclipped losses',
      { strategy: 'qfedavg', fairness: 1 },
      {},
      'lossMax',
      'no public bound',
    ],
    [
      'qfedavg by records',
      { strategy: 'qfedavg', fairness: 1, weighting: 'records' },
      { privacy: null },
      'weighting',
      'loss',
    ],
    ['fedper with one layer', { strategy: 'fedper' }, {}, 'personalLayers', '1 dense layer, so nothing'],
    [
      'fedper that shares nothing',
      { strategy: 'fedper', personalLayers: 3 },
      mlp,
      'personalLayers',
      '3 dense layers',
    ],
    ['q without qfedavg', { fairness: 1 }, {}, 'fairness', 'no such setting'],
    ['N without scaffold', { populationCount: 100 }, {}, 'populationCount', 'no such setting'],
    [
      'a proximal term of fednova',
      { strategy: 'fednova', proximalMu: 0.1 },
      {},
      'proximalMu',
      'fedprox and ditto',
    ],
    [
      'noise that drowns the steps of fednova',
      { strategy: 'fednova' },
      { privacy: { ...privacy, noiseVariance: '200' } },
      'strategy',
      'deviations of the noise, and needs 5',
    ],
    [
      'noise that drowns the gains of qfedavg, in the smallest group',
      { strategy: 'qfedavg', fairness: 1, lossMax: 2 },
      {
        privacy: { ...privacy, gamma: '0', noiseVariance: '25' },
        aggregation: { transport: 'shares', groups: { count: 5, combine: 'median' } },
      },
      'strategy',
      'over 8 devices',
    ],
    [
      'scaffold per record',
      { strategy: 'scaffold', populationCount: 50 },
      { privacy: record },
      'strategy',
      'local training',
    ],
    ['fednova per record', { strategy: 'fednova' }, { privacy: record }, 'strategy', 'unit person'],
    ['ditto per record', { strategy: 'ditto' }, { privacy: record }, 'strategy', 'every record moves'],
    [
      'fedper per record',
      { strategy: 'fedper' },
      { ...mlp, privacy: record },
      'strategy',
      'every record moves',
    ],
  ])('%s', (_name, training, changes, field, message) => {
    expect(() => planOf(training, changes)).toThrow(refusal(`training.${field}`, message));
  });

  it.each(['fedavg', 'fedavgm', 'fedadam', 'fedyogi', 'fedadagrad'])('not: %s per record', (strategy) => {
    expect(vectorLength(planOf({ strategy }, { privacy: record }).plan, 'training')).toBe(3);
  });

  const grouped = (groups: object) => () =>
    planOf({}, { privacy: null, aggregation: { transport: 'shares', groups: { count: 9, ...groups } } });
  it.each<[string, object, string, string]>([
    ['more faulty groups than krum bears', { combine: 'krum', faultyMax: 4 }, 'faultyMax', '2·faultyMax'],
    [
      'more kept than are near each other',
      { combine: 'krum', faultyMax: 3, keptCount: 5 },
      'keptCount',
      'at most 4',
    ],
    ['faulty groups of a median', { combine: 'median', faultyMax: 1 }, 'faultyMax', 'krum has'],
    ['kept groups of a mean', { combine: 'mean', keptCount: 1 }, 'keptCount', 'krum has'],
  ])('%s', (_name, groups, field, message) => {
    expect(grouped(groups)).toThrow(refusal(`aggregation.groups.${field}`, message));
  });

  it('not: krum within its bounds', () => {
    expect(grouped({ combine: 'krum', faultyMax: 3, keptCount: 4 })).not.toThrow();
    expect(grouped({ combine: 'krum' })).not.toThrow();
  });
});
