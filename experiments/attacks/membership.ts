/**
 * Membership inference: was this person in the cohort?
 *
 * The attacker knows the person's row, the model and so the person's update u, and scores a cohort by the part of the
 * opened vector along u. Two attackers: one that knows nobody else, to whom the rest of the cohort is noise; and the
 * one that privacy is stated against, which knows every other row and takes their updates off first. For the second
 * one a stated (ε, δ) bounds the true positives at any rate of false ones: TPR ≤ e^ε·FPR + δ (Kairouz, Oh &
 * Viswanath 2015, arXiv 1311.0776); without noise nothing does.
 * May be called by: experiments/attacks.
 */

export interface Scores {
  readonly members: readonly number[];
  readonly others: readonly number[];
}

/** Part of `seen` along `update`, in lengths of `update`: 1 where the person's update is in it and nothing else. */
export function score(seen: Float64Array, update: Float64Array): number {
  let along = 0;
  let square = 0;
  for (let i = 0; i < update.length; i++) {
    along += seen[i]! * update[i]!;
    square += update[i]! * update[i]!;
  }
  return square === 0 ? 0 : along / square;
}

/** Probability that a member scores above a non-member; ties count half. .5: the attack knows nothing. */
export function attackAuc({ members, others }: Scores): number {
  const sorted = [...others].sort((a, b) => a - b);
  let wins = 0;
  for (const value of members) {
    const below = lowerBound(sorted, value);
    const upTo = lowerBound(sorted, value, true);
    wins += below + (upTo - below) / 2;
  }
  return wins / (members.length * others.length);
}

/** How many of `sorted` are below `value` (or not above it). */
function lowerBound(sorted: readonly number[], value: number, inclusive = false): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (inclusive ? sorted[middle]! <= value : sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** True positives at a threshold that at most `rate` of the non-members pass. */
export function truePositives({ members, others }: Scores, rate: number): number {
  const allowed = Math.floor(rate * others.length);
  const threshold = [...others].sort((a, b) => b - a)[allowed]!;
  return members.filter((value) => value > threshold).length / members.length;
}

/** Most true positives that (ε, δ) allows at this rate of false ones. */
export const truePositivesBound = (epsilon: number, delta: number, rate: number): number =>
  Math.min(1, Math.exp(epsilon) * rate + delta);
