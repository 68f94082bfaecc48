/**
 * One update from the means of disjoint groups, so that a few poisoned clients move a few groups and not the model
 * (docs/adr/0030).
 *
 * How many groups an attacker may own: none for `mean`, below half for `median`, ⌊trim·G⌋ for `trimmed-mean`. Under
 * `norm-filter` an attacker's group weighs at most normFactor honest ones, so the sign of the update is safe below
 * 1/(1 + normFactor) of the groups, whatever lies within the limit; `krum` bears faultyMax of them. One malicious client owns its group, so with m of
 * them at least G − m groups stay honest.
 * Sources: coordinate median and trimmed mean, Yin et al., ICML 2018 (arXiv 1803.01498); of groups' means, Chen et al.,
 * SIGMETRICS 2018 (arXiv 1705.05491); Krum and multi-Krum, Blanchard et al., NeurIPS 2017 (arXiv 1703.02757). Pure post-processing of opened sums.
 * Trusts: finite numbers. May be called by: release.ts, experiments.
 */
import {
  floorRational,
  multiplyRational,
  type Rational,
  rational,
  rationalToNumber,
} from '../../crypto/dp/rational.ts';
import { ensure } from '../../crypto/error.ts';
import type { GroupTerms } from '../../protos/plan.ts';
import { NORM_FACTOR_DEFAULT, TRIM_DEFAULT } from '../../protos/plan-groups.ts';

export interface GroupMean {
  /** Mean update of the group, model units. */
  readonly mean: Float64Array;
  /** Its weight in means: clients, or what their weights add up to. Positive. */
  readonly count: number;
}

export interface CombineRule {
  readonly combine: GroupTerms['combine'];
  /** `trimmed-mean`: fraction of the groups dropped at each end of every coordinate, in (0, 1/2). */
  readonly trim?: Rational | undefined;
  /** Groups of the partition, where fewer are left to combine; `trim` is a fraction of all. */
  readonly groupCount?: number;
  /** `norm-filter`: groups whose norm exceeds this many times the median norm are dropped, ≥ 1. */
  readonly normFactor?: Rational | undefined;
  /** `krum`: groups that may be spoiled. */
  readonly faultyMax?: number;
  /** `krum`: best groups that are averaged, 1 where absent. */
  readonly keptCount?: number | undefined;
}

/** The combined update. Throws VECTOR_LENGTH_MISMATCH for no groups or groups of unequal length. */
export function combineGroups(groups: readonly GroupMean[], rule: CombineRule): Float64Array {
  const length = groups[0]?.mean.length;
  ensure(
    length !== undefined && groups.every(({ mean }) => mean.length === length),
    'VECTOR_LENGTH_MISMATCH',
    'groups are combined from at least one mean, all of one length',
  );
  switch (rule.combine) {
    case 'mean':
      return weightedMean(groups);
    case 'median':
      return byCoordinate(groups, medianOf);
    case 'trimmed-mean': {
      const trim = rule.trim ?? TRIM_DEFAULT;
      const all = rational(Math.max(rule.groupCount ?? 0, groups.length));
      const wanted = Number(floorRational(multiplyRational(trim, all)));
      const dropped = Math.min(wanted, (groups.length - 1) >> 1);
      return byCoordinate(groups, (sorted) => meanOf(sorted.subarray(dropped, sorted.length - dropped)));
    }
    case 'norm-filter':
      // Every group alike: an opened weight may be an attacker's word.
      return byCoordinate(
        withinNorm(groups, rationalToNumber(rule.normFactor ?? NORM_FACTOR_DEFAULT)),
        meanOf,
      );
    case 'krum':
      return byCoordinate(krumChoice(groups, rule.faultyMax ?? 0, rule.keptCount ?? 1), meanOf);
  }
}

/**
 * The `kept` groups of smallest score, the sum of squared distances to a group's G − f − 2 nearest others; the first of
 * equals. G counts the groups that are left, f stays: a group that fell out need not have been a spoiled one.
 */
function krumChoice(groups: readonly GroupMean[], faulty: number, kept: number): GroupMean[] {
  const neighbours = Math.max(1, groups.length - faulty - 2);
  const distances = groups.map(() => new Float64Array(groups.length));
  for (let i = 0; i < groups.length; i++)
    for (let j = i + 1; j < groups.length; j++)
      distances[i]![j] = distances[j]![i] = squaredDistance(groups[i]!, groups[j]!);
  // The first of a sorted row is the group itself, at 0.
  const scores = distances.map((row) =>
    row
      .sort()
      .subarray(0, neighbours + 1)
      .reduce((sum, value) => sum + value),
  );
  const order = groups.map((_, i) => i).sort((a, b) => scores[a]! - scores[b]! || a - b);
  return order.slice(0, kept).map((i) => groups[i]!);
}

function squaredDistance(a: GroupMean, b: GroupMean): number {
  let squares = 0;
  for (let i = 0; i < a.mean.length; i++) squares += (a.mean[i]! - b.mean[i]!) ** 2;
  return squares;
}

/** Half of the norms are at most the median norm, so at least one group always stays. */
function withinNorm(groups: readonly GroupMean[], factor: number): GroupMean[] {
  const norms = Float64Array.from(groups, ({ mean }) => normOf(mean));
  const limit = factor * medianOf(norms.slice().sort());
  return groups.filter((_, i) => norms[i]! <= limit);
}

function weightedMean(groups: readonly GroupMean[]): Float64Array {
  const total = groups.reduce((sum, { count }) => sum + count, 0);
  const mean = new Float64Array(groups[0]!.mean.length);
  for (const group of groups) {
    const weight = group.count / total;
    for (let i = 0; i < mean.length; i++) mean[i]! += weight * group.mean[i]!;
  }
  return mean;
}

/** `statistic` of the groups' sorted values, coordinate by coordinate; every group counts alike. */
function byCoordinate(
  groups: readonly GroupMean[],
  statistic: (sorted: Float64Array) => number,
): Float64Array {
  const values = new Float64Array(groups.length);
  return new Float64Array(groups[0]!.mean.length).map((_, i) => {
    for (const [g, { mean }] of groups.entries()) values[g] = mean[i]!;
    return statistic(values.sort());
  });
}

/** Of sorted values; of an even number, the middle of the two in the middle. */
function medianOf(sorted: Float64Array): number {
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

const meanOf = (values: Float64Array): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

function normOf(vector: Float64Array): number {
  let squares = 0;
  for (const value of vector) squares += value * value;
  return Math.sqrt(squares);
}
