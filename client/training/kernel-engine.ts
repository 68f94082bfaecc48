/**
 * TrainEngine on SIMD kernels of our own: dense models ('lr', 'mlp') of every output, and many small clients in one call.
 *
 * For: simulations, studies, and whoever asks for it by name. Weights equal the tfjs engines' to 1e-5 and are the same
 * bits on every machine. Trusts: what checks.ts lets through. May be called by: engine.ts, experiments/.
 */
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import { checkData, checkFeatures, checkLabels, checkOptions, checkResult, checkWeights } from './checks.ts';
import type { TrainEngine, TrainingData, TrainOptions } from './engine.ts';
import { KnownOrders, type ManyClients, trainWindow, type Window } from './kernels/clients.ts';
import { compileTrainingKernels, copyRows, KernelMachine, type LoadedRows } from './kernels/machine.ts';
import type { ModelSpec } from './model.ts';
import { outputsOf, parameterCount } from './model.ts';
import { RowOrder } from './row-order.ts';

/** Other work of the process gets a turn after this long. */
const turnMs = 25;
/** Multiplications between two looks at the clock. */
const pieceProductsMax = 1 << 22;
/** A table up to this many floats stays in kernel memory for all epochs; a larger one passes through in pieces. */
const residentFloatsMax = 1 << 22;
/** An instance whose memory grew beyond this is dropped after use. */
const memoryBytesMax = 1 << 27;

export class KernelEngine implements TrainEngine {
  readonly name = 'kernel';
  readonly skipped: TrainEngine['skipped'];
  readonly #module: object;
  readonly #idle: KernelMachine[] = [];

  constructor(module: object, skipped: TrainEngine['skipped']) {
    this.#module = module;
    this.skipped = skipped;
  }

  async train(
    spec: ModelSpec,
    weights: Float32Array,
    data: TrainingData,
    options: TrainOptions,
  ): Promise<Float32Array> {
    requireDense(spec);
    checkData(spec, data);
    checkWeights(spec, weights);
    checkOptions(spec, options);
    return await this.#with(async (machine) => {
      machine.begin(spec, weights);
      machine.setMotion(weights, options);
      const batch = Math.min(options.batchSize, data.count);
      const order = batch < data.count ? new RowOrder(data.count, options.seed) : undefined;
      const rows = new PassingRows(machine, data, order?.rows);
      let steps = 0;
      let turnStart = performance.now();
      for (let epoch = 0; epoch < options.epochs; epoch++) {
        order?.next();
        rows.newEpoch();
        for (let from = 0; from < data.count; from += batch) {
          const to = Math.min(data.count, from + batch);
          for (let at = from; at < to; at += rows.pieceRows) {
            rows.accumulate(at, Math.min(to, at + rows.pieceRows));
            if (performance.now() - turnStart < turnMs) continue;
            await new Promise((resolve) => setImmediate(resolve));
            turnStart = performance.now();
          }
          machine.kernels.apply(machine.places.net, to - from);
          steps++;
        }
      }
      const trained = checkResult(machine.weights(), 'training diverged; lower the learning rate');
      options.onSteps?.(steps);
      return trained;
    });
  }

  async recordGradients(spec: ModelSpec, weights: Float32Array, data: TrainingData): Promise<Float32Array> {
    requireDense(spec);
    checkData(spec, data);
    checkWeights(spec, weights);
    const dimension = parameterCount(spec);
    const out = new Float32Array(data.count * dimension);
    const pieceRows = Math.max(1, Math.floor(residentFloatsMax / Math.max(dimension, spec.inputs)));
    await this.#with(async (machine) => {
      machine.begin(spec, weights);
      for (let from = 0; from < data.count; from += pieceRows) {
        const to = Math.min(data.count, from + pieceRows);
        const rows = machine.rowsAt(to - from, 4 * (to - from) * dimension);
        copyRows(machine, rows, data, from, to);
        machine.kernels.gradients(machine.places.net, rows.features, rows.labels, to - from, rows.end);
        const advice = 'a record gradient is not finite; the weights are too large';
        out.set(finite(machine, rows.end, (to - from) * dimension, advice), from * dimension);
      }
    });
    return out;
  }

  async predict(
    spec: ModelSpec,
    weights: Float32Array,
    features: Float32Array,
    count: number,
  ): Promise<Float32Array> {
    requireDense(spec);
    checkFeatures(spec, features, count);
    checkWeights(spec, weights);
    const outputs = outputsOf(spec);
    const out = new Float32Array(count * outputs);
    const pieceRows = Math.max(1, Math.floor(residentFloatsMax / Math.max(outputs, spec.inputs)));
    await this.#with(async (machine) => {
      machine.begin(spec, weights);
      for (let from = 0; from < count; from += pieceRows) {
        const to = Math.min(count, from + pieceRows);
        const rows = machine.rowsAt(to - from, 4 * (to - from) * outputs);
        const values = features.subarray(from * spec.inputs, to * spec.inputs);
        machine.floats(rows.features, values.length).set(values);
        machine.kernels.predict(machine.places.net, rows.features, to - from, rows.end);
        const advice = 'a prediction is not finite; the weights are too large';
        out.set(finite(machine, rows.end, (to - from) * outputs, advice), from * outputs);
      }
    });
    return out;
  }

  /**
   * Local training of many clients from the same weights, one after the other, without a turn for other work. Writes
   * client i's new flat weights to `out` at i × parameterCount: bit for bit what train() gives for its rows with
   * `seeds(i)` for a seed; `options.seed` and `options.onSteps` are not looked at.
   * @throws PulsefoldError as train(); DATA_EMPTY when a client has no rows; VECTOR_LENGTH_MISMATCH for `out`.
   */
  trainMany(
    spec: ModelSpec,
    weights: Float32Array,
    data: TrainingData,
    offsets: Uint32Array,
    options: TrainOptions,
    seeds: (client: number) => string,
    out: Float32Array,
  ): void {
    const window = this.#checkedMany(spec, weights, { data, offsets }, options, out);
    const { clients } = window;
    const machine = this.#take();
    try {
      machine.begin(spec, weights);
      machine.setMotion(weights, options);
      for (let from = 0; from < clients; ) from = trainWindow(machine, window, from, seeds);
    } finally {
      this.#put(machine);
    }
  }

  #checkedMany(
    spec: ModelSpec,
    weights: Float32Array,
    { data, offsets }: ManyClients,
    options: TrainOptions,
    out: Float32Array,
  ): Window {
    requireDense(spec);
    const clients = offsets.length - 1;
    ensure(clients >= 0, 'DATA_INVALID', 'offsets needs one entry more than there are clients');
    for (let i = 0; i < clients; i++) if (offsets[i]! >= offsets[i + 1]!) throw noRows(offsets, i);
    const [from, to] = [offsets[0]!, offsets[clients]!];
    ensure(to <= data.count, 'DATA_INVALID', `offsets reach row ${to}, the table has ${data.count}`);
    ensure(
      data.features.length === data.count * spec.inputs,
      'DATA_INVALID',
      `${data.count} rows of ${spec.inputs} inputs need ${data.count * spec.inputs} values, got ${data.features.length}`,
    );
    checkLabels(spec, { labels: data.labels.subarray(from, to), count: to - from });
    checkWeights(spec, weights);
    checkOptions(spec, options);
    const dimension = parameterCount(spec);
    ensure(
      out.length >= clients * dimension,
      'VECTOR_LENGTH_MISMATCH',
      `${clients} clients of ${dimension} parameters need ${clients * dimension} values, got ${out.length}`,
    );
    return { spec, data, offsets, options, out, clients, dimension, known: new KnownOrders() };
  }

  async #with<T>(use: (machine: KernelMachine) => Promise<T>): Promise<T> {
    const machine = this.#take();
    try {
      return await use(machine);
    } finally {
      this.#put(machine);
    }
  }

  #take(): KernelMachine {
    return this.#idle.pop() ?? new KernelMachine(this.#module);
  }

  #put(machine: KernelMachine): void {
    if (machine.memoryBytes <= memoryBytesMax) this.#idle.push(machine);
  }
}

/** @throws PulsefoldError UNAVAILABLE without WebAssembly SIMD. */
export async function loadKernelEngine(skipped: TrainEngine['skipped'] = []): Promise<KernelEngine> {
  return new KernelEngine(await compileTrainingKernels(), skipped);
}

function requireDense(spec: ModelSpec): void {
  if (spec.kind !== 'lr' && spec.kind !== 'mlp')
    throw new PulsefoldError(
      'CONFIG_INVALID',
      `the kernel engine trains lr and mlp only; use tfjs-wasm or tfjs-cpu for ${spec.kind}`,
    );
}

const noRows = (offsets: Uint32Array, client: number): PulsefoldError =>
  offsets[client] === offsets[client + 1]
    ? new PulsefoldError('DATA_EMPTY', `client ${client} has no rows; leave it out`)
    : new PulsefoldError('DATA_INVALID', `offsets descend at client ${client}`);

/** The floats at `at`. @throws PulsefoldError DATA_INVALID with `advice` when one is not finite. */
function finite(machine: KernelMachine, at: number, length: number, advice: string): Float32Array {
  ensure(machine.kernels.allFinite(at, length), 'DATA_INVALID', advice);
  return machine.floats(at, length);
}

/** One table on its way through kernel memory, in the order of each epoch. */
class PassingRows {
  /** Most rows between two looks at the clock. */
  readonly pieceRows: number;
  readonly #machine: KernelMachine;
  readonly #data: TrainingData;
  readonly #order: Uint32Array | undefined;
  readonly #isResident: boolean;
  readonly #rows: LoadedRows;

  constructor(machine: KernelMachine, data: TrainingData, order: Uint32Array | undefined) {
    this.#machine = machine;
    this.#data = data;
    this.#order = order;
    const { inputs, dimension } = machine.places;
    this.#isResident = data.count * inputs <= residentFloatsMax;
    const rows = Math.min(Math.floor(pieceProductsMax / dimension), Math.floor(residentFloatsMax / inputs));
    this.pieceRows = Math.max(1, rows);
    this.#rows = this.#isResident
      ? machine.rowsAt(data.count, order ? 4 * data.count : 0)
      : machine.rowsAt(this.pieceRows);
    if (this.#isResident) copyRows(machine, this.#rows, data, 0, data.count);
  }

  newEpoch(): void {
    if (this.#isResident && this.#order)
      this.#machine.words(this.#rows.end, this.#order.length).set(this.#order);
  }

  /** Adds up gradients of the rows at places `from` to `to` of the order. */
  accumulate(from: number, to: number): void {
    const { kernels, places } = this.#machine;
    const { features, labels, end } = this.#rows;
    if (this.#isResident && this.#order) {
      kernels.accumulate(places.net, features, labels, end + 4 * from, to - from);
    } else if (this.#isResident) {
      kernels.accumulate(places.net, features + 4 * from * places.inputs, labels + 4 * from, 0, to - from);
    } else {
      this.#gather(from, to);
      kernels.accumulate(places.net, features, labels, 0, to - from);
    }
  }

  #gather(from: number, to: number): void {
    const order = this.#order;
    if (!order) {
      copyRows(this.#machine, this.#rows, this.#data, from, to);
      return;
    }
    const { inputs } = this.#machine.places;
    const features = this.#machine.floats(this.#rows.features, (to - from) * inputs);
    const labels = this.#machine.floats(this.#rows.labels, to - from);
    for (let i = from; i < to; i++) {
      const row = order[i]!;
      features.set(this.#data.features.subarray(row * inputs, (row + 1) * inputs), (i - from) * inputs);
      labels[i - from] = this.#data.labels[row]!;
    }
  }
}
