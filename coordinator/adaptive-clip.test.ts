/**
 * Goal: the clip of a round follows from the sum of the round before, by the public rule, and is the same for everybody
 * under the hash of the configuration.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { parseRational, rationalToNumber } from '../crypto/dp/rational.ts';
import { finishPlan } from '../protos/plan.ts';
import * as repository from './rounds/repository.ts';
import { createDevices, createWorld, planOf, strongPrivacy, TestClock, until } from './testing.ts';
import { createHolders } from './testing-holder.ts';
import { Host, participate } from './testing-round.ts';

const directory = mkdtempSync(join(tmpdir(), 'pulsefold-clip-'));
let host: Host | undefined;
afterAll(async () => {
  await host?.bench.stop().catch(() => {});
  rmSync(directory, { recursive: true, force: true });
});

test('three rounds: the clip falls to where two of three updates fit', async () => {
  const world = await createWorld();
  const devices = await createDevices(world, 3);
  const { plan } = planOf(world, {
    rounds: { training: 3 },
    privacy: { ...strongPrivacy, epsilon: '10000', noiseVariance: '16', gamma: '0' },
  });
  const adaptiveClip = { quantile: '1/2', learningRate: 1, bitUnits: 64, clipMin: '1/10', clipMax: '10' };
  const parsed = finishPlan({ ...plan, mechanism: { clip: '4', unitsPerClip: 256, adaptiveClip } });
  host = new Host(world, createHolders(world), join(directory, 'coordinator.db'), {
    clock: new TestClock(),
    runDirectory: join(directory, 'run'),
  });
  host.bench.submit(parsed);
  // Norms 1, 2 and 8: two of three are within the clip in every round.
  const updates = [1, 2, 8].map((norm) => Float64Array.of(norm, 0, 0));
  const clips: string[] = [];
  for (let round = 1; round <= 3; round++) {
    const parts = await Promise.all(
      updates.map((update, i) => participate(host!, world, devices[i]!, parsed, () => update, round - 1)),
    );
    clips.push(parts[0]!.config.config.clip!);
    expect(new Set(parts.map(({ config }) => config.hashHex)).size).toBe(1);
  }
  await until('the plan ends', () => host!.bench.outcomes.has(parsed.hashHex));
  expect(clips[0]).toBe('4');
  const values = clips.map((clip) => rationalToNumber(parseRational(clip)));
  // b̄ = 2/3 up to noise of σ·√3/(2·64·3) = 0.018: the clip moves by exp(−1/6) each time.
  expect(Math.abs(values[1]! / (4 * Math.exp(-1 / 6)) - 1)).toBeLessThan(0.11);
  expect(Math.abs(values[2]! / (4 * Math.exp(-1 / 3)) - 1)).toBeLessThan(0.16);
  const summaries = host.bench.store.read('test', (db) =>
    repository.listRounds(db, parsed.hashHex).map(({ summary }) => JSON.parse(summary!)),
  );
  expect(summaries.map(({ clip }) => clip.next).slice(0, 2)).toEqual(clips.slice(1));
});
