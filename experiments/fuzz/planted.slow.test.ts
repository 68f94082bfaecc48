/** Goal: stories with a planted bug (planted.test.ts) break nothing without it. */
import { expect, it } from 'vitest';
import { runStory } from './simulation.ts';
import { storyOf } from './testing-planted.ts';
import { plantedElsewhere } from './testing-planted-rights.ts';
import { createWorld } from './world.ts';

const world = createWorld();

it.each(plantedElsewhere)('without $name', async (planted) => {
  const { violation, checks } = await runStory(await world, storyOf(planted), { audit: true });
  expect(violation).toBeNull();
  expect(checks[planted.breaks]).toBeGreaterThan(0);
});
