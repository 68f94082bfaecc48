/**
 * Test openings at the end of the key ceremony: before anyone signs the key, every threshold-sized set of holders
 * must open a ciphertext under it. This is what catches a dealer whose shares do not lie on one polynomial, or do not
 * belong to its b_j, or belong to a key too noisy to use: hashes only show that a share is the one committed to.
 *
 * The randomness (u, e0, e1) of the test ciphertext is SHAKE-256(key id), not the tester's choice; each tester adds
 * its own random message to c0:
 *  - nobody could know c1 while dealing (the key id covers every reveal, and reveals follow all commitments), so
 *    shares cannot be bent to fail elsewhere but pass here, as they could for c1 = a;
 *  - every holder derives c1 and answers for no other, so the test step is no decryption oracle: a crafted c1 = K
 *    would read the whole secret key off one answer. One c1 per key, deterministic answers: one answer per set.
 * Its price: the message in c0 is recoverable by whoever has the public key. It does not matter: all a lying holder
 * could fake with it is its own partial, which it can spoil in any round anyway; sets of honest holders, all of which
 * are tested, depend on the dealt parts alone. Partials must reach the tester authenticated (role code signs them).
 *
 * The test must see what a client's ciphertext would show. So it is made as clients make theirs, modulo q·p and then
 * divided by p (what sits in b modulo p only is part of it), and opened under flooding of σ = 2^47, not 2^59, with a
 * bound B = 11·√t·2^47 of its own (2^51 for t = 2). With s the secret that all sets agree on and E = b + a·s modulo
 * q·p, the noise is (E·u + e0 + e1·s)/p + r0 + r1·s, |r| ≤ 1/2: every term of a real ciphertext. What it catches:
 *  - Shares off by δ ≠ 0: the result is off by c1·δ. δ ≠ 0 in some NTT slot, and there c1 is uniform, so the error
 *    is a nonzero combination of at least one uniform 40-bit value: each of the 64 coefficients is accepted (noise
 *    within B 2^-13, digit as sent 2^-15) with 2^-28. If all that differs follows from a single slot, what remains
 *    is essentially the chance that c1 vanishes there, 2^-40.
 *  - b off modulo p: by q·G, which adds (q/p)·(G·u mod p), a multiple of 2^54, so G·u must vanish in all 64. For a
 *    short G ≠ 0 (the kind that lets sums open and shows Σu) this has probability ≤ 3^-64: 64 rows of G, independent
 *    as Q[X]/(X^n + 1) is a field, against a ternary u. For the worst other G, one slot, 2^-26; such a key opens no
 *    sum, which is no more than a holder does by leaving the ceremony.
 *  - E or s too large. Let ρ be the standard deviation such a key adds per coefficient and ciphertext. ρ ≤ B = 2^51
 *    may pass, and is harmless: 10,000 clients make 2^57.6 of it, beside 2^59.5 of flooding and a bound of 2^62.96
 *    (11 sigma become 10.7); what openings show of Σu beyond that is 0.14·N bits per polynomial, of > 8,000. ρ > B
 *    passes at best with all energy in one conjugate pair of slots, which makes the noise a wave over the ring of
 *    Rayleigh amplitude (u being random): 1 − exp(−B²/2ρ²). That is why the 64 coefficients are spread evenly: the
 *    first 64 would see a stretch of a slow wave only, and a key passes with B/ρ. For sums of 10,000 to fail takes
 *    ρ ≥ 2^54, that is, 8·B: refused with 99 %; of 300, ρ ≥ 2^56.5: refused with 99.98 %.
 * What it hides: the honest noise (σ ≈ 30, linear in the secret, as u, e0, e1 are public). Its openings differ from
 * simulated ones by at most 30.2·√(64 coefficients · 6 sets · 2)/2^48 = 2^-38.3 for 2 of 4 (`testSmudgingBits`).
 * Partials of the test are of no use for sums: another c1, other coefficients, masks of another label.
 *
 * May be called by: crypto/secagg/ceremony.ts, which re-exports the steps.
 */
import { equalBytes, transcript } from '../bytes.ts';
import { ensure, isPulsefoldError, PulsefoldError } from '../error.ts';
import { loadedCipher } from '../he/bfv.ts';
import { openedCoefficientsMin, testOpening } from '../he/parameters.ts';
import { openSum, partialDecrypt, selectCoefficients } from '../he/partial.ts';
import { type RandomSource, systemRandom } from '../random.ts';
import { divideByLast } from '../ring/division.ts';
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
 * Encryption of zeros as SEAL does it: (b·u + e0, a·u + e1) modulo all primes, divided by the special prime, with u,
 * e0, e1 expanded from the key id. Of c0 the 64 coefficients that are opened. `b`, `a`: the public key, NTT form.
 */
export function zeroTest(b: Residues, a: Residues, keyId: Uint8Array): TestCiphertext {
  const { layouts, engines, parameters } = loadedCipher();
  const n = parameters.polyDegree;
  const stream = new XofStream(transcript('ceremony/test', keyId));
  const [u, e1, e0] = [ternary(n, stream), errorSamples(n, stream), errorSamples(n, stream)];
  const { key: ring } = engines;
  const moduli = layouts.keyModuli;
  const [uNtt, e1Ntt] = ring.pairToNtt(signedResidues(u, moduli), signedResidues(e1, moduli));
  using multiplier = ring.multiplier(uNtt);
  const c1 = ring.fromNtt(multiplier.multiplyAdd(e1Ntt, a));
  const product = ring.fromNtt(multiplier.multiplyAdd(undefined, b));
  addInto(product, signedResidues(e0, moduli), moduli, n);
  const c0 = selectCoefficients(product, n, testDigits, testOpening(parameters).coefficientStride);
  return {
    c0: pack(divideByLast(c0, moduli, testDigits), layouts.opened(testDigits)),
    c1: pack(divideByLast(c1, moduli, n), layouts.dataElement),
  };
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
  const { parameters, layouts, engines } = loadedCipher();
  return partialDecrypt(parameters, layouts, engines.data, input, flooding, testOpening(parameters));
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

/** Whether these partials open the own test to its message; for saying whom a failed test points at. */
export function opensToMessage(state: CeremonyState, partials: readonly Uint8Array[]): boolean {
  requireStep(state, 'testing');
  try {
    const { parameters, layouts } = loadedCipher();
    const input = { c0Sum: state.testC0, partials, digitCount: testDigits };
    const digits = openSum(parameters, layouts, input, testOpening(parameters));
    return equalBytes(new Uint8Array(digits.buffer), state.testMessage);
  } catch (error) {
    if (isPulsefoldError(error)) return false;
    throw error;
  }
}
