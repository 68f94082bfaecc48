import { beforeAll, describe, expect, it } from 'vitest';
import { decodeSum, fromDigits } from '../../crypto/dp/mechanism.ts';
import { parseRational } from '../../crypto/dp/rational.ts';
import { seededRandom, systemRandom } from '../../crypto/random.ts';
import { scoreHistogram } from '../../protos/histogram-metrics.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { mechanismOf, vectorLength } from '../../protos/plan-mechanism.ts';
import { digitCountOf, layoutOf } from '../../protos/plan-scheme.ts';
import type { RoundConfig, RoundKind } from '../../protos/round-config.ts';
import { loadTrainEngine, type TrainEngine, type TrainingData } from '../training/engine.ts';
import { poissonBatch, protectContribution } from './protect.ts';
import { sampleData } from './testing.ts';
import { FakeCoordinator } from './testing-coordinator.ts';

let engine: TrainEngine;
beforeAll(async () => {
  engine = await loadTrainEngine(['tfjs-cpu']);
});

const weights = Float32Array.of(0.5, -0.25, 0.1);
const rounds = {
  training: 1,
  evaluation: 1,
  cohortMin: 3,
  cohortTarget: 3,
  cohortMax: 4,
  checkInWindowMs: 1000,
  deadlineMs: 10_000,
};
const evaluation = { path: 'federated', bins: 20 };
const record = {
  unit: 'record',
  epsilon: '8',
  delta: '0.00001',
  gamma: '0',
  noiseVariance: '1/4',
  evaluationNoiseVariance: '1/4',
};
/** So little noise that sums can be compared; the accountant would laugh. */
const person = { ...record, unit: 'person' };
const mechanism = { clip: '4', unitsPerClip: 2048, recordsMax: 200, expectedBatch: '4' };
const eligibility = { recordsMin: 1, recordsMax: 200 };

const planOf = async (changes: object): Promise<ParsedPlan> =>
  (await FakeCoordinator.create({ rounds, evaluation, mechanism, eligibility, ...changes })).parsed;

const configOf = (parsed: ParsedPlan, kind: RoundKind, round = 1): RoundConfig => ({
  version: 1,
  planHash: parsed.hashHex,
  round,
  kind,
  modelHash: '0'.repeat(64),
  committeeKeyId: '0'.repeat(64),
  digitCount: digitCountOf(parsed, kind),
  openedAtMs: 0,
});

/** What the coordinator would make of the sum of these devices' digits. */
async function sumOf(
  parsed: ParsedPlan,
  kind: RoundKind,
  tables: readonly TrainingData[],
): Promise<Float64Array> {
  const config = configOf(parsed, kind);
  const sums = new Int32Array(config.digitCount);
  for (const data of tables) {
    const digits = await protectContribution({ parsed, config, weights, data, engine, random: systemRandom });
    for (let i = 0; i < sums.length; i++) sums[i] = sums[i]! + digits[i]!;
  }
  const integers = fromDigits(sums, layoutOf(parsed, kind), vectorLength(parsed.plan, kind));
  return kind === 'evaluation' ? integers : decodeSum(integers, mechanismOf(parsed, kind, config.round));
}

const trainOptions = { epochs: 2, batchSize: 16, learningRate: 0.5, proximalMu: 0, l2: 0, seed: 'seed/1' };

describe('training contributions', () => {
  it.each([
    ['none', null],
    ['person', person],
  ] as const)('unit %s: the sum of updates', async (_unit, privacy) => {
    const parsed = await planOf({ privacy });
    const tables = [sampleData(20), sampleData(33)];
    const sum = await sumOf(parsed, 'training', tables);
    const expected = new Float64Array(3);
    for (const data of tables) {
      const trained = await engine.train(parsed.plan.model, weights, data, trainOptions);
      for (let i = 0; i < 3; i++) expected[i] = expected[i]! + trained[i]! - weights[i]!;
    }
    for (let i = 0; i < 3; i++) expect(Math.abs(sum[i]! - expected[i]!)).toBeLessThan(0.03);
    expect(Math.hypot(...expected)).toBeGreaterThan(0.1);
  });

  it('weighting by records: Σ w·(update ‖ 1), so the last entry divides it', async () => {
    const training = {
      strategy: 'fedavg',
      epochs: 2,
      batchSize: 16,
      learningRate: 0.5,
      weighting: 'records',
    };
    const parsed = await planOf({ privacy: null, training, eligibility: { recordsMax: 100 } });
    const tables = [sampleData(20), sampleData(60)];
    const sum = await sumOf(parsed, 'training', tables);
    const trained = [];
    for (const data of tables)
      trained.push(await engine.train(parsed.plan.model, weights, data, trainOptions));
    expect(sum[3]).toBeCloseTo(0.8, 2);
    for (let i = 0; i < 3; i++) {
      const mean = (20 * (trained[0]![i]! - weights[i]!) + 60 * (trained[1]![i]! - weights[i]!)) / 80;
      expect(sum[i]! / sum[3]!).toBeCloseTo(mean, 2);
    }
  });

  it('unit record: the sum of gradients over the whole table at q = 1', async () => {
    const parsed = await planOf({ privacy: record });
    const tables = [sampleData(20), sampleData(33)];
    const sum = await sumOf(parsed, 'training', tables);
    const expected = new Float64Array(3);
    for (const data of tables) {
      const gradients = await engine.recordGradients(parsed.plan.model, weights, data);
      gradients.forEach((value, i) => {
        expected[i % 3] = expected[i % 3]! + value;
      });
    }
    for (let i = 0; i < 3; i++) expect(Math.abs(sum[i]! - expected[i]!)).toBeLessThan(0.1);
    expect(Math.hypot(...expected)).toBeGreaterThan(0.5);
  });

  it('an empty Poisson batch still sends its noise', async () => {
    const privacy = { ...record, samplingRate: '0.000000000001', noiseVariance: '10000' };
    const parsed = await planOf({ privacy });
    const input = { parsed, config: configOf(parsed, 'training'), weights, data: sampleData(40), engine };
    const digits = await protectContribution({ ...input, random: systemRandom });
    expect(digits.some((digit) => digit !== 0)).toBe(true);
  });

  it('a plan that would cut a batch or an evaluation of an eligible table is no plan', async () => {
    await expect(
      planOf({ privacy: record, mechanism: { ...mechanism, recordsMax: 199 } }),
    ).rejects.toMatchObject({ code: 'PLAN_INVALID', message: /mechanism\.recordsMax/ });
    // At the limit the whole table goes in, in both kinds of round.
    const parsed = await planOf({ privacy: { ...record, evaluationNoiseVariance: '1/4' } });
    await sumOf(parsed, 'training', [sampleData(200)]);
    const counts = await sumOf(parsed, 'evaluation', [sampleData(200)]);
    expect(Math.abs(counts.reduce((a, b) => a + b) - 200)).toBeLessThan(6 * Math.sqrt(40 / 4));
  });

  it('draws fresh noise every time', async () => {
    const parsed = await planOf({ privacy: { ...person, noiseVariance: '10000' } });
    const input = { parsed, config: configOf(parsed, 'training'), weights, data: sampleData(40), engine };
    const [first, second] = [
      await protectContribution({ ...input, random: systemRandom }),
      await protectContribution({ ...input, random: systemRandom }),
    ];
    expect(first).not.toEqual(second);
    const seeded = () => protectContribution({ ...input, random: seededRandom('a') });
    expect(await seeded()).toEqual(await seeded());
  });

  it.each([
    ['DATA_EMPTY', { features: new Float32Array(0), labels: new Uint8Array(0), count: 0 }],
    ['DATA_INVALID', { ...sampleData(4), features: new Float32Array(8).fill(Number.NaN) }],
  ])('%s: refused', async (code, data) => {
    const parsed = await planOf({ privacy: person });
    await expect(sumOf(parsed, 'training', [data])).rejects.toMatchObject({ code });
  });
});

describe('an adaptive clip', () => {
  const adaptiveClip = {
    quantile: '1/2',
    learningRate: 0.2,
    bitUnits: 512,
    clipMin: '1/1000',
    clipMax: '100',
  };
  /** The last integer of a device's contribution under the clip that the round states. */
  const bitAt = async (clip: string | undefined): Promise<number> => {
    const parsed = await planOf({ privacy: person, mechanism: { ...mechanism, adaptiveClip } });
    const config = { ...configOf(parsed, 'training'), ...(clip === undefined ? {} : { clip }) };
    const data = sampleData(40);
    const digits = await protectContribution({ parsed, config, weights, data, engine, random: systemRandom });
    return fromDigits(digits, layoutOf(parsed, 'training'), 4)[3]!;
  };

  it('is the one of the round: the bit says whether the update was within it', async () => {
    expect(Math.abs((await bitAt('100')) - 512)).toBeLessThan(8);
    expect(Math.abs((await bitAt('1/1000')) + 512)).toBeLessThan(8);
  });

  it.each([undefined, '101', '1/1001'])('refuses a round that states %s', async (clip) => {
    await expect(bitAt(clip)).rejects.toMatchObject({ code: 'WRONG_CONFIG' });
  });
});

describe('evaluation contributions', () => {
  it('unit none: exact histograms by label', async () => {
    const parsed = await planOf({ privacy: null });
    const tables = [sampleData(20), sampleData(33)];
    const sum = await sumOf(parsed, 'evaluation', tables);
    const expected = new Int32Array(40);
    for (const { features, labels, count } of tables) {
      const scores = await engine.predict(parsed.plan.model, weights, features, count);
      scoreHistogram(labels, scores, 20).forEach((value, i) => {
        expected[i] = expected[i]! + value;
      });
    }
    expect([...sum]).toEqual([...expected]);
    expect(sum.reduce((a, b) => a + b)).toBe(53);
  });

  it('counts every row, whatever mechanism.recordsMax says without DP', async () => {
    const parsed = await planOf({ privacy: null, mechanism: { ...mechanism, recordsMax: 10 } });
    const sum = await sumOf(parsed, 'evaluation', [sampleData(40)]);
    expect(sum.reduce((a, b) => a + b)).toBe(40);
  });
});

describe('Poisson batches', () => {
  it('hold each record with the stated probability', () => {
    const random = seededRandom('poisson');
    const rate = parseRational('3/10');
    const counts = new Int32Array(50);
    for (let trial = 0; trial < 2000; trial++)
      for (const index of poissonBatch(50, rate, random)) counts[index] = counts[index]! + 1;
    // 2000 draws of p = .3: σ = 20.5; six of them, 50 times.
    for (const count of counts) expect(Math.abs(count - 600)).toBeLessThan(123);
  });

  it('are everybody at rate 1 and nobody at rate 0', () => {
    expect(poissonBatch(3, parseRational('1'), systemRandom)).toEqual([0, 1, 2]);
    expect(poissonBatch(1000, parseRational('0'), systemRandom)).toEqual([]);
    expect(() => poissonBatch(3, parseRational('2'), systemRandom)).toThrow(/sampling rate/);
  });
});
