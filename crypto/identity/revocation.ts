/**
 * The signed list of revoked certificates.
 *
 * For: the registrar (sign) and every server (parse). Trusts: the pinned CA; list bytes are hostile. The signer is
 * the registrar's own leaf certificate (role `registrar`), which travels inside the list, so the CA key itself stays
 * sealed while lists are made. Numbers only grow: a reader keeps the highest it has seen and refuses to go back.
 *
 *   u32le length ‖ body ‖ signature[64],  body = transcript("revocation-list", suite, number, issuedAtMs,
 *                                                 nextUpdateMs, serials (16 bytes each, ascending), certificate)
 */
import { compareBytes, concat, equalBytes, fromHex, fromUtf8, toHex, transcript, uint32 } from '../bytes.ts';
import { ensure, PulsefoldError } from '../error.ts';
import { CertificateVerifier, type Identity } from './certificate.ts';
import { getSuite, isSuiteName, type SuiteName } from './suite.ts';

export const REVOCATION_LIST_BYTES_MAX = 1024 * 1024;
const SERIAL_BYTES = 16;
const SIGNATURE_BYTES = 64;

export interface RevocationListContent {
  /** Grows by at least one with every revocation. */
  readonly number: number;
  readonly issuedAtMs: number;
  /** After this time a reader should have a newer list. */
  readonly nextUpdateMs: number;
  /** Lower-case hex, 32 digits each. */
  readonly serials: readonly string[];
}

export interface RevocationList extends Omit<RevocationListContent, 'serials'> {
  readonly serials: ReadonlySet<string>;
  readonly signer: Identity;
}

function encodeBody(suite: SuiteName, content: RevocationListContent, certificate: Uint8Array): Uint8Array {
  const serials = [...new Set(content.serials)].map(fromHex).sort(compareBytes);
  ensure(
    serials.every((serial) => serial.length === SERIAL_BYTES),
    'FIELD_OUT_OF_RANGE',
    'a serial number has 16 bytes',
  );
  const { number, issuedAtMs, nextUpdateMs } = content;
  const packed = concat(...serials);
  return transcript('revocation-list', suite, number, issuedAtMs, nextUpdateMs, packed, certificate);
}

/** Signs with the registrar's leaf key. Throws FIELD_OUT_OF_RANGE when the list grows past 1 MiB. */
export function signRevocationList(
  content: RevocationListContent,
  signer: { readonly suite: SuiteName; readonly secretKey: Uint8Array; readonly certificate: Uint8Array },
): Uint8Array {
  const body = encodeBody(signer.suite, content, signer.certificate);
  const list = concat(uint32(body.length), body, getSuite(signer.suite).sign(signer.secretKey, body));
  ensure(list.length <= REVOCATION_LIST_BYTES_MAX, 'FIELD_OUT_OF_RANGE', 'revocation list longer than 1 MiB');
  return list;
}

/** Fields of a transcript, at most `fieldsMax`. */
function splitFields(body: Uint8Array, fieldsMax: number): Uint8Array[] {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const fields: Uint8Array[] = [];
  for (let at = 0; at < body.length; ) {
    ensure(
      fields.length < fieldsMax && at + 4 <= body.length,
      'MALFORMED_MESSAGE',
      'malformed revocation list',
    );
    const length = view.getUint32(at, true);
    at += 4;
    ensure(at + length <= body.length, 'MALFORMED_MESSAGE', 'revocation list is cut short');
    fields.push(body.subarray(at, at + length));
    at += length;
  }
  ensure(fields.length === fieldsMax, 'MALFORMED_MESSAGE', 'revocation list with missing fields');
  return fields;
}

function readNumber(field: Uint8Array): number {
  ensure(field.length === 8, 'MALFORMED_MESSAGE', 'malformed number in a revocation list');
  const value = new DataView(field.buffer, field.byteOffset, 8).getBigUint64(0, true);
  ensure(
    value <= BigInt(Number.MAX_SAFE_INTEGER),
    'MALFORMED_MESSAGE',
    'number out of range in a revocation list',
  );
  return Number(value);
}

function readSerials(field: Uint8Array): string[] {
  ensure(
    field.length % SERIAL_BYTES === 0,
    'MALFORMED_MESSAGE',
    'malformed serial numbers in a revocation list',
  );
  const serials: string[] = [];
  for (let at = 0; at < field.length; at += SERIAL_BYTES)
    serials.push(toHex(field.subarray(at, at + SERIAL_BYTES)));
  return serials;
}

/**
 * Checks and decodes a list. Throws MALFORMED_MESSAGE, BAD_SIGNATURE, CERTIFICATE_UNTRUSTED/EXPIRED for its signer, or
 * WRONG_ROLE when the signer is not a registrar. Whether it is stale is for the caller to say (`nextUpdateMs`).
 */
export function parseRevocationList(list: Uint8Array, caDer: Uint8Array, atTimeMs: number): RevocationList {
  const shortest = 4 + SIGNATURE_BYTES;
  const sized = list.length > shortest && list.length <= REVOCATION_LIST_BYTES_MAX;
  ensure(sized, 'MALFORMED_MESSAGE', 'revocation list with a length out of bounds');
  const bodyBytes = new DataView(list.buffer, list.byteOffset, 4).getUint32(0, true);
  ensure(bodyBytes === list.length - shortest, 'MALFORMED_MESSAGE', 'revocation list with a wrong length');
  const body = list.subarray(4, 4 + bodyBytes);
  const [, suiteField, number, issuedAt, nextUpdate, serialsField, certificate] = splitFields(body, 7);
  const signer = new CertificateVerifier(caDer).verify(certificate!, atTimeMs);
  ensure(
    signer.role === 'registrar',
    'WRONG_ROLE',
    'revocation list signed by another role than the registrar',
  );
  let suite: string;
  try {
    suite = fromUtf8(suiteField!);
  } catch (cause) {
    throw new PulsefoldError('MALFORMED_MESSAGE', 'revocation list with an unreadable suite', { cause });
  }
  ensure(
    isSuiteName(suite) && suite === signer.suite,
    'MALFORMED_MESSAGE',
    'revocation list of another suite',
  );
  const content: RevocationListContent = {
    number: readNumber(number!),
    issuedAtMs: readNumber(issuedAt!),
    nextUpdateMs: readNumber(nextUpdate!),
    serials: readSerials(serialsField!),
  };
  const canonical = equalBytes(encodeBody(suite, content, certificate!), body);
  ensure(canonical, 'MALFORMED_MESSAGE', 'revocation list is not in canonical form');
  const signature = list.subarray(4 + bodyBytes);
  const valid = getSuite(suite).verify(signer.signingPublicKey, body, signature);
  ensure(valid, 'BAD_SIGNATURE', 'revocation list with a wrong signature');
  return { ...content, serials: new Set(content.serials), signer };
}
