/**
 * Forgetting at the registrar: a device's signed request that its enrolment be revoked and erased, and the registrar's
 * receipt, under the registrar's own certificate.
 *
 * Trusts: nothing; both sides parse here. May be called by: client, registrar.
 */
import { z } from 'zod';
import { transcript } from '../crypto/bytes.ts';
import { ensure } from '../crypto/error.ts';
import { CertificateVerifier } from '../crypto/identity/certificate.ts';
import { getSuite } from '../crypto/identity/suite.ts';
import { canonicalRecord } from './canonical-record.ts';
import { bytesOf, bytesUpTo, CERTIFICATE_BYTES_MAX, deviceId, integer, signature } from './fields.ts';

export const FORGET_RECEIPT_BYTES_MAX = 8192;

const timeMs = integer(0, Number.MAX_SAFE_INTEGER);
const line = z.string().min(1).max(300);

export const forgetRequest = z.object({ timeMs, signature });
export type ForgetRequest = z.output<typeof forgetRequest>;

export const forgetReply = z.object({
  receipt: bytesUpTo(FORGET_RECEIPT_BYTES_MAX),
  signature: bytesOf(64),
  certificate: bytesUpTo(CERTIFICATE_BYTES_MAX),
});

/** What the device signs. */
export const forgetStatement = (serial: string, time: number): Uint8Array =>
  transcript('forget', serial, time);
/** What the registrar signs over its receipt. */
export const forgetReceiptStatement = (receipt: Uint8Array): Uint8Array =>
  transcript('forget-receipt', receipt);

const receiptSchema = z.strictObject({
  version: z.literal(1),
  kind: z.literal('forgotten'),
  deviceId,
  timeMs,
  forgottenMs: timeMs,
  /** Revoked: by this request or before. */
  serials: z.array(z.string().regex(/^[0-9a-f]{32}$/)).max(1000),
  erased: z.array(line).max(16),
  kept: z.array(z.strictObject({ what: line, why: line })).max(16),
});
export type ForgetReceipt = z.output<typeof receiptSchema>;
export const forgetReceiptRecord = canonicalRecord(
  'receipt of the registrar',
  receiptSchema,
  FORGET_RECEIPT_BYTES_MAX,
);

/** Checks a reply for a device. Throws BAD_SIGNATURE, CERTIFICATE_*, WRONG_ROLE or MALFORMED_MESSAGE. */
export function verifyForgetReply(
  reply: z.output<typeof forgetReply>,
  own: { readonly deviceId: string; readonly caPem: string; readonly nowMs: number },
): ForgetReceipt {
  const signer = new CertificateVerifier(own.caPem).verify(reply.certificate, own.nowMs);
  ensure(
    signer.role === 'registrar',
    'WRONG_ROLE',
    'the receipt is signed by another role than the registrar',
  );
  const valid = getSuite(signer.suite).verify(
    signer.signingPublicKey,
    forgetReceiptStatement(reply.receipt),
    reply.signature,
  );
  ensure(valid, 'BAD_SIGNATURE', 'the receipt is not signed by the registrar');
  const receipt = forgetReceiptRecord.parse(reply.receipt);
  ensure(receipt.deviceId === own.deviceId, 'MALFORMED_MESSAGE', 'the receipt speaks of another device');
  return receipt;
}
