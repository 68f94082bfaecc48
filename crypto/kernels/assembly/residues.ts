/**
 * Residues on the wire and their sums: four residues of 26 bits take 13 bytes.
 *
 * Folding adds 26-bit fields to 32-bit sums as they are, without a comparison: the caller counts and reduces before
 * 64 of them could overflow. Nothing here reads or writes past `13·groups` or `16·groups` bytes: the last group of
 * every run is handled on its own. AssemblyScript. Trusts: its caller (long-wasm.ts) for pointers and counts.
 *
 * Byte orders and factors are loaded from memory before each loop: as constants the optimiser would move them into
 * the loop, where V8 builds each anew from two 64-bit immediates, every time.
 */
import { barrettOf, reduceFully } from './modular';

/** Bytes 3i to 3i + 3 go to lane i, in which field i then begins at bit 2i. */
// @ts-ignore: decorator
@lazy
const spread = memory.data<u8>([0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9, 9, 10, 11, 12], 16);
/** No engine shifts lanes by different amounts in one step, but products do. */
// @ts-ignore: decorator
@lazy
const leftShifts = memory.data<u32>([64, 16, 4, 1], 16);
// @ts-ignore: decorator
@lazy
const fieldShifts = memory.data<u32>([1, 4, 16, 64], 16);
/** The way back: what begins in a lane's own bytes, and what is or-ed to it from the next lane. 128: none. */
// @ts-ignore: decorator
@lazy
const gatherHigh = memory.data<u8>([0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15, 128, 128, 128], 16);
// @ts-ignore: decorator
@lazy
const gatherLow = memory.data<u8>(
  [128, 128, 128, 4, 128, 128, 8, 128, 128, 12, 128, 128, 128, 128, 128, 128],
  16,
);

// @ts-ignore: decorator
@inline
function fields(bytes: v128, order: v128, shifts: v128): v128 {
  return i32x4.shr_u(i32x4.mul(i8x16.swizzle(bytes, order), shifts), 6);
}

/** The 13 bytes at `from` and three zeros. */
// @ts-ignore: decorator
@inline
function loadGroup(from: usize): v128 {
  const high = <u64>load<u32>(from, 8) | (<u64>load<u8>(from, 12) << 32);
  return i64x2.replace_lane(i64x2.splat(load<u64>(from)), 1, high);
}

/** sums += fields, lane by lane. */
export function addPacked(from: usize, sums: usize, groups: u32): void {
  const order = v128.load(spread);
  const shifts = v128.load(leftShifts);
  let at = sums;
  const whole = groups - 1;
  const end = sums + (<usize>(whole & ~3) << 4);
  for (; at < end; at += 64, from += 52) {
    v128.store(at, i32x4.add(v128.load(at), fields(v128.load(from), order, shifts)));
    v128.store(at, i32x4.add(v128.load(at, 16), fields(v128.load(from, 13), order, shifts)), 16);
    v128.store(at, i32x4.add(v128.load(at, 32), fields(v128.load(from, 26), order, shifts)), 32);
    v128.store(at, i32x4.add(v128.load(at, 48), fields(v128.load(from, 39), order, shifts)), 48);
  }
  for (const last = sums + (<usize>whole << 4); at < last; at += 16, from += 13) {
    v128.store(at, i32x4.add(v128.load(at), fields(v128.load(from), order, shifts)));
  }
  v128.store(at, i32x4.add(v128.load(at), fields(loadGroup(from), order, shifts)));
}

/** sums += 2p − fields, lane by lane; 2p is more than any field. */
export function subtractPacked(from: usize, sums: usize, groups: u32, prime: u32): void {
  const order = v128.load(spread);
  const shifts = v128.load(leftShifts);
  const p2 = i32x4.splat(2 * prime);
  let at = sums;
  for (const last = sums + (<usize>(groups - 1) << 4); at < last; at += 16, from += 13) {
    v128.store(at, i32x4.add(v128.load(at), i32x4.sub(p2, fields(v128.load(from), order, shifts))));
  }
  v128.store(at, i32x4.add(v128.load(at), i32x4.sub(p2, fields(loadGroup(from), order, shifts))));
}

/** sums = sums mod p. */
export function reduceSums(sums: usize, groups: u32, prime: u32): void {
  const p = i32x4.splat(prime);
  const barrett = i32x4.splat(barrettOf(prime));
  for (let at = sums, end = sums + (<usize>groups << 4); at < end; at += 16) {
    v128.store(at, reduceFully(v128.load(at), barrett, p));
  }
}

/** target = (target + offset + fields) mod p, for sums below 2^32. */
export function addPackedReduced(from: usize, target: usize, groups: u32, offset: u32, prime: u32): void {
  addPacked(from, target, groups);
  const p = i32x4.splat(prime);
  const add = i32x4.splat(offset);
  const barrett = i32x4.splat(barrettOf(prime));
  for (let at = target, end = target + (<usize>groups << 4); at < end; at += 16) {
    v128.store(at, reduceFully(i32x4.add(v128.load(at), add), barrett, p));
  }
}

/** Writes 4·groups residues below 2^26 as 13·groups bytes. */
export function pack(residues: usize, to: usize, groups: u32): void {
  const shifts = v128.load(fieldShifts);
  const high = v128.load(gatherHigh);
  const low = v128.load(gatherLow);
  for (let i: u32 = 0; i < groups; i++) {
    const lanes = i32x4.mul(v128.load(residues), shifts);
    const bytes = v128.or(i8x16.swizzle(lanes, high), i8x16.swizzle(lanes, low));
    if (i + 1 < groups) {
      v128.store(to, bytes);
    } else {
      store<u64>(to, i64x2.extract_lane(bytes, 0));
      store<u32>(to, i32x4.extract_lane(bytes, 2), 8);
      store<u8>(to, i32x4.extract_lane(bytes, 3), 12);
    }
    residues += 16;
    to += 13;
  }
}

/**
 * Appends to the `filled` residues at `target` those of `words` keystream words whose low 26 bits are below p, until
 * there are `wanted`; returns how many there are. Writes up to 16 bytes past them. The stream is public.
 */
export function sampleUniform(
  from: usize,
  words: u32,
  target: usize,
  filled: u32,
  wanted: u32,
  prime: u32,
): u32 {
  const p = i32x4.splat(prime);
  const mask = i32x4.splat(0x3ffffff);
  let at = target + (<usize>filled << 2);
  const last = target + (<usize>wanted << 2);
  for (const end = from + (<usize>words << 2); from < end && at < last; from += 16) {
    const candidates = v128.and(v128.load(from), mask);
    if (i32x4.all_true(i32x4.lt_s(candidates, p))) {
      v128.store(at, candidates);
      at += 16;
      continue;
    }
    for (let i: usize = 0; i < 16; i += 4) {
      const candidate = load<u32>(from + i) & 0x3ffffff;
      store<u32>(at, candidate);
      at += <usize>(candidate < prime) << 2;
    }
  }
  return min(<u32>((at - target) >> 2), wanted);
}
