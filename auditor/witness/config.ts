/**
 * The witness's YAML configuration.
 *
 * Trusts: the operator's file, but names file and field of every mistake. May be called by: server.ts, cli/.
 */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { PulsefoldError } from '../../crypto/error.ts';
import { noteVerifierOf } from '../../crypto/log/note-keys.ts';

const CONFIG_CHARACTERS_MAX = 256 * 1024;
const path = z.string().min(1).max(4096);
const keyLine = z
  .string()
  .max(4096)
  .superRefine((line, context) => {
    try {
      noteVerifierOf(line);
    } catch (error) {
      context.addIssue({ code: 'custom', message: (error as Error).message });
    }
  });

const schema = z.strictObject({
  role: z.literal('witness').default('witness'),
  /** State: witness.db. Never put it back to an older copy, or the witness may cosign a fork. */
  directory: path,
  listen: z
    .string()
    .regex(/^(\[[0-9a-fA-F:.]+\]|[^\s/:]{1,253}):\d{1,5}$/, 'expected host:port')
    .default('127.0.0.1:7450'),
  /** Without it the witness speaks plain HTTP: behind a TLS proxy, or on one machine. */
  tls: z.strictObject({ certFile: path, keyFile: path }).optional(),
  key: z
    .strictObject({
      file: path,
      passphraseEnv: z.string().min(1).optional(),
      passphraseFile: path.optional(),
    })
    .refine(
      ({ passphraseEnv, passphraseFile }) => (passphraseEnv === undefined) !== (passphraseFile === undefined),
      'name exactly one of passphraseEnv and passphraseFile',
    ),
  /** Logs that it watches, each by its key lines (log/key of a run directory, got from the log's operator). */
  logs: z
    .array(
      z.strictObject({
        /** By default the name in the first key. */
        origin: z.string().min(1).max(255).optional(),
        keys: z.array(keyLine).min(1).max(8),
      }),
    )
    .min(1)
    .max(10_000),
  logLevel: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
});

export type WitnessConfig = z.output<typeof schema>;

/** Reads and checks the file; paths are relative to it. Throws CONFIG_INVALID naming file and field. */
export function loadWitnessConfig(file: string): WitnessConfig {
  const fail = (what: string, cause?: unknown): never => {
    throw new PulsefoldError('CONFIG_INVALID', `${file}: ${what}`, { cause });
  };
  let value: unknown;
  try {
    const text = readFileSync(file, 'utf8');
    if (text.length > CONFIG_CHARACTERS_MAX) fail(`longer than ${CONFIG_CHARACTERS_MAX} characters`);
    value = parseYaml(text, { maxAliasCount: 0 });
  } catch (cause) {
    if (cause instanceof PulsefoldError) throw cause;
    return fail(`cannot be read as YAML: ${(cause as Error).message.split('\n')[0]}`, cause);
  }
  const result = schema.safeParse(value);
  if (!result.success) {
    const issue = result.error.issues[0];
    return fail(`${issue?.path.join('.') || 'file'}: ${issue?.message}`);
  }
  const at = (relative: string) => resolve(dirname(file), relative);
  const config = result.data;
  const { tls, key } = config;
  return {
    ...config,
    directory: at(config.directory),
    ...(tls ? { tls: { certFile: at(tls.certFile), keyFile: at(tls.keyFile) } } : {}),
    key: {
      ...key,
      file: at(key.file),
      ...(key.passphraseFile ? { passphraseFile: at(key.passphraseFile) } : {}),
    },
  };
}
