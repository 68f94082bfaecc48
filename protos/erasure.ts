/**
 * Erasure: a device's signed statement that its rows be erased, and the coordinator's receipt: what is gone, what is
 * kept and why (docs/adr/0037).
 *
 * Trusts: nothing; both sides parse here. May be called by: client, coordinator, auditor.
 */
import { z } from 'zod';
import { transcript } from '../crypto/bytes.ts';
import { canonicalRecord } from './canonical-record.ts';
import { bytesOf, bytesUpTo, deviceId, digest, integer, roundNumber, signature } from './fields.ts';

export const ERASURE_RECEIPT_BYTES_MAX = 16 * 1024;

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`));
const timeMs = integer(0, Number.MAX_SAFE_INTEGER);

export const eraseDeviceRequest = z.object({
  /** The plan that runs: it names the budget epoch of the pseudonym. */
  planHash: digest,
  pseudonym: digest,
  timeMs,
  signature,
});
export type EraseDeviceRequest = z.output<typeof eraseDeviceRequest>;

export const eraseDeviceReply = z.object({
  receipt: bytesUpTo(ERASURE_RECEIPT_BYTES_MAX),
  signature: bytesOf(64),
});

/** What the device signs. */
export const erasureStatement = (fields: {
  planHash: Uint8Array;
  deviceId: string;
  pseudonym: Uint8Array;
  timeMs: number;
}): Uint8Array => transcript('erasure', fields.planHash, fields.deviceId, fields.pseudonym, fields.timeMs);

/** What the coordinator signs over an erasure receipt. */
export const erasureReceiptStatement = (receipt: Uint8Array): Uint8Array =>
  transcript('erasure-receipt', receipt);

const line = z.string().min(1).max(400);

const receiptSchema = z.strictObject({
  version: z.literal(1),
  kind: z.literal('erasure'),
  planHash: hex(32),
  deviceId,
  /** Of the device's statement. */
  timeMs,
  erasedMs: timeMs,
  /** H(signed statement ‖ signature): the leaf in the log carries it, unless `repeated`. */
  commitment: hex(32),
  /**
   * The device had been erased before `erasedMs`. Nothing more is said, because nothing more is kept: `erased` and
   * `standing` are empty, and the log has the commitment of the earlier request, not of this one.
   */
  repeated: z.literal(true).optional(),
  /** Rows that were erased, by what they were. */
  erased: z.array(z.strictObject({ what: line, count: integer(0, Number.MAX_SAFE_INTEGER) })).max(32),
  /** Rounds under way that have this device's upload: they end as they would have, then their rows are erased, too. */
  standing: z.array(z.strictObject({ planHash: hex(32), round: roundNumber })).max(16),
  kept: z.array(z.strictObject({ what: line, why: line })).max(32),
});
export type ErasureReceipt = z.output<typeof receiptSchema>;
export const erasureReceiptRecord = canonicalRecord(
  'erasure receipt',
  receiptSchema,
  ERASURE_RECEIPT_BYTES_MAX,
);
