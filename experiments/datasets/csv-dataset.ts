/**
 * Loads any CSV table through a schema file, refusing what would break or leak.
 *
 * For: experiments/ and cli/ (`pulsefold data check`, `pulsefold run`). Trusts: nothing in schema or table. Errors name
 * file, line and column and never the value: the value may be somebody's health.
 */
import { basename, resolve } from 'node:path';
import type { Row, Table } from '../../client/sources/csv.ts';
import { readTable } from '../../client/sources/csv.ts';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import type { Refusal } from '../../protos/features.ts';
import { encodeTable, refusalMessage } from '../../protos/features.ts';
import { nearest } from '../runs/yaml-file.ts';
import type { CsvSchema } from './csv-schema.ts';
import { readCsvSchema } from './csv-schema.ts';
import { datasetOf, datasets } from './registry.ts';
import type { Dataset, DatasetDefinition, DatasetRow, SplitRule } from './types.ts';

export interface CsvOptions {
  /** Another table than the schema's `file`. */
  readonly csv?: string;
}

export interface CsvDataset extends Dataset {
  readonly csv: CsvReport;
}

/** What the loader did with the table, beside loading it. */
export interface CsvReport {
  readonly schema: CsvSchema;
  readonly path: string;
  readonly table: Table;
  /** Rows left out because an input was missing, by the first such column. */
  readonly incomplete: Readonly<Record<string, number>>;
  /** Known data set that the file is byte for byte, if any. */
  readonly known: string | undefined;
}

/**
 * @param schemaFile path of the YAML or JSON schema
 * @throws PulsefoldError NOT_FOUND, CONFIG_INVALID (schema), DATA_INVALID, DATA_EMPTY (table), PARAMETER_UNSAFE (leaks);
 *   messages name the file, line and column.
 */
export async function loadCsvDataset(schemaFile: string, options: CsvOptions = {}): Promise<CsvDataset> {
  const schema = readCsvSchema(schemaFile);
  const path = options.csv === undefined ? schema.csv : resolve(options.csv);
  const table = await readTable(path, { delimiter: schema.delimiter });
  checkHeader(schema, table);
  const known = Object.values(datasets).find(
    ({ file }) => file?.textSha256 === table.textSha256 || file?.sha256 === table.sha256,
  );
  const { rows, incomplete } = cleanRows(schema, table);
  const definition = definitionOf(schema, rows, known);
  const dataset = datasetOf(definition, rows, basename(path));
  return { ...dataset, csv: { schema, path, table, incomplete, known: known?.name } };
}

const headerRoles = (schema: CsvSchema): (readonly [string, string])[] => [
  [schema.schema.label.column, 'label'],
  ...schema.schema.features.map(({ column }) => [column, 'feature'] as const),
  ...(schema.person === undefined ? [] : [[schema.person, 'person'] as const]),
  ...(schema.site === undefined ? [] : [[schema.site, 'site'] as const]),
];

function checkHeader(schema: CsvSchema, { name, columns, headerLine }: Table): void {
  for (const [column, role] of headerRoles(schema)) {
    if (columns.includes(column)) continue;
    const near = nearest(column, columns);
    const alone = columns.length === 1 && columns[0]!.length > column.length;
    const advice = near
      ? `did you mean "${near}"?`
      : alone
        ? 'the header is a single column: set `delimiter` (comma, semicolon, tab, pipe)'
        : `the table has: ${columns.slice(0, 12).join(', ')}${columns.length > 12 ? ', ...' : ''}`;
    throw new PulsefoldError(
      'DATA_INVALID',
      `${name}, line ${headerLine}: there is no column "${column}" for the ${role} named at ` +
        `${schema.whereNamed(column)}; ${advice}`,
    );
  }
}

/** Complete rows with person and site; a broken cell or a missing label, person or site refuses the table. */
function cleanRows(
  schema: CsvSchema,
  table: Table,
): { rows: DatasetRow[]; incomplete: Record<string, number> } {
  const values = table.rows.map((row) => withoutCodes(row, schema.missing));
  // Labels first: an incomplete row is left out, but not silently when it also lacks the label.
  refuseBroken(table, encodeTable({ ...schema.schema, features: [] }, values).refused, 'label');
  const encoded = encodeTable(schema.schema, values);
  refuseBroken(
    table,
    encoded.refused.filter(({ reason }) => reason !== 'missing'),
    'cell',
  );
  const incomplete: Record<string, number> = {};
  for (const { column } of encoded.refused) incomplete[column] = (incomplete[column] ?? 0) + 1;
  ensure(
    encoded.count > 0,
    'DATA_EMPTY',
    `${table.name}: no complete row is left; most lack column "${Object.keys(incomplete)[0] ?? ''}"`,
  );
  const needed = (index: number, column: string | undefined, otherwise: string): string => {
    if (column === undefined) return otherwise;
    const text = table.rows[index]![column]!.trim();
    ensure(
      text !== '' && text.length <= 128,
      'DATA_INVALID',
      `${table.name}, line ${table.lines[index]}, column "${column}": ${text === '' ? 'the value is missing; say whose row it is' : 'the value is longer than 128 characters'}`,
    );
    return text;
  };
  const rows = Array.from(encoded.kept, (index) => ({
    index,
    site: needed(index, schema.site, schema.schema.dataset),
    person: needed(index, schema.person, `row-${index}`),
    values: values[index]!,
  }));
  return { rows, incomplete };
}

function withoutCodes(row: Row, missing: CsvSchema['missing']): Row {
  const coded = Object.entries(missing).filter(([column, codes]) => codes.includes(row[column]!.trim()));
  return coded.length === 0 ? row : { ...row, ...Object.fromEntries(coded.map(([column]) => [column, ''])) };
}

function refuseBroken(table: Table, refused: readonly Refusal[], what: string): void {
  const [first] = refused;
  if (!first) return;
  const prefix = `row ${first.row}, column "${first.column}": `;
  const text = refusalMessage(first).slice(prefix.length);
  const more = refused.length > 1 ? ` (${refused.length - 1} more rows have a broken ${what})` : '';
  throw new PulsefoldError(
    'DATA_INVALID',
    `${table.name}, line ${table.lines[first.row]}, column "${first.column}": ${text}${more}`,
  );
}

/** What the registry would say of the table. A known file keeps its own list of giveaways. */
function definitionOf(
  schema: CsvSchema,
  rows: readonly DatasetRow[],
  known: DatasetDefinition | undefined,
): DatasetDefinition {
  const people = new Set(rows.map((row) => row.person)).size;
  const repeated = people < rows.length;
  ensure(
    !known?.manyRowsPerPerson || schema.person !== undefined,
    'PARAMETER_UNSAFE',
    `${schema.path}: this table is ${known?.name}, where a person has many rows; name the column that says whose row ` +
      'it is under `person`',
  );
  const sites = new Set(rows.map((row) => row.site)).size;
  return {
    name: schema.schema.dataset,
    title: schema.title,
    licence: schema.licence,
    citation: schema.citation,
    unit: schema.site === undefined ? 'person' : 'record',
    ...(repeated ? { manyRowsPerPerson: true as const } : {}),
    siteKind: schema.site === undefined ? 'none' : known?.siteKind === 'cycle' ? 'cycle' : 'hospital',
    split: schema.split ?? defaultSplit(repeated, people),
    clients:
      schema.site === undefined
        ? { by: repeated ? 'person' : 'row', count: people }
        : { by: 'site', count: sites },
    ...(known?.neverInputs ? { neverInputs: known.neverInputs } : {}),
    schema: schema.schema,
    clean: () => [...rows],
  };
}

/** Rows of one person stay together; else FLamby's split, which for a table without sites is a random one by label. */
const defaultSplit = (repeated: boolean, people: number): SplitRule =>
  repeated ? { rule: 'by-person', fold: 0, folds: Math.min(5, people) } : { rule: 'per-site' };
