/**
 * Goal: an opened sum is read as what it stands for: mean update, mean gradient by the public batch, or counts; and a
 * sum that does not open is told apart from a broken one.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { protectPerson, protectRecords, toDigits } from '../../crypto/dp/mechanism.ts';
import type { SumScheme } from '../../crypto/secagg/scheme.ts';
import { finishPlan, type ParsedPlan } from '../../protos/plan.ts';
import { mechanismOf } from '../../protos/plan-mechanism.ts';
import { layoutOf } from '../../protos/plan-scheme.ts';
import { codeOf, createWorld, planOf, type TestWorld } from '../testing.ts';
import { openSum } from './fold.ts';
import {
  initialOptimizer,
  meanUpdate,
  releaseEvaluation,
  releaseTraining,
  serverHyperOf,
} from './release.ts';
import { weightsFromBytes, weightsToBytes } from './weights.ts';

let world: TestWorld;
beforeAll(async () => {
  world = await createWorld();
});

/** A plan with fine steps, so that plain arithmetic and fixed point agree to 1e-4. */
const fine = (changes: (plan: ParsedPlan['plan']) => object = () => ({})): ParsedPlan => {
  const { plan } = planOf(world);
  return finishPlan({ ...plan, mechanism: { ...plan.mechanism, unitsPerClip: 2 ** 16 }, ...changes(plan) });
};

function sumOf(parsed: ParsedPlan, vectors: readonly Int32Array[]): Int32Array {
  const layout = layoutOf(parsed, 'training');
  const digits = vectors.map((vector) => toDigits(vector, layout));
  return digits.reduce((sum, one) => sum.map((value, i) => value + one[i]!));
}

describe('meanUpdate', () => {
  const updates = [
    Float64Array.of(0.5, 0.25, -0.5),
    Float64Array.of(-0.25, 0.5, 0.25),
    Float64Array.of(0, 0, 0.5),
  ];

  test('equal weights: the plain mean over the certified', () => {
    const parsed = fine();
    const mechanism = mechanismOf(parsed, 'training', 3);
    const digits = sumOf(
      parsed,
      updates.map((update) => protectPerson(update, mechanism)),
    );
    const mean = meanUpdate(parsed, { digits, round: 3, cohortCount: 3 });
    for (let i = 0; i < 3; i++)
      expect(mean[i]).toBeCloseTo(updates.reduce((sum, update) => sum + update[i]!, 0) / 3, 3);
    // Each round has its own public rotation: read under another one, it is another vector. Three signs repeat by
    // chance in one round of eight, so several rounds are tried.
    const distances = [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15].map((round) => {
      const wrong = meanUpdate(parsed, { digits, round, cohortCount: 3 });
      return Math.hypot(...mean.map((value, i) => value - wrong[i]!));
    });
    expect(Math.max(...distances)).toBeGreaterThan(0.01);
  });

  test('weighted by records: divided by the opened weight, which must be positive', async () => {
    const parsed = fine((plan) => ({ training: { ...plan.training, weighting: 'records' } }));
    const mechanism = mechanismOf(parsed, 'training', 1);
    const weighted = [0.5, 0.25].map((weight, k) =>
      protectPerson(Float64Array.from([...updates[k]!.map((value) => value * weight), weight]), mechanism),
    );
    const digits = sumOf(parsed, weighted);
    const mean = meanUpdate(parsed, { digits, round: 1, cohortCount: 2 });
    expect(mean).toHaveLength(3);
    for (let i = 0; i < 3; i++)
      expect(mean[i]).toBeCloseTo((updates[0]![i]! * 0.5 + updates[1]![i]! * 0.25) / 0.75, 3);
    const nothing = sumOf(parsed, [protectPerson(new Float64Array(4), mechanism)]);
    expect(await codeOf(() => meanUpdate(parsed, { digits: nothing, round: 1, cohortCount: 1 }))).toBe(
      'OPENING_FAILED',
    );
  });

  test('record unit: minus the gradient sum over the public expected batch, never the realised one', () => {
    const parsed = finishPlan({
      ...planOf(world).plan,
      eligibility: { ...planOf(world).plan.eligibility, recordsMax: 10 },
      mechanism: { clip: '1', unitsPerClip: 1024, expectedBatch: '8', recordsMax: 10 },
      privacy: {
        unit: 'record',
        epsilon: '100',
        delta: '1/1000',
        gamma: '0',
        samplingRate: '1/2',
        noiseVariance: '1',
      },
    });
    const mechanism = mechanismOf(parsed, 'training', 1);
    const rows = Float64Array.from([0.5, 0, 0, 0, 0.5, 0]);
    const digits = sumOf(parsed, [protectRecords(rows, 2, mechanism), protectRecords(rows, 2, mechanism)]);
    // Two hospitals, four realised records, batch 8 by the plan; the certified count does not matter.
    for (const cohortCount of [2, 7]) {
      const step = meanUpdate(parsed, { digits, round: 1, cohortCount });
      expect(step[0]).toBeCloseTo(-1 / 8, 2);
      expect(step[1]).toBeCloseTo(-1 / 8, 2);
    }
  });
});

describe('meanUpdate by groups', () => {
  const grouped = (rule: object, more: (plan: ParsedPlan['plan']) => object = () => ({})): ParsedPlan =>
    fine((plan) => ({
      rounds: { ...plan.rounds, cohortMin: 6, cohortTarget: 6 },
      aggregation: { transport: 'shares', groups: { count: 3, ...rule } },
      ...more(plan),
    }));
  const concat = (vectors: readonly Int32Array[]): Int32Array =>
    Int32Array.from(vectors.flatMap((vector) => [...vector]));
  const valid = [true, true, true];

  test('each group by its own size, then the plan’s rule', () => {
    const values = [0.1, 0.3, -0.8];
    const opened = (parsed: ParsedPlan, sizes = [3, 2, 2]) => {
      const mechanism = mechanismOf(parsed, 'training', 1);
      const sums = values.map((value, g) => {
        const one = protectPerson(Float64Array.of(value / 2, value, 0), mechanism);
        return sumOf(parsed, new Array(sizes[g]!).fill(one));
      });
      return { digits: concat(sums), round: 1, cohortCount: 7, groups: { sizes, valid } };
    };
    const median = grouped({ combine: 'median' });
    expect(meanUpdate(median, opened(median))[1]).toBeCloseTo(0.1, 3);
    const mean = grouped({ combine: 'mean' });
    expect(meanUpdate(mean, opened(mean))[1]).toBeCloseTo((3 * 0.1 + 2 * 0.3 - 2 * 0.8) / 7, 3);
    const filter = grouped({ combine: 'norm-filter', normFactor: '5/2' });
    expect(meanUpdate(filter, opened(filter))[0]).toBeCloseTo((0.1 + 0.3) / 2 / 2, 3);
    const trimmed = grouped({ combine: 'trimmed-mean', trim: '1/3' });
    expect(meanUpdate(trimmed, opened(trimmed))[1]).toBeCloseTo(0.1, 3);
    const krum = grouped({ combine: 'krum' });
    expect(meanUpdate(krum, opened(krum))[1]).toBeCloseTo(0.1, 3);
    const best = grouped({ combine: 'krum', faultyMax: 0, keptCount: 1 });
    expect(meanUpdate(best, opened(best))[0]).toBeCloseTo(0.05, 3);
    // A group that was dropped does not count as zeros.
    const { digits, groups } = opened(median);
    const without = { sizes: groups.sizes, valid: [true, false, true] };
    const left = meanUpdate(median, { digits, round: 1, cohortCount: 7, groups: without });
    expect(left[1]).toBeCloseTo((0.1 - 0.8) / 2, 3);
  });

  test('a group whose weights a client has lied below zero is left out; most groups must have some', async () => {
    const parsed = grouped({ combine: 'median' }, (plan) => ({
      training: { ...plan.training, weighting: 'records' },
    }));
    const mechanism = mechanismOf(parsed, 'training', 1);
    const sum = (weight: number) =>
      sumOf(parsed, [protectPerson(Float64Array.of(0.2 * weight, 0, 0, weight), mechanism)]);
    const open = (weights: readonly number[]) =>
      meanUpdate(parsed, {
        digits: concat(weights.map(sum)),
        round: 1,
        cohortCount: 6,
        groups: { sizes: [2, 2, 2], valid },
      });
    expect(open([0.5, -0.9, 0.25])[0]).toBeCloseTo(0.2, 3);
    expect(await codeOf(() => open([0.5, -0.9, -0.1]))).toBe('OPENING_FAILED');
  });

  test('groups that the plan has and the sum has not, or otherwise, are no release', async () => {
    const digits = new Int32Array(9);
    const groups = { sizes: [2, 2, 2], valid };
    const parsed = grouped({ combine: 'median' });
    const sum = { digits, round: 1, cohortCount: 6 };
    expect(await codeOf(() => meanUpdate(parsed, sum))).toBe('INTERNAL');
    expect(await codeOf(() => meanUpdate(fine(), { ...sum, groups }))).toBe('INTERNAL');
    const short = { ...sum, digits: digits.subarray(1), groups };
    expect(await codeOf(() => meanUpdate(parsed, short))).toBe('INTERNAL');
  });
});

test('a training release is the server step, and its state goes on from the text it left', () => {
  const training = { strategy: 'fedavgm', serverLearningRate: 0.5, serverMomentum: 0.5 };
  const parsed = fine((plan) => ({ training: { ...plan.training, ...training } }));
  expect(serverHyperOf(parsed.plan)).toEqual({ strategy: 'fedavgm', learningRate: 0.5, momentum: 0.5 });
  let weights = new Float32Array(3);
  let optimizer = initialOptimizer(parsed.plan);
  for (const round of [1, 2]) {
    const digits = sumOf(parsed, [
      protectPerson(Float64Array.of(0.5, 0, 0), mechanismOf(parsed, 'training', round)),
    ]);
    const next = releaseTraining(parsed, { digits, round, cohortCount: 1 }, weights, optimizer);
    weights = Float32Array.from(next.weights);
    optimizer = next.optimizer;
  }
  // v: 0.5, 0.75; w: 0.25, 0.25 + 0.375.
  expect(weights[0]).toBeCloseTo(0.625, 3);
});

test('an evaluation release is the counts themselves', () => {
  const parsed = planOf(world, { rounds: { evaluation: 1 }, evaluation: { path: 'federated', bins: 20 } });
  const counts = Int32Array.from({ length: 40 }, (_, i) => i % 5);
  const digits = toDigits(counts, layoutOf(parsed, 'evaluation'));
  const { histogram, metrics } = releaseEvaluation(parsed, { digits, round: 2, cohortCount: 1 });
  expect(histogram).toEqual([...counts]);
  expect(metrics.rows).toBe(counts.reduce((sum, count) => sum + count));
});

test('weights travel as little-endian float32', async () => {
  const weights = Float32Array.of(1, -2.5, 1e-30);
  const bytes = weightsToBytes(weights);
  expect([...bytes.subarray(0, 4)]).toEqual([0, 0, 0x80, 0x3f]);
  expect(weightsFromBytes(bytes)).toEqual(weights);
  // Also from a view that does not begin at its buffer's start, as SQLite and gRPC hand them out.
  const shifted = new Uint8Array(13);
  shifted.set(bytes, 1);
  expect(weightsFromBytes(shifted.subarray(1))).toEqual(weights);
  expect(await codeOf(() => weightsFromBytes(bytes.subarray(1)))).toBe('MALFORMED_MESSAGE');
});

describe('openSum', () => {
  const scheme: SumScheme = {
    transport: 'bfv',
    suite: 'intl',
    kem: 'x25519',
    holderCount: 4,
    slotCount: 3,
    long: null,
    shortCount: 3,
    wordBits: 16,
    groups: 1,
  };
  function sealed() {
    const { publicKey, shares } = world.committee(1);
    const digits = [Int32Array.of(1, -2, 3), Int32Array.of(10, 20, -30)];
    const context = { configHash: new Uint8Array(32), deviceId: '00' };
    const parts = digits.map((one) => world.secagg.seal(scheme, context, publicKey, one));
    const sum = world.bfv.accumulator('c1', 3);
    for (const { holderPart } of parts) sum.add(holderPart);
    const partials = [1, 3].map((holderIndex) =>
      world.bfv.partialDecrypt({
        share: shares[holderIndex - 1]!.slice(),
        c1Sum: sum.bytes(),
        digitCount: 3,
        holderIndex,
        activeSet: [1, 3],
      }),
    );
    return { bodies: parts.map((part) => part.body), partials };
  }
  const opened = (partials: readonly Uint8Array[], bodies: readonly Uint8Array[]) => {
    const folder = world.secagg.folder(scheme);
    for (const body of bodies) folder.add(body);
    return openSum(world.secagg, scheme, {
      configHash: new Uint8Array(32),
      bodySum: folder.bytes(),
      cohortCount: folder.count,
      activeSet: [1, 3],
      partials,
    });
  };

  test('opens exactly the bodies that were folded', () => {
    const { bodies, partials } = sealed();
    expect([...opened(partials, bodies)]).toEqual([11, 18, -27]);
  });

  test('a reason when the partial decryptions are of another sum, or one is missing', () => {
    const { bodies, partials } = sealed();
    expect(opened(partials, bodies.slice(0, 1))).toMatch(/do not open/);
    expect(opened(partials.slice(0, 1), bodies)).toMatch(/do not open/);
    expect(opened([], bodies)).toMatch(/do not open/);
  });

  test('a coded error for what is no ciphertext at all', async () => {
    const { bodies, partials } = sealed();
    const short = [bodies[0]!.subarray(1)];
    expect(await codeOf(() => opened(partials, short))).toBe('WRONG_CIPHERTEXT_PARAMETERS');
  });
});
