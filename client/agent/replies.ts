/**
 * Parsers of the coordinator's replies: every field typed and capped before anything else looks at it.
 *
 * Trusts: nothing; the coordinator may be hostile. May be called by: client/.
 */
import { z } from 'zod';
import { PROOF_HASHES_MAX } from '../../crypto/log/merkle.ts';
import { TLOG_PROOF_BYTES_MAX } from '../../crypto/log/tlog-proof.ts';
import { APPROVALS_MAX } from '../../protos/approval-policy.ts';
import {
  BLOB_PAGE_BYTES,
  bytesOrEmpty,
  bytesUpTo,
  digest,
  holderId,
  INVITED_KEY_BYTES_MAX,
  integer,
  listOf,
  signature,
  text,
} from '../../protos/fields.ts';
import { PLAN_BYTES_MAX } from '../../protos/plan.ts';
import { RECEIPT_BYTES_MAX } from '../../protos/receipt.ts';

const REASON_LENGTH_MAX = 500;
const CONFIG_BYTES_MAX = 4096;
const HOLDERS_MAX = 16;
const UINT32_MAX = 2 ** 32 - 1;

const publicKey = bytesUpTo(65);

export const getPlanReply = z.object({
  plan: bytesUpTo(PLAN_BYTES_MAX),
  approvals: listOf(z.object({ approverId: text(63), publicKey, signature }), APPROVALS_MAX),
  coordinatorPublicKey: publicKey,
});
export type GetPlanReply = z.output<typeof getPlanReply>;

export const invitation = z.object({
  config: bytesUpTo(CONFIG_BYTES_MAX),
  committeeKeySignatures: listOf(z.object({ holderId, signature }), HOLDERS_MAX),
  committeeKey: bytesOrEmpty(INVITED_KEY_BYTES_MAX).default(new Uint8Array(0)),
});
export type Invitation = z.output<typeof invitation>;

export const checkInReply = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('invitation'), invitation }),
  z.object({
    outcome: z.literal('wait'),
    wait: z.object({ retryAfterMs: integer(0, UINT32_MAX), reason: text(REASON_LENGTH_MAX) }),
  }),
  z.object({
    outcome: z.literal('finished'),
    finished: z.object({ reason: text(REASON_LENGTH_MAX), modelHash: bytesOrEmpty(32) }),
  }),
]);

export const getBlobReply = z.object({
  data: bytesOrEmpty(BLOB_PAGE_BYTES),
  totalBytes: integer(0, UINT32_MAX),
});

export const getUploadStateReply = z.object({
  nextOffset: integer(0, UINT32_MAX),
  acknowledged: z.boolean(),
});

export const putUploadReply = z.object({
  nextOffset: integer(0, UINT32_MAX),
  acknowledged: z.boolean(),
  late: z.boolean(),
  signature: bytesOrEmpty(64),
});
export type PutUploadReply = z.output<typeof putUploadReply>;

export const getReceiptReply = z.object({
  receipt: bytesOrEmpty(RECEIPT_BYTES_MAX),
  signature: bytesOrEmpty(64),
  retryAfterMs: integer(0, UINT32_MAX),
  tlogProof: bytesOrEmpty(TLOG_PROOF_BYTES_MAX).default(() => new Uint8Array(0)),
  logConsistency: listOf(digest, PROOF_HASHES_MAX).default([]),
});
