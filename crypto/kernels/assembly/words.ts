/**
 * Sums of vectors of 16- or 32-bit words modulo 2^16 or 2^32.
 *
 * AssemblyScript. Byte counts are multiples of 16. Trusts: its caller (words.ts) for pointers and counts.
 */

export function addWords16(target: usize, source: usize, bytes: u32): void {
  for (const end = target + bytes; target < end; target += 16, source += 16) {
    v128.store(target, i16x8.add(v128.load(target), v128.load(source)));
  }
}

export function subtractWords16(target: usize, source: usize, bytes: u32): void {
  for (const end = target + bytes; target < end; target += 16, source += 16) {
    v128.store(target, i16x8.sub(v128.load(target), v128.load(source)));
  }
}

export function addWords32(target: usize, source: usize, bytes: u32): void {
  for (const end = target + bytes; target < end; target += 16, source += 16) {
    v128.store(target, i32x4.add(v128.load(target), v128.load(source)));
  }
}

export function subtractWords32(target: usize, source: usize, bytes: u32): void {
  for (const end = target + bytes; target < end; target += 16, source += 16) {
    v128.store(target, i32x4.sub(v128.load(target), v128.load(source)));
  }
}
