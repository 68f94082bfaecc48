/**
 * Asks the coordinator for everything that it holds about this device, page by page, and checks what comes: the signed
 * receipt, the report's digest, and that it speaks of this device.
 *
 * Trusts: the session (an approved plan). May be called by: client/.
 */
import { fromHex, toHex } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import { parse } from '../../protos/fields.ts';
import {
  type SubjectReceipt,
  type SubjectReport,
  subjectAccessReply,
  subjectAccessStatement,
  subjectReceiptRecord,
  subjectReceiptStatement,
  subjectReportRecord,
} from '../../protos/subject-access.ts';
import type { WithdrawalParts } from './withdraw.ts';

export interface VerifiedReport {
  readonly receipt: SubjectReceipt;
  /** As it was signed, and the signature. */
  readonly receiptBytes: Uint8Array;
  readonly signature: Uint8Array;
  readonly report: SubjectReport;
}

/**
 * The coordinator's report on this device. Throws BAD_SIGNATURE, DIGEST_MISMATCH, MALFORMED_MESSAGE for an answer that
 * is not the coordinator's, not whole or of another device; UNAVAILABLE beyond the day's number.
 */
export async function askSubjectAccess(p: WithdrawalParts): Promise<VerifiedReport> {
  const { session, identity, pseudonym, transport } = p;
  const { parsed, suite } = session;
  ensure(transport.subjectAccess, 'UNAVAILABLE', 'this connection carries no requests for a report');
  const planHash = parsed.hash;
  const timeMs = p.nowMs();
  const statement = subjectAccessStatement({ planHash, deviceId: identity.subjectId, pseudonym, timeMs });
  const signature = suite.sign(identity.signing.secretKey, statement);
  const request = { planHash, pseudonym, timeMs, signature };
  const page = async (offset: number) =>
    parse(subjectAccessReply, await transport.subjectAccess!({ ...request, offset }));
  const first = await page(0);
  const signed = suite.verify(
    fromHex(parsed.plan.coordinatorPublicKey),
    subjectReceiptStatement(first.receipt),
    first.signature,
  );
  ensure(signed, 'BAD_SIGNATURE', 'the report is not signed by the coordinator of the plan');
  const receipt = subjectReceiptRecord.parse(first.receipt);
  const bytes = new Uint8Array(receipt.reportBytes);
  let length = 0;
  for (let { data } = first; ; { data } = await page(length)) {
    ensure(
      data.length > 0 && length + data.length <= bytes.length,
      'DIGEST_MISMATCH',
      'the report is longer or shorter than its receipt says; ask again',
    );
    bytes.set(data, length);
    length += data.length;
    if (length === bytes.length) break;
  }
  ensure(
    toHex(suite.digest(bytes)) === receipt.reportDigest,
    'DIGEST_MISMATCH',
    'the report is not the one that its receipt was signed for; ask again',
  );
  const report = subjectReportRecord.parse(bytes);
  const own =
    receipt.deviceId === identity.subjectId &&
    report.deviceId === identity.subjectId &&
    receipt.pseudonym === toHex(pseudonym);
  ensure(own, 'MALFORMED_MESSAGE', 'the report speaks of another device');
  return { receipt, receiptBytes: first.receipt, signature: first.signature, report };
}
