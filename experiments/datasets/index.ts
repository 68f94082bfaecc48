/**
 * The registry of data sets: load by name, checked and encoded.
 *
 * For: experiments/ and cli/ (`pulsefold demo --dataset NAME`). Trusts: nothing in the files; a file whose
 * checksum is unknown is refused, because every figure we report names the data it was computed on.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import Papa from 'papaparse';
import type { Row } from '../../client/sources/csv.ts';
import { readTable } from '../../client/sources/csv.ts';
import type { TrainingData } from '../../client/training/engine.ts';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import { encodeTable, inputCount, parseFeatureSchema, refusalMessage } from '../../protos/features.ts';
import { cardio } from './cardio.ts';
import { nhanes } from './nhanes.ts';
import { pima } from './pima.ts';
import { generateBandPopulation, syntheticBand } from './synthetic-band.ts';
import type { Dataset, DatasetDefinition, DatasetName } from './types.ts';
import { uciHeart } from './uci-heart.ts';

export { findDataRoot } from './root.ts';
export type { Dataset, DatasetDefinition, DatasetName, DatasetRow } from './types.ts';

export const datasets: Readonly<Record<DatasetName, DatasetDefinition>> = {
  'uci-heart': uciHeart,
  cardio,
  nhanes,
  pima,
  'synthetic-band': syntheticBand,
};

/** @throws PulsefoldError NOT_FOUND listing the known names. */
export function datasetDefinition(name: string): DatasetDefinition {
  ensure(
    Object.hasOwn(datasets, name),
    'NOT_FOUND',
    `unknown data set "${name.slice(0, 40)}"; known: ${Object.keys(datasets).join(', ')}`,
  );
  return datasets[name as DatasetName];
}

export interface LoadOptions {
  /** Directory found by findDataRoot(). */
  readonly dataRoot?: string | undefined;
  /** Public seed and size of the synthetic population; defaults 'band' and 6,000. */
  readonly seed?: string;
  readonly syntheticRows?: number;
}

/** Whether `loadDataset(name)` would find its file. */
export async function datasetAvailable(name: DatasetName, dataRoot: string | undefined): Promise<boolean> {
  const { file } = datasetDefinition(name);
  if (!file) return true;
  if (dataRoot === undefined) return false;
  return stat(join(dataRoot, file.path)).then(
    (entry) => entry.isFile(),
    () => false,
  );
}

/**
 * Loads, checks, cleans and encodes a data set.
 * @throws PulsefoldError NOT_FOUND, CHECKSUM_MISMATCH, DATA_INVALID.
 */
export async function loadDataset(name: DatasetName, options: LoadOptions = {}): Promise<Dataset> {
  const definition = datasetDefinition(name);
  const { rows, source } = await readRows(definition, options);
  const clean = definition.clean(rows);
  ensure(
    definition.cleanRows === undefined || clean.length === definition.cleanRows,
    'DATA_INVALID',
    `${name}: ${clean.length} rows are left after cleaning, expected ${definition.cleanRows}`,
  );
  const schema = parseFeatureSchema(definition.schema);
  const table = encodeTable(
    schema,
    clean.map((row) => row.values),
  );
  const refused = table.refused[0];
  if (refused) throw new PulsefoldError('DATA_INVALID', `${name}: ${refusalMessage(refused)}`);
  return {
    definition,
    schema,
    rows: clean,
    features: table.features,
    labels: table.labels,
    count: table.count,
    inputs: inputCount(schema),
    sites: [...new Set(clean.map((row) => row.site))].sort(),
    source,
  };
}

async function readRows(
  definition: DatasetDefinition,
  options: LoadOptions,
): Promise<{ rows: readonly Row[]; source: string }> {
  const { file, name } = definition;
  if (!file) {
    const seed = options.seed ?? 'band';
    const rows = generateBandPopulation(seed, options.syntheticRows ?? 6000);
    return { rows, source: `generated (seed ${seed})` };
  }
  ensure(
    await datasetAvailable(name, options.dataRoot),
    'NOT_FOUND',
    `${name}: ${file.path} not found; give --data DIR or PULSEFOLD_DATA, or run: pulsefold data get ${name}`,
  );
  const table = await readTable(join(options.dataRoot!, file.path), { delimiter: file.delimiter });
  ensure(
    table.sha256 === file.sha256 || table.textSha256 === file.textSha256,
    'CHECKSUM_MISMATCH',
    `${name}: ${file.path} is not the file this program knows; run: pulsefold data get ${name}`,
  );
  return { rows: table.rows, source: file.path };
}

/** The rows at `indices`, encoded, in that order. */
export function subset(dataset: Dataset, indices: ArrayLike<number>): TrainingData {
  const { inputs } = dataset;
  const features = new Float32Array(indices.length * inputs);
  const labels = new Uint8Array(indices.length);
  for (let i = 0; i < indices.length; i++) {
    const row = indices[i]!;
    ensure(row >= 0 && row < dataset.count, 'FIELD_OUT_OF_RANGE', `there is no row ${row}`);
    features.set(dataset.features.subarray(row * inputs, (row + 1) * inputs), i * inputs);
    labels[i] = dataset.labels[row]!;
  }
  return { features, labels, count: indices.length };
}

/** The rows at `indices` as the CSV a client would hold: schema columns and label only, comma-separated. */
export function localTableCsv(dataset: Dataset, indices: ArrayLike<number>): string {
  const columns = [...dataset.schema.features.map((feature) => feature.column), dataset.schema.label.column];
  const data = Array.from(indices, (row) => columns.map((column) => dataset.rows[row]!.values[column]));
  return `${Papa.unparse({ fields: columns, data }, { newline: '\n' })}\n`;
}
