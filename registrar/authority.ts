/**
 * The enrolment CA on disk: making it, opening it, minting tokens, revoking.
 *
 * For: the registrar's operator, through cli/ and registrar.ts. Trusts: the directory and the passphrase. In the
 * directory: ca.pem (public), ca-key.sealed and identity.sealed (secret, sealed), registrar.sqlite (no secrets).
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fromUtf8, toHex, utf8 } from '../crypto/bytes.ts';
import { ensure } from '../crypto/error.ts';
import {
  type CertificateAuthority,
  certificateDer,
  createCertificateAuthority,
  type EnrolledRole,
  generateTlsKey,
  isEnrolledRole,
  issueCertificate,
  serverRoles,
  subjectIdOf,
} from '../crypto/identity/certificate.ts';
import { openSealedFile, type ScryptParameters, sealFile } from '../crypto/identity/sealed-file.ts';
import { getSuite, type SuiteName } from '../crypto/identity/suite.ts';
import { randomBytes } from '../crypto/random.ts';
import { writeFileAtomic } from '../protos/transport/atomic-file.ts';
import { formatToken } from '../protos/transport/enrol.ts';
import { TOKEN_BYTES, tokenHash } from '../protos/transport/enrolment-messages.ts';
import { assembleBundle, type IdentityBundle } from '../protos/transport/identity-bundle.ts';
import { loadIdentity, readSealed, saveIdentity } from '../protos/transport/identity-store.ts';
import { RegistrarStore } from './store.ts';

const DAY_MS = 86_400_000;
const CA_LIFETIME_MS = 3650 * DAY_MS;
const TOKEN_LIFETIME_MS_MAX = 30 * DAY_MS;
const CA_KEY_LABEL = 'ca-key';
/** Certificates are valid from this long before they are made: clocks of others may be behind the registrar's. */
export const CERTIFICATE_EARLY_MS = 5 * 60_000;
/** The registrar's own server certificate: made again at start when less than a third of this is left. */
const OWN_LIFETIME_MS = 90 * DAY_MS;

export const registrarFiles = (dir: string) => ({
  ca: join(dir, 'ca.pem'),
  caKey: join(dir, 'ca-key.sealed'),
  identity: join(dir, 'identity.sealed'),
  store: join(dir, 'registrar.sqlite'),
});

export interface OpenAuthority {
  readonly authority: CertificateAuthority;
  /** The registrar's own server identity, which also signs revocation lists. */
  readonly bundle: IdentityBundle;
  readonly store: RegistrarStore;
}

export interface InitialiseOptions {
  readonly suite: SuiteName;
  readonly passphrase: string;
  /** Host names and addresses of the registrar beyond localhost. */
  readonly hosts?: readonly string[];
  readonly caName?: string;
  readonly scrypt?: ScryptParameters;
  readonly now?: () => number;
}

/**
 * Makes a new CA in `dir`. Throws CONFIG_INVALID when there is one already: a second CA would orphan every device.
 * Returns the CA certificate and its SHA-256, which plans pin.
 */
export async function initialiseRegistrar(
  dir: string,
  options: InitialiseOptions,
): Promise<{ caPem: string; caFingerprint: string }> {
  const files = registrarFiles(dir);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  ensure(
    !existsSync(files.ca) && !existsSync(files.caKey),
    'CONFIG_INVALID',
    `${dir} already holds a registrar`,
  );
  const nowMs = (options.now ?? Date.now)();
  const authority = await createCertificateAuthority({
    name: options.caName ?? 'Pulsefold enrolment CA',
    notBeforeMs: nowMs - CERTIFICATE_EARLY_MS,
    notAfterMs: nowMs + CA_LIFETIME_MS,
  });
  const sealOptions = options.scrypt ? { parameters: options.scrypt } : {};
  const secret = { passphrase: options.passphrase };
  const sealedKey = sealFile(options.suite, utf8(authority.caKeyPem), secret, CA_KEY_LABEL, sealOptions);
  await writeFileAtomic(files.caKey, sealedKey);
  const store = new RegistrarStore(files.store);
  try {
    const bundle = await issueOwn(authority, store, options.suite, options.hosts ?? [], nowMs);
    await saveIdentity(files.identity, bundle, secret, options.scrypt);
  } finally {
    store.close();
  }
  // Last: its presence says that the directory is complete.
  await writeFileAtomic(files.ca, utf8(authority.caPem), 0o644);
  return { caPem: authority.caPem, caFingerprint: caFingerprint(authority.caPem) };
}

/** SHA-256 of the CA certificate's DER, hex; in both suites, as plans carry it. */
export const caFingerprint = (caPem: string): string => toHex(getSuite('intl').digest(certificateDer(caPem)));

async function issueOwn(
  authority: CertificateAuthority,
  store: RegistrarStore,
  suiteName: SuiteName,
  hosts: readonly string[],
  nowMs: number,
): Promise<IdentityBundle> {
  const suite = getSuite(suiteName);
  const signing = suite.generateSigningKey();
  const sealing = suite.generateSealingKey();
  const { tlsKeyPem, tlsPublicKey } = await generateTlsKey();
  const subjectId = subjectIdOf('registrar', suiteName, signing.publicKey);
  const keys = { signingPublicKey: signing.publicKey, sealingPublicKey: sealing.publicKey };
  const notAfterMs = nowMs + OWN_LIFETIME_MS;
  const { der, pem, serial } = await issueCertificate(authority, {
    claims: { role: 'registrar', suite: suiteName, subjectId, ...keys },
    tlsPublicKey,
    notBeforeMs: nowMs - CERTIFICATE_EARLY_MS,
    notAfterMs,
    hosts,
  });
  store.addCertificate({ serial, subjectId, role: 'registrar', hosts, der, issuedAtMs: nowMs, notAfterMs });
  return assembleBundle({ caPem: authority.caPem, certPem: pem, tlsKeyPem, signing, sealing });
}

/** Opens the CA. Throws CONFIG_INVALID when there is none, FILE_SEALED for a wrong passphrase. Caller closes `store`. */
export async function openAuthority(
  dir: string,
  options: {
    passphrase: string;
    hosts?: readonly string[];
    scrypt?: ScryptParameters | undefined;
    now?: () => number;
  },
): Promise<OpenAuthority> {
  const files = registrarFiles(dir);
  ensure(
    existsSync(files.ca),
    'CONFIG_INVALID',
    `no registrar in ${dir}: run "pulsefold registrar init" first`,
  );
  const nowMs = (options.now ?? Date.now)();
  const secret = { passphrase: options.passphrase };
  const caPem = await readFile(files.ca, 'utf8');
  const caKeyPem = fromUtf8(openSealedFile(await readSealed(files.caKey), secret, CA_KEY_LABEL));
  const authority = { caPem, caKeyPem };
  const store = new RegistrarStore(files.store);
  try {
    let bundle = await loadIdentity(files.identity, secret);
    ensure(
      bundle.caPem === caPem,
      'CERTIFICATE_UNTRUSTED',
      'identity and CA of the registrar do not belong together',
    );
    const missing = (options.hosts ?? []).some((host) => !store.hostsOf(bundle.serial).includes(host));
    if (missing || bundle.notAfterMs - nowMs < OWN_LIFETIME_MS / 3) {
      bundle = await issueOwn(authority, store, bundle.suite, options.hosts ?? [], nowMs);
      await saveIdentity(files.identity, bundle, secret, options.scrypt);
    }
    return { authority, bundle, store };
  } catch (error) {
    store.close();
    throw error;
  }
}

function withStore<Result>(dir: string, body: (store: RegistrarStore) => Result): Result {
  const files = registrarFiles(dir);
  ensure(
    existsSync(files.store),
    'CONFIG_INVALID',
    `no registrar in ${dir}: run "pulsefold registrar init" first`,
  );
  const store = new RegistrarStore(files.store);
  try {
    return body(store);
  } finally {
    store.close();
  }
}

const isHost = (host: string): boolean => /^[A-Za-z0-9.:-]{1,253}$/.test(host);

/**
 * A one-time token for a role, as text to hand to the applicant; it is stored only as a hash. `hosts` are the names a
 * server may serve under. Needs no passphrase, and the registrar may be running. Throws FIELD_OUT_OF_RANGE.
 */
export function mintToken(
  dir: string,
  role: EnrolledRole,
  expiresInMs: number,
  options: { readonly hosts?: readonly string[]; readonly now?: () => number } = {},
): string {
  ensure(isEnrolledRole(role), 'FIELD_OUT_OF_RANGE', `no tokens for role ${String(role)}`);
  const inRange = Number.isFinite(expiresInMs) && expiresInMs > 0 && expiresInMs <= TOKEN_LIFETIME_MS_MAX;
  ensure(inRange, 'FIELD_OUT_OF_RANGE', 'a token lives for more than 0 and at most 30 days');
  const hosts = options.hosts ?? [];
  ensure(
    hosts.length <= 16 && hosts.every(isHost),
    'FIELD_OUT_OF_RANGE',
    'at most 16 host names or addresses',
  );
  ensure(
    hosts.length === 0 || serverRoles.includes(role),
    'FIELD_OUT_OF_RANGE',
    `role ${role} serves no hosts`,
  );
  const token = randomBytes(TOKEN_BYTES);
  const nowMs = (options.now ?? Date.now)();
  withStore(dir, (store) =>
    store.addToken(tokenHash(token), { role, hosts }, nowMs, Math.ceil(nowMs + expiresInMs)),
  );
  return formatToken(token);
}

/**
 * Revokes a certificate and all others for the same signing key; a running registrar publishes it with its next list.
 * Returns the serials. Throws NOT_FOUND or FIELD_OUT_OF_RANGE.
 */
export function revoke(dir: string, serial: string, now: () => number = Date.now): string[] {
  const normal = serial.toLowerCase();
  ensure(/^[0-9a-f]{32}$/.test(normal), 'FIELD_OUT_OF_RANGE', 'a serial number has 32 hexadecimal digits');
  return withStore(dir, (store) => store.revoke(normal, now()));
}

/** Issued certificates, newest first. */
export const listCertificates = (dir: string): ReturnType<RegistrarStore['list']> =>
  withStore(dir, (store) => store.list());
