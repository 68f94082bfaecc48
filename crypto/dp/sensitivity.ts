/**
 * Squared L2 sensitivity of correlated releases, per unit squared sensitivity of one step: how much one unit moves all
 * of them together when it may take part several times, some steps apart.
 *
 * Trusts: nothing; parameters are checked by events.ts. May be called by: accountants, calibration.
 */
import { unsupported } from './event-checks.ts';
import type {
  BandedMatrixEvent,
  ClipQuantileEvent,
  GaussianEvent,
  Participation,
  TreeAggregationEvent,
} from './event-types.ts';
import {
  addRational,
  compareRational,
  divideRational,
  multiplyRational,
  type Rational,
  rational,
  ZERO,
} from './rational.ts';

/** Participations for which the sums stay quick. */
const PARTICIPATIONS_MAX = 128;

/** What `count` participations inside a tree can reach, and where the last of them is then. */
interface Reach {
  readonly value: number;
  readonly last: number;
}

/** As many participations as fit. @throws UNSUPPORTED_EVENT for more than 128. */
function participations({ steps, participationsMax, separationMin }: Participation): number {
  const fitting = Math.min(participationsMax, Math.floor((steps - 1) / separationMin) + 1);
  if (fitting > PARTICIPATIONS_MAX)
    unsupported(
      `at most ${PARTICIPATIONS_MAX} participations of one unit: limit them or raise the separation`,
    );
  return fitting;
}

/** Keeps of the reaches those that no other beats in both value and position. */
function pareto(reaches: Reach[]): Reach[] {
  reaches.sort((a, b) => a.last - b.last || b.value - a.value);
  let best = -1;
  return reaches.filter(({ value }) => {
    if (value <= best) return false;
    best = value;
    return true;
  });
}

/** Σ over the nodes of complete binary trees of (participations under the node)², at its largest. */
class TreeSearch {
  readonly #separation: number;
  readonly #known = new Map<number, readonly Reach[]>();

  constructor(separation: number) {
    this.#separation = separation;
  }

  /** In a tree of 2^height leaves, none before `earliest`; count ≥ 1. Later than needed never helps. */
  reach(height: number, count: number, earliest: number): readonly Reach[] {
    const size = 2 ** height;
    if (earliest + (count - 1) * this.#separation >= size) return [];
    if (count === 1) return [{ value: height + 1, last: earliest }];
    const key = (earliest * (PARTICIPATIONS_MAX + 1) + count) * 64 + height;
    const known = this.#known.get(key);
    if (known) return known;
    const half = size / 2;
    const found: Reach[] = [];
    const add = (value: number, last: number) => found.push({ value: value + count * count, last });
    for (const left of this.reach(height - 1, count, earliest)) add(left.value, left.last);
    for (const right of this.reach(height - 1, count, Math.max(0, earliest - half)))
      add(right.value, right.last + half);
    for (let first = 1; first < count; first++)
      for (const left of this.reach(height - 1, first, earliest)) {
        const next = Math.max(0, left.last + this.#separation - half);
        for (const right of this.reach(height - 1, count - first, next))
          add(left.value + right.value, right.last + half);
      }
    const result = pareto(found);
    this.#known.set(key, result);
    return result;
  }
}

/**
 * Tree aggregation over `steps` leaves cut into complete trees of the largest powers of two: the largest Σ over nodes of
 * (participations under the node)². Exact: dynamic programming over trees, counts and earliest free positions.
 * separationMin is the difference of step numbers. @throws UNSUPPORTED_EVENT for more than 128 participations.
 */
export function treeSensitivitySquared(participation: Participation): number {
  const { steps, separationMin } = participation;
  const most = participations(participation);
  const search = new TreeSearch(separationMin);
  // reached[c]: with c participations in the trees so far; `last` is absolute, −separation when there is none.
  let reached: Reach[][] = [[{ value: 0, last: -separationMin }]];
  let start = 0;
  for (let height = Math.floor(Math.log2(steps)); height >= 0; height--) {
    const size = 2 ** height;
    if (Math.floor(steps / size) % 2 === 0) continue;
    const next: Reach[][] = Array.from({ length: most + 1 }, (_, c) => [...(reached[c] ?? [])]);
    reached.forEach((reaches, used) => {
      for (const { value, last } of reaches) {
        const earliest = Math.max(0, last + separationMin - start);
        for (let count = 1; used + count <= most; count++)
          for (const more of search.reach(height, count, earliest))
            next[used + count]!.push({ value: value + more.value, last: more.last + start });
      }
    });
    reached = next.map(pareto);
    start += size;
  }
  return Math.max(...reached.flat().map(({ value }) => value));
}

/**
 * Banded Toeplitz strategy, exact rationals: Σ_{i,j} r(|i − j|·separation) with r the autocorrelation of the column.
 * Columns at least as far apart as they are long do not overlap, so any coefficients do; nearer ones need coefficients
 * that are ≥ 0 and do not grow, for then the smallest separations are the worst (arXiv 2405.13763, Theorem 2).
 * The cut at the last step only lowers it. @throws UNSUPPORTED_EVENT otherwise.
 */
export function bandedSensitivitySquared(
  event: Participation & Pick<BandedMatrixEvent, 'coefficients'>,
): Rational {
  const { coefficients, separationMin } = event;
  const count = participations(event);
  const falling = coefficients.every(
    (value, i) => value.numerator >= 0n && (i === 0 || compareRational(value, coefficients[i - 1]!) <= 0),
  );
  if (count > 1 && separationMin < coefficients.length && !falling)
    unsupported('bands wider than the separation need coefficients that are at least 0 and do not grow');
  let sum = multiplyRational(rational(count), autocorrelation(coefficients, 0));
  for (let gap = 1; gap < count && gap * separationMin < coefficients.length; gap++)
    sum = addRational(
      sum,
      multiplyRational(rational(2 * (count - gap)), autocorrelation(coefficients, gap * separationMin)),
    );
  return sum;
}

function autocorrelation(values: readonly Rational[], lag: number): Rational {
  let sum = ZERO;
  for (let i = 0; i + lag < values.length; i++)
    sum = addRational(sum, multiplyRational(values[i]!, values[i + lag]!));
  return sum;
}

/**
 * The first `count` coefficients of √(1 − x): noising coefficients of the banded inverse square root (arXiv 2505.12128).
 */
export function inverseRootCoefficients(count: number): Rational[] {
  const coefficients = [rational(1n)];
  for (let k = 1; k < count; k++)
    coefficients.push(multiplyRational(coefficients[k - 1]!, rational(2 * k - 3, 2 * k)));
  return coefficients;
}

/**
 * Noise multiplier for the clipped sum when the clip itself is adapted with bits noised by N(0, sigmaBits²) and both
 * together shall cost like one Gaussian of multiplier z: (z⁻² − (2σ_b)⁻²)^(−1/2) (arXiv 1905.03871, Theorem 1).
 * @throws UNSUPPORTED_EVENT when the bits alone cost more.
 */
export function adaptiveClipNoiseMultiplier(noiseMultiplier: number, sigmaBits: number): number {
  const rest = noiseMultiplier ** -2 - (2 * sigmaBits) ** -2;
  if (!(rest > 0))
    unsupported('the noise on the bits is too small: raise sigmaBits above half the multiplier');
  return rest ** -0.5;
}

/** A release that is exactly one continuous Gaussian mechanism. */
export type GaussianLike = GaussianEvent | TreeAggregationEvent | BandedMatrixEvent | ClipQuantileEvent;

/** μ² = Δ²/σ² of the Gaussian mechanism that a release amounts to; exact. @throws UNSUPPORTED_EVENT. */
export function gaussianRatio(event: GaussianLike): Rational {
  switch (event.type) {
    case 'gaussian':
      return divideRational(event.sensitivitySquared, event.variance);
    case 'tree_aggregation':
      return divideRational(
        multiplyRational(rational(treeSensitivitySquared(event)), event.sensitivitySquared),
        event.variance,
      );
    case 'banded_matrix_factorisation':
      return divideRational(
        multiplyRational(bandedSensitivitySquared(event), event.sensitivitySquared),
        event.variance,
      );
    case 'clip_quantile':
      // A bit in {−1/2, +1/2} that goes away moves the sum by 1/2, one that is replaced by 1.
      return divideRational(rational(1n, event.neighbouring === 'replace_one' ? 1n : 4n), event.variance);
  }
}
