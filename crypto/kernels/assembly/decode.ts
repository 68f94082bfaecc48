/**
 * Residues of summed coefficients back to slot sums: mixed radix (Garner), binary limbs, bit fields.
 *
 * Everything opened here is public. AssemblyScript. Trusts: its caller (long-wasm.ts) for pointers and counts.
 */
import { multiplyPrepared, multiplyScalar, power, subtractOnce } from './modular';

/**
 * Mixed-radix digits in place: x = v_0 + v_1·p_0 + v_2·p_0·p_1 + …, v_i below p_i, for `groups` of four coefficients.
 * residues[i] are `stride` bytes apart, each below its prime; `primes`: k words.
 */
export function mixedRadix(residues: usize, stride: usize, k: u32, groups: u32, primes: usize): void {
  for (let i: u32 = 1; i < k; i++) {
    const prime = load<u32>(primes + (<usize>i << 2));
    const p = i32x4.splat(prime);
    const p2 = i32x4.splat(2 * prime);
    const target = residues + <usize>i * stride;
    for (let j: u32 = 0; j < i; j++) {
      const factor = power(load<u32>(primes + (<usize>j << 2)) % prime, prime - 2, prime);
      const w = i32x4.splat(factor);
      const q = i32x4.splat(<u32>((<u64>factor << 32) / <u64>prime));
      const known = residues + <usize>j * stride;
      for (let at: usize = 0, end = <usize>groups << 4; at < end; at += 16) {
        // A digit of p_j is below 2^26 < 2·p_i, so the difference stays positive.
        const difference = i32x4.sub(i32x4.add(v128.load(target + at), p2), v128.load(known + at));
        v128.store(target + at, subtractOnce(multiplyPrepared(difference, w, q, p), p));
      }
    }
  }
}

/**
 * Slot sums of `count` coefficients from mixed-radix digits.
 *
 * Adds `offset` (`limbs` 32-bit words, two's complement) to each number, then reads `width` fields of `bits` bits,
 * minus 2^(bits − 1), and above them the error field, which must not exceed `errorRange`; returns how many do.
 * `number`: limbs + 3 words of scratch. limbs ≥ ⌈26·k/32⌉ + 1.
 */
export function decodeSlots(
  digits: usize,
  stride: usize,
  k: u32,
  count: u32,
  primes: usize,
  offset: usize,
  limbs: u32,
  number: usize,
  bits: u32,
  width: u32,
  errorRange: u32,
  slots: usize,
): u32 {
  const bytes = <usize>limbs << 2;
  let bad: u32 = 0;
  memory.fill(number, 0, bytes + 12);
  for (let i: u32 = 0; i < count; i++, digits += 4) {
    horner(digits, stride, k, primes, number, bytes);
    addOffset(number, offset, bytes);
    slots = readFields(number, bits, width, slots);
    bad += <u32>(errorField(number, bytes, bits * width) > <u64>errorRange);
  }
  return bad;
}

/** number = Σ_i digit_i·Π_{j<i} p_j. */
// @ts-ignore: decorator
@inline
function horner(digits: usize, stride: usize, k: u32, primes: usize, number: usize, bytes: usize): void {
  memory.fill(number, 0, bytes);
  store<u32>(number, load<u32>(digits + <usize>(k - 1) * stride));
  let used: usize = 4;
  for (let i = <i32>k - 2; i >= 0; i--) {
    const prime = <u64>load<u32>(primes + (<usize>i << 2));
    let carry = <u64>load<u32>(digits + <usize>i * stride);
    for (let at: usize = 0; at < used; at += 4) {
      carry += <u64>load<u32>(number + at) * prime;
      store<u32>(number + at, <u32>carry);
      carry >>= 32;
    }
    store<u32>(number + used, <u32>carry);
    used += <usize>(carry != 0) << 2;
  }
}

// @ts-ignore: decorator
@inline
function addOffset(number: usize, offset: usize, bytes: usize): void {
  let carry: u64 = 0;
  for (let at: usize = 0; at < bytes; at += 4) {
    carry += <u64>load<u32>(number + at) + <u64>load<u32>(offset + at);
    store<u32>(number + at, <u32>carry);
    carry >>= 32;
  }
}

// @ts-ignore: decorator
@inline
function readFields(number: usize, bits: u32, width: u32, slots: usize): usize {
  const mask: u64 = (<u64>1 << bits) - 1;
  const half = <u32>1 << (bits - 1);
  let position: u32 = 0;
  for (let j: u32 = 0; j < width; j++, position += bits, slots += 4) {
    const field = (load<u64>(number + (position >> 3)) >> (position & 7)) & mask;
    store<u32>(slots, <u32>field - half);
  }
  return slots;
}

/** The bits from `position` on as an unsigned number; anything that takes more than 32 of them becomes huge. */
// @ts-ignore: decorator
@inline
function errorField(number: usize, bytes: usize, position: u32): u64 {
  const field = (load<u64>(number + (position >> 3)) >> (position & 7)) & 0xffffffff;
  let beyond: u32 = 0;
  const next = position + 32;
  const first = <usize>(next >> 5) << 2;
  if (first < bytes) {
    beyond = load<u32>(number + first) >> (next & 31);
    for (let at = first + 4; at < bytes; at += 4) beyond |= load<u32>(number + at);
  }
  return beyond != 0 ? u64.MAX_VALUE : field;
}

/** 2^exponent·2^32 mod p, for the weights of message.ts. */
export function weight(exponent: u32, prime: u32): u32 {
  return power(2, exponent + 32, prime);
}

/** value·2^32/n mod p: the scale of `prepareFactor`. */
export function inverseScale(n: u32, prime: u32): u32 {
  return multiplyScalar(power(2, 32, prime), power(n, prime - 2, prime), prime);
}
