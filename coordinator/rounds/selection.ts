/**
 * Two choices of a round, pure: which uploads a quorum agrees on, and which holders open together.
 *
 * May be called by: coordinator/rounds/machine.ts.
 */
import type { RoundState } from './machine-types.ts';

/** All subsets of {1..n} of size t, in lexicographic order. */
export function activeSets(holderCount: number, threshold: number): number[][] {
  const sets: number[][] = [];
  const extend = (start: number, chosen: number[]): void => {
    if (chosen.length === threshold) {
      sets.push(chosen);
      return;
    }
    for (let index = start; index <= holderCount; index++) extend(index + 1, [...chosen, index]);
  };
  extend(1, []);
  return sets;
}

/**
 * The largest set of devices that some `quorum` of holders all accepted. A single holder that rejects everybody
 * spoils nothing: the others' intersection is larger.
 */
export function chooseCohort(
  verdicts: Readonly<Record<string, readonly string[]>>,
  quorum: number,
): string[] {
  const holders = Object.keys(verdicts).sort();
  let best: string[] = [];
  for (const subset of activeSets(holders.length, Math.min(quorum, holders.length))) {
    if (subset.length < quorum) continue;
    const lists = subset.map((index) => new Set(verdicts[holders[index - 1]!]!));
    const common = [...lists[0]!].filter((id) => lists.every((list) => list.has(id)));
    if (common.length > best.length) best = common;
  }
  return best.sort();
}

/**
 * The holders that open together: keep the present set while its members answer, else the set with the fewest
 * failures; null when no set can be asked now. A set whose answers did not open (stored as empty) is not reused.
 */
export function chooseActiveSet(state: RoundState, nowMs: number): readonly number[] | null {
  const { terms, holders } = state;
  const failures = (set: readonly number[]) =>
    set.reduce((sum, index) => sum + holders[terms.holderIds[index - 1]!]!.failures, 0);
  if (state.activeSet && failures(state.activeSet) === 0) return state.activeSet;
  const ranked = activeSets(terms.holderIds.length, terms.threshold)
    .filter((set) => state.partials[set.join(',')]?.length !== 0)
    .sort((a, b) => failures(a) - failures(b));
  const free = ranked.filter((set) =>
    set.every((index) => {
      const progress = holders[terms.holderIds[index - 1]!]!;
      return progress.asked || progress.retryAtMs <= nowMs;
    }),
  );
  return free[0] ?? null;
}
