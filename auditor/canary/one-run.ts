/**
 * Auditing with one run: many canaries at once, each in or out by its own coin.
 *
 * For: plans too large to replay. Loose by construction (a mechanism of ε 4.89 shows 1.13 or 2.16 with 20,000 canaries):
 * an alarm when a bound exceeds the claim, never an ε to publish. Trusts: that the coins were independent of everything
 * and the guesses did not see them. May be called by: auditor/canary, experiments/canary.
 */
import { ensure } from '../../crypto/error.ts';
import { clopperPearson } from './clopper-pearson.ts';
import { gaussianMu } from './gaussian-tradeoff.ts';
import { binomialMass, binomialUpperTail, normalCdf, normalQuantile } from './special-functions.ts';

export interface Guesses {
  /** Canaries altogether, in and out. */
  readonly canaries: number;
  /** How many were called "in"; about the others the auditor abstains. */
  readonly guessed: number;
  /** How many of those were. */
  readonly correct: number;
}

function check({ canaries, guessed, correct }: Guesses, significance: number, delta: number): void {
  ensure(
    [canaries, guessed, correct].every(Number.isSafeInteger) &&
      0 <= correct &&
      correct <= guessed &&
      guessed <= canaries,
    'FIELD_OUT_OF_RANGE',
    'whole numbers, 0 ≤ correct ≤ guessed ≤ canaries',
  );
  ensure(significance > 0 && significance < 1, 'FIELD_OUT_OF_RANGE', 'significance lies in (0, 1)');
  ensure(delta >= 0 && delta < 1, 'FIELD_OUT_OF_RANGE', 'delta lies in [0, 1)');
}

/**
 * Largest probability with which an (ε, δ)-DP mechanism lets that many guesses be right: Steinke, Nasr, Jagielski 2023
 * (arXiv 2305.08846), the theorem on approximate DP and its appendix D: β + 2mδ·max_i (P[v−i ≤ W < v]/i) with W ~ Binomial(guessed, e^ε/(1+e^ε)),
 * β = P[W ≥ v], v the number of correct guesses, m that of canaries.
 */
export function oneRunPValue(guesses: Guesses, epsilon: number, delta: number): number {
  check(guesses, 0.5, delta);
  const { canaries, guessed, correct } = guesses;
  const rate = 1 / (1 + Math.exp(-epsilon));
  const beta = binomialUpperTail(correct, guessed, rate);
  if (delta === 0) return beta;
  // Masses rise to the mode and fall behind it: once a falling one is below the running mean, no mean is larger.
  const mode = Math.floor((guessed + 1) * rate);
  let sum = 0;
  let largest = 0;
  for (let i = 1; i <= correct; i++) {
    const mass = binomialMass(correct - i, guessed, rate);
    sum += mass;
    if (sum / i > largest) largest = sum / i;
    else if (correct - i <= mode && mass < sum / i) break;
  }
  return Math.min(1, beta + 2 * canaries * delta * largest);
}

/** Bisection to `tolerance` for the largest ε that `disproved` holds for; it holds at `from` and not at infinity. */
function lastDisproved(from: number, disproved: (epsilon: number) => boolean): number {
  let low = from;
  let high = Math.max(1, 2 * from);
  while (high < 1e4 && disproved(high)) {
    low = high;
    high *= 2;
  }
  while (high - low > 1e-8) {
    const middle = (low + high) / 2;
    if (disproved(middle)) low = middle;
    else high = middle;
  }
  return low;
}

/**
 * The largest ε that these guesses disprove at confidence 1 − significance (arXiv 2305.08846), or `above`
 * when they disprove nothing beyond it. The number of guesses must have been fixed ahead, or significance divided by
 * the number of possibilities.
 */
export function epsilonOneRun(guesses: Guesses, significance: number, delta: number, above = 0): number {
  check(guesses, significance, delta);
  const disproved = (epsilon: number) => oneRunPValue(guesses, epsilon, delta) < significance;
  return disproved(above) ? lastDisproved(above, disproved) : above;
}

/**
 * The same against a whole trade-off curve, here that of the Gaussian mechanism with (ε, δ): Mahloujifar, Melis,
 * Chaudhuri 2024 (arXiv 2410.22235), Algorithm 3. Tighter, and valid only for mechanisms whose claim *is*
 * that curve.
 */
export function epsilonOneRunGaussian(
  guesses: Guesses,
  significance: number,
  delta: number,
  above = 0,
): number {
  check(guesses, significance, delta);
  ensure(delta > 0, 'FIELD_OUT_OF_RANGE', 'a Gaussian curve needs delta > 0');
  const disproved = (epsilon: number) => contradicts(guesses, significance, gaussianMu(epsilon, delta));
  return disproved(above) ? lastDisproved(above, disproved) : above;
}

/**
 * Builds, from the number of correct guesses downwards, the largest probabilities r (right so far) and h (wrong so far)
 * that the curve x ↦ Φ(Φ⁻¹(x) − μ) allows; more than there were guesses is a contradiction.
 */
function contradicts({ canaries, guessed, correct }: Guesses, significance: number, mu: number): boolean {
  let r = (significance * correct) / canaries;
  let h = (significance * (guessed - correct)) / canaries;
  for (let i = correct - 1; i >= 0; i--) {
    const next = Math.max(h, normalCdf(normalQuantile(Math.min(1, r)) - mu));
    if (next === h) break; // from here on neither changes
    r = Math.min(1, r + (i / (guessed - i)) * (next - h));
    h = next;
  }
  return r + h > guessed / canaries;
}

interface Operating {
  readonly truePositives: number;
  readonly falsePositives: number;
}

/**
 * Vertices of the upper convex hull of the ROC curve of scores, higher meaning "in": the only thresholds worth trying.
 * Each counts the scores at or above one threshold; the first calls everything "in", the last nothing.
 */
export function rocHull(inScores: ArrayLike<number>, outScores: ArrayLike<number>): readonly Operating[] {
  ensure(inScores.length > 0 && outScores.length > 0, 'DATA_EMPTY', 'scores of both kinds are needed');
  const ins = Float64Array.from(inScores).sort();
  const outs = Float64Array.from(outScores).sort();
  const hull: Operating[] = [];
  const add = (point: Operating): void => {
    for (;;) {
      const [a, b] = [hull.at(-2), hull.at(-1)];
      if (!a || !b) break;
      // b lies on or below the line from a to the new point: more false positives for no more true ones.
      const turn =
        (a.truePositives - b.truePositives) * (b.falsePositives - point.falsePositives) -
        (b.truePositives - point.truePositives) * (a.falsePositives - b.falsePositives);
      if (turn < 0) break;
      hull.pop();
    }
    hull.push(point);
  };
  let i = 0;
  let j = 0;
  for (;;) {
    add({ truePositives: ins.length - i, falsePositives: outs.length - j });
    if (i === ins.length && j === outs.length) return hull;
    const threshold = Math.min(ins[i] ?? Infinity, outs[j] ?? Infinity);
    while (i < ins.length && ins[i]! <= threshold) i++;
    while (j < outs.length && outs[j]! <= threshold) j++;
  }
}

export type OneRunMethod = 'steinke' | 'gaussian';

/**
 * Largest bound over the hull's thresholds, significance divided by their number, as jax_privacy does (its reference
 * values are reproduced in the tests). The hull depends on the scores, so this correction is customary, not proved:
 * `epsilonOneRunFixed` needs none. A threshold whose precision is already too low for the best bound is skipped.
 */
export function epsilonOneRunHull(
  inScores: ArrayLike<number>,
  outScores: ArrayLike<number>,
  options: { readonly significance: number; readonly delta: number; readonly method: OneRunMethod },
): number {
  const hull = rocHull(inScores, outScores);
  const significance = options.significance / hull.length;
  const canaries = inScores.length + outScores.length;
  const bound = options.method === 'steinke' ? epsilonOneRun : epsilonOneRunGaussian;
  const ranked = hull
    .map(({ truePositives, falsePositives }) => ({
      correct: truePositives,
      guessed: truePositives + falsePositives,
    }))
    .filter(({ guessed }) => guessed > 0)
    .map((point) => ({
      ...point,
      precision: 1 - clopperPearson(point.guessed - point.correct, point.guessed, significance).upper,
    }))
    .sort((a, b) => b.precision - a.precision);
  let best = 0;
  for (const { correct, guessed } of ranked)
    if (correct / guessed > 1 / (1 + Math.exp(-best)))
      best = bound({ canaries, guessed, correct }, significance, options.delta, best);
  return best;
}

/** Shares of the canaries that are guessed "in": fixed here, ahead of every score. */
const GUESS_SHARES = [0.02, 0.05, 0.1, 0.2, 0.35] as const;

/**
 * The bound for canaries with `scores[i]` and coin `included[i]`: the highest-scoring 2, 5, 10, 20 and 35 per cent are
 * called "in", significance divided by five. Ties are broken by position, which the coins do not know.
 */
export function epsilonOneRunFixed(
  scores: ArrayLike<number>,
  included: ArrayLike<boolean | number>,
  options: { readonly significance: number; readonly delta: number; readonly method: OneRunMethod },
): number {
  ensure(scores.length === included.length, 'VECTOR_LENGTH_MISMATCH', 'one coin per score');
  const canaries = scores.length;
  const order = Array.from({ length: canaries }, (_, i) => i).sort(
    (a, b) => scores[b]! - scores[a]! || a - b,
  );
  const bound = options.method === 'steinke' ? epsilonOneRun : epsilonOneRunGaussian;
  let best = 0;
  for (const share of GUESS_SHARES) {
    const guessed = Math.floor(canaries * share);
    if (guessed === 0) continue;
    const correct = order.slice(0, guessed).filter((i) => included[i]).length;
    const guesses = { canaries, guessed, correct };
    best = bound(guesses, options.significance / GUESS_SHARES.length, options.delta, best);
  }
  return best;
}
