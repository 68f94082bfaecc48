/** Goal: rows become inputs exactly as the plan says, and nothing else gets through. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isPulsefoldError } from '../crypto/error.ts';
import type { FeatureSchema } from './features.ts';
import {
  encodeRow,
  encodeTable,
  inputCount,
  inputNames,
  labelKindOf,
  parseFeatureSchema,
} from './features.ts';

const schema: FeatureSchema = {
  dataset: 'sample',
  label: { column: 'num', positive: { above: 0 } },
  features: [
    { column: 'age', kind: 'number', minimum: 20, maximum: 90 },
    { column: 'cp', kind: 'category', values: ['1', '2', '3'] },
    { column: 'steps', kind: 'number', minimum: 0, maximum: 20_000, scale: 'unit' },
  ],
  complete: true,
};
const row = { age: '55', cp: '2', steps: '5000', num: '2' };

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return isPulsefoldError(error) ? error.code : `other: ${error}`;
  }
  return 'no error';
}

describe('schema', () => {
  test('is accepted as it stands; inputs are counted and named in order', () => {
    expect(parseFeatureSchema(structuredClone(schema))).toEqual(schema);
    expect(inputCount(schema)).toBe(5);
    expect(inputNames(schema)).toEqual(['age', 'cp=1', 'cp=2', 'cp=3', 'steps']);
  });

  const [age, cp] = schema.features;
  test.each<[string, unknown]>([
    ['not an object', 'x'],
    ['unknown field', { ...schema, extra: 1 }],
    ['incomplete rows allowed', { ...schema, complete: false }],
    ['no features', { ...schema, features: [] }],
    ['column used twice', { ...schema, features: [age, age] }],
    ['label among the features', { ...schema, features: [{ ...age, column: 'num' }] }],
    ['empty range', { ...schema, features: [{ ...age, minimum: 90 }] }],
    ['NaN range', { ...schema, features: [{ ...age, minimum: Number.NaN }] }],
    ['infinite range', { ...schema, features: [{ ...age, maximum: Number.POSITIVE_INFINITY }] }],
    ['category listed twice', { ...schema, features: [{ ...cp, values: ['1', '1'] }] }],
    ['one category', { ...schema, features: [{ ...cp, values: ['1'] }] }],
    ['reserved column', { ...schema, features: [{ ...age, column: '__proto__' }] }],
    ['line end in a column', { ...schema, features: [{ ...age, column: 'a\nb' }] }],
    ['both label rules', { ...schema, label: { column: 'num', positive: { above: 0, equals: '1' } } }],
    ['no label rule', { ...schema, label: { column: 'num' } }],
    ['two label rules', { ...schema, label: { column: 'num', classes: ['a', 'b'], positive: { above: 0 } } }],
    ['one class', { ...schema, label: { column: 'num', classes: ['a'] } }],
    ['a class twice', { ...schema, label: { column: 'num', classes: ['a', 'b', 'a'] } }],
    [
      '65 classes',
      { ...schema, label: { column: 'num', classes: Array.from({ length: 65 }, (_, i) => `${i}`) } },
    ],
    ['target without a range', { ...schema, label: { column: 'num', target: { minimum: 0 } } }],
    ['empty target range', { ...schema, label: { column: 'num', target: { minimum: 5, maximum: 5 } } }],
    ['label class among the features', { ...schema, label: { column: 'age', classes: ['a', 'b'] } }],
    [
      'too many features',
      { ...schema, features: Array.from({ length: 257 }, (_, i) => ({ ...age, column: `c${i}` })) },
    ],
    [
      'too many inputs',
      {
        ...schema,
        features: Array.from({ length: 17 }, (_, i) => ({
          column: `c${i}`,
          kind: 'category',
          values: Array.from({ length: 64 }, (_, v) => `${v}`),
        })),
      },
    ],
  ])('refuses: %s', (_, value) => {
    expect(codeOf(() => parseFeatureSchema(value))).toBe('PLAN_INVALID');
  });
});

describe('encodeRow', () => {
  test('scales by the public range, one-hot categories, label rule', () => {
    const { features, label } = encodeRow(schema, row);
    expect([...features]).toEqual([0, 0, 1, 0, 0.25]);
    expect(label).toBe(1);
    expect(encodeRow(schema, { ...row, num: '0' }).label).toBe(0);
  });

  test('clamps to the range', () => {
    expect([...encodeRow(schema, { ...row, age: '200', steps: '-5' }).features]).toEqual([1, 0, 1, 0, 0]);
    expect(encodeRow(schema, { ...row, age: '-1e300' }).features[0]).toBe(-1);
  });

  test('an indexed category is one input, its position', () => {
    const values = Array.from({ length: 100 }, (_, i) => `v${i}`);
    const indexed = parseFeatureSchema({
      ...schema,
      features: [{ column: 'cp', kind: 'category', values, encoding: 'index' }, schema.features[0]],
    });
    expect([inputCount(indexed), inputNames(indexed)]).toEqual([2, ['cp', 'age']]);
    expect([...encodeRow(indexed, { ...row, cp: 'v99' }).features]).toEqual([99, 0]);
    expect(codeOf(() => encodeRow(indexed, { ...row, cp: '99' }))).toBe('DATA_INVALID');
    const oneHot = { ...schema, features: [{ column: 'cp', kind: 'category', values }] };
    expect(() => parseFeatureSchema(oneHot)).toThrow(/encoding: index/);
  });

  test('label by class: the index; other texts are refused', () => {
    const classes = { ...schema, label: { column: 'num', classes: ['rest', 'walk', 'run'] } };
    expect(labelKindOf(parseFeatureSchema(classes))).toBe('classes');
    expect(['rest', ' run ', 'walk'].map((num) => encodeRow(classes, { ...row, num }).label)).toEqual([
      0, 2, 1,
    ]);
    expect(codeOf(() => encodeRow(classes, { ...row, num: 'swim' }))).toBe('DATA_INVALID');
    expect(codeOf(() => encodeRow(classes, { ...row, num: '1' }))).toBe('DATA_INVALID');
  });

  test('label by target: the public range becomes [-1, 1], clamped', () => {
    const target = { ...schema, label: { column: 'num', target: { minimum: 40, maximum: 120 } } };
    expect(labelKindOf(parseFeatureSchema(target))).toBe('regression');
    const labels = ['40', '80', '100', '300', '-1'].map((num) => encodeRow(target, { ...row, num }).label);
    expect(labels).toEqual([-1, 0, 0.5, 1, -1]);
    expect(codeOf(() => encodeRow(target, { ...row, num: 'fast' }))).toBe('DATA_INVALID');
    const table = encodeTable(target, [
      { ...row, num: '70' },
      { ...row, num: 'x' },
      { ...row, num: '90' },
    ]);
    expect(table.labels).toEqual(Float32Array.of(-0.25, 0.25));
    expect(table.refused).toEqual([{ row: 1, column: 'num', reason: 'not-a-number' }]);
    expect(encodeTable(schema, [row]).labels).toEqual(Uint8Array.of(1));
  });

  test('label by text, with and without a list of the other values', () => {
    const yes = { ...schema, label: { column: 'num', positive: { equals: 'Yes' } } };
    expect(encodeRow(yes, { ...row, num: ' Yes ' }).label).toBe(1);
    expect(encodeRow(yes, { ...row, num: 'No' }).label).toBe(0);
    const listed = { ...schema, label: { column: 'num', positive: { equals: 'Yes', otherwise: ['No'] } } };
    expect(encodeRow(listed, { ...row, num: 'No' }).label).toBe(0);
    expect(codeOf(() => encodeRow(listed, { ...row, num: 'maybe' }))).toBe('DATA_INVALID');
  });

  test.each<[string, string, Record<string, string>]>([
    ['empty', 'age', { ...row, age: '' }],
    ['question mark', 'age', { ...row, age: '?' }],
    ['NaN', 'age', { ...row, age: 'NaN' }],
    ['Infinity', 'age', { ...row, age: 'Infinity' }],
    ['overflowing', 'age', { ...row, age: '1e999' }],
    ['hexadecimal', 'age', { ...row, age: '0x10' }],
    ['two numbers', 'age', { ...row, age: '1 2' }],
    ['very long', 'age', { ...row, age: '1'.repeat(65) }],
    ['unlisted category', 'cp', { ...row, cp: '9' }],
    [
      'inherited property',
      'steps',
      Object.assign(Object.create({ steps: '1' }), { age: '55', cp: '2', num: '0' }),
    ],
    ['missing label', 'num', { ...row, num: '' }],
  ])('refuses %s and names row and column, never the value', (_, column, bad) => {
    const error = (() => {
      try {
        encodeRow(schema, bad, 17);
      } catch (thrown) {
        return thrown as Error;
      }
      return new Error('no error');
    })();
    expect(isPulsefoldError(error) && error.code).toBe('DATA_INVALID');
    expect(error.message).toContain(`row 17, column "${column}"`);
    expect(error.message).not.toContain('1e999');
    expect(error.message).not.toContain('maybe');
  });
});

describe('encodeTable', () => {
  test('keeps complete rows, lists the others', () => {
    const table = encodeTable(schema, [row, { ...row, age: '' }, { ...row, cp: 'x' }, { ...row, num: '0' }]);
    expect(table.count).toBe(2);
    expect([...table.kept]).toEqual([0, 3]);
    expect([...table.labels]).toEqual([1, 0]);
    expect(table.features.length).toBe(10);
    expect([...table.features.subarray(5)]).toEqual([0, 0, 1, 0, 0.25]);
    expect(table.refused).toEqual([
      { row: 1, column: 'age', reason: 'missing' },
      { row: 2, column: 'cp', reason: 'not-listed' },
    ]);
  });

  test('a refused row leaves no trace in the next one', () => {
    const table = encodeTable(schema, [{ ...row, cp: '1', steps: '' }, row]);
    expect([...table.features]).toEqual([0, 0, 1, 0, 0.25]);
  });

  test('every input lies in [-1, 1] whatever the text', () => {
    const text = fc.oneof(fc.string(), fc.double().map(String), fc.constantFrom('1', '2', '3', '', '?'));
    fc.assert(
      fc.property(fc.array(fc.record({ age: text, cp: text, steps: text, num: text })), (rows) => {
        const table = encodeTable(schema, rows);
        expect(table.count + table.refused.length).toBe(rows.length);
        expect(table.features.every((value) => value >= -1 && value <= 1)).toBe(true);
        table.kept.forEach((index, i) => {
          expect([...encodeRow(schema, rows[index]!).features]).toEqual([
            ...table.features.subarray(i * 5, i * 5 + 5),
          ]);
        });
      }),
    );
  });
});
