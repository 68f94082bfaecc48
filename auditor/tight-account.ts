/**
 * ε of unsampled rounds as tightly as it is known: the privacy-loss account that a report states beside the one that the
 * gate adds up. Shares no code with crypto/dp (crypto/dp/near-gaussian.ts derives the same bound for itself).
 *
 * The opened integers of a round with summed noise of variance V say no more than a Gaussian mechanism of variance V − r²
 * up to a factor within exp(±η) for each outcome: a real number drawn from that Gaussian and rounded to an integer
 * with weights exp(−x²/2r²) is a discrete Gaussian up to e_r = 2·Σ exp(−2π²r²m²) (Poisson summation), and a sum of
 * discrete Gaussians is one up to τ (arXiv 2102.06387, Theorem 1). Both count for every coordinate. Gaussian mechanisms
 * add up as Σ D²/(V − r²) = μ², exactly (arXiv 1905.02383), and δ(ε) ≤ e^η·δ_μ(ε − 2η).
 * Trusts: cohort counts that the audit accepted. May be called by: auditor/report.
 */
import { type MechanismTerms, tau } from './accountant.ts';
import { gaussianEpsilon } from './canary/gaussian-tradeoff.ts';
import type { RoundCost } from './costs.ts';

/** What one round, or several, add. */
export interface TightAmount {
  /** μ² of the Gaussian mechanisms above. */
  readonly squared: number;
  /** η. */
  readonly slack: number;
}

export const NOTHING: TightAmount = { squared: 0, slack: 0 };
/** η that one round may take for its smoothing. */
const SLACK_AIM = 1e-9;
/** Rounding of the sums here. */
const ABOVE = 1 + 1e-9;

function amountOf(terms: MechanismTerms): TightAmount | undefined {
  const { sensitivitySquared, shareVariance, shares, dimension, samplingRate } = terms;
  if (samplingRate !== 1 || (shares > 1 && 4 * shareVariance < 1)) return undefined;
  // Integers differ in no more coordinates than their squared distance.
  const coordinates = Math.min(dimension, sensitivitySquared);
  const smoothing = Math.max(0.5, Math.log((4 * coordinates) / SLACK_AIM) / (2 * Math.PI ** 2));
  const left = shares * shareVariance - smoothing;
  if (!(left > 0)) return undefined;
  const rounding = 2.1 * Math.exp(-2 * Math.PI ** 2 * smoothing);
  const slack = coordinates * (tau(shareVariance, shares) - Math.log1p(-rounding) + rounding);
  return { squared: (sensitivitySquared / left) * ABOVE, slack: slack * ABOVE };
}

/** undefined where no such bound is known: sampled rounds, and noise of about one unit. */
export function tightAmountOf(cost: RoundCost): TightAmount | undefined {
  // Each of the terms bounds the round.
  let least: TightAmount | undefined;
  for (const terms of cost.terms) {
    const amount = amountOf(terms);
    if (amount !== undefined && (least === undefined || amount.squared < least.squared)) least = amount;
  }
  return least;
}

export const addTight = (a: TightAmount, b: TightAmount): TightAmount => ({
  squared: a.squared + b.squared,
  slack: a.slack + b.slack,
});

/** ε at δ of what was added up. */
export function tightEpsilon({ squared, slack }: TightAmount, delta: number): number {
  if (squared === 0) return 0;
  return (gaussianEpsilon(Math.sqrt(squared), delta * Math.exp(-slack)) + 2 * slack) * ABOVE;
}

/** What the privacy loss of each participant's rounds adds up to, as far as it is known. */
export class TightSums {
  readonly #sums = new Map<string, TightAmount | undefined>();

  add(pseudonyms: readonly string[], cost: RoundCost | undefined): void {
    const amount = cost && tightAmountOf(cost);
    for (const pseudonym of pseudonyms) {
      const known = this.#sums.has(pseudonym) ? this.#sums.get(pseudonym) : NOTHING;
      this.#sums.set(pseudonym, known && amount && addTight(known, amount));
    }
  }

  /**
   * Of the most-charged of these, at most what another account has; undefined where one of them has a round without
   * such an account.
   */
  epsilonAt(pseudonyms: ReadonlySet<string>, delta: number, other: number): number | undefined {
    let [squared, slack] = [0, 0];
    for (const pseudonym of pseudonyms) {
      if (!this.#sums.has(pseudonym)) continue;
      const sum = this.#sums.get(pseudonym);
      if (sum === undefined) return undefined;
      squared = Math.max(squared, sum.squared);
      slack = Math.max(slack, sum.slack);
    }
    return Math.min(tightEpsilon({ squared, slack }, delta), other);
  }
}
