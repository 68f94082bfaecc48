/**
 * The applicant's side of enrolment: make keys, prove possession, exchange the token for a certificate.
 *
 * For: every role. Trusts: the CA certificate it was given out of band, and the token's secrecy. The certificate that
 * comes back is checked against that CA and against the keys made here.
 */
import { X509Certificate } from 'node:crypto';
import { ensure } from '../../crypto/error.ts';
import {
  CertificateVerifier,
  certificateDer,
  type EnrolledRole,
  generateTlsKey,
  serverRoles,
} from '../../crypto/identity/certificate.ts';
import { parseRevocationList, type RevocationList } from '../../crypto/identity/revocation.ts';
import { getSuite, type KeyPair, type SuiteName } from '../../crypto/identity/suite.ts';
import { openClient, type RpcClient } from './channel.ts';
import {
  enrolStatement,
  parseEnrolReply,
  renewStatement,
  signWithTlsKey,
  TOKEN_BYTES,
} from './enrolment-messages.ts';
import { assembleBundle, type IdentityBundle } from './identity-bundle.ts';
import { channelCredentials } from './tls.ts';

const TOKEN_PREFIX = 'pft1-';

/** A token as a person passes it on: `pft1-` and 43 characters of base64url. */
export const formatToken = (token: Uint8Array): string =>
  TOKEN_PREFIX + Buffer.from(token).toString('base64url');

/** Throws TOKEN_INVALID. */
export function parseToken(text: string): Uint8Array {
  const trimmed = text.trim();
  const wellFormed = /^pft1-[A-Za-z0-9_-]{43}$/.test(trimmed);
  ensure(
    wellFormed,
    'TOKEN_INVALID',
    'an enrolment token looks like pft1-… (43 characters): check that it is complete',
  );
  const token = new Uint8Array(Buffer.from(trimmed.slice(TOKEN_PREFIX.length), 'base64url'));
  ensure(
    token.length === TOKEN_BYTES && formatToken(token) === trimmed,
    'TOKEN_INVALID',
    'not an enrolment token',
  );
  return token;
}

export interface EnrolOptions {
  /** Address of the registrar's enrolment service, `host:port`. */
  readonly enrolAddress: string;
  /** CA certificate, PEM, obtained out of band (its digest stands in the plan). */
  readonly caPem: string;
  readonly token: string;
  readonly role: EnrolledRole;
  readonly suite: SuiteName;
  readonly deadlineMs?: number;
  /** Keys to enrol; made here when absent. Pass the old ones to keep a subject id. */
  readonly signing?: KeyPair;
  readonly sealing?: KeyPair;
  readonly now?: () => number;
}

/**
 * Enrols and returns the bundle, which the caller seals at once. Throws TOKEN_INVALID, TOKEN_USED, UNAVAILABLE, or
 * CERTIFICATE_UNTRUSTED / WRONG_ROLE / BAD_SIGNATURE when the registrar answers with another certificate.
 */
export async function enrol(options: EnrolOptions): Promise<IdentityBundle> {
  const { caPem, role, suite: suiteName } = options;
  const token = parseToken(options.token);
  const suite = getSuite(suiteName);
  const signing = options.signing ?? suite.generateSigningKey();
  const sealing = options.sealing ?? suite.generateSealingKey();
  const { tlsKeyPem, tlsPublicKey } = await generateTlsKey();
  const keys = { signingPublicKey: signing.publicKey, sealingPublicKey: sealing.publicKey, tlsPublicKey };
  const claims = { token, role, suite: suiteName, ...keys };
  const statement = enrolStatement(claims);
  const signingProof = suite.sign(signing.secretKey, statement);
  const tlsProof = signWithTlsKey(tlsKeyPem, statement);
  const credentials = channelCredentials({ caPem, server: { role: 'registrar' } });
  const client = openClient({ service: 'Enrolment', address: options.enrolAddress, credentials });
  try {
    // Repeating is safe: the registrar answers the same request with the same certificate.
    const callOptions = { idempotent: true, deadlineMs: options.deadlineMs ?? 20_000 };
    const reply = await client.call('enrol', { ...claims, signingProof, tlsProof }, callOptions);
    const { certificate } = parseEnrolReply(reply);
    return acceptCertificate(
      certificate,
      { caPem, tlsKeyPem, signing, sealing, role },
      options.now ?? Date.now,
    );
  } finally {
    client.close();
  }
}

function acceptCertificate(
  certificate: Uint8Array,
  own: { caPem: string; tlsKeyPem: string; signing: KeyPair; sealing: KeyPair; role: IdentityBundle['role'] },
  now: () => number,
): IdentityBundle {
  const identity = new CertificateVerifier(own.caPem).verify(certificate, now());
  ensure(
    identity.role === own.role,
    'WRONG_ROLE',
    `the registrar issued a certificate for role ${identity.role}`,
  );
  const certPem = new X509Certificate(Buffer.from(certificate)).toString();
  return assembleBundle({ ...own, certPem });
}

/** A client of the registrar's mutual-TLS service. */
export const openRegistrar = (address: string, bundle: IdentityBundle): RpcClient =>
  openClient({
    service: 'Registrar',
    address,
    credentials: channelCredentials({
      caPem: bundle.caPem,
      certPem: bundle.certPem,
      keyPem: bundle.tlsKeyPem,
      server: { role: 'registrar' },
    }),
  });

/** A certificate with a later end for the same keys. Throws as `enrol` does, or CERTIFICATE_REVOKED. */
export async function renew(
  address: string,
  bundle: IdentityBundle,
  now = Date.now,
): Promise<IdentityBundle> {
  const { tlsKeyPem, tlsPublicKey } = await generateTlsKey();
  const statement = renewStatement(bundle.serial, tlsPublicKey);
  const signingProof = getSuite(bundle.suite).sign(bundle.signing.secretKey, statement);
  const tlsProof = signWithTlsKey(tlsKeyPem, statement);
  const client = openRegistrar(address, bundle);
  try {
    const { certificate } = parseEnrolReply(
      await client.call('renew', { tlsPublicKey, signingProof, tlsProof }),
    );
    const { caPem, signing, sealing, role } = bundle;
    return acceptCertificate(certificate, { caPem, tlsKeyPem, signing, sealing, role }, now);
  } finally {
    client.close();
  }
}

/** The newest revocation list, checked. */
export async function fetchRevocationList(
  client: RpcClient,
  caPem: string,
  now = Date.now,
): Promise<RevocationList> {
  const reply = await client.call<{ list?: unknown }>(
    'getRevocationList',
    {},
    { idempotent: true, deadlineMs: 10_000 },
  );
  ensure(reply.list instanceof Uint8Array, 'MALFORMED_MESSAGE', 'GetRevocationListReply: list is missing');
  return parseRevocationList(new Uint8Array(reply.list), certificateDer(caPem), now());
}

/** TLS material of a server role, in the form `serverCredentials` takes. Throws WRONG_ROLE for other roles. */
export function serverTls(bundle: IdentityBundle): { caPem: string; certPem: string; keyPem: string } {
  ensure(serverRoles.includes(bundle.role), 'WRONG_ROLE', `role ${bundle.role} has no server certificate`);
  return { caPem: bundle.caPem, certPem: bundle.certPem, keyPem: bundle.tlsKeyPem };
}
