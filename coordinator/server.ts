/**
 * Starts a coordinator from its configuration file: identity, store, gRPC server, plan queue.
 *
 * Trusts: the configuration and the pinned registrar CA. May be called by: cli, experiments.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Logger, pino } from 'pino';
import { ensure } from '../crypto/error.ts';
import { certificateDer } from '../crypto/identity/certificate.ts';
import { getSuite } from '../crypto/identity/suite.ts';
import type { NoteSigner } from '../crypto/log/checkpoint.ts';
import { openSecagg } from '../crypto/secagg/scheme.ts';
import { decodeApprovals } from '../protos/approvals.ts';
import { type ParsedPlan, type PlanApproval, parsePlanText } from '../protos/plan.ts';
import { openRegistrar, serverTls } from '../protos/transport/enrol.ts';
import type { IdentityBundle } from '../protos/transport/identity-bundle.ts';
import { loadIdentity, readPassphrase } from '../protos/transport/identity-store.ts';
import { RevocationCache } from '../protos/transport/revocation-cache.ts';
import { startServer } from '../protos/transport/server.ts';
import { channelCredentials, serverCredentials } from '../protos/transport/tls.ts';
import { FoldPool } from './aggregation/fold-pool.ts';
import { type CoordinatorConfig, loadCoordinatorConfig } from './config.ts';
import { Coordinator } from './coordinator.ts';
import { exportRun } from './export.ts';
import { adminService } from './grpc/admin-service.ts';
import { HolderClient } from './grpc/holder-client.ts';
import { roundsService } from './grpc/rounds-service.ts';
import { BudgetLedger } from './ledger/budget-ledger.ts';
import { releaseRound } from './release-round.ts';
import { RoundBudget } from './rounds/budget.ts';
import type { HolderPort } from './rounds/holder-port.ts';
import type { RoundState } from './rounds/machine.ts';
import { FINAL_PHASES } from './rounds/machine-types.ts';
import { keepPromises } from './rounds/promises.ts';
import { ROUNDS_MIGRATIONS } from './rounds/repository.ts';
import { type RoundServices, systemClock } from './rounds/services.ts';
import { AppendLog } from './storage/append-log.ts';
import { FileSpool } from './storage/file-spool.ts';
import { openStore } from './storage/sqlite-store.ts';
import { Cosignatures } from './witnessing/cosignatures.ts';
import { LogProofs } from './witnessing/log-proofs.ts';
import { witnessPeers } from './witnessing/witness-config.ts';
import { Witnessing } from './witnessing/witnessing.ts';

/** What a supervisor (the demo, a systemd unit's log) may follow. */
export type CoordinatorProgress =
  | { readonly type: 'ceremony'; readonly plan: string; readonly ready: number; readonly wanted: number }
  | {
      readonly type: 'round';
      readonly plan: string;
      readonly round: number;
      readonly kind: string;
      readonly phase: string;
      readonly stuck: boolean;
      readonly message: string;
      readonly invited: number;
      readonly uploaded: number;
      readonly certified: number;
    }
  | { readonly type: 'plan'; readonly plan: string; readonly status: string; readonly message: string };

export interface RunningCoordinator {
  readonly port: number;
  readonly coordinator: Coordinator;
  stop(): Promise<void>;
}

export interface CoordinatorOptions {
  readonly onProgress?: (progress: CoordinatorProgress) => void;
}

const REVOCATION_POLL_MS = 30_000;
const REVOCATION_AGE_MS_MAX = 24 * 3_600_000;

const ROUNDS_METHODS = [
  'GetPlan',
  'CheckIn',
  'GetBlob',
  'GetUploadState',
  'PutUpload',
  'GetReceipt',
  'Withdraw',
  'Consent',
  'SubjectAccess',
  'EraseDevice',
];
const ADMIN_METHODS = ['GetStatus', 'AbortRound', 'SubmitPlan'];

export async function runCoordinator(
  configFile: string,
  options: CoordinatorOptions = {},
): Promise<RunningCoordinator> {
  const config = loadCoordinatorConfig(configFile);
  const logger = pino({ level: config.logLevel, base: { role: 'coordinator' } }, pino.destination(2));
  const passphrase = await readPassphrase({
    env: config.identity.passphraseEnv,
    file: config.identity.passphraseFile,
  });
  const identity = await loadIdentity(config.identity.file, { passphrase });
  ensure(
    identity.role === 'coordinator',
    'WRONG_ROLE',
    `${config.identity.file} is the identity of a ${identity.role}`,
  );
  const caPem = readFileSync(config.registrar.caFile, 'utf8');
  const revocations = await pollRevocations(config, identity, caPem, logger);
  mkdirSync(config.directory, { recursive: true });
  const parts = await buildServices(config, identity, caPem, logger, options);
  const coordinator: Coordinator = new Coordinator({
    services: parts.services,
    policy: config.approvals,
    registrarSha256: createHash('sha256').update(certificateDer(caPem)).digest('hex'),
    onPlanEnd: (parsed, outcome) => {
      parts.export(parsed);
      options.onProgress?.({ type: 'plan', plan: parsed.hashHex, ...outcome });
    },
  });
  for (const file of config.plans) submitPlanFile(coordinator, file);
  const server = await startServer({
    engine: 'http2',
    // Keeps nothing of a request once it has answered: its bytes are in the spool.
    recycledRequests: ['/pulsefold.v1.Rounds/PutUpload'],
    services: [roundsService(parts.services, coordinator), adminService(coordinator)],
    credentials: serverCredentials({ ...serverTls(identity), requireClientCertificate: true }),
    address: config.listen,
    caPem,
    authorise: {
      ...Object.fromEntries(
        ROUNDS_METHODS.map((name) => [`/pulsefold.v1.Rounds/${name}`, ['client' as const]]),
      ),
      // A released model belongs to its researcher, too.
      '/pulsefold.v1.Rounds/GetPlan': ['client', 'researcher'],
      '/pulsefold.v1.Rounds/GetBlob': ['client', 'researcher'],
      ...Object.fromEntries(
        ADMIN_METHODS.map((name) => [`/pulsefold.v1.Admin/${name}`, ['researcher' as const]]),
      ),
    },
    isRevoked: (serial) => {
      // Fails closed: whoever cannot be checked is asked to come back.
      revocations.requireFresh(Date.now());
      return revocations.isRevoked(serial);
    },
    concurrentCallsMax: config.limits.connectionsMax,
    onInternalError: (method, error) => logger.error({ method, err: error }, 'internal error'),
  });
  const promises = keepPromises(parts.services);
  const running = coordinator
    .run()
    .catch((error: unknown) => logger.error({ err: error }, 'plan queue stopped'));
  return {
    port: server.port,
    coordinator,
    async stop() {
      coordinator.stop();
      revocations.stop();
      promises.stop();
      await server.stop();
      await running;
      await parts.close();
    },
  };
}

async function pollRevocations(
  config: CoordinatorConfig,
  identity: IdentityBundle,
  caPem: string,
  logger: Logger,
): Promise<RevocationCache> {
  mkdirSync(config.directory, { recursive: true });
  const client = openRegistrar(config.registrar.address, identity);
  const cache = new RevocationCache({
    path: join(config.directory, 'revocations'),
    registrarCaDer: certificateDer(caPem),
    listAgeMsMax: REVOCATION_AGE_MS_MAX,
    nowMs: Date.now,
    fetchList: () => client.call('getRevocationList', {}, { idempotent: true, deadlineMs: 5000 }),
  });
  await cache.start(REVOCATION_POLL_MS, (error) =>
    logger.warn({ reason: (error as Error).message }, 'revocation list not refreshed'),
  );
  return cache;
}

function submitPlanFile(coordinator: Coordinator, file: string): void {
  const parsed = parsePlanText(readFileSync(file, 'utf8'));
  const approvals: PlanApproval[] = decodeApprovals(readFileSync(`${file}.approvals.json`, 'utf8'));
  coordinator.submitPlan(parsed.bytes, approvals);
}

async function buildServices(
  config: CoordinatorConfig,
  identity: IdentityBundle,
  caPem: string,
  logger: Logger,
  options: CoordinatorOptions,
) {
  const suite = getSuite(identity.suite);
  const store = openStore(join(config.directory, 'coordinator.db'));
  store.migrate('rounds', ROUNDS_MIGRATIONS);
  const ledger = new BudgetLedger(store);
  const log = new AppendLog(store, { origin: config.logOrigin });
  const budget = new RoundBudget({ store, ledger, log, suite, nowMs: Date.now });
  const signer: NoteSigner = {
    name: config.logOrigin,
    algorithm: identity.suite === 'gm' ? 'sm2' : 'ed25519',
    publicKey: identity.signing.publicKey,
    sign: (message) => suite.sign(identity.signing.secretKey, message),
  };
  const holders = holderClients(config, identity, caPem);
  const cosignatures = new Cosignatures(store);
  const peers = witnessPeers(config.witnesses);
  const witnessing = new Witnessing({ log, signer, cosignatures, peers, logger });
  const exportPlan = (parsed: ParsedPlan) =>
    exportRun(
      { store, ledger, log, signer, runDirectory: runDirectoryOf(config, parsed), witnessing },
      parsed,
    );
  const spool = new FileSpool({ directory: join(config.directory, 'spool') });
  const foldPool = new FoldPool(config.foldWorkers);
  const services: RoundServices = {
    store,
    spool,
    foldPool,
    suite,
    secagg: await openSecagg(),
    budget,
    clock: systemClock,
    logger,
    signingKey: identity.signing,
    holdersOf: (parsed) => parsed.plan.holders.map((holder) => holderFor(holders, config, holder.id)),
    async release(parsed, round) {
      releaseRound({ store, suite, budget }, parsed, round);
    },
    onRoundChange: (parsed, state) => {
      logger.info({ round: state.round, phase: state.phase, uploads: state.uploaded.length }, state.message);
      // From here on devices ask for receipts, which carry a checkpoint.
      if (state.phase === 'opening' || FINAL_PHASES.includes(state.phase)) witnessing.announce();
      options.onProgress?.(roundProgress(parsed, state));
    },
    logProofs: new LogProofs({ store, log, signer, cosignatures }),
    onCeremony: (parsed, ready, wanted) =>
      options.onProgress?.({ type: 'ceremony', plan: parsed.hashHex, ready, wanted }),
  };
  const close = async (): Promise<void> => {
    await witnessing.stop();
    for (const holder of holders.values()) holder.close();
    await foldPool.close();
    await spool.close();
    store.close();
  };
  return { services, export: exportPlan, close };
}

const roundProgress = (parsed: ParsedPlan, state: RoundState): CoordinatorProgress => ({
  type: 'round',
  plan: parsed.hashHex,
  round: state.round,
  kind: state.kind,
  phase: state.phase,
  stuck: state.stuck,
  message: state.message,
  invited: state.invited.length,
  uploaded: state.uploaded.length,
  certified: state.cohort?.length ?? 0,
});

/** One directory per plan, so that several plans of one coordinator do not overwrite each other. */
export const runDirectoryOf = (config: Pick<CoordinatorConfig, 'runDirectory'>, parsed: ParsedPlan): string =>
  join(config.runDirectory, `${parsed.plan.name}-${parsed.hashHex.slice(0, 12)}`);

function holderClients(
  config: CoordinatorConfig,
  identity: IdentityBundle,
  caPem: string,
): Map<string, HolderClient> {
  const clients = new Map<string, HolderClient>();
  for (const { id, address } of config.holders)
    clients.set(
      id,
      new HolderClient({
        holderId: id,
        address,
        credentials: channelCredentials({
          caPem,
          certPem: identity.certPem,
          keyPem: identity.tlsKeyPem,
          server: { role: 'keyholder' },
        }),
        callMs: config.limits.holderCallMs,
      }),
    );
  return clients;
}

function holderFor(
  clients: ReadonlyMap<string, HolderPort>,
  config: CoordinatorConfig,
  id: string,
): HolderPort {
  const client = clients.get(id);
  const known = config.holders.map((holder) => holder.id).join(', ');
  ensure(
    client,
    'PLAN_INVALID',
    `the plan names key holder ${id}; this coordinator's configuration knows ${known}`,
  );
  return client;
}
