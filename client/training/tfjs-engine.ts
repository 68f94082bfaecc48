/**
 * TrainEngine on the TensorFlow.js core API.
 *
 * Trusts: the tfjs module it is given. May be called by: tfjs-load.ts. Leaves no tensor behind, whatever happens
 * (tested).
 */
import { ensure } from '../../crypto/error.ts';
import { checkData, checkFeatures, checkOptions, checkResult, checkWeights } from './checks.ts';
import type { EngineName, TrainEngine, TrainingData, TrainOptions } from './engine.ts';
import type { ModelSpec } from './model.ts';
import { convolutionLayout, modelLayout, outputsOf, parameterCount } from './model.ts';
import { forward, recordGradients, type Tfjs, toParameters, toRows } from './tfjs-network.ts';
import { TrainingRun } from './tfjs-run.ts';

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
    checkOptions(spec, options);
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
      const trained = checkResult(run.flatWeights(), 'training diverged; lower the learning rate');
      options.onSteps?.(run.steps);
      return trained;
    } finally {
      this.#use();
      run.dispose();
    }
  }

  async recordGradients(spec: ModelSpec, weights: Float32Array, data: TrainingData): Promise<Float32Array> {
    checkData(spec, data);
    checkWeights(spec, weights);
    const dimension = parameterCount(spec);
    const out = new Float32Array(data.count * dimension);
    const rowsPerChunk = Math.max(1, Math.floor(chunkFloatsMax / Math.max(dimension, rowFloats(spec))));
    this.#use();
    const tf = this.#tf;
    tf.tidy(() => {
      const parameters = toParameters(tf, spec, weights);
      for (let from = 0; from < data.count; from += rowsPerChunk) {
        const length = Math.min(data.count - from, rowsPerChunk);
        tf.tidy(() => {
          const rows = toRows(
            tf,
            spec,
            data,
            Uint32Array.from({ length }, (_, i) => from + i),
          );
          out.set(recordGradients(tf, spec, parameters, rows).dataSync<'float32'>(), from * dimension);
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
    const rowsPerChunk = Math.max(1, Math.floor(chunkFloatsMax / rowFloats(spec)));
    const outputs = outputsOf(spec);
    const out = new Float32Array(count * outputs);
    this.#use();
    const tf = this.#tf;
    tf.tidy(() => {
      const parameters = toParameters(tf, spec, weights);
      for (let from = 0; from < count; from += rowsPerChunk) {
        const to = Math.min(count, from + rowsPerChunk);
        tf.tidy(() => {
          const values = features.slice(from * spec.inputs, to * spec.inputs);
          const rows = tf.tensor2d(values, [to - from, spec.inputs]);
          out.set(forward(tf, spec, parameters, rows).outputs.dataSync<'float32'>(), from * outputs);
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

/** Most floats of one row that lie next to each other in one tensor on its way through the model. */
function rowFloats(spec: ModelSpec): number {
  const series = convolutionLayout(spec).map(({ outputSteps, filters }) => outputSteps * filters);
  const states = spec.kind === 'gru' ? (3 * spec.units! * spec.inputs) / spec.channels! : 0;
  const layers = modelLayout(spec).map(({ inputs, outputs }) => Math.max(inputs, outputs));
  return Math.max(spec.inputs, states, ...series, ...layers);
}
