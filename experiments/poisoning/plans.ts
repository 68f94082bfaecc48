/**
 * The plans that the poisoning study compares: the same training, as one sum or as groups, open or private.
 *
 * May be called by: experiments/poisoning.
 */
import { normBoundSquared } from '../../crypto/dp/mechanism.ts';
import { calibrateNoiseVariance } from '../../crypto/dp/plan-accounting.ts';
import { formatRational } from '../../crypto/dp/rational.ts';
import { finishPlan, type ParsedPlan } from '../../protos/plan.ts';
import { accountingDelta, mechanismOf, roundMechanismOf } from '../../protos/plan-mechanism.ts';
import type { Dataset } from '../datasets/index.ts';

export type Rule = 'fedavg' | 'mean' | 'median' | 'trimmed-mean' | 'norm-filter';

export interface PlanSettings {
  readonly clients: number;
  /** `fedavg`: one sum. */
  readonly rule: Rule;
  readonly groups: number;
  /** Null: without noise. */
  readonly epsilon: number | null;
}

const ROUNDS = 5;
const DELTA = '0.00001';
/** One in a hundred of a cohort may add no noise. */
const GAMMA = '1/100';

/** Keys of nobody: the study seals nothing. */
const holders = ['a', 'b', 'c', 'd'].map((id, i) => ({
  id: `holder-${id}`,
  signingPublicKey: String(i + 1).repeat(64),
  sealingPublicKey: String(i + 5).repeat(64),
}));

export function poisoningPlan(dataset: Dataset, settings: PlanSettings): ParsedPlan {
  const { clients, rule, groups, epsilon } = settings;
  const draft = {
    version: 1,
    name: 'poisoning-study',
    purpose: 'Study of poisoning on research data; not for diagnosis.',
    suite: 'intl',
    seed: 'poisoning',
    features: dataset.schema,
    model: { kind: 'lr', inputs: dataset.inputs, hidden: [], activation: 'relu' },
    training: { strategy: 'fedavg', epochs: 5, batchSize: 1, learningRate: 1, serverLearningRate: 3 },
    rounds: {
      training: ROUNDS,
      cohortMin: clients,
      cohortTarget: clients,
      cohortMax: clients,
      checkInWindowMs: 1000,
      deadlineMs: 60_000,
    },
    aggregation: {
      transport: 'shares',
      ...(rule === 'fedavg' ? {} : { groups: { count: groups, combine: rule } }),
    },
    mechanism: epsilon === null ? { clip: '4', unitsPerClip: 2 ** 20 } : { clip: '2', unitsPerClip: 64 },
    holders,
    registrarSha256: '0'.repeat(64),
    coordinatorPublicKey: '9'.repeat(64),
  };
  if (epsilon === null) return finishPlan({ ...draft, privacy: null });
  const privacy = { unit: 'person', epsilon: String(epsilon), delta: DELTA, gamma: GAMMA };
  const probe = finishPlan({ ...draft, privacy: { ...privacy, noiseVariance: '1' } });
  const mechanism = mechanismOf(probe, 'training', 1);
  const { noiseShares } = roundMechanismOf(probe, 'training', clients)!;
  const { noiseVariance } = calibrateNoiseVariance({
    sensitivitySquared: normBoundSquared(mechanism),
    noiseShares,
    samplingRate: { numerator: 1n, denominator: 1n },
    rounds: ROUNDS,
    dimension: mechanism.dimension,
    unit: 'person',
    epsilon,
    delta: accountingDelta(probe),
  });
  return finishPlan({ ...draft, privacy: { ...privacy, noiseVariance: formatRational(noiseVariance) } });
}
