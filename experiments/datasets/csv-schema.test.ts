/** Goal: every mistake in a schema file is answered with its file, line and column, and ranges are never read off rows. */
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { isPulsefoldError } from '../../crypto/error.ts';
import { loadCsvDataset } from './index.ts';
import { CsvScratch, changed, lines, rows } from './testing-csv.ts';

const scratch = new CsvScratch();
const write = (name: string, content: string): string => scratch.write(name, content);
const failure = (schema: readonly string[], table: string) => scratch.failure(schema, table);
afterAll(() => scratch.dispose());

describe('mistakes in the schema', () => {
  test.each<[string, string[], string, RegExp]>([
    [
      'auto range',
      changed(lines, 5, '  age: auto'),
      'PARAMETER_UNSAFE',
      /trial\.yaml:5:\d+: features\.age: `auto` is refused.*public constants/,
    ],
    [
      'auto in an object',
      changed(lines, 5, '  age: {range: auto}'),
      'PARAMETER_UNSAFE',
      /trial\.yaml:5:\d+: features\.age\.range: `auto`/,
    ],
    [
      'auto categories',
      changed(lines, 6, '  sex: {categories: auto}'),
      'PARAMETER_UNSAFE',
      /features\.sex\.categories: `auto`/,
    ],
    [
      'auto target',
      changed(lines, 3, 'label: {column: outcome, target: auto}'),
      'PARAMETER_UNSAFE',
      /label\.target: `auto`/,
    ],
    [
      'unknown field',
      changed(lines, 7, 'persn: who'),
      'CONFIG_INVALID',
      /trial\.yaml:7:1: persn: there is no such field; did you mean "person"/,
    ],
    ['no label', changed(lines, 3, ''), 'CONFIG_INVALID', /trial\.yaml:\d+:\d+: label: is missing/],
    [
      'label without a rule',
      changed(lines, 3, 'label: {column: outcome}'),
      'CONFIG_INVALID',
      /trial\.yaml:3:\d+: label: needs exactly one/,
    ],
    [
      'label with two',
      changed(lines, 3, 'label: {column: outcome, positive: 1, target: [0, 1]}'),
      'CONFIG_INVALID',
      /label: needs exactly one/,
    ],
    [
      'range upside down',
      changed(lines, 5, '  age: [100, 18]'),
      'CONFIG_INVALID',
      /trial\.yaml:5:\d+: features\.age: expected a range/,
    ],
    [
      'a list of three numbers',
      changed(lines, 5, '  age: [1, 2, 3]'),
      'CONFIG_INVALID',
      /features\.age: a list of 3 with numbers is no range.*categories/,
    ],
    [
      'one category',
      changed(lines, 6, '  sex: [female]'),
      'CONFIG_INVALID',
      /trial\.yaml:6:\d+: features\.sex/,
    ],
    [
      'the label as input',
      changed(lines, 5, '  outcome: [0, 1]'),
      'CONFIG_INVALID',
      /trial\.yaml:5:\d+: features\.outcome: must not be an input: it is the label/,
    ],
    [
      'the site as input',
      changed(lines, 5, '  where: [x, y]'),
      'CONFIG_INVALID',
      /must not be an input: the model would read the site/,
    ],
    [
      'the person as input',
      changed(lines, 5, '  who: [a, b]'),
      'CONFIG_INVALID',
      /must not be an input: it names the person/,
    ],
    ['no features', [...lines.slice(0, 3), 'features: {}'], 'CONFIG_INVALID', /features: expected 1 to 256/],
    [
      'an unknown split',
      [...lines, 'split: by-night'],
      'CONFIG_INVALID',
      /trial\.yaml:9:\d+: split.*known: per-site/,
    ],
    [
      'the official split',
      [...lines, 'split: official'],
      'PARAMETER_UNSAFE',
      /trial\.yaml:9:\d+: .*23 of the 35/,
    ],
    [
      'missing codes of no feature',
      [...lines, 'missing: {weight: [0]}'],
      'CONFIG_INVALID',
      /missing\.weight: is none of the features/,
    ],
    [
      'a bad name',
      changed(lines, 1, 'name: My Trial'),
      'CONFIG_INVALID',
      /trial\.yaml:1:\d+: name: expected small letters/,
    ],
    ['a key twice', [...lines, 'name: again'], 'CONFIG_INVALID', /trial\.yaml:9:\d+: not valid YAML/],
    ['no YAML', ['a: [1', 'b: }'], 'CONFIG_INVALID', /trial\.yaml:\d+:\d+: not valid YAML/],
    ['not a map', ['- 1'], 'CONFIG_INVALID', /trial\.yaml:1:1/],
    ['aliases', [...lines.slice(0, 4), '  age: &a [1, 2]', '  b: *a'], 'CONFIG_INVALID', /aliases/],
    ['a prototype', changed(lines, 5, '  __proto__: [0, 1]'), 'CONFIG_INVALID', /trial\.yaml/],
  ])('%s', async (_name, schema, code, message) => {
    const found = await failure(schema, rows.join('\n'));
    expect(found.message).toMatch(message);
    expect(found.code).toBe(code);
  });

  test('any text gives a data set or a coded error', async () => {
    write('trial.csv', rows.join('\n'));
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 7 }),
        fc.oneof(
          fc.string(),
          fc.constantFrom(
            '  age: 5',
            '  age: [a]',
            'label: 3',
            'features: [1]',
            'site: [x]',
            '  ? x',
            'person: ~',
          ),
        ),
        async (line, text) => {
          try {
            await loadCsvDataset(write('fuzz.yaml', changed(lines, line + 1, text).join('\n')));
          } catch (error) {
            if (!isPulsefoldError(error)) throw error;
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
