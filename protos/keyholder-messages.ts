/**
 * Messages of the KeyHolder service (keyholder.proto) as validated types, each field with a cap, and the
 * payloads that travel inside a ceremony part.
 *
 * For: the key holder's handlers, and the coordinator when it reads a holder's reply. Trusts: nothing; every
 * message and every payload is hostile. May be called by: keyholder, coordinator, auditor.
 */
import { z } from 'zod';
import { transcript, utf8 } from '../crypto/bytes.ts';
import { ensure } from '../crypto/error.ts';
import type { Suite } from '../crypto/identity/suite.ts';
import { APPROVALS_MAX } from './approval-policy.ts';
import {
  bytesOf,
  bytesOrEmpty,
  bytesUpTo,
  CERTIFICATE_BYTES_MAX,
  CHUNK_BYTES_MAX,
  COHORT_MAX,
  deviceId,
  digest,
  ENTRIES_PER_MESSAGE_MAX,
  holderId,
  integer,
  listOf,
  roundNumber,
  signature,
  text,
} from './fields.ts';
import { PLAN_BYTES_MAX } from './plan.ts';

/** Holders in a plan; the wire format leaves room for n = 3f+1 up to f = 5. */
export const HOLDERS_MAX = 16;
/** Largest payload of one ceremony part: key material over R_q, and one test opening per subset. */
export const CEREMONY_PAYLOAD_BYTES_MAX = 1024 * 1024;
export const SEALED_SHARE_BYTES_MAX = 512 * 1024;
export const ABORT_REASON_CHARACTERS_MAX = 200;
export const DIGIT_COUNT_MAX = 10_000_000;
/** Holder part of transport shares; the hybrid with ML-KEM-768 takes about 5 KB. */
export const SEALED_SEEDS_BYTES_MAX = 16 * 1024;
/** Parts of one message of an opening: with an entry in each, still below the message limit of a holder. */
export const OPEN_PARTS_PER_MESSAGE_MAX = 500;
/** A partial decryption is returned in one message. */
export const PARTIAL_BYTES_MAX = 12 * 1024 * 1024;

const publicKey = bytesUpTo(65);

export const ceremonyPhases = ['BEGIN', 'COMMIT_KEY', 'REVEAL', 'COMBINE', 'TEST', 'FINISH'] as const;
export type CeremonyPhase = (typeof ceremonyPhases)[number];

/** How sums travel: `aggregation.transport` of the plan. */
export type Transport = 'bfv' | 'shares';

const phasesByTransport: Readonly<Record<Transport, readonly CeremonyPhase[]>> = {
  bfv: ceremonyPhases,
  // Four keys side by side hold no common secret: nothing to commit to, deal or test.
  shares: ['BEGIN', 'FINISH'],
};

/** The phases of a ceremony, in order. */
export const phasesOf = (transport: Transport): readonly CeremonyPhase[] => phasesByTransport[transport];

/**
 * Phase whose parts are the input of `phase`; undefined for the first. Throws CEREMONY_FAILED for a phase that the
 * transport does not have.
 */
export function phaseBefore(transport: Transport, phase: CeremonyPhase): CeremonyPhase | undefined {
  const phases = phasesOf(transport);
  const at = phases.indexOf(phase);
  ensure(
    at >= 0,
    'CEREMONY_FAILED',
    `a ceremony of transport ${transport} has no phase ${phase}: ${phases.join(', ')}`,
  );
  return phases[at - 1];
}

export const holderInfoReplySchema = z.object({
  holderId,
  signingPublicKey: publicKey,
  sealingPublicKey: publicKey,
});

export const planApprovalSchema = z.object({ approverId: text(64), publicKey, signature });

export const registerPlanRequestSchema = z.object({
  plan: bytesUpTo(PLAN_BYTES_MAX),
  approvals: listOf(planApprovalSchema, APPROVALS_MAX),
});
export const registerPlanReplySchema = z.object({ planHash: digest });

export const ceremonyPartSchema = z.object({
  holderId,
  payload: bytesOrEmpty(CEREMONY_PAYLOAD_BYTES_MAX),
  signature,
});
export type CeremonyPart = z.output<typeof ceremonyPartSchema>;

export const sealedShareSchema = z.object({
  fromHolderId: holderId,
  toHolderId: holderId,
  sealed: bytesUpTo(SEALED_SHARE_BYTES_MAX),
});
export type SealedShare = z.output<typeof sealedShareSchema>;

export const ceremonyStepRequestSchema = z.object({
  planHash: digest,
  round: roundNumber,
  phase: z.enum(ceremonyPhases),
  parts: listOf(ceremonyPartSchema, HOLDERS_MAX),
  shares: listOf(sealedShareSchema, HOLDERS_MAX),
});
export type CeremonyStepRequest = z.output<typeof ceremonyStepRequestSchema>;

/** `publicKey`, `keyId` and `keySignature` are empty before FINISH. */
export const ceremonyStepReplySchema = z.object({
  part: ceremonyPartSchema,
  shares: listOf(sealedShareSchema, HOLDERS_MAX),
  publicKey: bytesOrEmpty(CEREMONY_PAYLOAD_BYTES_MAX),
  keyId: bytesOrEmpty(32),
  keySignature: bytesOrEmpty(64),
});
export type CeremonyStepReply = z.output<typeof ceremonyStepReplySchema>;

export const entrySchema = z.object({
  certificate: bytesUpTo(CERTIFICATE_BYTES_MAX),
  planHash: digest,
  round: roundNumber,
  modelHash: digest,
  configHash: digest,
  committeeKeyId: digest,
  digest,
  signature,
  /** Transport shares only, else empty. */
  bodyDigest: bytesOrEmpty(32),
  holderPart: bytesOrEmpty(SEALED_SEEDS_BYTES_MAX),
});
export type Entry = z.output<typeof entrySchema>;

/**
 * Entries are parsed one by one later, so that one malformed entry is rejected alone and not with its batch.
 */
export const acceptRequestSchema = z.object({
  planHash: digest,
  round: roundNumber,
  entries: listOf(z.unknown(), ENTRIES_PER_MESSAGE_MAX),
});
export type AcceptRequest = z.output<typeof acceptRequestSchema>;

/**
 * `deviceId` is empty when the certificate did not verify: such an entry has no name that anybody vouches
 * for.
 */
export const rejectionSchema = z.object({ deviceId: text(32), code: text(64), reason: text(500) });
export type Rejection = z.output<typeof rejectionSchema>;

export const acceptReplySchema = z.object({
  accepted: listOf(deviceId, ENTRIES_PER_MESSAGE_MAX),
  rejected: listOf(rejectionSchema, ENTRIES_PER_MESSAGE_MAX),
});
export type AcceptReply = z.output<typeof acceptReplySchema>;

const bindingShape = {
  planHash: digest,
  round: roundNumber,
  modelHash: digest,
  configHash: digest,
  committeeKeyId: digest,
};

export const certifyRequestSchema = z.object({
  ...bindingShape,
  cohortRoot: bytesOf(32),
  deviceIds: listOf(deviceId, COHORT_MAX),
});
export type CertifyRequest = z.output<typeof certifyRequestSchema>;

export const abortRequestSchema = z.object({
  planHash: digest,
  round: roundNumber,
  reason: text(ABORT_REASON_CHARACTERS_MAX),
});
export type AbortRequest = z.output<typeof abortRequestSchema>;

export const statementReplySchema = z.object({ holderId, signature });
export type StatementReply = z.output<typeof statementReplySchema>;

/** What a holder answers to Draw. */
export const drawReplySchema = z.object({ holderId, values: bytesOf(96), signature });
export type DrawReply = z.output<typeof drawReplySchema>;

export const openHeaderSchema = z.object({
  ...bindingShape,
  cohortRoot: bytesOf(32),
  cohortCount: integer(1, COHORT_MAX),
  signatures: listOf(statementReplySchema, HOLDERS_MAX),
  activeSet: listOf(integer(1, HOLDERS_MAX), HOLDERS_MAX),
  digitCount: integer(1, DIGIT_COUNT_MAX),
  /** Of Draw, in rounds that open in groups; else empty. */
  draws: listOf(drawReplySchema, HOLDERS_MAX).default([]),
});
export type OpenHeader = z.output<typeof openHeaderSchema>;

/**
 * `entry` and `bodyDigest` stand in the first chunk (offset 0) of a device and are not looked at in later ones.
 */
export const openPartSchema = z.object({
  deviceId,
  bodyDigest: bytesOrEmpty(32),
  offset: integer(0, 2 ** 31),
  holderPart: bytesOrEmpty(CHUNK_BYTES_MAX),
  entry: z.unknown(),
});
export type OpenPart = z.output<typeof openPartSchema>;

/** Parts of several devices in one message; each is parsed by itself. */
export const openPartsSchema = z.object({ parts: listOf(z.unknown(), OPEN_PARTS_PER_MESSAGE_MAX) });

/**
 * Transport shares: a certified device. Its entry is needed only where this holder did not accept it; what else a part
 * has is for transport bfv.
 */
export const openDeviceSchema = z.object({ deviceId, entry: z.unknown() });

export const openReplySchema = z.object({ holderId, partial: bytesUpTo(PARTIAL_BYTES_MAX), signature });
export type OpenReply = z.output<typeof openReplySchema>;

export const eraseRequestSchema = z.object({ planHash: digest, round: roundNumber });
export type EraseRequest = z.output<typeof eraseRequestSchema>;
export const eraseReplySchema = z.object({ erased: z.boolean() });

/**
 * Inverse of `transcript(label, ...fields)`: the fields of a payload, in order. Throws MALFORMED_MESSAGE for
 * another label, a length that overruns the buffer, bytes left over, or a number of fields outside [minimum,
 * maximum].
 */
export function readTranscript(
  label: string,
  bytes: Uint8Array,
  fieldCount: { readonly minimum: number; readonly maximum: number },
): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fields: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    ensure(at + 4 <= bytes.length, 'MALFORMED_MESSAGE', `${label}: cut short`);
    const length = view.getUint32(at, true);
    at += 4;
    ensure(at + length <= bytes.length, 'MALFORMED_MESSAGE', `${label}: a field overruns the message`);
    ensure(fields.length <= fieldCount.maximum, 'MALFORMED_MESSAGE', `${label}: too many fields`);
    fields.push(bytes.subarray(at, at + length));
    at += length;
  }
  const expected = utf8(`pulsefold/v1/${label}`);
  const first = fields.shift();
  const labelled = first !== undefined && Buffer.compare(first, expected) === 0;
  ensure(labelled, 'MALFORMED_MESSAGE', `expected a message of kind ${label}`);
  ensure(fields.length >= fieldCount.minimum, 'MALFORMED_MESSAGE', `${label}: too few fields`);
  return fields;
}

/** BEGIN: commitment to b_j, and a sealing key that lives only as long as this ceremony. */
export interface BeginPayload {
  readonly commitment: Uint8Array;
  readonly sealingPublicKey: Uint8Array;
}
export const encodeBeginPayload = (p: BeginPayload): Uint8Array =>
  transcript('ceremony-begin', p.commitment, p.sealingPublicKey);
export function decodeBeginPayload(bytes: Uint8Array): BeginPayload {
  const [commitment, sealingPublicKey] = readTranscript('ceremony-begin', bytes, { minimum: 2, maximum: 2 });
  return { commitment: commitment!, sealingPublicKey: sealingPublicKey! };
}

/** BEGIN under transport shares: this holder's public key of the round. */
export const encodeRoundKeyPayload = (publicKey: Uint8Array): Uint8Array =>
  transcript('ceremony-round-key', publicKey);
export const decodeRoundKeyPayload = (bytes: Uint8Array): Uint8Array =>
  readTranscript('ceremony-round-key', bytes, { minimum: 1, maximum: 1 })[0]!;

/** COMMIT_KEY: the key commitment. */
export const encodeCommitKeyPayload = (keyCommitment: Uint8Array): Uint8Array =>
  transcript('ceremony-key', keyCommitment);
export const decodeCommitKeyPayload = (bytes: Uint8Array): Uint8Array =>
  readTranscript('ceremony-key', bytes, { minimum: 1, maximum: 1 })[0]!;

/**
 * REVEAL: the public part, and the digest of every sealed share so that a share cannot be swapped on its way.
 */
export interface RevealPayload {
  readonly publicPart: Uint8Array;
  /** By holder, in plan order; the own one is empty. */
  readonly shareDigests: readonly Uint8Array[];
}
export const encodeRevealPayload = (p: RevealPayload): Uint8Array =>
  transcript('ceremony-reveal', p.publicPart, ...p.shareDigests);
export function decodeRevealPayload(bytes: Uint8Array, holderCount: number): RevealPayload {
  const count = { minimum: 1 + holderCount, maximum: 1 + holderCount };
  const [publicPart, ...shareDigests] = readTranscript('ceremony-reveal', bytes, count);
  return { publicPart: publicPart!, shareDigests };
}

/** COMBINE: a fresh test ciphertext. */
export interface TestPayload {
  readonly c0: Uint8Array;
  readonly c1: Uint8Array;
}
export const encodeCombinePayload = (p: TestPayload): Uint8Array => transcript('ceremony-test', p.c0, p.c1);
export function decodeCombinePayload(bytes: Uint8Array): TestPayload {
  const [c0, c1] = readTranscript('ceremony-test', bytes, { minimum: 2, maximum: 2 });
  return { c0: c0!, c1: c1! };
}

/**
 * TEST: this holder's partial opening of each holder's test, for every subset of `t` holders that it is in.
 */
export interface TestOpening {
  /** 1-based index, in plan order, of the holder whose test ciphertext was opened. */
  readonly testerIndex: number;
  /** 1-based indices, ascending. */
  readonly subset: readonly number[];
  readonly partial: Uint8Array;
}
export const encodeTestPayload = (openings: readonly TestOpening[]): Uint8Array =>
  transcript(
    'ceremony-openings',
    ...openings.flatMap((o) => [`${o.testerIndex}:${o.subset.join(',')}`, o.partial] as const),
  );
export function decodeTestPayload(bytes: Uint8Array): TestOpening[] {
  const fields = readTranscript('ceremony-openings', bytes, { minimum: 0, maximum: 256 });
  ensure(fields.length % 2 === 0, 'MALFORMED_MESSAGE', 'ceremony-openings: a name without an opening');
  const openings: TestOpening[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!.length <= 64 ? Buffer.from(fields[i]!).toString('latin1') : '';
    ensure(/^\d{1,2}:\d{1,2}(,\d{1,2})*$/.test(name), 'MALFORMED_MESSAGE', 'ceremony-openings: bad subset');
    const [tester, subset] = name.split(':') as [string, string];
    openings.push({
      testerIndex: Number(tester),
      subset: subset.split(',').map(Number),
      partial: fields[i + 1]!,
    });
  }
  return openings;
}

/** Id of a committee key on the wire: whoever has the public key can check that holders signed this one. */
export const committeeKeyIdOf = (suite: Suite, publicKey: Uint8Array): Uint8Array => suite.digest(publicKey);

/** FINISH: nothing beyond the signatures in the reply; the part says which key they are about. */
export const encodeFinishPayload = (keyId: Uint8Array): Uint8Array => transcript('ceremony-finish', keyId);
