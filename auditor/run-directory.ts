/**
 * Reads a run directory as docs/protocol.md lays it out: plan.json, approvals.json, model.json,
 * rounds/N.json, ledger.json, log/leaves.ndjson, log/checkpoint, log/key. Every file is hostile and has a
 * cap.
 *
 * Trusts: nothing. May be called by: auditor/.
 */
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { LEAF_BYTES_MAX, type Leaf, parseLeaf } from '../crypto/log/leaves.ts';
import { leafHash } from '../crypto/log/merkle.ts';
import { type ParsedPlan, parsePlanBytes } from '../protos/plan.ts';
import type { Findings } from './findings.ts';

const JSON_BYTES_MAX = 256 * 1024 * 1024;
const SMALL_BYTES_MAX = 256 * 1024;
const ROUND_FILES_MAX = 10_000;
const CHUNK_BYTES = 1 << 20;
/** As many as a plan's cohort may have. */
const PEOPLE_MAX = 1_000_000;
const GROUPS_MAX = 64;
const HOLDERS_MAX = 16;
/** Slots that a plan may let one round open (protos/plan-privacy.ts). */
const DIGITS_MAX = 2 ** 24;

const hex32 = z.string().regex(/^[0-9a-f]{64}$/);
const roundFileSchema = z.object({
  planHash: hex32,
  round: z.int().min(1).max(100_000),
  /** Hashes of the cohort tree's leaves, by device id: they name nobody and let the root be recomputed. */
  cohortLeafHashes: z.array(hex32).max(PEOPLE_MAX).optional(),
  sum: z
    .object({
      digits: z
        .array(
          z
            .int()
            .min(-(2 ** 31))
            .max(2 ** 31 - 1),
        )
        .max(DIGITS_MAX),
      hash: hex32,
    })
    .nullable(),
  groups: z
    .object({
      sizes: z.array(z.int().min(0).max(PEOPLE_MAX)).max(GROUPS_MAX),
      valid: z.array(z.boolean()).max(GROUPS_MAX),
    })
    .optional(),
  /** What the holders said of the partition. */
  draws: z
    .array(
      z.object({
        holderId: z.string().max(63),
        values: z.string().regex(/^[0-9a-f]{192}$/),
        signature: z.string().regex(/^[0-9a-f]{128}$/),
      }),
    )
    .max(HOLDERS_MAX)
    .optional(),
  /** What the coordinator published: of it, the clip that the next training round opens with. */
  summary: z
    .object({ clip: z.object({ fractionWithin: z.number(), next: z.string().max(64) }).optional() })
    .nullish(),
});
export type RoundFile = z.output<typeof roundFileSchema>;

const modelFileSchema = z.object({
  planHash: hex32,
  modelHash: hex32,
  weights: z.array(z.number()).max(10_000_000),
  /** What the strategy sends with the model; the hash is of both. */
  companion: z.array(z.number()).max(10_000_000).default([]),
});
export type ModelFile = z.output<typeof modelFileSchema>;

const pseudonyms = z.array(z.string().max(128)).max(PEOPLE_MAX);
const ledgerFileSchema = z.object({
  events: z
    .array(
      z.discriminatedUnion('kind', [
        z.object({ kind: z.literal('open'), pseudonym: z.string().max(128) }),
        z.object({
          kind: z.literal('reserve'),
          planHash: hex32,
          round: z.int(),
          chargeSteps: z.int(),
          pseudonyms,
        }),
        z.object({
          kind: z.literal('settle'),
          planHash: hex32,
          round: z.int(),
          certificateHash: hex32,
          chargeSteps: z.int(),
          charged: pseudonyms,
          released: pseudonyms,
        }),
        z.object({
          kind: z.literal('abort'),
          planHash: hex32,
          round: z.int(),
          abortHash: hex32,
          released: pseudonyms,
        }),
        z.object({ kind: z.literal('withdraw'), pseudonym: z.string().max(128), scope: z.string().max(100) }),
      ]),
    )
    .max(10_000_000),
});
export type LedgerFile = z.output<typeof ledgerFileSchema>;

const alarmsFileSchema = z.object({
  alarms: z
    .array(
      z.object({
        round: z.int().min(1).max(100_000),
        said: z.string().max(64),
        ledger: z.string().max(64),
        timeMs: z.int().min(0),
      }),
    )
    .max(PEOPLE_MAX),
});
/** Devices whose receipts add up to more than the ledger charged them; without a name (coordinator/rounds/reconcile.ts). */
export type AlarmsFile = z.output<typeof alarmsFileSchema>;

/** Reads a file up to a cap; undefined (and a finding) if it is missing or too long. */
export function readCapped(
  path: string,
  bytesMax: number,
  name: string,
  findings: Findings,
): Uint8Array | undefined {
  if (!existsSync(path)) {
    findings.error('FILE_MISSING', `${name} is not in the run directory`);
    return undefined;
  }
  if (
    !findings.require(statSync(path).size <= bytesMax, 'FILE_MALFORMED', `${name} has over ${bytesMax} bytes`)
  )
    return undefined;
  return new Uint8Array(readFileSync(path));
}

/** The text of a small file without its final newline. */
export function readLine(directory: string, name: string, findings: Findings): string | undefined {
  const bytes = readCapped(join(directory, name), SMALL_BYTES_MAX, name, findings);
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8');
}

function readJson<T extends z.ZodType>(
  directory: string,
  name: string,
  schema: T,
  findings: Findings,
): z.output<T> | undefined {
  const bytes = readCapped(join(directory, name), JSON_BYTES_MAX, name, findings);
  if (bytes === undefined) return undefined;
  try {
    const result = schema.safeParse(JSON.parse(Buffer.from(bytes).toString('utf8')));
    if (result.success) return result.data;
    const issue = result.error.issues[0];
    findings.error('FILE_MALFORMED', `${name}: ${issue?.path.join('.')}: ${issue?.message}`);
  } catch {
    findings.error('FILE_MALFORMED', `${name} is not JSON`);
  }
  return undefined;
}

export function readPlan(directory: string, findings: Findings): ParsedPlan | undefined {
  const bytes = readCapped(join(directory, 'plan.json'), SMALL_BYTES_MAX + 1, 'plan.json', findings);
  if (bytes === undefined) return undefined;
  try {
    return parsePlanBytes(bytes.at(-1) === 0x0a ? bytes.subarray(0, -1) : bytes);
  } catch (error) {
    findings.error('FILE_MALFORMED', `plan.json: ${(error as Error).message}`);
    return undefined;
  }
}

export function readRounds(directory: string, findings: Findings): RoundFile[] {
  const folder = join(directory, 'rounds');
  if (!existsSync(folder)) {
    findings.error('FILE_MISSING', 'rounds/ is not in the run directory');
    return [];
  }
  const names = readdirSync(folder).filter((name) => /^[1-9][0-9]{0,5}\.json$/.test(name));
  findings.require(
    names.length <= ROUND_FILES_MAX,
    'FILE_MALFORMED',
    `rounds/ holds over ${ROUND_FILES_MAX} files`,
  );
  return names.slice(0, ROUND_FILES_MAX).flatMap((name) => {
    const file = readJson(directory, `rounds/${name}`, roundFileSchema, findings);
    if (file === undefined) return [];
    const same = findings.require(
      name === `${file.round}.json`,
      'FILE_MALFORMED',
      `rounds/${name} says that it is of round ${file.round}`,
    );
    return same ? [file] : [];
  });
}

export const readModel = (directory: string, findings: Findings): ModelFile | undefined =>
  readJson(directory, 'model.json', modelFileSchema, findings);
export const readLedger = (directory: string, findings: Findings): LedgerFile | undefined =>
  readJson(directory, 'ledger.json', ledgerFileSchema, findings);

/** undefined where there is none: runs of earlier versions. */
export const readAlarms = (directory: string, findings: Findings): AlarmsFile | undefined =>
  existsSync(join(directory, 'alarms.json'))
    ? readJson(directory, 'alarms.json', alarmsFileSchema, findings)
    : undefined;

export interface NumberedLeaf {
  readonly number: number;
  readonly leaf: Leaf;
}

/**
 * Streams log/leaves.ndjson: calls `onHash` with every line's leaf hash in order and returns the leaves
 * that parse. A malformed line is a finding and still counts in the tree, as its bytes are what was hashed.
 */
export function readLeaves(
  directory: string,
  findings: Findings,
  onHash: (hash: Uint8Array) => void,
): NumberedLeaf[] {
  const path = join(directory, 'log', 'leaves.ndjson');
  if (!existsSync(path)) {
    findings.error('FILE_MISSING', 'log/leaves.ndjson is not in the run directory');
    return [];
  }
  const leaves: NumberedLeaf[] = [];
  let number = 0;
  for (const line of linesOf(path)) {
    if (line === undefined) {
      findings.error('FILE_MALFORMED', 'log/leaves.ndjson: a line is too long or has no end', {
        leaf: number,
      });
      break;
    }
    onHash(leafHash(line));
    try {
      leaves.push({ number, leaf: parseLeaf(line) });
    } catch (error) {
      findings.error('LEAF_MALFORMED', (error as Error).message, { leaf: number });
    }
    number++;
  }
  return leaves;
}

/** Lines without their newline; undefined, once, for a line beyond the cap or an unfinished last one. */
function* linesOf(path: string): Generator<Uint8Array | undefined> {
  const file = openSync(path, 'r');
  try {
    let rest: Buffer = Buffer.alloc(0);
    const chunk = Buffer.alloc(CHUNK_BYTES);
    for (let count = readSync(file, chunk); count > 0; count = readSync(file, chunk)) {
      rest = Buffer.concat([rest, chunk.subarray(0, count)]);
      let start = 0;
      for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a, start)) {
        yield new Uint8Array(rest.subarray(start, end));
        start = end + 1;
      }
      rest = rest.subarray(start);
      if (rest.length > LEAF_BYTES_MAX) {
        yield undefined;
        return;
      }
    }
    if (rest.length > 0) yield undefined;
  } finally {
    closeSync(file);
  }
}
