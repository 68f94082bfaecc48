/**
 * Passes through one layer for one row: sums, gradient, error of the layer before.
 *
 * Wide layers go over blocks of up to four vectors of units, which stay in registers while the inputs pass by. Inputs
 * that are exactly 0 (one-hot, pixels) are skipped in the first layer: a list of the others is made first, because a
 * branch that depends on pixels is guessed wrong half of the time. The order of additions does not depend on the
 * blocks: by input for sums, by row for gradients. AssemblyScript. Trusts: its caller for pointers and sizes.
 */
// @ts-ignore: decorator
@inline
function fused(sum: v128, a: v128, b: v128): v128 {
  return f32x4.add(sum, f32x4.mul(a, b));
}

/** Writes the byte offsets of the inputs that are not 0 to `list`, `inputs` words of room; returns the byte after them. */
export function listOf(x: usize, inputs: u32, list: usize): usize {
  const end = <usize>inputs << 2;
  for (let at: usize = 0; at < end; at += 4) {
    store<u32>(list, <u32>at);
    list += <usize>(load<f32>(x + at) != 0) << 2;
  }
  return list;
}

/** Where a block's row of an input stands: `stride` bytes per input. */
// @ts-ignore: decorator
@inline
function rowAt(at: usize, offset: usize, stride: usize): usize {
  return at + (offset >> 2) * stride;
}

/** Sums of a block of `n` vectors (a constant) at `out`: bias + Σ x_i·W_i. `listed`: `from` to `to` lists the inputs. */
// @ts-ignore: decorator
@inline
function sumBlock(x: usize, from: usize, to: usize, w: usize, stride: usize, bias: usize, out: usize, n: i32, listed: bool): void {
  let a = v128.load(bias);
  let b = n > 1 ? v128.load(bias, 16) : a;
  let c = n > 2 ? v128.load(bias, 32) : a;
  let d = n > 3 ? v128.load(bias, 48) : a;
  let row = w;
  for (; from < to; from += 4, row += stride) {
    const offset = listed ? <usize>load<u32>(from) : from;
    if (listed) row = rowAt(w, offset, stride);
    const s = v128.load32_splat(x + offset);
    a = fused(a, s, v128.load(row));
    if (n > 1) b = fused(b, s, v128.load(row, 16));
    if (n > 2) c = fused(c, s, v128.load(row, 32));
    if (n > 3) d = fused(d, s, v128.load(row, 48));
  }
  v128.store(out, a);
  if (n > 1) v128.store(out, b, 16);
  if (n > 2) v128.store(out, c, 32);
  if (n > 3) v128.store(out, d, 48);
}

/** G_i += x_i·δ for a block of `n` vectors of δ. */
// @ts-ignore: decorator
@inline
function gradientBlock(x: usize, from: usize, to: usize, g: usize, stride: usize, delta: usize, n: i32, listed: bool): void {
  const a = v128.load(delta);
  const b = n > 1 ? v128.load(delta, 16) : a;
  const c = n > 2 ? v128.load(delta, 32) : a;
  const d = n > 3 ? v128.load(delta, 48) : a;
  let row = g;
  for (; from < to; from += 4, row += stride) {
    const offset = listed ? <usize>load<u32>(from) : from;
    if (listed) row = rowAt(g, offset, stride);
    const s = v128.load32_splat(x + offset);
    v128.store(row, fused(v128.load(row), s, a));
    if (n > 1) v128.store(row, fused(v128.load(row, 16), s, b), 16);
    if (n > 2) v128.store(row, fused(v128.load(row, 32), s, c), 32);
    if (n > 3) v128.store(row, fused(v128.load(row, 48), s, d), 48);
  }
}

/** `listed` is a constant of the caller: both forms of every block are compiled. */
// @ts-ignore: decorator
@inline
function sumsOf(x: usize, from: usize, to: usize, w: usize, vectors: u32, bias: usize, out: usize, listed: bool): void {
  const stride = <usize>vectors << 4;
  let left = vectors;
  for (; left > 3; left -= 4, w += 64, bias += 64, out += 64) sumBlock(x, from, to, w, stride, bias, out, 4, listed);
  if (left == 3) sumBlock(x, from, to, w, stride, bias, out, 3, listed);
  else if (left == 2) sumBlock(x, from, to, w, stride, bias, out, 2, listed);
  else if (left == 1) sumBlock(x, from, to, w, stride, bias, out, 1, listed);
}

// @ts-ignore: decorator
@inline
function gradientOf(x: usize, from: usize, to: usize, g: usize, vectors: u32, delta: usize, listed: bool): void {
  const stride = <usize>vectors << 4;
  let left = vectors;
  for (; left > 3; left -= 4, g += 64, delta += 64) gradientBlock(x, from, to, g, stride, delta, 4, listed);
  if (left == 3) gradientBlock(x, from, to, g, stride, delta, 3, listed);
  else if (left == 2) gradientBlock(x, from, to, g, stride, delta, 2, listed);
  else if (left == 1) gradientBlock(x, from, to, g, stride, delta, 1, listed);
}

/** `from` to `to`: the list of `listOf`; 0 and 0 for a dense pass over `inputs` values. */
export function wideSums(x: usize, inputs: u32, from: usize, to: usize, w: usize, vectors: u32, bias: usize, out: usize): void {
  if (from != 0) sumsOf(x, from, to, w, vectors, bias, out, true);
  else sumsOf(x, 0, <usize>inputs << 2, w, vectors, bias, out, false);
}

export function wideGradient(x: usize, inputs: u32, from: usize, to: usize, g: usize, vectors: u32, bias: usize, delta: usize): void {
  if (from != 0) gradientOf(x, from, to, g, vectors, delta, true);
  else gradientOf(x, 0, <usize>inputs << 2, g, vectors, delta, false);
  for (let v: u32 = 0; v < vectors; v++, bias += 16, delta += 16)
    v128.store(bias, f32x4.add(v128.load(bias), v128.load(delta)));
}

/** (l0 + l1) + (l2 + l3). */
// @ts-ignore: decorator
@inline
function lanes(v: v128): f32 {
  return (
    f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3))
  );
}

/** out_i = Σ_j δ_j·W_ij: `inputs` floats. */
export function wideBack(w: usize, inputs: u32, vectors: u32, delta: usize, out: usize): void {
  const deltaEnd = delta + (<usize>vectors << 4);
  for (const end = out + (<usize>inputs << 2); out < end; out += 4) {
    let sum = f32x4.mul(v128.load(delta), v128.load(w));
    w += 16;
    for (let d = delta + 16; d < deltaEnd; d += 16, w += 16) sum = fused(sum, v128.load(d), v128.load(w));
    store<f32>(out, lanes(sum));
  }
}

/** bias + Σ x_i·w_i, in four lanes and then what is left over. */
export function narrowSum(x: usize, inputs: u32, w: usize, bias: usize): f32 {
  const end = x + (<usize>inputs << 2);
  const last = x + (<usize>(inputs & ~3) << 2);
  let sum = f32x4.splat(0);
  for (; x < last; x += 16, w += 16) sum = fused(sum, v128.load(x), v128.load(w));
  let total = lanes(sum);
  for (; x < end; x += 4, w += 4) total += load<f32>(x) * load<f32>(w);
  return total + load<f32>(bias);
}

export function narrowGradient(x: usize, inputs: u32, g: usize, bias: usize, delta: f32): void {
  const end = x + (<usize>inputs << 2);
  const last = x + (<usize>(inputs & ~3) << 2);
  const d = f32x4.splat(delta);
  for (; x < last; x += 16, g += 16) v128.store(g, fused(v128.load(g), v128.load(x), d));
  for (; x < end; x += 4, g += 4) store<f32>(g, load<f32>(g) + load<f32>(x) * delta);
  store<f32>(bias, load<f32>(bias) + delta);
}

/** out_i = δ·w_i, padding included. */
export function narrowBack(w: usize, inputs: u32, delta: f32, out: usize): void {
  const d = f32x4.splat(delta);
  for (const end = out + (<usize>inputs << 2); out < end; out += 16, w += 16) v128.store(out, f32x4.mul(d, v128.load(w)));
}
