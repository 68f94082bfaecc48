/**
 * Goal: a fault simulation that can be trusted: the same story gives the same run, stories of honest code break nothing,
 * what broke once stays fixed, and a failing story shrinks to its cause.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { runCampaign } from './campaign.ts';
import { generateStory } from './generate.ts';
import type { Op, Story } from './ops.ts';
import { readReproduction, writeReproduction } from './reproduction.ts';
import { shrinkStory } from './shrink.ts';
import { runStory } from './simulation.ts';
import { SMALL } from './testing-planted.ts';
import { plantedCases } from './testing-planted-rights.ts';
import { createWorld, type FuzzWorld } from './world.ts';

/** Seconds at most on a machine of its own; much more on one that does other things, too. */
const SLOW = { timeout: 120_000 };

/** Without what costs much. */
const CHEAP = { bfv: 0, gm: 0, long: 0 };

let world: FuzzWorld;
beforeAll(async () => {
  world = await createWorld();
});

describe('a run', () => {
  it('is decided by its story, whatever the keys are', async () => {
    const story = generateStory('same', { ops: 25, shares: CHEAP });
    const other = await createWorld();
    const runs = [
      await runStory(world, story, { trace: true }),
      await runStory(other, story, { trace: true }),
    ];
    const facts = runs.map(({ summary, faults, checks, ops, virtualMs, trace }) => ({
      ...{ summary, faults, checks, ops, virtualMs },
      calls: trace.filter((line) => / (device|holder)\d \w+( answered)?$/.test(line)),
    }));
    expect(facts[0]).toEqual(facts[1]);
    expect(facts[0]!.calls.length).toBeGreaterThan(50);
    expect(generateStory('same', { ops: 25, shares: CHEAP })).toEqual(story);
  });

  it('leaves timers and clock of the thread as they were', async () => {
    const before = { setTimeout, setImmediate, setInterval, now: Date.now };
    const story: Story = { seed: 'time', scenario: SMALL, ops: [] };
    const { virtualMs, rounds } = await runStory(world, story);
    expect({ setTimeout, setImmediate, setInterval, now: Date.now }).toEqual(before);
    expect(virtualMs).toBeGreaterThan(100);
    expect(rounds).toEqual({ released: 1 });
    const startMs = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 2));
    expect(performance.now() - startMs).toBeGreaterThan(1);
  });
});

describe('a campaign', () => {
  it('breaks nothing, injects faults of many kinds, and checks every invariant', SLOW, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'pulsefold-fuzz-test-'));
    try {
      const result = await runCampaign(world, {
        ops: 220,
        seed: 'fast0',
        directory,
        shares: { ...CHEAP, groups: 0.35, plans: 0.4, consent: 0.8, witnesses: 0.7 },
        opsPerRun: 55,
      });
      expect(result.failure).toBeNull();
      expect(result.ops).toBeGreaterThanOrEqual(150);
      expect(Object.keys(result.faults).length).toBeGreaterThan(12);
      const unchecked = Object.entries(result.invariants).filter(([, count]) => count === 0);
      expect(unchecked).toEqual([]);
      expect(result.rounds.released).toBeGreaterThan(2);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});

describe('reproductions', () => {
  const directory = join(import.meta.dirname, 'reproductions');
  const files = readdirSync(directory).filter((name) => name.endsWith('.json'));

  it.each(files)('%s stays fixed', async (name) => {
    const { story } = readReproduction(join(directory, name));
    expect((await runStory(world, story, { audit: true })).violation).toBeNull();
  });

  it('are read strictly and written so that they read the same', () => {
    const scratch = mkdtempSync(join(tmpdir(), 'pulsefold-fuzz-test-'));
    try {
      const file = join(scratch, 'one.json');
      const known = readReproduction(join(directory, 'queue-stops-on-a-full-disk.json'));
      writeReproduction(file, known);
      expect(readReproduction(file)).toEqual(known);
      const text = readFileSync(file, 'utf8');
      for (const bad of [
        '',
        text.slice(0, -9),
        text.replace('"coordinator"', '"stranger"'),
        '{"version":1}',
      ]) {
        writeFileSync(file, bad);
        expect(() => readReproduction(file)).toThrow(expect.objectContaining({ code: 'DATA_INVALID' }));
      }
      expect(() => readReproduction(join(scratch, 'none'))).toThrow(
        expect.objectContaining({ code: 'NOT_FOUND' }),
      );
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  });
});

describe('shrinking', () => {
  it('leaves the one op that a planted bug needs, and the smallest deployment', SLOW, async () => {
    const { bug, breaks } = plantedCases.find(({ breaks }) => breaks === 'log-only-grows')!;
    const crash: Op = { type: 'crash', who: 'coordinator', downMs: 50, afterMs: 100 };
    const filler = generateStory('filler', { ops: 5, shares: CHEAP }).ops.filter(
      ({ type }) => type === 'network' || type === 'wait' || type === 'leave',
    );
    const story: Story = {
      seed: 'shrink',
      scenario: { ...SMALL, devices: 4, liar: 1 },
      ops: [...filler, crash, ...filler],
    };
    const invariantOf = async (candidate: Story) =>
      (await runStory(world, candidate, { planted: bug(world) })).violation?.invariant ?? null;
    const small = await shrinkStory(story, breaks, { invariantOf, runsMax: 40 });
    expect(small.ops).toEqual([{ ...crash, downMs: 0 }]);
    expect(small.scenario).toMatchObject({ devices: 3, liar: 0, privacy: false });
  });
});
