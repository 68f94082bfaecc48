/**
 * Lower bounds on ε from canaries: the plan replayed with and without one, or one run with many.
 *
 * Trusts: an approved plan; coins from the caller's randomness. May be called by: experiments/canary.
 */
import { epsilonFromCountsGaussian, epsilonFromScores } from '../../auditor/canary/clopper-pearson.ts';
import { epsilonFromCosines } from '../../auditor/canary/cosine.ts';
import type { NoiseTally } from '../../auditor/canary/noise-tally.ts';
import { epsilonOneRunFixed } from '../../auditor/canary/one-run.ts';
import { randomBytes } from '../../crypto/random.ts';
import type { Bench, Stage } from './bench.ts';
import { dot, randomSigns } from './directions.ts';

export interface ReplayOptions {
  readonly runs: number;
  /** Training rounds of a run. */
  readonly rounds: number;
  readonly significance: number;
  readonly delta: number;
}

export interface ReplayOutcome {
  /** Clopper–Pearson, for any (ε, δ) mechanism. */
  readonly any: number;
  /** For mechanisms with normal noise; null under sampling, whose curve is another. */
  readonly gaussian: number | null;
}

/**
 * `runs` runs with the canary in every round, as many without. The score is the movement along the canary's direction,
 * added over the rounds: for normal noise the best test there is. Runs without the canary also feed `tally`.
 */
export async function replayBound(
  bench: Bench,
  stage: Stage,
  tally: NoiseTally,
  { runs, rounds, significance, delta }: ReplayOptions,
): Promise<ReplayOutcome> {
  const direction = randomSigns(stage.dimension, 0, stage.updateDimension, bench.random);
  const canary = bench.push(stage, direction);
  const inScores = new Float64Array(runs);
  const outScores = new Float64Array(runs);
  for (let run = 0; run < runs; run++)
    for (let round = 1; round <= rounds; round++) {
      const without = await bench.release(stage, round, []);
      tally.add(without.rotated());
      outScores[run] = outScores[run]! + dot(without.units, direction);
      const present = await bench.release(stage, round, [canary]);
      inScores[run] = inScores[run]! + dot(present.units, direction);
    }
  // Halfway to where a canary of one clip moves the sum: fixed by the plan, so nothing was searched for.
  const threshold = (rounds * stage.samplingRate * stage.unitsPerClip) / 2;
  const above = (scores: Float64Array) => scores.filter((score) => score >= threshold).length;
  const counts = {
    inRuns: runs,
    truePositives: above(inScores),
    outRuns: runs,
    falsePositives: above(outScores),
  };
  return {
    any: epsilonFromScores(inScores, outScores, significance / 2, delta).epsilon,
    gaussian: stage.samplingRate === 1 ? epsilonFromCountsGaussian(counts, significance / 2, delta) : null,
  };
}

export interface OneRunOptions {
  /** Repetitions of the round with fresh canaries, all of them parts of one experiment. */
  readonly passes: number;
  readonly significance: number;
  readonly delta: number;
}

export interface OneRunOutcome {
  readonly canaries: number;
  /** arXiv 2305.08846, any (ε, δ) mechanism. */
  readonly steinke: number;
  /** arXiv 2410.22235 against the Gaussian curve of the claim. */
  readonly gaussian: number;
  /** arXiv 2302.03098, an estimate. */
  readonly cosine: number | null;
}

/** Rows of canaries in one hospital: long gradients take their memory. */
const TABLE_VALUES_MAX = 1 << 24;

/** How many canaries one pass holds. */
export const canariesPerPass = (bench: Bench, { shares, dimension }: Stage): number =>
  shares * rowsPerClient(bench, dimension);

const rowsPerClient = (bench: Bench, dimension: number): number =>
  bench.byRecord ? Math.max(1, Math.min(bench.recordsMax, 64, Math.floor(TABLE_VALUES_MAX / dimension))) : 1;

/**
 * Every honest client is a canary (every row, in a hospital), in by its own coin, each with its own random direction.
 * A pass is one training round; canaries of different passes are different people, so each bound is about one round.
 */
export async function oneRunBound(
  bench: Bench,
  stage: Stage,
  { passes, significance, delta }: OneRunOptions,
): Promise<OneRunOutcome> {
  const { dimension, updateDimension, shares } = stage;
  const rows = rowsPerClient(bench, dimension);
  const scores: number[] = [];
  const coins: boolean[] = [];
  const cosines: number[] = [];
  for (let pass = 0; pass < passes; pass++) {
    const tossed = randomBytes(shares * rows, bench.random);
    const directions = Array.from({ length: shares * rows }, () =>
      randomSigns(dimension, 0, updateDimension, bench.random),
    );
    const contributions = Array.from({ length: shares }, (_, client) => {
      const own = directions
        .slice(client * rows, (client + 1) * rows)
        .map((direction, row) =>
          (tossed[client * rows + row]! & 1) === 1 ? bench.push(stage, direction) : bench.silent(stage),
        );
      return bench.byRecord
        ? bench.rows(
            own.map(({ vectors }) => vectors),
            dimension,
          )
        : own[0]!;
    });
    const { units } = await bench.release(stage, 1, contributions);
    const update = units.subarray(0, updateDimension);
    const norm = Math.sqrt(dot(update, update));
    directions.forEach((direction, i) => {
      const included = (tossed[i]! & 1) === 1;
      const score = dot(units, direction);
      scores.push(score);
      coins.push(included);
      if (included) cosines.push(score / norm);
    });
  }
  const bound = (method: 'steinke' | 'gaussian') =>
    epsilonOneRunFixed(scores, coins, { significance: significance / 2, delta, method });
  return {
    canaries: scores.length,
    steinke: bound('steinke'),
    gaussian: bound('gaussian'),
    cosine: cosines.length >= 2 ? epsilonFromCosines(cosines, dimension, delta).epsilon : null,
  };
}
