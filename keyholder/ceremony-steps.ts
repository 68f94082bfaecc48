/**
 * What a holder does in each phase of a ceremony of transport `bfv`, once its inputs are known to be whole and signed.
 *
 * For: ceremonies.ts only. Trusts: `Run.payloads` to be the signed payloads of all holders, in plan order;
 * what stands inside them is hostile. Payloads are described there and in protos/keyholder-messages.ts.
 */
import { ensure, isPulsefoldError, PulsefoldError } from '../crypto/error.ts';
import type { KeyPair } from '../crypto/identity/suite.ts';
import {
  begin,
  type CeremonyState,
  checkTest,
  combine,
  commitKey,
  decodeState,
  encodeState,
  finalShare,
  makeTest,
  opensToMessage,
  reveal,
  type SubsetPartials,
  subsetsOf,
  testPartial,
} from '../crypto/secagg/ceremony.ts';
import {
  type BeginPayload,
  committeeKeyIdOf,
  decodeBeginPayload,
  decodeCombinePayload,
  decodeCommitKeyPayload,
  decodeRevealPayload,
  decodeTestPayload,
  encodeBeginPayload,
  encodeCombinePayload,
  encodeCommitKeyPayload,
  encodeFinishPayload,
  encodeRevealPayload,
  encodeTestPayload,
  type SealedShare,
  type TestOpening,
} from '../protos/keyholder-messages.ts';
import { thresholdOf } from '../protos/plan.ts';
import { sealedShareContext } from '../protos/statements.ts';
import {
  blaming,
  type CeremonySteps,
  fromEach,
  loadCeremonyState,
  namingHolders,
  type Outcome,
  type Run,
} from './ceremony-run.ts';

/** Kept sealed between phases. */
interface StoredState {
  readonly core: Uint8Array;
  /** Made for this ceremony; its secret half is what opens the shares dealt to this holder. */
  readonly sealing: KeyPair;
  /** BEGIN payloads of all holders, in plan order, once known. */
  readonly begins: readonly BeginPayload[];
}

const loadState = (run: Run) => loadCeremonyState<StoredState>(run);

const withCore = (state: StoredState, core: CeremonyState): StoredState => ({
  ...state,
  core: encodeState(core),
});

function stepBegin(run: Run): Outcome {
  const { context, plan } = run;
  const input = {
    ceremonyId: run.ceremony,
    holderIndex: run.ownIndex,
    holderCount: plan.holders.length,
    threshold: thresholdOf(plan),
  };
  const { state, commitment } = begin(input, context.random);
  const sealing = context.identity.suite.generateSealingKey(context.random);
  const payload = encodeBeginPayload({ commitment, sealingPublicKey: sealing.publicKey });
  return { state: { core: encodeState(state), sealing, begins: [] }, payload };
}

function stepCommitKey(run: Run): Outcome {
  const { suite } = run.context.identity;
  const begins = fromEach(run, (bytes) => {
    const payload = decodeBeginPayload(bytes);
    const usable = suite.isPublicKey('sealing', payload.sealingPublicKey);
    ensure(usable, 'CEREMONY_FAILED', 'its sealing key for this ceremony is not a valid key');
    return payload;
  });
  const stored = loadState(run);
  const commitments = begins.map((payload) => payload.commitment);
  const { state, keyCommitment } = commitKey(decodeState(stored.core), commitments, run.context.random);
  return { state: { ...withCore(stored, state), begins }, payload: encodeCommitKeyPayload(keyCommitment) };
}

function stepReveal(run: Run): Outcome {
  const { context, plan, ceremony } = run;
  const { suite, id } = context.identity;
  const stored = loadState(run);
  const { state, publicPart, shares } = reveal(
    decodeState(stored.core),
    fromEach(run, decodeCommitKeyPayload),
  );
  const sealedShares: SealedShare[] = [];
  const shareDigests = plan.holders.map((holder, index) => {
    if (index + 1 === run.ownIndex) return new Uint8Array(0);
    const receiver = stored.begins[index]!.sealingPublicKey;
    const associatedData = sealedShareContext(ceremony, id, holder.id);
    const sealed = suite.seal(receiver, shares[index]!, associatedData, context.random);
    sealedShares.push({ fromHolderId: id, toHolderId: holder.id, sealed });
    return suite.digest(sealed);
  });
  return {
    state: withCore(stored, state),
    payload: encodeRevealPayload({ publicPart, shareDigests }),
    shares: sealedShares,
  };
}

/** The share that `dealerId` dealt to this holder, opened. */
function receiveShare(run: Run, sealing: KeyPair, dealerId: string, announced: Uint8Array): Uint8Array {
  const { identity, rules } = run.context;
  const relayed = run.shares.find((share) => share.fromHolderId === dealerId);
  ensure(relayed, 'CEREMONY_FAILED', `the share dealt by holder ${dealerId} is missing`);
  rules.announcedShare(announced, identity.suite.digest(relayed.sealed), dealerId);
  try {
    const associatedData = sealedShareContext(run.ceremony, dealerId, identity.id);
    return identity.suite.open(sealing.secretKey, relayed.sealed, associatedData);
  } catch (cause) {
    throw new PulsefoldError('SHARE_INCONSISTENT', `the share dealt by holder ${dealerId} does not open`, {
      cause,
    });
  }
}

function stepCombine(run: Run): Outcome {
  const { context, plan } = run;
  const reveals = fromEach(run, (bytes) => decodeRevealPayload(bytes, plan.holders.length));
  const stored = loadState(run);
  const received = plan.holders.map((holder, index) => {
    if (index + 1 === run.ownIndex) return new Uint8Array(0);
    return receiveShare(run, stored.sealing, holder.id, reveals[index]!.shareDigests[run.ownIndex - 1]!);
  });
  const publicParts = reveals.map((payload) => payload.publicPart);
  const combined = namingHolders(plan, () => combine(decodeState(stored.core), publicParts, received));
  for (const share of received) share.fill(0);
  const { state, test } = makeTest(combined.state, context.random);
  return { state: withCore(stored, state), payload: encodeCombinePayload(test) };
}

function stepTest(run: Run): Outcome {
  const { plan, ownIndex } = run;
  const tests = fromEach(run, decodeCombinePayload);
  const stored = loadState(run);
  const core = decodeState(stored.core);
  const subsets = subsetsOf(plan.holders.length, thresholdOf(plan)).filter((subset) =>
    subset.includes(ownIndex),
  );
  const openings: TestOpening[] = tests.flatMap((test, index) =>
    subsets.map((subset) => ({
      testerIndex: index + 1,
      subset,
      partial: blaming(plan.holders[index]!.id, () => testPartial(core, test, subset)),
    })),
  );
  return { state: stored, payload: encodeTestPayload(openings) };
}

/** All partial openings of this holder's own test, by subset. */
function ownTestOpenings(run: Run): SubsetPartials[] {
  const { plan, ownIndex } = run;
  const openings = fromEach(run, decodeTestPayload);
  return subsetsOf(plan.holders.length, thresholdOf(plan)).map((activeSet) => {
    const partials = activeSet.map((member) => {
      const found = openings[member - 1]!.filter(
        (opening) => opening.testerIndex === ownIndex && opening.subset.join() === activeSet.join(),
      );
      const holderId = plan.holders[member - 1]!.id;
      const names = activeSet.map((index) => plan.holders[index - 1]!.id).join(', ');
      ensure(
        found.length === 1,
        'CEREMONY_FAILED',
        `holder ${holderId} has not opened the test once for ${names}`,
      );
      return found[0]!.partial;
    });
    return { activeSet, partials };
  });
}

/**
 * Holders that are in every subset which failed to open: the one that lies, or the one that was dealt a bad
 * share.
 */
function suspects(run: Run, core: CeremonyState, subsets: readonly SubsetPartials[]): string[] {
  const failed = subsets.filter(({ partials }) => !opensToMessage(core, partials));
  const common = run.plan.holders.filter((_, index) =>
    failed.every(({ activeSet }) => activeSet.includes(index + 1)),
  );
  return common.map((holder) => holder.id);
}

function stepFinish(run: Run): Outcome {
  const subsets = ownTestOpenings(run);
  const core = decodeState(loadState(run).core);
  let tested: CeremonyState;
  try {
    tested = checkTest(core, subsets).state;
  } catch (error) {
    if (!isPulsefoldError(error)) throw error;
    const names = suspects(run, core, subsets);
    const one =
      names.length > 0
        ? `every failing set holds ${names.join(' and ')}`
        : 'no holder is in every failing set';
    const who = `${one}: it answered wrongly, or was dealt a bad share`;
    throw new PulsefoldError('CEREMONY_FAILED', `${error.message} (${who})`, { cause: error });
  }
  const keyId = committeeKeyIdOf(run.context.identity.suite, tested.publicKey);
  const finished = { publicKey: tested.publicKey, share: finalShare(tested) };
  return { state: undefined, payload: encodeFinishPayload(keyId), finished };
}

export const bfvSteps: CeremonySteps = {
  BEGIN: stepBegin,
  COMMIT_KEY: stepCommitKey,
  REVEAL: stepReveal,
  COMBINE: stepCombine,
  TEST: stepTest,
  FINISH: stepFinish,
};
