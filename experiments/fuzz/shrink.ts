/**
 * Makes a failing story small: fewer ops first, then a smaller deployment, as long as the same invariant breaks.
 *
 * Trusts: nothing. May be called by: experiments/fuzz.
 */
import type { Invariant } from './observer.ts';
import type { Op, Scenario, Story } from './ops.ts';

export interface ShrinkOptions {
  /** The invariant that a story breaks, or null. */
  readonly invariantOf: (story: Story) => Promise<Invariant | null>;
  /** Runs that may be spent. */
  readonly runsMax?: number;
  readonly onRun?: (runs: number, ops: number) => void;
}

/** The smallest story found that still breaks `invariant`. */
export async function shrinkStory(
  story: Story,
  invariant: Invariant,
  options: ShrinkOptions,
): Promise<Story> {
  const { invariantOf, runsMax = 400, onRun } = options;
  let best = story;
  let runs = 0;
  const breaks = async (candidate: Story): Promise<boolean> => {
    if (runs >= runsMax) return false;
    runs++;
    const still = (await invariantOf(candidate)) === invariant;
    if (still) best = candidate;
    onRun?.(runs, best.ops.length);
    return still;
  };
  await dropOps(() => best, breaks);
  for (const change of smallerScenarios(best.scenario))
    await breaks({ ...best, scenario: { ...best.scenario, ...change } });
  for (let i = 0; i < best.ops.length; i++)
    for (const op of simplerOps(best.ops[i]!))
      if (await breaks({ ...best, ops: best.ops.with(i, op) })) break;
  // What stood in for something else may go now.
  for (let before = -1; before !== best.ops.length; ) {
    before = best.ops.length;
    await dropOps(() => best, breaks);
  }
  return best;
}

/** Leaves out ever smaller pieces (Zeller and Hildebrandt 2002, ddmin), from the end on. */
async function dropOps(best: () => Story, breaks: (story: Story) => Promise<boolean>): Promise<void> {
  for (let size = Math.ceil(best().ops.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
    for (let end = best().ops.length; end > 0; end -= size) {
      const { ops } = best();
      const from = Math.max(0, end - size);
      if (from >= ops.length) continue;
      await breaks({ ...best(), ops: [...ops.slice(0, from), ...ops.slice(end)] });
    }
}

function* smallerScenarios(scenario: Scenario): Iterable<Partial<Scenario>> {
  if (scenario.suite !== 'intl') yield { suite: 'intl' };
  if (scenario.long) yield { long: false };
  if (scenario.plans !== 'one') yield { plans: 'one' };
  if (scenario.groups !== 'none') yield { groups: 'none' };
  if (scenario.overlap > 0) yield { overlap: 0 };
  if (scenario.witnesses > 0) yield { witnesses: 0 };
  if (scenario.consent !== 'none') yield { consent: 'none' };
  if (scenario.evaluation > 0) yield { evaluation: 0 };
  for (let training = 1; training < scenario.training; training++) yield { training };
  if (scenario.liar > 0) yield { liar: 0 };
  if (scenario.spare > 0) yield { spare: 0 };
  if (scenario.privacy) yield { privacy: false };
  for (let devices = scenario.cohortMin; devices < scenario.devices; devices++)
    yield {
      devices,
      cohortTarget: Math.min(scenario.cohortTarget, devices),
      cohortMax: Math.min(scenario.cohortMax, devices),
    };
}

function* simplerOps(op: Op): Iterable<Op> {
  if (op.type === 'network' && op.count > 1) yield { ...op, count: 1 };
  if ('downMs' in op && op.downMs > 0) yield { ...op, downMs: 0 };
  if (op.type === 'disk-full' && op.writes > 1) yield { ...op, writes: 1 };
  if (op.afterMs > 0) yield { ...op, afterMs: 0 };
}
