/**
 * exp, tanh, sigmoid and softmax on single floats: Cephes' expf and tanhf (S. Moshier, netlib), without fused operations.
 *
 * AssemblyScript. Pure but for softmax, which writes where it is told.
 */
// @ts-ignore: decorator
@inline
function times(a: v128, b: f32): v128 {
  return f32x4.mul(a, f32x4.splat(b));
}

// @ts-ignore: decorator
@inline
function plus(a: v128, b: f32): v128 {
  return f32x4.add(a, f32x4.splat(b));
}

/** e^x to 2 units in the last place; x is clamped to where the result is a normal float. */
// @ts-ignore: decorator
@inline
export function exp4(given: v128): v128 {
  const x = f32x4.min(f32x4.max(given, f32x4.splat(-87.3)), f32x4.splat(88.0));
  const n = f32x4.nearest(times(x, 1.44269504088896341));
  // ln 2 in two parts, the first of 10 bits: n times it is exact.
  const r = f32x4.sub(f32x4.sub(x, times(n, 0.693359375)), times(n, -2.12194440e-4));
  let p = times(r, 1.9875691500e-4);
  p = f32x4.mul(plus(p, 1.3981999507e-3), r);
  p = f32x4.mul(plus(p, 8.3334519073e-3), r);
  p = f32x4.mul(plus(p, 4.1665795894e-2), r);
  p = f32x4.mul(plus(p, 1.6666665459e-1), r);
  p = plus(p, 5.0000001201e-1);
  p = plus(f32x4.add(f32x4.mul(p, f32x4.mul(r, r)), r), 1);
  const power = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23);
  return f32x4.mul(p, power);
}

// @ts-ignore: decorator
@inline
export function tanh4(x: v128): v128 {
  const size = f32x4.abs(x);
  const z = f32x4.mul(x, x);
  let p = times(z, -5.70498872745e-3);
  p = f32x4.mul(plus(p, 2.06390887954e-2), z);
  p = f32x4.mul(plus(p, -5.37397155531e-2), z);
  p = f32x4.mul(plus(p, 1.33314422036e-1), z);
  p = f32x4.mul(plus(p, -3.33332819422e-1), z);
  const near = f32x4.add(f32x4.mul(p, x), x);
  const one = f32x4.splat(1);
  const far = f32x4.sub(one, f32x4.div(f32x4.splat(2), f32x4.add(exp4(f32x4.add(size, size)), one)));
  const signed = v128.or(far, v128.and(x, f32x4.splat(-0.0)));
  return v128.bitselect(near, signed, f32x4.lt(size, f32x4.splat(0.625)));
}

export function sigmoid(z: f32): f32 {
  const e = f32x4.extract_lane(exp4(f32x4.splat(-z)), 0);
  return 1 / (1 + e);
}

/** In place, of the first `count` of `vectors` × 4 floats; the rest becomes 0. */
export function softmax(at: usize, count: u32, vectors: u32): void {
  const end = at + (<usize>count << 2);
  let most = load<f32>(at);
  for (let p = at + 4; p < end; p += 4) most = max<f32>(most, load<f32>(p));
  const padded = at + (<usize>vectors << 4);
  for (let p = at; p < padded; p += 16) v128.store(p, exp4(f32x4.sub(v128.load(p), f32x4.splat(most))));
  let sum: f32 = 0;
  for (let p = at; p < end; p += 4) sum += load<f32>(p);
  for (let p = end; p < padded; p += 4) store<f32>(p, 0);
  for (let p = at; p < padded; p += 16) v128.store(p, f32x4.div(v128.load(p), f32x4.splat(sum)));
}
