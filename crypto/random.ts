/**
 * Sources of randomness. Production code gets `systemRandom`; only simulations and tests may pass a seeded source,
 * and whatever they publish says so (`seeded === true` → "noise: seeded, not private").
 *
 * Trusts: node:crypto's CSPRNG. May be called by: everyone; `seededRandom` only by experiments/ and tests (linted).
 */
import { createHash, randomFillSync } from 'node:crypto';
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

class SeededRandom implements RandomSource {
  readonly seeded = true;
  #key: Uint8Array;
  #block: Uint8Array = new Uint8Array(0);
  #at = 0;
  #counter = 0;
  constructor(seed: string) {
    this.#key = createHash('sha256').update('pulsefold/v1/seeded-random').update(utf8(seed)).digest();
  }
  fill<T extends Uint8Array>(target: T): T {
    for (let done = 0; done < target.length; ) {
      if (this.#at === this.#block.length) {
        this.#block = createHash('shake256', { outputLength: 8192 })
          .update(this.#key)
          .update(uint32(this.#counter++))
          .digest();
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

/** Deterministic stream from a seed: splits, initial weights, batches, and marked simulations. Never for keys. */
export const seededRandom = (seed: string): RandomSource => new SeededRandom(seed);

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
