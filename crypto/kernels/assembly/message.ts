/**
 * Secret integers to residues: the key, and Σ_j x_j·2^(b·j) + 2^(p·b)·e for the slots and the error of a coefficient.
 *
 * The same instructions for all values. AssemblyScript. Trusts: its caller (long-wasm.ts) for pointers and counts.
 */
import { barrettOf, multiplyHigh, reduceFully } from './modular';
import { inverseModuloWord } from './transform';

/** `count` signed bytes (a multiple of 4) to residues in [0, p). */
export function signedResidues(from: usize, target: usize, count: u32, prime: u32): void {
  const p = i32x4.splat(prime);
  for (const end = from + count; from < end; from += 4, target += 16) {
    const value = i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(v128.load32_zero(from)));
    v128.store(target, i32x4.add(value, v128.and(i32x4.shr_s(value, 31), p)));
  }
}

/** `count` signed bytes (a multiple of 4) to 32-bit integers. */
export function widen(from: usize, target: usize, count: u32): void {
  for (const end = from + count; from < end; from += 4, target += 16) {
    v128.store(target, i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(v128.load32_zero(from))));
  }
}

/** planes[j][i] = slots[i·width + j] for i < count, planes `stride` bytes apart. */
export function toPlanes(slots: usize, count: u32, width: u32, planes: usize, stride: usize): void {
  for (let i: u32 = 0; i < count; i++) {
    let to = planes + (<usize>i << 2);
    for (const end = slots + (<usize>width << 2); slots < end; slots += 4, to += stride) {
      store<u32>(to, load<u32>(slots));
    }
  }
}

/**
 * target = (target + Σ_j weight_j·plane_j) mod p over `groups` of four, for target below 2p and at most 48 planes of
 * any int32. `weights`: for each plane four copies of 2^32·weight, centred modulo p. Products are below 2^56, sums of
 * 48 below 2^62; Montgomery's reduction then leaves less than 2^29.7 + p, which 16p makes positive.
 */
export function addWeighted(
  target: usize,
  planes: usize,
  stride: usize,
  count: u32,
  weights: usize,
  groups: u32,
  prime: u32,
): void {
  const p = i32x4.splat(prime);
  const p16 = i32x4.splat(16 * prime);
  const barrett = i32x4.splat(barrettOf(prime));
  const inverse = i32x4.splat(inverseModuloWord(prime));
  const weightsEnd = weights + (<usize>count << 4);
  for (const end = planes + (<usize>groups << 4); planes < end; planes += 16, target += 16) {
    let low = i64x2.splat(0);
    let high = i64x2.splat(0);
    for (let weight = weights, plane = planes; weight < weightsEnd; weight += 16, plane += stride) {
      const w = v128.load(weight);
      const x = v128.load(plane);
      low = i64x2.add(low, i64x2.extmul_low_i32x4_s(x, w));
      high = i64x2.add(high, i64x2.extmul_high_i32x4_s(x, w));
    }
    const bottom = v128.shuffle<u32>(low, high, 0, 2, 4, 6);
    const top = v128.shuffle<u32>(low, high, 1, 3, 5, 7);
    const reduced = i32x4.sub(top, multiplyHigh(i32x4.mul(bottom, inverse), p));
    const sum = i32x4.add(i32x4.add(v128.load(target), p16), reduced);
    v128.store(target, reduceFully(sum, barrett, p));
  }
}
