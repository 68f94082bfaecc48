/**
 * Feature schema: how a plan turns a row of a local table into model inputs and a label.
 *
 * For: plans (which embed and hash it), clients and hospitals (which encode with it), experiments. Ranges and
 * category lists are PUBLIC constants chosen from clinical plausibility, never statistics of private rows, so
 * encoding costs no privacy budget. Trusts: nothing; schema and rows are both hostile. Errors name row and
 * column, never the value: the value is somebody's health. May be called by: everyone.
 */
import { z } from 'zod';
import { ensure, PulsefoldError } from '../crypto/error.ts';

/** Most features a schema may list, most inputs after one-hot coding, most rows and cells of one table. */
export const featuresMax = 256;
export const inputsMax = 1024;
export const rowsMax = 1_000_000;
export const cellsMax = 1 << 27;
/** Longest text of one cell that is looked at. */
const cellLengthMax = 64;
/** Most values of a category: one input each, or one input for all. */
const oneHotValuesMax = 64;
const indexedValuesMax = 1024;
/** Most classes a label may have (protos/model.ts: as many outputs). */
const classesMax = 64;

const column = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[^\p{Cc}]+$/u)
  .refine((name) => name !== '__proto__', 'reserved name');
const cell = z.string().min(1).max(cellLengthMax);

const numberFeature = z.strictObject({
  column,
  kind: z.literal('number'),
  /** Public plausible range, in the column's own unit; values outside are clamped to it. */
  minimum: z.number(),
  maximum: z.number(),
  /** 'symmetric' (default): range → [-1, 1]. 'unit': range → [0, 1]. */
  scale: z.enum(['symmetric', 'unit']).optional(),
});
const categoryFeature = z.strictObject({
  column,
  kind: z.literal('category'),
  /** Every value that may occur; one input each (one-hot), in this order. */
  values: z.array(cell).min(2).max(indexedValuesMax),
  /** 'one-hot' (default), or 'index': one input, the position in `values`, for models with an embedding. */
  encoding: z.enum(['one-hot', 'index']).optional(),
});
const positiveRule = z.union([
  /** Positive when the number in the column is strictly above this. */
  z.strictObject({ above: z.number() }),
  /** Positive when the text equals this; with `otherwise`, any text in neither is refused. */
  z.strictObject({ equals: cell, otherwise: z.array(cell).min(1).max(16).optional() }),
]);

const labelRule = z.union(
  [
    z.strictObject({ column, positive: positiveRule }),
    /** Every class that may occur, as text; the class index is the position. */
    z.strictObject({ column, classes: z.array(cell).min(2).max(classesMax) }),
    /** A number to predict; its public plausible range is mapped to [-1, 1], values outside are clamped. */
    z.strictObject({ column, target: z.strictObject({ minimum: z.number(), maximum: z.number() }) }),
  ],
  { error: 'expected `column` and one of `positive`, `classes` or `target`, well-formed' },
);

/** The schema a plan embeds. `complete: true`: rows with a missing value are left out, nothing is imputed. */
export const featureSchema = z
  .strictObject({
    dataset: z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/),
    label: labelRule,
    features: z
      .array(z.discriminatedUnion('kind', [numberFeature, categoryFeature]))
      .min(1)
      .max(featuresMax),
    complete: z.literal(true),
  })
  .superRefine((schema, context) => {
    const { label } = schema;
    if ('classes' in label && new Set(label.classes).size !== label.classes.length)
      context.addIssue({ code: 'custom', message: `label ${label.column}: a class is listed twice` });
    if ('target' in label && !(label.target.minimum < label.target.maximum))
      context.addIssue({ code: 'custom', message: `label ${label.column}: minimum must be below maximum` });
    const seen = new Set<string>([label.column]);
    for (const feature of schema.features) {
      if (seen.has(feature.column))
        context.addIssue({ code: 'custom', message: `column ${feature.column} is used twice` });
      seen.add(feature.column);
      if (feature.kind === 'number' && !(feature.minimum < feature.maximum))
        context.addIssue({ code: 'custom', message: `${feature.column}: minimum must be below maximum` });
      if (
        feature.kind === 'category' &&
        feature.encoding !== 'index' &&
        feature.values.length > oneHotValuesMax
      )
        context.addIssue({
          code: 'custom',
          message: `${feature.column}: more than ${oneHotValuesMax} values need encoding: index`,
        });
      if (feature.kind === 'category' && new Set(feature.values).size !== feature.values.length)
        context.addIssue({ code: 'custom', message: `${feature.column}: a category is listed twice` });
    }
    if (inputCount(schema) > inputsMax)
      context.addIssue({ code: 'custom', message: `more than ${inputsMax} inputs after one-hot coding` });
  });

export type FeatureSchema = z.infer<typeof featureSchema>;
export type Feature = FeatureSchema['features'][number];
export type LabelKind = 'binary' | 'classes' | 'regression';

/** What the label rule yields: 0 or 1, a class index, or a number in [-1, 1]. */
export function labelKindOf(schema: Pick<FeatureSchema, 'label'>): LabelKind {
  if ('classes' in schema.label) return 'classes';
  return 'target' in schema.label ? 'regression' : 'binary';
}

/**
 * Parses a schema of unknown origin. @throws PulsefoldError PLAN_INVALID naming the first offending field.
 */
export function parseFeatureSchema(value: unknown): FeatureSchema {
  const result = featureSchema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new PulsefoldError(
    'PLAN_INVALID',
    `feature schema: ${issue?.path.join('.') || '(root)'}: ${issue?.message ?? 'invalid'}`,
  );
}

/** Whether a feature is one input that holds a position in a list instead of a number in [-1, 1]. */
export const isIndexed = (feature: Feature): boolean =>
  feature.kind === 'category' && feature.encoding === 'index';

/** Number of model inputs: one per number and per indexed category, else one per listed value. */
export function inputCount(schema: Pick<FeatureSchema, 'features'>): number {
  return schema.features.reduce(
    (sum, feature) => sum + (feature.kind === 'number' || isIndexed(feature) ? 1 : feature.values.length),
    0,
  );
}

/** One readable name per model input, e.g. `age`, `cp=2`, in input order. */
export function inputNames(schema: Pick<FeatureSchema, 'features'>): string[] {
  return schema.features.flatMap((feature) =>
    feature.kind === 'number' || isIndexed(feature)
      ? [feature.column]
      : feature.values.map((value) => `${feature.column}=${value}`),
  );
}

/** Why a cell was refused. 'missing' is ordinary incompleteness; the others mean a broken table. */
export type RefusalReason = 'missing' | 'not-a-number' | 'not-listed' | 'too-long';

export interface Refusal {
  /** 0-based index into the rows given. */
  readonly row: number;
  readonly column: string;
  readonly reason: RefusalReason;
}

const advice: Record<RefusalReason, string> = {
  missing: 'the value is missing; fill it in or leave the row out',
  'not-a-number': 'the value is not a finite decimal number',
  'not-listed': 'the value is not among those the plan lists',
  'too-long': `the value is longer than ${cellLengthMax} characters`,
};

/** Texts that tables use for "no value". */
const missingTexts = new Set(['', '?', 'NA', 'N/A', 'null', 'NULL']);
const decimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?$/;

function readCell(row: Readonly<Record<string, string>>, name: string): string | RefusalReason[] {
  const raw: unknown = Object.hasOwn(row, name) ? row[name] : undefined;
  if (raw === undefined || raw === null) return ['missing'];
  if (typeof raw !== 'string') return ['not-a-number'];
  if (raw.length > cellLengthMax) return ['too-long'];
  const text = raw.trim();
  return missingTexts.has(text) ? ['missing'] : text;
}

function toNumber(text: string): number | undefined {
  if (!decimal.test(text)) return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}

/** `value` in its public range as a share from 0 to 1. */
const shareOf = (value: number, { minimum, maximum }: { minimum: number; maximum: number }): number =>
  Math.min(1, Math.max(0, (value - minimum) / (maximum - minimum)));

/** Writes one row's inputs to `out` at `offset`; returns its label or the first refusal. */
function encodeInto(
  schema: FeatureSchema,
  row: Readonly<Record<string, string>>,
  out: Float32Array,
  offset: number,
): number | Omit<Refusal, 'row'> {
  let at = offset;
  for (const feature of schema.features) {
    const text = readCell(row, feature.column);
    if (typeof text !== 'string') return { column: feature.column, reason: text[0]! };
    if (feature.kind === 'number') {
      const value = toNumber(text);
      if (value === undefined) return { column: feature.column, reason: 'not-a-number' };
      const share = shareOf(value, feature);
      out[at++] = feature.scale === 'unit' ? share : 2 * share - 1;
    } else {
      const hit = feature.values.indexOf(text);
      if (hit < 0) return { column: feature.column, reason: 'not-listed' };
      if (isIndexed(feature)) {
        out[at++] = hit;
        continue;
      }
      out.fill(0, at, at + feature.values.length);
      out[at + hit] = 1;
      at += feature.values.length;
    }
  }
  return labelOf(schema.label, row);
}

function labelOf(
  label: FeatureSchema['label'],
  row: Readonly<Record<string, string>>,
): number | Omit<Refusal, 'row'> {
  const refused = (reason: RefusalReason) => ({ column: label.column, reason });
  const text = readCell(row, label.column);
  if (typeof text !== 'string') return refused(text[0]!);
  if ('classes' in label) {
    const index = label.classes.indexOf(text);
    return index < 0 ? refused('not-listed') : index;
  }
  if ('target' in label) {
    const value = toNumber(text);
    return value === undefined ? refused('not-a-number') : 2 * shareOf(value, label.target) - 1;
  }
  const rule = label.positive;
  if ('above' in rule) {
    const value = toNumber(text);
    if (value === undefined) return refused('not-a-number');
    return value > rule.above ? 1 : 0;
  }
  if (text === rule.equals) return 1;
  return rule.otherwise && !rule.otherwise.includes(text) ? refused('not-listed') : 0;
}

export function refusalMessage(refusal: Refusal): string {
  return `row ${refusal.row}, column "${refusal.column}": ${advice[refusal.reason]}`;
}

/**
 * Encodes one row. `rowIndex` only names the row in errors.
 * @returns `features` of length inputCount(schema), each in [-1, 1] or an index; label 0 or 1, a class index, or the
 * target scaled to [-1, 1].
 * @throws PulsefoldError DATA_INVALID naming row and column.
 */
export function encodeRow(
  schema: FeatureSchema,
  row: Readonly<Record<string, string>>,
  rowIndex = 0,
): { features: Float32Array; label: number } {
  const features = new Float32Array(inputCount(schema));
  const label = encodeInto(schema, row, features, 0);
  if (typeof label !== 'number')
    throw new PulsefoldError('DATA_INVALID', refusalMessage({ row: rowIndex, ...label }));
  return { features, label };
}

export interface EncodedTable {
  /** count × inputCount(schema), row-major. */
  readonly features: Float32Array;
  /** Class indices (0 and 1 for binary labels); Float32Array of scaled targets for regression. */
  readonly labels: Uint8Array | Float32Array;
  readonly count: number;
  /** Index into the input rows of each encoded row. */
  readonly kept: Uint32Array;
  /** One entry (the first offending column) for each row left out. */
  readonly refused: readonly Refusal[];
}

/**
 * Encodes a table; rows that cannot be encoded are listed in `refused` and left out.
 * @throws PulsefoldError DATA_INVALID when the table is larger than the caps.
 */
export function encodeTable(
  schema: FeatureSchema,
  rows: readonly Readonly<Record<string, string>>[],
): EncodedTable {
  const inputs = inputCount(schema);
  ensure(rows.length <= rowsMax, 'DATA_INVALID', `a table may have at most ${rowsMax} rows`);
  ensure(rows.length * inputs <= cellsMax, 'DATA_INVALID', `a table may have at most ${cellsMax} inputs`);
  const features = new Float32Array(rows.length * inputs);
  const labels = new (labelKindOf(schema) === 'regression' ? Float32Array : Uint8Array)(rows.length);
  const kept = new Uint32Array(rows.length);
  const refused: Refusal[] = [];
  let count = 0;
  rows.forEach((row, index) => {
    const label = encodeInto(schema, row, features, count * inputs);
    if (typeof label !== 'number') {
      refused.push({ row: index, ...label });
      return;
    }
    labels[count] = label;
    kept[count] = index;
    count++;
  });
  return {
    features: features.slice(0, count * inputs),
    labels: labels.slice(0, count),
    count,
    kept: kept.slice(0, count),
    refused,
  };
}
