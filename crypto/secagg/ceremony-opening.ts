/**
 * Test openings at the end of the key ceremony: before anyone signs the key, every threshold-sized set of holders
 * must open a ciphertext under it. This is what catches a dealer whose shares do not lie on one polynomial, or do not
 * belong to its b_j: hashes only show that a share is the one committed to.
 *
 * The randomness (u, e0, e1) of the test ciphertext is SHAKE-256(key id), not the tester's choice; each tester adds
 * its own random message to c0:
 *  - nobody could know c1 while dealing (the key id covers every reveal, and reveals follow all commitments), so
 *    shares cannot be bent to fail elsewhere but pass here, as they could for c1 = a;
 *  - every holder derives c1 and answers for no other, so the test step is no decryption oracle: a crafted c1 = K
 *    would read the whole secret key off one answer. One c1 per key, deterministic answers: one answer per set.
 * Its price: the message in c0 is recoverable by whoever has the public key. It does not matter: all a lying holder
 * could fake with it is its own partial, which it can spoil in any round anyway; sets of honest holders, all of which
 * are tested, depend on the dealt shares alone. Partials must reach the tester authenticated (role code signs them).
 *
 * 64 coefficients suffice: if a set's shares are off by δ ≠ 0, its result is off by c1·δ. δ ≠ 0 in some NTT slot, and
 * there c1 is uniform, so the error is a nonzero combination of at least one uniform 40-bit value: each of the first
 * 64 coefficients is accepted (noise within its bound 1/2, digit as sent 2^-15) with 2^-16. They are independent when
 * 64 or more slots differ (2^-1024); if only one slot differs, all follow from a single value, and what remains is
 * essentially the chance that c1 vanishes in that slot, 2^-40.
 *
 * May be called by: crypto/secagg/ceremony.ts, which re-exports the steps.
 */
import { equalBytes, transcript } from '../bytes.ts';
import { ensure, isPulsefoldError, PulsefoldError } from '../error.ts';
import { loadedCipher } from '../he/bfv.ts';
import { openedCoefficientsMin } from '../he/parameters.ts';
import { type RandomSource, systemRandom } from '../random.ts';
import { errorSamples } from '../ring/gaussian.ts';
import { addInto, type Residues, residueOf } from '../ring/modulus.ts';
import { pack, unpack } from '../ring/packing.ts';
import { BitReader, signedResidues, ternary, XofStream } from '../ring/sampling.ts';
import { type CeremonyState, requireStep } from './ceremony-state.ts';

export interface TestCiphertext {
  readonly c0: Uint8Array;
  readonly c1: Uint8Array;
}

/** Partial decryptions by one set of holders, in any order. */
export interface SubsetPartials {
  readonly activeSet: readonly number[];
  readonly partials: readonly Uint8Array[];
}

const testDigits = openedCoefficientsMin;

/**
 * Encryption of 64 zeros, (b·u + e0, a·u + e1) modulo the data primes, with u, e0, e1 expanded from the key id.
 * `b`, `a`: the public key, NTT form, all primes.
 */
export function zeroTest(b: Residues, a: Residues, keyId: Uint8Array): TestCiphertext {
  const { layouts, engines, parameters } = loadedCipher();
  const n = parameters.polyDegree;
  const stream = new XofStream(transcript('ceremony/test', keyId));
  const [u, e1, e0] = [ternary(n, stream), errorSamples(n, stream), errorSamples(n, stream)];
  const { data: ring } = engines;
  const moduli = layouts.dataModuli;
  const [uNtt, e1Ntt] = ring.pairToNtt(signedResidues(u, moduli), signedResidues(e1, moduli));
  using multiplier = ring.multiplier(uNtt);
  const c1 = ring.fromNtt(multiplier.multiplyAdd(e1Ntt, a.slice(0, ring.size)));
  const product = ring.fromNtt(multiplier.multiplyAdd(undefined, b.slice(0, ring.size)));
  const c0 = signedResidues(e0.subarray(0, testDigits), moduli);
  const kept = product.filter((_, i) => i % n < testDigits);
  addInto(c0, kept, moduli, testDigits);
  return { c0: pack(c0, layouts.opened(testDigits)), c1: pack(c1, layouts.dataElement) };
}

/** Every `size`-subset of 1 … `count`, ascending. */
export function subsetsOf(count: number, size: number): number[][] {
  const from = (first: number, left: number): number[][] => {
    if (left === 0) return [[]];
    const out: number[][] = [];
    for (let head = first; head + left - 1 <= count; head++) {
      for (const rest of from(head + 1, left - 1)) out.push([head, ...rest]);
    }
    return out;
  };
  return from(1, size);
}

/** Step 5. This holder's test ciphertext of 64 secret random digits; send it to all holders. */
export function makeTest(
  state: CeremonyState,
  random: RandomSource = systemRandom,
): { state: CeremonyState; test: TestCiphertext } {
  requireStep(state, 'combined');
  const { layouts, parameters } = loadedCipher();
  const t = parameters.plainModulus;
  const q = parameters.dataPrimes.reduce((product, prime) => product * prime, 1n);
  const reader = new BitReader(random);
  const message = Int32Array.from({ length: testDigits }, () => reader.below(t) - t / 2);
  const layout = layouts.opened(testDigits);
  const c0 = unpack(state.testC0, layout, 'INTERNAL', 'the own test ciphertext');
  const scaled = new Float64Array(c0.length);
  for (const [block, modulus] of layouts.dataModuli.entries()) {
    for (const [i, digit] of message.entries()) {
      // ⌊q·m/t⌉, as SEAL scales plaintexts; a negative digit is its residue modulo t.
      const scaledDigit = (q * BigInt(digit < 0 ? digit + t : digit) + BigInt(t / 2)) / BigInt(t);
      scaled[block * testDigits + i] = residueOf(scaledDigit, modulus);
    }
  }
  addInto(c0, scaled, layouts.dataModuli, testDigits);
  const test = { c0: pack(c0, layout), c1: state.testC1 };
  const testMessage = new Uint8Array(message.buffer.slice(0));
  return { state: { ...state, step: 'testing', testC0: test.c0, testMessage }, test };
}

/**
 * This holder's partial decryption of a test ciphertext for one active set. Deterministic: a repeated request gets
 * the same bytes, so the flooding cannot be averaged away. CEREMONY_FAILED for a c1 that is not a test of this key.
 */
export function testPartial(
  state: CeremonyState,
  test: TestCiphertext,
  activeSet: readonly number[],
): Uint8Array {
  requireStep(state, 'combined', 'testing', 'tested');
  const derived = equalBytes(test.c1, state.testC1);
  ensure(derived, 'CEREMONY_FAILED', 'not a test ciphertext of this key: its c1 is not the derived one');
  const set = Uint8Array.from([...activeSet].sort((a, b) => a - b));
  const flooding = new XofStream(transcript('ceremony/test-flooding', state.floodSeed, state.keyId, set));
  const { holderIndex, share } = state;
  const input = { share, c1Sum: test.c1, digitCount: testDigits, holderIndex, activeSet };
  return loadedCipher().partialDecrypt(input, flooding);
}

/**
 * Checks that every threshold-sized set opened this holder's test to its message. On success `finalShare` is
 * released; on failure CEREMONY_FAILED names the sets, and the ceremony must be abandoned.
 */
export function checkTest(
  state: CeremonyState,
  partialsBySubset: readonly SubsetPartials[],
): { state: CeremonyState } {
  requireStep(state, 'testing');
  const given = new Map<string, SubsetPartials>();
  for (const subset of partialsBySubset) {
    const key = [...subset.activeSet].sort((a, b) => a - b).join('+');
    ensure(!given.has(key), 'CEREMONY_FAILED', `two answers for the holders ${key}`);
    given.set(key, subset);
  }
  const wrong: string[] = [];
  for (const set of subsetsOf(state.holderCount, state.threshold)) {
    const key = set.join('+');
    const subset = given.get(key);
    ensure(
      subset?.partials.length === set.length,
      'CEREMONY_FAILED',
      `the holders ${key} have not opened the test`,
    );
    if (!opensToMessage(state, subset.partials)) wrong.push(key);
  }
  if (wrong.length > 0) {
    throw new PulsefoldError('CEREMONY_FAILED', `the key does not open for the holders ${wrong.join(', ')}`);
  }
  return { state: { ...state, step: 'tested', testC0: new Uint8Array(0), testMessage: new Uint8Array(0) } };
}

function opensToMessage(state: CeremonyState, partials: readonly Uint8Array[]): boolean {
  try {
    const digits = loadedCipher().open({ c0Sum: state.testC0, partials, digitCount: testDigits });
    return equalBytes(new Uint8Array(digits.buffer), state.testMessage);
  } catch (error) {
    if (isPulsefoldError(error)) return false;
    throw error;
  }
}
