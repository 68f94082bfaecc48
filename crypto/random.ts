/**
 * Sources of randomness. Production code gets `systemRandom`; only simulations and tests may pass a seeded source,
 * and whatever they publish says so (`seeded === true` → "noise: seeded, not private").
 *
 * Trusts: node:crypto's CSPRNG. May be called by: everyone; `seededRandom` only by experiments/ and tests (linted).
 */
import { createCipheriv, createHash, randomFillSync } from 'node:crypto';
import { uint32, utf8 } from './bytes.ts';

export interface RandomSource {
  /** True when the output can be predicted from a seed and therefore protects nobody. */
  readonly seeded: boolean;
  /** Fills `target` with uniform bytes and returns it. */
  fill<T extends Uint8Array>(target: T): T;
}

class SystemRandom implements RandomSource {
  readonly seeded = false;
  fill<T extends Uint8Array>(target: T): T {
    for (let at = 0; at < target.length; at += 65_536)
      randomFillSync(target, at, Math.min(65_536, target.length - at));
    return target;
  }
}

/** The operating system's CSPRNG. */
export const systemRandom: RandomSource = new SystemRandom();

/** `length` fresh uniform bytes. */
export const randomBytes = (length: number, source: RandomSource = systemRandom): Uint8Array =>
  source.fill(new Uint8Array(length));

const BLOCK_BYTES = 8192;
/** Of a block that is perhaps not needed any further. */
const SHORT_BYTES = 1024;

class SeededRandom implements RandomSource {
  readonly seeded = true;
  #key: Uint8Array;
  /** The block of this number, or its beginning. */
  #block: Uint8Array = new Uint8Array(0);
  #at = BLOCK_BYTES;
  #counter = -1;
  constructor(seed: string) {
    this.#key = createHash('sha256').update('pulsefold/v1/seeded-random').update(utf8(seed)).digest();
  }
  fill<T extends Uint8Array>(target: T): T {
    for (let done = 0; done < target.length; ) {
      if (this.#at >= this.#block.length) this.#extend(target.length - done);
      const count = Math.min(target.length - done, this.#block.length - this.#at);
      target.set(this.#block.subarray(this.#at, this.#at + count), done);
      done += count;
      this.#at += count;
    }
    return target;
  }

  /** SHAKE's output is a stream: a longer one begins like a shorter one. */
  #extend(wanted: number): void {
    const isUsedUp = this.#at === BLOCK_BYTES;
    if (isUsedUp) this.#counter++;
    const isShort = isUsedUp && this.#counter === 0 && wanted <= SHORT_BYTES;
    if (isUsedUp) this.#at = 0;
    this.#block = createHash('shake256', { outputLength: isShort ? SHORT_BYTES : BLOCK_BYTES })
      .update(this.#key)
      .update(uint32(this.#counter))
      .digest();
  }
}

/** Deterministic stream from a seed: splits, initial weights, batches, and marked simulations. Never for keys. */
export const seededRandom = (seed: string): RandomSource => new SeededRandom(seed);

const AES_BLOCK = 16;
/** Bytes of a numbered stream that are made together with those of others; what it needs beyond them is made alone. */
const AHEAD_BYTES_MAX = 1024;

/**
 * Numbered streams of one seed, for simulations with many short-lived sources: stream i is the same whichever others are
 * opened with it. AES-256 in counter mode (NIST SP 800-38A §6.5) under a key from the seed, with the counter blocks
 * (index, position); beyond `bytesEach`, a `seededRandom` of its own.
 */
export class SeededStreams {
  readonly #seed: string;
  readonly #key: Uint8Array;
  readonly #blocks: number;
  #ahead: Uint8Array = new Uint8Array(0);
  #indices: ArrayLike<number> = [];

  constructor(seed: string, bytesEach: number) {
    this.#seed = seed;
    this.#key = createHash('sha256').update('pulsefold/v1/seeded-streams').update(utf8(seed)).digest();
    this.#blocks = Math.ceil(Math.min(AHEAD_BYTES_MAX, Math.max(1, bytesEach)) / AES_BLOCK);
  }

  /** Opens these streams, indices below 2^32, in place of those that were open. */
  open(indices: ArrayLike<number>): void {
    const blocks = this.#blocks;
    const counters = new Uint32Array((indices.length * blocks * AES_BLOCK) / 4);
    for (let i = 0; i < indices.length; i++)
      for (let j = 0; j < blocks; j++) {
        const at = 4 * (i * blocks + j);
        counters[at] = indices[i]!;
        counters[at + 1] = j;
      }
    const cipher = createCipheriv('aes-256-ecb', this.#key, null).setAutoPadding(false);
    this.#ahead = cipher.update(new Uint8Array(counters.buffer));
    this.#indices = indices;
  }

  /** The stream in place `slot` of those that are open, from its beginning. */
  at(slot: number): RandomSource {
    const length = this.#blocks * AES_BLOCK;
    const ahead = this.#ahead.subarray(slot * length, (slot + 1) * length);
    return new NumberedStream(ahead, `${this.#seed}/${this.#indices[slot]}`);
  }
}

class NumberedStream implements RandomSource {
  readonly seeded = true;
  readonly #ahead: Uint8Array;
  readonly #seed: string;
  #at = 0;
  #rest: RandomSource | null = null;
  constructor(ahead: Uint8Array, seed: string) {
    this.#ahead = ahead;
    this.#seed = seed;
  }
  fill<T extends Uint8Array>(target: T): T {
    const count = Math.min(target.length, this.#ahead.length - this.#at);
    for (let i = 0; i < count; i++) target[i] = this.#ahead[this.#at + i]!;
    this.#at += count;
    if (count < target.length) {
      this.#rest ??= new SeededRandom(this.#seed);
      this.#rest.fill(target.subarray(count));
    }
    return target;
  }
}

/** Uniform double in [0, 1) with 53 random bits. For splits and simulations; noise uses integer samplers. */
export function uniform(source: RandomSource): number {
  const bytes = source.fill(new Uint8Array(8));
  const view = new DataView(bytes.buffer);
  return (view.getUint32(0, true) * 2 ** 21 + (view.getUint32(4, true) >>> 11)) / 2 ** 53;
}

/** Fisher–Yates shuffle, in place. */
export function shuffle<T>(items: T[], source: RandomSource): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(uniform(source) * (i + 1));
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items;
}
