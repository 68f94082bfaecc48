/**
 * What an engine of LongSum does: seal one vector, fold sealed vectors, open a folded sum.
 *
 * There are two, byte for byte alike: `typescript` (engine-typescript.ts) and `wasm-simd` (crypto/kernels). The first
 * is the oracle of the second. Packed layout (seal, add, bytes): for each prime in order the residues of the
 * coefficients 0..coefficientCount − 1, padded with zero residues to a multiple of 4, 26 bits each, little-endian bit
 * order, so that 4 residues take 13 bytes; `LongParameters.packedBytes` in all.
 * Trusts: parameters vetted by parameters.ts. May be called by: crypto/secagg, client and coordinator through index.ts.
 */
import type { LongParameters } from './parameters.ts';

export interface SealInput {
  /** 32 bytes that `a` is expanded from: `aSeedOf(configHash)`. */
  readonly aSeed: Uint8Array;
  /** polyDegree small integers: the one-time key, used for this one vector only. */
  readonly secret: Int8Array;
  /** coefficientCount small integers, fresh. */
  readonly errors: Int8Array;
  /** slotCount integers, any int32. Only their sum modulo 2^slotBits survives. */
  readonly slots: Int32Array;
}

export interface OpenInput {
  readonly aSeed: Uint8Array;
  /** `LongFolder.bytes()`. */
  readonly sums: Uint8Array;
  /** polyDegree integers: the sum of the secrets of exactly the folded uploads. */
  readonly secretSum: Int32Array;
  /** How many uploads were folded: the bound on the summed errors follows from it. */
  readonly cohort: number;
}

/** Fills `out` from 3·out.length random words and a table of three 31-bit limbs an entry: `scanTable` of sampler.ts. */
export type GaussianScan = (table: Int32Array, words: Int32Array, out: Int8Array) => void;

export interface LongEngine {
  readonly name: 'wasm-simd' | 'typescript';
  /** The inner loop of sampler.ts; the same samples from the same words, whichever engine. */
  readonly scan: GaussianScan;
  /** Packed c = a·s + 2^(p·b)·e + Σ_j x_j·2^(b·j). Throws VECTOR_LENGTH_MISMATCH. Wipes nothing of its input. */
  seal(parameters: LongParameters, input: SealInput): Uint8Array;
  folder(parameters: LongParameters): LongFolder;
  /**
   * The slotCount sums, each centred: in [−2^(b−1), 2^(b−1)). A sum beyond that costs 2^b there and 1 in the slot
   * after it. Throws OPENING_FAILED if the summed error of any coefficient exceeds `openingErrorMax`, which is how
   * a wrong `aSeed`, a missing secret or a foreign upload shows; WRONG_CIPHERTEXT_PARAMETERS for a wrong length.
   */
  open(parameters: LongParameters, input: OpenInput): Int32Array;
}

export interface LongFolder {
  /**
   * Adds an upload's packed c, or another folder's `bytes()` (merge = add). Only the length can be wrong
   * (WRONG_CIPHERTEXT_PARAMETERS): every residue of 26 bits is reduced, padding residues like all others.
   */
  add(packed: Uint8Array): void;
  /** The inverse of `add`. */
  subtract(packed: Uint8Array): void;
  /**
   * packedBytes of the folder's own memory that the next upload may be read into; then `addWindow`. Fetch it anew
   * after every other call: `add` and `subtract` may overwrite it and a growing memory may move it.
   */
  window(): Uint8Array;
  addWindow(): void;
  /** The sum, every residue below its prime, in the layout of one upload: for durability and for merging. */
  bytes(): Uint8Array;
  /** Calls of add and addWindow minus calls of subtract. */
  readonly count: number;
}
