/**
 * Arithmetic modulo a prime of at most 40 bits in plain doubles.
 *
 * For: shares, masks and packed residues, where BigInt would cost 30 times as much. Every intermediate value stays
 * below 2^53, so each step is exact. Polynomial products are SEAL's work (crypto/he/seal.ts), not done here.
 * Trusts: its caller to pass residues already in [0, prime). Not constant-time (JavaScript is not); keys are
 * one-time. May be called by: crypto/ring, crypto/he, crypto/secagg.
 */
import { ensure } from '../error.ts';

/** Largest residue width the double arithmetic is exact for. */
export const modulusBitsMax = 40;

export interface Modulus {
  readonly prime: number;
  readonly inverse: number;
  /** Bytes of one residue on the wire: 5 for a 40-bit prime, 4 for a 26-bit one. */
  readonly residueBytes: number;
}

export function createModulus(prime: bigint): Modulus {
  const bits = prime.toString(2).length;
  ensure(bits >= 17 && bits <= modulusBitsMax, 'PARAMETER_UNSAFE', 'a prime must have 17 to 40 bits');
  return { prime: Number(prime), inverse: 1 / Number(prime), residueBytes: Math.ceil(bits / 8) };
}

/** `value` mod prime for an integer 0 ≤ value < 2^53. */
export function reduce(value: number, modulus: Modulus): number {
  // The estimated quotient is off by at most one either way, and quotient · prime < 2^53 is exact.
  const remainder = value - Math.floor(value * modulus.inverse) * modulus.prime;
  if (remainder < 0) return remainder + modulus.prime;
  return remainder >= modulus.prime ? remainder - modulus.prime : remainder;
}

/** a · b mod prime for residues a, b: Horner over four 10-bit limbs of b, each step below 2^51. */
export function multiply(a: number, b: number, modulus: Modulus): number {
  const high = Math.floor(b / 1_048_576);
  const low = b - high * 1_048_576;
  let result = reduce(a * (high >>> 10), modulus);
  result = reduce(result * 1024 + a * (high & 1023), modulus);
  result = reduce(result * 1024 + a * (low >>> 10), modulus);
  return reduce(result * 1024 + a * (low & 1023), modulus);
}

/** Residue of any bigint, for the few scalars that start as one. */
export function residueOf(value: bigint, modulus: Modulus): number {
  const prime = BigInt(modulus.prime);
  return Number(((value % prime) + prime) % prime);
}

/** a^(−1) mod prime by Fermat's little theorem. */
export function invert(a: number, modulus: Modulus): number {
  ensure(a !== 0, 'INTERNAL', 'zero has no inverse');
  let result = 1;
  let base = a;
  for (let exponent = BigInt(modulus.prime) - 2n; exponent > 0n; exponent >>= 1n) {
    if (exponent & 1n) result = multiply(result, base, modulus);
    base = multiply(base, base, modulus);
  }
  return result;
}

/** Residues of one polynomial, or of several, prime after prime: `blocks` of `length` values each. */
export type Residues = Float64Array;

/** target += source, entry by entry, modulo the prime of its block. Blocks follow `moduli` in turn. */
export function addInto(
  target: Residues,
  source: Residues,
  moduli: readonly Modulus[],
  blockLength: number,
): void {
  for (let start = 0, block = 0; start < target.length; start += blockLength, block++) {
    const prime = moduli[block % moduli.length]!.prime;
    const end = Math.min(start + blockLength, target.length);
    for (let i = start; i < end; i++) {
      const sum = target[i]! + source[i]!;
      target[i] = sum >= prime ? sum - prime : sum;
    }
  }
}
