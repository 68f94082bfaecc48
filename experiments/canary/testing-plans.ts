/**
 * Plans of every shape for tests of the canary audit, their noise calibrated as a researcher would.
 *
 * May be called by: experiments/canary tests.
 */
import { normBoundSquared } from '../../crypto/dp/mechanism.ts';
import { calibrateNoiseVariance, noiseShares, roundEvent } from '../../crypto/dp/plan-accounting.ts';
import { formatRational, parseRational } from '../../crypto/dp/rational.ts';
import { finishPlan, type ParsedPlan } from '../../protos/plan.ts';
import { mechanismOf, roundMechanismOf } from '../../protos/plan-mechanism.ts';

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
}

const key = (i: number) => String(i).repeat(64);

export function testPlan(options: TestPlan): ParsedPlan {
  const { unit, cohortMin = 6, inputs = 10, hidden = [], epsilon = 3, rounds = 4 } = options;
  const samplingRate = options.samplingRate ?? (unit === 'record' ? '1/2' : '1');
  const gamma = '1/3';
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
    },
    privacy: {
      unit,
      epsilon: String(epsilon),
      delta: '0.00001',
      gamma,
      samplingRate,
      noiseVariance: '1',
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
  const shares = noiseShares(parseRational(gamma), cohortMin);
  const mechanism = mechanismOf(probe, 'training', 1);
  const { noiseVariance } = calibrateNoiseVariance({
    sensitivitySquared: normBoundSquared(mechanism),
    noiseShares: shares,
    samplingRate: parseRational(samplingRate),
    rounds,
    dimension: mechanism.dimension,
    unit,
    epsilon,
    delta: 0.00001,
    otherEvents: options.evaluation ? [roundEvent(roundMechanismOf(probe, 'evaluation', cohortMin)!)] : [],
  });
  return finishPlan({
    ...draft,
    privacy: { ...draft.privacy, noiseVariance: formatRational(noiseVariance) },
  });
}
