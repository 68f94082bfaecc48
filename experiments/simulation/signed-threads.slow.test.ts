import { expect, it } from 'vitest';
import { PulsefoldError } from '../../crypto/error.ts';
import type { SignedDevices } from './signed-devices.ts';
import { type SimulationOptions, simulate } from './simulate.ts';
import { parties, testPlan, testPopulation } from './testing-plans.ts';
import { openThread, sameThread, workerFile } from './threads.ts';

it.each(['none', 'shares'] as const)(
  'signed devices in threads: figures and log of one thread, seal %s',
  async (seal) => {
    const devices = 40;
    const plan = testPlan({ devices });
    const run = (workers: number) => {
      const options: SimulationOptions = {
        seal,
        identity: 'signed',
        devices: 'seeds',
        store: 'memory',
        noise: 'seeded',
        seed: 'threads',
        workers,
      };
      return simulate(plan, parties, testPopulation(devices), options);
    };
    const [alone, threads] = [await run(0), await run(2)];
    expect([...threads.weights]).toEqual([...alone.weights]);
    expect(threads.logRoot).toBe(alone.logRoot);
    expect(threads.label.workers).toBe(2);
  },
);

it('a thread that cannot start says so, and an error keeps its code on the way', async () => {
  await expect(openThread<SignedDevices>(workerFile('signed-worker'), {})).rejects.toMatchObject({
    code: 'INTERNAL',
  });
  const failing = sameThread({
    fail: () => {
      throw new PulsefoldError('BAD_SIGNATURE', 'no');
    },
  });
  await expect(failing.call('fail')).rejects.toMatchObject({ code: 'BAD_SIGNATURE' });
});
