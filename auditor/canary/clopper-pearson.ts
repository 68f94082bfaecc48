/**
 * A lower bound on ε from many runs with and without one canary.
 *
 * For: `pulsefold audit canary` and whoever has in/out scores. What comes out is a bug alarm: the true ε of a mechanism
 * may be far above every such bound, so it is never published as an ε. Trusts: nothing.
 * May be called by: auditor/canary, experiments/canary.
 */
import { ensure } from '../../crypto/error.ts';
import { gaussianEpsilon } from './gaussian-tradeoff.ts';
import { normalQuantile, regularisedBeta } from './special-functions.ts';

function checkCounts(successes: number, trials: number, significance: number): void {
  ensure(
    Number.isSafeInteger(successes) && Number.isSafeInteger(trials) && successes >= 0 && successes <= trials,
    'FIELD_OUT_OF_RANGE',
    'successes and trials: whole numbers, 0 ≤ successes ≤ trials',
  );
  ensure(trials >= 1, 'DATA_EMPTY', 'at least one trial is needed');
  ensure(significance > 0 && significance < 1, 'FIELD_OUT_OF_RANGE', 'significance lies in (0, 1)');
}

/** The p with I_p(a, b) = level, to the last bit. */
function betaQuantile(level: number, a: number, b: number): number {
  let low = 0;
  let high = 1;
  for (let i = 0; i < 1100; i++) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if (regularisedBeta(middle, a, b) < level) low = middle;
    else high = middle;
  }
  return high;
}

/**
 * One-sided Clopper–Pearson bounds (Clopper & Pearson 1934): each holds with probability ≥ 1 − significance.
 * @throws FIELD_OUT_OF_RANGE, DATA_EMPTY.
 */
export function clopperPearson(
  successes: number,
  trials: number,
  significance: number,
): { readonly lower: number; readonly upper: number } {
  checkCounts(successes, trials, significance);
  return {
    lower: successes === 0 ? 0 : betaQuantile(significance, successes, trials - successes + 1),
    upper: successes === trials ? 1 : 1 - betaQuantile(significance, trials - successes, successes + 1),
  };
}

export interface AttackCounts {
  /** Runs with the canary in, and how many of them the attack called "in". */
  readonly inRuns: number;
  readonly truePositives: number;
  /** Runs without it, and how many of them the attack called "in". */
  readonly outRuns: number;
  readonly falsePositives: number;
}

/**
 * ε that the attack disproves at confidence 1 − significance: every (ε, δ)-DP mechanism has TPR ≤ e^ε·FPR + δ (Kairouz,
 * Oh, Viswanath 2015), and both rates lie within their Clopper–Pearson bounds at significance/2 (Jagielski,
 * Ullman, Oprea 2020, arXiv 2006.07709; Nasr et al. 2101.04535). One-sided; 0 when nothing is disproved.
 * The attack must have been fixed before these runs.
 */
export function epsilonFromCounts(counts: AttackCounts, significance: number, delta = 0): number {
  ensure(delta >= 0 && delta < 1, 'FIELD_OUT_OF_RANGE', 'delta lies in [0, 1)');
  const { lower } = clopperPearson(counts.truePositives, counts.inRuns, significance / 2);
  const { upper } = clopperPearson(counts.falsePositives, counts.outRuns, significance / 2);
  return lower - delta > upper ? Math.log((lower - delta) / upper) : 0;
}

/**
 * The same where the claim is a Gaussian trade-off curve: the bounds on both error rates give a μ that the mechanism
 * cannot be below, Φ⁻¹(1−FPR) − Φ⁻¹(FNR), and that μ has an ε (Dong, Roth, Su 2019, arXiv 1905.02383, §2.3;
 * Nasr et al. 2023, arXiv 2302.07956). Far tighter, and right for mechanisms with normal noise only.
 */
export function epsilonFromCountsGaussian(counts: AttackCounts, significance: number, delta: number): number {
  const missed = clopperPearson(counts.inRuns - counts.truePositives, counts.inRuns, significance / 2).upper;
  const { upper } = clopperPearson(counts.falsePositives, counts.outRuns, significance / 2);
  const mu = -normalQuantile(upper) - normalQuantile(missed);
  return mu > 0 ? gaussianEpsilon(mu, delta) : 0;
}

/**
 * The same from scores, higher meaning "in". The threshold and the direction (which of the two is the rare event) are
 * chosen on the first half of each list and judged on the second, so no correction for the search is needed. Scores
 * must be independent runs in the order in which they were made. Lists of fewer than 2 give 0.
 */
export function epsilonFromScores(
  inScores: ArrayLike<number>,
  outScores: ArrayLike<number>,
  significance: number,
  delta = 0,
): { readonly epsilon: number; readonly threshold: number } {
  const [inFirst, inRest] = halves(inScores);
  const [outFirst, outRest] = halves(outScores);
  if (inFirst.length === 0 || outFirst.length === 0) return { epsilon: 0, threshold: Number.NaN };
  let best = { epsilon: -1, threshold: 0, reversed: false };
  const candidates = [...inFirst, ...outFirst].sort((a, b) => a - b);
  const step = Math.max(1, Math.floor(candidates.length / CANDIDATES_MAX));
  for (let i = 0; i < candidates.length; i += step)
    for (const reversed of [false, true]) {
      const threshold = candidates[i]!;
      const epsilon = epsilonFromCounts(count(inFirst, outFirst, threshold, reversed), significance, delta);
      if (epsilon > best.epsilon) best = { epsilon, threshold, reversed };
    }
  const judged = count(inRest, outRest, best.threshold, best.reversed);
  return { epsilon: epsilonFromCounts(judged, significance, delta), threshold: best.threshold };
}

/** Thresholds that are tried on the first half. */
const CANDIDATES_MAX = 200;

function halves(scores: ArrayLike<number>): [Float64Array, Float64Array] {
  const all = Float64Array.from(scores);
  const middle = all.length >> 1;
  return [all.slice(0, middle), all.slice(middle)];
}

/** Reversed: the rare event is a low score, and "in" and "out" change places. */
function count(
  inScores: Float64Array,
  outScores: Float64Array,
  threshold: number,
  reversed: boolean,
): AttackCounts {
  const hits = (scores: Float64Array): number => {
    let total = 0;
    for (const score of scores) if (reversed ? score < threshold : score >= threshold) total++;
    return total;
  };
  const [inRuns, outRuns] = [inScores.length, outScores.length];
  const [inHits, outHits] = [hits(inScores), hits(outScores)];
  return reversed
    ? { inRuns: outRuns, truePositives: outHits, outRuns: inRuns, falsePositives: inHits }
    : { inRuns, truePositives: inHits, outRuns, falsePositives: outHits };
}
