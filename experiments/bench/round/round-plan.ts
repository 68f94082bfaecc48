/**
 * The plan of `pulsefold bench round`: a model of about the wanted size, person-level DP calibrated as a real plan would
 * have it, slots of at most 16 bits where the noise allows.
 *
 * May be called by: experiments/bench/round.
 */
import { normBoundSquared } from '../../../crypto/dp/mechanism.ts';
import { calibrateNoiseVariance, noiseShares } from '../../../crypto/dp/plan-accounting.ts';
import { formatRational, parseRational } from '../../../crypto/dp/rational.ts';
import { ensure, isPulsefoldError } from '../../../crypto/error.ts';
import { SHORT_SLOTS_MAX } from '../../../crypto/secagg/choose.ts';
import { inputsMax } from '../../../protos/features.ts';
import { type ModelSpec, parameterCount } from '../../../protos/model.ts';
import { finishPlan, type ParsedPlan } from '../../../protos/plan.ts';
import { mechanismOf } from '../../../protos/plan-mechanism.ts';
import { schemeOf } from '../../../protos/plan-scheme.ts';
import { featuresFor } from '../made-up-features.ts';

const WIDTH_MAX = 512;
const LAYERS_MAX = 3;

/**
 * The multi-layer perceptron with the parameter count nearest to `parameters`, of those the squarest: 10,000 is
 * 99 inputs and 99 hidden units exactly. @throws FIELD_OUT_OF_RANGE when no model of a plan is that large or small.
 */
export function modelNear(parameters: number): ModelSpec {
  ensure(
    Number.isSafeInteger(parameters) && parameters >= 10,
    'FIELD_OUT_OF_RANGE',
    'at least 10 parameters',
  );
  let best: { readonly spec: ModelSpec; readonly off: number; readonly skew: number } | undefined;
  for (let more = 0; more < LAYERS_MAX; more++) {
    const tail = new Array<number>(more).fill(WIDTH_MAX);
    for (let width = 1; width <= WIDTH_MAX; width++) {
      const specWith = (inputs: number): ModelSpec => ({
        kind: 'mlp',
        inputs,
        hidden: [width, ...tail],
        activation: 'tanh',
      });
      // The count is linear in the inputs: `width` per input, and what one input leaves.
      const rest = parameterCount(specWith(1)) - width;
      const inputs = Math.min(inputsMax, Math.max(1, Math.round((parameters - rest) / width)));
      const spec = specWith(inputs);
      const off = Math.abs(parameterCount(spec) - parameters);
      const skew = Math.abs(Math.log(inputs / width));
      if (!best || off < best.off || (off === best.off && skew < best.skew)) best = { spec, off, skew };
    }
    // More layers only where fewer cannot hold the parameters.
    if (best && best.off * 20 <= parameters) break;
  }
  ensure(
    best && best.off * 20 <= parameters,
    'FIELD_OUT_OF_RANGE',
    `no model of a plan has about ${parameters} parameters`,
  );
  return best.spec;
}

export interface RoundPlanRequest {
  readonly clients: number;
  readonly parameters: number;
  readonly transport: 'shares' | 'bfv';
  readonly cohortMin: number;
  readonly privacy: boolean;
  /** Fields that name the deployment's parties. */
  readonly parties: object;
}

export const EPSILON = '3';
export const DELTA = '0.000001';
const GAMMA = '1/10';
/** Bits of a slot in a short sum: sums that one can carry shall not need LongSum. */
const slotBitsMax = (transport: 'shares' | 'bfv', parameters: number): number =>
  transport === 'bfv' && parameters <= SHORT_SLOTS_MAX ? 15 : 16;
const UNITS_PER_CLIP_MAX = 1024;
/** Longer than any run: the cohort is frozen when everybody's upload is there, and not a moment before. */
const PATIENCE_MS = 3_600_000;

/** One training round; the cohort is frozen once every client's upload is acknowledged. */
export function roundPlan(request: RoundPlanRequest): ParsedPlan {
  const model = modelNear(request.parameters);
  const bitsMax = slotBitsMax(request.transport, parameterCount(model));
  for (let units = UNITS_PER_CLIP_MAX; ; units /= 2) {
    const draft = draftOf(request, model, units);
    try {
      const parsed = request.privacy ? calibrated(draft, request) : finishPlan({ ...draft, privacy: null });
      const { layout } = schemeOf(parsed, 'training');
      if (units === 1 || (layout.digitCount === 1 && layout.modulusBits <= bitsMax)) return parsed;
    } catch (error) {
      // A grid too fine for any slot; a coarser one may do.
      if (units === 1 || !isPulsefoldError(error) || error.code !== 'PLAN_INVALID') throw error;
    }
  }
}

function draftOf(request: RoundPlanRequest, model: ModelSpec, unitsPerClip: number) {
  const { clients, transport, cohortMin, parties } = request;
  return {
    version: 1,
    name: `round-bench-${transport}`,
    purpose: 'Benchmark of one whole round; generated weights, nobody’s data.',
    suite: 'intl',
    seed: 'round-bench',
    features: {
      dataset: 'round-bench',
      label: { column: 'label', positive: { above: 0 } },
      features: featuresFor(model.inputs),
      complete: true,
    },
    model,
    training: { strategy: 'fedavg', epochs: 1, batchSize: 1, learningRate: 0.1 },
    rounds: {
      training: 1,
      spare: 0,
      cohortMin,
      cohortTarget: clients,
      cohortMax: clients,
      checkInWindowMs: PATIENCE_MS,
      deadlineMs: PATIENCE_MS,
      stragglerMs: PATIENCE_MS,
      holderDeadlineMs: PATIENCE_MS,
    },
    eligibility: { recordsMin: 1, recordsMax: 1 },
    mechanism: { clip: '1', unitsPerClip },
    aggregation: { transport, coherence: '1/20' },
    ...parties,
  };
}

function calibrated(draft: ReturnType<typeof draftOf>, { cohortMin }: RoundPlanRequest): ParsedPlan {
  const terms = { unit: 'person', epsilon: EPSILON, delta: DELTA, gamma: GAMMA, samplingRate: '1' } as const;
  const probe = finishPlan({ ...draft, privacy: { ...terms, noiseVariance: '1/4' } });
  const mechanism = mechanismOf(probe, 'training', 1);
  const { noiseVariance } = calibrateNoiseVariance({
    sensitivitySquared: normBoundSquared(mechanism),
    noiseShares: noiseShares(parseRational(GAMMA), cohortMin),
    samplingRate: parseRational('1'),
    dimension: mechanism.dimension,
    rounds: 1,
    unit: 'person',
    epsilon: Number(EPSILON),
    delta: Number(DELTA),
  });
  return finishPlan({ ...draft, privacy: { ...terms, noiseVariance: formatRational(noiseVariance) } });
}
