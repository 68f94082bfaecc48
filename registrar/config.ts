/**
 * The registrar's YAML configuration.
 *
 * For: registrar.ts, cli/. Trusts: nothing; unknown keys are refused so that a misspelt limit does not go unnoticed.
 */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse as parseYaml } from 'yaml';
import * as z from 'zod';
import { ensure, PulsefoldError } from '../crypto/error.ts';

const CONFIG_BYTES_MAX = 64 * 1024;
const address = z.string().regex(/^[^\s/]{1,253}:\d{1,5}$/, 'expected host:port');

const schema = z.strictObject({
  /** Where CA, sealed keys and store lie; relative to the config file. */
  directory: z.string().min(1),
  suite: z.enum(['intl', 'gm']).default('intl'),
  /** Enrol: TLS 1.3, no client certificate. */
  enrolAddress: address.default('127.0.0.1:7440'),
  /** Renew and GetRevocationList: mutual TLS 1.3. */
  address: address.default('127.0.0.1:7441'),
  /** Names the registrar is reached by, beyond localhost. */
  hosts: z
    .array(z.string().regex(/^[A-Za-z0-9.:-]{1,253}$/))
    .max(16)
    .default([]),
  passphraseEnv: z.string().min(1).optional(),
  passphraseFile: z.string().min(1).optional(),
  certificateLifetimeDays: z.number().positive().max(825).default(90),
  revocationListLifetimeHours: z.number().positive().max(168).default(24),
  scrypt: z
    .strictObject({
      costLog2: z.number().int().min(14).max(20),
      blockSize: z.number().int().min(8).max(32),
      parallelism: z.number().int().min(1).max(16),
    })
    .optional(),
});

export type RegistrarConfig = z.infer<typeof schema>;

/** Throws CONFIG_INVALID that names the first wrong key. */
export function parseRegistrarConfig(value: unknown): RegistrarConfig {
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const where = issue?.path.join('.') || 'registrar config';
    throw new PulsefoldError('CONFIG_INVALID', `${where}: ${issue?.message ?? 'invalid'}`);
  }
  const { passphraseEnv, passphraseFile } = parsed.data;
  const one = (passphraseEnv === undefined) !== (passphraseFile === undefined);
  ensure(one, 'CONFIG_INVALID', 'name the passphrase by exactly one of passphraseEnv and passphraseFile');
  return parsed.data;
}

/** Reads a YAML file; `directory` and `passphraseFile` become absolute. Throws CONFIG_INVALID. */
export async function loadRegistrarConfig(path: string): Promise<RegistrarConfig> {
  let value: unknown;
  try {
    const text = await readFile(path, 'utf8');
    ensure(text.length <= CONFIG_BYTES_MAX, 'CONFIG_INVALID', 'longer than 64 KiB');
    value = parseYaml(text, { maxAliasCount: 0 });
  } catch (cause) {
    throw new PulsefoldError('CONFIG_INVALID', `${path}: ${(cause as Error).message}`, { cause });
  }
  const config = parseNamed(path, value);
  const base = dirname(resolve(path));
  return {
    ...config,
    directory: resolve(base, config.directory),
    ...(config.passphraseFile ? { passphraseFile: resolve(base, config.passphraseFile) } : {}),
  };
}

function parseNamed(path: string, value: unknown): RegistrarConfig {
  try {
    return parseRegistrarConfig(value);
  } catch (cause) {
    throw new PulsefoldError('CONFIG_INVALID', `${path}: ${(cause as Error).message}`, { cause });
  }
}
