/**
 * What an honest coordinator answers to people's rights, over FakeCoordinator. For tests only.
 *
 * May be called by: *.test.ts in client/. Not exported by the package.
 */
import { toHex } from '../../crypto/bytes.ts';
import {
  CONSENT_NOTE,
  type ConsentReceipt,
  consentReceiptRecord,
  consentReceiptStatement,
  consentRecord,
  consentStatement,
  statementCommitment,
} from '../../protos/consent.ts';
import {
  type ErasureReceipt,
  erasureReceiptRecord,
  erasureReceiptStatement,
  erasureStatement,
} from '../../protos/erasure.ts';
import { BLOB_PAGE_BYTES } from '../../protos/fields.ts';
import {
  type SubjectReport,
  subjectAccessStatement,
  subjectReceiptRecord,
  subjectReceiptStatement,
  subjectReportRecord,
} from '../../protos/subject-access.ts';
import type { FakeCoordinator } from './testing-coordinator.ts';
import type { ConsentRequest, DeviceRequest, RightsTransport, RoundsTransport } from './transport.ts';

export const TERMS = {
  required: true,
  controller: 'Heart Institute',
  contact: 'privacy@heart.example',
  retentionDays: 30,
} as const;

/** Where a test makes the coordinator lie; each gets the honest content and returns another. */
export interface Lies {
  consent?: (receipt: ConsentReceipt) => ConsentReceipt;
  erase?: (receipt: ErasureReceipt) => ErasureReceipt;
  report?: (report: SubjectReport) => SubjectReport;
  /** After the report was digested. */
  page?: (data: Uint8Array, offset: number) => Uint8Array;
  signature?: (signature: Uint8Array) => Uint8Array;
}

/** The fake coordinator with rights; `asked` notes what was sent. */
export function withRights(
  coordinator: FakeCoordinator,
  lies: Lies = {},
): RoundsTransport & RightsTransport & { readonly asked: string[] } {
  const { suite, coordinatorKey } = coordinator;
  const asked: string[] = [];
  const sign = (statement: Uint8Array) => {
    const signature = suite.sign(coordinatorKey.secretKey, statement);
    return lies.signature ? lies.signature(signature) : signature;
  };
  const own = (request: DeviceRequest) => ({ ...request, deviceId: coordinator.identity.subjectId });
  const rights: RightsTransport = {
    async consent({ consent, signature }: ConsentRequest) {
      asked.push('consent');
      const {
        version: _v,
        kind: _k,
        columns: _c,
        privacy: _p,
        epoch: _e,
        retentionDays: _r,
        ...given
      } = consentRecord.parse(consent);
      const honest: ConsentReceipt = {
        version: 1,
        kind: 'consent',
        ...given,
        receivedMs: given.timeMs,
        commitment: statementCommitment(suite, consentStatement(consent), signature),
        note: CONSENT_NOTE,
      };
      const receipt = consentReceiptRecord.encode(lies.consent?.(honest) ?? honest);
      return { receipt, signature: sign(consentReceiptStatement(receipt)) };
    },
    async eraseDevice(request: DeviceRequest) {
      asked.push('erase');
      const honest: ErasureReceipt = {
        version: 1,
        kind: 'erasure',
        planHash: toHex(request.planHash),
        deviceId: coordinator.identity.subjectId,
        timeMs: request.timeMs,
        erasedMs: request.timeMs,
        commitment: statementCommitment(suite, erasureStatement(own(request)), request.signature),
        erased: [{ what: 'everything', count: 1 }],
        standing: [],
        kept: [],
      };
      const receipt = erasureReceiptRecord.encode(lies.erase?.(honest) ?? honest);
      return { receipt, signature: sign(erasureReceiptStatement(receipt)) };
    },
    async subjectAccess({ offset, ...request }: DeviceRequest & { readonly offset: number }) {
      asked.push(`access ${offset}`);
      const honest = emptyReport(coordinator.identity.subjectId, request.timeMs);
      const report = subjectReportRecord.encode(lies.report?.(honest) ?? honest);
      const receipt = subjectReceiptRecord.encode({
        version: 1,
        kind: 'subject-access',
        planHash: toHex(request.planHash),
        deviceId: coordinator.identity.subjectId,
        pseudonym: toHex(request.pseudonym),
        timeMs: request.timeMs,
        madeMs: request.timeMs,
        reportDigest: toHex(suite.digest(report)),
        reportBytes: report.length,
        commitment: statementCommitment(suite, subjectAccessStatement(own(request)), request.signature),
      });
      const data = report.slice(offset, offset + BLOB_PAGE_BYTES);
      return {
        receipt,
        signature: sign(subjectReceiptStatement(receipt)),
        data: lies.page?.(data, offset) ?? data,
      };
    },
  };
  const { getPlan, checkIn, getBlob, getUploadState, putUpload, getReceipt, withdraw } = coordinator;
  const rounds = { getPlan, checkIn, getBlob, getUploadState, putUpload, getReceipt, withdraw };
  return { ...rounds, ...rights, close: () => {}, asked };
}

const emptyReport = (deviceId: string, madeMs: number): SubjectReport => ({
  version: 1,
  kind: 'subject-access-report',
  deviceId,
  madeMs,
  plans: [],
  pseudonyms: [],
  invitations: [],
  uploads: [],
  lates: [],
  verdicts: [],
  accounts: [],
  charges: [],
  consents: [],
  withdrawals: [],
  alarms: [],
  accesses: [],
  certificate: '',
  logProofs: [],
  omitted: [],
});
