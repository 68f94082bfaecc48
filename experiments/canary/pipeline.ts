/**
 * One round as it runs in production, driven by chosen updates instead of data: every contribution goes through the
 * client's `protectContribution`, sums are what an opened sum is, the release is the coordinator's.
 *
 * Only two things are left out: training (the engine hands out the chosen update, which is the strongest canary there
 * is) and encryption (a sealed sum opens to exactly the integer sum; e2e tests show that).
 * Trusts: an approved plan. May be called by: experiments/canary.
 */
import type { ProtectInput } from '../../client/agent/protect.ts';
import { protectContribution } from '../../client/agent/protect.ts';
import type { TrainEngine, TrainingData } from '../../client/training/engine.ts';
import { meanUpdate, releaseEvaluation } from '../../coordinator/aggregation/release.ts';
import { centredResidue, fromDigits } from '../../crypto/dp/mechanism.ts';
import { updateDimension } from '../../crypto/dp/mechanism-parameters.ts';
import { parseRational, rationalToNumber } from '../../crypto/dp/rational.ts';
import { createRotation, rotateInverse } from '../../crypto/dp/rotation.ts';
import { PulsefoldError } from '../../crypto/error.ts';
import type { RandomSource } from '../../crypto/random.ts';
import { firstClip } from '../../protos/adaptive-clip.ts';
import { type ModelSpec, parameterCount } from '../../protos/model.ts';
import { groupTermsOf, type ParsedPlan, type Plan } from '../../protos/plan.ts';
import { mechanismOf } from '../../protos/plan-mechanism.ts';
import { digitCountOf, layoutOf } from '../../protos/plan-scheme.ts';
import type { RoundKind } from '../../protos/round-config.ts';
import { strategyOf } from '../../protos/strategies/index.ts';

/** What one honest client has. */
export interface Contribution {
  /** Unit person: the update. Unit record: `count` gradients, row-major. Model units; empty for an evaluation. */
  readonly vectors: Float32Array;
  /** Rows of the local table. */
  readonly count: number;
  /** Evaluation: the histogram cell into which all rows fall, in [0, 2·bins). */
  readonly cell?: number;
}

export interface ReleaseRequest {
  readonly kind: RoundKind;
  readonly round: number;
  readonly contributions: readonly Contribution[];
  readonly random: RandomSource;
}

/** What is audited: from contributions to what everybody sees, the mean update or the histogram. */
export interface CanarySubject {
  release(request: ReleaseRequest): Promise<Float64Array>;
}

/** Hands out what the auditor chose. */
class CanaryEngine implements TrainEngine {
  readonly name = 'tfjs-cpu';
  readonly skipped = [];
  readonly #contribution: Contribution;
  readonly #bins: number;

  constructor(contribution: Contribution, bins: number) {
    this.#contribution = contribution;
    this.#bins = bins;
  }
  async train(_spec: unknown, weights: Float32Array): Promise<Float32Array> {
    return weights.map((weight, i) => weight + this.#contribution.vectors[i]!);
  }
  /** Rows carry their number as first feature (`tableOf`): the client may have sampled them. */
  async recordGradients(spec: ModelSpec, weights: Float32Array, data: TrainingData): Promise<Float32Array> {
    const dimension = weights.length;
    const out = new Float32Array(data.count * dimension);
    for (let row = 0; row < data.count; row++) {
      const source = data.features[row * spec.inputs]! * dimension;
      out.set(this.#contribution.vectors.subarray(source, source + dimension), row * dimension);
    }
    return out;
  }
  async predict(
    _spec: unknown,
    _weights: Float32Array,
    _features: Float32Array,
    count: number,
  ): Promise<Float32Array> {
    return new Float32Array(count).fill((((this.#contribution.cell ?? 0) % this.#bins) + 0.5) / this.#bins);
  }
}

function tableOf(parsed: ParsedPlan, kind: RoundKind, { count, cell }: Contribution): TrainingData {
  const { plan } = parsed;
  const features = new Float32Array(plan.privacy?.unit === 'record' ? count * plan.model.inputs : 0);
  if (features.length > 0) for (let row = 0; row < count; row++) features[row * plan.model.inputs] = row;
  const positive = kind === 'evaluation' && (cell ?? 0) >= plan.evaluation.bins;
  return { features, labels: new Uint8Array(count).fill(Number(positive)), count };
}

/** Every round is the first one: its clip is the plan's own, also where it adapts. */
const clipOf = ({ plan }: ParsedPlan, kind: RoundKind): { clip?: string } => {
  const clip = firstClip(plan, kind);
  return clip === undefined ? {} : { clip };
};

/** Entries of an update, and units of the bit beside it where the clip adapts. */
export function updateTerms(parsed: ParsedPlan, kind: RoundKind): { length: number; bitUnits: number } {
  const mechanism = mechanismOf(parsed, kind, 1);
  return { length: updateDimension(mechanism), bitUnits: mechanism.clipBitUnits ?? 0 };
}

/** What `protectContribution` takes; exported so that tests can replace single steps. */
export function protectInput(
  parsed: ParsedPlan,
  { kind, round, random }: Omit<ReleaseRequest, 'contributions'>,
  contribution: Contribution,
): ProtectInput {
  return {
    parsed,
    config: {
      version: 1,
      planHash: parsed.hashHex,
      round,
      kind,
      modelHash: '0'.repeat(64),
      committeeKeyId: '0'.repeat(64),
      digitCount: digitCountOf(parsed, kind),
      openedAtMs: 0,
      ...clipOf(parsed, kind),
    },
    weights: new Float32Array(parameterCount(parsed.plan.model)),
    data: tableOf(parsed, kind, contribution),
    engine: new CanaryEngine(contribution, parsed.plan.evaluation.bins),
    random,
  };
}

/** Slots of the opened sum of these slots. */
export function openedSum(parsed: ParsedPlan, kind: RoundKind, totals: Float64Array): Int32Array {
  const { modulusBits } = layoutOf(parsed, kind);
  return Int32Array.from(totals, (total) => centredResidue(total, modulusBits));
}

/**
 * What the coordinator publishes for an opened sum of `cohortCount` clients. With groups the sum is one group's: a canary
 * stands in one of them, and whoever opens them sees that one by itself. All groups are given that sum, so that
 * every rule that combines them answers with its mean. Where the clip adapts, the bits' sum follows, in the units of the update.
 */
export function publish(
  parsed: ParsedPlan,
  kind: RoundKind,
  sum: { readonly digits: Int32Array; readonly round: number; readonly cohortCount: number },
): Float64Array {
  if (kind === 'evaluation') return Float64Array.from(releaseEvaluation(parsed, sum).histogram);
  const groups = groupTermsOf(parsed.plan);
  const count = groups?.count ?? 1;
  const mean = meanUpdate(parsed, {
    ...sum,
    ...clipOf(parsed, kind),
    cohortCount: count * sum.cohortCount,
    digits: count === 1 ? sum.digits : repeated(sum.digits, count),
    ...(groups && {
      groups: { sizes: new Array(count).fill(sum.cohortCount), valid: new Array(count).fill(true) },
    }),
  });
  const { length, bitUnits } = updateTerms(parsed, kind);
  if (bitUnits === 0) return mean;
  const bits = fromDigits(sum.digits, layoutOf(parsed, kind), length + 1)[length]!;
  return Float64Array.from([...mean, bits / integersPerUnit(parsed, sum.cohortCount)]);
}

function repeated(digits: Int32Array, count: number): Int32Array {
  const all = new Int32Array(count * digits.length);
  for (let i = 0; i < count; i++) all.set(digits, i * digits.length);
  return all;
}

/** Integers of the sum that one unit of the published mean stands for. */
function integersPerUnit(parsed: ParsedPlan, cohortCount: number): number {
  const { clip, unitsPerClip } = parsed.plan.mechanism;
  return (divisorOf(parsed, cohortCount) * unitsPerClip) / rationalToNumber(parseRational(clip));
}

/** The code that devices and coordinator run. */
export function productionSubject(parsed: ParsedPlan): CanarySubject {
  return {
    async release(request) {
      const { kind, round, contributions } = request;
      const totals = new Float64Array(digitCountOf(parsed, kind));
      for (const contribution of contributions) {
        const digits = await protectContribution(protectInput(parsed, request, contribution));
        for (let i = 0; i < totals.length; i++) totals[i] = totals[i]! + digits[i]!;
      }
      const digits = openedSum(parsed, kind, totals);
      return publish(parsed, kind, { digits, round, cohortCount: contributions.length });
    },
  };
}

/** Public divisor that the coordinator used. */
function divisorOf({ plan }: ParsedPlan, cohortCount: number): number {
  if (plan.privacy?.unit === 'record') return -rationalToNumber(parseRational(plan.mechanism.expectedBatch!));
  return cohortCount;
}

/** A published release in integer units of the sum, not rotated: projections on model directions are taken here. */
export function unitsOf(
  parsed: ParsedPlan,
  kind: RoundKind,
  published: Float64Array,
  cohortCount: number,
): Float64Array {
  if (kind === 'evaluation') return published;
  const factor = integersPerUnit(parsed, cohortCount);
  return published.map((value) => value * factor);
}

/**
 * The same, rotated forward: the integers that were summed, if they were integers. The rotation is R = H·S with H its
 * own inverse and S signs, so R·x = S·(R⁻¹(S·x)). The bit of an adaptive clip is not rotated.
 */
export function rotatedUnits(
  parsed: ParsedPlan,
  kind: RoundKind,
  round: number,
  units: Float64Array,
): Float64Array {
  if (kind === 'evaluation') return units;
  const { rotationSeed } = mechanismOf(parsed, kind, round);
  const { length } = updateTerms(parsed, kind);
  const rotation = createRotation(rotationSeed, length);
  const signed = units.subarray(0, length).map((value, i) => value * rotation.signs[i]!);
  const out = units.slice();
  out.set(rotateInverse(rotation, signed).map((value, i) => value * rotation.signs[i]!));
  return out;
}

/** A vector of integer units in rotated coordinates as a contribution in model units. */
export function vectorOfRotated(parsed: ParsedPlan, round: number, rotated: Float64Array): Float32Array {
  const { rotationSeed, dimension } = mechanismOf(parsed, 'training', round);
  const { clip, unitsPerClip } = parsed.plan.mechanism;
  const unit = rationalToNumber(parseRational(clip)) / unitsPerClip;
  return Float32Array.from(
    rotateInverse(createRotation(rotationSeed, dimension), rotated),
    (value) => value * unit,
  );
}

/** The canary stands for a whole update of the model. */
function unsupportedTerm(plan: Plan): string | undefined {
  const { training } = plan;
  return strategyOf(plan).local === 'own' ? `training.strategy ${training.strategy}` : undefined;
}

/** Refuses what there is nothing to audit in. */
export function requirePrivacy(parsed: ParsedPlan): void {
  if (parsed.plan.privacy === null)
    throw new PulsefoldError(
      'PLAN_INVALID',
      'this plan runs without differential privacy: there is no claim that a canary could test',
    );
  const unsupported = unsupportedTerm(parsed.plan);
  if (unsupported !== undefined)
    throw new PulsefoldError(
      'PLAN_INVALID',
      `canaries cannot audit ${unsupported} in this version: ` +
        'audit a copy of the plan without it, which tests the same noise and clip',
    );
}
