/**
 * The registry of data sets: load by name, checked and encoded.
 *
 * For: index.ts, csv-dataset.ts. Trusts: nothing in the files; a file whose
 * checksum is unknown is refused, because every figure we report names the data it was computed on.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import Papa from 'papaparse';
import type { Row } from '../../client/sources/csv.ts';
import { readTable } from '../../client/sources/csv.ts';
import type { TrainingData } from '../../client/training/engine.ts';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import type { Feature, FeatureSchema } from '../../protos/features.ts';
import { encodeTable, inputCount, parseFeatureSchema, refusalMessage } from '../../protos/features.ts';
import { apnea } from './apnea.ts';
import { cardio } from './cardio.ts';
import { refuseGiveaways, refuseRepeatedPersons, refuseSiteMarkers } from './leaks.ts';
import { lifesnaps } from './lifesnaps.ts';
import { mitbihAf } from './mitbih-af.ts';
import { nhanes } from './nhanes.ts';
import { pima } from './pima.ts';
import { generateBandPopulation, syntheticBand } from './synthetic-band.ts';
import type { Dataset, DatasetDefinition, DatasetFile, DatasetName, DatasetRow } from './types.ts';
import { uciHeart } from './uci-heart.ts';
import { wisdm } from './wisdm.ts';

export const datasets: Readonly<Record<DatasetName, DatasetDefinition>> = {
  'uci-heart': uciHeart,
  cardio,
  nhanes,
  pima,
  wisdm,
  'mitbih-af': mitbihAf,
  apnea,
  lifesnaps,
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
  /** Other inputs than the definition's; columns that give something away are refused. */
  readonly features?: readonly Feature[];
}

const filesOf = ({ file, furtherFiles = [] }: DatasetDefinition): DatasetFile[] =>
  file ? [file, ...furtherFiles] : [];

/** Whether `loadDataset(name)` would find its files. */
export async function datasetAvailable(name: DatasetName, dataRoot: string | undefined): Promise<boolean> {
  const files = filesOf(datasetDefinition(name));
  if (dataRoot === undefined) return files.length === 0;
  const found = await Promise.all(
    files.map(({ path }) =>
      stat(join(dataRoot, path)).then(
        (entry) => entry.isFile(),
        () => false,
      ),
    ),
  );
  return found.every(Boolean);
}

/**
 * Loads, checks, cleans and encodes a data set.
 * @throws PulsefoldError NOT_FOUND, CHECKSUM_MISMATCH, DATA_INVALID; PARAMETER_UNSAFE for inputs that leak.
 */
export async function loadDataset(name: DatasetName, options: LoadOptions = {}): Promise<Dataset> {
  const definition = datasetDefinition(name);
  const { tables, source } = await readTables(definition, options);
  const [rows = [], ...further] = tables;
  return datasetOf(definition, definition.clean(rows, further), source, options.features);
}

/**
 * Checks and encodes clean rows: what every data set goes through, whatever file it came from.
 * @throws PulsefoldError DATA_INVALID, PARAMETER_UNSAFE.
 */
export function datasetOf(
  definition: DatasetDefinition,
  rows: readonly DatasetRow[],
  source: string,
  features: readonly Feature[] = definition.schema.features,
): Dataset {
  const { name } = definition;
  ensure(
    definition.cleanRows === undefined || rows.length === definition.cleanRows,
    'DATA_INVALID',
    `${name}: ${rows.length} rows are left after cleaning, expected ${definition.cleanRows}`,
  );
  const schema = parseFeatureSchema({ ...definition.schema, features });
  refuseGiveaways(definition, schema);
  refuseRepeatedPersons(definition, rows);
  refuseSiteMarkers({ name, rows, schema });
  const table = encodeTable(
    schema,
    rows.map((row) => row.values),
  );
  const refused = table.refused[0];
  if (refused) throw new PulsefoldError('DATA_INVALID', `${name}: ${refusalMessage(refused)}`);
  return {
    definition,
    schema,
    rows,
    features: table.features,
    labels: table.labels,
    count: table.count,
    inputs: inputCount(schema),
    sites: [...new Set(rows.map((row) => row.site))].sort(),
    source,
  };
}

async function readTables(
  definition: DatasetDefinition,
  options: LoadOptions,
): Promise<{ tables: (readonly Row[])[]; source: string }> {
  const { file, name } = definition;
  if (!file) {
    const seed = options.seed ?? 'band';
    const rows = generateBandPopulation(seed, options.syntheticRows ?? 6000);
    return { tables: [rows], source: `generated (seed ${seed})` };
  }
  ensure(
    await datasetAvailable(name as DatasetName, options.dataRoot),
    'NOT_FOUND',
    `${name}: ${file.path} not found; give --data DIR or PULSEFOLD_DATA, or run: pulsefold data get ${name}`,
  );
  const tables: (readonly Row[])[] = [];
  for (const { path, sha256, textSha256, ...format } of filesOf(definition)) {
    const table = await readTable(join(options.dataRoot!, path), format);
    ensure(
      table.sha256 === sha256 || table.textSha256 === textSha256,
      'CHECKSUM_MISMATCH',
      `${name}: ${path} is not the file this program knows; run: pulsefold data get ${name}`,
    );
    tables.push(table.rows);
  }
  return { tables, source: file.path };
}

/** The rows at `indices`, encoded, in that order. */
export function subset(dataset: Dataset, indices: ArrayLike<number>): TrainingData {
  const { inputs } = dataset;
  const features = new Float32Array(indices.length * inputs);
  const labels = new (dataset.labels instanceof Float32Array ? Float32Array : Uint8Array)(indices.length);
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

/** Half the width of a regression target's public range: times an error of the scaled value, an error in its unit. */
export function targetHalfRange(schema: Pick<FeatureSchema, 'label'>): number {
  ensure('target' in schema.label, 'CONFIG_INVALID', 'the label is no number to predict');
  return (schema.label.target.maximum - schema.label.target.minimum) / 2;
}
