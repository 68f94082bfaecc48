/**
 * Where the checks of a canary audit get their releases: the claim that is tested, the cohort that it counts on, the
 * subject, and the count of releases for progress.
 *
 * The cohort is the smallest one that the plan's ε still covers: ⌊(1−γ)·cohortMin⌋ honest clients. The others are taken
 * to be corrupt: an adversary knows what they sent and subtracts it, so they are left out.
 * Trusts: an approved plan. May be called by: experiments/canary.
 */
import { discreteGaussianMoments, type NoiseMoments } from '../../auditor/canary/noise-tally.ts';
import { parseRational, rationalToNumber } from '../../crypto/dp/rational.ts';
import { ensure } from '../../crypto/error.ts';
import type { RandomSource } from '../../crypto/random.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { mechanismOf, roundMechanismOf, vectorLength } from '../../protos/plan-mechanism.ts';
import { layoutOf } from '../../protos/plan-scheme.ts';
import type { RoundKind } from '../../protos/round-config.ts';
import { type CanarySubject, type Contribution, rotatedUnits, unitsOf, updateTerms } from './pipeline.ts';

/** Canaries are this many clips long: what fails to clip them shows it. */
export const CANARY_CLIPS = 8;

export interface Stage {
  readonly kind: RoundKind;
  readonly dimension: number;
  /** Of those, entries of the update: where the clip adapts the last entry is its bit. */
  readonly updateDimension: number;
  /** Units of that bit; 0 without. */
  readonly bitUnits: number;
  /** Honest clients, all of whom add their noise share. */
  readonly shares: number;
  /** Noise of one coordinate of the sum. */
  readonly noise: NoiseMoments;
  /** The clip in integer units; 1 for histograms. */
  readonly unitsPerClip: number;
  /** Probability that a row takes part in a round. */
  readonly samplingRate: number;
  /** Largest |coordinate| of a signal that leaves twelve deviations of noise inside its slot. */
  readonly room: number;
}

export function stageOf(parsed: ParsedPlan, kind: RoundKind): Stage {
  const claimed = roundMechanismOf(parsed, kind, parsed.plan.rounds.cohortMin)!;
  const variance = rationalToNumber(claimed.noiseVariance);
  const noise = discreteGaussianMoments(variance, claimed.noiseShares);
  const half = 2 ** (layoutOf(parsed, kind).modulusBits - 1);
  return {
    kind,
    dimension: vectorLength(parsed.plan, kind),
    updateDimension: updateTerms(parsed, kind).length,
    bitUnits: updateTerms(parsed, kind).bitUnits,
    shares: claimed.noiseShares,
    noise,
    unitsPerClip: mechanismOf(parsed, kind, 1).unitsPerClip,
    samplingRate: rationalToNumber(claimed.samplingRate),
    room: half - 12 * Math.sqrt(noise.variance),
  };
}

/** The least noise that a plan may state (protos/plan-privacy.ts). */
const QUIET_VARIANCE = '1/4';

/**
 * The plan with the least noise there can be, for what noise only hides: how far a contribution reaches and how it was
 * rounded. The same code runs it; its hash and with it the rotation stay. `everyRow`: at rate 1, because the coins of
 * the sample hide as much as noise does.
 */
export function quietPlan(parsed: ParsedPlan, everyRow: boolean): ParsedPlan {
  const { plan } = parsed;
  const privacy = plan.privacy!;
  const quiet = {
    ...privacy,
    noiseVariance: QUIET_VARIANCE,
    samplingRate: everyRow ? '1' : privacy.samplingRate,
    ...(privacy.evaluationNoiseVariance ? { evaluationNoiseVariance: QUIET_VARIANCE } : {}),
  };
  return { ...parsed, plan: { ...plan, privacy: quiet } };
}

export interface BenchOptions {
  readonly parsed: ParsedPlan;
  readonly subject: CanarySubject;
  readonly random: RandomSource;
  readonly onRelease?: () => void;
}

/** A release in integer units: as a model vector, and rotated into the coordinates that carried integers. */
export interface Observed {
  readonly units: Float64Array;
  readonly rotated: () => Float64Array;
}

export class Bench {
  readonly parsed: ParsedPlan;
  readonly random: RandomSource;
  readonly #subject: CanarySubject;
  readonly #onRelease: (() => void) | undefined;

  constructor({ parsed, subject, random, onRelease }: BenchOptions) {
    this.parsed = parsed;
    this.random = random;
    this.#subject = subject;
    this.#onRelease = onRelease;
  }

  get byRecord(): boolean {
    return this.parsed.plan.privacy?.unit === 'record';
  }

  /** A round of `clients` clients: those given, the rest with nothing to say. Rounds count from 1. */
  async release(
    stage: Stage,
    round: number,
    given: readonly Contribution[],
    clients: number = stage.shares,
  ): Promise<Observed> {
    const { parsed, random } = this;
    ensure(given.length <= clients, 'INTERNAL', 'more contributions than clients');
    const silent = this.silent(stage);
    const contributions = Array.from({ length: clients }, (_, i) => given[i] ?? silent);
    const published = await this.#subject.release({ kind: stage.kind, round, contributions, random });
    ensure(
      published.length === stage.dimension,
      'VECTOR_LENGTH_MISMATCH',
      'the subject released another vector than the plan says',
    );
    this.#onRelease?.();
    const units = unitsOf(parsed, stage.kind, published, contributions.length);
    // Of clients with nothing to say every one is within the clip, and says so.
    const { bitUnits, dimension } = stage;
    if (bitUnits > 0) units[dimension - 1] = units[dimension - 1]! - bitUnits * contributions.length;
    return { units, rotated: () => rotatedUnits(parsed, stage.kind, round, units) };
  }

  /** The neighbour's contribution: the zero vector, which stays in the public cohort. */
  silent({ kind, updateDimension }: Stage): Contribution {
    if (kind === 'evaluation') return { vectors: new Float32Array(0), count: 0 };
    return { vectors: new Float32Array(updateDimension), count: this.byRecord ? 1 : this.recordsMax };
  }

  /** A model direction in the coordinates of a round. */
  rotate({ kind }: Stage, round: number, direction: Float64Array): Float64Array {
    return rotatedUnits(this.parsed, kind, round, direction);
  }

  /** Rows that a client may have; an update stands for that many, so that weights by count would show. */
  get recordsMax(): number {
    const { plan } = this.parsed;
    return this.byRecord ? plan.mechanism.recordsMax : plan.eligibility.recordsMax;
  }

  /** `direction` (norm 1) as an update or as `rows` gradients, CANARY_CLIPS clips long. */
  push({ updateDimension }: Stage, direction: Float64Array, rows = 1): Contribution {
    const length = CANARY_CLIPS * rationalToNumber(parseRational(this.parsed.plan.mechanism.clip));
    const one = Float32Array.from(direction.subarray(0, updateDimension), (value) => value * length);
    if (!this.byRecord) return { vectors: one, count: this.recordsMax };
    return this.rows(
      Array.from({ length: rows }, () => one),
      direction.length,
    );
  }

  rows(vectors: readonly Float32Array[], dimension: number): Contribution {
    const all = new Float32Array(vectors.length * dimension);
    vectors.forEach((vector, i) => {
      all.set(vector, i * dimension);
    });
    return { vectors: all, count: vectors.length };
  }
}
