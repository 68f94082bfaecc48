/**
 * Acceptance of signed entries: whether a device that the registrar vouches for signed this upload for this
 * round; and, under transport shares, whether the seeds that it sealed to this holder are the ones it signed.
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
  type Entry,
  entrySchema,
  type Rejection,
} from '../protos/keyholder-messages.ts';
import {
  entryLeaf,
  type UploadStatement,
  uploadDigestOfParts,
  uploadStatement,
} from '../protos/statements.ts';
import type { HolderContext, RegisteredPlan, Revocations } from './context.ts';
import { type HeldSeeds, RoundSeeds } from './round-seeds.ts';
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
  /** Transport shares: the round's secret, to be closed by whoever got this check. */
  readonly seeds: RoundSeeds | null;
  /** Whether this holder has accepted exactly this entry before. */
  readonly isAccepted: (entry: Pick<AcceptedEntry, 'deviceId' | 'leaf'>) => boolean;
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

/** An entry that is in order, with what its seeds are recognised by. */
export interface CheckedEntry {
  readonly entry: AcceptedEntry;
  readonly seedTags: readonly Uint8Array[];
}

/** Checks one entry, all of it. Throws a coded error; pure but for the certificate cache. */
export function checkEntry(value: unknown, check: EntryCheck): CheckedEntry {
  try {
    return checkNamedEntry(value, check);
  } catch (error) {
    throw error instanceof EntryRejected ? error.cause : error;
  }
}

function checkNamedEntry(value: unknown, check: EntryCheck): CheckedEntry {
  const { rules, suite } = check;
  const entry = parse(entrySchema, value);
  const { parsed } = check.registered;
  const device = rules.deviceIdentity(parsed, entry.certificate, check.registrarCaDer, check.nowMs);
  try {
    rules.entryBelongs(entry, check.at);
    rules.ownCommitteeKey(entry.committeeKeyId, check.committeeKeyId);
    rules.entryParts(parsed.plan, entry);
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
    const { subjectId: deviceId } = device;
    const accepted = { deviceId, modelHash, configHash, committeeKeyId, digest, leaf };
    // What was accepted before its device was revoked stays accepted: asked again, a holder says the same.
    const usable = !check.revocations.isRevoked(device.serial) || check.isAccepted(accepted);
    ensure(usable, 'CERTIFICATE_REVOKED', 'the certificate of the device is revoked');
    const held = takeSeeds(entry, deviceId, check);
    return { entry: { ...accepted, sealedSeeds: held?.sealed ?? null }, seedTags: held?.tags ?? [] };
  } catch (error) {
    throw isPulsefoldError(error) ? new EntryRejected(device.subjectId, error) : error;
  }
}

/** The seeds sealed to this holder: opened, compared with the signed hashes, sealed again for its own disk. */
function takeSeeds(entry: Entry, deviceId: string, check: EntryCheck): HeldSeeds | null {
  const { rules, seeds, suite } = check;
  if (!seeds) return null;
  const digest = uploadDigestOfParts(suite, entry.bodyDigest, suite.digest(entry.holderPart));
  rules.uploadDigest(entry.digest, digest, deviceId);
  return seeds.hold(
    deviceId,
    rules.openedSeeds(seeds.openerFor(entry.configHash), deviceId, entry.holderPart),
  );
}

type Outcome = CheckedEntry | { readonly rejection: Rejection };

function outcomeOf(value: unknown, index: number, check: EntryCheck): Outcome {
  try {
    return checkNamedEntry(value, check);
  } catch (error) {
    const cause = error instanceof EntryRejected ? error.cause : error;
    if (!isPulsefoldError(cause)) throw cause;
    const deviceId = error instanceof EntryRejected ? error.deviceId : '';
    return { rejection: { deviceId, code: cause.code, reason: `entry ${index}: ${cause.message}` } };
  }
}

/** The first accepted entry of a device stands: null when `entry` is that one (or new), else why not. */
function conflictWith(stored: AcceptedEntry | undefined, entry: AcceptedEntry): PulsefoldError | null {
  if (!stored || equalBytes(stored.leaf, entry.leaf)) return null;
  return equalBytes(stored.digest, entry.digest)
    ? new PulsefoldError(
        'STATEMENT_CONFLICT',
        'the same upload was accepted under another signature or certificate',
      )
    : new PulsefoldError('SECOND_DIGEST', 'another upload of this device was accepted first');
}

/** A second device with the same bytes is a copy: it would multiply one person's weight and noise in the sum. */
function copyConflict(store: HolderStore, at: RoundRef, entry: AcceptedEntry): PulsefoldError | null {
  const owner = store.entries.ownerOfDigest(at, entry.digest);
  if (owner === undefined || owner === entry.deviceId) return null;
  return new PulsefoldError('SECOND_DIGEST', 'another device uploaded these very bytes in this round');
}

/** Why a checked entry cannot stand beside those that were accepted before; throws, or returns the stored one. */
export function requireNoConflict(
  context: HolderContext,
  at: RoundRef,
  { entry, seedTags }: CheckedEntry,
): AcceptedEntry | undefined {
  const { rules, store } = context;
  const stored = store.entries.get(at, entry.deviceId);
  const conflict = conflictWith(stored, entry) ?? copyConflict(store, at, entry);
  if (conflict) throw conflict;
  if (!stored) rules.freshSeeds(seedTags, entry.deviceId, (tag) => store.entries.ownerOfSeed(at, tag));
  return stored;
}

/** The checks of this round under this holder's own state. Throws KEY_ERASED, NOT_FOUND, UNAVAILABLE. */
export function entryCheckFor(context: HolderContext, at: RoundRef): EntryCheck {
  const registered = context.plans.round(at);
  context.rules.notErased(context.store.isErased(at));
  const key = context.store.committeeKey(at);
  ensure(key, 'NOT_FOUND', `the committee key of round ${at.round} is not finished`);
  const nowMs = context.nowMs();
  context.revocations.requireFresh(nowMs);
  const { carriesSeeds } = context.rules;
  return {
    registered,
    at,
    committeeKeyId: key.keyId,
    registrarCaDer: context.registrarCaDer,
    revocations: context.revocations,
    suite: context.identity.suite,
    nowMs,
    rules: context.rules,
    seeds: carriesSeeds(registered.parsed.plan) ? roundSeeds(context, at, registered.ownIndex) : null,
    isAccepted(entry) {
      const stored = context.store.entries.get(at, entry.deviceId);
      return stored !== undefined && equalBytes(stored.leaf, entry.leaf);
    },
  };
}

/** The seeds of a round of transport shares. The caller closes it. */
function roundSeeds(context: HolderContext, at: RoundRef, holderIndex: number): RoundSeeds {
  const openSecret = (): Uint8Array => {
    const sealed = context.store.committeeKey(at)?.sealedShare;
    ensure(sealed, 'KEY_ERASED', 'the key of this round was erased: start another round');
    return context.custody.open('committee-key-share', at, sealed);
  };
  const { identity, random } = context;
  return new RoundSeeds({ suite: identity.suite, holderIndex, openSecret, random });
}

/**
 * Accept: remembers every good entry durably before it answers; a bad one is rejected alone. May be called with any
 * entries, as often as uploads come in: an entry that was accepted is accepted again.
 */
export async function accept(context: HolderContext, message: unknown): Promise<AcceptReply> {
  const request = parse(acceptRequestSchema, message);
  const at: RoundRef = { planHash: request.planHash, round: request.round };
  const check = entryCheckFor(context, at);
  try {
    const outcomes: Outcome[] = [];
    for (const [index, value] of request.entries.entries()) {
      if (index > 0 && index % ENTRIES_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
      outcomes.push(outcomeOf(value, index, check));
    }
    // The round may have been erased between two turns: what it forgot must not come back.
    context.rules.notErased(context.store.isErased(at));
    context.hooks.reached('entries:checked');
    const reply = context.store.transaction(() => remember(context, at, outcomes));
    context.hooks.reached('entries:stored');
    return reply;
  } finally {
    check.seeds?.close();
  }
}

function remember(context: HolderContext, at: RoundRef, outcomes: readonly Outcome[]): AcceptReply {
  const { entries } = context.store;
  const accepted = new Set<string>();
  const rejected: Rejection[] = [];
  const room = { closed: context.store.statement(at) !== undefined, count: entries.count(at) };
  for (const [index, outcome] of outcomes.entries()) {
    if ('rejection' in outcome) {
      rejected.push(outcome.rejection);
      continue;
    }
    const { deviceId } = outcome.entry;
    try {
      if (!requireNoConflict(context, at, outcome)) {
        ensure(!room.closed, 'ROUND_CLOSED', 'the round has its statement already');
        ensure(room.count < COHORT_MAX, 'ROUND_CLOSED', 'the round has no room left');
        entries.put(at, outcome.entry, outcome.seedTags);
        room.count++;
      }
      accepted.add(deviceId);
    } catch (error) {
      if (!isPulsefoldError(error)) throw error;
      rejected.push({ deviceId, code: error.code, reason: `entry ${index}: ${error.message}` });
    }
  }
  return { accepted: [...accepted], rejected };
}
