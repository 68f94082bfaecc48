/**
 * What the rounds of a history add up to. Trusts: the entries (history.ts). May be called by: auditor/bundle/history.ts.
 */
import { costOf, EpsilonSum } from '../costs.ts';
import { conversionDelta, groupCountOf } from '../group-terms.ts';
import { real } from '../numbers.ts';
import type { History, HistoryEntry, HistoryRun } from './history.ts';

/** ε per epoch and over all epochs, per unit: every charged round of the participant, at the smallest δ involved. */
export function totalsOf(
  entries: readonly HistoryEntry[],
  byPlan: ReadonlyMap<string, HistoryRun>,
): Pick<History, 'epochs' | 'totals'> {
  const sumOf = (charged: readonly HistoryEntry[]) => {
    const sum = new EpsilonSum();
    let stated = 1;
    // What the partitions of plans with groups may have used up of δ, each plan once.
    const aside = new Map<string, number>();
    for (const entry of charged) {
      const { plan } = byPlan.get(entry.planHash)!.parsed;
      const cost = costOf(plan, entry.purpose, entry.cohortCount ?? plan.rounds.cohortMin);
      if (cost === undefined) continue;
      sum.add(cost);
      const delta = real(plan.privacy!.delta);
      stated = Math.min(stated, delta);
      if (groupCountOf(plan, 'training') > 1) aside.set(entry.planHash, delta - conversionDelta(plan));
    }
    const left = [...aside.values()].reduce((delta, used) => delta - used, stated);
    const epsilon = left > 0 ? sum.epsilonAt(left) : Number.POSITIVE_INFINITY;
    return { rounds: charged.length, delta: stated, epsilon };
  };
  const charged = entries.filter((entry) => entry.charged);
  const groups = Map.groupBy(charged, ({ epoch, unit }) => JSON.stringify([epoch, unit]));
  const units = Map.groupBy(charged, ({ unit }) => unit);
  return {
    epochs: [...groups.values()].map((list) => ({
      epoch: list[0]!.epoch,
      unit: list[0]!.unit,
      ...sumOf(list),
    })),
    totals: [...units.values()].map((list) => ({ unit: list[0]!.unit, ...sumOf(list) })),
  };
}
