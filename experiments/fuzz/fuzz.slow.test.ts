/**
 * Goal: some thousands of ops break nothing, over threshold BFV as well; workers play and count the same.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { runCampaign } from './campaign.ts';
import { createWorld } from './world.ts';

it.each([
  { seed: 'slow', ops: 10_000, shares: {} },
  { seed: 'bfv', ops: 400, shares: { bfv: 1 } },
])('$seed: $ops ops', { timeout: 600_000 }, async ({ seed, ops, shares }) => {
  const directory = mkdtempSync(join(tmpdir(), 'pulsefold-fuzz-test-'));
  try {
    const result = await runCampaign(await createWorld(), { ops, seed, directory, shares });
    expect(result.failure?.reproduction).toBeUndefined();
    expect(result.rounds.released).toBeGreaterThan(2);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

it('workers play the same stories and count the same', async () => {
  const world = await createWorld();
  const options = {
    ops: 30,
    seed: 'workers',
    shares: { bfv: 0, gm: 0, long: 0 },
    opsPerRun: 15,
    directory: tmpdir(),
  };
  const [here, there] = [
    await runCampaign(world, options),
    await runCampaign(world, { ...options, workers: 2 }),
  ];
  const facts = ({ ops, runs, rounds, faults, invariants, messages }: typeof here) => ({
    ...{ ops, runs, rounds, faults, invariants, messages },
  });
  expect(here.failure).toBeNull();
  expect(facts(there)).toEqual(facts(here));
});
