/**
 * Acceptance of signed entries: whether a device that the registrar vouches for signed this upload for this
 * round.
 *
 * For: Accept, and Open when the holder was away during acceptance. Trusts: the pinned registrar CA and the
 * holder's own committee key; nothing that the coordinator says. May be called by: keyholder/ only. DESIGN
 * §2.8.
 */
import { equalBytes } from '../crypto/bytes.ts';
import { ensure, isPulsefoldError, PulsefoldError } from '../crypto/error.ts';
import { COHORT_MAX, parse } from '../protos/fields.ts';
import {
  type AcceptReply,
  acceptRequestSchema,
  entrySchema,
  type Rejection,
} from '../protos/keyholder-messages.ts';
import { entryLeaf, type UploadStatement, uploadStatement } from '../protos/statements.ts';
import type { HolderContext, RegisteredPlan, Revocations } from './context.ts';
import type { HolderRules } from './rules.ts';
import type { AcceptedEntry, HolderStore, RoundRef } from './store.ts';

/** Entries between two turns of the event loop, so that a large batch does not hold up other calls. */
const ENTRIES_PER_TURN = 8;

export interface EntryCheck {
  readonly registered: RegisteredPlan;
  readonly at: RoundRef;
  /** Id of the key that this holder made with the others for the round. */
  readonly committeeKeyId: Uint8Array;
  readonly registrarCaDer: Uint8Array;
  readonly revocations: Revocations;
  readonly suite: HolderContext['identity']['suite'];
  readonly nowMs: number;
  readonly rules: HolderRules;
  /** Whether this holder has accepted exactly this entry before. */
  readonly isAccepted: (entry: AcceptedEntry) => boolean;
}

/** A failed check, with the device that a valid certificate named; without one the entry has no name. */
class EntryRejected extends Error {
  readonly deviceId: string;
  override readonly cause: PulsefoldError;
  constructor(deviceId: string, cause: PulsefoldError) {
    super(cause.message);
    this.deviceId = deviceId;
    this.cause = cause;
  }
}

/** Checks one entry, all of it. Throws a coded error; pure but for the certificate cache. */
export function checkEntry(value: unknown, check: EntryCheck): AcceptedEntry {
  try {
    return checkNamedEntry(value, check);
  } catch (error) {
    throw error instanceof EntryRejected ? error.cause : error;
  }
}

function checkNamedEntry(value: unknown, check: EntryCheck): AcceptedEntry {
  const { rules, suite } = check;
  const entry = parse(entrySchema, value);
  const { parsed } = check.registered;
  const device = rules.deviceIdentity(parsed, entry.certificate, check.registrarCaDer, check.nowMs);
  try {
    rules.entryBelongs(entry, check.at);
    rules.ownCommitteeKey(entry.committeeKeyId, check.committeeKeyId);
    const statement: UploadStatement = {
      planHash: entry.planHash,
      round: entry.round,
      modelHash: entry.modelHash,
      configHash: entry.configHash,
      committeeKeyId: entry.committeeKeyId,
      deviceId: device.subjectId,
      digest: entry.digest,
    };
    const signed = suite.verify(device.signingPublicKey, uploadStatement(statement), entry.signature);
    ensure(signed, 'BAD_SIGNATURE', 'the upload is not signed by the certified device key');
    const leaf = entryLeaf(statement);
    const { modelHash, configHash, committeeKeyId, digest } = statement;
    const accepted = { deviceId: device.subjectId, modelHash, configHash, committeeKeyId, digest, leaf };
    // What was accepted before its device was revoked stays accepted: asked again, a holder says the same.
    const usable = !check.revocations.isRevoked(device.serial) || check.isAccepted(accepted);
    ensure(usable, 'CERTIFICATE_REVOKED', 'the certificate of the device is revoked');
    return accepted;
  } catch (error) {
    throw isPulsefoldError(error) ? new EntryRejected(device.subjectId, error) : error;
  }
}

type Outcome = { readonly entry: AcceptedEntry } | { readonly rejection: Rejection };

function outcomeOf(value: unknown, index: number, check: EntryCheck): Outcome {
  try {
    return { entry: checkNamedEntry(value, check) };
  } catch (error) {
    const cause = error instanceof EntryRejected ? error.cause : error;
    if (!isPulsefoldError(cause)) throw cause;
    const deviceId = error instanceof EntryRejected ? error.deviceId : '';
    return { rejection: { deviceId, code: cause.code, reason: `entry ${index}: ${cause.message}` } };
  }
}

/** The first accepted entry of a device stands: null when `entry` is that one (or new), else why not. */
export function conflictWith(stored: AcceptedEntry | undefined, entry: AcceptedEntry): PulsefoldError | null {
  if (!stored || equalBytes(stored.leaf, entry.leaf)) return null;
  return equalBytes(stored.digest, entry.digest)
    ? new PulsefoldError(
        'STATEMENT_CONFLICT',
        'the same upload was accepted under another signature or certificate',
      )
    : new PulsefoldError('SECOND_DIGEST', 'another upload of this device was accepted first');
}

/** A second device with the same bytes is a copy: it would multiply one person's weight and noise in the sum. */
export function copyConflict(store: HolderStore, at: RoundRef, entry: AcceptedEntry): PulsefoldError | null {
  const owner = store.deviceOfDigest(at, entry.digest);
  if (owner === undefined || owner === entry.deviceId) return null;
  return new PulsefoldError('SECOND_DIGEST', 'another device uploaded these very bytes in this round');
}

/** The checks of this round under this holder's own state. Throws KEY_ERASED, NOT_FOUND, UNAVAILABLE. */
export function entryCheckFor(context: HolderContext, at: RoundRef): EntryCheck {
  const registered = context.plans.round(at);
  context.rules.notErased(context.store.isErased(at));
  const key = context.store.committeeKey(at);
  ensure(key, 'NOT_FOUND', `the committee key of round ${at.round} is not finished`);
  const nowMs = context.nowMs();
  context.revocations.requireFresh(nowMs);
  return {
    registered,
    at,
    committeeKeyId: key.keyId,
    registrarCaDer: context.registrarCaDer,
    revocations: context.revocations,
    suite: context.identity.suite,
    nowMs,
    rules: context.rules,
    isAccepted(entry) {
      const stored = context.store.entry(at, entry.deviceId);
      return stored !== undefined && equalBytes(stored.leaf, entry.leaf);
    },
  };
}

/** Accept: remembers every good entry durably before it answers; a bad one is rejected alone. */
export async function accept(context: HolderContext, message: unknown): Promise<AcceptReply> {
  const request = parse(acceptRequestSchema, message);
  const at: RoundRef = { planHash: request.planHash, round: request.round };
  const check = entryCheckFor(context, at);
  const outcomes: Outcome[] = [];
  for (const [index, value] of request.entries.entries()) {
    if (index > 0 && index % ENTRIES_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
    outcomes.push(outcomeOf(value, index, check));
  }
  return context.store.transaction(() => remember(context, at, outcomes));
}

function remember(context: HolderContext, at: RoundRef, outcomes: readonly Outcome[]): AcceptReply {
  const { store } = context;
  const closed = store.statement(at) !== undefined;
  const accepted = new Set<string>();
  const rejected: Rejection[] = [];
  let count = store.entryCount(at);
  for (const [index, outcome] of outcomes.entries()) {
    if ('rejection' in outcome) {
      rejected.push(outcome.rejection);
      continue;
    }
    const { entry } = outcome;
    const stored = store.entry(at, entry.deviceId);
    let refusal = conflictWith(stored, entry);
    refusal ??= copyConflict(store, at, entry);
    if (!stored && closed)
      refusal = new PulsefoldError('ROUND_CLOSED', 'the round has its statement already');
    if (!stored && count >= COHORT_MAX)
      refusal = new PulsefoldError('ROUND_CLOSED', 'the round has no room left');
    if (refusal) {
      rejected.push({
        deviceId: entry.deviceId,
        code: refusal.code,
        reason: `entry ${index}: ${refusal.message}`,
      });
      continue;
    }
    if (!stored) {
      store.putEntry(at, entry);
      count++;
    }
    accepted.add(entry.deviceId);
  }
  return { accepted: [...accepted], rejected };
}
