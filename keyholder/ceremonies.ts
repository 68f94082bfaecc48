/**
 * The committee-key ceremony of one round, as one holder goes through it (DESIGN §4).
 *
 * For: CeremonyStep. The coordinator relays; every part is signed by its holder and bound to ceremony, phase
 * and payload; shares are sealed to a key that the receiver made for this ceremony alone and forgets with it,
 * so that an operator's long-lived key, stolen later, opens no old share. Trusts: fewer than t corrupt
 * holders; the plan's holder keys. The phases are in ceremony-steps.ts (bfv) and ceremony-shares.ts. May be called by:
 * keyholder/ only.
 *
 * Payloads (protos/keyholder-messages.ts): BEGIN commitment, ceremony sealing key · COMMIT_KEY key commitment
 * · REVEAL public part, digest of each sealed share · COMBINE test ciphertext · TEST partial openings of
 * every test for every t-subset that holds this holder · FINISH key id. Transport shares has BEGIN round key · FINISH.
 */
import { concat, equalBytes, transcript } from '../crypto/bytes.ts';
import { ensure } from '../crypto/error.ts';
import { parse } from '../protos/fields.ts';
import {
  type CeremonyPart,
  type CeremonyPhase,
  type CeremonyStepReply,
  type CeremonyStepRequest,
  ceremonyStepRequestSchema,
  committeeKeyIdOf,
  phaseBefore,
  type Transport,
} from '../protos/keyholder-messages.ts';
import type { Plan } from '../protos/plan.ts';
import { ceremonyId, ceremonyPartStatement, committeeKeyStatement } from '../protos/statements.ts';
import type { CeremonySteps, Outcome, Run } from './ceremony-run.ts';
import { sharesSteps } from './ceremony-shares.ts';
import { bfvSteps } from './ceremony-steps.ts';
import type { HolderContext } from './context.ts';
import { pack, unpack } from './packed.ts';
import type { RoundRef } from './store.ts';

const steps: Readonly<Record<Transport, CeremonySteps>> = { bfv: bfvSteps, shares: sharesSteps };

/**
 * Payloads of the phase before in plan order: exactly one part of every holder, signed by it, the own one as
 * this holder gave it.
 */
function checkParts(
  context: HolderContext,
  plan: Plan,
  request: CeremonyStepRequest,
  ceremony: Uint8Array,
  ownPart: CeremonyPart | undefined,
): Uint8Array[] {
  const { identity, rules } = context;
  const before = phaseBefore(plan.aggregation.transport, request.phase);
  if (before === undefined) {
    ensure(request.parts.length === 0, 'CEREMONY_FAILED', 'a ceremony begins without parts');
    return [];
  }
  const count = plan.holders.length;
  const complete = request.parts.length === count;
  ensure(
    complete,
    'CEREMONY_FAILED',
    `phase ${request.phase} needs the ${before} parts of all ${count} holders`,
  );
  return plan.holders.map(({ id: holderId }) => {
    const part = request.parts.find((candidate) => candidate.holderId === holderId);
    ensure(part, 'CEREMONY_FAILED', `the ${before} part of holder ${holderId} is missing`);
    if (holderId === identity.id) {
      const kept = ownPart !== undefined && equalBytes(ownPart.payload, part.payload);
      ensure(kept, 'CEREMONY_FAILED', 'the part of this holder was altered on its way');
      return part.payload;
    }
    const payloadDigest = identity.suite.digest(part.payload);
    const statement = ceremonyPartStatement({ ceremonyId: ceremony, phase: before, holderId, payloadDigest });
    rules.partSignature(plan, holderId, statement, part.signature);
    return part.payload;
  });
}

/** What a step was answered for. Signatures stay out: two signatures over one payload say the same. */
function inputDigest(context: HolderContext, run: Omit<Run, 'context'>): Uint8Array {
  const { suite } = context.identity;
  const shares = [...run.shares].sort((a, b) => (a.fromHolderId < b.fromHolderId ? -1 : 1));
  return suite.digest(
    transcript('ceremony-input', ...run.payloads.map((payload) => suite.digest(payload))),
    concat(...shares.map((share) => transcript('share', share.fromHolderId, share.toHolderId, share.sealed))),
  );
}

function answer(run: Run, phase: CeremonyPhase, outcome: Outcome): CeremonyStepReply {
  const { identity } = run.context;
  const { suite, signing } = identity;
  const payloadDigest = suite.digest(outcome.payload);
  const statement = ceremonyPartStatement({
    ceremonyId: run.ceremony,
    phase,
    holderId: identity.id,
    payloadDigest,
  });
  const signature = suite.sign(signing.secretKey, statement);
  const part: CeremonyPart = { holderId: identity.id, payload: outcome.payload, signature };
  const none = new Uint8Array(0);
  const shares = [...(outcome.shares ?? [])];
  if (!outcome.finished) return { part, shares, publicKey: none, keyId: none, keySignature: none };
  const { publicKey } = outcome.finished;
  const keyId = committeeKeyIdOf(suite, publicKey);
  const keyStatement = committeeKeyStatement({ planHash: run.at.planHash, round: run.at.round, keyId });
  return { part, shares, publicKey, keyId, keySignature: suite.sign(signing.secretKey, keyStatement) };
}

function remember(
  run: Run,
  phase: CeremonyPhase,
  input: Uint8Array,
  outcome: Outcome,
  reply: CeremonyStepReply,
): void {
  const { store, custody } = run.context;
  store.transaction(() => {
    store.putCeremonyStep(run.at, phase, { inputDigest: input, reply: pack(reply) });
    if (outcome.state)
      store.putCeremonyState(run.at, custody.seal('ceremony-state', run.at, pack(outcome.state)));
    else store.deleteCeremonyState(run.at);
    if (outcome.finished)
      store.putCommitteeKey(
        run.at,
        reply.keyId,
        custody.seal('committee-key-share', run.at, outcome.finished.share),
      );
  });
  // The sealing key of the ceremony and the dealt polynomial are gone from the table; now from the WAL.
  if (outcome.finished) store.truncateLog();
}

/**
 * CeremonyStep. A repeated step gets the stored reply; other inputs for an answered step end in
 * STATEMENT_CONFLICT. A step that fails leaves the state as it was. Throws CEREMONY_FAILED,
 * SHARE_INCONSISTENT, BAD_SIGNATURE (naming the holder), KEY_ERASED, WRONG_ROUND, NOT_FOUND.
 */
export function ceremonyStep(context: HolderContext, message: unknown): CeremonyStepReply {
  const request = parse(ceremonyStepRequestSchema, message);
  const { rules, store } = context;
  const at: RoundRef = { planHash: request.planHash, round: request.round };
  const { parsed, ownIndex } = context.plans.round(at);
  rules.notErased(store.isErased(at));
  const { plan } = parsed;
  const ceremony = ceremonyId(context.identity.suite, at.planHash, at.round);
  const { transport } = plan.aggregation;
  const before = phaseBefore(transport, request.phase);
  const previous = before && store.ceremonyStep(at, before);
  ensure(before === undefined || previous, 'CEREMONY_FAILED', `phase ${before} has not taken place here`);
  const ownPart = previous && unpack<CeremonyStepReply>(previous.reply).part;
  const payloads = checkParts(context, plan, request, ceremony, ownPart);
  const shares = request.shares.filter((share) => share.toHolderId === context.identity.id);
  const run: Run = { context, plan, at, ownIndex, ceremony, payloads, shares };
  const input = inputDigest(context, run);
  const stored = store.ceremonyStep(at, request.phase);
  if (stored) {
    rules.oneStep(stored.inputDigest, input, request.phase);
    return unpack<CeremonyStepReply>(stored.reply);
  }
  const outcome = steps[transport][request.phase]!(run);
  const reply = answer(run, request.phase, outcome);
  context.hooks.reached('ceremony:answered');
  remember(run, request.phase, input, outcome, reply);
  context.hooks.reached('ceremony:stored');
  return reply;
}
