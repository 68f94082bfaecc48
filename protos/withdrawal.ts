/**
 * Withdrawal: a device's signed statement that it takes no further part, and the coordinator's receipt for it.
 *
 * A scope is '*' (everything), `plan:<hash>` or `family:<name>` (privacy.quota.family). From its receipt on, nothing
 * more is charged within the scope, apart from one round that was under way with this device's upload in it
 * (`standingRound`). What is spent stays spent and released models are not unlearned; the receipt says so in words.
 * Trusts: nothing; both sides parse here. May be called by: client, coordinator, auditor.
 */
import { z } from 'zod';
import { transcript } from '../crypto/bytes.ts';
import { PulsefoldError } from '../crypto/error.ts';
import { canonicalBytes, parseCanonicalJson } from '../crypto/log/canonical-json.ts';
import { bytesOf, deviceId, digest, integer, signature } from './fields.ts';
import type { ParsedPlan } from './plan.ts';
import { familyQuotaName, planQuotaName } from './plan-quota.ts';

export const WITHDRAWAL_RECEIPT_BYTES_MAX = 8192;
export const PAST_SPEND_NOTE =
  'What was spent before stays spent: models already released were made with this data and are not unlearned.';

export const withdrawalScope = z
  .string()
  .regex(
    /^(\*|plan:[0-9a-f]{64}|family:[a-z0-9][a-z0-9-]{0,62})$/,
    'expected *, plan:<hash> or family:<name>',
  );

export const withdrawRequest = z.object({
  planHash: digest,
  pseudonym: digest,
  scope: withdrawalScope,
  timeMs: integer(0, Number.MAX_SAFE_INTEGER),
  signature,
});
export type WithdrawRequest = z.output<typeof withdrawRequest>;

export const withdrawReply = z.object({
  receipt: z
    .instanceof(Uint8Array)
    .refine((bytes) => bytes.length > 0 && bytes.length <= WITHDRAWAL_RECEIPT_BYTES_MAX),
  signature: bytesOf(64),
});

/** What the device signs. */
export const withdrawalStatement = (fields: {
  planHash: Uint8Array;
  deviceId: string;
  pseudonym: Uint8Array;
  scope: string;
  timeMs: number;
}): Uint8Array =>
  transcript('withdrawal', fields.planHash, fields.deviceId, fields.pseudonym, fields.scope, fields.timeMs);

/** What the coordinator signs over a withdrawal receipt (canonical JSON). */
export const withdrawalReceiptStatement = (receipt: Uint8Array): Uint8Array =>
  transcript('withdrawal-receipt', receipt);

/** Scopes that cover a plan. */
export const scopesOfPlan = ({ plan, hashHex }: ParsedPlan): string[] => {
  const family = plan.privacy?.quota?.family;
  return ['*', planQuotaName(hashHex), ...(family === undefined ? [] : [familyQuotaName(family)])];
};

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`));

const receiptSchema = z.strictObject({
  version: z.literal(1),
  kind: z.literal('withdrawal'),
  /** The plan that ran when it was received. */
  planHash: hex(32),
  deviceId,
  pseudonym: hex(32),
  scope: withdrawalScope,
  /** Of the device's statement. */
  timeMs: integer(0, Number.MAX_SAFE_INTEGER),
  /** Round of that plan that holds this device's upload already: it ends as it would have. 0: at once. */
  standingRound: integer(0, 100_000),
  /** What the ledger has charged this pseudonym in this epoch, at the filter's order; empty without DP. */
  order: z.string().max(32),
  spent: z.string().max(64),
  reserved: z.string().max(64),
  note: z.string().max(500),
});
export type WithdrawalReceipt = z.output<typeof receiptSchema>;

export const encodeWithdrawalReceipt = (receipt: WithdrawalReceipt): Uint8Array =>
  canonicalBytes(check(receipt));

/** Throws MALFORMED_MESSAGE. */
export const parseWithdrawalReceipt = (bytes: Uint8Array): WithdrawalReceipt =>
  check(parseCanonicalJson(bytes, WITHDRAWAL_RECEIPT_BYTES_MAX));

function check(value: unknown): WithdrawalReceipt {
  const result = receiptSchema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new PulsefoldError(
    'MALFORMED_MESSAGE',
    `withdrawal receipt.${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`,
  );
}
