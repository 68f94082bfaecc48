/**
 * Data sets of the experiments: load by name or through a schema file, split without leaks, deal to clients.
 *
 * For: experiments/ and cli/ (`pulsefold demo --dataset NAME`). Trusts: nothing in the files; a file whose checksum is
 * unknown is refused, because every figure we report names the data it was computed on.
 */
export type { DatasetClient } from './clients.ts';
export { clientsOf, parseClientRule } from './clients.ts';
export type { CsvDataset, CsvOptions } from './csv-dataset.ts';
export { loadCsvDataset } from './csv-dataset.ts';
export type { LoadOptions } from './registry.ts';
export {
  datasetAvailable,
  datasetDefinition,
  datasetOf,
  datasets,
  loadDataset,
  localTableCsv,
  subset,
  targetHalfRange,
} from './registry.ts';
export { findDataRoot } from './root.ts';
export { parseSplitRule, splitOf } from './split-rules.ts';
export type { Split } from './splits.ts';
export type {
  ClientRule,
  Dataset,
  DatasetDefinition,
  DatasetName,
  DatasetRow,
  SplitRule,
} from './types.ts';
