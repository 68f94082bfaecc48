/**
 * Sums of word vectors modulo 2^16 or 2^32 in SIMD, for masks and masked bodies of the short sum `shares`.
 *
 * About six times the speed of the word loops of crypto/secagg/shares/word-sum.ts, whose result it equals. No branch
 * or address depends on a value. Bytes that were added pass through a staging area, which is overwritten by `wipe`.
 * Trusts: its caller for which vectors belong together. May be called by: crypto/secagg/shares.
 */
import { ensure } from '../error.ts';
import { Arena, compileKernels, type KernelModule } from './instance.ts';

const stagedBytes = 65_536;

/** A vector of words and its running sum; `add` and `subtract` take any byte range that starts on a word. */
export class WasmWordSum {
  readonly byteLength: number;
  readonly #arena: Arena;
  readonly #sums: number;
  readonly #staged: number;
  readonly #wordBits: 16 | 32;

  constructor(module: KernelModule, count: number, wordBits: 16 | 32) {
    this.byteLength = count * (wordBits / 8);
    this.#wordBits = wordBits;
    this.#arena = new Arena(module);
    // Chunks are padded to 16 bytes with zeros.
    this.#sums = this.#arena.allocate(this.byteLength + 16);
    this.#staged = this.#arena.allocate(stagedBytes);
  }

  add(bytes: Uint8Array, at = 0): void {
    const { addWords16, addWords32 } = this.#arena.kernels;
    this.#apply(this.#wordBits === 16 ? addWords16 : addWords32, bytes, at);
  }

  subtract(bytes: Uint8Array, at = 0): void {
    const { subtractWords16, subtractWords32 } = this.#arena.kernels;
    this.#apply(this.#wordBits === 16 ? subtractWords16 : subtractWords32, bytes, at);
  }

  /** A copy of the sum, little-endian. */
  bytes(): Uint8Array {
    return this.#arena.bytes(this.#sums, this.byteLength).slice();
  }

  /** Overwrites the sum and the staging area with zeros. */
  wipe(): void {
    this.#arena.bytes(this.#sums, this.byteLength).fill(0);
    this.#arena.bytes(this.#staged, stagedBytes).fill(0);
  }

  #apply(
    kernel: (target: number, source: number, bytes: number) => void,
    bytes: Uint8Array,
    at: number,
  ): void {
    const wordBytes = this.#wordBits / 8;
    ensure(
      Number.isSafeInteger(at) &&
        at >= 0 &&
        at % wordBytes === 0 &&
        bytes.length % wordBytes === 0 &&
        at + bytes.length <= this.byteLength,
      'VECTOR_LENGTH_MISMATCH',
      `words past the end of a sum of ${this.byteLength} bytes`,
    );
    const staged = this.#arena.bytes(this.#staged, stagedBytes);
    for (let from = 0; from < bytes.length; from += stagedBytes) {
      const part = bytes.subarray(from, from + stagedBytes);
      const padded = (part.length + 15) & ~15;
      staged.set(part);
      staged.fill(0, part.length, padded);
      kernel(this.#sums + at + from, this.#staged, padded);
    }
  }
}

/** A maker of word sums. Throws UNAVAILABLE where SIMD kernels do not run. */
export async function loadWordSums(): Promise<(count: number, wordBits: 16 | 32) => WasmWordSum> {
  const module = await compileKernels();
  return (count, wordBits) => new WasmWordSum(module, count, wordBits);
}
