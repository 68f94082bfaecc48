/**
 * The client-facing gRPC service: parse, authorise, call the domain, nothing else.
 *
 * Trusts: the transport's certificate check (role client). May be called by: coordinator/coordinator.ts.
 */
import { fromHex, toHex } from '../../crypto/bytes.ts';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import { consentRequest } from '../../protos/consent.ts';
import { eraseDeviceRequest } from '../../protos/erasure.ts';
import { BLOB_PAGE_BYTES, CHUNK_BYTES_MAX, parse } from '../../protos/fields.ts';
import type { PlanApproval } from '../../protos/plan.ts';
import {
  checkInRequest,
  getBlobRequest,
  getReceiptRequest,
  getUploadStateRequest,
  putUploadRequest,
} from '../../protos/rounds-messages.ts';
import { subjectAccessRequest } from '../../protos/subject-access.ts';
import type { CallContext, ServedService } from '../../protos/transport/server.ts';
import { withdrawRequest } from '../../protos/withdrawal.ts';
import { checkIn } from '../rounds/check-in.ts';
import { consent } from '../rounds/consents.ts';
import { requireNotErased } from '../rounds/erased-devices.ts';
import { eraseDevice } from '../rounds/erasures.ts';
import { Receipts } from '../rounds/receipts.ts';
import { compareAccounts } from '../rounds/reconcile.ts';
import * as repository from '../rounds/repository.ts';
import type { PlanRunner } from '../rounds/runner.ts';
import type { RoundServices } from '../rounds/services.ts';
import { subjectAccess } from '../rounds/subject-access.ts';
import { putUpload, targetOf } from '../rounds/uploads.ts';
import { withdraw } from '../rounds/withdrawals.ts';
import { BlobCache } from './blob-cache.ts';

/** The plan that clients join now; null before the first. */
export interface PlanDirectory {
  current(): { readonly runner: PlanRunner; readonly approvals: readonly PlanApproval[] } | null;
  /** A plan of this coordinator, also a finished one: receipts outlive plans. */
  find(planHash: Uint8Array): PlanRunner | null;
}

const RETRY_RECEIPT_MS = 300;

function deviceOf(context: CallContext) {
  ensure(context.identity && context.certificate, 'UNAUTHENTICATED', 'a client certificate is required');
  const { subjectId, signingPublicKey } = context.identity;
  return { deviceId: subjectId, signingPublicKey, certificate: context.certificate };
}

export function roundsService(services: RoundServices, plans: PlanDirectory): ServedService {
  const receipts = new Receipts(services);
  const blobs = new BlobCache();
  const runnerOf = (planHash: Uint8Array): PlanRunner => {
    const runner = plans.find(planHash);
    ensure(
      runner,
      'WRONG_PLAN',
      'this coordinator does not run that plan; fetch the present one with GetPlan',
    );
    return runner;
  };
  const planOf = (planHash: Uint8Array) => runnerOf(planHash).parsed;
  const knownDeviceOf = (context: CallContext) => {
    const device = deviceOf(context);
    requireNotErased(services, device.deviceId);
    return device;
  };
  const roundOf = (planHex: string, round: number) => plans.find(fromHex(planHex))?.round(round) ?? null;
  return {
    name: 'Rounds',
    handlers: {
      getPlan: () => {
        const current = plans.current();
        ensure(current, 'UNAVAILABLE', 'no plan is running yet; try again later');
        return {
          plan: current.runner.parsed.bytes,
          approvals: current.approvals,
          coordinatorPublicKey: services.signingKey.publicKey,
        };
      },
      checkIn: async (message: unknown, context: CallContext) => {
        const request = parse(checkInRequest, message);
        const outcome = await checkIn(
          services,
          runnerOf(request.planHash),
          knownDeviceOf(context),
          request,
          context.signal,
        );
        if (outcome.kind === 'invitation')
          return {
            invitation: {
              config: outcome.config,
              committeeKeySignatures: outcome.committeeKeySignatures,
              committeeKey: outcome.committeeKey,
            },
          };
        if (outcome.kind === 'wait')
          return { wait: { retryAfterMs: outcome.retryAfterMs, reason: outcome.reason } };
        return { finished: { reason: outcome.reason, modelHash: fromHex(outcome.modelHash) } };
      },
      getBlob: (message: unknown) => {
        const request = parse(getBlobRequest, message);
        const digest = toHex(request.digest);
        const data = blobs.get(digest, () =>
          services.store.read('blob', (db) => repository.getBlob(db, digest)),
        );
        ensure(data, 'NOT_FOUND', 'no artefact has this digest');
        ensure(request.offset <= data.length, 'FIELD_OUT_OF_RANGE', `the artefact has ${data.length} bytes`);
        return {
          data: data.subarray(request.offset, request.offset + BLOB_PAGE_BYTES),
          totalBytes: data.length,
        };
      },
      getUploadState: (message: unknown, context: CallContext) => {
        const request = parse(getUploadStateRequest, message);
        const { deviceId } = deviceOf(context);
        const { planHex, binding } = targetOf(services, request.configHash, roundOf);
        const row = services.store.read('upload', (db) =>
          repository.getUpload(db, planHex, binding.round, deviceId),
        );
        if (!row || row.digest !== toHex(request.digest)) return { nextOffset: 0, acknowledged: false };
        return { nextOffset: row.received_bytes, acknowledged: row.acknowledged === 1 };
      },
      putUpload: async (message: unknown, context: CallContext) => {
        requireChunkFits(message);
        const request = parse(putUploadRequest, message);
        const target = targetOf(services, request.header.configHash, roundOf);
        return putUpload(services, { target, device: deviceOf(context), ...request });
      },
      getReceipt: (message: unknown, context: CallContext) => {
        const request = parse(getReceiptRequest, message);
        const { parsed } = runnerOf(request.planHash);
        const { deviceId } = deviceOf(context);
        const built = receipts.build(parsed, request.round, deviceId);
        if (built) compareAccounts(services, parsed, deviceId, request);
        if (!built) return { retryAfterMs: RETRY_RECEIPT_MS };
        const proof = services.logProofs?.prove(toHex(request.planHash), request.round, request.logSizeSeen);
        return { ...built, ...proof, retryAfterMs: 0 };
      },
      withdraw: (message: unknown, context: CallContext) => {
        const request = parse(withdrawRequest, message);
        return withdraw(services, planOf(request.planHash), knownDeviceOf(context), request);
      },
      consent: (message: unknown, context: CallContext) =>
        consent(services, planOf, knownDeviceOf(context), parse(consentRequest, message)),
      subjectAccess: (message: unknown, context: CallContext) =>
        subjectAccess(services, planOf, knownDeviceOf(context), parse(subjectAccessRequest, message)),
      eraseDevice: (message: unknown, context: CallContext) => {
        const request = parse(eraseDeviceRequest, message);
        return eraseDevice(services, planOf(request.planHash), deviceOf(context), request);
      },
    },
  };
}

function requireChunkFits(message: unknown): void {
  const data = (message as { data?: unknown }).data;
  if (data instanceof Uint8Array && data.length > CHUNK_BYTES_MAX)
    throw new PulsefoldError(
      'CHUNK_TOO_LARGE',
      `a chunk has at most ${CHUNK_BYTES_MAX} bytes; send smaller ones`,
    );
}
