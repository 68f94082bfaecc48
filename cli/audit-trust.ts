/**
 * The trust options that `pulsefold audit verify`, `prove` and `report` share: keys from elsewhere than the evidence.
 *
 * For: cli/commands/audit*.ts. Trusts: the files and values that the operator names.
 */
import { readFile } from 'node:fs/promises';
import { type Command, InvalidArgumentError } from 'commander';
import type { AuditTrust } from '../auditor/verify.ts';
import { type Approver, SEATS, type Seat } from '../protos/approval-policy.ts';
import { collect, integerBetween } from './command.ts';
import { naming } from './failure.ts';

export interface TrustOptions {
  readonly logKey?: string;
  readonly checkpoint?: string;
  readonly policy?: string;
  readonly plan?: string;
  readonly approver?: readonly string[];
  readonly approvals?: number;
}

const APPROVER = new RegExp(
  `^(?<id>[a-z0-9][a-z0-9-]{0,62})(@(?<seat>${SEATS.join('|')}))?=(?<publicKey>[0-9a-f]{64}|04[0-9a-f]{128})$`,
);

function parsePlanHash(text: string): string {
  if (!/^[0-9a-f]{64}$/.test(text))
    throw new InvalidArgumentError('Expected 64 lower-case hexadecimal digits.');
  return text;
}

function collectApprover(text: string, previous: readonly string[] | undefined): string[] {
  if (!APPROVER.test(text))
    throw new InvalidArgumentError(
      `Expected ID=PUBLIC_KEY or ID@SEAT=PUBLIC_KEY, the key in hexadecimal, the seat one of ${SEATS.join(', ')}.`,
    );
  return collect(text, previous);
}

function approverOf(text: string): Approver {
  const { id, seat, publicKey } = APPROVER.exec(text)!.groups!;
  return { id: id!, publicKey: publicKey!, ...(seat === undefined ? {} : { seat: seat as Seat }) };
}

export const withTrust = (command: Command): Command =>
  command
    .option('--log-key <file>', "file with the log's key, from elsewhere than the evidence")
    .option('--checkpoint <file>', 'checkpoint of the same log seen earlier')
    .option('--policy <file>', 'tlog-policy: witnesses that must have cosigned the checkpoint')
    .option('--plan <hash>', 'hash of the plan that was meant', parsePlanHash)
    .option(
      '--approver <id[@seat]=key>',
      'approver whose key is pinned; a seat that is named must have signed; repeatable',
      collectApprover,
    )
    .option('--approvals <number>', 'approver signatures required', integerBetween(1, 16));

export async function trustOf(options: TrustOptions): Promise<AuditTrust> {
  const read = (file: string | undefined, option: string) =>
    file === undefined ? undefined : naming(`${file} (${option})`, () => readFile(file, 'utf8'));
  return {
    logKey: await read(options.logKey, '--log-key'),
    earlierCheckpoint: await read(options.checkpoint, '--checkpoint'),
    policy: await read(options.policy, '--policy'),
    planHash: options.plan,
    approvers: options.approver?.map(approverOf),
    approvalsRequired: options.approvals,
  };
}
