/**
 * Many small clients through one machine: as many as a window of its memory holds, then the next ones.
 *
 * Trusts: offsets, shapes, labels and options after kernel-engine.ts's checks; looks itself whether rows and results are
 * finite. May be called by: client/training/kernel-engine.ts.
 */
import { PulsefoldError } from '../../../crypto/error.ts';
import { checkFeatures, firstNonFinite } from '../checks.ts';
import type { TrainingData, TrainOptions } from '../engine.ts';
import type { ModelSpec } from '../model.ts';
import { RowOrder } from '../row-order.ts';
import { copyRows, type KernelMachine } from './machine.ts';

/** Floats of rows, and of results, that go through memory at once; small enough for a core's own cache. */
const windowFloatsMax = 1 << 16;
/** Words of shuffled orders in one window. */
const orderWordsMax = 1 << 20;

/** Clients' rows side by side: client i owns rows offsets[i] to offsets[i + 1]. */
export interface ManyClients {
  readonly data: TrainingData;
  /** clients + 1 entries, ascending; the first may be above 0, the last below data.count. */
  readonly offsets: Uint32Array;
}

/** Orders of all epochs, drawn once for clients that share a seed and a number of rows. */
export class KnownOrders {
  readonly #known = new Map<string, Uint32Array>();
  #words = 0;

  of(rows: number, seed: string, epochs: number): Uint32Array {
    const key = `${rows}/${seed}`;
    const known = this.#known.get(key);
    if (known) return known;
    const order = new RowOrder(rows, seed);
    const drawn = new Uint32Array(epochs * rows);
    for (let at = 0; at < drawn.length; at += rows) drawn.set(order.next(), at);
    this.#words += drawn.length;
    if (this.#words > orderWordsMax) {
      this.#known.clear();
      this.#words = drawn.length;
    }
    this.#known.set(key, drawn);
    return drawn;
  }
}

export interface Window extends ManyClients {
  readonly spec: ModelSpec;
  readonly options: TrainOptions;
  readonly out: Float32Array;
  readonly clients: number;
  readonly dimension: number;
  readonly known: KnownOrders;
}

/** Trains clients from `from` on, as many as one window holds; returns the first that it left out. */
export function trainWindow(
  machine: KernelMachine,
  { spec, data, offsets, options, out, clients, dimension, known }: Window,
  from: number,
  seeds: (client: number) => string,
): number {
  const { inputs, net, start } = machine.places;
  const { epochs, batchSize } = options;
  const first = offsets[from]!;
  let to = from;
  let orderWords = 0;
  for (; to < clients; to++) {
    const count = offsets[to + 1]! - offsets[to]!;
    const words = count > batchSize ? epochs * count : 0;
    const isFull =
      (offsets[to + 1]! - first) * inputs > windowFloatsMax ||
      (to + 1 - from) * dimension > windowFloatsMax ||
      orderWords + words > orderWordsMax;
    if (isFull && to > from) break;
    orderWords += words;
  }
  const count = offsets[to]! - first;
  const rows = machine.rowsAt(count, 4 * (to - from + 1 + orderWords + (to - from) * dimension));
  copyRows(machine, rows, data, first, first + count);
  if (!machine.kernels.allFinite(rows.features, count * inputs))
    checkFeatures(spec, data.features, data.count);
  const ordersAt = rows.end + 4 * (to - from + 1);
  const outAt = ordersAt + 4 * orderWords;
  machine.words(rows.end, to - from + 1).set(offsets.subarray(from, to + 1));
  if (orderWords > 0) {
    const orders = machine.words(ordersAt, orderWords);
    let at = 0;
    for (let client = from; client < to; client++) {
      const length = offsets[client + 1]! - offsets[client]!;
      if (length <= batchSize) continue;
      orders.set(known.of(length, seeds(client), epochs), at);
      at += epochs * length;
    }
  }
  machine.kernels.trainMany(
    net,
    rows.features,
    rows.labels,
    rows.end,
    to - from,
    ordersAt,
    epochs,
    Math.min(batchSize, 0xffff_ffff),
    start,
    outAt,
  );
  const results = machine.floats(outAt, (to - from) * dimension);
  if (!machine.kernels.allFinite(outAt, results.length)) {
    const client = from + Math.floor(firstNonFinite(results) / dimension);
    throw new PulsefoldError(
      'DATA_INVALID',
      `training of client ${client} diverged; lower the learning rate`,
    );
  }
  out.set(results, from * dimension);
  return to;
}
