import { expect, it } from 'vitest';
import { firstClip } from '../../protos/adaptive-clip.ts';
import { digitCountOf } from '../../protos/plan-scheme.ts';
import { initialBlob } from '../../protos/strategies/index.ts';
import { memoryArraysOf } from './device-memories.ts';
import { openDevicePool } from './device-pool.ts';
import { testPlan, testPopulation } from './testing-plans.ts';

/** Strategies with a device part of their own go device by device, so jobs of one thread take turns. */
const parsed = testPlan({ devices: 6, training: { strategy: 'ditto', proximalMu: 0.1 } });
const HASH = '0'.repeat(64);
const clip = firstClip(parsed.plan, 'training');

const openPool = async () => {
  const pool = await openDevicePool(
    {
      planBytes: parsed.bytes,
      population: testPopulation(6),
      seed: 'interleaved',
      noise: 'seeded',
      engine: 'kernel',
      isSealed: false,
      memories: memoryArraysOf(parsed.plan, 6),
    },
    0,
  );
  await pool.openRound({
    config: {
      version: 1,
      planHash: parsed.hashHex,
      round: 1,
      kind: 'training',
      modelHash: HASH,
      committeeKeyId: HASH,
      digitCount: digitCountOf(parsed, 'training'),
      openedAtMs: 0,
      ...(clip === undefined ? {} : { clip }),
    },
    configHash: new Uint8Array(32),
    weights: initialBlob(parsed.plan),
    committeeKey: new Uint8Array(0),
  });
  return pool;
};

it('a device draws the same randomness whichever jobs run beside its own', async () => {
  const jobs = [Uint32Array.of(0, 1, 2), Uint32Array.of(3, 4, 5)];
  const alone = await openPool();
  const wanted: Uint8Array[] = [];
  for (const job of jobs) wanted.push((await alone.work(1, job)).bytes);
  const together = await openPool();
  const made = await Promise.all(jobs.map((job) => together.work(1, job)));
  expect(made.map(({ bytes }) => bytes)).toEqual(wanted);
});
