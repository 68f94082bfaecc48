/**
 * Small plans and populations for the tests of the simulator.
 *
 * May be called by: experiments/**\/*.test.ts.
 */
import { finishPlan, type ParsedPlan } from '../../protos/plan.ts';
import { type Parties, simulationParties } from './parties.ts';
import type { VirtualPopulation } from './population.ts';

export const INPUTS = 5;

export interface PlanChanges {
  readonly rounds?: object;
  readonly privacy?: object | null;
  readonly training?: object;
  readonly transport?: 'bfv' | 'shares';
  readonly groups?: object;
  readonly eligibility?: object;
  readonly evaluation?: object;
  readonly consent?: object;
  readonly devices: number;
}

export const parties = simulationParties('intl', 'test');

export const strongPrivacy = {
  unit: 'person',
  epsilon: '8',
  delta: '1/100000',
  gamma: '1/4',
  noiseVariance: '4096',
} as const;

/** Logistic regression of six parameters; everybody is invited unless `rounds` says otherwise. */
export function testPlan({ devices, ...changes }: PlanChanges, by: Parties = parties): ParsedPlan {
  return finishPlan({
    version: 1,
    name: 'simulated',
    purpose: 'A test of the simulator.',
    suite: by.suite,
    seed: '1',
    features: {
      dataset: 'made-up',
      label: { column: 'label', positive: { above: 0.5 } },
      features: Array.from({ length: INPUTS }, (_, i) => ({
        column: `x${i}`,
        kind: 'number',
        minimum: 0,
        maximum: 1,
      })),
      complete: true,
    },
    model: { kind: 'lr', inputs: INPUTS, hidden: [], activation: 'relu' },
    training: { strategy: 'fedavg', epochs: 1, batchSize: 2, learningRate: 0.5, ...changes.training },
    rounds: {
      training: 2,
      spare: 0,
      cohortMin: Math.max(2, Math.floor(devices / 2)),
      cohortTarget: devices,
      cohortMax: devices,
      checkInWindowMs: 60_000,
      deadlineMs: 600_000,
      stragglerMs: 60_000,
      holderDeadlineMs: 60_000,
      ...changes.rounds,
    },
    ...(changes.eligibility ? { eligibility: changes.eligibility } : {}),
    mechanism: { clip: '1', unitsPerClip: 64 },
    privacy: changes.privacy === undefined ? strongPrivacy : changes.privacy,
    ...(changes.evaluation ? { evaluation: changes.evaluation } : {}),
    ...(changes.consent ? { consent: changes.consent } : {}),
    aggregation: {
      transport: changes.transport ?? 'shares',
      ...(changes.groups ? { groups: changes.groups } : {}),
    },
    holders: by.holders,
    registrarSha256: by.registrarSha256,
    coordinatorPublicKey: by.coordinatorPublicKey,
  });
}

/** Devices with one to three rows each, of a rule that a line separates. */
export function testPopulation(devices: number): VirtualPopulation {
  const offsets = new Uint32Array(devices + 1);
  for (let i = 0; i < devices; i++) offsets[i + 1] = offsets[i]! + 1 + (i % 3);
  const count = offsets[devices]!;
  const features = Float32Array.from(
    { length: count * INPUTS },
    (_, i) => ((i * 2_654_435_761) % 2 ** 32) / 2 ** 31 - 1,
  );
  const labels = Uint8Array.from({ length: count }, (_, row) => {
    const [a, b] = [features[row * INPUTS]!, features[row * INPUTS + 1]!];
    return a + b > 0 ? 1 : 0;
  });
  return { table: { features, labels, count }, offsets, inputs: INPUTS };
}
