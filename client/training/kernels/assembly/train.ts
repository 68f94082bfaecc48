/**
 * Passes through the net, and steps of stochastic gradient descent.
 *
 * A batch is taken row by row: forward, error, gradient added up; then all weights move at once.
 * AssemblyScript. Trusts: its caller for pointers and sizes; `rows` are whole rows of the first layer's inputs.
 */
import { sigmoid, softmax, tanh4 } from './functions';
import { listOf, narrowBack, narrowGradient, narrowSum, wideBack, wideGradient, wideSums } from './layers';
import {
  ACTIVATION,
  BIAS_AT,
  DELTA,
  GRADIENT,
  INPUT,
  INPUTS,
  KEEP_BIAS,
  KEEP_WEIGHTS,
  LAYER_BYTES,
  LAYERS,
  layerAt,
  MASK,
  OUTPUT,
  OUTPUTS,
  PARAMETERS,
  RATE,
  SHIFT,
  SIZE,
  unpack,
  VECTORS,
  WEIGHTS_AT,
} from './net';

/** End of the list at the first layer's INPUT, of the row that passed last. */
let listEnd: usize = 0;

/** Leaves every layer's input in its place and what the model says at the last layer's DELTA. */
function forward(net: usize, x: usize): void {
  const layers = load<u32>(net, LAYERS);
  const parameters = <usize>load<u32>(net, PARAMETERS);
  for (let index: u32 = 0; index < layers; index++) {
    const layer = layerAt(net, index);
    const input: usize = index == 0 ? x : <usize>load<u32>(layer, INPUT);
    const last = index + 1 == layers;
    const out: usize = last ? <usize>load<u32>(layer, DELTA) : <usize>load<u32>(layer + LAYER_BYTES, INPUT);
    const inputs = load<u32>(layer, INPUTS);
    const vectors = load<u32>(layer, VECTORS);
    const w = parameters + load<u32>(layer, WEIGHTS_AT);
    const bias = parameters + load<u32>(layer, BIAS_AT);
    if (vectors == 0) store<f32>(out, narrowSum(input, inputs, w, bias));
    else if (index > 0) wideSums(input, inputs, 0, 0, w, vectors, bias, out);
    else {
      const list = <usize>load<u32>(layer, INPUT);
      listEnd = listOf(x, inputs, list);
      wideSums(x, inputs, list, listEnd, w, vectors, bias, out);
    }
    if (last) finish(net, layer, out);
    else activate(load<u32>(net, ACTIVATION), out, vectors == 0 ? 1 : vectors);
  }
}

// @ts-ignore: decorator
@inline
function activate(kind: u32, at: usize, vectors: u32): void {
  const end = at + (<usize>vectors << 4);
  if (kind == 0) for (; at < end; at += 16) v128.store(at, f32x4.max(v128.load(at), f32x4.splat(0)));
  else for (; at < end; at += 16) v128.store(at, tanh4(v128.load(at)));
}

// @ts-ignore: decorator
@inline
function finish(net: usize, layer: usize, out: usize): void {
  const kind = load<u32>(net, OUTPUT);
  if (kind == 0) store<f32>(out, sigmoid(load<f32>(out)));
  else if (kind == 1) softmax(out, load<u32>(layer, OUTPUTS), load<u32>(layer, VECTORS));
}

/** Adds the gradient of one row's loss. `label`: 0 or 1, a class, or a value. */
function row(net: usize, x: usize, label: f32): void {
  forward(net, x);
  const layers = load<u32>(net, LAYERS);
  const parameters = <usize>load<u32>(net, PARAMETERS);
  const gradient = <usize>load<u32>(net, GRADIENT);
  const relu = load<u32>(net, ACTIVATION) == 0;
  let layer = layerAt(net, layers - 1);
  let at = <usize>load<u32>(layer, DELTA);
  if (load<u32>(net, OUTPUT) == 1) {
    at += <usize>(<u32>label) << 2;
    store<f32>(at, load<f32>(at) - 1);
  } else store<f32>(at, load<f32>(at) - label);
  for (let index = layers; index > 0; index--, layer -= LAYER_BYTES) {
    const first = index == 1;
    const input: usize = first ? x : <usize>load<u32>(layer, INPUT);
    const inputs = load<u32>(layer, INPUTS);
    const vectors = load<u32>(layer, VECTORS);
    const w = load<u32>(layer, WEIGHTS_AT);
    const bias = load<u32>(layer, BIAS_AT);
    const delta = <usize>load<u32>(layer, DELTA);
    if (vectors == 0) narrowGradient(input, inputs, gradient + w, gradient + bias, load<f32>(delta));
    else {
      const list: usize = first ? <usize>load<u32>(layer, INPUT) : 0;
      wideGradient(input, inputs, list, first ? listEnd : 0, gradient + w, vectors, gradient + bias, delta);
    }
    if (first) return;
    const back = <usize>load<u32>(layer - LAYER_BYTES, DELTA);
    if (vectors == 0) narrowBack(parameters + w, inputs, load<f32>(delta), back);
    else wideBack(parameters + w, inputs, vectors, delta, back);
    slope(relu, input, back, (inputs + 3) >> 2);
  }
}

/** error ·= derivative of the activation, from its value: [a > 0] or 1 − a². */
// @ts-ignore: decorator
@inline
function slope(relu: bool, active: usize, error: usize, vectors: u32): void {
  for (const end = error + (<usize>vectors << 4); error < end; error += 16, active += 16) {
    const a = v128.load(active);
    const e = v128.load(error);
    if (relu) v128.store(error, v128.and(e, f32x4.gt(a, f32x4.splat(0))));
    else v128.store(error, f32x4.mul(e, f32x4.sub(f32x4.splat(1), f32x4.mul(a, a))));
  }
}

/** Adds up the gradients of `rows` rows: those that `order` names, or consecutive ones where it is 0. */
export function accumulate(net: usize, features: usize, labels: usize, order: usize, rows: u32): void {
  const stride = <usize>load<u32>(layerAt(net, 0), INPUTS) << 2;
  if (order == 0) {
    for (let i: u32 = 0; i < rows; i++) row(net, features + <usize>i * stride, load<f32>(labels + (<usize>i << 2)));
    return;
  }
  for (const end = order + (<usize>rows << 2); order < end; order += 4) {
    const index = <usize>load<u32>(order);
    row(net, features + index * stride, load<f32>(labels + (index << 2)));
  }
}

/** value·keep − rate·gradient + shift, where the mask lets it; the gradient becomes 0. */
// @ts-ignore: decorator
@inline
function move(at: usize, end: usize, gradient: usize, keep: f32, rate: f32, shift: usize, mask: usize): void {
  const k = f32x4.splat(keep);
  const r = f32x4.splat(rate);
  const zero = f32x4.splat(0);
  for (let i: usize = 0, size = end - at; i < size; i += 16) {
    const value = v128.load(at + i);
    let next = f32x4.sub(f32x4.mul(value, k), f32x4.mul(v128.load(gradient + i), r));
    if (shift != 0) next = f32x4.add(next, v128.load(shift + i));
    if (mask != 0) next = v128.bitselect(next, value, v128.load(mask + i));
    v128.store(at + i, next);
    v128.store(gradient + i, zero);
  }
}

/** One step with the mean over `rows` accumulated rows. */
export function apply(net: usize, rows: u32): void {
  const layers = load<u32>(net, LAYERS);
  const rate = load<f32>(net, RATE) / <f32>rows;
  const parameters = <usize>load<u32>(net, PARAMETERS);
  const gradient = <usize>load<u32>(net, GRADIENT);
  const shift = <usize>load<u32>(net, SHIFT);
  const mask = <usize>load<u32>(net, MASK);
  for (let index: u32 = 0; index < layers; index++) {
    const layer = layerAt(net, index);
    const w = <usize>load<u32>(layer, WEIGHTS_AT);
    const b = <usize>load<u32>(layer, BIAS_AT);
    const end: usize = index + 1 < layers ? <usize>load<u32>(layer + LAYER_BYTES, WEIGHTS_AT) : <usize>load<u32>(net, SIZE);
    const keepWeights = load<f32>(layer, KEEP_WEIGHTS);
    const keepBias = load<f32>(layer, KEEP_BIAS);
    step(parameters, gradient, shift, mask, w, b, keepWeights, rate);
    step(parameters, gradient, shift, mask, b, end, keepBias, rate);
  }
}

// @ts-ignore: decorator
@inline
function step(
  parameters: usize,
  gradient: usize,
  shift: usize,
  mask: usize,
  from: usize,
  to: usize,
  keep: f32,
  rate: f32,
): void {
  const at = parameters + from;
  const end = parameters + to;
  const g = gradient + from;
  if (mask != 0) move(at, end, g, keep, rate, shift == 0 ? 0 : shift + from, mask + from);
  else if (shift != 0) move(at, end, g, keep, rate, shift + from, 0);
  else move(at, end, g, keep, rate, 0, 0);
}

/**
 * Clients one after the other, each from the padded weights at `start`; their flat weights to `out`. Client i owns the
 * rows offsets[i] to offsets[i + 1]; a client of more than `batch` rows takes `epochs` orders of its rows from `orders`.
 */
export function trainMany(
  net: usize,
  features: usize,
  labels: usize,
  offsets: usize,
  clients: u32,
  orders: usize,
  epochs: u32,
  batch: u32,
  start: usize,
  out: usize,
): void {
  const parameters = <usize>load<u32>(net, PARAMETERS);
  const size = <usize>load<u32>(net, SIZE);
  const stride = <usize>load<u32>(layerAt(net, 0), INPUTS) << 2;
  for (let client: u32 = 0; client < clients; client++, offsets += 4) {
    const rows = load<u32>(offsets, 4) - load<u32>(offsets);
    memory.copy(parameters, start, size);
    for (let epoch: u32 = 0; epoch < epochs; epoch++) {
      if (rows <= batch) {
        accumulate(net, features, labels, 0, rows);
        apply(net, rows);
        continue;
      }
      for (let left = rows; left > 0; ) {
        const length = min<u32>(left, batch);
        accumulate(net, features, labels, orders, length);
        apply(net, length);
        orders += <usize>length << 2;
        left -= length;
      }
    }
    out = unpack(net, parameters, out);
    features += <usize>rows * stride;
    labels += <usize>rows << 2;
  }
}

/** The gradient of each row's own loss, flat, one after the other at `out`. Leaves the gradient 0. */
export function gradients(net: usize, features: usize, labels: usize, rows: u32, out: usize): void {
  const stride = <usize>load<u32>(layerAt(net, 0), INPUTS) << 2;
  const gradient = <usize>load<u32>(net, GRADIENT);
  const size = <usize>load<u32>(net, SIZE);
  for (; rows > 0; rows--, features += stride, labels += 4) {
    row(net, features, load<f32>(labels));
    out = unpack(net, gradient, out);
    memory.fill(gradient, 0, size);
  }
}

/** What the model says about each row: `outputs` floats a row at `out`. */
export function predict(net: usize, features: usize, rows: u32, out: usize): void {
  const last = layerAt(net, load<u32>(net, LAYERS) - 1);
  const stride = <usize>load<u32>(layerAt(net, 0), INPUTS) << 2;
  const said = <usize>load<u32>(last, DELTA);
  const bytes = <usize>load<u32>(last, OUTPUTS) << 2;
  for (; rows > 0; rows--, features += stride) {
    forward(net, features);
    for (let i: usize = 0; i < bytes; i += 4) store<f32>(out + i, load<f32>(said + i));
    out += bytes;
  }
}
