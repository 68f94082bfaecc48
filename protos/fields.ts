/**
 * Field types of wire messages: every field that comes from outside has a type, a cap and a coded error.
 *
 * For: one `parse(schema, message)` in front of every RPC handler and every reply. Trusts: nothing.
 * May be called by: every role.
 */
import { z } from 'zod';
import { PulsefoldError } from '../crypto/error.ts';

const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'expected bytes');

/** Exactly `length` bytes. */
export const bytesOf = (length: number) =>
  bytes.refine((value) => value.length === length, `expected exactly ${length} bytes`);
/** Between 1 and `maximum` bytes. */
export const bytesUpTo = (maximum: number) =>
  bytes.refine((value) => value.length >= 1 && value.length <= maximum, `expected 1 to ${maximum} bytes`);
/** Between 0 and `maximum` bytes. */
export const bytesOrEmpty = (maximum: number) =>
  bytes.refine((value) => value.length <= maximum, `expected at most ${maximum} bytes`);
export const text = (maximum: number) => z.string().max(maximum);
export const integer = (minimum: number, maximum: number) => z.int().min(minimum).max(maximum);
export const listOf = <T extends z.ZodType>(item: T, maximum: number) => z.array(item).max(maximum);

export const digest = bytesOf(32);
export const holderId = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'expected a holder id');
export const deviceId = z
  .string()
  .regex(/^[0-9a-f]{32}$/, 'expected a device id: 32 lower-case hexadecimal digits');
export const roundNumber = integer(1, 100_000);
/** Ed25519 and SM2 signatures are both 64 bytes. */
export const signature = bytesOf(64);

/** Limits of docs/protocol.md. */
export const CHUNK_BYTES_MAX = 256 * 1024;
export const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;
export const CERTIFICATE_BYTES_MAX = 4096;
export const ENTRIES_PER_MESSAGE_MAX = 200;
/** A certificate names its devices in one message: 34 bytes each, below MESSAGE_BYTES_MAX. */
export const COHORT_MAX = 100_000;
/** A committee key up to this length travels in the invitation. */
export const INVITED_KEY_BYTES_MAX = 8 * 1024;
export const BLOB_PAGE_BYTES = 512 * 1024;

/** Validates one message; throws MALFORMED_MESSAGE (wrong type) or FIELD_OUT_OF_RANGE (cap), naming the field. */
export function parse<T extends z.ZodType>(schema: T, message: unknown): z.output<T> {
  const result = schema.safeParse(message);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const path = issue?.path.join('.') || 'message';
  const malformed = issue?.code === 'invalid_type' || issue?.code === 'unrecognized_keys';
  throw new PulsefoldError(
    malformed ? 'MALFORMED_MESSAGE' : 'FIELD_OUT_OF_RANGE',
    `${path}: ${issue?.message ?? 'invalid'}`,
  );
}
