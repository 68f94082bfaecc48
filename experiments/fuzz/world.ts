/**
 * What the parties of a simulated deployment have from the start: keys, certificates, plans. Made once per process,
 * because it decides nothing: what a run does follows from its story, whatever the keys are.
 *
 * Trusts: nothing. May be called by: experiments/fuzz.
 */
import { createHash } from 'node:crypto';
import type { TrainEngine } from '../../client/training/engine.ts';
import { loadKernelEngine } from '../../client/training/kernel-engine.ts';
import { toHex } from '../../crypto/bytes.ts';
import {
  type CertificateAuthority,
  certificateDer,
  createCertificateAuthority,
  generateTlsKey,
  issueCertificate,
  subjectIdOf,
} from '../../crypto/identity/certificate.ts';
import { getSuite, type KeyPair, type Suite, type SuiteName } from '../../crypto/identity/suite.ts';
import { type CosignerKey, generateCosignerKey } from '../../crypto/log/note-keys.ts';
import { openSecagg, type Secagg } from '../../crypto/secagg/scheme.ts';
import type { ApprovalPolicy } from '../../protos/approval-policy.ts';
import { approvePlan, type ParsedPlan, type PlanApproval } from '../../protos/plan.ts';
import { assembleBundle, type IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import { logisticEngine } from '../poisoning/logistic-engine.ts';
import { DEVICES_MAX, type Scenario, WITNESSES_MAX } from './ops.ts';
import { makePlans } from './plans.ts';
import { START_MS } from './virtual-time.ts';

const DAY_MS = 86_400_000;
const YEAR_MS = 365 * DAY_MS;
const HOLDER_IDS = ['hospital', 'platform', 'regulator', 'university'] as const;

export interface HolderKeys {
  readonly id: string;
  readonly signing: KeyPair;
  readonly sealing: KeyPair;
}

/** A plan with its approvals. */
export interface ApprovedPlan {
  readonly parsed: ParsedPlan;
  readonly approvals: readonly PlanApproval[];
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
  readonly witnesses: readonly CosignerKey[];
  /** The plans of a scenario, in the order in which they run. */
  plansOf(scenario: Scenario): readonly ApprovedPlan[];
  /** The deployment of the same parties under another suite; made when first asked for. */
  under(suite: SuiteName): Promise<FuzzWorld>;
}

/** Plain doubles for what they can do, the kernels for the larger model. */
async function fuzzEngine(): Promise<TrainEngine> {
  const kernels = await loadKernelEngine();
  const engineOf = (kind: string): Pick<TrainEngine, 'train' | 'recordGradients' | 'predict'> =>
    kind === 'lr' ? logisticEngine : kernels;
  return {
    name: 'tfjs-cpu',
    skipped: [],
    train: (spec, ...rest) => engineOf(spec.kind).train(spec, ...rest),
    recordGradients: (spec, ...rest) => engineOf(spec.kind).recordGradients(spec, ...rest),
    predict: (spec, ...rest) => engineOf(spec.kind).predict(spec, ...rest),
  };
}

export const createWorld = (): Promise<FuzzWorld> => createWorldUnder('intl', new Map());

async function createWorldUnder(
  suiteName: SuiteName,
  known: Map<SuiteName, Promise<FuzzWorld>>,
): Promise<FuzzWorld> {
  const suite = getSuite(suiteName);
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
  const plans = new Map<string, readonly ApprovedPlan[]>();
  const world: FuzzWorld = {
    ...parties,
    secagg: await openSecagg(),
    engine: await fuzzEngine(),
    caDer,
    policy: { approvers: [{ id: 'ethics', publicKey: toHex(approver.publicKey) }], required: 1 },
    devices,
    witnesses: Array.from({ length: WITNESSES_MAX }, (_, i) =>
      generateCosignerKey(`witness.example/${i + 1}`, 'cosignature-ed25519'),
    ),
    plansOf(scenario) {
      const { devices: _, liar: __, warm: ___, witnesses: ____, ...terms } = scenario;
      const key = JSON.stringify(terms);
      const made =
        plans.get(key) ??
        makePlans(parties, scenario).map((parsed) => ({
          parsed,
          approvals: [approvePlan(parsed, 'ethics', approver)],
        }));
      plans.set(key, made);
      return made;
    },
    under(name) {
      const other = known.get(name) ?? createWorldUnder(name, known);
      known.set(name, other);
      return other;
    },
  };
  known.set(suiteName, Promise.resolve(world));
  return world;
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
