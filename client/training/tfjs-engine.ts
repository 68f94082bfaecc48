/**
 * TrainEngine on the TensorFlow.js core API: forward and backward pass of a dense net spelled out in tensor
 * ops.
 *
 * Why no tf.grads and no layers model: tfjs-core alone registers no gradients, building a layers model costs
 * more than a phone's whole training step, and per-record gradients need the layer activations anyway. The
 * passes are tested against tf.grads. Trusts: the tfjs module it is given. May be called by: tfjs-load.ts.
 * Leaves no tensor behind, whatever happens (tested).
 */
import type * as tfCore from '@tensorflow/tfjs-core';
import { ensure } from '../../crypto/error.ts';
import { seededRandom, shuffle } from '../../crypto/random.ts';
import { checkData, checkFeatures, checkOptions, checkResult, checkWeights } from './checks.ts';
import type { EngineName, TrainEngine, TrainingData, TrainOptions } from './engine.ts';
import type { LayerLayout, ModelSpec } from './model.ts';
import { modelLayout, parameterCount } from './model.ts';

export type Tfjs = typeof tfCore;
type Tensor2D = tfCore.Tensor2D;
type Tensor = tfCore.Tensor;

interface Layer {
  readonly weights: Tensor;
  readonly bias: Tensor;
}

/** Most floats of intermediate per-record products at once; keeps the wasm heap small. */
const chunkFloatsMax = 1 << 22;
/** Other work of the process gets a turn after this long. */
const turnMs = 25;

export class TfjsEngine implements TrainEngine {
  readonly name: EngineName;
  readonly skipped: TrainEngine['skipped'];
  readonly #tf: Tfjs;
  readonly #backend: string;

  constructor(name: EngineName, tf: Tfjs, backend: string, skipped: TrainEngine['skipped']) {
    this.name = name;
    this.skipped = skipped;
    this.#tf = tf;
    this.#backend = backend;
  }

  async train(
    spec: ModelSpec,
    weights: Float32Array,
    data: TrainingData,
    options: TrainOptions,
  ): Promise<Float32Array> {
    checkData(spec, data);
    checkWeights(spec, weights);
    checkOptions(options);
    const run = new TrainingRun(this.#tf, spec, weights, data, options);
    try {
      let turnStart = performance.now();
      for (let epoch = 0; epoch < options.epochs; epoch++) {
        for (const batch of run.batches()) {
          this.#use();
          run.step(batch);
          if (performance.now() - turnStart > turnMs) {
            await new Promise((resolve) => setImmediate(resolve));
            turnStart = performance.now();
          }
        }
      }
      this.#use();
      return checkResult(run.flatWeights(), 'training diverged; lower the learning rate');
    } finally {
      this.#use();
      run.dispose();
    }
  }

  async recordGradients(spec: ModelSpec, weights: Float32Array, data: TrainingData): Promise<Float32Array> {
    checkData(spec, data);
    checkWeights(spec, weights);
    const dimension = parameterCount(spec);
    const layout = modelLayout(spec);
    const out = new Float32Array(data.count * dimension);
    const rowsPerChunk = Math.max(1, Math.floor(chunkFloatsMax / dimension));
    this.#use();
    const tf = this.#tf;
    tf.tidy(() => {
      const layers = toLayers(tf, layout, weights);
      for (let from = 0; from < data.count; from += rowsPerChunk) {
        const to = Math.min(data.count, from + rowsPerChunk);
        tf.tidy(() => {
          const features = tf.tensor2d(rowsOf(data.features, spec.inputs, from, to), [
            to - from,
            spec.inputs,
          ]);
          const labels = tf.tensor2d(Float32Array.from(data.labels.subarray(from, to)), [to - from, 1]);
          const parts: Tensor2D[] = [];
          const { activations, deltas } = backward(tf, spec, layers, features, labels);
          layout.forEach((layer, i) => {
            // Row r of the product is the outer product of record r's layer input and its error signal.
            const outer = tf.mul(
              tf.reshape(activations[i]!, [to - from, layer.inputs, 1]),
              tf.reshape(deltas[i]!, [to - from, 1, layer.outputs]),
            );
            parts.push(tf.reshape(outer, [to - from, layer.inputs * layer.outputs]), deltas[i]! as Tensor2D);
          });
          out.set(tf.concat(parts, 1).dataSync<'float32'>(), from * dimension);
        });
      }
    });
    return checkResult(out, 'a record gradient is not finite; the weights are too large');
  }

  async predict(
    spec: ModelSpec,
    weights: Float32Array,
    features: Float32Array,
    count: number,
  ): Promise<Float32Array> {
    checkFeatures(spec, features, count);
    checkWeights(spec, weights);
    const widest = Math.max(spec.inputs, ...spec.hidden);
    const rowsPerChunk = Math.max(1, Math.floor(chunkFloatsMax / widest));
    const out = new Float32Array(count);
    this.#use();
    const tf = this.#tf;
    tf.tidy(() => {
      const layers = toLayers(tf, modelLayout(spec), weights);
      for (let from = 0; from < count; from += rowsPerChunk) {
        const to = Math.min(count, from + rowsPerChunk);
        tf.tidy(() => {
          const rows = tf.tensor2d(rowsOf(features, spec.inputs, from, to), [to - from, spec.inputs]);
          out.set(forward(tf, spec, layers, rows).probabilities.dataSync<'float32'>(), from);
        });
      }
    });
    return checkResult(out, 'a prediction is not finite; the weights are too large');
  }

  /** tfjs has one global backend; several engines may share the process. Synchronous once initialised. */
  #use(): void {
    if (this.#tf.getBackend() === this.#backend) return;
    void this.#tf.setBackend(this.#backend);
    ensure(this.#tf.getBackend() === this.#backend, 'INTERNAL', `the ${this.#backend} backend is gone`);
  }
}

/** State of one train() call: parameter tensors that are replaced step by step. */
class TrainingRun {
  readonly #tf: Tfjs;
  readonly #spec: ModelSpec;
  readonly #data: TrainingData;
  readonly #batchSize: number;
  readonly #order: number[];
  readonly #random: ReturnType<typeof seededRandom> | undefined;
  readonly #rate: Tensor;
  /** 1 − rate·(l2 + μ) for weights, 1 − rate·μ for biases; undefined when 1. */
  readonly #keepWeights: Tensor | undefined;
  readonly #keepBias: Tensor | undefined;
  /** rate·μ·(received parameters); undefined when μ = 0. */
  readonly #pull: Layer[] | undefined;
  #layers: Layer[];
  /** The whole table as tensors, kept when every batch is the whole table. */
  #full: readonly [Tensor2D, Tensor2D] | undefined;

  constructor(tf: Tfjs, spec: ModelSpec, weights: Float32Array, data: TrainingData, options: TrainOptions) {
    this.#tf = tf;
    this.#spec = spec;
    this.#data = data;
    this.#batchSize = Math.min(options.batchSize, data.count);
    this.#order = Array.from({ length: data.count }, (_, i) => i);
    this.#random = this.#batchSize < data.count ? seededRandom(`batches/${options.seed}`) : undefined;
    const { learningRate, proximalMu, l2 } = options;
    const layout = modelLayout(spec);
    this.#layers = toLayers(tf, layout, weights);
    this.#rate = tf.scalar(learningRate);
    if (proximalMu + l2 > 0) this.#keepWeights = tf.scalar(1 - learningRate * (l2 + proximalMu));
    if (proximalMu > 0) {
      this.#keepBias = tf.scalar(1 - learningRate * proximalMu);
      this.#pull = toLayers(
        tf,
        layout,
        weights.map((value) => value * learningRate * proximalMu),
      );
    }
    if (!this.#random) this.#full = this.#tensors(0, data.count);
  }

  /** Ranges of the current order; reshuffled for every epoch. */
  *batches(): Generator<readonly [number, number]> {
    if (this.#random) shuffle(this.#order, this.#random);
    for (let from = 0; from < this.#data.count; from += this.#batchSize)
      yield [from, Math.min(this.#data.count, from + this.#batchSize)];
  }

  step([from, to]: readonly [number, number]): void {
    const tf = this.#tf;
    const next = tf.tidy(() => {
      const [features, labels] = this.#full ?? this.#tensors(from, to);
      const { activations, deltas } = backward(tf, this.#spec, this.#layers, features, labels);
      const rate = tf.div(this.#rate, to - from);
      return this.#layers.map((layer, i) => {
        const gradient = tf.matMul(activations[i]! as Tensor2D, deltas[i]! as Tensor2D, true, false);
        return {
          weights: this.#move(layer.weights, this.#keepWeights, gradient, rate, this.#pull?.[i]?.weights),
          bias: this.#move(layer.bias, this.#keepBias, tf.sum(deltas[i]!, 0), rate, this.#pull?.[i]?.bias),
        };
      });
    });
    disposeLayers(this.#layers);
    this.#layers = next;
  }

  flatWeights(): Float32Array {
    const flat = new Float32Array(parameterCount(this.#spec));
    modelLayout(this.#spec).forEach((layer, i) => {
      flat.set(this.#layers[i]!.weights.dataSync<'float32'>(), layer.weightsAt);
      flat.set(this.#layers[i]!.bias.dataSync<'float32'>(), layer.biasAt);
    });
    return flat;
  }

  dispose(): void {
    disposeLayers(this.#layers);
    if (this.#pull) disposeLayers(this.#pull);
    for (const tensor of [this.#rate, this.#keepWeights, this.#keepBias, ...(this.#full ?? [])])
      tensor?.dispose();
  }

  /** value·keep − rate·gradient + pull. */
  #move(
    value: Tensor,
    keep: Tensor | undefined,
    gradient: Tensor,
    rate: Tensor,
    pull: Tensor | undefined,
  ): Tensor {
    const tf = this.#tf;
    const moved = tf.sub(keep ? tf.mul(value, keep) : value, tf.mul(gradient, rate));
    return pull ? tf.add(moved, pull) : moved;
  }

  #tensors(from: number, to: number): readonly [Tensor2D, Tensor2D] {
    const { inputs } = this.#spec;
    const features = new Float32Array((to - from) * inputs);
    const labels = new Float32Array(to - from);
    for (let i = from; i < to; i++) {
      const row = this.#order[i]!;
      features.set(this.#data.features.subarray(row * inputs, (row + 1) * inputs), (i - from) * inputs);
      labels[i - from] = this.#data.labels[row]!;
    }
    const tf = this.#tf;
    return [tf.tensor2d(features, [to - from, inputs]), tf.tensor2d(labels, [to - from, 1])];
  }
}

function toLayers(tf: Tfjs, layout: readonly LayerLayout[], weights: Float32Array): Layer[] {
  return layout.map(({ inputs, outputs, weightsAt, biasAt }) => ({
    weights: tf.tensor2d(weights.slice(weightsAt, biasAt), [inputs, outputs]),
    bias: tf.tensor1d(weights.slice(biasAt, biasAt + outputs)),
  }));
}

function disposeLayers(layers: readonly Layer[]): void {
  for (const { weights, bias } of layers) {
    weights.dispose();
    bias.dispose();
  }
}

const rowsOf = (features: Float32Array, inputs: number, from: number, to: number): Float32Array =>
  features.slice(from * inputs, to * inputs);

/** Input of every layer and the probabilities (rows × 1). */
function forward(
  tf: Tfjs,
  spec: ModelSpec,
  layers: readonly Layer[],
  features: Tensor2D,
): { activations: Tensor[]; probabilities: Tensor } {
  const activations: Tensor[] = [features];
  let current: Tensor = features;
  layers.forEach(({ weights, bias }, i) => {
    const sums = tf.add(tf.matMul(current as Tensor2D, weights as Tensor2D), bias);
    if (i + 1 === layers.length) current = tf.sigmoid(sums);
    else {
      current = spec.activation === 'relu' ? tf.relu(sums) : tf.tanh(sums);
      activations.push(current);
    }
  });
  return { activations, probabilities: current };
}

/**
 * Input of every layer and, per record, ∂loss/∂(sums of that layer). With a sigmoid output and log-loss the
 * last one is p − y, which stays exact where log(p) would overflow.
 */
function backward(
  tf: Tfjs,
  spec: ModelSpec,
  layers: readonly Layer[],
  features: Tensor2D,
  labels: Tensor2D,
): { activations: Tensor[]; deltas: Tensor[] } {
  const { activations, probabilities } = forward(tf, spec, layers, features);
  const deltas: Tensor[] = [tf.sub(probabilities, labels)];
  for (let i = layers.length - 1; i > 0; i--) {
    const back = tf.matMul(deltas[0]! as Tensor2D, layers[i]!.weights as Tensor2D, false, true);
    const active = activations[i]!;
    // relu'(x) = [relu(x) > 0]; tanh'(x) = 1 − tanh²(x).
    const slope = spec.activation === 'relu' ? tf.step(active) : tf.sub(1, tf.square(active));
    deltas.unshift(tf.mul(back, slope));
  }
  return { activations, deltas };
}
