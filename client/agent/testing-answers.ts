/**
 * What an honest coordinator says of charges and withdrawals, for FakeCoordinator.
 *
 * For tests only. May be called by: testing-coordinator.ts.
 */
import { toHex } from '../../crypto/bytes.ts';
import { accountPlan, realisedCharge } from '../../protos/plan-mechanism.ts';
import {
  encodeWithdrawalReceipt,
  PAST_SPEND_NOTE,
  withdrawalReceiptStatement,
} from '../../protos/withdrawal.ts';
import type { FakeCoordinator } from './testing-coordinator.ts';
import type { WithdrawRequest } from './transport.ts';

/** The `charge` of a certified receipt; nothing without DP. */
export function chargeOfRound(
  { parsed, rounds }: FakeCoordinator,
  round: number,
  leaves: readonly unknown[],
) {
  const account = accountPlan(parsed);
  if (!account) return {};
  const { kind } = rounds.get(round)!;
  const amount = realisedCharge(parsed, kind, leaves.length, account.order).toFixed(45);
  return { charge: { order: String(account.order), amount } };
}

export function withdrawalReply(coordinator: FakeCoordinator, request: WithdrawRequest) {
  const receipt = encodeWithdrawalReceipt({
    version: 1,
    kind: 'withdrawal',
    planHash: toHex(request.planHash),
    deviceId: coordinator.identity.subjectId,
    pseudonym: toHex(request.pseudonym),
    scope: request.scope,
    timeMs: request.timeMs,
    standingRound: 0,
    ...{ order: '', spent: '', reserved: '' },
    note: PAST_SPEND_NOTE,
  });
  const { suite, coordinatorKey } = coordinator;
  return { receipt, signature: suite.sign(coordinatorKey.secretKey, withdrawalReceiptStatement(receipt)) };
}
