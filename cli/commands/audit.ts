/**
 * `pulsefold audit verify`: anybody re-checks an exported run, offline.
 *
 * For: program.ts. Trusts: only the keys given as options; without them the result says what was taken on trust.
 */
import { statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { ensure } from '../../crypto/error.ts';
import {
  type CommonOptions,
  collect,
  group,
  integerBetween,
  leaf,
  printJson,
  printLine,
} from '../command.ts';
import { EXIT_FAILURE, naming } from '../failure.ts';
import { painter, printable } from '../terminal.ts';

interface VerifyOptions extends CommonOptions {
  readonly logKey?: string;
  readonly checkpoint?: string;
  readonly plan?: string;
  readonly approver?: readonly string[];
  readonly approvals?: number;
}

function parsePlanHash(text: string): string {
  if (!/^[0-9a-f]{64}$/.test(text))
    throw new InvalidArgumentError('Expected 64 lower-case hexadecimal digits.');
  return text;
}

function collectApprover(text: string, previous: readonly string[] | undefined): string[] {
  const wellFormed = /^[a-z0-9][a-z0-9-]{0,62}=([0-9a-f]{64}|04[0-9a-f]{128})$/.test(text);
  if (!wellFormed) throw new InvalidArgumentError('Expected ID=PUBLIC_KEY with the key in hexadecimal.');
  return collect(text, previous);
}

export function command(): Command {
  const verify = leaf('verify', {
    description:
      'Recompute the log tree, check every signature and sum, derive every charge again. Exit code 1 if it does not hold.',
    examples: [
      'audit verify runs/heart-0123456789ab',
      'audit verify runs/heart-0123456789ab --log-key log.key --json',
    ],
  })
    .argument('<directory>', 'run directory that a coordinator exported')
    .option('--log-key <file>', "file with the log's key, from elsewhere than the run directory")
    .option('--checkpoint <file>', 'checkpoint of the same log seen earlier')
    .option('--plan <hash>', 'hash of the plan that was meant', parsePlanHash)
    .option('--approver <id=key>', 'approver whose key is pinned; repeatable', collectApprover)
    .option('--approvals <number>', 'approver signatures required', integerBetween(1, 16))
    .action(verifyDirectory);
  return group('audit', {
    description: 'Check what others claim.',
    examples: ['audit verify runs/heart-0123456789ab'],
  }).addCommand(verify);
}

async function verifyDirectory(directory: string, options: VerifyOptions): Promise<void> {
  const isDirectory = statSync(directory, { throwIfNoEntry: false })?.isDirectory() === true;
  ensure(
    isDirectory,
    'NOT_FOUND',
    `${directory}: no such directory; name the run_dir that the coordinator or demo wrote`,
  );
  const read = (file: string | undefined, option: string) =>
    file === undefined ? undefined : naming(`${file} (${option})`, () => readFile(file, 'utf8'));
  const trust = {
    logKey: await read(options.logKey, '--log-key'),
    earlierCheckpoint: await read(options.checkpoint, '--checkpoint'),
    planHash: options.plan,
    approvers: options.approver?.map((text) => {
      const at = text.indexOf('=');
      return { id: text.slice(0, at), publicKey: text.slice(at + 1) };
    }),
    approvalsRequired: options.approvals,
  };
  const { verifyRunDirectory } = await import('../../auditor/verify.ts');
  const result = verifyRunDirectory(directory, trust);
  if (options.json) printJson(result);
  else {
    const { formatAudit } = await import('../../auditor/report.ts');
    const paint = painter();
    const [verdict, ...lines] = formatAudit(result).map(printable);
    printLine(paint(result.ok ? 'green' : 'red', verdict ?? ''));
    for (const line of lines) printLine(line);
  }
  if (!result.ok) process.exitCode = EXIT_FAILURE;
}
