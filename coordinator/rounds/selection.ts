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

/** Share of the largest agreed set that one holder's rejections may cost before it is outvoted. */
const CONCESSION = 0.1;

/**
 * The devices that *every* holder that answered accepts, if that costs at most a tenth of the largest set that some
 * `quorum` of holders agrees on and leaves `cohortMin`; otherwise that largest set.
 *
 * The first rule keeps the round's tolerance: a device that seals badly to one holder alone (transport shares) is left
 * out, for with it in the cohort that holder could never answer, and one more that is away would leave the sum
 * unopened. The second keeps a single holder that rejects everybody from spoiling anything.
 */
export function chooseCohort(
  verdicts: Readonly<Record<string, readonly string[]>>,
  quorum: number,
  cohortMin = 0,
): string[] {
  const holders = Object.keys(verdicts).sort();
  if (holders.length < quorum) return [];
  const first = verdicts[holders[0]!]!;
  if (holders.every((holder) => verdicts[holder] === first)) return [...first].sort();
  const lists = holders.map((holder) => new Set(verdicts[holder]!));
  const common = (indices: readonly number[]): string[] => {
    const chosen = indices.map((index) => lists[index - 1]!);
    return [...chosen[0]!].filter((id) => chosen.every((list) => list.has(id)));
  };
  const byAll = common(holders.map((_, i) => i + 1));
  // Nobody rejected anything that another accepted: there is nothing to choose.
  if (lists.every((list) => list.size === byAll.length)) return byAll.sort();
  let best: string[] = [];
  for (const subset of activeSets(holders.length, quorum)) {
    const agreed = common(subset);
    if (agreed.length > best.length) best = agreed;
  }
  // At least one device may always be left out: small cohorts have spoilers, too.
  const conceded = Math.max(1, Math.floor(CONCESSION * best.length));
  const cheap = byAll.length >= best.length - conceded && byAll.length >= Math.max(1, cohortMin);
  return (cheap ? byAll : best).sort();
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
