/**
 * Threshold BFV: encryption of signed digit vectors, folding, partial decryption, opening.
 *
 * For: ShortSum `bfv` (DESIGN §4). Wire forms (all little-endian, 5 bytes per 40-bit residue, no headers):
 *  - public key: b then a, NTT form; each n residues of q1, q2 (5 bytes) and of the special prime (4 bytes);
 *  - c0, partial decryption: per polynomial its opened coefficients modulo q1, then modulo q2;
 *  - c1: per polynomial n coefficients modulo q1, then modulo q2.
 * Trusts: SEAL (crypto/he/seal.ts); clients to form their ciphertexts honestly, see crafted-c1.test.ts.
 * May be called by: everyone through crypto/secagg/bfv.ts.
 */
import { ensure } from '../error.ts';
import { type RandomSource, systemRandom } from '../random.ts';
import { pack, packedBytes, unpack, validatePacked } from '../ring/packing.ts';
import { PackedAccumulator, type PartAccumulator } from './accumulator.ts';
import { type BfvLayouts, createLayouts } from './layout.ts';
import { type BfvParameters, bfv4096, polynomialCount } from './parameters.ts';
import { type OpenInput, openSum, type PartialInput, partialDecrypt } from './partial.ts';
import { createEngines, type SealEngines } from './seal.ts';

export type PartKind = 'c0' | 'c1';

export interface Bfv {
  readonly parameters: BfvParameters;
  /** Length of a public key in bytes. */
  readonly publicKeyBytes: number;
  /**
   * Encrypts `digits`, each in [−t/2, t/2), any length up to 2^20; ⌈length/4096⌉ polynomials. The randomness is
   * SEAL's. WRONG_COMMITTEE_KEY for a malformed key, FIELD_OUT_OF_RANGE for a digit out of range.
   */
  encrypt(publicKey: Uint8Array, digits: Int32Array): { c0: Uint8Array; c1: Uint8Array };
  ciphertextBytes(digitCount: number): { c0: number; c1: number };
  /** WRONG_CIPHERTEXT_PARAMETERS unless `bytes` is a part for exactly `digitCount` digits, residues in range. */
  validatePart(bytes: Uint8Array, kind: PartKind, digitCount: number): void;
  accumulator(kind: PartKind, digitCount: number): PartAccumulator;
  /**
   * λ·share·c1 + exact flooding + zero-sum mask, coefficient form, opened coefficients only. `share` is what
   * `finalShare` of the ceremony returned. Call once per (certificate, active set) and store the result: repeating
   * it would let the flooding be averaged away.
   */
  partialDecrypt(input: PartialInput, random?: RandomSource): Uint8Array;
  /** Sum modulo t, centred. `partials`: one of every holder of one active set, any order. OPENING_FAILED otherwise. */
  open(input: OpenInput): Int32Array;
}

/** The cipher with its insides, for the ceremony and for tests. */
export class BfvCipher implements Bfv {
  readonly parameters: BfvParameters;
  readonly layouts: BfvLayouts;
  readonly engines: SealEngines;

  constructor(parameters: BfvParameters, engines: SealEngines) {
    this.parameters = parameters;
    this.layouts = createLayouts(parameters);
    this.engines = engines;
  }

  get publicKeyBytes(): number {
    return packedBytes(this.layouts.publicKey);
  }

  encrypt(publicKey: Uint8Array, digits: Int32Array): { c0: Uint8Array; c1: Uint8Array } {
    const { polyDegree: n, plainModulus: t } = this.parameters;
    const count = polynomialCount(this.parameters, digits.length);
    const key = unpack(publicKey, this.layouts.publicKey, 'WRONG_COMMITTEE_KEY', 'the committee public key');
    const polynomials: Float64Array[] = [];
    for (let at = 0; at < count; at++) {
      const polynomial = new Float64Array(n);
      for (const [i, digit] of digits.subarray(at * n, (at + 1) * n).entries()) {
        ensure(digit >= -t / 2 && digit < t / 2, 'FIELD_OUT_OF_RANGE', `digit outside [-${t / 2}, ${t / 2})`);
        polynomial[i] = digit < 0 ? digit + t : digit;
      }
      polynomials.push(polynomial);
    }
    const opened = this.layouts.opened(digits.length);
    const whole = this.layouts.whole(digits.length);
    const half = this.layouts.dataModuli.length * n;
    const c0: Uint8Array = new Uint8Array(packedBytes(opened));
    const c1: Uint8Array = new Uint8Array(packedBytes(whole));
    let c0At = 0;
    this.engines.encryptor.encrypt(key, polynomials, (residues, at) => {
      const length = opened.segments[at]!;
      const kept = residues.subarray(0, half).filter((_, i) => i % n < length);
      const packed = pack(kept, { moduli: opened.moduli, segments: [length] });
      c0.set(packed, c0At);
      c0At += packed.length;
      const second = pack(residues.subarray(half), this.layouts.dataElement);
      c1.set(second, at * second.length);
    });
    return { c0, c1 };
  }

  #layout(kind: PartKind, digitCount: number) {
    return kind === 'c0' ? this.layouts.opened(digitCount) : this.layouts.whole(digitCount);
  }

  ciphertextBytes(digitCount: number): { c0: number; c1: number } {
    return {
      c0: packedBytes(this.layouts.opened(digitCount)),
      c1: packedBytes(this.layouts.whole(digitCount)),
    };
  }

  validatePart(bytes: Uint8Array, kind: PartKind, digitCount: number): void {
    validatePacked(bytes, this.#layout(kind, digitCount), 'WRONG_CIPHERTEXT_PARAMETERS', kind);
  }

  accumulator(kind: PartKind, digitCount: number): PartAccumulator {
    return new PackedAccumulator(this.#layout(kind, digitCount), kind);
  }

  partialDecrypt(input: PartialInput, random: RandomSource = systemRandom): Uint8Array {
    return partialDecrypt(this.parameters, this.layouts, this.engines.data, input, random);
  }

  open(input: OpenInput): Int32Array {
    return openSum(this.parameters, this.layouts, input);
  }
}

let loading: Promise<BfvCipher> | undefined;
let loaded: BfvCipher | undefined;

/** Loads node-seal and builds the contexts, once per process (about 100 ms). */
export async function loadBfv(): Promise<Bfv> {
  loading ??= createEngines(bfv4096).then((engines) => new BfvCipher(bfv4096, engines));
  loaded = await loading;
  return loaded;
}

/** The cipher for synchronous code, once `loadBfv` has resolved. */
export function loadedCipher(): BfvCipher {
  ensure(loaded !== undefined, 'INTERNAL', 'await loadBfv() before using the cipher');
  return loaded;
}
