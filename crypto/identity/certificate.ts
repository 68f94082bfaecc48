/**
 * X.509 certificates: the registrar's CA, the leaf certificates it issues, and the check that everyone else makes.
 *
 * For: the registrar (issue), every TLS endpoint and every key holder (verify). A key holder accepts a device only
 * by `verifyCertificate` against the CA it pinned, so a device minted by the coordinator does not count.
 * Trusts: the CA certificate the caller pinned, node:crypto for signatures, @peculiar/x509 for encoding. Certificates
 * are hostile input. Profile: RFC 5280; ECDSA P-256 with SHA-256 throughout, also under suite `gm`, because TLS 1.3
 * in Node has no SM2; the suite's own keys stand in the extension of identity.ts.
 */
import 'reflect-metadata';
import { createHash, type KeyObject, webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { concat, equalBytes, fromHex, toHex } from '../bytes.ts';
import { ensure, PulsefoldError } from '../error.ts';
import { type RandomSource, randomBytes, systemRandom } from '../random.ts';
import { BoundedCache } from './bounded-cache.ts';
import { DerReader, TAG } from './der.ts';
import {
  decodeIdentityExtension,
  encodeIdentityExtension,
  IDENTITY_EXTENSION_OID,
  type Identity,
  type SubjectClaims,
  serverRoles,
} from './identity.ts';

export {
  type EnrolledRole,
  enrolledRoles,
  type Identity,
  isEnrolledRole,
  isRole,
  type Role,
  roles,
  type SubjectClaims,
  serverRoles,
  subjectIdOf,
} from './identity.ts';

// 1.3.6.1.4.1.59999.1.1 in base 128 (X.690 §8.19), without tag and length.
const IDENTITY_EXTENSION_OID_DER = fromHex('2b0601040183d45f0101');
const ECDSA_P256 = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const ECDSA_SHA256 = { name: 'ECDSA', hash: 'SHA-256' } as const;
const CERTIFICATE_BYTES_MAX = 4096;
const EKU_SERVER = '1.3.6.1.5.5.7.3.1';
const EKU_CLIENT = '1.3.6.1.5.5.7.3.2';

/** PEM text; the key is PKCS #8 and must be sealed before it is written anywhere. */
export interface CertificateAuthority {
  readonly caPem: string;
  readonly caKeyPem: string;
}

/** 16 random bytes with the top bit clear and the next set: positive and of fixed length (RFC 5280 §4.1.2.2). */
function newSerial(random: RandomSource): string {
  const serial = randomBytes(16, random);
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  return toHex(serial);
}

const pkcs8Pem = async (key: webcrypto.CryptoKey): Promise<string> =>
  x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');

async function importCaKey(caKeyPem: string): Promise<webcrypto.CryptoKey> {
  const pkcs8 = x509.PemConverter.decodeFirst(caKeyPem);
  return await webcrypto.subtle.importKey('pkcs8', pkcs8, ECDSA_P256, false, ['sign']);
}

/** A fresh self-signed CA that may issue leaves only (path length 0). */
export async function createCertificateAuthority(options: {
  readonly name: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly random?: RandomSource;
}): Promise<CertificateAuthority> {
  const keys = await webcrypto.subtle.generateKey(ECDSA_P256, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(options.random ?? systemRandom),
    name: [{ CN: [options.name] }, { O: ['Pulsefold'] }],
    notBefore: new Date(options.notBeforeMs),
    notAfter: new Date(options.notAfterMs),
    signingAlgorithm: ECDSA_SHA256,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false),
    ],
  });
  return { caPem: certificate.toString('pem'), caKeyPem: await pkcs8Pem(keys.privateKey) };
}

/** A fresh ECDSA P-256 key for TLS: PKCS #8 PEM and SubjectPublicKeyInfo DER. */
export async function generateTlsKey(): Promise<{ tlsKeyPem: string; tlsPublicKey: Uint8Array }> {
  const keys = await webcrypto.subtle.generateKey(ECDSA_P256, true, ['sign', 'verify']);
  const spki = new Uint8Array(await webcrypto.subtle.exportKey('spki', keys.publicKey));
  return { tlsKeyPem: await pkcs8Pem(keys.privateKey), tlsPublicKey: spki };
}

export interface LeafRequest {
  readonly claims: SubjectClaims;
  /** SubjectPublicKeyInfo, DER, ECDSA P-256. */
  readonly tlsPublicKey: Uint8Array;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Host names and IP addresses beyond localhost; only for server roles. */
  readonly hosts?: readonly string[];
  readonly random?: RandomSource;
}

const isIpAddress = (host: string): boolean => /^[0-9.]+$/.test(host) || host.includes(':');

/** Only servers get names and the serverAuth purpose: a client's certificate cannot pose as the coordinator. */
function roleExtensions(request: LeafRequest): x509.Extension[] {
  if (!serverRoles.includes(request.claims.role))
    return [new x509.ExtendedKeyUsageExtension([EKU_CLIENT], true)];
  const hosts = [...new Set(['localhost', '127.0.0.1', '::1', ...(request.hosts ?? [])])];
  const names = hosts.map((host) => ({ type: isIpAddress(host) ? 'ip' : 'dns', value: host }) as const);
  return [
    new x509.ExtendedKeyUsageExtension([EKU_SERVER, EKU_CLIENT], true),
    new x509.SubjectAlternativeNameExtension(names, false),
  ];
}

/** Issues a leaf. The caller has checked token, proof of possession and claims. Returns DER, PEM and serial. */
export async function issueCertificate(
  authority: CertificateAuthority,
  request: LeafRequest,
): Promise<{ der: Uint8Array; pem: string; serial: string }> {
  const issuer = new x509.X509Certificate(authority.caPem);
  const serial = newSerial(request.random ?? systemRandom);
  const publicKey = await webcrypto.subtle.importKey('spki', request.tlsPublicKey.slice(), ECDSA_P256, true, [
    'verify',
  ]);
  const claims = encodeIdentityExtension(request.claims);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial,
    subject: [{ CN: [request.claims.subjectId] }, { OU: [request.claims.role] }],
    issuer: issuer.subjectName,
    notBefore: new Date(request.notBeforeMs),
    notAfter: new Date(request.notAfterMs),
    signingAlgorithm: ECDSA_SHA256,
    publicKey,
    signingKey: await importCaKey(authority.caKeyPem),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey, false),
      ...roleExtensions(request),
      new x509.Extension(IDENTITY_EXTENSION_OID, false, claims.slice().buffer),
    ],
  });
  return { der: new Uint8Array(certificate.rawData), pem: certificate.toString('pem'), serial };
}

/** DER of the first certificate in a PEM text. Throws MALFORMED_MESSAGE. */
export function certificateDer(pem: string): Uint8Array {
  try {
    return new Uint8Array(new X509Certificate(pem).raw);
  } catch (cause) {
    throw new PulsefoldError('MALFORMED_MESSAGE', 'expected a certificate in PEM form', { cause });
  }
}

const untrusted = (message: string, cause?: unknown): PulsefoldError =>
  new PulsefoldError('CERTIFICATE_UNTRUSTED', message, { cause });

interface CheckedCertificate {
  readonly identity: Identity;
}

/** The pinned CA, parsed once; remembers certificates whose signature it has checked (time is checked every call). */
export class CertificateVerifier {
  readonly #ca: X509Certificate;
  readonly #caKey: KeyObject;
  /** Room for the largest cohort (protos/fields.ts, COHORT_MAX). */
  readonly #checked = new BoundedCache<CheckedCertificate>(131_072);

  /** Throws CERTIFICATE_UNTRUSTED when `ca` is not a self-signed CA certificate. DER or PEM. */
  constructor(ca: Uint8Array | string) {
    try {
      this.#ca = new X509Certificate(typeof ca === 'string' ? ca : Buffer.from(ca));
      this.#caKey = this.#ca.publicKey;
    } catch (cause) {
      throw untrusted('the pinned CA is not a certificate', cause);
    }
    const selfSigned = this.#ca.ca && this.#ca.verify(this.#caKey);
    ensure(selfSigned, 'CERTIFICATE_UNTRUSTED', 'the pinned CA certificate is not a self-signed CA');
  }

  /**
   * Identity in a leaf certificate. Throws CERTIFICATE_UNTRUSTED (other issuer, CA certificate, bad extension) or
   * CERTIFICATE_EXPIRED (outside its validity at `atTimeMs`, or the CA outside its own).
   */
  verify(der: Uint8Array, atTimeMs: number): Identity {
    return this.requireValid(this.readOwn(der), atTimeMs);
  }

  /** The times of `verify`, for an identity that this verifier gave out earlier. Throws CERTIFICATE_EXPIRED. */
  requireValid(identity: Identity, atTimeMs: number): Identity {
    const valid = atTimeMs >= identity.notBeforeMs && atTimeMs <= identity.notAfterMs;
    ensure(valid, 'CERTIFICATE_EXPIRED', 'certificate is outside its validity: enrol again');
    const caValid =
      atTimeMs >= this.#ca.validFromDate.getTime() && atTimeMs <= this.#ca.validToDate.getTime();
    ensure(caValid, 'CERTIFICATE_EXPIRED', 'the CA certificate is outside its validity');
    return identity;
  }

  /** `verify` without the times: only for one's own certificate, which may have expired. */
  readOwn(der: Uint8Array): Identity {
    ensure(
      der.length <= CERTIFICATE_BYTES_MAX,
      'CERTIFICATE_UNTRUSTED',
      'certificate longer than 4096 bytes',
    );
    const fingerprint = createHash('sha256').update(der).digest('hex');
    let checked = this.#checked.get(fingerprint);
    if (!checked) {
      checked = { identity: this.#check(der) };
      this.#checked.set(fingerprint, checked);
    }
    return checked.identity;
  }

  /**
   * `readOwn` of a certificate that OpenSSL parsed and whose signature TLS checked on this connection, with this CA as
   * its one trust anchor: everything but the signature is checked. The caller answers for that (transport/http2-server.ts).
   */
  readTlsPeer(leaf: X509Certificate): Identity {
    const der = new Uint8Array(leaf.raw);
    ensure(
      der.length <= CERTIFICATE_BYTES_MAX,
      'CERTIFICATE_UNTRUSTED',
      'certificate longer than 4096 bytes',
    );
    ensure(leaf.checkIssued(this.#ca), 'CERTIFICATE_UNTRUSTED', WRONG_ISSUER);
    return identityOf(leaf, der);
  }

  /** Whether `pem` holds this CA's certificate and no other. */
  isOnlyCa(pem: string): boolean {
    const count = pem.split('-----BEGIN').length - 1;
    return count === 1 && equalBytes(certificateDer(pem), new Uint8Array(this.#ca.raw));
  }

  #check(der: Uint8Array): Identity {
    let leaf: X509Certificate;
    try {
      leaf = new X509Certificate(Buffer.from(der));
    } catch (cause) {
      throw untrusted('not a certificate', cause);
    }
    // The parser takes PEM too and ignores bytes after the certificate; one certificate must have one encoding.
    ensure(
      equalBytes(new Uint8Array(leaf.raw), der),
      'CERTIFICATE_UNTRUSTED',
      'certificate is not plain DER',
    );
    const signed = leaf.checkIssued(this.#ca) && leaf.verify(this.#caKey);
    ensure(signed, 'CERTIFICATE_UNTRUSTED', WRONG_ISSUER);
    return identityOf(leaf, der);
  }
}

const WRONG_ISSUER = 'certificate was not issued by the pinned registrar CA';

/** What a leaf whose signature has been checked says, if it is well-formed. */
function identityOf(leaf: X509Certificate, der: Uint8Array): Identity {
  ensure(!leaf.ca, 'CERTIFICATE_UNTRUSTED', 'a CA certificate is not an identity');
  const claims = readClaims(der);
  const names = leaf.subject.split('\n');
  const bound = names.includes(`CN=${claims.subjectId}`) && names.includes(`OU=${claims.role}`);
  ensure(bound, 'CERTIFICATE_UNTRUSTED', 'subject and identity extension of the certificate differ');
  return {
    ...claims,
    serial: leaf.serialNumber.toLowerCase(),
    notBeforeMs: leaf.validFromDate.getTime(),
    notAfterMs: leaf.validToDate.getTime(),
  };
}

/** The identity extension of a certificate whose signature has been checked: RFC 5280 §4.1 walked in order. */
function readClaims(der: Uint8Array): SubjectClaims {
  try {
    const certificate = new DerReader(new DerReader(der).read(TAG.sequence));
    const body = new DerReader(certificate.read(TAG.sequence));
    body.read(TAG.explicit0); // version
    body.read(TAG.integer); // serial number
    for (let i = 0; i < 5; i++) body.read(TAG.sequence); // algorithm, issuer, validity, subject, public key
    const list = new DerReader(new DerReader(body.read(TAG.explicit3)).read(TAG.sequence));
    const found: Uint8Array[] = [];
    while (!list.done) {
      const extension = new DerReader(list.read(TAG.sequence));
      const oid = extension.read(TAG.objectIdentifier);
      if (extension.peek(TAG.boolean)) extension.read(TAG.boolean);
      if (equalBytes(oid, IDENTITY_EXTENSION_OID_DER)) found.push(extension.read(TAG.octetString));
    }
    ensure(found.length === 1, 'CERTIFICATE_UNTRUSTED', 'certificate does not hold one identity extension');
    return decodeIdentityExtension(found[0]!);
  } catch (cause) {
    throw untrusted('certificate without a valid Pulsefold identity', cause);
  }
}

const verifiers = new BoundedCache<CertificateVerifier>(16);

/** `CertificateVerifier` for callers without a place to keep one: the parsed CA is remembered by its bytes. */
export function verifyCertificate(der: Uint8Array, caDer: Uint8Array, atTimeMs: number): Identity {
  const key = createHash('sha256').update(concat(caDer)).digest('hex');
  let verifier = verifiers.get(key);
  if (!verifier) {
    verifier = new CertificateVerifier(caDer);
    verifiers.set(key, verifier);
  }
  return verifier.verify(der, atTimeMs);
}
