/**
 * Uniform bits, and Bernoulli events of exact rational probability, in plain integer Numbers.
 *
 * For: the exact samplers and stochastic rounding of crypto/dp. Every decision compares integers below 2^53, so
 * no rounding error can bias a probability. Trusts: its RandomSource. May be called by: crypto/dp only.
 */
import type { RandomSource } from '../random.ts';

const CHUNK_BYTES_MAX = 65_536;

/** Largest denominator `bernoulli` takes. */
export const BERNOULLI_DENOMINATOR_MAX = 2 ** 45;

export class UniformBits {
  #random: RandomSource;
  readonly #words: Uint32Array;
  readonly #bytes: Uint8Array;
  #at: number;
  #spare = -1;

  /** `wordsExpected` sizes the buffer only; any number of words may be drawn. */
  constructor(random: RandomSource, wordsExpected: number) {
    const bytes = Math.min(CHUNK_BYTES_MAX, Math.max(64, Math.ceil(wordsExpected) * 4));
    this.#random = random;
    this.#words = new Uint32Array(bytes >> 2);
    this.#bytes = new Uint8Array(this.#words.buffer);
    this.#at = this.#words.length;
  }

  /** Goes on as a new one of this source would; what was drawn ahead from the other is dropped. */
  restart(random: RandomSource): void {
    this.#random = random;
    this.#at = this.#words.length;
    this.#spare = -1;
  }

  /** 32 uniform bits. */
  word(): number {
    if (this.#at === this.#words.length) {
      this.#random.fill(this.#bytes);
      this.#at = 0;
    }
    return this.#words[this.#at++]!;
  }

  /** `count` words at once, 1 to 16,384: a view that holds until the next call of any method. */
  words(count: number): Uint32Array {
    if (count <= this.#words.length - this.#at) {
      this.#at += count;
      return this.#words.subarray(this.#at - count, this.#at);
    }
    const block = count <= this.#words.length ? this.#words : new Uint32Array(count);
    this.#random.fill(block === this.#words ? this.#bytes : new Uint8Array(block.buffer));
    if (block === this.#words) this.#at = count;
    return block.subarray(0, count);
  }

  /** 16 uniform bits. */
  half(): number {
    const spare = this.#spare;
    if (spare >= 0) {
      this.#spare = -1;
      return spare;
    }
    const word = this.word();
    this.#spare = word >>> 16;
    return word & 0xffff;
  }

  /** Uniform integer in [0, bound), 1 ≤ bound ≤ 2^31, by rejection under the next power of two. */
  below(bound: number): number {
    if (bound <= 1) return 0;
    const shift = Math.clz32(bound - 1);
    if (shift >= 16) {
      const narrow = shift - 16;
      for (;;) {
        const value = this.half() >>> narrow;
        if (value < bound) return value;
      }
    }
    for (;;) {
      const value = this.word() >>> shift;
      if (value < bound) return value;
    }
  }

  /**
   * True with probability exactly a/b, for integers a ≥ 0, 1 ≤ b ≤ 2^45 (certain when a ≥ b).
   *
   * Compares a uniform real with a/b digit by digit (base 2^16, or 2^8 for b > 2^37) by long division. All products
   * stay ≤ 2^53, and ⌊x/b⌋ is exact for integers x < 2^53: a quotient that is not an integer is at least 1/b away
   * from the next one, and the rounding error x/b·2^-53 is below 1/b.
   */
  bernoulli(a: number, b: number): boolean {
    if (a >= b) return true;
    const base = b <= 2 ** 37 ? 65_536 : 256;
    for (let remainder = a; remainder > 0; ) {
      const scaled = remainder * base;
      const digit = Math.floor(scaled / b);
      const draw = base === 65_536 ? this.half() : this.half() >>> 8;
      if (draw !== digit) return draw < digit;
      remainder = scaled - digit * b;
    }
    return false;
  }

  /**
   * True with probability exactly exp(−(a1/b1)·(a2/b2)) where both factors lie in [0, 1]
   * (Canonne–Kamath–Steinke 2020, Algorithm 1; Bernoulli(xy/k) is drawn as Bernoulli(x) ∧ Bernoulli(y/k)).
   */
  bernoulliExpProduct(a1: number, b1: number, a2: number, b2: number): boolean {
    for (let k = 1; ; k++) {
      const success =
        this.bernoulli(a1, b1) &&
        (b2 <= 2 ** 32 ? this.bernoulli(a2, b2 * k) : this.bernoulli(a2, b2) && this.bernoulli(1, k));
      if (!success) return (k & 1) === 1;
    }
  }

  /** True with probability exactly exp(−a/b), 0 ≤ a ≤ b ≤ 2^32. */
  bernoulliExp(a: number, b: number): boolean {
    for (let k = 1; ; k++) if (!this.bernoulli(a, b * k)) return (k & 1) === 1;
  }
}
