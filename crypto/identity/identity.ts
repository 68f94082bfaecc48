/**
 * Who a certificate speaks for, and the extension that says so.
 *
 * For: certificate.ts and everyone who holds an Identity. Trusts: nothing; `decodeIdentityExtension` takes hostile
 * bytes. May be called by: everyone.
 *
 * The extension (OID 1.3.6.1.4.1.59999.1.1, a placeholder for private use until the project owns an arc) holds
 *   SEQUENCE { version INTEGER (1), role UTF8String, suite UTF8String, subjectId UTF8String,
 *              signingPublicKey OCTET STRING, sealingPublicKey [0] IMPLICIT OCTET STRING OPTIONAL }
 */
import { concat, fromUtf8, toHex, transcript, utf8 } from '../bytes.ts';
import { ensure } from '../error.ts';
import { DerReader, encodeDer, TAG } from './der.ts';
import { getSuite, isSuiteName, type SuiteName } from './suite.ts';

export const IDENTITY_EXTENSION_OID = '1.3.6.1.4.1.59999.1.1';

/** Roles that enrol with a token. `registrar` is the CA's own server and signs the revocation list. */
export const enrolledRoles = ['coordinator', 'keyholder', 'client', 'researcher', 'auditor'] as const;
export type EnrolledRole = (typeof enrolledRoles)[number];
export type Role = EnrolledRole | 'registrar';
export const roles: readonly Role[] = [...enrolledRoles, 'registrar'];
/** Roles whose certificates may serve TLS. */
export const serverRoles: readonly Role[] = ['coordinator', 'keyholder', 'registrar'];

export const isRole = (value: unknown): value is Role => roles.some((role) => role === value);
export const isEnrolledRole = (value: unknown): value is EnrolledRole =>
  enrolledRoles.some((role) => role === value);

/** What the registrar vouches for about a subject. */
export interface SubjectClaims {
  readonly role: Role;
  readonly suite: SuiteName;
  /** 32 hex digits, derived from role, suite and signing key. */
  readonly subjectId: string;
  readonly signingPublicKey: Uint8Array;
  readonly sealingPublicKey?: Uint8Array;
}

/** Claims of a certificate that was checked against the registrar's CA. */
export interface Identity extends SubjectClaims {
  /** Lower-case hex of the serial number. */
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/**
 * First 16 bytes, in hex, of SHA-256 over role, suite and signing key: nobody can choose another's identifier, and a
 * new certificate for the same key keeps it. SHA-256 in both suites, so identifiers compare across deployments.
 */
export function subjectIdOf(role: Role, suite: SuiteName, signingPublicKey: Uint8Array): string {
  return toHex(
    getSuite('intl')
      .digest(transcript('subject-id', role, suite, signingPublicKey))
      .subarray(0, 16),
  );
}

export function encodeIdentityExtension(claims: SubjectClaims): Uint8Array {
  const fields = [
    encodeDer(TAG.integer, Uint8Array.of(1)),
    encodeDer(TAG.utf8String, utf8(claims.role)),
    encodeDer(TAG.utf8String, utf8(claims.suite)),
    encodeDer(TAG.utf8String, utf8(claims.subjectId)),
    encodeDer(TAG.octetString, claims.signingPublicKey),
  ];
  if (claims.sealingPublicKey) fields.push(encodeDer(TAG.context0, claims.sealingPublicKey));
  return encodeDer(TAG.sequence, concat(...fields));
}

/** Throws MALFORMED_MESSAGE or FIELD_OUT_OF_RANGE. Checks lengths and the derived identifier, not the curve. */
export function decodeIdentityExtension(der: Uint8Array): SubjectClaims {
  ensure(der.length <= 512, 'MALFORMED_MESSAGE', 'identity extension longer than 512 bytes');
  const outer = new DerReader(der);
  const reader = new DerReader(outer.read(TAG.sequence));
  outer.end();
  const version = reader.read(TAG.integer);
  ensure(
    version.length === 1 && version[0] === 1,
    'MALFORMED_MESSAGE',
    'identity extension is not version 1',
  );
  const role = readText(reader);
  const suite = readText(reader);
  const subjectId = readText(reader);
  const signingPublicKey = reader.read(TAG.octetString).slice();
  const sealingPublicKey = reader.done ? undefined : reader.read(TAG.context0).slice();
  reader.end();
  ensure(isRole(role), 'FIELD_OUT_OF_RANGE', 'identity extension names an unknown role');
  ensure(isSuiteName(suite), 'FIELD_OUT_OF_RANGE', 'identity extension names an unknown suite');
  const keyBytes = getSuite(suite).publicKeyBytes;
  ensure(signingPublicKey.length === keyBytes, 'FIELD_OUT_OF_RANGE', 'signing key has the wrong length');
  ensure(
    (sealingPublicKey?.length ?? keyBytes) === keyBytes,
    'FIELD_OUT_OF_RANGE',
    'sealing key has the wrong length',
  );
  const expected = subjectIdOf(role, suite, signingPublicKey);
  ensure(subjectId === expected, 'FIELD_OUT_OF_RANGE', 'subject id does not belong to the signing key');
  return { role, suite, subjectId, signingPublicKey, ...(sealingPublicKey ? { sealingPublicKey } : {}) };
}

function readText(reader: DerReader): string {
  const bytes = reader.read(TAG.utf8String);
  ensure(
    bytes.length <= 64 && bytes.every((byte) => byte >= 0x20 && byte < 0x7f),
    'MALFORMED_MESSAGE',
    'not a name',
  );
  return fromUtf8(bytes);
}
