/**
 * Uniform and ternary ring elements, and the deterministic stream (SHAKE-256) that public ones are expanded from.
 *
 * For: key generation, secret sharing, zero-sum masks. Trusts: the RandomSource it is given. Rejection sampling
 * everywhere: no value is favoured. May be called by: crypto/ring, crypto/he, crypto/secagg.
 */
import { createHash } from 'node:crypto';
import { concat, uint32 } from '../bytes.ts';
import type { RandomSource } from '../random.ts';
import { type Modulus, reduce } from './modulus.ts';

const blockBytes = 16_384;

/**
 * The stream SHAKE-256(seed ‖ u32le(0)) ‖ SHAKE-256(seed ‖ u32le(1)) ‖ …, 16 KiB each, as a source of randomness.
 * `seed` is a transcript or a key; the stream is public exactly when the seed is, hence `seeded`.
 */
export class XofStream implements RandomSource {
  readonly seeded = true;
  readonly #seed: Uint8Array;
  #block: Uint8Array = new Uint8Array(0);
  #at = 0;
  #counter = 0;

  constructor(seed: Uint8Array) {
    this.#seed = seed;
  }

  fill<T extends Uint8Array>(target: T): T {
    for (let done = 0; done < target.length; ) {
      if (this.#at === this.#block.length) {
        const input = concat(this.#seed, uint32(this.#counter++));
        this.#block = createHash('shake256', { outputLength: blockBytes }).update(input).digest();
        this.#at = 0;
      }
      const count = Math.min(target.length - done, this.#block.length - this.#at);
      target.set(this.#block.subarray(this.#at, this.#at + count), done);
      done += count;
      this.#at += count;
    }
    return target;
  }
}

/** Hands out small uniform integers from a RandomSource, a few kilobytes at a time. */
export class BitReader {
  readonly #source: RandomSource;
  readonly #buffer: Uint8Array;
  readonly #words: Uint32Array;
  #at: number;
  #pool = 0;
  #poolBits = 0;

  constructor(source: RandomSource, bufferBytes = 4096) {
    this.#source = source;
    this.#buffer = new Uint8Array(bufferBytes);
    this.#words = new Uint32Array(this.#buffer.buffer);
    this.#at = this.#words.length;
  }

  /** A uniform integer of `count` ≤ 32 bits. */
  bits(count: number): number {
    return count === 0 ? 0 : this.word() >>> (32 - count);
  }

  word(): number {
    if (this.#at === this.#words.length) {
      this.#source.fill(this.#buffer);
      this.#at = 0;
    }
    return this.#words[this.#at++]!;
  }

  /** One fair bit; 32 of them per word drawn. */
  bit(): number {
    if (this.#poolBits === 0) {
      this.#pool = this.word();
      this.#poolBits = 32;
    }
    const bit = this.#pool & 1;
    this.#pool >>>= 1;
    this.#poolBits--;
    return bit;
  }

  /** A uniform integer in [0, limit), 1 ≤ limit ≤ 2^31. */
  below(limit: number): number {
    if (limit === 1) return 0;
    const width = 32 - Math.clz32(limit - 1);
    if (width === 1) return this.bit();
    for (;;) {
      const value = this.bits(width);
      if (value < limit) return value;
    }
  }

  /** Forgets the bytes it still holds. */
  wipe(): void {
    this.#buffer.fill(0);
    this.#at = this.#words.length;
    this.#poolBits = 0;
  }
}

/** `length` uniform residues of each modulus in turn. */
export function uniformResidues(
  moduli: readonly Modulus[],
  length: number,
  source: RandomSource,
): Float64Array {
  const out = new Float64Array(moduli.length * length);
  let at = 0;
  for (const { prime, residueBytes } of moduli) {
    const topBits = prime.toString(2).length - 8 * (residueBytes - 1);
    const topMask = 2 ** topBits - 1;
    const buffer = new Uint8Array(residueBytes * 1024);
    let next = buffer.length;
    for (let i = 0; i < length; ) {
      if (next === buffer.length) {
        source.fill(buffer);
        next = 0;
      }
      let value = 0;
      for (let byte = residueBytes - 1; byte >= 0; byte--) {
        value =
          value * 256 + (byte === residueBytes - 1 ? buffer[next + byte]! & topMask : buffer[next + byte]!);
      }
      next += residueBytes;
      if (value < prime) {
        out[at++] = value;
        i++;
      }
    }
  }
  return out;
}

/** `length` uniform digits of {−1, 0, 1}. */
export function ternary(length: number, source: RandomSource): Int32Array {
  const reader = new BitReader(source);
  const out = new Int32Array(length);
  for (let i = 0; i < length; i++) out[i] = reader.below(3) - 1;
  reader.wipe();
  return out;
}

/** Residues of small signed integers, for each modulus in turn. */
export function signedResidues(values: Int32Array, moduli: readonly Modulus[]): Float64Array {
  const out = new Float64Array(moduli.length * values.length);
  let at = 0;
  for (const modulus of moduli) {
    for (const value of values) out[at++] = value < 0 ? modulus.prime - reduce(-value, modulus) : value;
  }
  return out;
}
