/**
 * Subject access: a device asks what the coordinator holds about it, and gets it all, digested in a signed receipt.
 *
 * The report is canonical JSON (docs/person-export.md) and travels in pages; asking again within a minute gets the same
 * one. Trusts: nothing; both sides parse here. May be called by: client, coordinator, auditor.
 */
import { z } from 'zod';
import { transcript } from '../crypto/bytes.ts';
import { canonicalRecord } from './canonical-record.ts';
import { CONSENT_BYTES_MAX, CONSENT_RECEIPT_BYTES_MAX } from './consent.ts';
import {
  BLOB_PAGE_BYTES,
  bytesOf,
  bytesOrEmpty,
  bytesUpTo,
  deviceId,
  digest,
  integer,
  roundNumber,
  signature,
} from './fields.ts';
import { WITHDRAWAL_RECEIPT_BYTES_MAX, withdrawalScope } from './withdrawal.ts';

export const SUBJECT_REPORT_BYTES_MAX = 32 * 1024 * 1024;
export const SUBJECT_RECEIPT_BYTES_MAX = 4096;
/** Rows of one kind in a report. */
export const SUBJECT_ROWS_MAX = 20_000;

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`));
const hexUpTo = (bytes: number) =>
  z
    .string()
    .max(2 * bytes)
    .regex(/^([0-9a-f]{2})*$/);
const timeMs = integer(0, Number.MAX_SAFE_INTEGER);
const count = integer(0, Number.MAX_SAFE_INTEGER);

export const subjectAccessRequest = z.object({
  /** The plan that runs: it names the budget epoch of the pseudonym. */
  planHash: digest,
  pseudonym: digest,
  timeMs,
  signature,
  /** Where the next page of the report begins. */
  offset: integer(0, SUBJECT_REPORT_BYTES_MAX),
});
export type SubjectAccessRequest = z.output<typeof subjectAccessRequest>;

export const subjectAccessReply = z.object({
  receipt: bytesUpTo(SUBJECT_RECEIPT_BYTES_MAX),
  signature: bytesOf(64),
  data: bytesOrEmpty(BLOB_PAGE_BYTES),
});

/** What the device signs. */
export const subjectAccessStatement = (fields: {
  planHash: Uint8Array;
  deviceId: string;
  pseudonym: Uint8Array;
  timeMs: number;
}): Uint8Array =>
  transcript('subject-access', fields.planHash, fields.deviceId, fields.pseudonym, fields.timeMs);

/** What the coordinator signs over the receipt of a subject access. */
export const subjectReceiptStatement = (receipt: Uint8Array): Uint8Array =>
  transcript('subject-access-receipt', receipt);

const receiptSchema = z.strictObject({
  version: z.literal(1),
  kind: z.literal('subject-access'),
  planHash: hex(32),
  deviceId,
  pseudonym: hex(32),
  /** Of the device's statement that the report was made for. */
  timeMs,
  madeMs: timeMs,
  reportDigest: hex(32),
  reportBytes: integer(1, SUBJECT_REPORT_BYTES_MAX),
  /** H(signed statement ‖ signature): the leaf in the log carries it and nothing else. */
  commitment: hex(32),
});
export type SubjectReceipt = z.output<typeof receiptSchema>;
export const subjectReceiptRecord = canonicalRecord(
  'subject access receipt',
  receiptSchema,
  SUBJECT_RECEIPT_BYTES_MAX,
);

const at = { planHash: hex(32), round: roundNumber };
const amount = z.string().max(64);
const rows = <T extends z.ZodType>(item: T) => z.array(item).max(SUBJECT_ROWS_MAX);
const text = (maximum: number) => z.string().max(maximum);

const reportSchema = z.strictObject({
  version: z.literal(1),
  kind: z.literal('subject-access-report'),
  deviceId,
  madeMs: timeMs,
  /** Plans in which this device appears. */
  plans: rows(
    z.strictObject({
      planHash: hex(32),
      name: text(63),
      purpose: text(500),
      epoch: text(32),
      status: text(16),
      controller: text(200),
      contact: text(200),
    }),
  ),
  pseudonyms: rows(z.strictObject({ epoch: text(32), pseudonym: hex(32) })),
  invitations: rows(z.strictObject({ ...at, pseudonym: hex(32) })),
  uploads: rows(
    z.strictObject({
      ...at,
      digest: hex(32),
      signature: hex(64),
      bodyBytes: count,
      holderBytes: count,
      receivedBytes: count,
      acknowledged: z.boolean(),
      /** The ciphertext itself is still there. */
      stored: z.boolean(),
    }),
  ),
  lates: rows(z.strictObject({ ...at, digest: hex(32) })),
  verdicts: rows(z.strictObject({ ...at, holder: text(63), accepted: z.boolean(), reason: text(600) })),
  /** The ledger's account of each pseudonym, at its filter's order; amounts are decimals. */
  accounts: rows(
    z.strictObject({
      pseudonym: hex(32),
      order: text(32),
      epsilon: amount,
      delta: amount,
      limit: amount,
      spent: amount,
      reserved: amount,
      withdrawn: z.array(withdrawalScope).max(1000),
    }),
  ),
  /** What each round charged or still holds. */
  charges: rows(
    z.strictObject({
      ...at,
      pseudonym: hex(32),
      amount,
      state: z.enum(['reserved', 'charged', 'released']),
    }),
  ),
  consents: rows(
    z.strictObject({
      consent: text(CONSENT_BYTES_MAX),
      signature: hex(64),
      receipt: text(CONSENT_RECEIPT_BYTES_MAX),
    }),
  ),
  withdrawals: rows(z.strictObject({ signature: hex(64), receipt: text(WITHDRAWAL_RECEIPT_BYTES_MAX) })),
  alarms: rows(z.strictObject({ ...at, said: amount, ledger: amount, timeMs })),
  accesses: rows(z.strictObject({ timeMs })),
  /** Certificate of the device's newest upload, DER. */
  certificate: hexUpTo(4096),
  /** .tlog-proof texts of leaves that concern this device; the leaf stands in the extra data. */
  logProofs: rows(
    z.strictObject({
      what: z.enum(['decision', 'settlement', 'consent', 'withdrawal']),
      planHash: hex(32),
      /** 0 where the leaf is of no round. */
      round: integer(0, 100_000),
      proof: text(160 * 1024),
    }),
  ),
  /** What was left out, in words: rows beyond the caps, proofs beyond the size. Empty: nothing. */
  omitted: z.array(text(300)).max(16),
});
export type SubjectReport = z.output<typeof reportSchema>;
export const subjectReportRecord = canonicalRecord(
  'subject access report',
  reportSchema,
  SUBJECT_REPORT_BYTES_MAX,
);
