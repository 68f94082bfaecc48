/**
 * Opening: one answer for the sum of exactly the uploads that a quorum certified.
 *
 * For: Open. Trusts: signatures of a quorum of the plan's holders, this holder's own store, and nothing that
 * the coordinator adds up: under bfv every certified c1 is received, re-hashed and added here (opening-bfv.ts), under
 * shares the seeds that this holder accepted are expanded and added (opening-shares.ts). A round that opens in groups has
 * a stage before it, Draw, with the same request. May be called by: keyholder/ only. DESIGN §2.10, docs/adr/0030.
 */
import { ensure, PulsefoldError } from '../crypto/error.ts';
import { parse } from '../protos/fields.ts';
import {
  type DrawReply,
  type OpenHeader,
  type OpenReply,
  openHeaderSchema,
} from '../protos/keyholder-messages.ts';
import { certificateStatement, partialStatement, partitionDrawStatement } from '../protos/statements.ts';
import { entryCheckFor } from './acceptance.ts';
import { signOnce } from './certification.ts';
import type { HolderContext } from './context.ts';
import { addCiphertexts } from './opening-bfv.ts';
import { type Opening, type Parts, readParts } from './opening-parts.ts';
import { drawPartition, sumGroups, sumSeeds } from './opening-shares.ts';
import type { RoundRef, StoredPartial } from './store.ts';
import { sumOf } from './sums.ts';

/** Everything that can be refused before a ciphertext is read. */
function checkHeader(context: HolderContext, header: OpenHeader): Opening {
  const { rules, store } = context;
  const at: RoundRef = { planHash: header.planHash, round: header.round };
  const { parsed, ownIndex } = context.plans.round(at);
  const { signatures: _s, activeSet: _a, digitCount: _d, draws: _draws, ...certificate } = header;
  const statement = certificateStatement(certificate);
  rules.oneStatement(store.statement(at), statement);
  const check = entryCheckFor(context, at);
  rules.ownCommitteeKey(header.committeeKeyId, check.committeeKeyId);
  rules.cohortSize(parsed.plan, header.cohortCount);
  rules.quorum(parsed.plan, certificate, header.signatures);
  rules.activeSet(parsed.plan, header.activeSet, ownIndex);
  rules.digitCount(parsed, header.digitCount);
  return { at, header, statement, sum: sumOf(parsed, header.digitCount), check };
}

function readHeader(message: unknown): OpenHeader {
  const header = (message as { header?: unknown } | null | undefined)?.header;
  ensure(header, 'MALFORMED_MESSAGE', 'an opening starts with its header');
  return parse(openHeaderSchema, header);
}

/** The answer that was given before, if it was: of this active set or, under shares, of any. */
function storedReply(context: HolderContext, opening: Opening): OpenReply | undefined {
  const { at, header, statement, sum } = opening;
  const stored = context.store.partial(at, header.activeSet);
  const known = stored ?? (sum.transport === 'shares' ? context.store.anyPartial(at) : undefined);
  if (!known) return undefined;
  context.rules.onePartial(known, statement, header.digitCount);
  if (!stored) return signAnswer(context, opening, known.partial);
  return { holderId: context.identity.id, partial: stored.partial, signature: stored.signature };
}

/** Signs an answer for this active set and stores it before it leaves. */
function signAnswer(context: HolderContext, opening: Opening, partial: Uint8Array): OpenReply {
  const { hooks, identity, store } = context;
  const { at, header, statement } = opening;
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

/** This holder's partial decryption of the sum of the c1. */
function decrypt(
  context: HolderContext,
  opening: Opening,
  c1Sum: Uint8Array,
  sealedShare: Uint8Array,
): Uint8Array {
  const { at, check, header, sum } = opening;
  const share = context.custody.open('committee-key-share', at, sealedShare);
  try {
    return context.bfv.partialDecrypt(
      {
        share,
        c1Sum,
        digitCount: sum.shortCount,
        holderIndex: check.registered.ownIndex,
        activeSet: header.activeSet,
      },
      context.random,
    );
  } finally {
    share.fill(0);
  }
}

/** What this holder still has to have for an answer; the certificate becomes its one statement with it. */
function commit(context: HolderContext, { at, statement }: Opening): Uint8Array {
  const { rules, store } = context;
  const key = store.committeeKey(at);
  rules.notErased(store.isErased(at) || key?.sealedShare === null);
  ensure(key?.sealedShare, 'NOT_FOUND', `the committee key of round ${at.round} is not finished`);
  // The quorum's certificate becomes this holder's one statement too: it can never sign an abort beside it.
  signOnce(context, at, 'certificate', statement);
  return key.sealedShare;
}

/**
 * Answers and stores, without a turn of the event loop between looking for a stored answer and writing one.
 * `cohortSum`: the sum of the c1 (bfv), or of the seed expansions (shares), which is the answer itself.
 */
function answerOnce(context: HolderContext, opening: Opening, cohortSum: Uint8Array): OpenReply {
  const known = storedReply(context, opening);
  if (known) return known;
  const sealedShare = commit(context, opening);
  context.hooks.reached('partial:before');
  const partial =
    opening.sum.transport === 'shares' ? cohortSum : decrypt(context, opening, cohortSum, sealedShare);
  return signAnswer(context, opening, partial);
}

/** One request from its header to its last part; `work` gets what was checked and the parts that follow. */
async function withOpening<Reply>(
  context: HolderContext,
  requests: AsyncIterable<unknown>,
  signal: AbortSignal | undefined,
  work: (opening: Opening, parts: Parts) => Promise<Reply>,
): Promise<Reply> {
  const messages = requests[Symbol.asyncIterator]();
  let opening: Opening | undefined;
  try {
    const first = await messages.next();
    if (first.done) throw new PulsefoldError('MALFORMED_MESSAGE', 'an opening starts with its header');
    opening = checkHeader(context, readHeader(first.value));
    return await work(opening, readParts(messages, signal));
  } finally {
    opening?.check.seeds?.close();
    await messages.return?.();
  }
}

const addersOf = ({ transport, groups }: Opening['sum']) =>
  transport === 'bfv' ? addCiphertexts : groups > 1 ? sumGroups : sumSeeds;

/**
 * Open. Throws QUORUM_NOT_REACHED, STATEMENT_CONFLICT, DIGEST_MISMATCH, CERTIFICATE_INVALID, SHARE_INCONSISTENT (rounds
 * with groups), KEY_ERASED and the codes of entries; nothing is opened then. A repeated opening is answered from the store
 * before a part is read.
 */
export const open = (
  context: HolderContext,
  requests: AsyncIterable<unknown>,
  signal?: AbortSignal,
): Promise<OpenReply> =>
  withOpening(context, requests, signal, async (opening, parts) => {
    const { header, sum } = opening;
    const fits = sum.groups > 1 || header.draws.length === 0;
    ensure(fits, 'FIELD_OUT_OF_RANGE', 'this round opens as one sum: no partition values belong to it');
    const known = storedReply(context, opening);
    if (known) return known;
    return answerOnce(context, opening, await addersOf(sum)(context, opening, parts));
  });

/**
 * Draw: this holder's part of the partition of a certified cohort. Same request and same checks as Open, and as binding:
 * whoever has seen a partition can have the round aborted by nobody any more. Computed from the certificate alone, so not
 * stored. Throws what Open throws; WRONG_ROUND for rounds that open as one sum.
 */
export const draw = (
  context: HolderContext,
  requests: AsyncIterable<unknown>,
  signal?: AbortSignal,
): Promise<DrawReply> =>
  withOpening(context, requests, signal, async (opening, parts) => {
    const { identity, rules } = context;
    rules.groupedRound(opening.sum.groups);
    const { own } = await drawPartition(context, opening, parts);
    commit(context, opening);
    const { id: holderId, signing, suite } = identity;
    const signed = partitionDrawStatement({
      certificate: opening.statement,
      holderId,
      values: own.values,
    });
    return { holderId, values: own.values, signature: suite.sign(signing.secretKey, signed) };
  });
