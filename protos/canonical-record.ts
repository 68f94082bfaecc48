/**
 * One way to write and read a signed record: canonical JSON under a schema and a cap, coded errors.
 *
 * For: consents, erasures, subject access (receipts and statements). Trusts: nothing; records come from the wire. May be
 * called by: protos/.
 */
import type { z } from 'zod';
import { ensure, PulsefoldError } from '../crypto/error.ts';
import { canonicalBytes, parseCanonicalJson } from '../crypto/log/canonical-json.ts';

export interface CanonicalRecord<T> {
  /** Throws MALFORMED_MESSAGE naming the field. */
  encode(value: T): Uint8Array;
  /** Any other encoding of the same value is refused. Throws MALFORMED_MESSAGE. */
  parse(bytes: Uint8Array): T;
}

/** `name` begins the sentence of an error. */
export function canonicalRecord<S extends z.ZodType>(
  name: string,
  schema: S,
  bytesMax: number,
): CanonicalRecord<z.output<S>> {
  const check = (value: unknown): z.output<S> => {
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    const issue = result.error.issues[0];
    throw new PulsefoldError(
      'MALFORMED_MESSAGE',
      `${name}.${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`,
    );
  };
  return {
    encode(value) {
      const bytes = canonicalBytes(check(value));
      ensure(bytes.length <= bytesMax, 'MALFORMED_MESSAGE', `${name}: at most ${bytesMax} bytes`);
      return bytes;
    },
    parse: (bytes) => check(parseCanonicalJson(bytes, bytesMax)),
  };
}
