/**
 * Forward and inverse negacyclic transforms of n = 2^12 to 2^14 residues, in place, and products in between.
 *
 * Forward: Cooley–Tukey, coefficients in order to values in bit-reversed order, as SEAL's. Two layers at a time, so
 * that every value is loaded and stored half as often. A layer lets values grow by 2p; after 14 layers they are below
 * 30p < 2^31, so nothing is reduced on the way. Inverse: Gentleman–Sande, kept below 2p. The same instructions for all
 * data: constant-time as far as the engine compiles these operations to such instructions (see long-wasm.ts).
 * AssemblyScript. Trusts: its caller (long-wasm.ts) for pointers, sizes and tables.
 */
import { multiplyMontgomery, multiplyPrepared, subtractOnce } from './modular';

// @ts-ignore: decorator
@inline
function lowPairs(a: v128, b: v128): v128 {
  return v128.shuffle<u32>(a, b, 0, 4, 1, 5);
}

// @ts-ignore: decorator
@inline
function highPairs(a: v128, b: v128): v128 {
  return v128.shuffle<u32>(a, b, 2, 6, 3, 7);
}

// @ts-ignore: decorator
@inline
function lowHalves(a: v128, b: v128): v128 {
  return v128.shuffle<u64>(a, b, 0, 2);
}

// @ts-ignore: decorator
@inline
function highHalves(a: v128, b: v128): v128 {
  return v128.shuffle<u64>(a, b, 1, 3);
}

/** Layer of distance n/2 alone, where the number of layers is odd. */
function forwardFirst(x: usize, n: u32, table: usize, prime: u32): void {
  const p = i32x4.splat(prime);
  const p2 = i32x4.splat(2 * prime);
  const w = v128.load32_splat(table + 4);
  const q = v128.load32_splat(table + (<usize>n << 2) + 4);
  const half = <usize>n << 1;
  for (let at = x, end = x + half; at < end; at += 16) {
    const u = v128.load(at);
    const v = multiplyPrepared(v128.load(at + half), w, q, p);
    v128.store(at, i32x4.add(u, v));
    v128.store(at + half, i32x4.add(i32x4.sub(u, v), p2));
  }
}

/** Layers of distance 2h and h (in values), h ≥ 4, over `blocks` blocks. */
function forwardTwo(x: usize, n: u32, blocks: u32, h: usize, table: usize, prime: u32): void {
  const p = i32x4.splat(prime);
  const p2 = i32x4.splat(2 * prime);
  const quotients = table + (<usize>n << 2);
  const step = h << 2;
  let at = x;
  for (let i: u32 = 0; i < blocks; i++) {
    const first = <usize>(blocks + i) << 2;
    const second = first << 1;
    const w1 = v128.load32_splat(table + first);
    const q1 = v128.load32_splat(quotients + first);
    const w2 = v128.load32_splat(table + second);
    const q2 = v128.load32_splat(quotients + second);
    const w3 = v128.load32_splat(table + second + 4);
    const q3 = v128.load32_splat(quotients + second + 4);
    for (const end = at + step; at < end; at += 16) {
      const x0 = v128.load(at);
      const x1 = v128.load(at + step);
      const x2 = multiplyPrepared(v128.load(at + 2 * step), w1, q1, p);
      const x3 = multiplyPrepared(v128.load(at + 3 * step), w1, q1, p);
      const y0 = i32x4.add(x0, x2);
      const y1 = multiplyPrepared(i32x4.add(x1, x3), w2, q2, p);
      const y2 = i32x4.add(i32x4.sub(x0, x2), p2);
      const y3 = multiplyPrepared(i32x4.add(i32x4.sub(x1, x3), p2), w3, q3, p);
      v128.store(at, i32x4.add(y0, y1));
      v128.store(at + step, i32x4.add(i32x4.sub(y0, y1), p2));
      v128.store(at + 2 * step, i32x4.add(y2, y3));
      v128.store(at + 3 * step, i32x4.add(i32x4.sub(y2, y3), p2));
    }
    at += 3 * step;
  }
}

/** Layers of distance 2 and 1: four groups of four values, transposed so that a lane holds one group. */
function forwardLast(x: usize, n: u32, table: usize, prime: u32): void {
  const p = i32x4.splat(prime);
  const p2 = i32x4.splat(2 * prime);
  const quotients = <usize>n << 2;
  let first = table + <usize>n;
  let second = table + (<usize>n << 1);
  for (let at = x, end = x + (<usize>n << 2); at < end; at += 64) {
    const a = v128.load(at);
    const b = v128.load(at, 16);
    const c = v128.load(at, 32);
    const d = v128.load(at, 48);
    const ab = lowPairs(a, b);
    const cd = lowPairs(c, d);
    const ef = highPairs(a, b);
    const gh = highPairs(c, d);
    const w1 = v128.load(first);
    const q1 = v128.load(first + quotients);
    const x2 = multiplyPrepared(lowHalves(ef, gh), w1, q1, p);
    const x3 = multiplyPrepared(highHalves(ef, gh), w1, q1, p);
    const x0 = lowHalves(ab, cd);
    const x1 = highHalves(ab, cd);
    const w = v128.load(second);
    const v = v128.load(second, 16);
    const q = v128.load(second + quotients);
    const r = v128.load(second + quotients, 16);
    const y0 = i32x4.add(x0, x2);
    const y1 = multiplyPrepared(
      i32x4.add(x1, x3),
      v128.shuffle<u32>(w, v, 0, 2, 4, 6),
      v128.shuffle<u32>(q, r, 0, 2, 4, 6),
      p,
    );
    const y2 = i32x4.add(i32x4.sub(x0, x2), p2);
    const y3 = multiplyPrepared(
      i32x4.add(i32x4.sub(x1, x3), p2),
      v128.shuffle<u32>(w, v, 1, 3, 5, 7),
      v128.shuffle<u32>(q, r, 1, 3, 5, 7),
      p,
    );
    storeTransposed(
      at,
      i32x4.add(y0, y1),
      i32x4.add(i32x4.sub(y0, y1), p2),
      i32x4.add(y2, y3),
      i32x4.add(i32x4.sub(y2, y3), p2),
    );
    first += 16;
    second += 32;
  }
}

// @ts-ignore: decorator
@inline
function storeTransposed(at: usize, z0: v128, z1: v128, z2: v128, z3: v128): void {
  const ab = lowPairs(z0, z1);
  const cd = lowPairs(z2, z3);
  const ef = highPairs(z0, z1);
  const gh = highPairs(z2, z3);
  v128.store(at, lowHalves(ab, cd));
  v128.store(at, highHalves(ab, cd), 16);
  v128.store(at, lowHalves(ef, gh), 32);
  v128.store(at, highHalves(ef, gh), 48);
}

/** n values below 2p to their transform, values below 30p. `table`: of tables.ts. */
export function forward(x: usize, n: u32, table: usize, prime: u32): void {
  let blocks: u32 = 1;
  let distance = n >> 1;
  if (ctz(n) & 1) {
    forwardFirst(x, n, table, prime);
    blocks = 2;
    distance >>= 1;
  }
  for (; distance > 2; distance >>= 2, blocks <<= 2) forwardTwo(x, n, blocks, distance >> 1, table, prime);
  forwardLast(x, n, table, prime);
}

/** Layers of distance 1 and 2 of the inverse. `table`: its second half, of the inverses. */
function inverseFirst(x: usize, n: u32, table: usize, prime: u32): void {
  const p = i32x4.splat(prime);
  const p2 = i32x4.splat(2 * prime);
  const p4 = i32x4.splat(4 * prime);
  const quotients = <usize>n << 2;
  let first = table + <usize>n;
  let second = table + (<usize>n << 1);
  for (let at = x, end = x + (<usize>n << 2); at < end; at += 64) {
    const a = v128.load(at);
    const b = v128.load(at, 16);
    const c = v128.load(at, 32);
    const d = v128.load(at, 48);
    const ab = lowPairs(a, b);
    const cd = lowPairs(c, d);
    const ef = highPairs(a, b);
    const gh = highPairs(c, d);
    const x0 = lowHalves(ab, cd);
    const x1 = highHalves(ab, cd);
    const x2 = lowHalves(ef, gh);
    const x3 = highHalves(ef, gh);
    const w = v128.load(second);
    const v = v128.load(second, 16);
    const q = v128.load(second + quotients);
    const r = v128.load(second + quotients, 16);
    const w2 = v128.shuffle<u32>(w, v, 0, 2, 4, 6);
    const q2 = v128.shuffle<u32>(q, r, 0, 2, 4, 6);
    const w3 = v128.shuffle<u32>(w, v, 1, 3, 5, 7);
    const q3 = v128.shuffle<u32>(q, r, 1, 3, 5, 7);
    const y0 = i32x4.add(x0, x1);
    const y1 = multiplyPrepared(i32x4.add(i32x4.sub(x0, x1), p2), w2, q2, p);
    const y2 = i32x4.add(x2, x3);
    const y3 = multiplyPrepared(i32x4.add(i32x4.sub(x2, x3), p2), w3, q3, p);
    const w1 = v128.load(first);
    const q1 = v128.load(first + quotients);
    storeTransposed(
      at,
      subtractOnce(subtractOnce(i32x4.add(y0, y2), p4), p2),
      subtractOnce(i32x4.add(y1, y3), p2),
      multiplyPrepared(i32x4.add(i32x4.sub(y0, y2), p4), w1, q1, p),
      multiplyPrepared(i32x4.add(i32x4.sub(y1, y3), p2), w1, q1, p),
    );
    first += 16;
    second += 32;
  }
}

/** Layers of distance h and 2h of the inverse, h ≥ 4. */
function inverseTwo(x: usize, n: u32, blocks: u32, h: usize, table: usize, prime: u32): void {
  const p = i32x4.splat(prime);
  const p2 = i32x4.splat(2 * prime);
  const p4 = i32x4.splat(4 * prime);
  const quotients = table + (<usize>n << 2);
  const step = h << 2;
  let at = x;
  for (let i: u32 = 0; i < blocks; i++) {
    const first = <usize>(blocks + i) << 2;
    const second = first << 1;
    const w1 = v128.load32_splat(table + first);
    const q1 = v128.load32_splat(quotients + first);
    const w2 = v128.load32_splat(table + second);
    const q2 = v128.load32_splat(quotients + second);
    const w3 = v128.load32_splat(table + second + 4);
    const q3 = v128.load32_splat(quotients + second + 4);
    for (const end = at + step; at < end; at += 16) {
      const x0 = v128.load(at);
      const x1 = v128.load(at + step);
      const x2 = v128.load(at + 2 * step);
      const x3 = v128.load(at + 3 * step);
      const y0 = i32x4.add(x0, x1);
      const y1 = multiplyPrepared(i32x4.add(i32x4.sub(x0, x1), p2), w2, q2, p);
      const y2 = i32x4.add(x2, x3);
      const y3 = multiplyPrepared(i32x4.add(i32x4.sub(x2, x3), p2), w3, q3, p);
      v128.store(at, subtractOnce(subtractOnce(i32x4.add(y0, y2), p4), p2));
      v128.store(at + step, subtractOnce(i32x4.add(y1, y3), p2));
      v128.store(at + 2 * step, multiplyPrepared(i32x4.add(i32x4.sub(y0, y2), p4), w1, q1, p));
      v128.store(at + 3 * step, multiplyPrepared(i32x4.add(i32x4.sub(y1, y3), p2), w1, q1, p));
    }
    at += 3 * step;
  }
}

/** Layer of distance n/2 of the inverse, where the number of layers is odd. */
function inverseLast(x: usize, n: u32, table: usize, prime: u32): void {
  const p = i32x4.splat(prime);
  const p2 = i32x4.splat(2 * prime);
  const w = v128.load32_splat(table + 4);
  const q = v128.load32_splat(table + (<usize>n << 2) + 4);
  const half = <usize>n << 1;
  for (let at = x, end = x + half; at < end; at += 16) {
    const u = v128.load(at);
    const v = v128.load(at + half);
    v128.store(at, subtractOnce(i32x4.add(u, v), p2));
    v128.store(at + half, multiplyPrepared(i32x4.add(i32x4.sub(u, v), p2), w, q, p));
  }
}

/**
 * Inverse transform of n values below 2p, times n: the factor 1/n is the caller's (see `prepareFactor`). Values stay
 * below 2p. `table`: of tables.ts.
 */
export function inverse(x: usize, n: u32, table: usize, prime: u32): void {
  const inverses = table + (<usize>n << 3);
  inverseFirst(x, n, inverses, prime);
  let blocks = n >> 4;
  let distance: usize = 4;
  for (; blocks >= 1; blocks >>= 2, distance <<= 2) inverseTwo(x, n, blocks, distance, inverses, prime);
  if (ctz(n) & 1) inverseLast(x, n, inverses, prime);
}

/**
 * Makes n transformed values (below 2^32) factors of `multiply`: at x, value·scale mod p below 2p; at `prepared`,
 * that times p^(−1) mod 2^32. With scale = 2^32/n mod p, `inverse` after `multiply` gives the plain product.
 */
export function prepareFactor(x: usize, prepared: usize, n: u32, scale: u32, prime: u32): void {
  const p = i32x4.splat(prime);
  const w = i32x4.splat(scale);
  const q = i32x4.splat(<u32>((<u64>scale << 32) / <u64>prime));
  const inverseOfPrime = i32x4.splat(inverseModuloWord(prime));
  for (let i: usize = 0, end = <usize>n << 2; i < end; i += 16) {
    const value = multiplyPrepared(v128.load(x + i), w, q, p);
    v128.store(x + i, value);
    v128.store(prepared + i, i32x4.mul(value, inverseOfPrime));
  }
}

/** p^(−1) mod 2^32 for odd p: Newton's iteration doubles the correct bits, from 3. */
export function inverseModuloWord(p: u32): u32 {
  let inverse = p;
  for (let i = 0; i < 4; i++) inverse *= 2 - p * inverse;
  return inverse;
}

/** target = target·factor/2^32 mod p, value by value: target below 2^26 before, 2p after. */
export function multiply(target: usize, factor: usize, prepared: usize, n: u32, prime: u32): void {
  const p = i32x4.splat(prime);
  for (let i: usize = 0, end = <usize>n << 2; i < end; i += 16) {
    const a = v128.load(target + i);
    const product = multiplyMontgomery(a, v128.load(factor + i), v128.load(prepared + i), p);
    v128.store(target + i, product);
  }
}
