/**
 * The plan of the auditor's test run.
 *
 * Trusts: nothing. May be called by: auditor/testing.ts.
 */
import { toHex } from '../crypto/bytes.ts';
import type { KeyPair, Suite, SuiteName } from '../crypto/identity/suite.ts';
import { finishPlan, type ParsedPlan } from '../protos/plan.ts';

export interface FixtureOptions {
  readonly suite?: SuiteName;
  readonly unit?: 'person' | 'record' | 'none';
  /** The least noise a plan may have, where the formula charges more for four clients than for three. */
  readonly shaky?: boolean;
  /** Three groups by median, under transport shares: cohorts of 17. */
  readonly grouped?: boolean;
  /** privacy.quota of the plan. */
  readonly quota?: Readonly<Record<string, unknown>>;
  /** The plan's `consent`. */
  readonly consent?: Readonly<Record<string, unknown>>;
}

export const GROUPS = 3;
const feature = (column: string) => ({ column, kind: 'number', minimum: 0, maximum: 200 });
const privacyOf = (unit: 'person' | 'record') => ({
  unit,
  epsilon: '3',
  delta: '0.00001',
  gamma: '1/4',
  samplingRate: unit === 'record' ? '1/10' : '1',
  noiseVariance: unit === 'record' ? '12000.5' : '20000',
});

export interface FixtureParties {
  readonly suite: Suite;
  readonly holders: readonly { readonly id: string; readonly signing: KeyPair }[];
  readonly coordinator: KeyPair;
  readonly cohortCount: number;
}

export function fixturePlan(parties: FixtureParties, options: FixtureOptions): ParsedPlan {
  const { suite, holders, coordinator, cohortCount } = parties;
  const { unit = 'person', shaky = false, grouped = false, quota, consent } = options;
  const publicKey = (pair: KeyPair) => toHex(pair.publicKey);
  return finishPlan({
    version: 1,
    name: 'heart-risk',
    purpose: 'A test of the auditor.',
    ...(consent ? { consent } : {}),
    aggregation: grouped
      ? { transport: 'shares', groups: { count: GROUPS, combine: 'median' } }
      : { transport: 'bfv' },
    suite: suite.name,
    seed: '1',
    features: {
      dataset: 'test',
      label: { column: 'event', positive: { above: 0 } },
      features: [feature('age'), feature('pulse')],
      complete: true,
    },
    model: { kind: 'lr', inputs: 2, hidden: [], activation: 'relu' },
    training: { strategy: 'fedavg', epochs: 1, batchSize: 8, learningRate: 0.1 },
    rounds: {
      training: 2,
      cohortMin: grouped ? 15 : 3,
      cohortTarget: cohortCount,
      cohortMax: grouped ? 20 : 8,
      checkInWindowMs: 1000,
      deadlineMs: 10_000,
    },
    mechanism: {
      clip: '1',
      unitsPerClip: shaky ? 1 : 64,
      ...(unit === 'record' ? { expectedBatch: '10', recordsMax: 100 } : {}),
    },
    eligibility: { recordsMin: 1, recordsMax: 100 },
    privacy:
      unit === 'none'
        ? null
        : {
            ...privacyOf(unit),
            ...(shaky ? { noiseVariance: '1/4', epsilon: '100' } : {}),
            ...(grouped ? { gamma: '1/100' } : {}),
            ...(quota ? { quota } : {}),
          },
    holders: holders.map(({ id, signing }) => ({
      id,
      signingPublicKey: publicKey(signing),
      sealingPublicKey: publicKey(suite.generateSealingKey()),
    })),
    registrarSha256: '0'.repeat(64),
    coordinatorPublicKey: publicKey(coordinator),
  });
}
