/**
 * Goal: each invariant of the fault simulation finds a bug planted for it. That it finds nothing in the same story
 * without that bug is shown here for rounds, in planted.slow.test.ts for the rest.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { INVARIANTS } from './observer.ts';
import { runStory } from './simulation.ts';
import { plantedInRounds, storyOf } from './testing-planted.ts';
import { plantedCases, plantedElsewhere } from './testing-planted-rights.ts';
import { createWorld, type FuzzWorld } from './world.ts';

let world: FuzzWorld;
/** Without a bug: one run for all cases that share a story. */
const clean = new Map<string, ReturnType<typeof runStory>>();
beforeAll(async () => {
  world = await createWorld();
});

async function finds({ breaks, bug, ...rest }: (typeof plantedCases)[number]): Promise<void> {
  const { violation } = await runStory(world, storyOf(rest), { audit: true, planted: bug(world) });
  expect(violation && `${violation.invariant}: ${violation.message}`).toMatch(new RegExp(`^${breaks}: `));
}

describe('planted bugs', () => {
  it('there is one for every invariant', () => {
    expect(new Set(plantedCases.map(({ breaks }) => breaks))).toEqual(new Set(INVARIANTS));
  });

  it.each(plantedInRounds)('$breaks: $name', async (planted) => {
    await finds(planted);
    const story = storyOf(planted);
    const key = JSON.stringify(story);
    const untouched = clean.get(key) ?? runStory(world, story, { audit: true });
    clean.set(key, untouched);
    expect((await untouched).violation).toBeNull();
  });

  it.each(plantedElsewhere)('$breaks: $name', finds);
});
