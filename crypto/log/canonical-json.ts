/**
 * Canonical JSON: the one text form of a value that is hashed (plans, log leaves, mechanism records).
 *
 * A strict subset of RFC 8785 (JSON Canonicalization Scheme): keys sorted by UTF-16 code units, no white
 * space, the minimal string escapes. Stricter than the RFC: numbers are integers within ±(2^53 − 1) only,
 * because two languages print the same float differently; a fraction travels as a decimal or rational
 * *string*.
 * Trusts: nothing; `parseCanonicalJson` takes hostile input. May be called by: everyone.
 */
import { createHash } from 'node:crypto';
import { fromUtf8, utf8 } from '../bytes.ts';
import { ensure, PulsefoldError } from '../error.ts';

export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };
export type JsonObject = { readonly [key: string]: JsonValue };

/** Nesting deeper than this is refused (a plan has about 6 levels). */
export const CANONICAL_DEPTH_MAX = 32;
/** Default cap of `parseCanonicalJson`, in bytes of UTF-8. */
export const CANONICAL_BYTES_MAX = 1 << 20;

function reject(path: string, what: string): never {
  throw new PulsefoldError('MALFORMED_MESSAGE', `canonical JSON: ${what} at ${path}`);
}

function quote(text: string, path: string): string {
  if (!text.isWellFormed()) reject(path, 'text with a lone surrogate');
  // JSON.stringify of a well-formed string is the RFC 8785 §3.2.2.2 form: \b \t \n \f \r \" \\ and \u00xx
  // only.
  return JSON.stringify(text);
}

function encodeArray(value: readonly unknown[], path: string, depth: number): string {
  const parts: string[] = [];
  for (let i = 0; i < value.length; i++) {
    if (!Object.hasOwn(value, i)) reject(`${path}[${i}]`, 'a hole in an array');
    parts.push(encode(value[i], `${path}[${i}]`, depth + 1));
  }
  if (Object.keys(value).length !== value.length) reject(path, 'an array with named properties');
  return `[${parts.join(',')}]`;
}

function encodeObject(value: object, path: string, depth: number): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) reject(path, 'an object that is not plain');
  const parts: string[] = [];
  const keys = Reflect.ownKeys(value);
  for (const key of keys) if (typeof key === 'symbol') reject(path, 'a symbol as key');
  // Default sort compares UTF-16 code units, which is the order of RFC 8785 §3.2.3.
  for (const key of (keys as string[]).sort()) {
    const at = `${path}.${key.slice(0, 40)}`;
    if (key === '__proto__') reject(at, 'the forbidden key __proto__');
    const property = Object.getOwnPropertyDescriptor(value, key)!;
    if (!property.enumerable || !('value' in property)) reject(at, 'a hidden or computed property');
    parts.push(`${quote(key, at)}:${encode(property.value, at, depth + 1)}`);
  }
  return `{${parts.join(',')}}`;
}

function encode(value: unknown, path: string, depth: number): string {
  if (depth > CANONICAL_DEPTH_MAX) reject(path, `nesting deeper than ${CANONICAL_DEPTH_MAX} (or a cycle)`);
  switch (typeof value) {
    case 'boolean':
      return value ? 'true' : 'false';
    case 'string':
      return quote(value, path);
    case 'number':
      if (!Number.isSafeInteger(value) || Object.is(value, -0))
        reject(path, 'a number that is no safe integer (write fractions as decimal strings)');
      return String(value);
    case 'object':
      if (value === null) return 'null';
      return Array.isArray(value) ? encodeArray(value, path, depth) : encodeObject(value, path, depth);
    default:
      return reject(path, `a value of type ${typeof value}`);
  }
}

/**
 * The canonical text of `value`. Throws MALFORMED_MESSAGE (with the path) for NaN, infinities, fractions, −0,
 * integers beyond 2^53 − 1, bigint, undefined, functions, symbols, holes, class instances (Map, Date, typed
 * arrays ...), getters, the key `__proto__`, lone surrogates, cycles and nesting beyond CANONICAL_DEPTH_MAX.
 */
export function canonicalJson(value: unknown): string {
  return encode(value, '$', 0);
}

/** UTF-8 bytes of `canonicalJson(value)`. */
export const canonicalBytes = (value: unknown): Uint8Array => utf8(canonicalJson(value));

/** SHA-256 of `canonicalBytes(value)`, 32 bytes. */
export const canonicalHash = (value: unknown): Uint8Array =>
  new Uint8Array(createHash('sha256').update(canonicalBytes(value)).digest());

/**
 * Parses text or UTF-8 bytes that must already be canonical: re-encoding gives the same text, which refuses
 * duplicate keys, unsorted keys, white space, fractions, exponents and needless escapes.
 * Throws MALFORMED_MESSAGE.
 */
export function parseCanonicalJson(input: string | Uint8Array, bytesMax = CANONICAL_BYTES_MAX): JsonValue {
  ensure(input.length <= bytesMax, 'MALFORMED_MESSAGE', `canonical JSON: longer than ${bytesMax} bytes`);
  let text: string;
  let value: unknown;
  try {
    text = typeof input === 'string' ? input : fromUtf8(input);
    value = JSON.parse(text);
  } catch (cause) {
    throw new PulsefoldError('MALFORMED_MESSAGE', 'canonical JSON: not valid JSON', { cause });
  }
  ensure(canonicalJson(value) === text, 'MALFORMED_MESSAGE', 'canonical JSON: not in canonical form');
  return value as JsonValue;
}
