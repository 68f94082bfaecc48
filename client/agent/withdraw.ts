/**
 * Withdrawal of a device: remembered here first, so that it holds whatever the coordinator does, then stated to the
 * coordinator under the device's key and kept with its signed receipt.
 *
 * Trusts: the session (an approved plan). May be called by: client/.
 */
import { z } from 'zod';
import { equalBytes, fromHex, toHex } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import { parse } from '../../protos/fields.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { familyQuotaName, planQuotaName } from '../../protos/plan-quota.ts';
import type { IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import {
  parseWithdrawalReceipt,
  scopesOfPlan,
  type WithdrawalReceipt,
  withdrawalReceiptStatement,
  withdrawalScope,
  withdrawalStatement,
  withdrawReply,
} from '../../protos/withdrawal.ts';
import type { PlanSession } from './invitation.ts';
import type { ClientState } from './store.ts';
import type { RoundsTransport } from './transport.ts';

const hexBytes = z.string().regex(/^([0-9a-f]{2})*$/);

export const withdrawalsSchema = z
  .array(
    z.strictObject({
      scope: withdrawalScope,
      timeMs: z.int().min(0),
      /** Canonical JSON and the coordinator's signature over it, once it has answered. */
      receipt: hexBytes.max(16_384).optional(),
      signature: hexBytes.max(128).optional(),
    }),
  )
  .max(1000);
export type StoredWithdrawal = z.output<typeof withdrawalsSchema>[number];

/** What to withdraw from: this plan, its family (the plan alone if it has none), or everything. */
export type WithdrawalExtent = 'plan' | 'family' | 'all';

export function scopeOf({ plan, hashHex }: ParsedPlan, extent: WithdrawalExtent): string {
  if (extent === 'all') return '*';
  const family = plan.privacy?.quota?.family;
  return extent === 'family' && family !== undefined ? familyQuotaName(family) : planQuotaName(hashHex);
}

/** The withdrawal that covers this plan, if any. */
export const withdrawalFrom = (state: ClientState, parsed: ParsedPlan): StoredWithdrawal | undefined =>
  state.withdrawals.find(({ scope }) => scopesOfPlan(parsed).includes(scope));

export interface WithdrawalParts {
  readonly session: PlanSession;
  readonly identity: IdentityBundle;
  readonly pseudonym: Uint8Array;
  readonly state: ClientState;
  readonly transport: RoundsTransport;
  readonly nowMs: () => number;
  /** Makes the state durable. */
  readonly save: () => Promise<void>;
}

/**
 * Withdraws and returns the coordinator's verified receipt. Repeating it asks for the receipt again. Throws BAD_SIGNATURE
 * or MALFORMED_MESSAGE for a receipt that is not the coordinator's or speaks of something else; the device's own part of
 * the withdrawal stands even so.
 */
export async function withdraw(p: WithdrawalParts, extent: WithdrawalExtent): Promise<WithdrawalReceipt> {
  const { session, identity, pseudonym, state, transport } = p;
  const { parsed, suite } = session;
  const scope = scopeOf(parsed, extent);
  const timeMs = p.nowMs();
  if (!state.withdrawals.some((one) => one.scope === scope)) {
    state.withdrawals = [...state.withdrawals, { scope, timeMs }];
    await p.save();
  }
  const planHash = parsed.hash;
  const deviceId = identity.subjectId;
  const statement = withdrawalStatement({ planHash, deviceId, pseudonym, scope, timeMs });
  const signature = suite.sign(identity.signing.secretKey, statement);
  const reply = parse(
    withdrawReply,
    await transport.withdraw({ planHash, pseudonym, scope, timeMs, signature }),
  );
  const coordinator = fromHex(parsed.plan.coordinatorPublicKey);
  ensure(
    suite.verify(coordinator, withdrawalReceiptStatement(reply.receipt), reply.signature),
    'BAD_SIGNATURE',
    'the withdrawal receipt is not signed by the coordinator of the plan; this device takes no further part anyway',
  );
  const receipt = parseWithdrawalReceipt(reply.receipt);
  const own =
    receipt.scope === scope &&
    receipt.deviceId === deviceId &&
    equalBytes(fromHex(receipt.pseudonym), pseudonym);
  ensure(own, 'MALFORMED_MESSAGE', 'the withdrawal receipt speaks of another device or scope');
  state.withdrawals = state.withdrawals.map((one) =>
    one.scope === scope ? { ...one, receipt: toHex(reply.receipt), signature: toHex(reply.signature) } : one,
  );
  await p.save();
  return receipt;
}
