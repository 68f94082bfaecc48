/**
 * The messages of registrar.proto: caps, parsing, and the bytes that their proofs cover.
 *
 * For: enrol.ts (client side) and registrar/. Trusts: nothing; both parsers take hostile input.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import * as z from 'zod';
import { equalBytes, transcript } from '../../crypto/bytes.ts';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import { type EnrolledRole, enrolledRoles } from '../../crypto/identity/certificate.ts';
import { getSuite, type SuiteName, suiteNames } from '../../crypto/identity/suite.ts';

export const TOKEN_BYTES = 32;
/** SubjectPublicKeyInfo of an uncompressed P-256 point. */
export const TLS_PUBLIC_KEY_BYTES = 91;
export const CERTIFICATE_BYTES_MAX = 4096;

/** Bytes of exactly one of the given lengths, as Uint8Array. */
const bytesOf = (...lengths: number[]) =>
  z
    .custom<Uint8Array>((value) => value instanceof Uint8Array && lengths.includes(value.length))
    .transform((value) => Uint8Array.from(value));

const proofs = { signingProof: bytesOf(64), tlsProof: bytesOf(64) };

const enrolSchema = z.strictObject({
  token: bytesOf(TOKEN_BYTES),
  role: z.enum(enrolledRoles),
  suite: z.enum(suiteNames as [SuiteName, ...SuiteName[]]),
  signingPublicKey: bytesOf(32, 65),
  sealingPublicKey: bytesOf(32, 65),
  tlsPublicKey: bytesOf(TLS_PUBLIC_KEY_BYTES),
  ...proofs,
});
const renewSchema = z.strictObject({ tlsPublicKey: bytesOf(TLS_PUBLIC_KEY_BYTES), ...proofs });

export type EnrolRequest = z.infer<typeof enrolSchema>;
export type RenewRequest = z.infer<typeof renewSchema>;

/** Throws MALFORMED_MESSAGE that names the field. */
function parse<Schema extends z.ZodType>(schema: Schema, message: unknown, name: string): z.infer<Schema> {
  const parsed = schema.safeParse(message);
  if (parsed.success) return parsed.data;
  const field = parsed.error.issues[0]?.path.join('.') || 'message';
  throw new PulsefoldError(
    'MALFORMED_MESSAGE',
    `${name}: ${field} is missing, of the wrong length or unknown`,
  );
}

export const parseEnrolRequest = (message: unknown): EnrolRequest => parse(enrolSchema, message, 'Enrol');
export const parseRenewRequest = (message: unknown): RenewRequest => parse(renewSchema, message, 'Renew');

const replySchema = z.object({
  certificate: z
    .custom<Uint8Array>((value) => value instanceof Uint8Array && value.length <= CERTIFICATE_BYTES_MAX)
    .transform((value) => Uint8Array.from(value)),
});
export const parseEnrolReply = (message: unknown): { certificate: Uint8Array } =>
  parse(replySchema, message, 'EnrolReply');

export const tokenHash = (token: Uint8Array): Uint8Array =>
  new Uint8Array(createHash('sha256').update('pulsefold/v1/enrolment-token').update(token).digest());

/** What both proofs of an EnrolRequest sign: every field, and the token only as its hash. */
export const enrolStatement = (request: {
  readonly token: Uint8Array;
  readonly role: EnrolledRole;
  readonly suite: SuiteName;
  readonly signingPublicKey: Uint8Array;
  readonly sealingPublicKey: Uint8Array;
  readonly tlsPublicKey: Uint8Array;
}): Uint8Array =>
  transcript(
    'enrol',
    tokenHash(request.token),
    request.role,
    request.suite,
    request.signingPublicKey,
    request.sealingPublicKey,
    request.tlsPublicKey,
  );

export const renewStatement = (serial: string, tlsPublicKey: Uint8Array): Uint8Array =>
  transcript('renew', serial, tlsPublicKey);

const P1363 = 'ieee-p1363' as const;

export const signWithTlsKey = (tlsKeyPem: string, statement: Uint8Array): Uint8Array =>
  new Uint8Array(sign('sha256', statement, { key: createPrivateKey(tlsKeyPem), dsaEncoding: P1363 }));

/** A P-256 public key in its one DER form, or an error. Throws FIELD_OUT_OF_RANGE. */
function importTlsKey(spki: Uint8Array): KeyObject {
  try {
    const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
    const isP256 = key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1';
    if (isP256 && equalBytes(new Uint8Array(key.export({ format: 'der', type: 'spki' })), spki)) return key;
  } catch {
    // Falls through to the one answer for every bad key.
  }
  throw new PulsefoldError('FIELD_OUT_OF_RANGE', 'the TLS key must be an ECDSA P-256 public key in DER');
}

/** Checks possession of the TLS and the signing key. Throws BAD_SIGNATURE or FIELD_OUT_OF_RANGE. */
export function checkProofs(
  statement: Uint8Array,
  keys: {
    readonly suite: SuiteName;
    readonly signingPublicKey: Uint8Array;
    readonly tlsPublicKey: Uint8Array;
  },
  proof: { readonly signingProof: Uint8Array; readonly tlsProof: Uint8Array },
): void {
  const tlsKey = importTlsKey(keys.tlsPublicKey);
  const tlsValid = verify('sha256', statement, { key: tlsKey, dsaEncoding: P1363 }, proof.tlsProof);
  ensure(tlsValid, 'BAD_SIGNATURE', 'no proof of possession of the TLS key');
  const signingValid = getSuite(keys.suite).verify(keys.signingPublicKey, statement, proof.signingProof);
  ensure(signingValid, 'BAD_SIGNATURE', 'no proof of possession of the signing key');
}
