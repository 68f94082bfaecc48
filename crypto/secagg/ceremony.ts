/**
 * The key ceremony: n holders make one committee key without a dealer; any `threshold` of them can decrypt.
 *
 *   begin → commitKey → reveal → combine → makeTest → testPartial… → checkTest → finalShare
 *
 * Pure steps, one set per holder; the role code carries messages (in holder order), seals shares to their receivers,
 * signs what it sends and persists the state. Commit-and-reveal twice: nobody can choose its nonce, hence `a`, nor its
 * b_j or dealt shares, after seeing another's (a rogue b_j = b − Σ others would make the key its own).
 * Shares and public key are in SEAL's NTT form: Shamir sharing over R_q is the same there, slot by slot.
 *
 * Trusts: an honest holder's CSPRNG; fewer than `threshold` corrupt holders, and `threshold` honest ones. Does not
 * trust: any message. A dealer that lies stops the ceremony (CEREMONY_FAILED, SHARE_INCONSISTENT name it where it can
 * be known), except for a key whose noise passes the test: how much that can be, and why it is harmless, is derived
 * in ceremony-opening.ts. The last to commit in step 1 can try nonces until it likes `a` (a hash of all commitments);
 * no trapdoor is known that a hash can be ground to (ADR 0004).
 * Sources: Mouchet et al. 2021; DESIGN §4. May be called by: keyholder/, experiments/, tests.
 */
import { concat, equalBytes } from '../bytes.ts';
import { ensure } from '../error.ts';
import { loadedCipher } from '../he/bfv.ts';
import { assertCorrectness, assertKeyTest, assertSmudging, holderCountMax } from '../he/parameters.ts';
import { encodeShare, pairKey } from '../he/share.ts';
import { type RandomSource, randomBytes, systemRandom } from '../random.ts';
import { errorSamples } from '../ring/gaussian.ts';
import { addInto, type Modulus, type Residues, reduce } from '../ring/modulus.ts';
import { pack, packedBytes, unpack } from '../ring/packing.ts';
import { signedResidues, ternary, uniformResidues } from '../ring/sampling.ts';
import {
  committeeKeyId,
  contextOf,
  expandUniform,
  keyCommitment,
  nonceCommitment,
  shareHash,
} from './ceremony-commitments.ts';
import { zeroTest } from './ceremony-opening.ts';
import { type CeremonyState, requireStep } from './ceremony-state.ts';

export {
  checkTest,
  makeTest,
  opensToMessage,
  type SubsetPartials,
  subsetsOf,
  type TestCiphertext,
  testPartial,
} from './ceremony-opening.ts';
export { type CeremonyState, decodeState, encodeState } from './ceremony-state.ts';

export interface CeremonyInput {
  /** Names this ceremony among all; the same for every holder. 1 to 64 bytes. */
  readonly ceremonyId: Uint8Array;
  /** 1 … holderCount. */
  readonly holderIndex: number;
  readonly holderCount: number;
  /** Holders needed to decrypt, f + 1; 2 … holderCount. */
  readonly threshold: number;
}

const none = new Uint8Array(0);
const secretBytes = 32;

function checkDigests(digests: readonly Uint8Array[], count: number, what: string): void {
  ensure(digests.length === count, 'CEREMONY_FAILED', `${what} of all ${count} holders are needed first`);
  for (const [i, digest] of digests.entries()) {
    ensure(digest?.length === 32, 'CEREMONY_FAILED', `${what} of holder ${i + 1} is missing or not 32 bytes`);
  }
}

/** Step 1. Publish `commitment`. PARAMETER_UNSAFE for a committee whose noise margins do not hold. */
export function begin(
  input: CeremonyInput,
  random: RandomSource = systemRandom,
): { state: CeremonyState; commitment: Uint8Array } {
  const { ceremonyId, holderIndex, holderCount, threshold } = input;
  const idFits = ceremonyId.length >= 1 && ceremonyId.length <= 64;
  ensure(idFits, 'FIELD_OUT_OF_RANGE', 'a ceremony id has 1 to 64 bytes');
  ensure(
    Number.isInteger(holderCount) && holderCount >= 2 && holderCount <= holderCountMax,
    'FIELD_OUT_OF_RANGE',
    `a committee has 2 to ${holderCountMax} holders`,
  );
  const thresholdFits = Number.isInteger(threshold) && threshold >= 2 && threshold <= holderCount;
  ensure(thresholdFits, 'FIELD_OUT_OF_RANGE', 'the threshold must be 2 to the number of holders');
  const indexFits = Number.isInteger(holderIndex) && holderIndex >= 1 && holderIndex <= holderCount;
  ensure(indexFits, 'FIELD_OUT_OF_RANGE', 'a holder index is 1 to the number of holders');
  const { parameters } = loadedCipher();
  assertCorrectness(parameters, threshold, holderCount);
  assertKeyTest(parameters, holderCount, threshold);
  // 1,000 contributions: committees of more than four get their margin from smaller cohorts (see smudgingBits).
  assertSmudging(parameters, { contributions: 1000, holderCount, threshold, polynomials: 2 });
  const nonce = randomBytes(secretBytes, random);
  const state: CeremonyState = {
    step: 'begun',
    ceremonyId: ceremonyId.slice(),
    holderIndex,
    holderCount,
    threshold,
    nonce,
    floodSeed: randomBytes(secretBytes, random),
    commitments: [],
    keyCommitments: [],
    publicPart: none,
    dealtShares: [],
    publicKey: none,
    keyId: none,
    share: none,
    testC0: none,
    testC1: none,
    testMessage: none,
  };
  return { state, commitment: nonceCommitment(input, holderIndex, nonce) };
}

/** Shamir sharing, slot by slot: the value at `point` of the polynomial with these coefficients, constant first. */
function evaluate(coefficients: readonly Residues[], point: number, moduli: readonly Modulus[]): Residues {
  const out = coefficients.at(-1)!.slice();
  const length = out.length / moduli.length;
  for (let degree = coefficients.length - 2; degree >= 0; degree--) {
    const coefficient = coefficients[degree]!;
    for (const [block, modulus] of moduli.entries()) {
      // point ≤ 10: the product stays below 2^44.
      for (let i = block * length; i < (block + 1) * length; i++) {
        out[i] = reduce(out[i]! * point + coefficient[i]!, modulus);
      }
    }
  }
  return out;
}

/** Step 2. Samples this holder's key and deals its shares; publish `keyCommitment`, keep the rest. */
export function commitKey(
  state: CeremonyState,
  commitments: readonly Uint8Array[],
  random: RandomSource = systemRandom,
): { state: CeremonyState; keyCommitment: Uint8Array } {
  requireStep(state, 'begun');
  checkDigests(commitments, state.holderCount, 'commitments');
  const own = nonceCommitment(state, state.holderIndex, state.nonce);
  ensure(
    equalBytes(commitments[state.holderIndex - 1]!, own),
    'CEREMONY_FAILED',
    'own commitment was altered',
  );
  const { layouts, engines, parameters } = loadedCipher();
  const n = parameters.polyDegree;
  const context = contextOf(state, commitments);
  // −s is as ternary as s: b = −a·s + e is e + a·(−s), one call of the engine.
  const negated = ternary(n, random);
  const error = errorSamples(n, random);
  const [negatedNtt, errorNtt] = engines.key.pairToNtt(
    signedResidues(negated, layouts.keyModuli),
    signedResidues(error, layouts.keyModuli),
  );
  using multiplier = engines.key.multiplier(negatedNtt);
  const b = multiplier.multiplyAdd(errorNtt, expandUniform(state, commitments));
  const secretNtt = negatedNtt.slice(0, engines.data.size);
  for (let i = 0; i < secretNtt.length; i++) {
    const prime = layouts.dataModuli[Math.floor(i / n)]!.prime;
    if (secretNtt[i] !== 0) secretNtt[i] = prime - secretNtt[i]!;
  }
  const coefficients: Residues[] = [secretNtt];
  while (coefficients.length < state.threshold)
    coefficients.push(uniformResidues(layouts.dataModuli, n, random));
  const dealtShares = Array.from({ length: state.holderCount }, (_, k) =>
    concat(
      pack(evaluate(coefficients, k + 1, layouts.dataModuli), layouts.dataElement),
      randomBytes(secretBytes, random),
    ),
  );
  for (const secret of [negated, error, negatedNtt, errorNtt, ...coefficients]) secret.fill(0);
  const hashes = dealtShares.map((share, k) => shareHash(context, state.holderIndex, k + 1, share));
  const published = concat(pack(b, layouts.keyElement), ...hashes);
  return {
    state: { ...state, step: 'keyed', commitments, publicPart: concat(state.nonce, published), dealtShares },
    keyCommitment: keyCommitment(context, state.holderIndex, published),
  };
}

/**
 * Step 3, only once the key commitments of *all* holders are in. Publish `publicPart`; `shares[k − 1]` goes, sealed,
 * to holder k (the own one too). CEREMONY_FAILED while a commitment is missing or the own one was altered.
 */
export function reveal(
  state: CeremonyState,
  keyCommitments: readonly Uint8Array[],
): { state: CeremonyState; publicPart: Uint8Array; shares: readonly Uint8Array[] } {
  requireStep(state, 'keyed');
  checkDigests(keyCommitments, state.holderCount, 'key commitments');
  const context = contextOf(state, state.commitments);
  const own = keyCommitment(context, state.holderIndex, state.publicPart.subarray(secretBytes));
  const kept = equalBytes(keyCommitments[state.holderIndex - 1]!, own);
  ensure(kept, 'CEREMONY_FAILED', 'own key commitment was altered');
  return {
    state: { ...state, step: 'revealed', keyCommitments },
    publicPart: state.publicPart,
    shares: state.dealtShares,
  };
}

/** b_j and the share hashes of one holder, checked against both its commitments. */
function openPublicPart(state: CeremonyState, context: Uint8Array, dealer: number, part: Uint8Array) {
  const { layouts } = loadedCipher();
  const elementBytes = packedBytes(layouts.keyElement);
  const expected = secretBytes + elementBytes + 32 * state.holderCount;
  const name = `holder ${dealer}`;
  ensure(part?.length === expected, 'CEREMONY_FAILED', `${name} revealed a part of wrong length`);
  const commitment = nonceCommitment(state, dealer, part.subarray(0, secretBytes));
  const nonceKept = equalBytes(commitment, state.commitments[dealer - 1]!);
  ensure(nonceKept, 'CEREMONY_FAILED', `${name} revealed another nonce than it committed to`);
  const published = part.subarray(secretBytes);
  const keyKept = equalBytes(keyCommitment(context, dealer, published), state.keyCommitments[dealer - 1]!);
  ensure(keyKept, 'CEREMONY_FAILED', `${name} revealed another key than it committed to`);
  const element = published.subarray(0, elementBytes);
  const hashes = Array.from({ length: state.holderCount }, (_, k) =>
    published.subarray(elementBytes + 32 * k, elementBytes + 32 * (k + 1)),
  );
  return { b: unpack(element, layouts.keyElement, 'CEREMONY_FAILED', `${name}: its key`), hashes };
}

/** The share a dealer sent this holder, checked against its published hash. */
function openShare(
  state: CeremonyState,
  context: Uint8Array,
  dealer: number,
  share: Uint8Array,
  published: Uint8Array,
) {
  const { layouts } = loadedCipher();
  const elementBytes = packedBytes(layouts.dataElement);
  const name = `the share dealt by holder ${dealer}`;
  const lengthFits = share?.length === elementBytes + secretBytes;
  ensure(lengthFits, 'SHARE_INCONSISTENT', `${name} is missing or of wrong length`);
  const kept = equalBytes(shareHash(context, dealer, state.holderIndex, share), published);
  ensure(kept, 'SHARE_INCONSISTENT', `${name} differs from its published hash`);
  const element = unpack(share.subarray(0, elementBytes), layouts.dataElement, 'SHARE_INCONSISTENT', name);
  return { element, secret: share.subarray(elementBytes) };
}

/**
 * Step 4. `publicParts[j − 1]` is what holder j published, `receivedShares[j − 1]` what it dealt to this holder (the
 * own entry may be empty). Errors: CEREMONY_FAILED naming the holder, SHARE_INCONSISTENT naming the dealer.
 */
export function combine(
  state: CeremonyState,
  publicParts: readonly Uint8Array[],
  receivedShares: readonly Uint8Array[],
): { state: CeremonyState; publicKey: Uint8Array; keyId: Uint8Array } {
  requireStep(state, 'revealed');
  const { holderCount, holderIndex, threshold } = state;
  const partsFit = publicParts.length === holderCount;
  ensure(partsFit, 'CEREMONY_FAILED', `public parts of all ${holderCount} holders are needed`);
  const sharesFit = receivedShares.length === holderCount;
  ensure(sharesFit, 'SHARE_INCONSISTENT', `shares of all ${holderCount} dealers are needed`);
  const { layouts, parameters, engines } = loadedCipher();
  const n = parameters.polyDegree;
  const context = contextOf(state, state.commitments);
  // All reveals are checked before any share, so that a rogue key is named as such.
  const opened = publicParts.map((part, i) => openPublicPart(state, context, i + 1, part));
  const b = new Float64Array(engines.key.size);
  const element = new Float64Array(engines.data.size);
  const pairKeys: Uint8Array[] = [];
  for (const [i, { b: part, hashes }] of opened.entries()) {
    const dealer = i + 1;
    const own = state.dealtShares[i]!;
    const received = dealer === holderIndex ? own : receivedShares[i]!;
    const share = openShare(state, context, dealer, received, hashes[holderIndex - 1]!);
    addInto(b, part, layouts.keyModuli, n);
    addInto(element, share.element, layouts.dataModuli, n);
    const dealt = own.subarray(own.length - secretBytes);
    if (dealer === holderIndex) pairKeys.push(new Uint8Array(32));
    else if (dealer < holderIndex)
      pairKeys.push(pairKey(context, dealer, holderIndex, [share.secret, dealt]));
    else pairKeys.push(pairKey(context, holderIndex, dealer, [dealt, share.secret]));
  }
  const a = expandUniform(state, state.commitments);
  const publicKey = concat(pack(b, layouts.keyElement), pack(a, layouts.keyElement));
  const keyId = committeeKeyId(context, publicKey, publicParts);
  const share = encodeShare({ keyId, threshold, holderCount, holderIndex, pairKeys, element }, layouts);
  element.fill(0);
  const { c0: testC0, c1: testC1 } = zeroTest(b, a, keyId);
  return {
    state: {
      ...state,
      step: 'combined',
      publicPart: none,
      dealtShares: [],
      publicKey,
      keyId,
      share,
      testC0,
      testC1,
    },
    publicKey,
    keyId,
  };
}

/** The key share, to be sealed at rest: only after `checkTest` succeeded. Only then may the role sign the key. */
export function finalShare(state: CeremonyState): Uint8Array {
  requireStep(state, 'tested');
  return state.share;
}
