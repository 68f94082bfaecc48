/**
 * A coordinator over a real store with committees, devices and a clock that can be moved: for tests only.
 *
 * Not exported by the package and not reachable from any role command. All cryptography is real; what is short-cut is
 * the network (handlers are called directly) and the secrecy between holders (one process made all shares).
 * May be called by: coordinator/**\/*.test.ts.
 */
import { createHash } from 'node:crypto';
import { toHex } from '../crypto/bytes.ts';
import { isPulsefoldError } from '../crypto/error.ts';
import {
  type CertificateAuthority,
  certificateDer,
  createCertificateAuthority,
  generateTlsKey,
  issueCertificate,
  type Role,
  subjectIdOf,
} from '../crypto/identity/certificate.ts';
import { getSuite, type KeyPair, type Suite, type SuiteName } from '../crypto/identity/suite.ts';
import type { Bfv } from '../crypto/secagg/bfv.ts';
import { type LocalCommittee, runCeremony } from '../crypto/secagg/local-ceremony.ts';
import { loadSecagg, type Secagg } from '../crypto/secagg/scheme.ts';
import { joinRoundKeys, makeRoundKey } from '../crypto/secagg/shares/index.ts';
import { committeeKeyIdOf } from '../protos/keyholder-messages.ts';
import { approvePlan, finishPlan, type ParsedPlan, type PlanApproval } from '../protos/plan.ts';
import { ledgerPseudonym } from '../protos/statements.ts';
import { systemClock } from './rounds/services.ts';

export const DAY_MS = 86_400_000;
export const holderIds = ['hospital', 'regulator', 'platform', 'university'] as const;

export interface HolderKeys {
  readonly id: string;
  readonly signing: KeyPair;
  readonly sealing: KeyPair;
}

export interface TestWorld {
  readonly suite: Suite;
  readonly secagg: Secagg;
  readonly bfv: Bfv;
  readonly authority: CertificateAuthority;
  readonly caDer: Uint8Array;
  readonly registrarSha256: string;
  readonly approver: KeyPair;
  readonly coordinatorKey: KeyPair;
  readonly holderKeys: readonly HolderKeys[];
  /** Two real ceremonies serve all rounds of a test, odd ones the first: enough to tell rounds' keys apart. */
  committee(round: number): LocalCommittee;
  /** Transport shares: the four round keys, joined. */
  sharesCommittee(round: number): SharesCommittee;
}

export interface SharesCommittee {
  readonly publicKey: Uint8Array;
  readonly keyId: Uint8Array;
  /** In holder order. */
  readonly secretKeys: readonly Uint8Array[];
}

function makeSharesCommittee(suite: Suite): SharesCommittee {
  const pairs = holderIds.map(() => makeRoundKey(suite));
  const publicKey = joinRoundKeys(
    suite,
    pairs.map((pair) => pair.publicKey),
  );
  const secretKeys = pairs.map((pair) => pair.secretKey);
  return { publicKey, keyId: committeeKeyIdOf(suite, publicKey), secretKeys };
}

/** The committee key of a round under the plan's transport. */
export const committeeOf = (
  world: TestWorld,
  plan: ParsedPlan['plan'],
  round: number,
): { readonly publicKey: Uint8Array; readonly keyId: Uint8Array } =>
  plan.aggregation.transport === 'shares' ? world.sharesCommittee(round) : world.committee(round);

export async function createWorld(suiteName: SuiteName = 'intl'): Promise<TestWorld> {
  const suite = getSuite(suiteName);
  const secagg = await loadSecagg();
  const { bfv } = secagg;
  const nowMs = Date.now();
  const authority = await createCertificateAuthority({
    name: 'registrar',
    notBeforeMs: nowMs - DAY_MS,
    notAfterMs: nowMs + 365 * DAY_MS,
  });
  const caDer = certificateDer(authority.caPem);
  const committees = new Map<number, LocalCommittee>();
  const sharesCommittees = new Map<number, SharesCommittee>();
  return {
    suite,
    secagg,
    bfv,
    authority,
    caDer,
    registrarSha256: createHash('sha256').update(caDer).digest('hex'),
    approver: suite.generateSigningKey(),
    coordinatorKey: suite.generateSigningKey(),
    holderKeys: holderIds.map((id) => ({
      id,
      signing: suite.generateSigningKey(),
      sealing: suite.generateSealingKey(),
    })),
    committee(round) {
      const which = round % 2;
      const made = committees.get(which) ?? runCeremony({ ceremonyId: new Uint8Array(32).fill(which + 1) });
      committees.set(which, made);
      return made;
    },
    sharesCommittee(round) {
      const made = sharesCommittees.get(round) ?? makeSharesCommittee(suite);
      sharesCommittees.set(round, made);
      return made;
    },
  };
}

export interface PlanOptions {
  readonly name?: string;
  /** Merged over the defaults of `rounds`. */
  readonly rounds?: Readonly<Record<string, number>>;
  readonly privacy?: Readonly<Record<string, unknown>> | null;
  readonly evaluation?: Readonly<Record<string, unknown>>;
  readonly training?: Readonly<Record<string, unknown>>;
  readonly aggregation?: Readonly<Record<string, unknown>>;
  readonly model?: Readonly<Record<string, unknown>>;
  readonly epoch?: string;
  readonly holderKeys?: readonly HolderKeys[];
}

/** Person unit, one or more rounds inside its ε; see `planOf`. */
export const strongPrivacy = {
  unit: 'person',
  epsilon: '8',
  delta: '1/100000',
  gamma: '1/4',
  noiseVariance: '4096',
} as const;

/** A valid plan for a logistic regression of three parameters, without DP unless asked for. */
export function planOf(world: TestWorld, options: PlanOptions = {}): ParsedPlan {
  const feature = (column: string) => ({ column, kind: 'number', minimum: 0, maximum: 200 });
  return finishPlan({
    version: 1,
    name: options.name ?? 'heart-risk',
    purpose: 'A test of the coordinator.',
    suite: world.suite.name,
    seed: '1',
    epoch: options.epoch ?? '1',
    features: {
      dataset: 'test',
      label: { column: 'event', positive: { above: 0 } },
      features: [feature('age'), feature('pulse')],
      complete: true,
    },
    model: options.model ?? { kind: 'lr', inputs: 2, hidden: [], activation: 'relu' },
    training: { strategy: 'fedavg', epochs: 1, batchSize: 8, learningRate: 0.1, ...options.training },
    rounds: {
      training: 1,
      spare: 0,
      cohortMin: 3,
      cohortTarget: 3,
      cohortMax: 8,
      checkInWindowMs: 60_000,
      deadlineMs: 600_000,
      stragglerMs: 60_000,
      holderDeadlineMs: 30_000,
      ...options.rounds,
    },
    mechanism: { clip: '1', unitsPerClip: 64, recordsMax: 100 },
    privacy: options.privacy ?? null,
    evaluation: options.evaluation,
    aggregation: options.aggregation ?? { transport: 'bfv' },
    holders: (options.holderKeys ?? world.holderKeys).map(({ id, signing, sealing }) => ({
      id,
      signingPublicKey: toHex(signing.publicKey),
      sealingPublicKey: toHex(sealing.publicKey),
    })),
    registrarSha256: world.registrarSha256,
    coordinatorPublicKey: toHex(world.coordinatorKey.publicKey),
  });
}

export const approvalsOf = (world: TestWorld, parsed: ParsedPlan): PlanApproval[] => [
  approvePlan(parsed, 'ethics', world.approver),
];

export interface TestDevice {
  readonly deviceId: string;
  readonly signing: KeyPair;
  readonly certificate: Uint8Array;
  pseudonym(epoch: string): Uint8Array;
}

export async function createDevice(
  world: TestWorld,
  options: { readonly authority?: CertificateAuthority; readonly role?: Role } = {},
): Promise<TestDevice> {
  const { suite } = world;
  const role = options.role ?? 'client';
  const signing = suite.generateSigningKey();
  const deviceId = subjectIdOf(role, suite.name, signing.publicKey);
  const { tlsPublicKey } = await generateTlsKey();
  const { der } = await issueCertificate(options.authority ?? world.authority, {
    claims: {
      role,
      suite: suite.name,
      subjectId: deviceId,
      signingPublicKey: signing.publicKey,
      sealingPublicKey: suite.generateSealingKey().publicKey,
    },
    tlsPublicKey,
    notBeforeMs: Date.now() - DAY_MS,
    notAfterMs: Date.now() + DAY_MS,
  });
  const pseudonym = (epoch: string) => ledgerPseudonym(suite, signing.secretKey, epoch);
  return { deviceId, signing, certificate: der, pseudonym };
}

/** In ascending order of their ids, the order of a cohort. */
export const createDevices = async (world: TestWorld, count: number): Promise<TestDevice[]> =>
  (await Promise.all(Array.from({ length: count }, () => createDevice(world)))).sort((a, b) =>
    a.deviceId < b.deviceId ? -1 : 1,
  );

/**
 * Real time that a test can move forward; ticks come fast, so that nothing waits for them. Pauses before another try
 * are real ones, of at most `pauseMsMax`.
 */
export class TestClock {
  #offsetMs = 0;
  readonly #pauseMsMax: number;
  constructor(pauseMsMax = Number.POSITIVE_INFINITY) {
    this.#pauseMsMax = pauseMsMax;
  }
  nowMs(): number {
    return Date.now() + this.#offsetMs;
  }
  jump(ms: number): void {
    this.#offsetMs += ms;
  }
  every(periodMs: number, action: () => void): { stop(): void } {
    const timer = setInterval(action, Math.min(periodMs, 5));
    return { stop: () => clearInterval(timer) };
  }
  after(delayMs: number, action: () => void): { stop(): void } {
    return systemClock.after(Math.min(delayMs, this.#pauseMsMax), action);
  }
  turn(): Promise<void> {
    return systemClock.turn();
  }
}

/** The code of what `body` throws, or 'none'. */
export async function codeOf(body: () => unknown): Promise<string> {
  try {
    await body();
    return 'none';
  } catch (error) {
    if (isPulsefoldError(error)) return error.code;
    throw error;
  }
}

/** Waits until `condition` holds; fails after `waitMs` with what was waited for. */
export async function until(what: string, condition: () => boolean, waitMs = 10_000): Promise<void> {
  const endsAtMs = Date.now() + waitMs;
  while (!condition()) {
    if (Date.now() > endsAtMs) throw new Error(`timed out: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
}
