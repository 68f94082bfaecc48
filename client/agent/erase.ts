/**
 * Erasure from the device's side: stop for good, have the coordinator forget this device, have the registrar revoke and
 * forget it, each with a signed receipt. Destroying the vault is the caller's last step (rights.ts).
 *
 * Trusts: the session (an approved plan). May be called by: client/.
 */
import { fromHex, fromUtf8, toHex } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import { getSuite } from '../../crypto/identity/suite.ts';
import { statementCommitment } from '../../protos/consent.ts';
import {
  type ErasureReceipt,
  eraseDeviceReply,
  erasureReceiptRecord,
  erasureReceiptStatement,
  erasureStatement,
} from '../../protos/erasure.ts';
import { parse } from '../../protos/fields.ts';
import { type ForgetReceipt, forgetReply, forgetStatement, verifyForgetReply } from '../../protos/forget.ts';
import { openRegistrar } from '../../protos/transport/enrol.ts';
import type { IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import type { WithdrawalParts } from './withdraw.ts';

export interface Signed<T> {
  readonly content: T;
  /** As it was signed. */
  readonly text: string;
  /** Hexadecimal. */
  readonly signature: string;
}

/**
 * Has the coordinator forget this device. From the first step on, durably, the device takes no part any more. Asking
 * again gets a receipt that it was erased before, with nothing else in it (`repeated`). Throws BAD_SIGNATURE or MALFORMED_MESSAGE for a receipt that is not the coordinator's or
 * speaks of something else.
 */
export async function eraseAtCoordinator(p: WithdrawalParts): Promise<Signed<ErasureReceipt>> {
  const { session, identity, pseudonym, state, transport } = p;
  const { parsed, suite } = session;
  ensure(transport.eraseDevice, 'UNAVAILABLE', 'this connection carries no erasures');
  const timeMs = p.nowMs();
  if (!state.withdrawals.some(({ scope }) => scope === '*')) {
    state.withdrawals = [...state.withdrawals, { scope: '*', timeMs }];
    await p.save();
  }
  const planHash = parsed.hash;
  const deviceId = identity.subjectId;
  const statement = erasureStatement({ planHash, deviceId, pseudonym, timeMs });
  const signature = suite.sign(identity.signing.secretKey, statement);
  const reply = parse(
    eraseDeviceReply,
    await transport.eraseDevice({ planHash, pseudonym, timeMs, signature }),
  );
  const signed = suite.verify(
    fromHex(parsed.plan.coordinatorPublicKey),
    erasureReceiptStatement(reply.receipt),
    reply.signature,
  );
  ensure(signed, 'BAD_SIGNATURE', 'the receipt of the erasure is not signed by the coordinator of the plan');
  const content = erasureReceiptRecord.parse(reply.receipt);
  const own =
    content.deviceId === deviceId && content.commitment === statementCommitment(suite, statement, signature);
  ensure(own, 'MALFORMED_MESSAGE', 'the receipt speaks of another device or erasure');
  return { content, text: fromUtf8(reply.receipt), signature: toHex(reply.signature) };
}

/**
 * Has the registrar revoke and forget this device's enrolment. Throws what `verifyForgetReply` throws, UNAVAILABLE, or
 * CERTIFICATE_REVOKED where it was revoked before.
 */
export async function forgetAtRegistrar(
  address: string,
  identity: IdentityBundle,
  nowMs: number,
): Promise<Signed<ForgetReceipt>> {
  const suite = getSuite(identity.suite);
  const signature = suite.sign(identity.signing.secretKey, forgetStatement(identity.serial, nowMs));
  const client = openRegistrar(address, identity);
  try {
    const reply = parse(
      forgetReply,
      await client.call('forget', { timeMs: nowMs, signature }, { deadlineMs: 10_000 }),
    );
    const own = { deviceId: identity.subjectId, caPem: identity.caPem, nowMs };
    const content = verifyForgetReply(reply, own);
    return { content, text: fromUtf8(reply.receipt), signature: toHex(reply.signature) };
  } finally {
    client.close();
  }
}
