/**
 * The table scan of crypto/secagg/long/sampler.ts, eight samples at a time, the same instructions for all of them.
 *
 * AssemblyScript. Trusts: its caller (sampler.ts) for pointers, counts and the table.
 */

// @ts-ignore: decorator
@inline
function low31(words: v128): v128 {
  return i32x4.shr_u(i32x4.shl(words, 1), 1);
}

/** −1 for each lane whose three 31-bit limbs are below the table entry's. */
// @ts-ignore: decorator
@inline
function below(low: v128, middle: v128, high: v128, t0: v128, t1: v128, t2: v128): v128 {
  const borrowLow = i32x4.shr_s(i32x4.sub(low, t0), 31);
  const borrowMiddle = i32x4.shr_s(i32x4.add(i32x4.sub(middle, t1), borrowLow), 31);
  return i32x4.shr_s(i32x4.add(i32x4.sub(high, t2), borrowMiddle), 31);
}

/** (entries + count) with the sign of the mask: count is −(entries above). */
// @ts-ignore: decorator
@inline
function signed(count: v128, entries: v128, words: v128): v128 {
  const sign = i32x4.shr_s(words, 31);
  return i32x4.sub(v128.xor(i32x4.add(entries, count), sign), sign);
}

/**
 * `count` samples (a multiple of 8) as signed bytes. `words`: three random words for each sample; `table`: three
 * 31-bit limbs, lowest first, for each of `entries` entries.
 */
export function scanGaussian(words: usize, count: u32, table: usize, entries: u32, out: usize): void {
  const all = i32x4.splat(entries);
  const tableEnd = table + <usize>entries * 12;
  for (const end = out + count; out < end; out += 8, words += 96) {
    // Words of four samples: l0 m0 h0 l1 | m1 h1 l2 m2 | h2 l3 m3 h3.
    const a = v128.load(words);
    const b = v128.load(words, 16);
    const c = v128.load(words, 32);
    const d = v128.load(words, 48);
    const e = v128.load(words, 64);
    const f = v128.load(words, 80);
    const raw0 = v128.shuffle<u32>(v128.shuffle<u32>(a, b, 0, 3, 6, 6), c, 0, 1, 2, 5);
    const raw1 = v128.shuffle<u32>(v128.shuffle<u32>(d, e, 0, 3, 6, 6), f, 0, 1, 2, 5);
    const low0 = low31(raw0);
    const low1 = low31(raw1);
    const middle0 = low31(v128.shuffle<u32>(v128.shuffle<u32>(a, b, 1, 4, 7, 7), c, 0, 1, 2, 6));
    const middle1 = low31(v128.shuffle<u32>(v128.shuffle<u32>(d, e, 1, 4, 7, 7), f, 0, 1, 2, 6));
    const high0 = low31(v128.shuffle<u32>(v128.shuffle<u32>(a, b, 2, 5, 5, 5), c, 0, 1, 4, 7));
    const high1 = low31(v128.shuffle<u32>(v128.shuffle<u32>(d, e, 2, 5, 5, 5), f, 0, 1, 4, 7));
    let count0 = i32x4.splat(0);
    let count1 = i32x4.splat(0);
    for (let entry = table; entry < tableEnd; entry += 12) {
      const t0 = v128.load32_splat(entry);
      const t1 = v128.load32_splat(entry, 4);
      const t2 = v128.load32_splat(entry, 8);
      count0 = i32x4.add(count0, below(low0, middle0, high0, t0, t1, t2));
      count1 = i32x4.add(count1, below(low1, middle1, high1, t0, t1, t2));
    }
    const halves = i16x8.narrow_i32x4_s(signed(count0, all, raw0), signed(count1, all, raw1));
    v128.store64_lane(out, i8x16.narrow_i16x8_s(halves, halves), 0);
  }
}
