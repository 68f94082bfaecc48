/**
 * The key holder's YAML configuration.
 *
 * For: server.ts, cli/. Trusts: the operator's file, but names file and field of every mistake; unknown keys
 * are refused. What is pinned here (registrar CA, approvers) is all that a holder takes on trust. Nothing in
 * it weakens a rule.
 */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { ensure, PulsefoldError } from '../crypto/error.ts';
import { approvalPolicySchema } from '../protos/approval-policy.ts';
import { holderId } from '../protos/fields.ts';

const CONFIG_BYTES_MAX = 64 * 1024;
const address = z.string().regex(/^[^\s/]{1,253}:\d{1,5}$/, 'expected host:port');
const path = z.string().min(1).max(4096);
const limitsSchema = z.strictObject({
  plansMax: z.int().min(1).max(10_000).default(100),
  /** Sums opened at a time; each holds one upload and one sum in memory. */
  openingsMax: z.int().min(1).max(64).default(4),
  callsMax: z.int().min(1).max(10_000).default(64),
  callDurationMsMax: z.int().min(1000).max(3_600_000).default(600_000),
});

const revocationsSchema = z.strictObject({
  pollMs: z.int().min(1000).max(86_400_000).default(60_000),
  /** A list issued longer ago decides nothing: acceptance waits for a newer one. */
  listAgeMsMax: z.int().min(10_000).max(604_800_000).default(3_600_000),
});

const schema = z.strictObject({
  role: z.literal('keyholder'),
  /** The id under which this holder stands in plans. */
  id: holderId,
  /** State: database, sealed storage key, revocation list. */
  directory: path,
  listen: address,
  identity: z.strictObject({
    file: path,
    passphraseEnv: z.string().optional(),
    passphraseFile: path.optional(),
  }),
  /** PEM of the registrar's CA, pinned; and where the registrar serves its revocation list. */
  registrar: z.strictObject({ caFile: path, address }),
  approvals: approvalPolicySchema,
  revocations: revocationsSchema.default({ pollMs: 60_000, listAgeMsMax: 3_600_000 }),
  limits: limitsSchema.default({ plansMax: 100, openingsMax: 4, callsMax: 64, callDurationMsMax: 600_000 }),
  logLevel: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
});

export type KeyHolderConfig = z.output<typeof schema>;

/** Checks a config value. Throws CONFIG_INVALID naming the first wrong field. */
export function parseKeyHolderConfig(value: unknown): KeyHolderConfig {
  const result = schema.safeParse(value);
  if (!result.success) {
    const issue = result.error.issues[0];
    throw new PulsefoldError(
      'CONFIG_INVALID',
      `${issue?.path.join('.') || 'file'}: ${issue?.message ?? 'invalid'}`,
    );
  }
  const { identity } = result.data;
  const one = (identity.passphraseEnv === undefined) !== (identity.passphraseFile === undefined);
  ensure(one, 'CONFIG_INVALID', 'identity: name exactly one of passphraseEnv and passphraseFile');
  return result.data;
}

/** Reads the file; relative paths are relative to it. Throws CONFIG_INVALID naming file and field. */
export async function loadKeyHolderConfig(file: string): Promise<KeyHolderConfig> {
  let config: KeyHolderConfig;
  try {
    const text = await readFile(file, 'utf8');
    ensure(text.length <= CONFIG_BYTES_MAX, 'CONFIG_INVALID', 'longer than 64 KiB');
    config = parseKeyHolderConfig(parseYaml(text, { maxAliasCount: 0 }));
  } catch (cause) {
    throw new PulsefoldError('CONFIG_INVALID', `${file}: ${(cause as Error).message}`, { cause });
  }
  const base = dirname(resolve(file));
  const { identity, registrar } = config;
  return {
    ...config,
    directory: resolve(base, config.directory),
    identity: {
      ...identity,
      file: resolve(base, identity.file),
      ...(identity.passphraseFile ? { passphraseFile: resolve(base, identity.passphraseFile) } : {}),
    },
    registrar: { ...registrar, caFile: resolve(base, registrar.caFile) },
  };
}
