/**
 * Sums of bodies: the long and the short half of an upload, folded side by side.
 *
 * Trusts: sizes of a scheme; bodies are hostile. May be called by: scheme.ts, which re-exports `BodyFolder`.
 */
import { concat } from '../bytes.ts';
import { PulsefoldError } from '../error.ts';
import type { Bfv } from './bfv.ts';
import type { LongFolder } from './long/engine.ts';

/** Sums of bodies. Addition is associative: sums of shards merge. */
export interface BodyFolder {
  /** Uploads in the sum. */
  readonly count: number;
  /** Adds one body; a coded error, without effect, unless it has the exact form. */
  add(body: Uint8Array): void;
  /**
   * Adds a body that is read as it is needed: `read` fills `target` with the body's bytes from `at` on. The long half
   * lands in the kernel's own memory, so a body in a file is never copied. An error of `read` has no effect.
   */
  addRead(read: (target: Uint8Array, at: number) => void): void;
  /** Adds `bytes()` of another folder of the same scheme, of `count` uploads. */
  addSum(sum: Uint8Array, count: number): void;
  /** The sum in the form of a body, canonical: equal sums give equal bytes. */
  bytes(): Uint8Array;
}

/** Throws WRONG_CIPHERTEXT_PARAMETERS. */
export function requireLength(what: string, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length)
    throw new PulsefoldError(
      'WRONG_CIPHERTEXT_PARAMETERS',
      `${what} has ${bytes.length} bytes, and this round's has ${length}`,
    );
}

/** The short half of a folder. */
export interface ShortFolder {
  add(body: Uint8Array, count?: number): void;
  bytes(): Uint8Array;
}

export function bfvFolder(bfv: Bfv, digitCount: number): ShortFolder {
  const sum = bfv.accumulator('c0', digitCount);
  return {
    add(body, count = 1) {
      if (count === 1) sum.add(body);
      else sum.merge({ count, add: () => {}, merge: () => {}, bytes: () => body });
    },
    bytes: () => sum.bytes(),
  };
}

export class SchemeFolder implements BodyFolder {
  readonly #bodyBytes: number;
  readonly #long: LongFolder | null;
  readonly #split: number;
  readonly #short: ShortFolder;
  #shortBytes: Uint8Array | null = null;
  #count = 0;

  constructor(bodyBytes: number, long: LongFolder | null, split: number, short: ShortFolder) {
    this.#bodyBytes = bodyBytes;
    this.#long = long;
    this.#split = split;
    this.#short = short;
  }

  get count(): number {
    return this.#count;
  }

  add(body: Uint8Array): void {
    this.addSum(body, 1);
  }

  addSum(sum: Uint8Array, count: number): void {
    requireLength('the body', sum, this.#bodyBytes);
    // The short half first: it is the one that may refuse.
    this.#short.add(sum.subarray(this.#split), count);
    this.#long?.add(sum.subarray(0, this.#split));
    this.#count += count;
  }

  addRead(read: (target: Uint8Array, at: number) => void): void {
    this.#shortBytes ??= new Uint8Array(this.#bodyBytes - this.#split);
    if (this.#long) read(this.#long.window(), 0);
    read(this.#shortBytes, this.#split);
    this.#short.add(this.#shortBytes);
    this.#long?.addWindow();
    this.#count++;
  }

  bytes(): Uint8Array {
    const short = this.#short.bytes();
    return this.#long ? concat(this.#long.bytes(), short) : short;
  }
}
