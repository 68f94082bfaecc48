/**
 * Sums of packed ciphertext parts: coordinator and holders fold with it.
 *
 * `add` takes a client's bytes and checks them before it changes anything; addition is associative, so accumulators
 * of shards merge. May be called by: everyone through crypto/secagg/bfv.ts.
 */
import { ensure } from '../error.ts';
import { type Modulus, reduce } from '../ring/modulus.ts';
import { addPacked, type PackedLayout, pack, residueCount, validatePacked } from '../ring/packing.ts';
import { contributionsMax } from './parameters.ts';

/** Sums of 40-bit residues stay below 2^53 for this many of them. */
const additionsPerReduction = 4096;

export interface PartAccumulator {
  /** Ciphertexts in the sum. */
  readonly count: number;
  /** Adds one part; WRONG_CIPHERTEXT_PARAMETERS, without effect, unless it has the exact form. */
  add(bytes: Uint8Array): void;
  /** Adds the sum of another accumulator of the same kind and length. */
  merge(other: PartAccumulator): void;
  /** The sum in the packed form of a part, canonical: equal sums give equal bytes. */
  bytes(): Uint8Array;
}

export class PackedAccumulator implements PartAccumulator {
  readonly #layout: PackedLayout;
  readonly #what: string;
  readonly #sums: Float64Array;
  #pending = 0;
  #count = 0;

  constructor(layout: PackedLayout, what: string) {
    this.#layout = layout;
    this.#what = what;
    this.#sums = new Float64Array(residueCount(layout));
  }

  get count(): number {
    return this.#count;
  }

  add(bytes: Uint8Array): void {
    validatePacked(bytes, this.#layout, 'WRONG_CIPHERTEXT_PARAMETERS', this.#what);
    this.#addChecked(bytes, 1);
  }

  merge(other: PartAccumulator): void {
    const bytes = other.bytes();
    validatePacked(bytes, this.#layout, 'WRONG_CIPHERTEXT_PARAMETERS', this.#what);
    this.#addChecked(bytes, other.count);
  }

  #addChecked(bytes: Uint8Array, count: number): void {
    ensure(
      this.#count + count <= contributionsMax,
      'PARAMETER_UNSAFE',
      `a sum holds at most ${contributionsMax} ciphertexts, for which the noise margins are computed`,
    );
    if (this.#pending === additionsPerReduction) this.#reduce();
    addPacked(this.#sums, bytes, this.#layout);
    this.#pending++;
    this.#count += count;
  }

  #reduce(): void {
    let at = 0;
    for (const length of this.#layout.segments) {
      for (const modulus of this.#layout.moduli) {
        this.#reduceRun(at, at + length, modulus);
        at += length;
      }
    }
    this.#pending = 1;
  }

  #reduceRun(from: number, to: number, modulus: Modulus): void {
    for (let i = from; i < to; i++) this.#sums[i] = reduce(this.#sums[i]!, modulus);
  }

  bytes(): Uint8Array {
    this.#reduce();
    return pack(this.#sums, this.#layout);
  }
}
