/**
 * Plans of every shape for tests of the canary audit, their noise calibrated as a researcher would.
 *
 * May be called by: experiments/canary tests.
 */
import { calibrateNoiseVariance, roundEvent } from '../../crypto/dp/plan-accounting.ts';
import { formatRational, parseRational } from '../../crypto/dp/rational.ts';
import { finishPlan, type ParsedPlan } from '../../protos/plan.ts';
import { accountingDelta, mechanismOf, roundMechanismOf } from '../../protos/plan-mechanism.ts';

export interface TestPlan {
  readonly unit: 'person' | 'record';
  readonly cohortMin?: number;
  readonly inputs?: number;
  readonly hidden?: readonly number[];
  readonly epsilon?: number;
  readonly rounds?: number;
  readonly samplingRate?: string;
  readonly unitsPerClip?: number;
  readonly evaluation?: boolean;
  readonly gamma?: string;
  readonly groups?: { readonly count: number; readonly combine: string };
  /** Units of the bit of an adaptive clip. */
  readonly clipBitUnits?: number;
}

const key = (i: number) => String(i).repeat(64);

export function testPlan(options: TestPlan): ParsedPlan {
  const { unit, cohortMin = 6, inputs = 10, hidden = [], epsilon = 3, rounds = 4 } = options;
  const samplingRate = options.samplingRate ?? (unit === 'record' ? '1/2' : '1');
  const { gamma = '1/3', groups, clipBitUnits } = options;
  const draft = {
    version: 1,
    name: `canary-${unit}`,
    purpose: 'a test',
    suite: 'intl',
    seed: 'seed',
    features: {
      dataset: 'test',
      label: { column: 'y', positive: { equals: '1' } },
      features: Array.from({ length: inputs }, (_, i) => ({
        column: `x${i}`,
        kind: 'number',
        minimum: -1,
        maximum: 1,
      })),
      complete: true,
    },
    model: { kind: hidden.length > 0 ? 'mlp' : 'lr', inputs, hidden, activation: 'tanh' },
    training: { strategy: 'fedavg', epochs: 1, batchSize: 16, learningRate: 0.5 },
    rounds: {
      training: rounds,
      evaluation: options.evaluation ? 1 : 0,
      cohortMin,
      cohortTarget: cohortMin,
      cohortMax: cohortMin + 2,
      checkInWindowMs: 1000,
      deadlineMs: 10_000,
    },
    evaluation: { path: options.evaluation ? 'federated' : 'none', bins: 20 },
    eligibility: { recordsMin: 1, recordsMax: 100 },
    mechanism: {
      clip: '1',
      unitsPerClip: options.unitsPerClip ?? 16,
      ...(unit === 'record' ? { expectedBatch: '100', recordsMax: 100 } : {}),
      ...(clipBitUnits === undefined
        ? {}
        : {
            adaptiveClip: {
              quantile: '1/2',
              learningRate: 0.2,
              bitUnits: clipBitUnits,
              clipMin: '1/100',
              clipMax: '100',
            },
          }),
    },
    ...(groups ? { aggregation: { transport: 'shares', kem: 'x25519', coherence: '1', groups } } : {}),
    privacy: {
      unit,
      epsilon: String(epsilon),
      delta: '0.00001',
      gamma,
      samplingRate,
      // Enough for any plan to be read: the noise follows below.
      noiseVariance: '1000000000',
      ...(options.evaluation ? { evaluationNoiseVariance: '100' } : {}),
    },
    holders: [1, 2, 3, 4].map((i) => ({
      id: `holder-${i}`,
      signingPublicKey: key(i),
      sealingPublicKey: key(i + 4),
    })),
    registrarSha256: key(9),
    coordinatorPublicKey: key(0),
  };
  const probe = finishPlan(draft);
  const claimed = roundMechanismOf(probe, 'training', cohortMin)!;
  const mechanism = mechanismOf(probe, 'training', 1);
  const { noiseVariance } = calibrateNoiseVariance({
    sensitivitySquared: claimed.sensitivitySquared,
    noiseShares: claimed.noiseShares,
    samplingRate: parseRational(samplingRate),
    rounds,
    dimension: mechanism.dimension,
    unit,
    epsilon,
    delta: accountingDelta(probe),
    otherEvents: options.evaluation ? [roundEvent(roundMechanismOf(probe, 'evaluation', cohortMin)!)] : [],
  });
  return finishPlan({
    ...draft,
    privacy: { ...draft.privacy, noiseVariance: formatRational(noiseVariance) },
  });
}
