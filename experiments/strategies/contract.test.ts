/**
 * Goal: what every strategy owes: the lengths that the plan implies, the same result for the same seed, a state that
 * survives a restart bit for bit and no other's, n equal clients as one, and no coordinate outside the clip.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { termsOf as auditedTermsOf } from '../../auditor/plan-terms.ts';
import { MemoryClientStore } from '../../client/agent/store.ts';
import { RoundMemory } from '../../client/agent/strategy-memory.ts';
import {
  localUpdate,
  type MemoryKey,
  modelOfDevice,
  PlainMemory,
} from '../../client/training/strategies/index.ts';
import {
  initialOptimizer,
  meanUpdate,
  releaseTraining,
  serverHyperOf,
} from '../../coordinator/aggregation/release.ts';
import {
  initialServerState,
  parseServerState,
  serializeServerState,
  serverStep,
} from '../../coordinator/aggregation/server-optimizer.ts';
import { normBoundSquared, protectPersonWithoutNoise, toDigits } from '../../crypto/dp/mechanism.ts';
import { rationalToNumber } from '../../crypto/dp/rational.ts';
import { seededRandom } from '../../crypto/random.ts';
import { parameterCount } from '../../protos/model.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import {
  accountPlan,
  mechanismOf,
  mechanismOfRound,
  roundMechanismOf,
  vectorLength,
} from '../../protos/plan-mechanism.ts';
import { digitCountOf, layoutOf } from '../../protos/plan-scheme.ts';
import { strategyNames } from '../../protos/plan-training.ts';
import {
  blobLength,
  extraLength,
  initialBlob,
  modelOf,
  sharedLength,
  strategyOf,
  updateLength,
} from '../../protos/strategies/index.ts';
import { Federation, type Quadratic, QuadraticEngine, strategyPlan } from './testing-quadratic.ts';

const privacy = {
  unit: 'person',
  epsilon: '1000000',
  delta: '0.00001',
  gamma: '0',
  noiseVariance: '10',
};

/** As many entries as the plan's model has. */
const lossesOf = (parsed: ParsedPlan, scale = 1): Quadratic[] => {
  const length = parameterCount(parsed.plan.model);
  return [1, -2, 0.5].map((b, k) => ({
    a: 1 + k / 2,
    b: Array.from({ length }, (_, i) => scale * b * (1 + (i % 3))),
    records: 1 + k,
  }));
};

const code = (wanted: string) => expect.objectContaining({ code: wanted });

describe.each(strategyNames)('%s', (strategy) => {
  const parsed = strategyPlan(strategy);
  const { plan } = parsed;
  const hyper = serverHyperOf(plan);
  const federation = (of = parsed) => Federation.ofQuadratics(of, lossesOf(of));

  test('lengths: what is summed, what is released, what the state holds', async () => {
    const d = parameterCount(plan.model);
    expect(updateLength(plan)).toBe(sharedLength(plan) + extraLength(plan));
    expect(sharedLength(plan)).toBe(strategy === 'fedper' ? 6 : d);
    expect(extraLength(plan)).toBe({ scaffold: d, fednova: 1, qfedavg: 1 }[strategy as string] ?? 0);
    expect(vectorLength(plan, 'training')).toBe(updateLength(plan));
    const engine = new QuadraticEngine();
    const data = engine.dataOf(lossesOf(parsed)[1]!);
    const blob = initialBlob(plan);
    const round = { plan, round: 1, blob, data, engine, clip: 16, memory: new PlainMemory() };
    expect(await localUpdate(round)).toHaveLength(updateLength(plan));
    expect(blob).toEqual(initialBlob(plan));
    if (strategy !== 'scaffold' && strategy !== 'qfedavg') {
      const weighted = strategyPlan(strategy, { weighting: 'records' });
      const withWeight = await localUpdate({ ...round, plan: weighted.plan });
      expect(withWeight).toHaveLength(vectorLength(weighted.plan, 'training'));
      expect(withWeight.at(-1)).toBe(data.count / plan.eligibility.recordsMax);
    }
    const after = federation();
    await after.step();
    expect(after.blob).toHaveLength(blobLength(plan));
    expect(modelOf(plan, after.blob)).toHaveLength(d);
    expect(initialServerState(hyper, blobLength(plan)).first.length % blobLength(plan)).toBe(0);
  });

  test('two runs from one seed agree to the last bit, and rounds move the model', async () => {
    const [one, two] = [federation(), federation()];
    await one.run(4);
    await two.run(4);
    expect(one.blob).toEqual(two.blob);
    expect(one.optimizer).toBe(two.optimizer);
    expect(one.blob).not.toEqual(initialBlob(plan));
  });

  test('a coordinator and devices that restart between rounds go on bit for bit', async () => {
    const steady = federation();
    const stopped = federation();
    const stores = stopped.devices.map(() => new MemoryClientStore());
    const planHash = parsed.hashHex;
    for (let round = 1; round <= 4; round++) {
      await steady.step();
      const memories = stores.map(
        (store) => new RoundMemory({ store, state: { undecided: [] }, planHash, round }),
      );
      const again = new Federation(
        parsed,
        stopped.engine,
        stopped.devices.map(({ data }) => data),
        memories,
      );
      again.round = round - 1;
      again.blob = stopped.blob;
      again.optimizer = serializeServerState(parseServerState(stopped.optimizer));
      await again.step();
      for (const memory of memories) await memory.flush();
      [stopped.blob, stopped.optimizer] = [again.blob, again.optimizer];
      expect(again.blob).toEqual(steady.blob);
      expect(again.optimizer).toBe(steady.optimizer);
    }
  });

  test('refuses the state of another strategy, of another size, and another device memory', async () => {
    const other = strategyNames[(strategyNames.indexOf(strategy) + 1) % strategyNames.length]!;
    const foreign = initialOptimizer(strategyPlan(other).plan);
    const one = federation();
    one.optimizer = foreign;
    await expect(one.step()).rejects.toThrow(code('WRONG_CONFIG'));
    const state = initialServerState(hyper, blobLength(plan));
    const long = new Float32Array(blobLength(plan) + 1);
    expect(() => serverStep(state, long, new Float64Array(blobLength(plan)), hyper)).toThrow(
      code('VECTOR_LENGTH_MISMATCH'),
    );
    const { memory } = strategyOf(plan);
    if (memory === undefined) return;
    const two = federation();
    await two.devices[0]!.memory.save(memory, new Float32Array(2));
    await expect(two.step()).rejects.toThrow(code('VECTOR_LENGTH_MISMATCH'));
    const bare = new Federation(parsed, two.engine, [two.devices[1]!.data]);
    const { data } = two.devices[1]!;
    const round = { plan, round: 1, blob: bare.blob, data, engine: two.engine, clip: 16 };
    await expect(localUpdate(round)).rejects.toThrow(code('INTERNAL'));
  });

  test('equal clients are one client, and that one is the central step', async () => {
    const engine = new QuadraticEngine();
    const loss = lossesOf(parsed)[0]!;
    const data = engine.dataOf(loss);
    const together = new Federation(parsed, engine, [data, data, data, data]);
    const alone = new Federation(parsed, engine, [data]);
    await together.step();
    await alone.step();
    const d = parameterCount(plan.model);
    // SCAFFOLD's c knows that one of four devices is not all.
    for (let i = 0; i < d; i++) expect(together.blob[i]).toBeCloseTo(alone.blob[i]!, 5);
    const { epochs, batchSize, learningRate, l2, proximalMu } = plan.training;
    const start = initialBlob(plan).subarray(0, d);
    const options = { epochs, batchSize, learningRate, l2, proximalMu: 0, seed: '' };
    const trained = await engine.train(plan.model, start, data, options);
    expect(proximalMu === 0 || strategy === 'ditto').toBe(true);
    const delta = Float64Array.from(trained, (value, i) => value - start[i]!);
    for (let i = 0; i < d; i++) {
      const expected = start[i]! + centralMove(strategy, delta, i, sharedLength(plan), loss);
      expect(together.blob[i]).toBeCloseTo(expected, 4);
    }
  });

  test('every coordinate is within the one clip, whatever the data', async () => {
    const under = strategyPlan(strategy, {}, { mechanism: { clip: '1', unitsPerClip: 64 }, privacy });
    const mechanism = mechanismOf(under, 'training', 1);
    const bound = Number(normBoundSquared(mechanism));
    const clip = rationalToNumber(mechanism.clip);
    const d = parameterCount(under.plan.model);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: d, maxLength: d }),
        fc.double({ min: -8, max: 2, noNaN: true }),
        fc.integer({ min: 1, max: 10 }),
        async (b, exponent, records) => {
          const engine = new QuadraticEngine();
          const data = engine.dataOf({ a: 10 ** exponent, b, records });
          const blob = initialBlob(under.plan);
          const round = { plan: under.plan, round: 1, blob, data, engine, clip, memory: new PlainMemory() };
          const update = await localUpdate(round);
          const sent = protectPersonWithoutNoise(update, mechanism, seededRandom('bound'));
          expect(sent).toHaveLength(mechanism.dimension);
          expect(sent.reduce((sum, value) => sum + value * value, 0)).toBeLessThanOrEqual(bound);
        },
      ),
      { numRuns: 20 },
    );
  });

  test('both accountants count every coordinate', () => {
    const under = strategyPlan(strategy, {}, { mechanism: { clip: '1', unitsPerClip: 64 }, privacy });
    const first = roundMechanismOf(under, 'training', 2)!;
    const second = auditedTermsOf(under.plan, 'training', 2)!;
    expect(second.dimension).toBe(first.dimension);
    expect(first.dimension).toBe(vectorLength(under.plan, 'training'));
    expect(second.sensitivitySquared).toBe(Number(first.sensitivitySquared));
    expect(accountPlan(under)!.epsilon).toBeLessThanOrEqual(1_000_000);
  });

  test('a device evaluates the model that it uses', async () => {
    const run = federation();
    await run.run(3);
    const { memory } = run.devices[1]!;
    const used = await modelOfDevice({ plan, blob: run.blob, memory });
    expect(used).toHaveLength(parameterCount(plan.model));
    const key: MemoryKey | undefined = strategyOf(plan).memory;
    if (key === 'personal') expect(used).not.toEqual(run.model);
    else expect(used).toEqual(run.model);
  });
});

/** What equal clients' update moves parameter i by, by the strategy's closed form. */
function centralMove(
  strategy: string,
  delta: Float64Array,
  i: number,
  shared: number,
  { a, b }: Quadratic,
): number {
  const move = delta[i]!;
  // No momentum, τ = 0.001, β2 = 0.99 are the plan's defaults.
  const adaptive = (second: number) => move / (Math.sqrt(second) + 0.001);
  switch (strategy) {
    case 'fedadam':
      return adaptive(0.99 * 1e-6 + 0.01 * move * move);
    case 'fedyogi':
      return adaptive(1e-6 + 0.01 * move * move * Math.sign(move * move - 1e-6));
    case 'fedadagrad':
      return adaptive(1e-6 + move * move);
    case 'qfedavg': {
      // q = 1: F·Δ / (F + L·‖Δ‖²), L = 10.
      const loss = (a * b.reduce((sum, value) => sum + value * value, 0)) / 2;
      const norm = delta.reduce((sum, value) => sum + value * value, 0);
      return (loss * move) / (loss + 10 * norm);
    }
    case 'fedper':
      return i < shared ? move : 0;
    default:
      return move;
  }
}

test('a release whose extra coordinate noise took below zero moves nothing, or is no release', () => {
  const nova = strategyPlan('fednova');
  const digits = new Int32Array(digitCountOf(nova, 'training'));
  expect(Math.hypot(...meanUpdate(nova, { digits, round: 1, cohortCount: 2 }))).toBe(0);
  const fair = strategyPlan('qfedavg');
  const sum = { digits: new Int32Array(digitCountOf(fair, 'training')), round: 1, cohortCount: 2 };
  expect(() => releaseTraining(fair, sum, initialBlob(fair.plan), initialOptimizer(fair.plan))).toThrow(
    code('OPENING_FAILED'),
  );
});

test.each(['fednova', 'qfedavg', 'scaffold'])(
  '%s reads its coordinates at the clip of the round',
  async (strategy) => {
    const adaptiveClip = { quantile: '1/2', learningRate: 0.2, bitUnits: 16, clipMin: '1', clipMax: '64' };
    const parsed = strategyPlan(
      strategy,
      {},
      {
        mechanism: { clip: '16', unitsPerClip: 2 ** 16, adaptiveClip },
        privacy: { ...privacy, epsilon: '1000000000000', noiseVariance: '1/4' },
      },
    );
    const directions = await Promise.all(
      ['16', '24'].map(async (clip) => {
        const engine = new QuadraticEngine();
        const data = engine.dataOf({ a: 1, b: [1, -2, 0.5], records: 3 });
        const blob = initialBlob(parsed.plan);
        const memory = new PlainMemory();
        const update = await localUpdate({
          plan: parsed.plan,
          round: 1,
          blob,
          data,
          engine,
          clip: Number(clip),
          memory,
        });
        const mechanism = mechanismOfRound(parsed, { kind: 'training', round: 1, clip });
        const sent = protectPersonWithoutNoise(update, mechanism, seededRandom('clip'));
        const digits = toDigits(sent, layoutOf(parsed, 'training'));
        return meanUpdate(parsed, { digits, round: 1, cohortCount: 1, clip });
      }),
    );
    for (const [i, value] of directions[0]!.entries()) expect(directions[1]![i]).toBeCloseTo(value, 2);
    expect(Math.hypot(...directions[0]!)).toBeGreaterThan(0.05);
  },
);

test('a second vector that is clipped beside the first would escape the bound that accounts use', async () => {
  const changes = { mechanism: { clip: '1', unitsPerClip: 64 }, privacy };
  const [whole, half] = ['scaffold', 'fedavg'].map((strategy) => strategyPlan(strategy, {}, changes));
  const engine = new QuadraticEngine();
  const data = engine.dataOf({ a: 1, b: [3, -3, 3] });
  const round = { plan: whole!.plan, round: 1, blob: initialBlob(whole!.plan), data, engine, clip: 1 };
  const update = await localUpdate({ ...round, memory: new PlainMemory() });
  const mechanism = mechanismOf(half!, 'training', 1);
  const squares = [update.subarray(0, 3), update.subarray(3)]
    .map((part) => protectPersonWithoutNoise(part, mechanism, seededRandom('weakened')))
    .flatMap((part) => [...part])
    .reduce((sum, value) => sum + value * value, 0);
  expect(squares).toBeGreaterThan(1.5 * Number(normBoundSquared(mechanismOf(whole!, 'training', 1))));
});
