/**
 * Every statement that somebody signs or hashes, as canonical bytes (crypto/bytes.ts `transcript`).
 *
 * For: one place where signer and verifier agree. A label makes each kind of statement its own domain, so no
 * signature can be replayed as another kind. Trusts: nothing. May be called by: every role and the auditor.
 */
import { toHex, transcript, utf8 } from '../crypto/bytes.ts';
import type { Suite } from '../crypto/identity/suite.ts';

/** What an approver signs. */
export const approvalStatement = (planHash: Uint8Array, approverId: string): Uint8Array =>
  transcript('plan-approval', planHash, approverId);

/** What a device signs at check-in; ties its ledger pseudonym to its key. */
export const checkInStatement = (fields: {
  planHash: Uint8Array;
  deviceId: string;
  pseudonym: Uint8Array;
  timeMs: number;
}): Uint8Array => transcript('check-in', fields.planHash, fields.deviceId, fields.pseudonym, fields.timeMs);

/** The round's binding fields: DESIGN §2.7. */
export interface RoundBinding {
  readonly planHash: Uint8Array;
  readonly round: number;
  readonly modelHash: Uint8Array;
  readonly configHash: Uint8Array;
  readonly committeeKeyId: Uint8Array;
}

export interface UploadStatement extends RoundBinding {
  readonly deviceId: string;
  /** H(H(body) ‖ H(holder part)). */
  readonly digest: Uint8Array;
}

const bindingFields = (b: RoundBinding) =>
  [b.planHash, b.round, b.modelHash, b.configHash, b.committeeKeyId] as const;

/** What a device signs over its sealed update. */
export const uploadStatement = (s: UploadStatement): Uint8Array =>
  transcript('upload', ...bindingFields(s), s.deviceId, s.digest);

/** Digest of a sealed update: H(H(body) ‖ H(holder part)), so that a holder can re-hash its part alone. */
export const uploadDigest = (suite: Suite, body: Uint8Array, holderPart: Uint8Array): Uint8Array =>
  uploadDigestOfParts(suite, suite.digest(body), suite.digest(holderPart));

export const uploadDigestOfParts = (
  suite: Suite,
  bodyDigest: Uint8Array,
  holderPartDigest: Uint8Array,
): Uint8Array => suite.digest(utf8('pulsefold/v1/upload-digest'), bodyDigest, holderPartDigest);

/**
 * Leaf of the cohort tree: the upload statement and nothing that has more than one encoding. The device id commits to
 * the device's role and keys; signature and certificate are checked at acceptance and must not be in here, because an
 * ECDSA-signed certificate can be re-encoded by anybody and renewed by the registrar, and a device must always find
 * its own leaf (experiments/e2e: forged exclusion).
 */
export const entryLeaf = (s: UploadStatement): Uint8Array => transcript('cohort-entry', uploadStatement(s));

export interface CohortCertificate extends RoundBinding {
  readonly cohortRoot: Uint8Array;
  readonly cohortCount: number;
}

/** The one statement that a holder signs when it certifies a cohort. */
export const certificateStatement = (c: CohortCertificate): Uint8Array =>
  transcript('cohort-certificate', ...bindingFields(c), c.cohortRoot, c.cohortCount);

/** ... or when it aborts the round. */
export const abortStatement = (fields: { planHash: Uint8Array; round: number; reason: string }): Uint8Array =>
  transcript('round-abort', fields.planHash, fields.round, fields.reason);

/** What every holder signs over a committee key after the test openings. */
export const committeeKeyStatement = (fields: {
  planHash: Uint8Array;
  round: number;
  keyId: Uint8Array;
}): Uint8Array => transcript('committee-key', fields.planHash, fields.round, fields.keyId);

/** A holder's word in one phase of a ceremony. */
export const ceremonyPartStatement = (fields: {
  ceremonyId: Uint8Array;
  phase: string;
  holderId: string;
  payloadDigest: Uint8Array;
}): Uint8Array =>
  transcript('ceremony-part', fields.ceremonyId, fields.phase, fields.holderId, fields.payloadDigest);

export const ceremonyId = (suite: Suite, planHash: Uint8Array, round: number): Uint8Array =>
  suite.digest(transcript('ceremony', planHash, round));

/** Associated data of a sealed Shamir share: only this dealer, receiver and ceremony. */
export const sealedShareContext = (
  ceremony: Uint8Array,
  fromHolderId: string,
  toHolderId: string,
): Uint8Array => transcript('sealed-share', ceremony, fromHolderId, toHolderId);

/** What a holder signs over its partial decryption. */
export const partialStatement = (fields: {
  certificate: Uint8Array;
  activeSet: readonly number[];
  holderId: string;
  partialDigest: Uint8Array;
}): Uint8Array =>
  transcript(
    'partial',
    fields.certificate,
    fields.activeSet.join(','),
    fields.holderId,
    fields.partialDigest,
  );

/** What a holder signs over its three P_k (crypto/secagg/shares/partition.ts). */
export const partitionDrawStatement = (fields: {
  /** `certificateStatement` of the quorum's certificate. */
  certificate: Uint8Array;
  holderId: string;
  values: Uint8Array;
}): Uint8Array => transcript('partition-values', fields.certificate, fields.holderId, fields.values);

/** What the coordinator signs in the acknowledgement of a durable upload. */
export const acknowledgementStatement = (s: UploadStatement): Uint8Array =>
  transcript('acknowledgement', ...bindingFields(s), s.deviceId, s.digest);

/** ... and when an upload came after the cohort was frozen. */
export const lateStatement = (fields: {
  planHash: Uint8Array;
  round: number;
  deviceId: string;
  digest: Uint8Array;
}) => transcript('late', fields.planHash, fields.round, fields.deviceId, fields.digest);

/** What the coordinator signs over a receipt (canonical JSON). */
export const receiptStatement = (receipt: Uint8Array): Uint8Array => transcript('receipt', receipt);

/** HMAC under a device secret: the name under which a device is charged in one budget epoch (DESIGN §6). */
export const ledgerPseudonym = (suite: Suite, deviceSecret: Uint8Array, epoch: string): Uint8Array =>
  suite.mac(deviceSecret, utf8('pulsefold/v1/ledger-pseudonym'), utf8(epoch));

/** Digest of model weights: little-endian float32. */
export const weightsDigest = (suite: Suite, weights: Uint8Array): Uint8Array =>
  suite.digest(utf8('pulsefold/v1/weights'), weights);

export const publicRotationSeed = (suite: Suite, planHash: Uint8Array, round: number): Uint8Array =>
  suite.digest(transcript('rotation', planHash, round));

export const shortId = (bytes: Uint8Array): string => toHex(bytes).slice(0, 12);
