/**
 * The registrar's process: two listeners over one CA.
 *
 * For: cli/ and tests. Trusts: its directory, its passphrase. `Enrol` is the only call in the platform without a
 * client certificate, so it has a listener of its own; everything else needs mutual TLS.
 */
import { ensure } from '../crypto/error.ts';
import { enrolledRoles } from '../crypto/identity/certificate.ts';
import type { ScryptParameters } from '../crypto/identity/sealed-file.ts';
import { serverTls } from '../protos/transport/enrol.ts';
import { readPassphrase } from '../protos/transport/identity-store.ts';
import { type CallContext, type RunningServer, startServer } from '../protos/transport/server.ts';
import { serverCredentials } from '../protos/transport/tls.ts';
import { initialiseRegistrar, openAuthority } from './authority.ts';
import { loadRegistrarConfig, type RegistrarConfig } from './config.ts';
import { EnrolmentDesk } from './enrolment.ts';

export { caFingerprint, initialiseRegistrar, listCertificates, mintToken, revoke } from './authority.ts';
export { loadRegistrarConfig, parseRegistrarConfig, type RegistrarConfig } from './config.ts';

const MESSAGE_BYTES_MAX = 16 * 1024;
const LIST_MESSAGE_BYTES_MAX = 1024 * 1024 + 1024;

export interface StartRegistrarOptions {
  readonly directory: string;
  readonly passphrase: string;
  readonly enrolAddress: string;
  readonly address: string;
  readonly hosts?: readonly string[];
  readonly certificateLifetimeMs?: number;
  readonly revocationListLifetimeMs?: number;
  readonly scrypt?: ScryptParameters | undefined;
  readonly now?: () => number;
  readonly onInternalError?: (method: string, error: unknown) => void;
}

export interface RunningRegistrar {
  readonly enrolPort: number;
  readonly port: number;
  readonly caPem: string;
  stop(): Promise<void>;
}

const DAY_MS = 86_400_000;

/** Throws CONFIG_INVALID, FILE_SEALED (wrong passphrase) or UNAVAILABLE (address in use). */
export async function startRegistrar(options: StartRegistrarOptions): Promise<RunningRegistrar> {
  const now = options.now ?? Date.now;
  const authority = await openAuthority(options.directory, options);
  const desk = new EnrolmentDesk(authority, {
    certificateLifetimeMs: options.certificateLifetimeMs ?? 90 * DAY_MS,
    revocationListLifetimeMs: options.revocationListLifetimeMs ?? DAY_MS,
    now,
  });
  const tls = serverTls(authority.bundle);
  const shared = {
    caPem: tls.caPem,
    isRevoked: (serial: string) => desk.isRevoked(serial),
    now,
    ...(options.onInternalError ? { onInternalError: options.onInternalError } : {}),
  };
  const servers: RunningServer[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.stop()));
    authority.store.close();
  };
  try {
    const enrolment = await startServer({
      ...shared,
      services: [{ name: 'Enrolment', handlers: { enrol: (request: unknown) => desk.enrol(request) } }],
      credentials: serverCredentials({ ...tls, requireClientCertificate: false }),
      address: options.enrolAddress,
      authorise: { '/pulsefold.v1.Enrolment/Enrol': 'anyone' },
      messageBytesMax: MESSAGE_BYTES_MAX,
      concurrentCallsMax: 256,
      callDurationMsMax: 30_000,
    });
    servers.push(enrolment);
    const handlers = {
      renew(request: unknown, context: CallContext) {
        ensure(context.identity, 'UNAUTHENTICATED', 'a certificate is required');
        return desk.renew(request, context.identity);
      },
      forget(request: unknown, context: CallContext) {
        ensure(context.identity, 'UNAUTHENTICATED', 'a certificate is required');
        return desk.forget(request, context.identity);
      },
      getRevocationList: async () => desk.revocationList(),
    };
    const mutual = await startServer({
      ...shared,
      services: [{ name: 'Registrar', handlers }],
      credentials: serverCredentials({ ...tls, requireClientCertificate: true }),
      address: options.address,
      authorise: {
        '/pulsefold.v1.Registrar/Renew': enrolledRoles,
        '/pulsefold.v1.Registrar/Forget': ['client'],
        '/pulsefold.v1.Registrar/GetRevocationList': enrolledRoles,
      },
      messageBytesMax: LIST_MESSAGE_BYTES_MAX,
      callDurationMsMax: 30_000,
    });
    servers.push(mutual);
    return { enrolPort: enrolment.port, port: mutual.port, caPem: tls.caPem, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** `pulsefold registrar init CONFIG`: makes the CA that the config describes. */
export async function initialiseFromConfig(
  configPath: string,
): Promise<{ caPem: string; caFingerprint: string }> {
  const config = await loadRegistrarConfig(configPath);
  return await initialiseRegistrar(config.directory, {
    suite: config.suite,
    passphrase: await passphraseOf(config),
    hosts: config.hosts,
    ...(config.scrypt ? { scrypt: config.scrypt } : {}),
  });
}

const passphraseOf = (config: RegistrarConfig): Promise<string> =>
  readPassphrase({ env: config.passphraseEnv, file: config.passphraseFile });

/** `pulsefold registrar run CONFIG`: serves until `stop`. */
export async function runRegistrar(
  configPath: string,
  options: { readonly onInternalError?: (method: string, error: unknown) => void } = {},
): Promise<RunningRegistrar> {
  const config = await loadRegistrarConfig(configPath);
  return await startRegistrar({
    directory: config.directory,
    passphrase: await passphraseOf(config),
    enrolAddress: config.enrolAddress,
    address: config.address,
    hosts: config.hosts,
    certificateLifetimeMs: config.certificateLifetimeDays * DAY_MS,
    revocationListLifetimeMs: config.revocationListLifetimeHours * 3_600_000,
    scrypt: config.scrypt,
    ...options,
  });
}
