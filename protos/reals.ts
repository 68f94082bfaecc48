/**
 * Real numbers inside canonical JSON. Canonical JSON holds integers only, because two languages print one float
 * differently; a real number travels as `{"real":"0.05"}`, the shortest decimal that reads back as the same double.
 *
 * Trusts: nothing. May be called by: protos/ (plans, round configurations).
 */
import { PulsefoldError } from '../crypto/error.ts';
import type { JsonValue } from '../crypto/log/canonical-json.ts';

/** Replaces every non-integer number by `{real: text}`; undefined properties are dropped. */
export function encodeReals(value: unknown): JsonValue {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value : { real: String(value) };
  if (Array.isArray(value)) return value.map(encodeReals);
  if (value !== null && typeof value === 'object') {
    const out: Record<string, JsonValue> = {};
    for (const [key, item] of Object.entries(value)) if (item !== undefined) out[key] = encodeReals(item);
    return out;
  }
  return value as JsonValue;
}

/** The inverse of `encodeReals`. */
export function decodeReals(value: unknown, depth = 0): unknown {
  if (depth > 32) throw new PulsefoldError('MALFORMED_MESSAGE', 'nested too deeply');
  if (Array.isArray(value)) return value.map((item) => decodeReals(item, depth + 1));
  if (value === null || typeof value !== 'object') return value;
  const keys = Object.keys(value);
  if (keys.length === 1 && keys[0] === 'real') {
    const text = (value as { real: unknown }).real;
    const number = typeof text === 'string' && text.length <= 32 ? Number(text) : Number.NaN;
    if (!Number.isFinite(number) || String(number) !== text || Number.isSafeInteger(number))
      throw new PulsefoldError('MALFORMED_MESSAGE', 'a real number is not in its shortest decimal form');
    return number;
  }
  const out: Record<string, unknown> = {};
  for (const key of keys) {
    if (key === '__proto__') throw new PulsefoldError('MALFORMED_MESSAGE', 'forbidden key');
    out[key] = decodeReals((value as Record<string, unknown>)[key], depth + 1);
  }
  return out;
}
