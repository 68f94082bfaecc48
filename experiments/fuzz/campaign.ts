/**
 * Many stories from one seed, until so many ops have been played; the first failing one is shrunk and kept.
 *
 * Stories are played in worker threads, or in this one; which ones are played, and what comes of them, does not depend
 * on how many there are. Trusts: nothing. May be called by: cli, tests.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { StoryAnswer, StoryOrder } from './campaign-worker.ts';
import { generateStory, type Shares } from './generate.ts';
import { INVARIANTS, type Invariant } from './observer.ts';
import type { Story } from './ops.ts';
import { type Reproduction, writeReproduction } from './reproduction.ts';
import { shrinkStory } from './shrink.ts';
import { runStory } from './simulation.ts';
import type { FuzzWorld } from './world.ts';

export interface CampaignOptions {
  readonly ops: number;
  readonly seed: string;
  readonly opsPerRun?: number;
  /** Fractions of stories that are not the usual ones. */
  readonly shares?: Partial<Shares>;
  /** Every so many runs the exported log goes through the auditor. */
  readonly auditEvery?: number;
  /** Threads that play; 0: this one. */
  readonly workers?: number;
  /** Where the reproduction of a failure is written. */
  readonly directory: string;
  readonly onProgress?: (opsDone: number, runs: number) => void;
  readonly onShrink?: (runs: number, ops: number) => void;
}

export interface CampaignResult {
  readonly seed: string;
  readonly ops: number;
  readonly runs: number;
  readonly rounds: Readonly<Record<string, number>>;
  readonly faults: Readonly<Record<string, number>>;
  readonly invariants: Readonly<Record<Invariant, number>>;
  readonly messages: number;
  readonly virtualHours: number;
  readonly elapsedMs: number;
  readonly failure: { readonly file: string; readonly reproduction: Reproduction } | null;
}

const OPS_PER_RUN = 120;
const AUDIT_EVERY = 5;

/** Plays one story somewhere. */
type Player = (order: StoryOrder) => Promise<StoryAnswer>;

export async function runCampaign(world: FuzzWorld, options: CampaignOptions): Promise<CampaignResult> {
  const { workers = 0 } = options;
  const startMs = performance.now();
  if (workers === 0) return finish(world, options, await playAll(options, [playerHere(world)]), startMs);
  const threads = Array.from(
    { length: workers },
    () => new Worker(new URL('./campaign-worker.ts', import.meta.url)),
  );
  try {
    const tally = await playAll(options, threads.map(playerIn));
    return await finish(world, options, tally, startMs);
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()));
  }
}

const playerHere =
  (world: FuzzWorld): Player =>
  async ({ story, audit }) => {
    const { violation, trace: _, summary: __, ...result } = await runStory(world, story, { audit });
    return {
      ...result,
      violation: violation && { invariant: violation.invariant, message: violation.message },
    };
  };

/** One order at a time. */
function playerIn(thread: Worker): Player {
  let answered: (answer: StoryAnswer) => void = () => {};
  let failed: (error: unknown) => void = () => {};
  thread.on('message', (answer: StoryAnswer) => answered(answer));
  thread.on('error', (error) => failed(error));
  return (order) =>
    new Promise((resolve, reject) => {
      answered = resolve;
      failed = reject;
      thread.postMessage(order);
    });
}

class Tally {
  readonly rounds: Record<string, number> = {};
  readonly faults: Record<string, number> = {};
  readonly invariants = Object.fromEntries(INVARIANTS.map((name) => [name, 0])) as Record<Invariant, number>;
  ops = 0;
  runs = 0;
  messages = 0;
  virtualMs = 0;
  failure: { readonly story: Story; readonly violation: NonNullable<StoryAnswer['violation']> } | null = null;

  add(story: Story, answer: StoryAnswer): void {
    this.runs++;
    this.ops += answer.ops;
    this.messages += answer.messages;
    this.virtualMs += answer.virtualMs;
    addTo(this.rounds, answer.rounds);
    addTo(this.faults, answer.faults);
    addTo(this.invariants, answer.checks);
    if (answer.violation) this.failure = { story, violation: answer.violation };
  }
}

function addTo(sums: Record<string, number>, more: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(more)) sums[name] = (sums[name] ?? 0) + count;
}

/** Counts answers in the order of their stories, and no further than the ops asked for or the first failure. */
async function playAll(options: CampaignOptions, players: readonly Player[]): Promise<Tally> {
  const { seed, opsPerRun = OPS_PER_RUN, auditEvery = AUDIT_EVERY, shares = {} } = options;
  const tally = new Tally();
  const waiting = new Map<number, { readonly story: Story; readonly answer: StoryAnswer }>();
  const isDone = (): boolean => tally.ops >= options.ops || tally.failure !== null;
  let next = 0;
  const play = async (player: Player): Promise<void> => {
    while (!isDone()) {
      const number = next++;
      const story = generateStory(`${seed}/${number}`, { ops: opsPerRun, shares });
      const answer = await player({ story, audit: number % auditEvery === 0 });
      waiting.set(number, { story, answer });
      for (let first = waiting.get(tally.runs); first && !isDone(); first = waiting.get(tally.runs)) {
        waiting.delete(tally.runs);
        tally.add(first.story, first.answer);
        options.onProgress?.(Math.min(tally.ops, options.ops), tally.runs);
      }
    }
  };
  await Promise.all(players.map(play));
  return tally;
}

async function finish(
  world: FuzzWorld,
  options: CampaignOptions,
  tally: Tally,
  startMs: number,
): Promise<CampaignResult> {
  const { ops, runs, rounds, faults, invariants, messages } = tally;
  const failure = tally.failure && (await keep(world, options, tally.failure));
  return {
    seed: options.seed,
    ...{ ops, runs, rounds, faults, invariants, messages },
    virtualHours: tally.virtualMs / 3_600_000,
    elapsedMs: performance.now() - startMs,
    failure,
  };
}

async function keep(
  world: FuzzWorld,
  options: CampaignOptions,
  { story, violation }: NonNullable<Tally['failure']>,
): Promise<NonNullable<CampaignResult['failure']>> {
  const { invariant, message } = violation;
  const audit = invariant === 'auditor-agrees';
  const small = await shrinkStory(story, invariant, {
    invariantOf: async (candidate) =>
      (await runStory(world, candidate, { audit })).violation?.invariant ?? null,
    ...(options.onShrink ? { onRun: options.onShrink } : {}),
  });
  const reproduction: Reproduction = { version: 1, invariant, message, story: small };
  mkdirSync(options.directory, { recursive: true });
  const name = `${invariant}-${story.seed.replace(/[^A-Za-z0-9]+/g, '-')}.json`;
  const file = join(options.directory, name);
  writeReproduction(file, reproduction);
  return { file, reproduction };
}
