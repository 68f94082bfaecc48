/**
 * A whole federation in one process, for the key test and the end-to-end attacks: the registrar's real CA, the
 * coordinator's real rounds over its real store, four real key holders, clients as the test wants them.
 *
 * For *.test.ts here only; not reachable from any command or package export (no-observer.test.ts). The network is
 * left out, nothing else: every port is the service behind the socket. A dishonest coordinator is this one with one
 * of its inputs changed (terms of a round, entries, holder ports), never a rewrite of it.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AgentOptions, ClientAgent } from '../../client/agent/agent.ts';
import { loadSealer } from '../../client/agent/seal.ts';
import { MemoryClientStore } from '../../client/agent/store.ts';
import type { RoundsTransport } from '../../client/agent/transport.ts';
import { loadTrainEngine, type TrainingData } from '../../client/training/engine.ts';
import { Coordinator } from '../../coordinator/coordinator.ts';
import { roundsService } from '../../coordinator/grpc/rounds-service.ts';
import { BudgetLedger } from '../../coordinator/ledger/budget-ledger.ts';
import { releaseRound } from '../../coordinator/release-round.ts';
import { RoundBudget } from '../../coordinator/rounds/budget.ts';
import type { HolderPort, OpenPart, OpenRequest } from '../../coordinator/rounds/holder-port.ts';
import { ROUNDS_MIGRATIONS } from '../../coordinator/rounds/repository.ts';
import type { PlanOutcome } from '../../coordinator/rounds/runner.ts';
import type { RoundServices } from '../../coordinator/rounds/services.ts';
import { AppendLog } from '../../coordinator/storage/append-log.ts';
import { MemorySpool, type Spool } from '../../coordinator/storage/spool.ts';
import { openMemoryStore } from '../../coordinator/storage/sqlite-store.ts';
import type { Store } from '../../coordinator/storage/store.ts';
import {
  approvalsOf,
  createWorld as createCoordinatorWorld,
  planOf,
  TestClock,
  type TestWorld,
} from '../../coordinator/testing.ts';
import { toHex } from '../../crypto/bytes.ts';
import type { Identity } from '../../crypto/identity/certificate.ts';
import {
  type CertificateAuthority,
  certificateDer,
  generateTlsKey,
  issueCertificate,
  subjectIdOf,
} from '../../crypto/identity/certificate.ts';
import type { SuiteName } from '../../crypto/identity/suite.ts';
import { seededRandom, uniform } from '../../crypto/random.ts';
import type { TestHolder, World } from '../../keyholder/testing.ts';
import type { Transport } from '../../protos/keyholder-messages.ts';
import { finishPlan } from '../../protos/plan.ts';
import { assembleBundle, type IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import type { CallContext, ServedService } from '../../protos/transport/server.ts';
import { initialiseRegistrar, openAuthority } from '../../registrar/authority.ts';

const DAY_MS = 86_400_000;
const PASSPHRASE = 'registrar passphrase for tests';

/** What every party knows or has, as coordinator's and key holders' test support both expect it. */
export type FederationWorld = World & TestWorld;

export interface FederationOptions {
  readonly suite?: SuiteName;
  readonly transport?: Transport;
  /** Model inputs; the update has one parameter more, unless there are hidden layers. */
  readonly inputs?: number;
  /** Units of hidden layers: for a model too long for a short sum. */
  readonly hidden?: readonly number[];
  readonly rounds?: Readonly<Record<string, number>>;
  readonly privacy?: Readonly<Record<string, unknown>>;
  readonly evaluation?: Readonly<Record<string, unknown>>;
  readonly mechanism?: Readonly<Record<string, unknown>>;
  /** Beside the transport. */
  readonly aggregation?: Readonly<Record<string, unknown>>;
}

/** A deployment with a registrar that was initialised as `pulsefold registrar init` does it. */
export async function createFederation(options: FederationOptions = {}): Promise<FederationWorld> {
  const directory = mkdtempSync(join(tmpdir(), 'pulsefold-registrar-'));
  const scrypt = { costLog2: 14, blockSize: 8, parallelism: 1 };
  const { suite = 'intl', hidden = [], inputs = 2, privacy } = options;
  try {
    await initialiseRegistrar(directory, { suite, passphrase: PASSPHRASE, scrypt });
    const { authority, store } = await openAuthority(directory, { passphrase: PASSPHRASE });
    store.close();
    const caDer = certificateDer(authority.caPem);
    const registrarSha256 = createHash('sha256').update(caDer).digest('hex');
    const world = { ...(await createCoordinatorWorld(suite)), authority, caDer, registrarSha256 };
    const base = planOf(world, {
      rounds: { training: 1, spare: 0, ...options.rounds },
      aggregation: { transport: options.transport ?? 'bfv', ...options.aggregation },
      ...(privacy ? { privacy } : {}),
      ...(options.evaluation ? { evaluation: options.evaluation } : {}),
    });
    const features = Array.from({ length: inputs }, (_, i) => ({
      column: `x${i}`,
      kind: 'number',
      minimum: -1,
      maximum: 1,
    }));
    const parsed = finishPlan({
      ...base.plan,
      mechanism: { ...base.plan.mechanism, ...options.mechanism },
      features: { ...base.plan.features, features },
      model: { ...base.plan.model, inputs, hidden, kind: hidden.length > 0 ? 'mlp' : 'lr' },
    });
    return { ...world, parsed, approvals: approvalsOf(world, parsed) };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** A device with a certificate of the registrar, or of whoever else calls itself one. */
export async function createIdentity(
  world: FederationWorld,
  authority: CertificateAuthority = world.authority,
): Promise<IdentityBundle> {
  const { suite } = world;
  const signing = suite.generateSigningKey();
  const sealing = suite.generateSealingKey();
  const { tlsKeyPem, tlsPublicKey } = await generateTlsKey();
  const { pem } = await issueCertificate(authority, {
    claims: {
      role: 'client',
      suite: suite.name,
      subjectId: subjectIdOf('client', suite.name, signing.publicKey),
      signingPublicKey: signing.publicKey,
      sealingPublicKey: sealing.publicKey,
    },
    tlsPublicKey,
    notBeforeMs: Date.now() - DAY_MS,
    notAfterMs: Date.now() + DAY_MS,
  });
  return assembleBundle({ caPem: authority.caPem, certPem: pem, tlsKeyPem, signing, sealing });
}

/** The real agent with made-up rows and everything well. */
export async function createAgent(
  world: Pick<FederationWorld, 'parsed' | 'caDer'> & {
    readonly approver: { readonly publicKey: Uint8Array };
  },
  identity: IdentityBundle,
  rounds: RoundsTransport,
  changes: Partial<AgentOptions> = {},
): Promise<ClientAgent> {
  return new ClientAgent({
    identity,
    policy: { approvers: [{ id: 'ethics', publicKey: toHex(world.approver.publicKey) }], required: 1 },
    pins: { registrarCa: world.caDer },
    limits: { epsilon: 8, delta: 1e-5, allowWithoutPrivacy: true },
    data: { train: rowsOf(identity.subjectId, world.parsed.plan.model.inputs) },
    engine: await loadTrainEngine(['tfjs-cpu']),
    sealer: await loadSealer(),
    rounds,
    store: new MemoryClientStore(),
    conditions: () => ({ charging: true, unmetered: true, worn: true }),
    timing: { checkInWaitMs: 2000 },
    ...changes,
  });
}

/** Made-up rows. */
export function rowsOf(seed: string, inputs: number, count = 24): TrainingData {
  const random = seededRandom(seed);
  const features = Float32Array.from({ length: count * inputs }, () => 2 * uniform(random) - 1);
  return { features, labels: Uint8Array.from({ length: count }, (_, i) => i % 2), count };
}

const CHUNK_BYTES = 16_384;

function* openMessages(request: OpenRequest, parts: Iterable<OpenPart>): Iterable<object> {
  yield { header: request };
  for (const { deviceId, bodyDigest, holderPart, entry } of parts)
    for (let offset = 0; offset === 0 || offset < holderPart.length; offset += CHUNK_BYTES) {
      const chunk = holderPart.subarray(offset, offset + CHUNK_BYTES);
      yield {
        part: { deviceId, bodyDigest, offset, holderPart: chunk, entry: offset === 0 ? entry : null },
      };
    }
}

async function* streamed(messages: Iterable<object>): AsyncGenerator<object> {
  yield* messages;
}

/** The coordinator's port to a real key holder without the network in between. */
export function portOf({ id, service }: Pick<TestHolder, 'id' | 'service'>): HolderPort {
  return {
    holderId: id,
    registerPlan: async (plan, approvals) => void service.registerPlan({ plan, approvals }),
    ceremonyStep: async (request) => service.ceremonyStep(request),
    accept: async (planHash, round, entries) => service.accept({ planHash, round, entries }),
    certify: async (request) => service.certify(request),
    abort: async (planHash, round, reason) => service.abort({ planHash, round, reason }),
    draw: async (request, parts) => service.draw(streamed(openMessages(request, parts))),
    open: async (request, parts) => service.open(streamed(openMessages(request, parts))),
    erase: async (planHash, round) => void service.erase({ planHash, round }),
  };
}

export interface ServicesOptions {
  readonly store?: Store;
  readonly spool?: Spool;
  readonly onRoundChange?: RoundServices['onRoundChange'];
}

/** The services of the coordinator's rounds, with these holders. */
export function servicesOf(
  world: FederationWorld,
  holders: readonly HolderPort[],
  options: ServicesOptions = {},
): RoundServices {
  const { suite } = world;
  const store = options.store ?? openMemoryStore();
  store.migrate('rounds', ROUNDS_MIGRATIONS);
  const clock = new TestClock();
  const ledger = new BudgetLedger(store);
  const log = new AppendLog(store, { origin: 'test.example/log' });
  const budget = new RoundBudget({ store, ledger, log, suite, nowMs: () => clock.nowMs() });
  return {
    store,
    spool: options.spool ?? new MemorySpool(),
    suite,
    secagg: world.secagg,
    budget,
    clock,
    logger: { info: () => {}, warn: () => {}, error: () => {} },
    signingKey: world.coordinatorKey,
    holdersOf: () => holders,
    async release(parsed, round) {
      releaseRound({ store, suite, budget }, parsed, round);
    },
    onRoundChange: options.onRoundChange ?? (() => {}),
    onCeremony: () => {},
  };
}

/** An honest coordinator, running; clients reach it through `connect`. */
export class RunningCoordinator {
  readonly services: RoundServices;
  readonly ended: Promise<PlanOutcome>;
  readonly #coordinator: Coordinator;
  readonly #rounds: ServedService;
  readonly #running: Promise<void>;

  constructor(world: FederationWorld, services: RoundServices) {
    const { promise, resolve } = Promise.withResolvers<PlanOutcome>();
    this.ended = promise;
    this.services = services;
    this.#coordinator = new Coordinator({
      services,
      policy: { required: 1, approvers: [{ id: 'ethics', publicKey: toHex(world.approver.publicKey) }] },
      registrarSha256: world.registrarSha256,
      onPlanEnd: (_parsed, outcome) => resolve(outcome),
    });
    this.#rounds = roundsService(services, this.#coordinator);
    this.#coordinator.submitPlan(world.parsed.bytes, world.approvals);
    this.#running = this.#coordinator.run();
  }

  /** The Rounds service as the transport shows it to the device with this certificate. */
  connect({ subjectId, signing, certificate }: IdentityBundle): RoundsTransport {
    const identity = { subjectId, signingPublicKey: signing.publicKey } as Identity;
    const { signal } = new AbortController();
    const context = { identity, certificate, signal } as unknown as CallContext;
    const call = async (method: string, message: object = {}): Promise<unknown> =>
      this.#rounds.handlers[method]!(message as never, context);
    return {
      getPlan: () => call('getPlan'),
      // On the wire the decoder names the member of a oneof that is set.
      checkIn: async (request) => {
        const reply = (await call('checkIn', request)) as object;
        return { ...reply, outcome: Object.keys(reply)[0] };
      },
      getBlob: (request) => call('getBlob', request),
      getUploadState: (request) => call('getUploadState', request),
      putUpload: (request) => call('putUpload', request),
      getReceipt: (request) => call('getReceipt', request),
      withdraw: (request) => call('withdraw', request),
      close: () => {},
    };
  }

  async stop(): Promise<void> {
    this.#coordinator.stop();
    await this.#running;
    this.services.store.close();
  }
}
