/**
 * Worker thread of a campaign: plays the stories it is sent, one at a time.
 *
 * Trusts: the thread that started it. May be started by: campaign.ts only.
 */
import { parentPort } from 'node:worker_threads';
import type { Invariant } from './observer.ts';
import type { Story } from './ops.ts';
import type { RunResult } from './run-types.ts';
import { runStory } from './simulation.ts';
import { createWorld } from './world.ts';

export interface StoryOrder {
  readonly story: Story;
  readonly audit: boolean;
}

/** A run's result without what only a reader of one run wants. */
export interface StoryAnswer extends Omit<RunResult, 'violation' | 'summary' | 'trace'> {
  readonly violation: { readonly invariant: Invariant; readonly message: string } | null;
}

if (parentPort) {
  const port = parentPort;
  const world = createWorld();
  port.on('message', async ({ story, audit }: StoryOrder) => {
    const { violation, summary: _, trace: __, ...result } = await runStory(await world, story, { audit });
    port.postMessage({
      ...result,
      violation: violation && { invariant: violation.invariant, message: violation.message },
    } satisfies StoryAnswer);
  });
}
