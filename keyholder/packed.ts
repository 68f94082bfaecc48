/**
 * Values with byte arrays as text: the form in which the holder keeps replies and ceremony state on its own
 * disk.
 *
 * For: store.ts and ceremonies.ts only; nothing here crosses the wire. Trusts: its own database file.
 */
import { fromBase64, fromUtf8, toBase64, utf8 } from '../crypto/bytes.ts';

interface PackedBytes {
  readonly $bytes: string;
}
const isPackedBytes = (value: unknown): value is PackedBytes =>
  typeof value === 'object' && value !== null && typeof (value as PackedBytes).$bytes === 'string';

/** JSON with every Uint8Array as `{"$bytes": base64}`; bigint and other classes are not supported. */
export function pack(value: unknown): Uint8Array {
  // Buffer has a toJSON, which runs before a replacer: walk the value first.
  const walk = (item: unknown): unknown => {
    if (item instanceof Uint8Array) return { $bytes: toBase64(item) } satisfies PackedBytes;
    if (Array.isArray(item)) return item.map(walk);
    if (typeof item !== 'object' || item === null) return item;
    return Object.fromEntries(Object.entries(item).map(([key, entry]) => [key, walk(entry)]));
  };
  return utf8(JSON.stringify(walk(value)));
}

export function unpack<T>(bytes: Uint8Array): T {
  return JSON.parse(fromUtf8(bytes), (_key, value) =>
    isPackedBytes(value) ? fromBase64(value.$bytes) : value,
  ) as T;
}
