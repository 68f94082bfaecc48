/**
 * Mechanisms with one bug each, all of which have been shipped by somebody (research/privacy-accounting.md §4, §1 trap
 * 4), for showing that the canary audit flags them.
 *
 * They release less privately than their plan claims. For tests of experiments/canary only: nothing that ships may
 * import this file (dependency-cruiser, experiments/e2e/no-observer.test.ts), and no role takes a subject.
 */
import { protectContribution } from '../../client/agent/protect.ts';
import {
  addNoise,
  type MechanismParameters,
  protectPersonWithoutNoise,
  toDigits,
} from '../../crypto/dp/mechanism.ts';
import { noiseShares } from '../../crypto/dp/plan-accounting.ts';
import {
  formatRational,
  multiplyRational,
  parseRational,
  type Rational,
  rational,
  rationalToNumber,
} from '../../crypto/dp/rational.ts';
import { createRotation, rotateInverse } from '../../crypto/dp/rotation.ts';
import { type RandomSource, seededRandom, uniform } from '../../crypto/random.ts';
import { modelLayout } from '../../protos/model.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { sumNoiseShares } from '../../protos/plan-groups.ts';
import { mechanismOf } from '../../protos/plan-mechanism.ts';
import { digitCountOf, layoutOf } from '../../protos/plan-scheme.ts';
import {
  type CanarySubject,
  type Contribution,
  openedSum,
  productionSubject,
  protectInput,
  publish,
  type ReleaseRequest,
} from './pipeline.ts';

/** The production code under other privacy terms or another mechanism than the plan states. */
function withTerms(parsed: ParsedPlan, changes: { noise?: Rational; gridTimes?: number }): CanarySubject {
  const { plan } = parsed;
  const { clip, unitsPerClip } = plan.mechanism;
  const times = changes.gridTimes ?? 1;
  const scaled = (variance: string) =>
    formatRational(multiplyRational(parseRational(variance), changes.noise ?? rational(1)));
  const privacy = plan.privacy!;
  const { evaluationNoiseVariance } = privacy;
  const weakened: ParsedPlan = {
    ...parsed,
    plan: {
      ...plan,
      mechanism: {
        ...plan.mechanism,
        clip: formatRational(multiplyRational(parseRational(clip), rational(BigInt(times)))),
        unitsPerClip: unitsPerClip * times,
      },
      privacy: {
        ...privacy,
        noiseVariance: scaled(privacy.noiseVariance),
        ...(evaluationNoiseVariance ? { evaluationNoiseVariance: scaled(evaluationNoiseVariance) } : {}),
      },
    },
  };
  return slotsOf(parsed, weakened);
}

/** Clients protect by `weakened`, slots and release are those of the plan. */
function slotsOf(parsed: ParsedPlan, weakened: ParsedPlan): CanarySubject {
  return releasing(parsed, async (request, contribution) => {
    const input = protectInput(weakened, request, contribution);
    return await protectContribution(input);
  });
}

type Client = (request: ReleaseRequest, contribution: Contribution, index: number) => Promise<Int32Array>;

/** A federation whose clients send `client`'s slots. */
function releasing(parsed: ParsedPlan, client: Client): CanarySubject {
  return {
    async release(request) {
      const { kind, round, contributions } = request;
      const totals = new Float64Array(digitCountOf(parsed, kind));
      for (const [index, contribution] of contributions.entries()) {
        const digits = await client(request, contribution, index);
        for (let i = 0; i < totals.length; i++) totals[i] = totals[i]! + digits[i]!;
      }
      const digits = openedSum(parsed, kind, totals);
      return publish(parsed, kind, { digits, round, cohortCount: contributions.length });
    },
  };
}

/** The deviation of every share is half of what the plan states. */
export const halfDeviation = (parsed: ParsedPlan): CanarySubject =>
  withTerms(parsed, { noise: rational(1, 4) });

/** The variance is. */
export const halfVariance = (parsed: ParsedPlan): CanarySubject =>
  withTerms(parsed, { noise: rational(1, 2) });

/** Noise that is enough in a sum of the whole cohort, in plans that open groups. */
export function noiseOfCohort(parsed: ParsedPlan): CanarySubject {
  const { rounds, privacy } = parsed.plan;
  const ofCohort = noiseShares(parseRational(privacy!.gamma), rounds.cohortMin);
  const ofGroup = sumNoiseShares(parsed.plan, 'training', rounds.cohortMin);
  return withTerms(parsed, { noise: rational(ofGroup, ofCohort) });
}

/** The bit of an adaptive clip counts twice what the sensitivity knows of. */
export function doubleBit(parsed: ParsedPlan): CanarySubject {
  const { plan } = parsed;
  const adaptiveClip = plan.mechanism.adaptiveClip!;
  const mechanism = {
    ...plan.mechanism,
    adaptiveClip: { ...adaptiveClip, bitUnits: 2 * adaptiveClip.bitUnits },
  };
  return slotsOf(parsed, { ...parsed, plan: { ...plan, mechanism } });
}

/** Noise for a sensitivity of 1e-4 clips (londonaicentre/FLIP, pull request 833). */
export const tinySensitivity = (parsed: ParsedPlan): CanarySubject =>
  withTerms(parsed, { noise: rational(1, 100_000_000) });

/** Clients clip at twice the clip for which the noise was made. */
export const doubleClip = (parsed: ParsedPlan): CanarySubject => withTerms(parsed, { gridTimes: 2 });

/** Only `share` of the clients that the certificate counts add noise; the others send what is to be protected bare. */
export function thinnedSurvivors(parsed: ParsedPlan, share = 0.75): CanarySubject {
  return releasing(parsed, async (request, contribution, index) => {
    const noisy = index < Math.floor(share * request.contributions.length);
    if (noisy) return await protectContribution(protectInput(parsed, request, contribution));
    return toDigits(withoutNoise(parsed, request, contribution), layoutOf(parsed, request.kind));
  });
}

/** One record or update, bounded, as the mechanism encodes it. */
function encoded(p: MechanismParameters, vector: Float32Array, random: RandomSource): Int32Array {
  return protectPersonWithoutNoise(Float64Array.from(vector), { ...p, unit: 'person' }, random);
}

/** Contributions that the client draws for this round. */
function drawn({ plan }: ParsedPlan, { vectors, count }: Contribution, random: RandomSource) {
  const byRecord = plan.privacy!.unit === 'record';
  const rate = rationalToNumber(parseRational(plan.privacy!.samplingRate));
  const rows = byRecord ? count : 1;
  const dimension = vectors.length / rows;
  return Array.from({ length: rows }, (_, row) =>
    vectors.subarray(row * dimension, (row + 1) * dimension),
  ).filter(() => !byRecord || uniform(random) < rate);
}

/** The clipped and rounded sum of a client, no noise in it. */
function withoutNoise(parsed: ParsedPlan, request: ReleaseRequest, contribution: Contribution): Int32Array {
  const p = mechanismOf(parsed, request.kind, request.round);
  const sum = new Int32Array(p.dimension);
  if (request.kind === 'evaluation') {
    const rows =
      parsed.plan.privacy!.unit === 'record' ? contribution.count : Math.min(1, contribution.count);
    if (rows > 0) sum[contribution.cell ?? 0] = rows;
    return sum;
  }
  for (const vector of drawn(parsed, contribution, request.random))
    encoded(p, vector, request.random).forEach((value, i) => {
      sum[i] = sum[i]! + value;
    });
  return sum;
}

/** Everything is clipped but one layer's weights (the last layer's, as where an optimiser clips by parameter group). */
export function unclippedLayer(parsed: ParsedPlan): CanarySubject {
  const layer = modelLayout(parsed.plan.model).at(-1)!;
  return releasing(parsed, async (request, contribution) => {
    if (request.kind === 'evaluation')
      return await protectContribution(protectInput(parsed, request, contribution));
    const p = mechanismOf(parsed, request.kind, request.round);
    const clip = rationalToNumber(p.clip);
    const sum = new Int32Array(p.dimension);
    const add = (vector: Float32Array): void =>
      encoded(p, vector, request.random).forEach((value, i) => {
        sum[i] = sum[i]! + value;
      });
    for (const vector of drawn(parsed, contribution, request.random)) {
      const free = vector.map((value, i) => (i >= layer.weightsAt && i < layer.biasAt ? value : 0));
      add(vector.map((value, i) => value - free[i]!));
      // As many pieces as fit the clip: their encodings add up to the layer as it is.
      const pieces = Math.ceil(Math.hypot(...free) / clip);
      for (let piece = 0; piece < pieces; piece++) add(free.map((value) => value / pieces));
    }
    return toDigits(addNoise(sum, p, request.random), layoutOf(parsed, request.kind));
  });
}

/** Clients are weighted by their row count after clipping, `factor` at most; the sensitivity knows no weights. */
export function weightsIgnored(parsed: ParsedPlan, factor = 2): CanarySubject {
  const { plan } = parsed;
  const most = plan.privacy!.unit === 'record' ? plan.mechanism.recordsMax : plan.eligibility.recordsMax;
  return releasing(parsed, async (request, contribution) => {
    if (request.kind === 'evaluation')
      return await protectContribution(protectInput(parsed, request, contribution));
    const p = mechanismOf(parsed, request.kind, request.round);
    const weight = plan.privacy!.unit === 'record' ? factor : 1 + ((factor - 1) * contribution.count) / most;
    const values = withoutNoise(parsed, request, contribution).map((value) => Math.round(weight * value));
    return toDigits(addNoise(values, p, request.random), layoutOf(parsed, request.kind));
  });
}

/** A hospital adds its clipped gradients in floating point and rounds the sum once; the sensitivity bound is for each. */
export function roundedSum(parsed: ParsedPlan, stochastic: boolean): CanarySubject {
  return releasing(parsed, async (request, contribution) => {
    if (request.kind === 'evaluation')
      return await protectContribution(protectInput(parsed, request, contribution));
    const p = mechanismOf(parsed, request.kind, request.round);
    const clip = rationalToNumber(p.clip);
    const sum = new Float64Array(p.dimension);
    for (const vector of drawn(parsed, contribution, request.random)) {
      const factor = (p.unitsPerClip / clip) * Math.min(1, clip / Math.hypot(...vector));
      vector.forEach((value, i) => {
        if (value !== 0) sum[i] = sum[i]! + value * factor;
      });
    }
    const rotated = rotateForward(p, sum);
    const values = Int32Array.from(rotated, (value) =>
      stochastic ? Math.floor(value + uniform(request.random)) : Math.round(value),
    );
    return toDigits(addNoise(values, p, request.random), layoutOf(parsed, request.kind));
  });
}

/** H·S·x = S·(S·H·(S·x)). */
function rotateForward({ rotationSeed, dimension }: MechanismParameters, vector: Float64Array): Float64Array {
  const rotation = createRotation(rotationSeed, dimension);
  const inverse = rotateInverse(
    rotation,
    vector.map((value, i) => value * rotation.signs[i]!),
  );
  return inverse.map((value, i) => value * rotation.signs[i]!);
}

/** Everything right, and the server keeps its sums in floats: noise with the right variance, but of reals. */
export function floatNoise(parsed: ParsedPlan): CanarySubject {
  const silent = thinnedSurvivors(parsed, 0);
  return {
    async release(request) {
      const bare = await silent.release(request);
      const p = mechanismOf(parsed, request.kind, request.round);
      const deviation = Math.sqrt(rationalToNumber(p.noiseVariance) * request.contributions.length);
      const unit = request.kind === 'evaluation' ? 1 : modelUnit(parsed, request.contributions.length);
      return bare.map((value) => value + unit * deviation * boxMuller(request.random));
    },
  };
}

/** Opened sums pass through a float type too short for them: the lowest bit is gone. */
export function lostBit(parsed: ParsedPlan): CanarySubject {
  return {
    async release(request) {
      const { kind, round, contributions } = request;
      const totals = new Float64Array(digitCountOf(parsed, kind));
      for (const contribution of contributions) {
        const digits = await protectContribution(protectInput(parsed, request, contribution));
        for (let i = 0; i < totals.length; i++) totals[i] = totals[i]! + digits[i]!;
      }
      const digits = openedSum(
        parsed,
        kind,
        totals.map((total) => 2 * Math.round(total / 2)),
      );
      return publish(parsed, kind, { digits, round, cohortCount: contributions.length });
    },
  };
}

/** Every release draws its noise from the same seed, so two releases cancel it. */
export function reusedNoise(parsed: ParsedPlan): CanarySubject {
  const production = productionSubject(parsed);
  return {
    release: (request) => production.release({ ...request, random: seededRandom('every round') }),
  };
}

/** One integer unit of the sum in what the coordinator publishes. */
function modelUnit({ plan }: ParsedPlan, cohortCount: number): number {
  const divisor =
    plan.privacy!.unit === 'record'
      ? rationalToNumber(parseRational(plan.mechanism.expectedBatch!))
      : cohortCount;
  return rationalToNumber(parseRational(plan.mechanism.clip)) / plan.mechanism.unitsPerClip / divisor;
}

const boxMuller = (random: RandomSource): number =>
  Math.sqrt(-2 * Math.log(1 - uniform(random))) * Math.cos(2 * Math.PI * uniform(random));
