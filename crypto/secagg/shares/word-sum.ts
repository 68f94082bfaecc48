/**
 * Vectors of 16- or 32-bit words that are added modulo 2^16 or 2^32, and the keystream that masks them.
 *
 * For: the other files of this directory. Words are little-endian on the wire and in memory. 16-bit words are
 * added two at a time inside 32-bit lanes with the carry between them cut (Lamport, CACM 18(8), 1975), which
 * is twice as fast as one at a time and needs one code path for both widths. No branch and no index depends
 * on a value. Trusts: node:crypto. May be called by: this directory.
 */
import { createCipheriv, createSecretKey } from 'node:crypto';
import { transcript } from '../../bytes.ts';
import { ensure } from '../../error.ts';
import type { Suite } from '../../identity/suite.ts';
import { checkShape, seedBytes, type WordBits } from './layout.ts';

const HIGH = 0x80008000 | 0;
const LOW = 0x7fff7fff;
const STREAM_LABEL = 'share-stream';
// Behind the framed label and the length of the seed.
const SEED_AT = transcript(STREAM_LABEL).length + 4;
const CHUNK_BYTES = 65_536;
const zeros = new Uint8Array(CHUNK_BYTES);
const zeroIv = new Uint8Array(16);
const littleEndian = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/** A vector of words and its running sum. */
export class WordSum {
  readonly count: number;
  readonly wordBits: WordBits;
  readonly byteLength: number;
  readonly #lanes: Int32Array;
  #scratch: Int32Array | null = null;

  /** Throws FIELD_OUT_OF_RANGE for a count or width that no plan has. */
  constructor(count: number, wordBits: WordBits) {
    checkShape(count, wordBits);
    ensure(littleEndian, 'UNAVAILABLE', 'short sums need a little-endian machine');
    this.count = count;
    this.wordBits = wordBits;
    this.byteLength = count * (wordBits / 8);
    this.#lanes = new Int32Array(Math.ceil(this.byteLength / 4));
  }

  /** Adds `bytes` to the words from byte offset `at` on, which divides by 4. */
  add(bytes: Uint8Array, at = 0): void {
    const source = this.#lanesOf(bytes, at);
    const sums = this.#lanes.subarray(at / 4, at / 4 + source.length);
    if (this.wordBits === 32) {
      for (let i = 0; i < source.length; i++) sums[i] = (sums[i]! + source[i]!) | 0;
      return;
    }
    for (let i = 0; i < source.length; i++) {
      const a = sums[i]! | 0;
      const b = source[i]! | 0;
      sums[i] = ((a & LOW) + (b & LOW)) ^ ((a ^ b) & HIGH);
    }
  }

  subtract(bytes: Uint8Array, at = 0): void {
    const source = this.#lanesOf(bytes, at);
    const sums = this.#lanes.subarray(at / 4, at / 4 + source.length);
    if (this.wordBits === 32) {
      for (let i = 0; i < source.length; i++) sums[i] = (sums[i]! - source[i]!) | 0;
      return;
    }
    for (let i = 0; i < source.length; i++) {
      const a = sums[i]! | 0;
      const b = source[i]! | 0;
      sums[i] = ((a | HIGH) - (b & LOW)) ^ ((a ^ ~b) & HIGH);
    }
  }

  /** Adds the keystream of a key; see `streamKeys`. */
  addStream(key: Uint8Array): void {
    // As a key object: for raw bytes node:crypto takes five times as long to make a cipher (Node 24.21).
    const cipher = createCipheriv('aes-256-ctr', createSecretKey(key), zeroIv);
    for (let at = 0; at < this.byteLength; at += CHUNK_BYTES) {
      this.add(cipher.update(zeros.subarray(0, Math.min(CHUNK_BYTES, this.byteLength - at))), at);
    }
  }

  /** A copy, little-endian, of exactly `byteLength` bytes. */
  bytes(): Uint8Array {
    return new Uint8Array(this.#lanes.buffer, 0, this.byteLength).slice();
  }

  /** Words as signed integers in [−2^(w−1), 2^(w−1)). */
  centred(): Int32Array {
    const buffer = this.#lanes.buffer;
    return this.wordBits === 32
      ? new Int32Array(buffer, 0, this.count).slice()
      : Int32Array.from(new Int16Array(buffer, 0, this.count));
  }

  /**
   * `bytes` as lanes: in place where they are aligned and whole, else through a scratch buffer padded with
   * zeros.
   */
  #lanesOf(bytes: Uint8Array, at: number): Int32Array {
    ensure(at + bytes.length <= this.byteLength, 'INTERNAL', 'words past the end of a short sum');
    if (bytes.byteOffset % 4 === 0 && bytes.length % 4 === 0) {
      return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    }
    this.#scratch ??= new Int32Array(this.#lanes.length);
    const lanes = this.#scratch.subarray(0, Math.ceil(bytes.length / 4));
    lanes[lanes.length - 1] = 0;
    new Uint8Array(lanes.buffer, 0, bytes.length).set(bytes);
    return lanes;
  }
}

/** Integers reduced modulo 2^w; a sum that stays within [−2^(w−1), 2^(w−1)) is therefore exact. */
export function wordsOf(values: Int32Array, wordBits: WordBits): Uint8Array {
  const words = wordBits === 32 ? values : Uint16Array.from(values);
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

/**
 * AES-256 keys of the expansions of one device's seeds: H(T('share-stream', seed, configHash, deviceId, w)). The
 * same seed in another round, of another device or for words of another width gives an unrelated stream, so reusing
 * seeds gains nothing, nor does a coordinator that names a wrong width. A round that opens in `groups` > 1 groups has
 * their number as one more field: a holder cannot be made to open an ungrouped round, whose noise is enough for the
 * whole cohort only, group by group.
 * The stream itself is AES-256-CTR from a zero counter in both suites: SM4 has no hardware support where this
 * runs.
 */
export function streamKeys(
  suite: Suite,
  configHash: Uint8Array,
  deviceId: string,
  wordBits: WordBits,
  groups = 1,
): (seed: Uint8Array) => Uint8Array {
  const blank = new Uint8Array(seedBytes);
  // Framed once and filled in: three of these per device are what a holder does all day.
  const framed =
    groups === 1
      ? transcript(STREAM_LABEL, blank, configHash, deviceId, wordBits)
      : transcript(STREAM_LABEL, blank, configHash, deviceId, wordBits, groups);
  return (seed) => {
    ensure(seed.length === seedBytes, 'FIELD_OUT_OF_RANGE', 'a seed has 32 bytes');
    framed.set(seed, SEED_AT);
    const key = suite.digest(framed);
    framed.set(blank, SEED_AT);
    return key;
  };
}
