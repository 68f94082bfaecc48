/**
 * What precedes the dense layers of a 'cnn', 'gru' or 'embedding': forward passes and their gradients in tensor ops.
 *
 * Each function returns the values that the dense layers see (rows × width) and how to turn ∂loss/∂values into gradients,
 * one tensor per block of protos/model.ts. Trusts: checked specs, weights and rows. May be called by:
 * tfjs-network.ts.
 */
import type * as tfCore from '@tensorflow/tfjs-core';
import type { ConvolutionLayout, ModelSpec } from './model.ts';
import { convolutionLayout } from './model.ts';

type Tfjs = typeof tfCore;
type Tensor = tfCore.Tensor;
type Tensor2D = tfCore.Tensor2D;
type Tensor4D = tfCore.Tensor4D;

export interface Front {
  readonly values: Tensor2D;
  /** Of the rows' summed loss, one tensor per block; `each`: of each row's own, rows × length of the block. */
  gradients(error: Tensor2D, each: boolean): Tensor[];
}

export function frontOf(tf: Tfjs, spec: ModelSpec, parameters: readonly Tensor[], features: Tensor2D): Front {
  if (spec.kind === 'cnn') return convolutions(tf, spec, parameters, features);
  if (spec.kind === 'gru') return recurrent(tf, spec, parameters, features);
  if (spec.kind === 'embedding') return embedded(tf, spec, parameters, features);
  return { values: features, gradients: () => [] };
}

/** Derivative of the activation, from its value: [relu(x) > 0] or 1 − tanh²(x). */
export const slopeOf = <T extends Tensor>(tf: Tfjs, spec: ModelSpec, active: T): T =>
  (spec.activation === 'relu' ? tf.step(active) : tf.sub(1, tf.square(active))) as T;

/** Series as images of height 1. */
function convolutions(tf: Tfjs, spec: ModelSpec, parameters: readonly Tensor[], features: Tensor2D): Front {
  const layers = convolutionLayout(spec);
  const first = layers[0]!;
  const last = layers.at(-1)!;
  const rows = features.shape[0];
  const filterOf = (i: number, { width, channels, filters }: ConvolutionLayout): Tensor4D =>
    tf.reshape(parameters[2 * i]!, [1, width, channels, filters]);
  const inputs: Tensor4D[] = [tf.reshape(features, [rows, 1, first.steps, first.channels])];
  layers.forEach((layer, i) => {
    const sums = tf.add(
      tf.conv2d(inputs[i]!, filterOf(i, layer), [1, layer.stride], 'valid'),
      parameters[2 * i + 1]!,
    );
    inputs.push((spec.activation === 'relu' ? tf.relu(sums) : tf.tanh(sums)) as Tensor4D);
  });
  const mean = spec.summary === 'mean';
  const shape: [number, number, number, number] = [rows, 1, last.outputSteps, last.filters];
  const values: Tensor2D = mean
    ? tf.reshape(tf.mean(inputs.at(-1)!, 2), [rows, last.filters])
    : tf.reshape(inputs.at(-1)!, [rows, last.outputSteps * last.filters]);
  const gradients = (given: Tensor2D, each: boolean): Tensor[] => {
    const out: Tensor[] = [];
    let error: Tensor4D = mean
      ? tf.tile(tf.reshape(tf.div(given, last.outputSteps), [rows, 1, 1, last.filters]), [
          1,
          1,
          last.outputSteps,
          1,
        ])
      : tf.reshape(given, shape);
    for (let i = layers.length - 1; i >= 0; i--) {
      const layer = layers[i]!;
      const delta = tf.mul<Tensor4D>(error, slopeOf(tf, spec, inputs[i + 1]!));
      const filter = each
        ? filterGradients(tf, inputs[i]!, delta, layer)
        : filterGradient(tf, inputs[i]!, delta, layer);
      out.unshift(filter, tf.sum(delta, each ? [1, 2] : [0, 1, 2]));
      if (i > 0)
        error = tf.conv2dTranspose(delta, filterOf(i, layer), inputs[i]!.shape, [1, layer.stride], 'valid');
    }
    return out;
  };
  return { values, gradients };
}

/** tfjs-core exports no function for this kernel. */
function filterGradient(tf: Tfjs, x: Tensor4D, dy: Tensor4D, layer: ConvolutionLayout): Tensor {
  const { width, channels, filters, stride } = layer;
  const filterShape = [1, width, channels, filters];
  const attributes = { strides: [1, stride], pad: 'valid', dataFormat: 'NHWC', filterShape };
  const filter = tf.engine().runKernel('Conv2DBackpropFilter', { x, dy }, attributes) as Tensor;
  return tf.reshape(filter, [width, channels, filters]);
}

/** Row by row: rows × length of the filter. */
function filterGradients(tf: Tfjs, x: Tensor4D, dy: Tensor4D, layer: ConvolutionLayout): Tensor {
  const length = layer.width * layer.channels * layer.filters;
  const row = (of: Tensor4D, i: number): Tensor4D => tf.slice(of, [i, 0, 0, 0], [1, ...of.shape.slice(1)]);
  const filters = Array.from({ length: x.shape[0] }, (_, i) =>
    tf.reshape(filterGradient(tf, row(x, i), row(dy, i), layer), [1, length]),
  );
  return tf.concat(filters as Tensor2D[]);
}

/** One step of the unit, as kept for the way back. */
interface Step {
  readonly before: Tensor2D;
  readonly update: Tensor2D;
  readonly reset: Tensor2D;
  readonly candidate: Tensor2D;
}

/**
 * Cho et al. 1406.1078: z, r = σ(x·W_zr + h·U_zr + b_zr), c = tanh(x·W_c + (r∘h)·U_c + b_c), h ← z∘h + (1 − z)∘c, from
 * h = 0; through time and back.
 */
function recurrent(tf: Tfjs, spec: ModelSpec, parameters: readonly Tensor[], features: Tensor2D): Front {
  const [units, channels] = [spec.units!, spec.channels!];
  const [input, state, bias] = parameters as [Tensor2D, Tensor2D, Tensor];
  const rows = features.shape[0];
  const steps = spec.inputs / channels;
  const gates = tf.slice(state, [0, 0], [units, 2 * units]);
  const proposal = tf.slice(state, [0, 2 * units], [units, units]);
  // Step-major, so that one step is one slice: the first `rows` rows are the first step's.
  const series = tf.reshape(tf.transpose(tf.reshape(features, [rows, steps, channels]), [1, 0, 2]), [
    steps * rows,
    channels,
  ]) as Tensor2D;
  const projected = tf.add<Tensor2D>(tf.matMul(series, input), bias);
  const part = (x: Tensor2D, i: number): Tensor2D => tf.slice(x, [0, i * units], [rows, units]);
  const taken: Step[] = [];
  let now = tf.zeros([rows, units]) as Tensor2D;
  for (let t = 0; t < steps; t++) {
    const sums = tf.slice(projected, [t * rows, 0], [rows, 3 * units]);
    const both = tf.sigmoid(
      tf.add(tf.slice(sums, [0, 0], [rows, 2 * units]), tf.matMul(now, gates)),
    ) as Tensor2D;
    const [update, reset] = [part(both, 0), part(both, 1)];
    const candidate = tf.tanh(tf.add(part(sums, 2), tf.matMul(tf.mul(reset, now), proposal))) as Tensor2D;
    taken.push({ before: now, update, reset, candidate });
    now = tf.add(candidate, tf.mul(update, tf.sub(now, candidate)));
  }
  const gradients = (error: Tensor2D, each: boolean): Tensor[] => {
    const { gateErrors, proposalErrors } = backThroughTime(tf, taken, gates, proposal, error);
    const before = tf.concat(taken.map((step) => step.before)) as Tensor2D;
    const kept = tf.concat(taken.map((step) => tf.mul(step.reset, step.before))) as Tensor2D;
    const gate = tf.concat(gateErrors) as Tensor2D;
    const proposed = tf.concat(proposalErrors) as Tensor2D;
    const sums = tf.concat([gate, proposed], 1) as Tensor2D;
    if (!each) {
      const ofState = [tf.matMul(tf.transpose(before), gate), tf.matMul(tf.transpose(kept), proposed)];
      return [tf.matMul(tf.transpose(series), sums), tf.concat(ofState, 1), tf.sum(sums, 0)];
    }
    const byRow = (of: Tensor2D): tfCore.Tensor3D =>
      tf.transpose(tf.reshape(of, [steps, rows, of.shape[1]]), [1, 0, 2]);
    const product = (a: Tensor2D, b: Tensor2D): tfCore.Tensor3D => tf.matMul(byRow(a), byRow(b), true, false);
    const ofState = tf.concat([product(before, gate), product(kept, proposed)], 2);
    return [
      tf.reshape(product(series, sums), [rows, channels * 3 * units]),
      tf.reshape(ofState, [rows, units * 3 * units]),
      tf.sum(byRow(sums), 1),
    ];
  };
  return { values: now, gradients };
}

/** ∂loss/∂(sums) of the gates and of the candidate, for every step, from ∂loss/∂(last state). */
function backThroughTime(
  tf: Tfjs,
  taken: readonly Step[],
  gates: Tensor2D,
  proposal: Tensor2D,
  last: Tensor2D,
): { gateErrors: Tensor2D[]; proposalErrors: Tensor2D[] } {
  const gateErrors: Tensor2D[] = [];
  const proposalErrors: Tensor2D[] = [];
  const sigmoidSlope = (value: Tensor2D): Tensor2D => tf.mul(value, tf.sub(1, value));
  // Products of transposed matrices are slow on wasm, so what every step uses is turned once.
  const [gatesBack, proposalBack] = [tf.transpose(gates), tf.transpose(proposal)];
  let error = last;
  for (const { before, update, reset, candidate } of taken.toReversed()) {
    const ofCandidate = tf.mul<Tensor2D>(tf.mul(error, tf.sub(1, update)), tf.sub(1, tf.square(candidate)));
    const ofKept = tf.matMul(ofCandidate, proposalBack);
    const ofUpdate = tf.mul(tf.mul(error, tf.sub(before, candidate)), sigmoidSlope(update));
    const ofReset = tf.mul(tf.mul(ofKept, before), sigmoidSlope(reset));
    const ofGates = tf.concat([ofUpdate, ofReset], 1) as Tensor2D;
    gateErrors.unshift(ofGates);
    proposalErrors.unshift(ofCandidate);
    error = tf.addN([
      tf.mul<Tensor2D>(error, update),
      tf.mul<Tensor2D>(ofKept, reset),
      tf.matMul(ofGates, gatesBack),
    ]);
  }
  return { gateErrors, proposalErrors };
}

function embedded(tf: Tfjs, spec: ModelSpec, parameters: readonly Tensor[], features: Tensor2D): Front {
  const { columns, vocabulary, size } = spec.embedding!;
  const rows = features.shape[0];
  const table = parameters[0] as Tensor2D;
  const indices = tf.cast(tf.reshape(tf.slice(features, [0, 0], [rows, columns]), [rows * columns]), 'int32');
  const vectors = tf.gather(table, indices as tfCore.Tensor1D);
  const mean = spec.summary === 'mean';
  const width = mean ? size : columns * size;
  const summary = (
    mean ? tf.mean(tf.reshape(vectors, [rows, columns, size]), 1) : tf.reshape(vectors, [rows, width])
  ) as Tensor2D;
  const others = spec.inputs - columns;
  const values =
    others > 0 ? tf.concat([summary, tf.slice(features, [0, columns], [rows, others])], 1) : summary;
  const gradients = (given: Tensor2D, each: boolean): Tensor[] => {
    const ofVectors = tf.slice(given, [0, 0], [rows, width]);
    const spread = mean
      ? tf.tile(tf.reshape(tf.div(ofVectors, columns), [rows, 1, size]), [1, columns, 1])
      : ofVectors;
    const errors = tf.reshape(spread, [rows * columns, size]);
    if (!each) return [tf.unsortedSegmentSum(errors, indices as tfCore.Tensor1D, vocabulary)];
    // A table for each row, one after the other.
    const firsts = Int32Array.from(
      { length: rows * columns },
      (_, i) => vocabulary * Math.floor(i / columns),
    );
    const own = tf.add(indices, tf.tensor1d(firsts, 'int32')) as tfCore.Tensor1D;
    return [tf.reshape(tf.unsortedSegmentSum(errors, own, rows * vocabulary), [rows, vocabulary * size])];
  };
  return { values, gradients };
}
