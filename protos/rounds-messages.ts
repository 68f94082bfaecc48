/**
 * Parsers of the Rounds and Admin services: one schema per message, every field capped.
 *
 * Trusts: nothing. May be called by: coordinator/grpc (requests).
 */
import { z } from 'zod';
import { APPROVALS_MAX } from './approval-policy.ts';
import {
  bytesOf,
  bytesOrEmpty,
  bytesUpTo,
  CHUNK_BYTES_MAX,
  digest,
  integer,
  listOf,
  roundNumber,
  signature,
  text,
} from './fields.ts';
import { PLAN_BYTES_MAX } from './plan.ts';

const UPLOAD_BYTES_MAX = 64 * 1024 * 1024;

export const checkInRequest = z.object({
  planHash: digest,
  pseudonym: digest,
  timeMs: integer(0, Number.MAX_SAFE_INTEGER),
  signature,
  waitMs: integer(0, 60_000),
  roundAfter: integer(0, 100_000),
});

export const getBlobRequest = z.object({ digest, offset: integer(0, 2 ** 31) });

export const uploadHeader = z.object({
  configHash: digest,
  digest,
  signature,
  bodyBytes: integer(1, UPLOAD_BYTES_MAX),
  holderBytes: integer(1, UPLOAD_BYTES_MAX),
});

export type UploadHeader = z.output<typeof uploadHeader>;

export const getUploadStateRequest = z.object({ configHash: digest, digest });

/** A chunk over the cap has its own code, because a client can mend that by itself. */
export const putUploadRequest = z.object({
  header: uploadHeader,
  offset: integer(0, 2 * UPLOAD_BYTES_MAX),
  data: bytesUpTo(CHUNK_BYTES_MAX),
});

export const getReceiptRequest = z.object({
  planHash: digest,
  round: roundNumber,
  /** Leaves of the largest checkpoint that the device has verified; chooses which proofs come. */
  logSizeSeen: integer(0, Number.MAX_SAFE_INTEGER).default(0),
  /** What verified receipts have charged the device in this epoch, as a decimal at the ledger's order. */
  charged: z
    .string()
    .regex(/^(\d{1,20}(\.\d{1,60})?)?$/)
    .default(''),
});

export const abortRoundRequest = z.object({ planHash: digest, round: roundNumber, reason: text(200) });

const approval = z.object({ approverId: text(63), publicKey: bytesUpTo(65), signature: bytesOf(64) });

export const submitPlanRequest = z.object({
  plan: bytesOrEmpty(PLAN_BYTES_MAX),
  approvals: listOf(approval, APPROVALS_MAX),
});
