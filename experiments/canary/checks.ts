/**
 * The checks that see what a distance between runs cannot: each looks where one kind of bug must show.
 *
 * - noise, support, low bits, freshness: releases without signal (auditor/canary/noise-tally.ts).
 * - clip: a crowd of clients pushes one way, eight clips long each. The sum must move by one clip for each of them.
 *   A crowd and not one canary, because its shift grows with its size while the noise stays.
 * - rounding (unit record): rows that lie between integers. Rounded one by one they add variance, R·p·(1−p);
 *   a float sum that is rounded once adds at most 1/4, and breaks the sensitivity bound (DESIGN §2.5).
 * Clip and rounding are looked at in the quiet copy of the plan (bench.ts).
 * Trusts: an approved plan. May be called by: experiments/canary.
 */
import type { CanaryCheck } from '../../auditor/canary/canary-report.ts';
import type { NoiseTally } from '../../auditor/canary/noise-tally.ts';
import type { Bench, Observed, Stage } from './bench.ts';
import { type Direction, dot } from './directions.ts';
import { type Contribution, vectorOfRotated } from './pipeline.ts';

/** Rounds over which a check spreads its releases: each has its own rotation. */
const ROTATIONS = 4;

export const roundAt = (index: number, rounds: number): number => 1 + (index % Math.min(rounds, ROTATIONS));

/** Checks `noiseChecks` returns: what a caller counts to share its significance. */
export const NOISE_CHECKS = 4;

/** What releases without signal say. `score`: deviations beyond which a correct mechanism does not go. */
export function noiseChecks(stage: Stage, tally: NoiseTally, score: number): CanaryCheck[] {
  const scores = tally.scores(stage.noise);
  const resolution = score * Math.sqrt(2 / scores.values);
  const status = (value: number) => (Math.abs(value) > score ? 'alarm' : 'ok');
  const percent = (value: number) => `${(100 * value).toFixed(1)} %`;
  return [
    {
      name: `${stage.kind}: noise`,
      status: status(scores.varianceScore),
      observed: scores.varianceRatio,
      limit: 1 - resolution,
      detail:
        `variance is ${percent(scores.varianceRatio)} of what ${stage.shares} noise shares make ` +
        `(${scores.values} values; a lack of ${percent(Math.min(1, 2 * resolution))} would be seen)`,
    },
    {
      name: `${stage.kind}: support`,
      status: scores.offLattice > 0 ? 'alarm' : 'ok',
      observed: scores.offLattice,
      limit: 0,
      detail: `${percent(scores.offLattice)} of the summed values are no integers`,
    },
    {
      name: `${stage.kind}: low bits`,
      status: status(scores.parityScore),
      observed: scores.parityScore,
      limit: score,
      detail: `odd integers are ${scores.parityScore.toFixed(2)} deviations from their share`,
    },
    {
      name: `${stage.kind}: freshness`,
      status: status(scores.repeatScore),
      observed: scores.repeatScore,
      limit: score,
      detail: `noise of one release against the one before: ${scores.repeatScore.toFixed(2)} deviations`,
    },
  ];
}

/** A crowd for one direction: so many clients with so many rows each, and the releases that make it conclusive. */
export interface CrowdPlan {
  readonly direction: Direction;
  readonly clients: number;
  readonly rows: number;
  readonly releases: number;
  /** Expected shift of one release and its standard deviation, integer units. */
  readonly shift: number;
  readonly deviation: number;
}

/** Work is counted in coordinates, about 1 µs each; what a client costs besides equals OVERHEAD of them. */
const OVERHEAD = 80;

/** Releases that `work` pays for, within bounds. */
export const releasesFor = (
  work: number,
  clients: number,
  dimension: number,
  least: number,
  most: number,
): number => Math.max(least, Math.min(most, Math.floor(work / (clients * (dimension + OVERHEAD)))));

/** The mean shift is wanted to this part of itself. */
const SHIFT_PRECISION = 1 / 20;
const SHIFT_PRECISION_LEAST = 1 / 8;

/** Largest |coordinate| after rotation, over the rounds that will be used. */
function peakOf(bench: Bench, stage: Stage, direction: Float64Array, rounds: number): number {
  let peak = 0;
  for (let round = 1; round <= Math.min(rounds, ROTATIONS); round++)
    for (const value of bench.rotate(stage, round, direction)) peak = Math.max(peak, Math.abs(value));
  return peak;
}

/** `workMax`: coordinates that may be drawn for it (`releasesFor`). */
export function planCrowd(bench: Bench, stage: Stage, direction: Direction, workMax: number): CrowdPlan {
  const rounds = bench.parsed.plan.rounds.training;
  const { samplingRate: q, unitsPerClip, noise, shares } = stage;
  // An eightfold crowd must still fit the slots, so that even an unclipped one does not wrap around.
  const fits = stage.room / (8 * unitsPerClip * peakOf(bench, stage, direction.vector, rounds));
  const rows = bench.byRecord
    ? Math.max(1, Math.min(bench.recordsMax, ROWS_MAX, Math.floor(fits / (q * shares))))
    : 1;
  const clients = Math.max(1, Math.min(shares, Math.floor(fits / (q * rows))));
  const people = clients * rows;
  const shift = people * q * unitsPerClip;
  // Noise, the coins of the sample, at most 1/4 of rounding in every direction for each row.
  const variance = (noise.variance * clients) / shares + people * (q * (1 - q) * unitsPerClip ** 2 + 1 / 4);
  const wanted = Math.max(ROTATIONS, Math.ceil(variance / (shift * SHIFT_PRECISION) ** 2));
  const releases = Math.min(wanted, releasesFor(workMax, clients, stage.dimension, 4, 4000));
  return { direction, clients, rows, releases, shift, deviation: Math.sqrt(variance) };
}

/** Rows of a canary table: enough for every check, little enough for the memory of long gradients. */
const ROWS_MAX = 256;

/** A check and the clips by which one contribution moved the sum, with their standard deviation. */
export interface Shift {
  readonly check: CanaryCheck;
  readonly moved: number;
  readonly error: number;
  /** Where the clip adapts: its bit, in units of what the plan pays for. */
  readonly bit?: Omit<Shift, 'bit'>;
}

/** `score`: as above. */
export async function clipCheck(bench: Bench, stage: Stage, crowd: CrowdPlan, score: number): Promise<Shift> {
  const { direction, clients, rows, releases, shift, deviation } = crowd;
  const given = Array.from({ length: clients }, () => bench.push(stage, direction.vector, rows));
  let sum = 0;
  let bits = 0;
  for (let i = 0; i < releases; i++) {
    const round = roundAt(i, bench.parsed.plan.rounds.training);
    const { units } = await bench.release(stage, round, given, clients);
    sum += dot(units, direction.vector);
    bits += units[stage.dimension - 1]!;
  }
  const error = deviation / Math.sqrt(releases) / shift;
  const moved = sum / releases / shift;
  const name = `training: clip, ${direction.name}`;
  const bit = stage.bitUnits > 0 ? bitShift(stage, crowd, bits, score) : undefined;
  return { check: shiftCheck(name, moved, error, score), moved, error, ...(bit && { bit }) };
}

/** Every canary says −bitUnits where the clients without a say said bitUnits: a contribution counts for half of that. */
function bitShift(stage: Stage, { clients, releases }: CrowdPlan, sum: number, score: number) {
  const shift = 2 * stage.bitUnits * clients;
  const error = Math.sqrt((stage.noise.variance * clients) / stage.shares / releases) / shift;
  const moved = -sum / releases / shift;
  return { check: shiftCheck('training: clip bit', moved, error, score), moved, error };
}

/** `moved`: clips by which one contribution of eight clips moved the sum; `error` its standard deviation. */
function shiftCheck(name: string, moved: number, error: number, score: number): CanaryCheck {
  const limit = 1 + score * error;
  // Redrawn roundings may shrink a vector on a coarse grid, so the lower side is generous.
  const lost = moved < 0.5 - score * error;
  const weak = error > SHIFT_PRECISION_LEAST;
  return {
    name,
    status: moved > limit || lost ? 'alarm' : weak ? 'weak' : 'ok',
    observed: moved,
    limit,
    detail: lost
      ? `the canary moves the sum by ${moved.toFixed(2)} clips instead of 1: it is lost or wraps around`
      : `one contribution moves the sum by ${moved.toFixed(2)} clips, at most ${limit.toFixed(2)} may be chance`,
  };
}

/** Evaluation: every client counts once (person) or once a row (record) in one cell. */
export async function cellCheck(
  bench: Bench,
  stage: Stage,
  releases: number,
  score: number,
): Promise<CanaryCheck> {
  const cell = 1;
  const byRow = bench.byRecord ? Math.min(bench.recordsMax, ROWS_MAX) : 1;
  const fits = Math.max(1, Math.floor(stage.room / 8));
  const rows = Math.min(byRow, fits);
  const clients = Math.max(1, Math.min(stage.shares, Math.floor(fits / rows)));
  // A person with several rows still counts once.
  const given: Contribution[] = Array.from({ length: clients }, () => ({
    vectors: new Float32Array(0),
    count: bench.byRecord ? rows : Math.min(bench.recordsMax, 8),
    cell,
  }));
  let sum = 0;
  for (let i = 0; i < releases; i++) {
    const { units } = await bench.release(stage, 1, given, clients);
    sum += units[cell]!;
  }
  const shift = clients * rows;
  const variance = (stage.noise.variance * clients) / stage.shares;
  const error = Math.sqrt(variance / releases) / shift;
  return shiftCheck('evaluation: histogram cell', sum / releases / shift, error, score);
}

/** Releases for a cell shift of the wanted precision. */
export function cellReleases(bench: Bench, stage: Stage, releasesMax: number): number {
  const rows = bench.byRecord ? Math.min(bench.recordsMax, ROWS_MAX) : 1;
  const shift = Math.max(1, Math.min(stage.shares * rows, Math.floor(stage.room / 8)));
  return Math.min(releasesMax, Math.max(2, Math.ceil(stage.noise.variance / (shift * SHIFT_PRECISION) ** 2)));
}

export interface RoundingPlan {
  readonly rows: number;
  readonly releases: number;
  /** |coordinate| of a row, and the variance that its rounding adds to each coordinate of the sum. */
  readonly coordinate: number;
  readonly excess: number;
}

/** Rows of both signs halfway between integers, or as near as the clip allows. */
export function planRounding(bench: Bench, stage: Stage, releasesMax: number, score: number): RoundingPlan {
  const { dimension, unitsPerClip, samplingRate, shares, noise } = stage;
  const coordinate = Math.min(0.5, (0.9 * unitsPerClip) / Math.sqrt(dimension));
  const rows = 2 * Math.max(1, Math.floor(Math.min(bench.recordsMax, ROWS_MAX) / 2));
  const excess = shares * rows * samplingRate * coordinate * (1 - coordinate);
  const total = noise.variance + excess;
  // Half of the excess must be seen: `score` deviations, and four more to be sure of it.
  const values = 2 * ((total * (score + 4)) / (excess / 2)) ** 2;
  const wanted = Math.ceil(values / Math.max(1, dimension - 1));
  return { rows, coordinate, excess, releases: Math.max(1, Math.min(releasesMax, wanted)) };
}

export async function roundingCheck(
  bench: Bench,
  stage: Stage,
  { rows, coordinate, excess, releases }: RoundingPlan,
  score: number,
): Promise<CanaryCheck> {
  const { dimension, shares, noise } = stage;
  let squares = 0;
  for (let i = 0; i < releases; i++) {
    const round = roundAt(i, bench.parsed.plan.rounds.training);
    const one = vectorOfRotated(bench.parsed, round, new Float64Array(dimension).fill(coordinate));
    const other = one.map((value) => -value);
    const table = bench.rows(
      Array.from({ length: rows }, (_, row) => (row % 2 === 0 ? one : other)),
      dimension,
    );
    const observed: Observed = await bench.release(stage, round, new Array(shares).fill(table));
    squares += residualSquares(observed.rotated());
  }
  const values = releases * (dimension - 1);
  const found = squares / values - noise.variance;
  const deviation = (noise.variance + excess) * Math.sqrt(2 / values);
  const weak = excess / 2 < (score + 3) * deviation;
  const alarm = !weak && found < excess / 2;
  return {
    name: 'training: rounding of each record',
    status: alarm ? 'alarm' : weak ? 'weak' : 'ok',
    observed: found / excess,
    limit: 0.5,
    detail: weak
      ? 'the noise of this plan hides how records were rounded'
      : `records add ${((100 * found) / excess).toFixed(0)} % of the variance that rounding each of them makes`,
  };
}

/** Sum of squares around the mean: how many rows of either sign were drawn moves all coordinates alike. */
function residualSquares(values: Float64Array): number {
  let mean = 0;
  for (const value of values) mean += value / values.length;
  let sum = 0;
  for (const value of values) sum += (value - mean) ** 2;
  return sum;
}
