/**
 * Relays the committee-key ceremonies between the key holders, one key per round, made ahead (DESIGN §4).
 *
 * Trusts: nothing it relays; holders sign their parts and seal their shares, so the coordinator can only delay. It
 * checks every holder's signature over the finished key before it keeps it.
 * May be called by: coordinator/rounds/runner.ts.
 */
import { equalBytes, fromHex, toHex } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import { getSuite, type Suite } from '../../crypto/identity/suite.ts';
import { phasesOf } from '../../protos/keyholder-messages.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { committeeKeyStatement } from '../../protos/statements.ts';
import type { CeremonyReply, HolderPort } from './holder-port.ts';

export interface CommitteeKey {
  readonly round: number;
  readonly keyId: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly signatures: readonly { readonly holderId: string; readonly signature: Uint8Array }[];
}

/** Runs one ceremony. Every holder must take part; any failure names its culprit and leaves no key behind. */
export async function runCeremony(
  parsed: ParsedPlan,
  round: number,
  holders: readonly HolderPort[],
  /** Waits for a holder that is away; a repeated step gets the stored reply. */
  ask: <T>(holder: HolderPort, question: () => Promise<T>) => Promise<T> = (_, question) => question(),
  suite: Suite = getSuite(parsed.plan.suite),
): Promise<CommitteeKey> {
  let replies: readonly CeremonyReply[] = [];
  for (const phase of phasesOf(parsed.plan.aggregation.transport)) {
    const parts = replies.map((reply) => reply.part);
    const shares = replies.flatMap((reply) => reply.shares);
    replies = await Promise.all(
      holders.map((holder) =>
        ask(holder, () =>
          holder.ceremonyStep({
            planHash: parsed.hash,
            round,
            phase,
            parts,
            shares: shares.filter((share) => share.toHolderId === holder.holderId),
          }),
        ),
      ),
    );
  }
  return checkCommitteeKey(suite, parsed, round, replies);
}

function checkCommitteeKey(
  suite: Suite,
  parsed: ParsedPlan,
  round: number,
  replies: readonly CeremonyReply[],
): CommitteeKey {
  const first = replies[0]!;
  for (const [index, reply] of replies.entries()) {
    const holder = parsed.plan.holders[index]!;
    ensure(
      equalBytes(reply.keyId, first.keyId) && equalBytes(reply.publicKey, first.publicKey),
      'CEREMONY_FAILED',
      `round ${round}: ${holder.id} finished with another committee key (${toHex(reply.keyId).slice(0, 12)})`,
    );
    const statement = committeeKeyStatement({ planHash: parsed.hash, round, keyId: reply.keyId });
    ensure(
      suite.verify(fromHex(holder.signingPublicKey), statement, reply.keySignature),
      'CEREMONY_FAILED',
      `round ${round}: the signature of ${holder.id} over the committee key does not verify`,
    );
  }
  return {
    round,
    keyId: first.keyId,
    publicKey: first.publicKey,
    signatures: replies.map((reply, index) => ({
      holderId: parsed.plan.holders[index]!.id,
      signature: reply.keySignature,
    })),
  };
}
