/**
 * What a schema file and its table look like to the program: counts, balance, clamped shares, and hints at leaks.
 *
 * For: `pulsefold data check`. Trusts: nothing beyond what loadCsvDataset has checked. The result holds statistics of
 * the rows: it is for whoever holds them, and is no release.
 */
import { isPulsefoldError } from '../../crypto/error.ts';
import type { Feature } from '../../protos/features.ts';
import { labelKindOf } from '../../protos/features.ts';
import type { CsvDataset, CsvOptions } from './csv-dataset.ts';
import { loadCsvDataset } from './csv-dataset.ts';
import { auc } from './metrics.ts';
import { splitOf } from './split-rules.ts';
import type { SplitRule } from './types.ts';

export interface FeatureReport {
  readonly column: string;
  readonly inputs: number;
  /** As the schema says it: a range or categories. */
  readonly rule: string;
  /** Rows left out because this column was the first without a value. */
  readonly missingRows: number;
  /** Share of rows whose number was outside the range and was clamped to it; null for categories. */
  readonly clampedShare: number | null;
  /** Smallest and largest number; null for categories. */
  readonly seen: readonly [number, number] | null;
  /** AUC of this column alone for a yes/no label, at least 0.5; null otherwise. */
  readonly aucAlone: number | null;
}

export interface CsvCheck {
  readonly name: string;
  readonly schema: string;
  readonly table: string;
  readonly sha256: string;
  readonly rows: number;
  readonly rowsLeftOut: number;
  readonly persons: number;
  readonly rowsPerPersonMax: number;
  readonly sites: readonly { readonly site: string; readonly rows: number }[];
  readonly inputs: number;
  readonly label: {
    readonly column: string;
    readonly kind: 'binary' | 'classes' | 'regression';
    /** Rows by class, or mean and smallest and largest of the number. */
    readonly balance: Readonly<Record<string, number>>;
    /** Regression: share of rows outside the target range. */
    readonly clampedShare: number | null;
  };
  readonly features: readonly FeatureReport[];
  readonly split: { readonly rule: SplitRule; readonly train: number; readonly test: number } | null;
  readonly warnings: readonly string[];
}

/** Beyond this a column alone tells the label: it may be a consequence of it (an age at diagnosis, a drug). */
const giveawayAuc = 0.95;
const clampedShareMax = 0.05;
/** Fewer positives than this cannot be told from one person. */
const rowsOfClassMin = 10;

/** Loads and describes. @throws what loadCsvDataset throws. */
export async function checkCsv(schemaFile: string, options: CsvOptions = {}): Promise<CsvCheck> {
  const dataset = await loadCsvDataset(schemaFile, options);
  const { csv, rows, schema } = dataset;
  const rowsOf = countBy(rows.map((row) => row.person));
  const warnings: string[] = [];
  const features = schema.features.map((feature) => featureReport(dataset, feature));
  const label = labelReport(dataset);
  const split = splitReport(dataset, warnings);
  for (const { column, clampedShare, aucAlone } of features) {
    if (clampedShare !== null && clampedShare > clampedShareMax)
      warnings.push(
        `${column}: ${percent(clampedShare)} of the rows lie outside the range; is the unit right?`,
      );
    if (aucAlone !== null && aucAlone > giveawayAuc)
      warnings.push(
        `${column}: alone gives the label with AUC ${aucAlone.toFixed(3)}; is it a consequence of the label?`,
      );
  }
  if (label.kind !== 'regression')
    for (const [name, count] of Object.entries(label.balance))
      if (count < rowsOfClassMin) warnings.push(`label ${name}: only ${count} rows`);
  const copies = rows.length - new Set(rows.map(({ values }) => JSON.stringify(values))).size;
  if (csv.schema.person === undefined && copies > 0)
    warnings.push(
      `${copies} rows are copies of others and there is no person column; if people repeat, name the column under ` +
        '`person`, or they will stand on both sides of a split',
    );
  if (csv.known) warnings.push(`this table is the known data set ${csv.known}; its leak rules apply`);
  return {
    name: schema.dataset,
    schema: csv.schema.path,
    table: csv.path,
    sha256: csv.table.sha256,
    rows: rows.length,
    rowsLeftOut: csv.table.rows.length - rows.length,
    persons: rowsOf.size,
    rowsPerPersonMax: Math.max(...rowsOf.values()),
    sites: [...countBy(rows.map((row) => row.site))].sort().map(([site, count]) => ({ site, rows: count })),
    inputs: dataset.inputs,
    label,
    features,
    split,
    warnings,
  };
}

function countBy(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

function extremes(values: readonly number[]): readonly [number, number] {
  let [smallest, largest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    smallest = Math.min(smallest, value);
    largest = Math.max(largest, value);
  }
  return [smallest, largest];
}

function featureReport({ rows, labels, schema, csv }: CsvDataset, feature: Feature): FeatureReport {
  const { column } = feature;
  const common = { column, missingRows: csv.incomplete[column] ?? 0 };
  if (feature.kind === 'category')
    return {
      ...common,
      inputs: feature.values.length,
      rule: feature.values.join(' | '),
      clampedShare: null,
      seen: null,
      aucAlone: null,
    };
  const values = rows.map((row) => Number(row.values[column]));
  const outside = values.filter((value) => value < feature.minimum || value > feature.maximum).length;
  const alone = labelKindOf(schema) === 'binary' ? auc(labels, values) : Number.NaN;
  return {
    ...common,
    inputs: 1,
    rule: `${feature.minimum} to ${feature.maximum}`,
    clampedShare: outside / values.length,
    seen: extremes(values),
    aucAlone: Number.isNaN(alone) ? null : Math.max(alone, 1 - alone),
  };
}

function labelReport({ schema, labels, rows }: CsvDataset): CsvCheck['label'] {
  const { label } = schema;
  const { column } = label;
  if ('target' in label) {
    const values = rows.map((row) => Number(row.values[column]));
    const [smallest, largest] = extremes(values);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const { minimum, maximum } = label.target;
    const outside = values.filter((value) => value < minimum || value > maximum).length;
    return {
      column,
      kind: 'regression',
      balance: { mean, smallest, largest },
      clampedShare: outside / values.length,
    };
  }
  const names = 'classes' in label ? label.classes : ['negative', 'positive'];
  const counts = names.map((_, index) => labels.filter((value) => value === index).length);
  return {
    column,
    kind: labelKindOf(schema),
    balance: Object.fromEntries(names.map((name, i) => [name, counts[i]!])),
    clampedShare: null,
  };
}

/** The split that a run would use; a refusal is a warning here, because another rule may fit. */
function splitReport(dataset: CsvDataset, warnings: string[]): CsvCheck['split'] {
  const rule = dataset.definition.split;
  try {
    const { train, test } = splitOf(dataset, '0', rule);
    return { rule, train: train.length, test: test.length };
  } catch (error) {
    if (!isPulsefoldError(error)) throw error;
    warnings.push(error.message);
    return null;
  }
}
