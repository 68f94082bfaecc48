/**
 * What the parties of a simulated deployment have from the start: keys, certificates, plans. Made once per process,
 * because it decides nothing: what a run does follows from its story, whatever the keys are.
 *
 * Trusts: nothing. May be called by: experiments/fuzz.
 */
import { createHash } from 'node:crypto';
import type { TrainEngine, TrainingData } from '../../client/training/engine.ts';
import { toHex } from '../../crypto/bytes.ts';
import { isPulsefoldError } from '../../crypto/error.ts';
import {
  type CertificateAuthority,
  certificateDer,
  createCertificateAuthority,
  generateTlsKey,
  issueCertificate,
  subjectIdOf,
} from '../../crypto/identity/certificate.ts';
import { getSuite, type KeyPair, type Suite } from '../../crypto/identity/suite.ts';
import { openSecagg, type Secagg } from '../../crypto/secagg/scheme.ts';
import type { ApprovalPolicy } from '../../protos/approval-policy.ts';
import { approvePlan, finishPlan, type ParsedPlan, type PlanApproval } from '../../protos/plan.ts';
import { accountPlan } from '../../protos/plan-mechanism.ts';
import { assembleBundle, type IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import { logisticEngine } from '../poisoning/logistic-engine.ts';
import { DEVICES_MAX, type Scenario } from './ops.ts';
import { START_MS } from './virtual-time.ts';

const DAY_MS = 86_400_000;
const YEAR_MS = 365 * DAY_MS;
const HOLDER_IDS = ['hospital', 'platform', 'regulator', 'university'] as const;

export interface HolderKeys {
  readonly id: string;
  readonly signing: KeyPair;
  readonly sealing: KeyPair;
}

export interface FuzzWorld {
  readonly suite: Suite;
  readonly secagg: Secagg;
  readonly engine: TrainEngine;
  readonly caDer: Uint8Array;
  readonly registrarSha256: string;
  readonly policy: ApprovalPolicy;
  readonly coordinatorKey: KeyPair;
  readonly holders: readonly HolderKeys[];
  /** In ascending order of their ids, so that a cohort's order does not depend on keys. */
  readonly devices: readonly IdentityBundle[];
  /** The plan of a scenario with its approvals. */
  planOf(scenario: Scenario): { readonly parsed: ParsedPlan; readonly approvals: readonly PlanApproval[] };
}

export const WINDOWS = {
  checkInWindowMs: 300,
  deadlineMs: 4000,
  stragglerMs: 300,
  holderDeadlineMs: 2000,
} as const;

/** ε and δ of every private plan, and what every device allows. */
export const BUDGET = { epsilon: '8', delta: '1/100000' } as const;
/** With the bias six weights: digits of 16 bits are long enough to be looked for in messages. */
const INPUTS = 5;
export const ROWS = 6;

export async function createWorld(): Promise<FuzzWorld> {
  const suite = getSuite('intl');
  const validity = { notBeforeMs: START_MS - DAY_MS, notAfterMs: START_MS + 10 * YEAR_MS };
  const authority = await createCertificateAuthority({ name: 'registrar', ...validity });
  const caDer = certificateDer(authority.caPem);
  const registrarSha256 = createHash('sha256').update(caDer).digest('hex');
  const approver = suite.generateSigningKey();
  const coordinatorKey = suite.generateSigningKey();
  const holders = HOLDER_IDS.map((id) => ({
    id,
    signing: suite.generateSigningKey(),
    sealing: suite.generateSealingKey(),
  }));
  const devices = await Promise.all(
    Array.from({ length: DEVICES_MAX }, () => makeDevice(suite, authority, validity)),
  );
  devices.sort((a, b) => (a.subjectId < b.subjectId ? -1 : 1));
  const parties = { suite, holders, registrarSha256, coordinatorKey };
  const plans = new Map<string, { parsed: ParsedPlan; approvals: PlanApproval[] }>();
  return {
    ...parties,
    secagg: await openSecagg(),
    engine: { ...logisticEngine, name: 'tfjs-cpu', skipped: [] },
    caDer,
    policy: { approvers: [{ id: 'ethics', publicKey: toHex(approver.publicKey) }], required: 1 },
    devices,
    planOf(scenario) {
      const { devices: _, liar: __, warm: ___, ...terms } = scenario;
      const key = JSON.stringify(terms);
      const known = plans.get(key);
      if (known) return known;
      const parsed = makePlan(parties, scenario);
      const made = { parsed, approvals: [approvePlan(parsed, 'ethics', approver)] };
      plans.set(key, made);
      return made;
    },
  };
}

async function makeDevice(
  suite: Suite,
  authority: CertificateAuthority,
  validity: { readonly notBeforeMs: number; readonly notAfterMs: number },
): Promise<IdentityBundle> {
  const signing = suite.generateSigningKey();
  const sealing = suite.generateSealingKey();
  const { tlsKeyPem, tlsPublicKey } = await generateTlsKey();
  const claims = {
    role: 'client' as const,
    suite: suite.name,
    subjectId: subjectIdOf('client', suite.name, signing.publicKey),
    signingPublicKey: signing.publicKey,
    sealingPublicKey: sealing.publicKey,
  };
  const { pem } = await issueCertificate(authority, { claims, tlsPublicKey, ...validity });
  return assembleBundle({ caPem: authority.caPem, certPem: pem, tlsKeyPem, signing, sealing });
}

type Parties = Pick<FuzzWorld, 'suite' | 'holders' | 'registrarSha256' | 'coordinatorKey'>;

/** Where the search for the noise of a plan ended, by what decides it. */
const variances = new Map<string, number>();

/** The least noise, in steps of a quarter, with which the plan's rounds just fit its ε: every round more is overspend. */
function makePlan(parties: Parties, scenario: Scenario): ParsedPlan {
  if (!scenario.privacy) return planWith(parties, scenario, null);
  const { training, evaluation, cohortMin } = scenario;
  const key = `${training} ${evaluation} ${cohortMin}`;
  for (let variance = variances.get(key) ?? 64; variance < 2 ** 24; variance = Math.ceil(variance * 1.25)) {
    const parsed = planWith(parties, scenario, String(variance));
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

function planWith(parties: Parties, scenario: Scenario, noiseVariance: string | null): ParsedPlan {
  const { suite, holders, registrarSha256, coordinatorKey } = parties;
  const { training, evaluation, spare, cohortMin, cohortTarget, cohortMax, transport } = scenario;
  return finishPlan({
    version: 1,
    name: 'fuzz',
    purpose: 'A simulated plan under faults.',
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
    model: { kind: 'lr', inputs: INPUTS, hidden: [], activation: 'relu' },
    training: { strategy: 'fedavg', epochs: 1, batchSize: 100, learningRate: 0.5 },
    rounds: { training, evaluation, spare, cohortMin, cohortTarget, cohortMax, ...WINDOWS },
    eligibility: { recordsMax: ROWS },
    mechanism: { clip: '1', unitsPerClip: 64 },
    privacy:
      noiseVariance === null
        ? null
        : {
            unit: 'person',
            ...BUDGET,
            gamma: '0',
            noiseVariance,
            ...(evaluation > 0 ? { evaluationNoiseVariance: noiseVariance } : {}),
          },
    evaluation: { path: evaluation > 0 ? 'federated' : 'none', bins: 20 },
    aggregation: { transport },
    holders: holders.map(({ id, signing, sealing }) => ({
      id,
      signingPublicKey: toHex(signing.publicKey),
      sealingPublicKey: toHex(sealing.publicKey),
    })),
    registrarSha256,
    coordinatorPublicKey: toHex(coordinatorKey.publicKey),
  });
}

/** Made-up rows of a device. */
export function rowsOf(device: number): TrainingData {
  const features = Float32Array.from({ length: ROWS * INPUTS }, (_, i) => Math.sin(1 + 7 * device + 3 * i));
  return { features, labels: Uint8Array.from({ length: ROWS }, (_, i) => (i + device) % 2), count: ROWS };
}
