/**
 * The configuration of one round, as every client of that round gets it: byte-identical for all, bound by its hash.
 *
 * Trusts: nothing; clients parse it from the wire. May be called by: coordinator, client, auditor.
 */
import { z } from 'zod';
import { fromUtf8, toHex, transcript, utf8 } from '../crypto/bytes.ts';
import { ensure, PulsefoldError } from '../crypto/error.ts';
import type { Suite } from '../crypto/identity/suite.ts';
import { canonicalJson } from '../crypto/log/canonical-json.ts';

const hex32 = z.string().regex(/^[0-9a-f]{64}$/);

export const roundConfigSchema = z.strictObject({
  version: z.literal(1),
  planHash: hex32,
  round: z.int().min(1).max(100_000),
  /** What the sum of this round is: a model update, or score histograms by label. */
  kind: z.enum(['training', 'evaluation']),
  modelHash: hex32,
  committeeKeyId: hex32,
  /** BFV plaintext coefficients used, i.e. vector length × digits per entry. */
  digitCount: z
    .int()
    .min(1)
    .max(2 ** 20),
  openedAtMs: z.int().min(0),
  /** L2 clip of this round, a rational in lowest terms, where the plan's adapts (protos/adaptive-clip.ts). */
  clip: z.string().max(64).optional(),
});

export type RoundConfig = z.output<typeof roundConfigSchema>;
export type RoundKind = RoundConfig['kind'];

export interface EncodedRoundConfig {
  readonly config: RoundConfig;
  readonly bytes: Uint8Array;
  readonly hash: Uint8Array;
  readonly hashHex: string;
}

export function encodeRoundConfig(config: RoundConfig, suite: Suite): EncodedRoundConfig {
  const bytes = utf8(canonicalJson(roundConfigSchema.parse(config)));
  const hash = suite.digest(transcript('round-config', bytes));
  return { config, bytes, hash, hashHex: toHex(hash) };
}

/** Parses a configuration from the wire. Throws MALFORMED_MESSAGE. */
export function parseRoundConfig(bytes: Uint8Array, suite: Suite): EncodedRoundConfig {
  ensure(bytes.length <= 4096, 'MALFORMED_MESSAGE', 'a round configuration has at most 4096 bytes');
  let value: unknown;
  try {
    value = JSON.parse(fromUtf8(bytes));
  } catch (cause) {
    throw new PulsefoldError('MALFORMED_MESSAGE', 'the round configuration is not JSON', { cause });
  }
  const result = roundConfigSchema.safeParse(value);
  ensure(result.success, 'MALFORMED_MESSAGE', 'the round configuration has unknown or missing fields');
  const encoded = encodeRoundConfig(result.data, suite);
  ensure(
    Buffer.compare(encoded.bytes, bytes) === 0,
    'MALFORMED_MESSAGE',
    'the configuration is not canonical',
  );
  return encoded;
}
