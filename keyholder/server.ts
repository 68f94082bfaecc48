/**
 * The key holder's process: mutual TLS, role `coordinator` only, the service behind it.
 *
 * For: cli/ (`pulsefold keyholder CONFIG`) and tests. Trusts: its directory, its passphrase, the pinned
 * registrar CA. Builds the service with the full rules and no hooks; nothing in the config changes either.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Logger, pino } from 'pino';
import { ensure, isPulsefoldError } from '../crypto/error.ts';
import { certificateDer } from '../crypto/identity/certificate.ts';
import { openSealedFile, type SealingSecret, sealFile } from '../crypto/identity/sealed-file.ts';
import { getSuite } from '../crypto/identity/suite.ts';
import { randomBytes, systemRandom } from '../crypto/random.ts';
import { loadBfv } from '../crypto/secagg/bfv.ts';
import type { AcceptReply } from '../protos/keyholder-messages.ts';
import { writeFileAtomic } from '../protos/transport/atomic-file.ts';
import { openRegistrar, serverTls } from '../protos/transport/enrol.ts';
import type { IdentityBundle } from '../protos/transport/identity-bundle.ts';
import { loadIdentity, readPassphrase } from '../protos/transport/identity-store.ts';
import { RevocationCache } from '../protos/transport/revocation-cache.ts';
import { type CallContext, type Handler, startServer } from '../protos/transport/server.ts';
import { serverCredentials } from '../protos/transport/tls.ts';
import { type KeyHolderConfig, loadKeyHolderConfig } from './config.ts';
import { type HolderContext, type HolderIdentity, noHooks, PlanBook } from './context.ts';
import { Custody, STORAGE_KEY_BYTES } from './custody.ts';
import { holderRules } from './rules.ts';
import { KeyHolderService } from './service.ts';
import { HolderStore } from './store.ts';

export { type KeyHolderConfig, loadKeyHolderConfig, parseKeyHolderConfig } from './config.ts';

/** Partial decryptions of long vectors are the largest messages. */
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;
const STORAGE_KEY_LABEL = 'keyholder-storage-key';
const METHODS = [
  'GetHolderInfo',
  'RegisterPlan',
  'CeremonyStep',
  'Accept',
  'Certify',
  'Abort',
  'Open',
  'Draw',
  'Erase',
] as const;

export interface RunningKeyHolder {
  readonly port: number;
  stop(): Promise<void>;
}

/** The key under which shares are sealed at rest; made at the first start, sealed by the passphrase. */
async function openStorageKey(
  path: string,
  bundle: IdentityBundle,
  secret: SealingSecret,
): Promise<Uint8Array> {
  if (existsSync(path))
    return openSealedFile(new Uint8Array(await readFile(path)), secret, STORAGE_KEY_LABEL);
  const storageKey = randomBytes(STORAGE_KEY_BYTES);
  await writeFileAtomic(path, sealFile(bundle.suite, storageKey, secret, STORAGE_KEY_LABEL));
  return storageKey;
}

async function openIdentity(
  config: KeyHolderConfig,
): Promise<{ bundle: IdentityBundle; secret: SealingSecret }> {
  const { passphraseEnv: env, passphraseFile: file } = config.identity;
  const secret: SealingSecret = { passphrase: await readPassphrase({ env, file }) };
  const bundle = await loadIdentity(config.identity.file, secret);
  ensure(
    bundle.role === 'keyholder',
    'CONFIG_INVALID',
    `identity.file: role is ${bundle.role}, expected keyholder`,
  );
  ensure(
    bundle.notAfterMs > Date.now(),
    'CERTIFICATE_EXPIRED',
    'the certificate of this holder has expired: enrol again',
  );
  return { bundle, secret };
}

/** Of an acceptance: how many, and why not the others. */
function summaryOf(reply: unknown): object {
  const { accepted, rejected } = (reply ?? {}) as Partial<AcceptReply>;
  if (!accepted || !rejected) return {};
  return { accepted: accepted.length, rejected: rejected.map(({ code }) => code) };
}

/** One line per call with outcome and time; no payloads. */
function logged(
  log: Logger,
  method: string,
  handler: (request: unknown, call: CallContext) => unknown,
): Handler {
  return async (request: never, call: CallContext) => {
    const startedMs = performance.now();
    const caller = call.identity?.subjectId;
    const elapsed = () => Math.round(performance.now() - startedMs);
    try {
      const reply = await handler(request, call);
      log.info({ method, caller, durationMs: elapsed(), ...summaryOf(reply) }, 'answered');
      return reply;
    } catch (error) {
      const code = isPulsefoldError(error) ? error.code : 'INTERNAL';
      const reason = isPulsefoldError(error) ? error.message : 'internal error';
      log.warn({ method, caller, durationMs: elapsed(), code, reason }, 'refused');
      throw error;
    }
  };
}

/** Plan-bound calls come from the coordinator that the plan names, not from any enrolled one. */
function bound(
  service: KeyHolderService,
  handler: (request: unknown, call: CallContext) => unknown,
): (request: unknown, call: CallContext) => unknown {
  return (request, call) => {
    service.requireCoordinator(
      (request as { planHash?: unknown } | null)?.planHash,
      call.identity?.signingPublicKey,
    );
    return handler(request, call);
  };
}

/** The same for a stream, whose header names the plan. */
async function* boundStream(
  service: KeyHolderService,
  messages: AsyncIterable<unknown>,
  call: CallContext,
): AsyncIterable<unknown> {
  for await (const message of messages) {
    const { header } = message as { header?: { planHash?: unknown } | null };
    if (header) service.requireCoordinator(header.planHash, call.identity?.signingPublicKey);
    yield message;
  }
}

function handlersOf(service: KeyHolderService, log: Logger): Record<string, Handler> {
  const planBound = (method: string, handler: (request: unknown) => unknown) =>
    logged(log, method, bound(service, handler));
  return {
    getHolderInfo: logged(log, 'GetHolderInfo', () => service.getHolderInfo()),
    registerPlan: logged(log, 'RegisterPlan', (request, call) => {
      const reply = service.registerPlan(request);
      service.requireCoordinator(reply.planHash, call.identity?.signingPublicKey);
      return reply;
    }),
    ceremonyStep: planBound('CeremonyStep', (request) => service.ceremonyStep(request)),
    accept: planBound('Accept', (request) => service.accept(request)),
    certify: planBound('Certify', (request) => service.certify(request)),
    abort: planBound('Abort', (request) => service.abort(request)),
    open: logged(log, 'Open', (request, call) =>
      service.open(boundStream(service, request as AsyncIterable<unknown>, call), call.signal),
    ),
    draw: logged(log, 'Draw', (request, call) =>
      service.draw(boundStream(service, request as AsyncIterable<unknown>, call), call.signal),
    ),
    erase: planBound('Erase', (request) => service.erase(request)),
  };
}

interface Assembled {
  readonly service: KeyHolderService;
  readonly revocations: RevocationCache;
  readonly close: () => void;
}

async function assemble(
  config: KeyHolderConfig,
  bundle: IdentityBundle,
  secret: SealingSecret,
  registrarCaDer: Uint8Array,
): Promise<Assembled> {
  const { directory, id, limits } = config;
  const suite = getSuite(bundle.suite);
  const storageKey = await openStorageKey(join(directory, 'storage-key.sealed'), bundle, secret);
  const registrar = openRegistrar(config.registrar.address, bundle);
  const bfv = await loadBfv();
  const revocations = new RevocationCache({
    path: join(directory, 'revocation-list.bin'),
    registrarCaDer,
    listAgeMsMax: config.revocations.listAgeMsMax,
    nowMs: Date.now,
    fetchList: () => registrar.call('getRevocationList', {}, { idempotent: true, deadlineMs: 10_000 }),
  });
  const store = new HolderStore(join(directory, 'keyholder.sqlite'));
  const identity: HolderIdentity = { id, suite, signing: bundle.signing, sealing: bundle.sealing };
  const rules = holderRules;
  const context: HolderContext = {
    identity,
    store,
    custody: new Custody({ suite, storageKey, holderId: id }),
    plans: new PlanBook({
      identity,
      store,
      registrarCaDer,
      approvals: config.approvals,
      rules,
      plansMax: limits.plansMax,
    }),
    registrarCaDer,
    revocations,
    bfv,
    random: systemRandom,
    nowMs: Date.now,
    rules,
    hooks: noHooks,
    limits,
  };
  storageKey.fill(0);
  const close = (): void => {
    revocations.stop();
    registrar.close();
    store.close();
  };
  return { service: new KeyHolderService(context), revocations, close };
}

/**
 * Starts a key holder from its config file and serves until `stop`. Throws CONFIG_INVALID, FILE_SEALED (wrong
 * passphrase), CERTIFICATE_EXPIRED, or UNAVAILABLE (address in use). A registrar that cannot be reached does
 * not stop the start; acceptance waits for its list.
 */
export async function runKeyHolder(configPath: string): Promise<RunningKeyHolder> {
  const config = await loadKeyHolderConfig(configPath);
  const log = pino({ name: `keyholder ${config.id}`, level: config.logLevel }, pino.destination(2));
  const caPem = await readFile(config.registrar.caFile, 'utf8');
  const registrarCaDer = certificateDer(caPem);
  const { bundle, secret } = await openIdentity(config);
  const sameCa = Buffer.compare(certificateDer(bundle.caPem), registrarCaDer) === 0;
  ensure(sameCa, 'CONFIG_INVALID', 'registrar.caFile: the identity was issued by another registrar');
  await mkdir(config.directory, { recursive: true, mode: 0o700 });
  const { service, revocations, close } = await assemble(config, bundle, secret, registrarCaDer);
  try {
    await revocations.start(config.revocations.pollMs, (error) => {
      const reason = isPulsefoldError(error) ? error.message : 'internal error';
      log.warn({ reason }, 'no new revocation list');
    });
    const tls = serverTls(bundle);
    const server = await startServer({
      services: [{ name: 'KeyHolder', handlers: handlersOf(service, log) }],
      credentials: serverCredentials({ ...tls, requireClientCertificate: true }),
      address: config.listen,
      caPem,
      authorise: Object.fromEntries(
        METHODS.map((name) => [`/pulsefold.v1.KeyHolder/${name}`, ['coordinator'] as const]),
      ),
      isRevoked: (serial) => revocations.isRevoked(serial),
      messageBytesMax: MESSAGE_BYTES_MAX,
      concurrentCallsMax: config.limits.callsMax,
      callDurationMsMax: config.limits.callDurationMsMax,
      onInternalError: (method, error) =>
        log.error({ method, name: error instanceof Error ? error.name : '' }, 'internal error'),
    });
    log.info({ port: server.port, directory: config.directory, suite: bundle.suite }, 'serving');
    let stopped: Promise<void> | undefined;
    return {
      port: server.port,
      stop: () => {
        stopped ??= server.stop().then(close);
        return stopped;
      },
    };
  } catch (error) {
    close();
    throw error;
  }
}
