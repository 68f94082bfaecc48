/**
 * Constants of the transforms: the smallest primitive 2n-th root of unity and its powers. All public.
 *
 * A table of a prime takes 16·n bytes: powers of ψ in bit-reversed order (as SEAL has them), their prepared quotients
 * ⌊w·2^32/p⌋, and the same for the inverses. AssemblyScript. Trusts: its caller (long-wasm.ts) for n, p and memory.
 */
import { multiplyPreparedScalar, multiplyScalar, power } from './modular';

/** Smallest ψ with ψ^n = −1 mod p; 0 where p is not 1 modulo 2n. */
export function smallestRoot(n: u32, p: u32): u32 {
  if ((p - 1) % (2 * n) != 0) return 0;
  let root: u32 = 0;
  for (let base: u32 = 2; ; base++) {
    root = power(base, (p - 1) / (2 * n), p);
    if (power(root, n, p) == p - 1) break;
  }
  // The primitive roots are the odd powers of any one of them.
  const square = multiplyScalar(root, root, p);
  const quotient = <u32>((<u64>square << 32) / <u64>p);
  let smallest = root;
  for (let i: u32 = 1; i < n; i++) {
    root = multiplyPreparedScalar(root, square, quotient, p);
    smallest = min(smallest, root);
  }
  return smallest;
}

function fillPowers(table: usize, n: u32, root: u32, p: u32): void {
  const shift = clz(n) + 1;
  const quotient = <u32>((<u64>root << 32) / <u64>p);
  let value: u32 = 1;
  for (let i: u32 = 0; i < n; i++) {
    const at = table + (<usize>reverseBits(i, shift) << 2);
    store<u32>(at, value);
    store<u32>(at + (<usize>n << 2), <u32>((<u64>value << 32) / <u64>p));
    value = multiplyPreparedScalar(value, root, quotient, p);
  }
}

/** The low 32 − shift bits of i, reversed. */
function reverseBits(i: u32, shift: u32): u32 {
  let reversed = bswap(i);
  reversed = ((reversed >> 4) & 0x0f0f0f0f) | ((reversed & 0x0f0f0f0f) << 4);
  reversed = ((reversed >> 2) & 0x33333333) | ((reversed & 0x33333333) << 2);
  reversed = ((reversed >> 1) & 0x55555555) | ((reversed & 0x55555555) << 1);
  return reversed >> shift;
}

/** Fills `table` (16·n bytes) for ψ = `root`. */
export function buildTable(table: usize, n: u32, root: u32, p: u32): void {
  fillPowers(table, n, root, p);
  fillPowers(table + (<usize>n << 3), n, power(root, p - 2, p), p);
}
