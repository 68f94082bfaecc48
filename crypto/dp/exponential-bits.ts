/**
 * Bernoulli(exp(−1)), and Bernoulli(exp(−a/b)) for integers of any size (Canonne, Kamath, Steinke 2020, arXiv
 * 2004.00010, Algorithm 1), where the Numbers of crypto/dp/uniform-bits.ts do not suffice.
 *
 * For: the exact samplers. Trusts: its bits. May be called by: crypto/dp only.
 */
import type { UniformBits } from './uniform-bits.ts';

/** Bernoulli(exp(−1)). */
export const bernoulliExpOne = (bits: UniformBits): boolean => {
  for (let k = 1; ; k++) if (!bits.bernoulli(1, k)) return (k & 1) === 1;
};

/** Uniform bigint in [0, bound). */
export function bigBelow(bits: UniformBits, bound: bigint): bigint {
  const length = (bound - 1n).toString(2).length;
  for (;;) {
    let value = 0n;
    for (let have = 0; have < length; have += 32) value = (value << 32n) | BigInt(bits.word());
    value &= (1n << BigInt(length)) - 1n;
    if (value < bound) return value;
  }
}

/** Bernoulli(exp(−a/b)) for any a ≥ 0. */
export function bigBernoulliExp(bits: UniformBits, a: bigint, b: bigint): boolean {
  let rest = a;
  for (; rest > b; rest -= b) if (!bigBernoulliExp(bits, 1n, 1n)) return false;
  for (let k = 1n; ; k++) if (bigBelow(bits, b * k) >= rest) return (k & 1n) === 1n;
}
