/**
 * Gradient inversion: how much of one person's row can be read out of what is seen.
 *
 * Two attacks, and the better one counts. *Ratio*: one record's update of a linear model is a multiple of (x, 1), so
 * x = Δw/Δb (Phong et al. 2017, IEEE TIFS 13(5), §III; exact for a single record whatever the number of local steps).
 * *Shadow*: the attacker plays cohorts of people it knows, each with one marked victim, and fits the ridge
 * regression of the victim's row on the opened vector: the best linear attack there is on such cohorts.
 * The measure is R², the share of the variance of the victim's inputs that the attack explains (1: read exactly;
 * 0: no better than guessing the population's mean), averaged over inputs and never below 0.
 * May be called by: experiments/attacks.
 */
import { mean } from '../bench/measuring.ts';

export interface Sighting {
  /** What was seen: d = inputs + 1 entries, the bias last. */
  readonly seen: Float64Array;
  /** The victim's row, `inputs` entries. */
  readonly truth: Float64Array;
}

/** Share of the victims' variance that `guesses` explain, per input and averaged; at most 1, at least 0. */
export function explained(sightings: readonly Sighting[], guesses: readonly Float64Array[]): number {
  const inputs = sightings[0]!.truth.length;
  const shares: number[] = [];
  for (let j = 0; j < inputs; j++) {
    const truths = sightings.map(({ truth }) => truth[j]!);
    const centre = mean(truths);
    const total = truths.reduce((sum, value) => sum + (value - centre) ** 2, 0);
    // A column that is the same for everybody has nothing to give away.
    if (total === 0) continue;
    const left = truths.reduce((sum, value, i) => sum + (value - guesses[i]![j]!) ** 2, 0);
    shares.push(Math.max(0, 1 - left / total));
  }
  return shares.length === 0 ? 0 : mean(shares);
}

/** Δw/Δb, kept within the public range of encoded inputs. */
export const ratioAttack = ({ seen }: Sighting): Float64Array => {
  const bias = seen[seen.length - 1]!;
  return Float64Array.from(seen.subarray(0, -1), (value) =>
    bias === 0 ? 0 : Math.min(1, Math.max(-1, value / bias)),
  );
};

/** Ridge penalty, as a share of the mean square of the regressors. */
const RIDGE = 1e-6;

/** Fits on the attacker's own cohorts; returns the attack. */
export function shadowAttack(shadows: readonly Sighting[]): (sighting: Sighting) => Float64Array {
  const d = shadows[0]!.seen.length;
  const inputs = shadows[0]!.truth.length;
  const centreSeen = Float64Array.from({ length: d }, (_, i) => mean(shadows.map(({ seen }) => seen[i]!)));
  const centreTruth = Float64Array.from({ length: inputs }, (_, j) =>
    mean(shadows.map(({ truth }) => truth[j]!)),
  );
  const gram = Array.from({ length: d }, () => new Float64Array(d + inputs));
  for (const { seen, truth } of shadows)
    for (let i = 0; i < d; i++) {
      const a = seen[i]! - centreSeen[i]!;
      for (let k = 0; k < d; k++) gram[i]![k] = gram[i]![k]! + a * (seen[k]! - centreSeen[k]!);
      for (let j = 0; j < inputs; j++) gram[i]![d + j] = gram[i]![d + j]! + a * (truth[j]! - centreTruth[j]!);
    }
  const scale = mean(gram.map((row, i) => row[i]!)) || 1;
  gram.forEach((row, i) => {
    row[i] = row[i]! + RIDGE * scale;
  });
  solveInPlace(gram, d);
  return ({ seen }) =>
    Float64Array.from({ length: inputs }, (_, j) => {
      let guess = centreTruth[j]!;
      for (let i = 0; i < d; i++) guess += (seen[i]! - centreSeen[i]!) * gram[i]![d + j]!;
      return guess;
    });
}

/** Gauss–Jordan with partial pivoting on the first `d` columns of [A | B]; leaves A⁻¹B in the others. */
function solveInPlace(rows: Float64Array[], d: number): void {
  for (let at = 0; at < d; at++) {
    let pivot = at;
    for (let i = at + 1; i < d; i++) if (Math.abs(rows[i]![at]!) > Math.abs(rows[pivot]![at]!)) pivot = i;
    [rows[at], rows[pivot]] = [rows[pivot]!, rows[at]!];
    const top = rows[at]!;
    const head = top[at]!;
    for (let k = at; k < top.length; k++) top[k] = top[k]! / head;
    for (let i = 0; i < d; i++) {
      const factor = i === at ? 0 : rows[i]![at]!;
      if (factor !== 0) for (let k = at; k < top.length; k++) rows[i]![k] = rows[i]![k]! - factor * top[k]!;
    }
  }
}

/** The better of the two attacks on fresh victims. */
export function inversion(shadows: readonly Sighting[], victims: readonly Sighting[]) {
  const fitted = shadowAttack(shadows);
  const ratio = explained(victims, victims.map(ratioAttack));
  const shadow = explained(victims, victims.map(fitted));
  return { explained: Math.max(ratio, shadow), attack: ratio >= shadow ? 'ratio' : 'shadow' } as const;
}
