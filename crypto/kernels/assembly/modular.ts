/**
 * Arithmetic modulo a prime p, 2^25 < p < 2^26, on four 32-bit lanes, without branches or table look-ups.
 *
 * AssemblyScript, not TypeScript. Everything here is inlined into the kernels. Values are lazily reduced: each
 * function states its ranges. Sources: Harvey, "Faster arithmetic for number-theoretic transforms" (2014) for the
 * products with a prepared factor (Shoup); Montgomery (1985) and Barrett (1986) for the other two.
 * Trusts: its callers' ranges. May be called by: crypto/kernels/assembly.
 */

/** ⌊a·b / 2^32⌋, unsigned, for each lane. */
// @ts-ignore: decorator
@inline
export function multiplyHigh(a: v128, b: v128): v128 {
  return v128.shuffle<u32>(i64x2.extmul_low_i32x4_u(a, b), i64x2.extmul_high_i32x4_u(a, b), 1, 3, 5, 7);
}

/** x·w mod p in [0, 2p), for any x < 2^32 and w < p, given quotient = ⌊w·2^32/p⌋. */
// @ts-ignore: decorator
@inline
export function multiplyPrepared(x: v128, w: v128, quotient: v128, p: v128): v128 {
  return i32x4.sub(i32x4.mul(x, w), i32x4.mul(multiplyHigh(x, quotient), p));
}

/**
 * a·b/2^32 mod p in (0, 2p), for a < 2^26 and b < 2p, given bInverse = b·p^(−1) mod 2^32.
 */
// @ts-ignore: decorator
@inline
export function multiplyMontgomery(a: v128, b: v128, bInverse: v128, p: v128): v128 {
  return i32x4.add(i32x4.sub(multiplyHigh(a, b), multiplyHigh(i32x4.mul(a, bInverse), p)), p);
}

/** x mod m in [0, m) for x < 2m ≤ 2^32. The wrapped difference is the larger one where x < m. */
// @ts-ignore: decorator
@inline
export function subtractOnce(x: v128, m: v128): v128 {
  return i32x4.min_u(x, i32x4.sub(x, m));
}

/** x mod p in [0, p) for any x < 2^32, given barrett = ⌊2^32/p⌋: the quotient is at most one too small. */
// @ts-ignore: decorator
@inline
export function reduceFully(x: v128, barrett: v128, p: v128): v128 {
  return subtractOnce(i32x4.sub(x, i32x4.mul(multiplyHigh(x, barrett), p)), p);
}

/** ⌊2^32/p⌋. */
// @ts-ignore: decorator
@inline
export function barrettOf(p: u32): u32 {
  return <u32>((<u64>1 << 32) / <u64>p);
}

/** a·b mod p; one at a time, for tables of public constants. */
// @ts-ignore: decorator
@inline
export function multiplyScalar(a: u32, b: u32, p: u32): u32 {
  return <u32>((<u64>a * <u64>b) % <u64>p);
}

/** x·w mod p for x, w < p, given quotient = ⌊w·2^32/p⌋; a division less than `multiplyScalar`. */
// @ts-ignore: decorator
@inline
export function multiplyPreparedScalar(x: u32, w: u32, quotient: u32, p: u32): u32 {
  const product = x * w - <u32>((<u64>x * <u64>quotient) >> 32) * p;
  return product >= p ? product - p : product;
}

/** base^exponent mod p, public values only. */
export function power(base: u32, exponent: u32, p: u32): u32 {
  let result: u32 = 1;
  for (let square = base; exponent > 0; exponent >>= 1) {
    if (exponent & 1) result = multiplyScalar(result, square, p);
    square = multiplyScalar(square, square, p);
  }
  return result;
}
