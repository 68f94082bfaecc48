/**
 * One instance of the compiled training kernels: lays out a net and its rows in the module's memory.
 *
 * Trusts: kernels.generated.ts, which `npm run check:kernels` compares with its source; specs, weights and rows after
 * checks.ts. May be called by: client/training/kernel-engine.ts. Not for two calls at once: what one leaves in memory
 * the next overwrites.
 */
import { fromBase64 } from '../../../crypto/bytes.ts';
import { PulsefoldError } from '../../../crypto/error.ts';
import type { TrainingData, TrainOptions } from '../engine.ts';
import type { LayerLayout, ModelSpec } from '../model.ts';
import { modelLayout, outputKindOf, outputsOf, parameterCount } from '../model.ts';
import { kernelsBase64 } from './kernels.generated.ts';

/** Exports of assembly/index.ts. Pointers are byte offsets. */
interface Kernels {
  readonly heapBase: { readonly value: number };
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  pack(net: number, flat: number, padded: number): void;
  unpack(net: number, padded: number, flat: number): number;
  /** 1 or 0. */
  allFinite(at: number, count: number): number;
  accumulate(net: number, features: number, labels: number, order: number, rows: number): void;
  apply(net: number, rows: number): void;
  trainMany(
    net: number,
    features: number,
    labels: number,
    offsets: number,
    clients: number,
    orders: number,
    epochs: number,
    batch: number,
    start: number,
    out: number,
  ): void;
  gradients(net: number, features: number, labels: number, rows: number, out: number): void;
  predict(net: number, features: number, rows: number, out: number): void;
}

/** What is used of WebAssembly: neither Node's types nor the ES library declare it. */
interface WebAssemblyApi {
  validate(bytes: Uint8Array): boolean;
  compile(bytes: Uint8Array): Promise<object>;
  Instance: new (module: object) => { readonly exports: unknown };
}

const api = (globalThis as unknown as { WebAssembly?: WebAssemblyApi }).WebAssembly;

let compiled: Promise<object> | undefined;

/** Compiles the kernels once per thread. @throws PulsefoldError UNAVAILABLE where there is no WebAssembly with SIMD. */
export function compileTrainingKernels(): Promise<object> {
  compiled ??= compileOnce();
  return compiled;
}

async function compileOnce(): Promise<object> {
  const bytes = fromBase64(kernelsBase64);
  if (api === undefined || !api.validate(bytes))
    throw new PulsefoldError('UNAVAILABLE', 'no WebAssembly SIMD here; use the engine tfjs-wasm or tfjs-cpu');
  return api.compile(bytes);
}

const pageBytes = 65_536;
const headerBytes = 48;
const layerBytes = 48;
const roundUp = (bytes: number): number => 16 * Math.ceil(bytes / 16);

/** Where things are once a net is laid out; byte offsets. */
interface Places {
  readonly key: string;
  readonly layers: readonly LayerLayout[];
  readonly inputs: number;
  readonly outputs: number;
  /** Floats of the flat vector, bytes of the padded one. */
  readonly dimension: number;
  readonly paddedBytes: number;
  readonly net: number;
  readonly parameters: number;
  readonly start: number;
  readonly gradient: number;
  readonly shift: number;
  readonly mask: number;
  /** First byte of `flat`, a flat vector on its way in or out. */
  readonly flat: number;
  /** First byte for rows. */
  readonly rows: number;
}

/** Rows in memory, for the calls that read them. */
export interface LoadedRows {
  readonly features: number;
  readonly labels: number;
  /** First free byte. */
  readonly end: number;
}

export class KernelMachine {
  readonly kernels: Kernels;
  #places: Places | undefined;

  constructor(module: object) {
    this.kernels = new api!.Instance(module).exports as Kernels;
  }

  get memoryBytes(): number {
    return this.kernels.memory.buffer.byteLength;
  }

  get places(): Places {
    return this.#places!;
  }

  /** Lays out the net of `spec` and packs `weights` into the parameters and into `start`. Shift and mask are off. */
  begin(spec: ModelSpec, weights: Float32Array): void {
    const key = JSON.stringify([spec.inputs, spec.hidden, outputsOf(spec)]);
    if (this.#places?.key !== key) this.#layOut(spec, key);
    const { net, paddedBytes, parameters, start, gradient, layers } = this.places;
    const kind = { binary: 0, classes: 1, regression: 2 }[outputKindOf(spec)];
    this.words(net, 7).set([
      layers.length,
      spec.activation === 'relu' ? 0 : 1,
      kind,
      parameters,
      gradient,
      0,
      0,
    ]);
    this.words(gradient, paddedBytes / 4).fill(0);
    this.#pack(weights, start);
    this.words(parameters, paddedBytes / 4).set(this.words(start, paddedBytes / 4));
  }

  /** How weights move: the same numbers as the tfjs engines (tfjs-run.ts), for `weights` as given to `begin`. */
  setMotion(weights: Float32Array, options: TrainOptions): void {
    const { net, layers, shift, mask } = this.places;
    const { learningRate, proximalMu, l2, gradientOffset, frozen = [] } = options;
    this.floats(net + 32, 1)[0] = learningRate;
    layers.forEach((_, i) => {
      const keep = this.floats(net + headerBytes + i * layerBytes + 28, 2);
      keep[0] = 1 - learningRate * (proximalMu + l2);
      keep[1] = 1 - learningRate * proximalMu;
    });
    const shifts = proximalMu > 0 || gradientOffset !== undefined;
    if (shifts) {
      const values = weights.map(
        (value, i) => learningRate * (proximalMu * value - (gradientOffset?.[i] ?? 0)),
      );
      this.#pack(values, shift);
    }
    if (frozen.length > 0) {
      const moves = new Int32Array(weights.length).fill(-1);
      for (const [from, to] of frozen) moves.fill(0, from, to);
      this.#pack(moves, mask);
    }
    this.words(net + 20, 2).set([shifts ? shift : 0, frozen.length > 0 ? mask : 0]);
  }

  /** The current parameters, flat. */
  weights(): Float32Array {
    const { net, parameters, flat, dimension } = this.places;
    this.kernels.unpack(net, parameters, flat);
    return this.floats(flat, dimension).slice();
  }

  /** Bytes that `count` rows take. */
  rowBytes(count: number): number {
    return roundUp(4 * count * this.places.inputs) + roundUp(4 * count);
  }

  /** Room for `count` rows and `extraBytes` after them. Moves the views. */
  rowsAt(count: number, extraBytes = 0): LoadedRows {
    const features = this.places.rows;
    const labels = features + roundUp(4 * count * this.places.inputs);
    const end = labels + roundUp(4 * count);
    this.#reserve(end + extraBytes);
    return { features, labels, end };
  }

  floats(at: number, length: number): Float32Array {
    return new Float32Array(this.kernels.memory.buffer, at, length);
  }

  words(at: number, length: number): Uint32Array {
    return new Uint32Array(this.kernels.memory.buffer, at, length);
  }

  #pack(values: Float32Array | Int32Array, to: number): void {
    const { net, flat } = this.places;
    const target = values instanceof Float32Array ? Float32Array : Int32Array;
    new target(this.kernels.memory.buffer, flat, values.length).set(values);
    this.kernels.pack(net, flat, to);
  }

  #reserve(bytes: number): void {
    const missing = Math.ceil(bytes / pageBytes) - this.memoryBytes / pageBytes;
    try {
      if (missing > 0) this.kernels.memory.grow(missing);
    } catch (cause) {
      throw new PulsefoldError('UNAVAILABLE', `no memory for ${bytes} bytes of training data`, { cause });
    }
  }

  #layOut(spec: ModelSpec, key: string): void {
    const layers = modelLayout(spec);
    const vectorsOf = (units: number): number => (units === 1 ? 0 : Math.ceil(units / 4));
    let padded = 0;
    const arrays = layers.map(({ inputs, outputs }) => {
      const weightsAt = padded;
      const vectors = vectorsOf(outputs);
      const biasAt = weightsAt + (vectors === 0 ? roundUp(4 * inputs) : 16 * vectors * inputs);
      padded = biasAt + 16 * Math.max(1, vectors);
      return { weightsAt, biasAt, vectors };
    });
    const net = 64 * Math.ceil(this.kernels.heapBase.value / 64);
    let top = net + headerBytes + layers.length * layerBytes;
    const take = (bytes: number): number => {
      const at = top;
      top += roundUp(bytes);
      return at;
    };
    const dimension = parameterCount(spec);
    const [parameters, start, gradient, shift, mask] = Array.from({ length: 5 }, () => take(padded)) as [
      number,
      number,
      number,
      number,
      number,
    ];
    const rowsOf = layers.map(({ inputs, outputs }) => [take(4 * inputs), take(4 * outputs)] as const);
    const flat = take(4 * dimension);
    this.#reserve(top);
    this.words(net, (top - net) / 4).fill(0);
    this.words(net + 28, 1)[0] = padded;
    layers.forEach(({ inputs, outputs }, i) => {
      const { weightsAt, biasAt, vectors } = arrays[i]!;
      const words = [inputs, outputs, vectors, weightsAt, biasAt, ...rowsOf[i]!];
      this.words(net + headerBytes + i * layerBytes, words.length).set(words);
    });
    const places = {
      key,
      layers,
      inputs: spec.inputs,
      outputs: outputsOf(spec),
      dimension,
      paddedBytes: padded,
    };
    this.#places = { ...places, net, parameters, start, gradient, shift, mask, flat, rows: top };
  }
}

/** Rows `from` to `to` of the table, in its own order. */
export function copyRows(
  machine: KernelMachine,
  at: LoadedRows,
  data: TrainingData,
  from: number,
  to: number,
): void {
  const { inputs } = machine.places;
  machine.floats(at.features, (to - from) * inputs).set(data.features.subarray(from * inputs, to * inputs));
  machine.floats(at.labels, to - from).set(data.labels.subarray(from, to));
}
