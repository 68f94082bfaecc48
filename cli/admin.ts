/**
 * The researcher's connection to a coordinator.
 *
 * For: the `plan submit`, `status` and `abort` commands. Trusts: the identity file and the CA in it; replies are
 * parsed with caps, because a coordinator is not trusted.
 */
import type { Command } from 'commander';
import { z } from 'zod';
import { ensure } from '../crypto/error.ts';
import type { RpcClient } from '../protos/transport/channel.ts';
import {
  type CommonOptions,
  type PassphraseOptions,
  parseAddress,
  passphraseOf,
  withPassphrase,
} from './command.ts';

export interface AdminOptions extends CommonOptions, PassphraseOptions {
  readonly coordinator: string;
  readonly identity: string;
}

export const withAdmin = (command: Command): Command =>
  withPassphrase(
    command
      .requiredOption('--coordinator <host:port>', "the coordinator's address", parseAddress)
      .requiredOption(
        '--identity <file>',
        'identity file of a researcher (pulsefold enrol --role researcher)',
      ),
  );

/** Calls `body` with an open connection and closes it. Throws WRONG_ROLE for another role's identity. */
export async function withAdminClient<Result>(
  options: AdminOptions,
  body: (client: RpcClient) => Promise<Result>,
): Promise<Result> {
  const { loadIdentity } = await import('../protos/transport/identity-store.ts');
  const { openClient } = await import('../protos/transport/channel.ts');
  const { channelCredentials } = await import('../protos/transport/tls.ts');
  const { caPem, certPem, tlsKeyPem, role } = await loadIdentity(options.identity, {
    passphrase: await passphraseOf(options),
  });
  ensure(
    role === 'researcher',
    'WRONG_ROLE',
    `${options.identity} (--identity) is a ${role}'s, this takes a researcher's`,
  );
  const client = openClient({
    service: 'Admin',
    address: options.coordinator,
    credentials: channelCredentials({ caPem, certPem, keyPem: tlsKeyPem, server: { role: 'coordinator' } }),
    deadlineMs: 20_000,
  });
  try {
    return await body(client);
  } finally {
    client.close();
  }
}

const count = z.int().min(0);
const digestOrEmpty = z.instanceof(Uint8Array).refine((bytes) => bytes.length === 0 || bytes.length === 32);

const roundStatus = z.object({
  round: count,
  kind: z.string().max(32),
  phase: z.string().max(32),
  invited: count,
  uploaded: count,
  certified: count,
  message: z.string().max(1000),
});

export const statusReply = z.object({
  planHash: digestOrEmpty,
  planName: z.string().max(63),
  phase: z.string().max(32),
  message: z.string().max(4000),
  roundsCompleted: count,
  roundsPlanned: count,
  keysReady: count,
  rounds: z.array(roundStatus).max(10_000),
  epsilonSpent: z.string().max(64),
  epsilonAllowed: z.string().max(64),
  budgetAlarms: z
    .array(
      z.object({
        round: count,
        said: z.string().max(64),
        ledger: z.string().max(64),
        timeMs: count,
      }),
    )
    .max(100),
  budgetAlarmCount: count,
});
export const abortReply = z.object({ aborted: z.boolean(), message: z.string().max(4000) });
export const submitReply = z.object({
  planHash: z.instanceof(Uint8Array).refine((bytes) => bytes.length === 32),
});
