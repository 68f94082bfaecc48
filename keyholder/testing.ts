/**
 * A committee of four holders in one process, with devices and a coordinator that relays: for tests only.
 *
 * For: *.test.ts in keyholder/. Not exported by the package and not reachable from any role command.
 * Everything cryptographic is the real thing; `rules` lets a test take a rule out, to see an attack succeed
 * first.
 */
import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toHex } from '../crypto/bytes.ts';
import {
  type CertificateAuthority,
  certificateDer,
  createCertificateAuthority,
} from '../crypto/identity/certificate.ts';
import { getSuite, type KeyPair, type Suite, type SuiteName } from '../crypto/identity/suite.ts';
import { systemRandom } from '../crypto/random.ts';
import type { Bfv } from '../crypto/secagg/bfv.ts';
import { loadSecagg, type Secagg } from '../crypto/secagg/scheme.ts';
import type { ApprovalPolicy } from '../protos/approval-policy.ts';
import {
  type CeremonyPart,
  type CeremonyPhase,
  type CeremonyStepReply,
  phasesOf,
  type SealedShare,
  type Transport,
} from '../protos/keyholder-messages.ts';

import { approvePlan, finishPlan, openersOf, type ParsedPlan, type PlanApproval } from '../protos/plan.ts';
import { ceremonyId, ceremonyPartStatement } from '../protos/statements.ts';
import {
  type HolderContext,
  type HolderHooks,
  type HolderIdentity,
  noHooks,
  PlanBook,
  type Revocations,
} from './context.ts';
import { Custody } from './custody.ts';
import { type HolderRules, holderRules } from './rules.ts';
import { KeyHolderService } from './service.ts';
import { HolderStore } from './store.ts';

const DATABASE_NAME = 'keyholder.sqlite';
export const DAY_MS = 86_400_000;
/** Certificates count in whole seconds. */
export const START_MS = Math.floor(Date.now() / 1000) * 1000;
export const holderIds = ['hospital', 'regulator', 'platform', 'university'] as const;

export interface World {
  readonly suite: Suite;
  readonly bfv: Bfv;
  readonly secagg: Secagg;
  readonly authority: CertificateAuthority;
  readonly caDer: Uint8Array;
  readonly approver: KeyPair;
  readonly holderKeys: readonly {
    readonly id: string;
    readonly signing: KeyPair;
    readonly sealing: KeyPair;
  }[];
  /** Keys of the coordinator that the plan names. */
  readonly coordinatorKeys?: { readonly signing: KeyPair; readonly sealing: KeyPair };
  readonly parsed: ParsedPlan;
  readonly approvals: readonly PlanApproval[];
}

export interface WorldOptions {
  readonly suite?: SuiteName;
  readonly transport?: Transport;
  readonly kem?: 'x25519' | 'x25519-ml-kem-768';
  /** Units of hidden layers: for a model too long for a short sum. */
  readonly hidden?: readonly number[];
  readonly cohortMin?: number;
  readonly cohortMax?: number;
  /** Groups that training rounds open in (transport shares). */
  readonly groups?: number;
  /** Rounds that may be open beside the oldest. */
  readonly overlap?: number;
}

const newAuthority = (name: string): Promise<CertificateAuthority> =>
  createCertificateAuthority({ name, notBeforeMs: START_MS - DAY_MS, notAfterMs: START_MS + 3650 * DAY_MS });

/** A plan over a model of three parameters, so that a sum is short. */
export function planOf(
  world: Pick<World, 'suite' | 'caDer' | 'holderKeys'> & Partial<Pick<World, 'coordinatorKeys'>>,
  options: WorldOptions & { readonly name?: string } = {},
): ParsedPlan {
  const feature = (column: string) => ({ column, kind: 'number', minimum: 0, maximum: 200 });
  return finishPlan({
    version: 1,
    name: options.name ?? 'heart-risk',
    purpose: 'A test of the committee.',
    suite: world.suite.name,
    seed: '1',
    features: {
      dataset: 'test',
      label: { column: 'event', positive: { above: 0 } },
      features: [feature('age'), feature('pulse')],
      complete: true,
    },
    model: options.hidden
      ? { kind: 'mlp', inputs: 2, hidden: options.hidden, activation: 'relu' }
      : { kind: 'lr', inputs: 2, hidden: [], activation: 'relu' },
    training: {
      strategy: options.overlap ? 'fedbuff' : 'fedavg',
      epochs: 1,
      batchSize: 8,
      learningRate: 0.1,
    },
    rounds: {
      training: 3,
      ...(options.overlap ? { overlap: options.overlap } : {}),
      cohortMin: options.cohortMin ?? 3,
      cohortTarget: options.cohortMin ?? 3,
      cohortMax: options.cohortMax ?? 8,
      checkInWindowMs: 1000,
      deadlineMs: 10_000,
    },
    mechanism: { clip: '1', unitsPerClip: 1024 },
    privacy: null,
    aggregation:
      options.transport === 'shares'
        ? {
            transport: 'shares',
            kem: options.kem ?? 'x25519',
            ...(options.groups ? { groups: { count: options.groups, combine: 'median' } } : {}),
          }
        : { transport: 'bfv' },
    holders: world.holderKeys.map(({ id, signing, sealing }) => ({
      id,
      signingPublicKey: toHex(signing.publicKey),
      sealingPublicKey: toHex(sealing.publicKey),
    })),
    registrarSha256: createHash('sha256').update(world.caDer).digest('hex'),
    coordinatorPublicKey: toHex(
      (world.coordinatorKeys?.signing ?? world.suite.generateSigningKey()).publicKey,
    ),
  });
}

export async function createWorld(options: WorldOptions = {}): Promise<World> {
  const suite = getSuite(options.suite ?? 'intl');
  const authority = await newAuthority('registrar');
  const caDer = certificateDer(authority.caPem);
  const approver = suite.generateSigningKey();
  const holderKeys = holderIds.map((id) => ({
    id,
    signing: suite.generateSigningKey(),
    sealing: suite.generateSealingKey(),
  }));
  const coordinatorKeys = { signing: suite.generateSigningKey(), sealing: suite.generateSealingKey() };
  const parsed = planOf({ suite, caDer, holderKeys, coordinatorKeys }, options);
  const approvals = [approvePlan(parsed, 'ethics', approver)];
  const secagg = await loadSecagg();
  return {
    suite,
    bfv: secagg.bfv,
    secagg,
    authority,
    caDer,
    approver,
    holderKeys,
    coordinatorKeys,
    parsed,
    approvals,
  };
}

export interface TestHolder {
  readonly id: string;
  readonly index: number;
  readonly directory: string;
  readonly context: HolderContext;
  readonly service: KeyHolderService;
  readonly revoked: Set<string>;
  close(): void;
}

export interface TestHolderOptions {
  readonly rules?: Partial<HolderRules>;
  readonly hooks?: HolderHooks;
  /** Continue in the directory of a holder that was stopped. */
  readonly directory?: string;
  readonly storageKey?: Uint8Array;
  readonly openStore?: (path: string) => HolderStore;
  readonly nowMs?: () => number;
  /** Instead of one signature by the approver of the world. */
  readonly approvals?: ApprovalPolicy;
}

/** The storage key of a test holder: fixed, so that a restarted holder has it again. */
const testStorageKey = new Uint8Array(32).fill(7);

export function startHolder(world: World, index: number, options: TestHolderOptions = {}): TestHolder {
  const keys = world.holderKeys[index - 1]!;
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), `pulsefold-${keys.id}-`));
  const path = join(directory, DATABASE_NAME);
  const store = options.openStore?.(path) ?? new HolderStore(path);
  const rules: HolderRules = { ...holderRules, ...options.rules };
  const identity: HolderIdentity = {
    id: keys.id,
    suite: world.suite,
    signing: keys.signing,
    sealing: keys.sealing,
  };
  const revoked = new Set<string>();
  const revocations: Revocations = { requireFresh: () => {}, isRevoked: (serial) => revoked.has(serial) };
  const approvals = options.approvals ?? {
    approvers: [{ id: 'ethics', publicKey: toHex(world.approver.publicKey) }],
    required: 1,
  };
  const { caDer: registrarCaDer } = world;
  const context: HolderContext = {
    identity,
    store,
    custody: new Custody({
      suite: world.suite,
      storageKey: options.storageKey ?? testStorageKey,
      holderId: keys.id,
    }),
    plans: new PlanBook({ identity, store, registrarCaDer, approvals, rules, plansMax: 8 }),
    registrarCaDer,
    revocations,
    bfv: world.bfv,
    random: systemRandom,
    nowMs: options.nowMs ?? Date.now,
    rules,
    hooks: options.hooks ?? noHooks,
    limits: { plansMax: 8, openingsMax: 4 },
  };
  const service = new KeyHolderService(context);
  return { id: keys.id, index, directory, context, service, revoked, close: () => store.close() };
}

/** The last of `present` holders, as many as the transport needs to open a sum. */
export function openersAmong(world: World, present: readonly number[]): number[] {
  const count = openersOf(world.parsed.plan);
  return present.slice(-count);
}

export interface CommitteeKey {
  readonly publicKey: Uint8Array;
  readonly keyId: Uint8Array;
  readonly signatures: readonly { readonly holderId: string; readonly signature: Uint8Array }[];
}

/** Replies of the holders to one phase, as a relay may have changed them before the next. */
export type Relay = (
  phase: CeremonyPhase,
  replies: readonly CeremonyStepReply[],
) => readonly CeremonyStepReply[];

/** A new directory with all that a holder has stored. */
export function copyOf({ id, directory, context }: TestHolder): string {
  context.store.truncateLog();
  const copy = mkdtempSync(join(tmpdir(), `pulsefold-${id}-`));
  copyFileSync(join(directory, DATABASE_NAME), join(copy, DATABASE_NAME));
  return copy;
}

/** Four holders with the plan registered. Close it in afterEach/afterAll. */
export class Committee {
  readonly world: World;
  readonly holders: TestHolder[];

  constructor(world: World, options: TestHolderOptions | ((index: number) => TestHolderOptions) = {}) {
    this.world = world;
    this.holders = world.holderKeys.map((_, i) =>
      startHolder(world, i + 1, typeof options === 'function' ? options(i + 1) : options),
    );
    for (const holder of this.holders) register(world, holder);
  }

  /**
   * The same holders, with all they have stored, under other rules or hooks. What a fork does stays in the
   * fork; so a ceremony need not be repeated for every attack.
   */
  fork(options: TestHolderOptions | ((index: number) => TestHolderOptions) = {}): Committee {
    const directories = this.holders.map(copyOf);
    return new Committee(this.world, (index) => ({
      ...(typeof options === 'function' ? options(index) : options),
      directory: directories[index - 1]!,
    }));
  }

  close(): void {
    for (const holder of this.holders) {
      holder.close();
      rmSync(holder.directory, { recursive: true, force: true });
    }
  }

  /** Runs the ceremony of `round` through all phases. */
  ceremony(round: number, relay: Relay = (_phase, replies) => replies): CommitteeKey {
    const planHash = this.world.parsed.hash;
    let replies: readonly CeremonyStepReply[] = [];
    for (const phase of phasesOf(this.world.parsed.plan.aggregation.transport)) {
      const parts = replies.map((reply) => reply.part);
      const shares: SealedShare[] = replies.flatMap((reply) => reply.shares);
      const answered = this.holders.map((holder) =>
        holder.service.ceremonyStep({
          planHash,
          round,
          phase,
          parts,
          shares: shares.filter((share) => share.toHolderId === holder.id),
        }),
      );
      replies = relay(phase, answered);
    }
    const first = replies[0]!;
    const signatures = replies.map((reply) => ({
      holderId: reply.part.holderId,
      signature: reply.keySignature,
    }));
    return { publicKey: first.publicKey, keyId: first.keyId, signatures };
  }
}

export function register(world: World, holder: TestHolder): void {
  holder.service.registerPlan({ plan: world.parsed.bytes, approvals: world.approvals });
}

/** `payload` as said and signed by holder `index` in `phase`. */
export function signedPartOf(
  world: World,
  index: number,
  phase: CeremonyPhase,
  round: number,
  payload: Uint8Array,
): CeremonyPart {
  const { id: holderId, signing } = world.holderKeys[index - 1]!;
  const { suite, parsed } = world;
  const statement = ceremonyPartStatement({
    ceremonyId: ceremonyId(suite, parsed.hash, round),
    phase,
    holderId,
    payloadDigest: suite.digest(payload),
  });
  return { holderId, payload, signature: suite.sign(signing.secretKey, statement) };
}
