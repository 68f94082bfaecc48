/**
 * The schema file that turns any CSV table into a data set: ten lines of YAML (or JSON), no code.
 *
 * For: csv-dataset.ts. Trusts: nothing in the file; every error names file, line and column of the schema. Ranges and
 * categories are public constants that a person writes down: reading them off private rows (`auto`) is refused, because
 * it would be a release that no budget was charged for. docs/datasets.md describes the fields.
 */
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';
import type { Feature, FeatureSchema } from '../../protos/features.ts';
import { featuresMax, parseFeatureSchema } from '../../protos/features.ts';
import type { YamlFile } from '../runs/yaml-file.ts';
import { checkYaml, readYamlFile, valueAt } from '../runs/yaml-file.ts';
import { parseSplitRule } from './split-rules.ts';
import type { SplitRule } from './types.ts';

const charactersMax = 65_536;
export const delimiters = { comma: ',', semicolon: ';', tab: '\t', pipe: '|' } as const;
type Delimiter = (typeof delimiters)[keyof typeof delimiters];

export interface CsvSchema {
  /** Path of the schema file as given, and where its table is. */
  readonly path: string;
  readonly csv: string;
  readonly delimiter: Delimiter;
  readonly schema: FeatureSchema;
  readonly title: string;
  readonly licence: string;
  readonly citation: string;
  /** Column that says who a row is about; absent: every row is another person. */
  readonly person: string | undefined;
  readonly site: string | undefined;
  readonly split: SplitRule | undefined;
  /** Texts that mean "not measured" in a column, beside the usual ones. */
  readonly missing: Readonly<Record<string, readonly string[]>>;
  /** `schema.yaml:line:column` of what names a column: for errors about the table. */
  readonly whereNamed: (column: string) => string;
}

/** Texts of cells: numbers and yes/no values as YAML reads them become text again. */
const cellText = z.union([z.string().min(1).max(64), z.number(), z.boolean()]).transform(String);
const columnName = z.union([z.string().min(1).max(64), z.number()]).transform(String);
const autoMessage =
  '`auto` is refused: a range or category list read off private rows is a release that no budget was charged for; ' +
  'write public constants (clinical limits, the coding of the column)';
const notAuto = { error: (issue: { input?: unknown }) => (issue.input === 'auto' ? autoMessage : undefined) };
const rangeMessage =
  'expected a range [minimum, maximum] with minimum below maximum, in the unit of the column';
const range = z
  .tuple([z.number(), z.number()], {
    error: (issue) => (issue.input === 'auto' ? autoMessage : rangeMessage),
  })
  .refine(([minimum, maximum]) => minimum < maximum, rangeMessage);
const categories = z.array(cellText, notAuto).min(2).max(64);

const rangeObject = z.strictObject({ range, scale: z.enum(['symmetric', 'unit']).optional() });
const categoryObject = z.strictObject({ categories });

/** `[18, 90]`, `[female, male]`, `{range: [0, 1], scale: unit}` or `{categories: [1, 2, 3]}`. */
const featureRule = z.unknown().transform((value, context): RuleResult => {
  const chosen = chooseRule(value);
  if (typeof chosen === 'string') {
    context.addIssue({ code: 'custom', message: chosen });
    return z.NEVER;
  }
  const result = chosen.safeParse(value);
  if (result.success) return result.data as RuleResult;
  for (const issue of result.error.issues)
    context.addIssue({ code: 'custom', message: issue.message, path: [...issue.path] });
  return z.NEVER;
});

type RuleResult =
  | readonly [number, number]
  | readonly string[]
  | { readonly range: readonly [number, number]; readonly scale?: 'symmetric' | 'unit' | undefined }
  | { readonly categories: readonly string[] };

function chooseRule(value: unknown): z.ZodType | string {
  const advice =
    'write a range [minimum, maximum], a list of categories [a, b, ...], {range: [0, 1], scale: unit} or ' +
    '{categories: ["1", "2"]}';
  if (value === 'auto') return autoMessage;
  if (Array.isArray(value)) {
    const numbers = value.filter((entry) => typeof entry === 'number').length;
    if (numbers === 0) return categories;
    if (value.length === 2 && numbers === 2) return range;
    return `a list of ${value.length} with numbers is no range; ${advice}`;
  }
  if (typeof value === 'object' && value !== null) {
    if (Object.hasOwn(value, 'categories')) return categoryObject;
    if (Object.hasOwn(value, 'range')) return rangeObject;
  }
  return advice;
}

const label = z.strictObject({
  column: columnName,
  positive: z.union([z.strictObject({ above: z.number() }), cellText]).optional(),
  otherwise: z.array(cellText).min(1).max(16).optional(),
  classes: categories.optional(),
  target: range.optional(),
});

const schemaFile = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'expected small letters, digits and hyphens'),
  file: z.string().min(1).max(4096),
  delimiter: z.enum(['comma', 'semicolon', 'tab', 'pipe', ',', ';', '\t', '|']).optional(),
  label,
  features: z.record(z.string().min(1).max(64), featureRule),
  person: columnName.optional(),
  site: columnName.optional(),
  split: z.unknown().optional(),
  missing: z.record(z.string(), z.array(cellText).min(1).max(16)).optional(),
  title: z.string().max(200).optional(),
  licence: z.string().max(200).optional(),
  citation: z.string().max(500).optional(),
});
type SchemaFile = z.output<typeof schemaFile>;

/**
 * Reads a schema file. @param path of the YAML or JSON file; `file` in it is relative to it
 * @throws PulsefoldError NOT_FOUND; CONFIG_INVALID with `file:line:column: field: what is wrong`; PARAMETER_UNSAFE for
 *   ranges that would be read off private rows.
 */
export function readCsvSchema(path: string): CsvSchema {
  const yaml = readYamlFile(path, charactersMax);
  let parsed: SchemaFile;
  try {
    parsed = checkYaml(yaml, schemaFile);
  } catch (error) {
    if (!isPulsefoldError(error) || !error.message.includes(autoMessage)) throw error;
    throw new PulsefoldError('PARAMETER_UNSAFE', error.message);
  }
  const invalid = (at: readonly (string | number)[], message: string): PulsefoldError =>
    new PulsefoldError('CONFIG_INVALID', `${yaml.locate(at)}: ${at.join('.')}: ${message}`);
  // The parser drops this key, and a dropped column must not go unseen.
  if (Object.hasOwn(valueAt(yaml.value, ['features']) as object, '__proto__'))
    throw invalid(['features', '__proto__'], 'is a reserved name');
  checkColumns(parsed, invalid);
  return {
    path,
    csv: resolve(dirname(path), parsed.file),
    delimiter: delimiterOf(parsed.delimiter),
    schema: featureSchemaOf(parsed, yaml, invalid),
    title: parsed.title ?? parsed.name,
    licence: parsed.licence ?? 'not stated',
    citation: parsed.citation ?? 'not stated',
    person: parsed.person,
    site: parsed.site,
    split: splitRuleOf(parsed.split, yaml),
    missing: parsed.missing ?? {},
    whereNamed: (column) => {
      if (column === parsed.label.column) return yaml.locate(['label', 'column']);
      if (column === parsed.person) return yaml.locate(['person']);
      return column === parsed.site ? yaml.locate(['site']) : yaml.locateKey(['features', column]);
    },
  };
}

type Invalid = (at: readonly (string | number)[], message: string) => PulsefoldError;

const delimiterOf = (given: SchemaFile['delimiter']): Delimiter =>
  given !== undefined && given in delimiters
    ? delimiters[given as keyof typeof delimiters]
    : ((given ?? ',') as Delimiter);

/** A column has one role, or the label, the person or the hospital would be an input. */
function checkColumns(parsed: SchemaFile, invalid: Invalid): void {
  const columns = Object.keys(parsed.features);
  if (columns.length === 0 || columns.length > featuresMax)
    throw invalid(['features'], `expected 1 to ${featuresMax} columns`);
  const roles = [
    ['label', parsed.label.column, 'it is the label'],
    ['person', parsed.person, 'it names the person'],
    ['site', parsed.site, 'the model would read the site instead of the patient'],
  ] as const;
  for (const [, column, reason] of roles)
    if (column !== undefined && columns.includes(column))
      throw invalid(['features', column], `must not be an input: ${reason}`);
  for (const [role, column] of roles.slice(1))
    if (column !== undefined && column === parsed.label.column)
      throw invalid([role], 'is the column of the label');
  for (const column of Object.keys(parsed.missing ?? {}))
    if (!columns.includes(column)) throw invalid(['missing', column], 'is none of the features');
}

function featureSchemaOf(parsed: SchemaFile, yaml: YamlFile, invalid: Invalid): FeatureSchema {
  const features = Object.entries(parsed.features).map(([column, rule]) => featureOf(column, rule));
  try {
    return parseFeatureSchema({
      dataset: parsed.name,
      label: labelOf(parsed.label, invalid),
      features,
      complete: true,
    });
  } catch (error) {
    if (!isPulsefoldError(error) || error.code !== 'PLAN_INVALID') throw error;
    throw new PulsefoldError('CONFIG_INVALID', `${yaml.file}: ${error.message}`);
  }
}

function featureOf(column: string, rule: RuleResult): Feature {
  if ('categories' in rule) return { column, kind: 'category', values: [...rule.categories] };
  if ('range' in rule) {
    const [minimum, maximum] = rule.range;
    return { column, kind: 'number', minimum, maximum, ...(rule.scale ? { scale: rule.scale } : {}) };
  }
  if (typeof rule[0] === 'string') return { column, kind: 'category', values: [...(rule as string[])] };
  const [minimum, maximum] = rule as readonly [number, number];
  return { column, kind: 'number', minimum, maximum };
}

function labelOf(
  { column, positive, otherwise, classes, target }: SchemaFile['label'],
  invalid: Invalid,
): FeatureSchema['label'] {
  const given = [positive, classes, target].filter((rule) => rule !== undefined).length;
  if (given !== 1)
    throw invalid(
      ['label'],
      'needs exactly one of `positive`, `classes` (categories) and `target` (a number)',
    );
  if (otherwise !== undefined && typeof positive !== 'string')
    throw invalid(['label', 'otherwise'], 'belongs to `positive: TEXT`');
  if (classes) return { column, classes };
  if (target) return { column, target: { minimum: target[0], maximum: target[1] } };
  if (typeof positive === 'object') return { column, positive };
  return { column, positive: { equals: positive!, ...(otherwise ? { otherwise } : {}) } };
}

function splitRuleOf(value: unknown, yaml: YamlFile): SplitRule | undefined {
  if (value === undefined) return undefined;
  try {
    return parseSplitRule(value);
  } catch (error) {
    if (!isPulsefoldError(error)) throw error;
    throw new PulsefoldError(error.code, `${yaml.locate(['split'])}: ${error.message}`);
  }
}
