/**
 * Opening: one partial decryption of the sum of exactly the uploads that a quorum certified.
 *
 * For: Open. Trusts: signatures of a quorum of the plan's holders, this holder's own store, and nothing that
 * the coordinator adds up: every certified c1 is received, re-hashed against the signed digest and added
 * here. Memory: one upload, one sum, one leaf per device. May be called by: keyholder/ only. DESIGN §2.10.
 */
import { ensure, PulsefoldError } from '../crypto/error.ts';
import { bytesOf, parse } from '../protos/fields.ts';
import {
  type OpenHeader,
  type OpenPart,
  type OpenReply,
  openHeaderSchema,
  openPartSchema,
} from '../protos/keyholder-messages.ts';
import {
  type CohortCertificate,
  certificateStatement,
  partialStatement,
  uploadDigestOfParts,
} from '../protos/statements.ts';
import { checkEntry, conflictWith, copyConflict, type EntryCheck, entryCheckFor } from './acceptance.ts';
import { cohortRootOf, signOnce } from './certification.ts';
import type { HolderContext } from './context.ts';
import type { AcceptedEntry, RoundRef, StoredPartial } from './store.ts';

interface Opening {
  readonly at: RoundRef;
  readonly header: OpenHeader;
  readonly certificate: CohortCertificate;
  readonly statement: Uint8Array;
  readonly check: EntryCheck;
}

/** Everything that can be refused before a ciphertext is read. */
function checkHeader(context: HolderContext, header: OpenHeader): Opening {
  const { rules, store } = context;
  const at: RoundRef = { planHash: header.planHash, round: header.round };
  const { parsed, ownIndex } = context.plans.round(at);
  const { signatures: _signatures, activeSet: _activeSet, digitCount: _digitCount, ...certificate } = header;
  const statement = certificateStatement(certificate);
  rules.oneStatement(store.statement(at), statement);
  const check = entryCheckFor(context, at);
  rules.ownCommitteeKey(header.committeeKeyId, check.committeeKeyId);
  rules.cohortSize(parsed.plan, header.cohortCount);
  rules.quorum(parsed.plan, certificate, header.signatures);
  rules.activeSet(parsed.plan, header.activeSet, ownIndex);
  rules.digitCount(parsed, header.digitCount);
  return { at, header, certificate, statement, check };
}

/** Puts the chunks of one device after the other together; never holds more than one upload. */
class UploadAssembler {
  readonly #buffer: Uint8Array;
  #first: OpenPart | undefined;
  #filled = 0;

  constructor(c1Bytes: number) {
    this.#buffer = new Uint8Array(c1Bytes);
  }

  get isBetweenUploads(): boolean {
    return this.#first === undefined;
  }

  /** The first chunk and the whole c1 once complete; the bytes are valid until the next call. */
  push(part: OpenPart): { readonly first: OpenPart; readonly c1: Uint8Array } | undefined {
    this.#first ??= part;
    const { deviceId } = this.#first;
    ensure(
      part.deviceId === deviceId,
      'UPLOAD_OFFSET_MISMATCH',
      `the ciphertext of device ${deviceId} is cut short`,
    );
    const fits = part.offset === this.#filled;
    ensure(
      fits,
      'UPLOAD_OFFSET_MISMATCH',
      `device ${deviceId}: expected offset ${this.#filled}, got ${part.offset}`,
    );
    const length = this.#buffer.length;
    ensure(
      part.offset + part.c1.length <= length,
      'WRONG_CIPHERTEXT_PARAMETERS',
      `the ciphertext of device ${deviceId} is longer than the ${length} bytes that the plan implies`,
    );
    this.#buffer.set(part.c1, part.offset);
    this.#filled += part.c1.length;
    if (this.#filled < length) return undefined;
    const first = this.#first;
    this.#first = undefined;
    this.#filled = 0;
    return { first, c1: this.#buffer };
  }
}

/** The entry that this holder accepted; or, when it was away, the one sent along, checked in full. */
function certifiedEntry(context: HolderContext, opening: Opening, part: OpenPart): AcceptedEntry {
  const stored = context.store.entry(opening.at, part.deviceId);
  if (stored) return stored;
  const entry = checkEntry(part.entry, opening.check);
  const same = entry.deviceId === part.deviceId;
  ensure(same, 'CERTIFICATE_INVALID', `the entry sent for device ${part.deviceId} belongs to another device`);
  const conflict =
    conflictWith(context.store.entry(opening.at, entry.deviceId), entry) ??
    copyConflict(context.store, opening.at, entry);
  if (conflict) throw conflict;
  return entry;
}

const c0DigestSchema = bytesOf(32);

/** Adds every certified c1 and returns their sum. */
async function addCohort(
  context: HolderContext,
  opening: Opening,
  messages: AsyncIterator<unknown>,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const { bfv, identity, rules } = context;
  const { header } = opening;
  const sum = bfv.accumulator('c1', header.digitCount);
  const assembler = new UploadAssembler(bfv.ciphertextBytes(header.digitCount).c1);
  const cohort = new Map<string, AcceptedEntry>();
  for (let next = await messages.next(); !next.done; next = await messages.next()) {
    signal?.throwIfAborted();
    const upload = assembler.push(readPart(next.value));
    if (!upload) continue;
    const { deviceId } = upload.first;
    ensure(!cohort.has(deviceId), 'CERTIFICATE_INVALID', `device ${deviceId} was sent twice`);
    ensure(
      cohort.size < header.cohortCount,
      'CERTIFICATE_INVALID',
      'more ciphertexts than the certificate counts',
    );
    const entry = certifiedEntry(context, opening, upload.first);
    rules.oneBinding([entry], header);
    const c0Digest = parse(c0DigestSchema, upload.first.c0Digest);
    const digest = uploadDigestOfParts(identity.suite, c0Digest, identity.suite.digest(upload.c1));
    rules.uploadDigest(entry.digest, digest, deviceId);
    sum.add(upload.c1);
    cohort.set(deviceId, entry);
  }
  ensure(assembler.isBetweenUploads, 'CERTIFICATE_INVALID', 'the last ciphertext is cut short');
  const complete = cohort.size === header.cohortCount;
  ensure(complete, 'CERTIFICATE_INVALID', `${cohort.size} ciphertexts for a cohort of ${header.cohortCount}`);
  rules.cohortRoot(cohortRootOf([...cohort.values()]), header.cohortRoot);
  return sum.bytes();
}

function readPart(message: unknown): OpenPart {
  const part = (message as { part?: unknown } | null)?.part;
  ensure(part, 'MALFORMED_MESSAGE', 'expected a part after the header');
  return parse(openPartSchema, part);
}

function readHeader(message: unknown): OpenHeader {
  const header = (message as { header?: unknown } | null | undefined)?.header;
  ensure(header, 'MALFORMED_MESSAGE', 'an opening starts with its header');
  return parse(openHeaderSchema, header);
}

function storedReply(context: HolderContext, opening: Opening): OpenReply | undefined {
  const { at, header, statement } = opening;
  const stored = context.store.partial(at, header.activeSet);
  if (!stored) return undefined;
  context.rules.onePartial(stored, statement, header.digitCount);
  return { holderId: context.identity.id, partial: stored.partial, signature: stored.signature };
}

/**
 * Decrypts and stores, without a turn of the event loop between looking for a stored partial and writing one.
 */
function decryptOnce(context: HolderContext, opening: Opening, c1Sum: Uint8Array): OpenReply {
  const { hooks, identity, rules, store } = context;
  const { at, header, statement } = opening;
  const known = storedReply(context, opening);
  if (known) return known;
  const key = store.committeeKey(at);
  rules.notErased(store.isErased(at) || key?.sealedShare === null);
  ensure(key?.sealedShare, 'NOT_FOUND', `the committee key of round ${at.round} is not finished`);
  // The quorum's certificate becomes this holder's one statement too: it can never sign an abort beside it.
  signOnce(context, at, 'certificate', statement);
  hooks.reached('partial:before');
  const share = context.custody.open('committee-key-share', at, key.sealedShare);
  let partial: Uint8Array;
  try {
    const { activeSet, digitCount } = header;
    const holderIndex = opening.check.registered.ownIndex;
    partial = context.bfv.partialDecrypt(
      { share, c1Sum, digitCount, holderIndex, activeSet },
      context.random,
    );
  } finally {
    share.fill(0);
  }
  const signed = partialStatement({
    certificate: statement,
    activeSet: header.activeSet,
    holderId: identity.id,
    partialDigest: identity.suite.digest(partial),
  });
  const signature = identity.suite.sign(identity.signing.secretKey, signed);
  hooks.reached('partial:computed');
  const stored: StoredPartial = { certificate: statement, digitCount: header.digitCount, partial, signature };
  store.transaction(() => store.putPartial(at, header.activeSet, stored));
  hooks.reached('partial:stored');
  return { holderId: identity.id, partial, signature };
}

/**
 * Open. Throws QUORUM_NOT_REACHED, STATEMENT_CONFLICT, DIGEST_MISMATCH, CERTIFICATE_INVALID, KEY_ERASED and
 * the codes of entries; nothing is decrypted then. A repeated opening is answered from the store before a
 * part is read.
 */
export async function open(
  context: HolderContext,
  requests: AsyncIterable<unknown>,
  signal?: AbortSignal,
): Promise<OpenReply> {
  const messages = requests[Symbol.asyncIterator]();
  try {
    const first = await messages.next();
    if (first.done) throw new PulsefoldError('MALFORMED_MESSAGE', 'an opening starts with its header');
    const opening = checkHeader(context, readHeader(first.value));
    const known = storedReply(context, opening);
    if (known) return known;
    const c1Sum = await addCohort(context, opening, messages, signal);
    return decryptOnce(context, opening, c1Sum);
  } finally {
    await messages.return?.();
  }
}
