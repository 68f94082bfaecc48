/**
 * In-place unnormalised Walsh–Hadamard transform of one block of 4^j doubles, as crypto/dp/rotation.ts has it.
 *
 * Two layers at a time, additions in the same order, so that results are the same bits also where they round.
 * AssemblyScript. Trusts: its caller (rotation.ts) for pointer and length.
 */

/** Layers of distance 1 and 2. */
function first(values: usize, length: u32): void {
  for (const end = values + (<usize>length << 3); values < end; values += 32) {
    const v = v128.load(values);
    const w = v128.load(values, 16);
    const even = v128.shuffle<u64>(v, w, 0, 2);
    const odd = v128.shuffle<u64>(v, w, 1, 3);
    const sums = f64x2.add(even, odd);
    const differences = f64x2.sub(even, odd);
    const low = v128.shuffle<u64>(sums, differences, 0, 2);
    const high = v128.shuffle<u64>(sums, differences, 1, 3);
    v128.store(values, f64x2.add(low, high));
    v128.store(values, f64x2.sub(low, high), 16);
  }
}

/** `length`: 4^j ≥ 4. */
export function hadamard(values: usize, length: u32): void {
  first(values, length);
  const end = values + (<usize>length << 3);
  for (let step: usize = 32; step < <usize>length << 3; step <<= 2) {
    for (let at = values; at < end; at += 3 * step) {
      for (const stop = at + step; at < stop; at += 16) {
        const a = v128.load(at);
        const b = v128.load(at + step);
        const c = v128.load(at + 2 * step);
        const d = v128.load(at + 3 * step);
        const sum0 = f64x2.add(a, b);
        const difference0 = f64x2.sub(a, b);
        const sum1 = f64x2.add(c, d);
        const difference1 = f64x2.sub(c, d);
        v128.store(at, f64x2.add(sum0, sum1));
        v128.store(at + step, f64x2.add(difference0, difference1));
        v128.store(at + 2 * step, f64x2.sub(sum0, sum1));
        v128.store(at + 3 * step, f64x2.sub(difference0, difference1));
      }
    }
  }
}
