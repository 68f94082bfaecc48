/**
 * The plans of a scenario: one, or two that share people's budgets of one epoch.
 *
 * Trusts: nothing. May be called by: experiments/fuzz.
 */
import type { TrainingData } from '../../client/training/engine.ts';
import { toHex } from '../../crypto/bytes.ts';
import { isPulsefoldError } from '../../crypto/error.ts';
import { finishPlan, type ParsedPlan } from '../../protos/plan.ts';
import { accountPlan } from '../../protos/plan-mechanism.ts';
import { GROUP_COUNT, type Scenario } from './ops.ts';
import type { FuzzWorld } from './world.ts';

export const WINDOWS = {
  checkInWindowMs: 300,
  deadlineMs: 4000,
  stragglerMs: 300,
  holderDeadlineMs: 2000,
} as const;

/** What a person may lose in an epoch, over all plans; a plan by itself may use all of it. */
export const BUDGET = { epsilon: '8', delta: '1/100000' } as const;
/** A share of each family, and what a plan may use: two of 4 fit into 8, two of 6 do not. */
const SHARED = {
  apart: { epsilon: '4', share: '1/2' },
  clash: { epsilon: '6', share: '1' },
} as const;

/** What the person of a device allows: with two plans every other one allows more than the ledger does. */
export const deviceEpsilon = ({ plans }: Scenario, device: number): number =>
  Number(BUDGET.epsilon) * (plans !== 'one' && device % 2 === 1 ? 2 : 1);

export const RETENTION_DAYS = 1;

/** With the bias six weights: digits of 16 bits are long enough to be looked for in messages. */
const INPUTS = 5;
/** 9,201 weights: more than a short sum carries. */
const LONG_HIDDEN = [92, 92];
export const ROWS = 6;

type Parties = Pick<FuzzWorld, 'suite' | 'holders' | 'registrarSha256' | 'coordinatorKey'>;

export function makePlans(parties: Parties, scenario: Scenario): ParsedPlan[] {
  const names = scenario.plans === 'one' ? ['fuzz'] : ['fuzz', 'fuzz-second'];
  return names.map((name) => makePlan(parties, scenario, name));
}

/** Where the search for the noise of a plan ended, by what decides it. */
const variances = new Map<string, number>();

/** The least noise, in steps of a quarter, with which the plan's rounds just fit its ε: every round more is overspend. */
function makePlan(parties: Parties, scenario: Scenario, name: string): ParsedPlan {
  if (!scenario.privacy) return planWith(parties, scenario, name, null);
  const { training, evaluation, cohortMin, groups, plans, long, overlap } = scenario;
  const key = `${training} ${evaluation} ${cohortMin} ${groups !== 'none'} ${plans} ${long} ${overlap}`;
  for (let variance = variances.get(key) ?? 64; variance < 2 ** 24; variance = Math.ceil(variance * 1.25)) {
    const parsed = planWith(parties, scenario, name, String(variance));
    if (!keepsItsBudget(parsed)) continue;
    variances.set(key, variance);
    return parsed;
  }
  throw new Error('no noise keeps the budget of this scenario');
}

function keepsItsBudget(parsed: ParsedPlan): boolean {
  try {
    accountPlan(parsed);
    return true;
  } catch (error) {
    if (isPulsefoldError(error)) return false;
    throw error;
  }
}

function planWith(
  parties: Parties,
  scenario: Scenario,
  name: string,
  noiseVariance: string | null,
): ParsedPlan {
  const { suite, holders, registrarSha256, coordinatorKey } = parties;
  const { training, evaluation, spare, cohortMin, cohortTarget, cohortMax, overlap } = scenario;
  return finishPlan({
    version: 1,
    name,
    purpose: 'A simulated plan under faults.',
    ...(scenario.consent === 'none' ? {} : { consent: CONSENT }),
    suite: suite.name,
    seed: '1',
    features: {
      dataset: 'made-up',
      label: { column: 'event', positive: { above: 0 } },
      features: Array.from({ length: INPUTS }, (_, i) => ({
        column: `x${i}`,
        kind: 'number',
        minimum: -1,
        maximum: 1,
      })),
      complete: true,
    },
    model: scenario.long
      ? { kind: 'mlp', inputs: INPUTS, hidden: LONG_HIDDEN, activation: 'relu' }
      : { kind: 'lr', inputs: INPUTS, hidden: [], activation: 'relu' },
    training: { strategy: overlap > 0 ? 'fedbuff' : 'fedavg', epochs: 1, batchSize: 100, learningRate: 0.5 },
    rounds: {
      ...{ training, evaluation, spare, cohortMin, cohortTarget, cohortMax, ...WINDOWS },
      ...(overlap > 0 ? { overlap } : {}),
    },
    eligibility: { recordsMax: ROWS },
    mechanism: { clip: '1', unitsPerClip: 64 },
    privacy: noiseVariance === null ? null : privacyOf(scenario, name, noiseVariance),
    evaluation: { path: evaluation > 0 ? 'federated' : 'none', bins: 20 },
    aggregation: aggregationOf(scenario),
    holders: holders.map(({ id, signing, sealing }) => ({
      id,
      signingPublicKey: toHex(signing.publicKey),
      sealingPublicKey: toHex(sealing.publicKey),
    })),
    registrarSha256,
    coordinatorPublicKey: toHex(coordinatorKey.publicKey),
  });
}

function privacyOf({ plans, evaluation }: Scenario, name: string, noiseVariance: string): object {
  const family = plans === 'clash' ? 'fuzz' : name;
  // Whole plans of Gaussian rounds cost least as zCDP, and two plans of one filter must name the same order.
  const total = { ...BUDGET, order: 'zcdp' };
  return {
    unit: 'person',
    ...BUDGET,
    ...(plans === 'one'
      ? {}
      : { epsilon: SHARED[plans].epsilon, quota: { family, share: SHARED[plans].share, total } }),
    gamma: '0',
    noiseVariance,
    ...(evaluation > 0 ? { evaluationNoiseVariance: noiseVariance } : {}),
  };
}

function aggregationOf({ transport, groups }: Scenario): object {
  if (groups === 'none') return { transport };
  // A quarter of three groups is none.
  const trim = groups === 'trimmed-mean' ? { trim: '2/5' } : {};
  return { transport, groups: { count: GROUP_COUNT, combine: groups, ...trim } };
}

const CONSENT = {
  required: true,
  controller: 'A simulated clinic',
  contact: 'privacy@clinic.example',
  retentionDays: RETENTION_DAYS,
} as const;

/** Made-up rows of a device. */
export function rowsOf(device: number): TrainingData {
  const features = Float32Array.from({ length: ROWS * INPUTS }, (_, i) => Math.sin(1 + 7 * device + 3 * i));
  return { features, labels: Uint8Array.from({ length: ROWS }, (_, i) => (i + device) % 2), count: ROWS };
}
