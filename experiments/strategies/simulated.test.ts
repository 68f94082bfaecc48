/**
 * Goal: every strategy runs through the simulator (real rounds, ledger, log) and releases, bit for bit, the blob of the
 * arithmetic alone.
 */
import { expect, test } from 'vitest';
import type { TrainingData } from '../../client/training/engine.ts';
import { loadKernelEngine } from '../../client/training/kernel-engine.ts';
import { seededRandom, uniform } from '../../crypto/random.ts';
import { strategyNames } from '../../protos/plan-training.ts';
import { initialBlob } from '../../protos/strategies/index.ts';
import { type SimulatedRound, simulate, simulationParties } from '../simulation/index.ts';
import { Federation, strategyPlan } from './testing-quadratic.ts';

const [DEVICES, ROWS, INPUTS, ROUNDS] = [4, 12, 2, 3];

function tableOf(device: number): TrainingData {
  const random = seededRandom(`simulated/${device}`);
  const features = Float32Array.from({ length: ROWS * INPUTS }, () => 2 * uniform(random) - 1);
  const labels = Float32Array.from(
    { length: ROWS },
    (_, row) => features[row * INPUTS]! * (device - 1.5) + 0.3,
  );
  return { features, labels, count: ROWS };
}

test.each(strategyNames)('%s', async (strategy) => {
  const parties = simulationParties('intl', 'strategies');
  const rounds = {
    training: ROUNDS,
    cohortMin: DEVICES,
    cohortTarget: DEVICES,
    cohortMax: DEVICES,
    checkInWindowMs: 1000,
    deadlineMs: 10_000,
  };
  const parsed = strategyPlan(
    strategy,
    { batchSize: 5 },
    {
      rounds,
      eligibility: { recordsMin: 1, recordsMax: ROWS },
      holders: parties.holders,
      registrarSha256: parties.registrarSha256,
      coordinatorPublicKey: parties.coordinatorPublicKey,
    },
  );
  const tables = Array.from({ length: DEVICES }, (_, device) => tableOf(device));
  const population = {
    inputs: INPUTS,
    offsets: Uint32Array.from({ length: DEVICES + 1 }, (_, i) => i * ROWS),
    table: {
      features: Float32Array.from(tables.flatMap(({ features }) => [...features])),
      labels: Float32Array.from(tables.flatMap(({ labels }) => [...labels])),
      count: DEVICES * ROWS,
    },
  };
  const released: SimulatedRound[] = [];
  await simulate(parsed, parties, population, {
    seal: 'none',
    identity: 'none',
    store: 'memory',
    seed: '1',
    noise: 'seeded',
    workers: 0,
    engine: 'kernel',
    onRound: (round) => void released.push(round),
  });
  const plain = new Federation(parsed, await loadKernelEngine(), tables);
  expect(released).toHaveLength(ROUNDS);
  for (const { weights, certified } of released) {
    await plain.step();
    expect(certified).toBe(DEVICES);
    expect([...weights]).toEqual([...plain.blob]);
  }
  expect(plain.blob).not.toEqual(initialBlob(parsed.plan));
});
