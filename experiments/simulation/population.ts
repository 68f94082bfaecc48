/**
 * Everybody's rows in one table: a virtual device is an index, a slice of that table and a seed.
 *
 * Trusts: nothing. May be called by: experiments.
 */
import type { TrainingData } from '../../client/training/engine.ts';
import { toHex, utf8 } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import { getSuite } from '../../crypto/identity/suite.ts';
import type { Dataset } from '../datasets/index.ts';

/** All devices' rows in one table; device i owns table rows offsets[i] .. offsets[i+1). Arrays may be shared. */
export interface VirtualPopulation {
  readonly table: TrainingData;
  /** Devices + 1 entries, ascending from 0. */
  readonly offsets: Uint32Array;
  readonly inputs: number;
  /** Rows that a federated evaluation may score, in the same form; without them devices sit evaluations out. */
  readonly evaluation?: { readonly table: TrainingData; readonly offsets: Uint32Array };
}

export const deviceCount = ({ offsets }: Pick<VirtualPopulation, 'offsets'>): number => offsets.length - 1;

/** @throws DATA_INVALID for offsets that are not the bounds of slices of the table. */
export function checkPopulation({ table, offsets, inputs, evaluation }: VirtualPopulation): void {
  for (const part of [{ table, offsets }, ...(evaluation ? [evaluation] : [])]) {
    const { features, labels, count } = part.table;
    const fits = features.length === count * inputs && labels.length === count;
    ensure(fits, 'DATA_INVALID', 'the population: a table of another size than its rows and inputs say');
    ensure(
      part.offsets.length === offsets.length,
      'DATA_INVALID',
      'the population: as many slices in both tables',
    );
    let last = 0;
    for (const offset of part.offsets) {
      ensure(
        offset >= last && offset <= count,
        'DATA_INVALID',
        'the population: offsets ascend within the table',
      );
      last = offset;
    }
  }
  ensure(
    offsets.length >= 2 && offsets[0] === 0,
    'DATA_INVALID',
    'the population: at least one device, from row 0',
  );
}

type Slices = readonly { readonly rows: readonly number[] }[];

/** One device per client, in their order. */
export function populationOf(
  dataset: Pick<Dataset, 'features' | 'labels' | 'inputs'>,
  clients: Slices,
  evaluation?: Slices,
): VirtualPopulation {
  const { inputs } = dataset;
  return {
    ...gather(dataset, clients),
    inputs,
    ...(evaluation ? { evaluation: gather(dataset, evaluation) } : {}),
  };
}

function gather(
  { features, labels, inputs }: Pick<Dataset, 'features' | 'labels' | 'inputs'>,
  clients: Slices,
) {
  const count = clients.reduce((sum, { rows }) => sum + rows.length, 0);
  const offsets = new Uint32Array(clients.length + 1);
  const table = {
    features: new Float32Array(new SharedArrayBuffer(4 * count * inputs)),
    labels: sharedLike(labels, count),
    count,
  };
  let at = 0;
  clients.forEach(({ rows }, i) => {
    for (const row of rows) {
      table.features.set(features.subarray(row * inputs, (row + 1) * inputs), at * inputs);
      table.labels[at++] = labels[row]!;
    }
    offsets[i + 1] = at;
  });
  return { table: table as TrainingData, offsets };
}

const sharedLike = (labels: TrainingData['labels'], count: number): TrainingData['labels'] =>
  labels instanceof Float32Array
    ? new Float32Array(new SharedArrayBuffer(4 * count))
    : new Uint8Array(new SharedArrayBuffer(count));

function shared<T extends Float32Array | Uint32Array | Uint8Array>(values: T): T {
  if (values.buffer instanceof SharedArrayBuffer) return values;
  const Kind = values.constructor as new (buffer: SharedArrayBuffer) => T;
  const copy = new Kind(new SharedArrayBuffer(values.byteLength));
  copy.set(values);
  return copy;
}

/** The same population with arrays that threads share; copies what is not shared yet. */
export function sharedPopulation(population: VirtualPopulation): VirtualPopulation {
  const part = ({ table, offsets }: Pick<VirtualPopulation, 'table' | 'offsets'>) => ({
    table: { ...table, features: shared(table.features), labels: shared(table.labels) },
    offsets: shared(offsets),
  });
  const { evaluation } = population;
  return { ...population, ...part(population), ...(evaluation ? { evaluation: part(evaluation) } : {}) };
}

/** The rows of one device; views, not copies. */
export function rowsOf(
  { table, offsets }: Pick<VirtualPopulation, 'table' | 'offsets'>,
  inputs: number,
  device: number,
): TrainingData {
  const [from, to] = [offsets[device]!, offsets[device + 1]!];
  return {
    features: table.features.subarray(from * inputs, to * inputs),
    labels: table.labels.subarray(from, to) as TrainingData['labels'],
    count: to - from,
  };
}

/** What devices are called, and under which name the ledger charges them; both hexadecimal. */
export interface Names {
  deviceId(index: number): string;
  pseudonym(index: number): string;
  indexOf(deviceId: string): number;
}

/** Names of devices without an identity: they follow from seed and index, in the order of the indices. */
export class DeviceNames implements Names {
  readonly #device: string;
  readonly #pseudonym: string;

  constructor(seed: string, epoch: string) {
    const { digest } = getSuite('intl');
    this.#device = toHex(digest(utf8(`simulation/device/${seed}`)).subarray(0, 12));
    this.#pseudonym = toHex(digest(utf8(`simulation/pseudonym/${seed}/${epoch}`)).subarray(0, 28));
  }

  deviceId(index: number): string {
    return this.#device + index.toString(16).padStart(8, '0');
  }
  pseudonym(index: number): string {
    return this.#pseudonym + index.toString(16).padStart(8, '0');
  }
  indexOf(deviceId: string): number {
    return Number.parseInt(deviceId.slice(-8), 16);
  }
}
