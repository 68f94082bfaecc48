/**
 * Division of residues modulo q·p by p, rounded: how a ciphertext leaves the ring of the public key.
 *
 * For: the ceremony's test ciphertext, which must go through what SEAL's encryption does (SEAL 4.1,
 * RNSTool::divide_and_round_q_last_inplace). Exact. May be called by: crypto/secagg.
 */
import { invert, type Modulus, multiply, type Residues, reduce } from './modulus.ts';

/**
 * ⌊x/p⌉ modulo the other primes, p the last and smallest of `moduli`: (x + h − [x + h]_p)/p with h = (p − 1)/2.
 * `residues`: `length` of each modulus in turn; the result has one run less.
 */
export function divideByLast(residues: Residues, moduli: readonly Modulus[], length: number): Residues {
  const last = moduli.at(-1)!;
  const kept = moduli.slice(0, -1);
  const half = (last.prime - 1) / 2;
  const tail = residues.subarray(kept.length * length);
  const out = new Float64Array(kept.length * length);
  for (const [block, modulus] of kept.entries()) {
    const inverse = invert(reduce(last.prime, modulus), modulus);
    for (let i = 0; i < length; i++) {
      // What is taken off lies in −h … h, so modulo p it is the centred x.
      const centred = reduce(tail[i]! + half, last) - half;
      const difference = reduce(residues[block * length + i]! - centred + modulus.prime, modulus);
      out[block * length + i] = multiply(difference, inverse, modulus);
    }
  }
  return out;
}
