/**
 * Goal: each invariant of the fault simulation finds a bug planted for it, and finds nothing in the same story without
 * that bug.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { INVARIANTS } from './observer.ts';
import { runStory } from './simulation.ts';
import { plantedCases, SMALL } from './testing-planted.ts';
import { createWorld, type FuzzWorld } from './world.ts';

let world: FuzzWorld;
/** Without a bug: one run for all cases that share a story. */
const clean = new Map<string, ReturnType<typeof runStory>>();
beforeAll(async () => {
  world = await createWorld();
});

describe('planted bugs', () => {
  it('there is one for every invariant', () => {
    expect(new Set(plantedCases.map(({ breaks }) => breaks))).toEqual(new Set(INVARIANTS));
  });

  it.each(plantedCases)('$breaks: $name', async ({ breaks, bug, ops, scenario }) => {
    const story = { seed: 'planted', scenario: { ...SMALL, ...scenario }, ops: [...ops] };
    const { violation } = await runStory(world, story, { audit: true, planted: bug(world) });
    expect(violation && `${violation.invariant}: ${violation.message}`).toMatch(new RegExp(`^${breaks}: `));
    const key = JSON.stringify(story);
    const untouched = clean.get(key) ?? runStory(world, story, { audit: true });
    clean.set(key, untouched);
    expect((await untouched).violation).toBeNull();
  });
});
