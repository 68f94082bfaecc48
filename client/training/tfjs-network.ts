/**
 * Forward and backward pass of a model, spelled out in tensor ops: the dense layers here, what precedes them in
 * tfjs-fronts.ts.
 *
 * Why no tf.grads and no layers model: tfjs-core alone registers no gradients, building a layers model costs
 * more than a phone's whole training step, and per-record gradients need the layer activations anyway. The
 * passes are tested against tf.grads. Trusts: checked weights and rows. May be called by: client/training/tfjs-*.
 */
import type * as tfCore from '@tensorflow/tfjs-core';
import type { TrainingData } from './engine.ts';
import type { ModelSpec } from './model.ts';
import { modelLayout, outputsOf, parameterBlocks } from './model.ts';
import { type Front, frontOf, slopeOf } from './tfjs-fronts.ts';

export type Tfjs = typeof tfCore;
export type Tensor = tfCore.Tensor;
export type Tensor2D = tfCore.Tensor2D;

/** One tensor per block of the flat vector, in its order; the last ones are W and bias of each dense layer. */
export type Parameters = readonly Tensor[];

export function toParameters(tf: Tfjs, spec: ModelSpec, flat: Float32Array): Tensor[] {
  return parameterBlocks(spec).map(({ at, shape }) => {
    const length = shape.reduce((product, size) => product * size, 1);
    return tf.tensor(flat.slice(at, at + length), [...shape]);
  });
}

/** Rows `from` to `to` of `order` as tensors: inputs, and what the outputs are compared with. */
export function toRows(
  tf: Tfjs,
  spec: ModelSpec,
  data: TrainingData,
  rows: ArrayLike<number>,
): readonly [Tensor2D, Tensor2D] {
  const { inputs } = spec;
  const outputs = outputsOf(spec);
  const features = new Float32Array(rows.length * inputs);
  const targets = new Float32Array(rows.length * outputs);
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!;
    features.set(data.features.subarray(row * inputs, (row + 1) * inputs), i * inputs);
    if (outputs > 1) targets[i * outputs + data.labels[row]!] = 1;
    else targets[i] = data.labels[row]!;
  }
  return [tf.tensor2d(features, [rows.length, inputs]), tf.tensor2d(targets, [rows.length, outputs])];
}

/** What precedes the dense layers, the input of each of those, and what the model says (rows × outputs). */
export function forward(
  tf: Tfjs,
  spec: ModelSpec,
  parameters: Parameters,
  features: Tensor2D,
): { front: Front; activations: Tensor2D[]; outputs: Tensor2D } {
  const front = frontOf(tf, spec, parameters, features);
  const dense = denseOf(spec, parameters);
  const activations = [front.values];
  for (let i = 0; ; i++) {
    const product = tf.matMul(activations[i]!, dense[2 * i] as Tensor2D);
    const sums = tf.add<Tensor2D>(product, dense[2 * i + 1]!);
    if (2 * i + 2 === dense.length) return { front, activations, outputs: outputOf(tf, spec, sums) };
    activations.push(spec.activation === 'relu' ? tf.relu(sums) : tf.tanh(sums));
  }
}

const denseOf = (spec: ModelSpec, parameters: Parameters): Parameters =>
  parameters.slice(parameters.length - 2 * modelLayout(spec).length);

function outputOf(tf: Tfjs, spec: ModelSpec, sums: Tensor2D): Tensor2D {
  if (spec.output === undefined) return tf.sigmoid(sums);
  return spec.output.kind === 'classes' ? tf.softmax(sums) : sums;
}

interface Errors {
  readonly front: Front;
  readonly activations: Tensor2D[];
  readonly deltas: Tensor2D[];
}

/**
 * Input of every dense layer and, per record, ∂loss/∂(sums of that layer). For each output with its own loss (sigmoid
 * and log-loss, softmax and cross-entropy, value and half squared error) the last one is output − target, which stays
 * exact where log(output) would overflow.
 */
function backward(
  tf: Tfjs,
  spec: ModelSpec,
  parameters: Parameters,
  [features, targets]: readonly [Tensor2D, Tensor2D],
): Errors {
  const { front, activations, outputs } = forward(tf, spec, parameters, features);
  const dense = denseOf(spec, parameters);
  const deltas: Tensor2D[] = [tf.sub(outputs, targets)];
  for (let i = activations.length - 1; i > 0; i--) {
    const back = tf.matMul(deltas[0]!, dense[2 * i] as Tensor2D, false, true);
    deltas.unshift(tf.mul(back, slopeOf(tf, spec, activations[i]!)));
  }
  return { front, activations, deltas };
}

/** Gradient of the rows' summed loss, one tensor per block. */
export function summedGradients(
  tf: Tfjs,
  spec: ModelSpec,
  parameters: Parameters,
  rows: readonly [Tensor2D, Tensor2D],
): Tensor[] {
  const { front, activations, deltas } = backward(tf, spec, parameters, rows);
  const dense = deltas.flatMap((delta, i) => [
    tf.matMul(activations[i]!, delta, true, false) as Tensor,
    tf.sum(delta, 0),
  ]);
  return [...frontGradients(tf, spec, parameters, front, deltas[0]!, false), ...dense];
}

function frontGradients(
  tf: Tfjs,
  spec: ModelSpec,
  parameters: Parameters,
  front: Front,
  delta: Tensor2D,
  each: boolean,
): Tensor[] {
  const dense = denseOf(spec, parameters);
  if (dense.length === parameters.length) return [];
  return front.gradients(tf.matMul(delta, dense[0] as Tensor2D, false, true), each);
}

/** Gradient of each row's own loss: rows × parameters. */
export function recordGradients(
  tf: Tfjs,
  spec: ModelSpec,
  parameters: Parameters,
  rows: readonly [Tensor2D, Tensor2D],
): Tensor2D {
  const { front, activations, deltas } = backward(tf, spec, parameters, rows);
  const before = frontGradients(tf, spec, parameters, front, deltas[0]!, true) as Tensor2D[];
  const parts = deltas.flatMap((delta, i) => {
    const [count, outputs] = delta.shape;
    const inputs = activations[i]!.shape[1];
    // Row r of the product is the outer product of record r's layer input and its error signal.
    const outer = tf.mul(
      tf.reshape(activations[i]!, [count, inputs, 1]),
      tf.reshape(delta, [count, 1, outputs]),
    );
    return [tf.reshape(outer, [count, inputs * outputs]) as Tensor2D, delta];
  });
  return tf.concat([...before, ...parts], 1);
}
