/**
 * The parameters of the integer mechanism and the bounds that follow from them: sensitivities that accountants use and
 * clients enforce, and the largest value that one client sends.
 *
 * Trusts: nothing; `checkParameters` refuses what the mechanism is not built for. May be called by: crypto/dp; everyone
 * else takes these names from crypto/dp/mechanism.ts.
 */
import { ensure } from '../error.ts';
import { floorRational, integerSquareRoot, type Rational, rationalToNumber } from './rational.ts';
import { DIMENSION_MAX } from './rotation.ts';

export interface MechanismParameters {
  /** What the guarantee protects. 'none' = no DP: fixed point, no noise; callers label it loudly. */
  readonly unit: 'person' | 'record' | 'none';
  /** Entries of the vector, including any appended weight coordinate and the clip bit. */
  readonly dimension: number;
  /** L2 clip of one person's update or one record's gradient, model units. */
  readonly clip: Rational;
  /** Integer G: the clip maps to G integer units, so the granularity is clip/G. 1 … 2^24. */
  readonly unitsPerClip: number;
  /** 32 bytes, public. */
  readonly rotationSeed: Uint8Array;
  /** Per client, integer units²; 0 for unit 'none'. */
  readonly noiseVariance: Rational;
  /** Largest possible cohort, for overflow sizing. */
  readonly clients: number;
  /** Most records one client may add up (unit record), else 1. */
  readonly recordsMax: number;
  /**
   * Adaptive clipping (unit person): h, the integer units of one more entry, which is +h where the update's norm was
   * within the clip and −h where it was not. 1 … 2^24.
   */
  readonly clipBitUnits?: number;
}

/** Entries that are clipped and rotated: all but the clip bit. */
export const updateDimension = (p: MechanismParameters): number =>
  p.clipBitUnits === undefined ? p.dimension : p.dimension - 1;

/** @throws PARAMETER_UNSAFE for parameters outside the ranges above. */
export function checkParameters(p: MechanismParameters): void {
  const whole = (value: number, max: number) => Number.isInteger(value) && value >= 1 && value <= max;
  ensure(whole(p.dimension, DIMENSION_MAX), 'PARAMETER_UNSAFE', `dimension: 1 to ${DIMENSION_MAX}`);
  ensure(whole(p.unitsPerClip, 2 ** 24), 'PARAMETER_UNSAFE', 'unitsPerClip: a whole number, 1 to 2^24');
  ensure(whole(p.clients, 2 ** 24), 'PARAMETER_UNSAFE', 'clients: a whole number, 1 to 2^24');
  ensure(whole(p.recordsMax, 2 ** 24), 'PARAMETER_UNSAFE', 'recordsMax: a whole number, 1 to 2^24');
  if (p.clipBitUnits !== undefined) {
    ensure(whole(p.clipBitUnits, 2 ** 24), 'PARAMETER_UNSAFE', 'clipBitUnits: a whole number, 1 to 2^24');
    ensure(
      p.unit === 'person' && p.dimension >= 2,
      'PARAMETER_UNSAFE',
      "the clip adapts for unit 'person' only",
    );
  }
  const clip = rationalToNumber(p.clip);
  ensure(clip >= 1e-12 && clip <= 1e12, 'PARAMETER_UNSAFE', 'clip: between 1e-12 and 1e12');
  ensure(p.rotationSeed.length === 32, 'PARAMETER_UNSAFE', 'rotationSeed: 32 bytes');
  ensure(
    p.unit === 'none' ? p.noiseVariance.numerator === 0n : p.noiseVariance.numerator > 0n,
    'PARAMETER_UNSAFE',
    "noise variance: 0 for unit 'none', positive for every other unit",
  );
  ensure(valueBound(p) < 2 ** 31, 'PARAMETER_UNSAFE', 'the noised value may leave int32: lower unitsPerClip');
}

/** ⌊(G + √d)²⌋: stochastic rounding moves each coordinate by less than 1, whatever it draws. Exact. */
export const deterministicNormBoundSquared = (unitsPerClip: number, dimension: number): bigint => {
  const g = BigInt(unitsPerClip);
  const d = BigInt(dimension);
  return g * g + integerSquareRoot(4n * g * g * d) + d;
};

/**
 * ⌊G² + d/4 + √(2 ln 1/β)·(G + √d/2)⌋ (arXiv 2102.06387, conditional rounding): one rounding meets it with
 * probability ≥ 1 − β, so redrawing until it does costs 1/(1−β) tries at most. β in (0, 1). The value is a public
 * integer that is enforced, so its own rounding cannot weaken the guarantee.
 */
export const conditionalNormBoundSquared = (
  unitsPerClip: number,
  dimension: number,
  beta: number,
): bigint => {
  ensure(beta > 0 && beta < 1, 'FIELD_OUT_OF_RANGE', 'beta lies strictly between 0 and 1');
  const g = unitsPerClip;
  return BigInt(
    Math.floor(g * g + dimension / 4 + Math.sqrt(-2 * Math.log(beta)) * (g + Math.sqrt(dimension) / 2)),
  );
};

/**
 * D², the squared L2 sensitivity in integer units that accountants use: what `protect…` enforces on the update, and h²
 * of the clip bit, which is ±h whatever the update is. Zeroing a contribution out moves the sum by exactly the vector
 * that was sent, so the two add: one noise covers both, and ε does not depend on the clip of any round.
 */
export const normBoundSquared = (p: MechanismParameters): bigint =>
  updateNormBoundSquared(p) + BigInt(p.clipBitUnits ?? 0) ** 2n;

/**
 * The bound enforced on the rotated and rounded update: the smaller of the deterministic bound and the conditional one
 * at β = e^(−1/2), where √(2 ln 1/β) = 1 and integers suffice: ⌊G² + G + (d + 2√d)/4⌋. Never below G², so truncation
 * toward zero always meets it.
 */
export function updateNormBoundSquared(p: MechanismParameters): bigint {
  const dimension = updateDimension(p);
  const deterministic = deterministicNormBoundSquared(p.unitsPerClip, dimension);
  const g = BigInt(p.unitsPerClip);
  const d = BigInt(dimension);
  const conditional = g * g + g + (d + integerSquareRoot(4n * d)) / 4n;
  return conditional < deterministic ? conditional : deterministic;
}

/** Largest |coordinate| one client's noised integers should show: signal bound + 12σ (P(beyond) < 2^-100). */
export function valueBound(p: MechanismParameters): number {
  const bound =
    p.unit === 'none' ? deterministicNormBoundSquared(p.unitsPerClip, p.dimension) : normBoundSquared(p);
  const deviation = integerSquareRoot(floorRational(p.noiseVariance)) + 1n;
  const noise = p.noiseVariance.numerator === 0n ? 0n : 12n * deviation;
  return Number(integerSquareRoot(bound) * BigInt(p.recordsMax) + noise);
}
