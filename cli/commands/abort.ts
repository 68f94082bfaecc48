/**
 * `pulsefold abort`: ends a round that cannot finish. Only a quorum of key holders frees its reservations.
 *
 * For: program.ts. Trusts: the researcher's identity file.
 */
import { type Command, InvalidArgumentError } from 'commander';
import { fromHex } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import { parse } from '../../protos/fields.ts';
import { type AdminOptions, abortReply, statusReply, withAdmin, withAdminClient } from '../admin.ts';
import { integerBetween, leaf, printResult } from '../command.ts';

interface AbortOptions extends AdminOptions {
  readonly round: number;
  readonly plan?: string;
  readonly reason: string;
}

function parsePlanHash(text: string): string {
  if (!/^[0-9a-f]{64}$/.test(text))
    throw new InvalidArgumentError('Expected 64 lower-case hexadecimal digits.');
  return text;
}

function parseReason(text: string): string {
  if (text.length > 200) throw new InvalidArgumentError('At most 200 characters.');
  return text;
}

export function command(): Command {
  return withAdmin(
    leaf('abort', {
      description:
        'Ask the key holders to sign the abort of a round. Budget reserved for it is freed when a quorum has.',
      examples: [
        'abort --coordinator localhost:7450 --identity me.identity --round 3 --reason "two holders are down"',
      ],
    })
      .requiredOption('--round <number>', 'round to abort', integerBetween(1, 100_000))
      .option('--plan <hash>', 'hash of the plan (default: the one that is running)', parsePlanHash)
      .option('--reason <text>', 'goes into the log', parseReason, 'aborted by the researcher'),
  ).action(async (options: AbortOptions) => {
    const { round, reason } = options;
    const { aborted, message } = await withAdminClient(options, async (client) => {
      const running = async () =>
        parse(statusReply, await client.call('getStatus', {}, { idempotent: true })).planHash;
      const planHash = options.plan === undefined ? await running() : fromHex(options.plan);
      ensure(planHash.length === 32, 'NOT_FOUND', 'the coordinator runs no plan: there is nothing to abort');
      return parse(abortReply, await client.call('abortRound', { planHash, round, reason }));
    });
    printResult(options, { round, aborted, message }, [
      [`round ${round}`, aborted ? 'is being aborted' : 'is not aborted'],
      ['coordinator', message || '–'],
    ]);
    if (!aborted) process.exitCode = 1;
  });
}
