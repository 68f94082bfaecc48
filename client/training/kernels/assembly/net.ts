/**
 * A dense net in memory: a header, then one entry per layer, all 4-byte words.
 *
 * Parameters are padded so that every array starts at a multiple of 16 bytes: a layer of several units ("wide") has
 * rows of `vectors` × 4 floats, one per input, and a bias of one such row; a layer of one unit ("narrow",
 * vectors = 0) has its weights in a column, which is contiguous, and a bias of 4 floats. Padding stays 0.
 * AssemblyScript. Trusts: its caller for pointers and sizes.
 */
// Header, in bytes.
export const LAYERS: usize = 0;
/** 0 relu, 1 tanh. */
export const ACTIVATION: usize = 4;
/** 0 one sigmoid, 1 softmax, 2 the value itself. */
export const OUTPUT: usize = 8;
export const PARAMETERS: usize = 12;
export const GRADIENT: usize = 16;
/** 0 or the padded vector added in every step. */
export const SHIFT: usize = 20;
/** 0 or a padded vector of masks: all bits set where the weight moves. */
export const MASK: usize = 24;
/** Of the padded vector, in bytes. */
export const SIZE: usize = 28;
/** f32 */
export const RATE: usize = 32;
export const HEADER_BYTES: usize = 48;

// One layer, in bytes.
export const INPUTS: usize = 0;
export const OUTPUTS: usize = 4;
export const VECTORS: usize = 8;
/** Offsets within the padded vector. */
export const WEIGHTS_AT: usize = 12;
export const BIAS_AT: usize = 16;
/** One row: the layer's input (of the first layer: the list of its inputs that are not 0) and ∂loss/∂(its sums). */
export const INPUT: usize = 20;
export const DELTA: usize = 24;
/** f32, factors of the value in every step. */
export const KEEP_WEIGHTS: usize = 28;
export const KEEP_BIAS: usize = 32;
export const LAYER_BYTES: usize = 48;

// @ts-ignore: decorator
@inline
export function layerAt(net: usize, index: u32): usize {
  return net + HEADER_BYTES + <usize>index * LAYER_BYTES;
}

/** Flat vector (protos/model.ts) to padded; padding is not written. */
export function pack(net: usize, flat: usize, padded: usize): void {
  const layers = load<u32>(net, LAYERS);
  for (let index: u32 = 0; index < layers; index++) {
    const layer = layerAt(net, index);
    const rows = load<u32>(layer, INPUTS);
    const row = <usize>load<u32>(layer, OUTPUTS) << 2;
    const vectors = load<u32>(layer, VECTORS);
    const stride: usize = vectors == 0 ? 4 : <usize>vectors << 4;
    let to = padded + load<u32>(layer, WEIGHTS_AT);
    for (let i: u32 = 0; i < rows; i++, flat += row, to += stride) copyFloats(to, flat, row);
    copyFloats(padded + load<u32>(layer, BIAS_AT), flat, row);
    flat += row;
  }
}

/** Padded vector to flat; returns the byte after it. */
export function unpack(net: usize, padded: usize, flat: usize): usize {
  const layers = load<u32>(net, LAYERS);
  for (let index: u32 = 0; index < layers; index++) {
    const layer = layerAt(net, index);
    const rows = load<u32>(layer, INPUTS);
    const row = <usize>load<u32>(layer, OUTPUTS) << 2;
    const vectors = load<u32>(layer, VECTORS);
    const stride: usize = vectors == 0 ? 4 : <usize>vectors << 4;
    let from = padded + load<u32>(layer, WEIGHTS_AT);
    for (let i: u32 = 0; i < rows; i++, flat += row, from += stride) copyFloats(flat, from, row);
    copyFloats(flat, padded + load<u32>(layer, BIAS_AT), row);
    flat += row;
  }
  return flat;
}

// @ts-ignore: decorator
@inline
function copyFloats(to: usize, from: usize, bytes: usize): void {
  const end = from + bytes;
  const last = from + (bytes & ~15);
  for (; from < last; from += 16, to += 16) v128.store(to, v128.load(from));
  for (; from < end; from += 4, to += 4) store<f32>(to, load<f32>(from));
}

/** Whether none of `count` floats is infinite or NaN. */
export function allFinite(at: usize, count: u32): bool {
  const end = at + (<usize>count << 2);
  const last = at + (<usize>(count & ~3) << 2);
  // x − x is 0, or NaN where x is not finite; NaN stays in a sum.
  let sum = f32x4.splat(0);
  for (; at < last; at += 16) {
    const x = v128.load(at);
    sum = f32x4.add(sum, f32x4.sub(x, x));
  }
  for (; at < end; at += 4) {
    const x = f32x4.splat(load<f32>(at));
    sum = f32x4.add(sum, f32x4.sub(x, x));
  }
  return v128.any_true(f32x4.ne(sum, sum)) == false;
}
