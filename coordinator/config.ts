/**
 * The coordinator's configuration file.
 *
 * Trusts: the operator's file, but names file and field of every mistake. May be called by: coordinator/server.ts, cli.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, resolve } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { PulsefoldError } from '../crypto/error.ts';
import { approvalPolicySchema } from '../protos/approval-policy.ts';
import { witnessesSchema } from './witnessing/witness-config.ts';

const address = z.string().regex(/^[^\s:]+:\d{1,5}$/, 'expected host:port');
const path = z.string().min(1).max(4096);
const schema = z
  .strictObject({
    role: z.literal('coordinator'),
    /** State: database, identity. */
    directory: path,
    /** Where releases, certificates, ledger and log are exported for readers. */
    runDirectory: path,
    listen: address,
    registrar: z.strictObject({ caFile: path, address }),
    identity: z.strictObject({
      file: path,
      passphraseEnv: z.string().optional(),
      passphraseFile: path.optional(),
    }),
    holders: z
      .array(z.strictObject({ id: z.string(), address }))
      .min(1)
      .max(16),
    approvals: approvalPolicySchema,
    /** Plans to run at start, in order: YAML or canonical JSON, with `<file>.approvals.json` beside it. */
    plans: z.array(path).max(100).default([]),
    logOrigin: z.string().min(1).max(200).default('pulsefold.example/log'),
    /** Who cosigns the log's checkpoints (docs/transparency-log.md). */
    witnesses: witnessesSchema.default([]),
    /** Threads that add up uploads beside the main one; 0: none. Default: one core less than there are, at most 2. */
    foldWorkers: z
      .int()
      .min(0)
      .max(64)
      .default(() => Math.max(0, Math.min(2, availableParallelism() - 1))),
    logLevel: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
    limits: z
      .strictObject({
        holderCallMs: z.int().min(100).max(600_000).default(5000),
        connectionsMax: z.int().min(1).default(20_000),
      })
      .default({ holderCallMs: 5000, connectionsMax: 20_000 }),
  })
  .superRefine((config, context) => {
    const issue = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
    const { passphraseEnv, passphraseFile } = config.identity;
    if ((passphraseEnv === undefined) === (passphraseFile === undefined))
      issue(['identity'], 'name exactly one of passphraseEnv and passphraseFile');
    const twice = config.holders.find(
      ({ id }, i) => config.holders.findIndex((other) => other.id === id) < i,
    );
    if (twice) issue(['holders'], `${twice.id} is listed twice`);
  });

export type CoordinatorConfig = z.output<typeof schema>;

/** Reads and checks the file; relative paths are relative to it. Throws CONFIG_INVALID naming file and field. */
export function loadCoordinatorConfig(file: string): CoordinatorConfig {
  let value: unknown;
  try {
    value = parseYaml(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new PulsefoldError(
      'CONFIG_INVALID',
      `${file}: cannot be read as YAML: ${(cause as Error).message}`,
      { cause },
    );
  }
  const result = schema.safeParse(value);
  if (!result.success) {
    const issue = result.error.issues[0];
    throw new PulsefoldError(
      'CONFIG_INVALID',
      `${file}: ${issue?.path.join('.') || 'file'}: ${issue?.message}`,
    );
  }
  const at = (relative: string) => resolve(dirname(file), relative);
  const config = result.data;
  return {
    ...config,
    directory: at(config.directory),
    runDirectory: at(config.runDirectory),
    registrar: { ...config.registrar, caFile: at(config.registrar.caFile) },
    identity: {
      ...config.identity,
      file: at(config.identity.file),
      ...(config.identity.passphraseFile ? { passphraseFile: at(config.identity.passphraseFile) } : {}),
    },
    plans: config.plans.map(at),
  };
}
