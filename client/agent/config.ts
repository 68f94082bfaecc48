/**
 * The configuration file of `pulsefold client join`: YAML, strictly parsed, paths relative to the file.
 *
 * Trusts: the person who wrote it, but not their typing: every error names file, field and fix.
 * May be called by: client/, cli/.
 */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { parseRational, rationalToNumber } from '../../crypto/dp/rational.ts';
import { PulsefoldError } from '../../crypto/error.ts';
import { approvalPolicyShape, policyIssues } from '../../protos/approval-policy.ts';
import { engineOrder } from '../training/engine.ts';

const CONFIG_CHARACTERS_MAX = 64 * 1024;

const path = z.string().min(1).max(4096);
const address = z.string().regex(/^[^\s/]+:\d{1,5}$/, 'expected host:port, e.g. localhost:7443');
const slug = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'expected lower-case letters, digits and dashes');
/** A number, or a decimal or rational as text ("3", "0.00001", "1/100000"). */
const real = z.union([z.number(), z.string()]).transform((value, context) => {
  if (typeof value === 'number') return value;
  try {
    return rationalToNumber(parseRational(value));
  } catch {
    context.addIssue({ code: 'custom', message: 'expected a number such as 3, "0.00001" or "1/100000"' });
    return z.NEVER;
  }
});

const exactlyOne = (...fields: string[]) => ({
  check: (value: Record<string, unknown>) =>
    fields.filter((field) => value[field] !== undefined).length === 1,
  message: `give exactly one of ${fields.join(', ')}`,
});
const secretSource = exactlyOne('env', 'file', 'keyFile');
const tokenSource = exactlyOne('token', 'tokenFile');

export const clientConfigSchema = z.strictObject({
  suite: z.enum(['intl', 'gm']).default('intl'),
  /** Vault, state and receipts of this one device. */
  directory: path,
  coordinator: z.strictObject({ address }),
  /** The registrar's CA certificate (PEM), obtained from the registrar and not from the coordinator. */
  /** `address`: of its service for enrolled devices; `pulsefold client erase` tells it there. */
  registrar: z.strictObject({ ca: path, address: address.optional() }),
  /** Needed on the first start only. */
  enrolment: z
    .strictObject({ address, token: z.string().max(100).optional(), tokenFile: path.optional() })
    .refine(tokenSource.check, tokenSource.message)
    .optional(),
  /** What opens the vault: a passphrase from the environment or a file, or a file of 32 random bytes as hexadecimal. */
  passphrase: z
    .strictObject({
      env: z.string().min(1).max(200).optional(),
      file: path.optional(),
      keyFile: path.optional(),
    })
    .refine(secretSource.check, secretSource.message),
  data: z.strictObject({ train: path, evaluation: path.optional() }),
  approvers: z
    .strictObject({
      required: approvalPolicyShape.required,
      pinned: approvalPolicyShape.approvers,
      seats: approvalPolicyShape.seats,
    })
    .superRefine(({ pinned, ...policy }, context) => {
      for (const { path, message } of policyIssues({ ...policy, approvers: pinned }))
        context.addIssue({
          code: 'custom',
          path: path.map((one) => (one === 'approvers' ? 'pinned' : one)),
          message,
        });
    }),
  /** What this device allows over its lifetime, whatever plans ask for. */
  budget: z.strictObject({
    epsilon: real.pipe(z.number().min(0).max(1000)),
    delta: real.pipe(z.number().gt(0).lt(1)),
    /** What plans may protect: one person's whole data (a phone), or single records of a table (a hospital). */
    units: z
      .array(z.enum(['person', 'record']))
      .min(1)
      .max(2)
      .default(['person']),
    /** Take part in plans without differential privacy, which no ε limits. */
    allowWithoutPrivacy: z.boolean().default(false),
  }),
  conditions: z
    .strictObject({
      charging: z.boolean().default(true),
      unmetered: z.boolean().default(true),
      worn: z.boolean().default(true),
    })
    .default({ charging: true, unmetered: true, worn: true }),
  /** Join this plan only. */
  plan: z
    .strictObject({
      hash: z
        .string()
        .regex(/^[0-9a-f]{64}$/, 'expected 32 bytes as lower-case hexadecimal')
        .optional(),
      name: slug.optional(),
    })
    .default({}),
  /** The coordinator's transparency log. */
  log: z
    .strictObject({
      /** tlog-policy file: which witnesses must have cosigned. Its log lines may be empty: the plan names the key. */
      policy: path.optional(),
      /** Take part although the coordinator signed two contradicting checkpoints. */
      continueAfterAlarm: z.boolean().default(false),
    })
    .default({ continueAfterAlarm: false }),
  /** Training engines in order of preference. */
  engines: z
    .array(z.enum(['tfjs-node', 'tfjs-wasm', 'tfjs-cpu', 'kernel']))
    .min(1)
    .max(4)
    .default([...engineOrder]),
  timing: z
    .strictObject({
      checkInWaitMs: z.int().min(0).max(60_000).optional(),
      patienceMs: z.int().min(0).max(604_800_000).optional(),
      conditionPatienceMs: z.int().min(0).max(604_800_000).optional(),
      receiptPatienceMs: z.int().min(0).max(604_800_000).optional(),
    })
    .default({}),
});

export type ClientConfig = z.output<typeof clientConfigSchema>;

/** Parses the text of a configuration; `file` only names it in errors and anchors relative paths. Throws CONFIG_INVALID. */
export function parseClientConfig(text: string, file: string): ClientConfig {
  const fail = (message: string, cause?: unknown): never => {
    throw new PulsefoldError('CONFIG_INVALID', `${file}: ${message}`, { cause });
  };
  if (text.length > CONFIG_CHARACTERS_MAX) fail(`longer than ${CONFIG_CHARACTERS_MAX} characters`);
  let value: unknown;
  try {
    value = parseYaml(text, { maxAliasCount: 0 });
  } catch (cause) {
    return fail(`not valid YAML: ${(cause as Error).message.split('\n')[0]}`, cause);
  }
  const result = clientConfigSchema.safeParse(value);
  if (!result.success) {
    const issue = result.error.issues[0];
    return fail(`${issue?.path.join('.') || 'the file'}: ${issue?.message ?? 'invalid'}`);
  }
  return withAbsolutePaths(result.data, dirname(resolve(file)));
}

function withAbsolutePaths(config: ClientConfig, base: string): ClientConfig {
  const at = (relative: string): string => resolve(base, relative);
  const optional = <K extends string>(key: K, value: string | undefined) =>
    (value === undefined ? {} : { [key]: at(value) }) as Partial<Record<K, string>>;
  const { enrolment, passphrase, data, log } = config;
  return {
    ...config,
    directory: at(config.directory),
    registrar: { ...config.registrar, ca: at(config.registrar.ca) },
    ...(enrolment ? { enrolment: { ...enrolment, ...optional('tokenFile', enrolment.tokenFile) } } : {}),
    passphrase: {
      ...passphrase,
      ...optional('file', passphrase.file),
      ...optional('keyFile', passphrase.keyFile),
    },
    data: { train: at(data.train), ...optional('evaluation', data.evaluation) },
    log: { ...log, ...optional('policy', log.policy) },
  };
}

/** Throws CONFIG_INVALID naming file, field and fix. */
export async function readClientConfig(file: string): Promise<ClientConfig> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new PulsefoldError(
      'CONFIG_INVALID',
      `${file}: cannot be read; pass --config with the path of a client config`,
      {
        cause,
      },
    );
  }
  return parseClientConfig(text, file);
}
