/**
 * Byte helpers and the one canonical encoding that is hashed and signed.
 *
 * For: every digest, signature and file format of the project. Trusts: nothing; `fromHex` and `TranscriptReader`
 * take hostile input. May be called by: everyone.
 */
import { ensure } from './error.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

export const utf8 = (text: string): Uint8Array => encoder.encode(text);
export const fromUtf8 = (bytes: Uint8Array): string => decoder.decode(bytes);

export const toHex = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');

export function fromHex(hex: string): Uint8Array {
  ensure(/^([0-9a-f]{2})*$/.test(hex), 'MALFORMED_MESSAGE', 'expected lower-case hexadecimal of even length');
  return new Uint8Array(Buffer.from(hex, 'hex'));
}

export const toBase64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
export const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let total = 0;
  for (const part of parts) total += part.length;
  const out = new Uint8Array(total);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}

/** Lexicographic order, as used to sort the entries of a cohort certificate. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

export function uint32(value: number): Uint8Array {
  ensure(Number.isInteger(value) && value >= 0 && value <= 0xffffffff, 'FIELD_OUT_OF_RANGE', 'not a uint32');
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, value, true);
  return out;
}

export function uint64(value: number | bigint): Uint8Array {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, BigInt(value), true);
  return out;
}

/** A field of a transcript: bytes as they are, text as UTF-8, integers as unsigned 64-bit little-endian. */
export type TranscriptField = Uint8Array | string | number | bigint;

/**
 * Canonical, injective encoding of a labelled list of fields: for the label and then each field,
 * `u32le(length) ‖ bytes`. Two different (label, fields) never encode alike, so a signature over one statement
 * cannot be read as another.
 */
export function transcript(label: string, ...fields: readonly TranscriptField[]): Uint8Array {
  const head = framedLabel(label);
  let total = head.length;
  const encoded = fields.map((field) => (typeof field === 'string' ? utf8(field) : field));
  for (const field of encoded) total += 4 + (field instanceof Uint8Array ? field.length : 8);
  // One allocation: holders and coordinator make several transcripts for every upload of a round.
  const out = new Uint8Array(total);
  out.set(head);
  let at = head.length;
  for (const field of encoded) {
    const bytes = field instanceof Uint8Array ? field : uint64(field);
    ensure(bytes.length <= 0xffffffff, 'FIELD_OUT_OF_RANGE', 'a field is longer than a uint32 can say');
    at = writeLength(out, at, bytes.length);
    out.set(bytes, at);
    at += bytes.length;
  }
  return out;
}

function writeLength(out: Uint8Array, at: number, length: number): number {
  out[at] = length;
  out[at + 1] = length >>> 8;
  out[at + 2] = length >>> 16;
  out[at + 3] = length >>> 24;
  return at + 4;
}

/** Labels are constants of the code: a few dozen. */
const framedLabels = new Map<string, Uint8Array>();
const LABELS_MAX = 1024;

function framedLabel(label: string): Uint8Array {
  const known = framedLabels.get(label);
  if (known) return known;
  const bytes = utf8(`pulsefold/v1/${label}`);
  const framed = concat(uint32(bytes.length), bytes);
  if (framedLabels.size < LABELS_MAX) framedLabels.set(label, framed);
  return framed;
}
