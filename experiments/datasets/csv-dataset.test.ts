/**
 * Goal: a researcher's own CSV becomes a data set through ten lines of YAML, and every mistake in schema or table is
 * answered with file, line and column, never with a value.
 */
import { copyFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { loadTrainEngine } from '../../client/training/engine.ts';
import { baselineOptions, centralTaskBaseline, modelOf } from './baselines.ts';
import { checkCsv } from './csv-check.ts';
import { readCsvSchema } from './csv-schema.ts';
import { clientsOf, datasetAvailable, findDataRoot, loadCsvDataset, splitOf } from './index.ts';
import { CsvScratch, changed, lines, rows } from './testing-csv.ts';

const example = resolve(import.meta.dirname, 'examples/clinic.yaml');
const dataRoot = findDataRoot();
const haveHeart = await datasetAvailable('uci-heart', dataRoot);
const haveWisdm = await datasetAvailable('wisdm', dataRoot);

const scratch = new CsvScratch();
const { directory } = scratch;
const write = (name: string, content: string | Uint8Array): string => scratch.write(name, content);
const failure = (schema: readonly string[], table: string | Uint8Array) => scratch.failure(schema, table);
afterAll(() => scratch.dispose());

describe('the example', () => {
  test('loads, splits, deals and trains', async () => {
    const dataset = await loadCsvDataset(example);
    expect([dataset.count, dataset.inputs, dataset.sites]).toEqual([140, 5, ['harbour', 'north', 'south']]);
    expect(dataset.csv.incomplete).toEqual({ resting_pulse: 1 });
    expect(dataset.definition.split).toEqual({ rule: 'by-person', fold: 0, folds: 5 });
    const split = splitOf(dataset, '0', dataset.definition.split);
    expect(clientsOf(dataset, { kind: 'site' }, split.train).map(({ name }) => name)).toEqual(dataset.sites);
    const spec = modelOf(dataset);
    const engine = await loadTrainEngine(['tfjs-cpu']);
    const options = { ...baselineOptions(spec, '0'), epochs: 100 };
    const { metrics } = await centralTaskBaseline(engine, spec, dataset, split, options);
    expect(metrics.task === 'binary' && metrics.auc).toBeGreaterThan(0.6);
  });

  test('JSON, gzip, another table, semicolons, BOM, CRLF, quotes', async () => {
    const json = {
      name: 'j',
      file: 'j.csv.gz',
      label: { column: 'y', target: [0, 10] },
      features: { x: [0, 1] },
    };
    write('j.csv.gz', gzipSync('x,y\n0.5,5\n1,7.5\n'));
    const numbers = await loadCsvDataset(write('j.json', JSON.stringify(json)));
    expect([...numbers.labels]).toEqual([0, 0.5]);
    const text = `\uFEFF"who";where;age;sex;outcome\r\na;x;50;female;1\r\n\r\n"b;b";x;60;male;0\r\nc;y;" 70";male;1\r\n`;
    const schema = write('trial.yaml', [...lines, 'delimiter: semicolon'].join('\n'));
    const dataset = await loadCsvDataset(schema, { csv: write('other.csv', text) });
    expect(dataset.rows.map((row) => row.person)).toEqual(['a', 'b;b', 'c']);
    expect(dataset.csv.table.lines).toEqual([2, 4, 5]);
  });

  test('classes, thresholds, codes for missing, unit scale, split rule', async () => {
    write('trial.csv', 'who,dose,age,level\na,2,50,low\nb,3,0,high\nc,1,70,mid\n');
    const schema = readCsvSchema(
      write(
        'trial.yaml',
        'name: t\nfile: trial.csv\nlabel: {column: level, classes: [low, mid, high]}\nsplit: random\n' +
          'features:\n  age: {range: [18, 100], scale: unit}\n  dose: {categories: [1, 2, 3]}\nmissing: {age: [0]}\n',
      ),
    );
    expect(schema.schema.features).toEqual([
      { column: 'age', kind: 'number', minimum: 18, maximum: 100, scale: 'unit' },
      { column: 'dose', kind: 'category', values: ['1', '2', '3'] },
    ]);
    const dataset = await loadCsvDataset(schema.path);
    expect([...dataset.labels]).toEqual([0, 1]);
    expect(dataset.csv.incomplete).toEqual({ age: 1 });
    expect(dataset.definition.split).toEqual({ rule: 'random' });
    write(
      'trial.yaml',
      'name: t\nfile: trial.csv\nlabel: {column: dose, positive: {above: 1.5}}\nfeatures: {age: [0, 100]}\n',
    );
    expect([...(await loadCsvDataset(join(directory, 'trial.yaml'))).labels]).toEqual([1, 1, 0]);
  });
});

describe('mistakes in the table', () => {
  test.each<[string, string | Uint8Array, string, RegExp]>([
    [
      'text where a number belongs',
      changed(rows, 3, 'b,x,old,male,0').join('\n'),
      'DATA_INVALID',
      /trial\.csv, line 3, column "age": the value is not a finite decimal number$/,
    ],
    [
      'more of them',
      rows.join('\n').replace(',60,', ',NaN,').replace(',70,', ',1e999,'),
      'DATA_INVALID',
      /line 3, column "age".*\(1 more row/,
    ],
    [
      'a category that is not listed',
      changed(rows, 4, 'c,y,70,other,1').join('\n'),
      'DATA_INVALID',
      /line 4, column "sex": .*not among/,
    ],
    [
      'a missing label',
      changed(rows, 5, 'd,y,40,female,').join('\n'),
      'DATA_INVALID',
      /line 5, column "outcome": the value is missing/,
    ],
    [
      'a missing label in a row that is incomplete, too',
      changed(rows, 5, 'd,y,,female,').join('\n'),
      'DATA_INVALID',
      /line 5, column "outcome"/,
    ],
    [
      'a label that is not listed',
      changed(rows, 2, 'a,x,50,female,2').join('\n'),
      'DATA_INVALID',
      /line 2, column "outcome"/,
    ],
    [
      'no person',
      changed(rows, 2, ',x,50,female,1').join('\n'),
      'DATA_INVALID',
      /line 2, column "who": .*whose row/,
    ],
    [
      'no label column',
      rows.join('\n').replace('outcome', 'result'),
      'DATA_INVALID',
      /line 1: there is no column "outcome" for the label named at .*trial\.yaml:3:\d+; the table has: who/,
    ],
    [
      'a column spelled otherwise',
      rows.join('\n').replace('age', 'agee'),
      'DATA_INVALID',
      /no column "age" for the feature named at .*trial\.yaml:5:3; did you mean "agee"\?/,
    ],
    [
      'the wrong delimiter',
      rows.join('\n').replaceAll(',', ';'),
      'DATA_INVALID',
      /single column: set `delimiter`/,
    ],
    ['nothing', '', 'DATA_EMPTY', /trial\.csv, line 1: the file is empty/],
    ['only blank lines', '\n\n', 'DATA_EMPTY', /trial\.csv, line 1: the file is empty/],
    ['only a header', `${rows[0]}\n`, 'DATA_EMPTY', /trial\.csv, line 1: .*no rows/],
    [
      'no complete row',
      `${rows[0]}\na,x,,female,1\n`,
      'DATA_EMPTY',
      /no complete row is left; most lack column "age"/,
    ],
    [
      'a column twice',
      rows.join('\n').replace('where', 'age'),
      'DATA_INVALID',
      /line 1: column "age" occurs twice/,
    ],
    [
      'a short row',
      changed(rows, 3, 'b,x,60').join('\n'),
      'DATA_INVALID',
      /line 3: 3 fields, but the header has 5; column "sex" is missing/,
    ],
    ['a long row', changed(rows, 3, 'b,x,60,male,0,9').join('\n'), 'DATA_INVALID', /line 3: 6 fields/],
    ['an open quote', changed(rows, 3, 'b,"x,60,male,0').join('\n'), 'DATA_INVALID', /line 3: /],
    [
      'Latin-1',
      Buffer.from(changed(rows, 4, 'c\u00e9,y,70,male,1').join('\n'), 'latin1'),
      'DATA_INVALID',
      /trial\.csv, line 4: not valid UTF-8/,
    ],
    [
      'a truncated gzip',
      gzipSync(rows.join('\n')).subarray(0, 40),
      'DATA_INVALID',
      /trial\.csv: broken gzip/,
    ],
    [
      'a very long cell',
      changed(rows, 2, `a,x,${'5'.repeat(100)},female,1`).join('\n'),
      'DATA_INVALID',
      /line 2, column "age": .*longer than/,
    ],
  ])('%s', async (_name, table, code, message) => {
    const found = await failure(lines, table);
    expect(found.message).toMatch(message);
    expect(found.code).toBe(code);
  });

  test('lines are counted through quoted line ends and blank lines', async () => {
    const table = 'who,where,age,sex,outcome\n\n"a\na",x,50,female,1\nb,x,bad,male,0\n';
    expect((await failure(lines, table)).message).toContain('line 5, column "age"');
  });

  test('files that are not there', async () => {
    const schema = write('trial.yaml', lines.join('\n'));
    await expect(loadCsvDataset(schema, { csv: join(directory, 'none.csv') })).rejects.toThrow('none.csv');
    await expect(loadCsvDataset(join(directory, 'none.yaml'))).rejects.toThrow(
      expect.objectContaining({ code: 'NOT_FOUND' }),
    );
  });

  test('no message ever shows a value', async () => {
    const secret = 'HIV-positive';
    for (const column of [2, 3, 4]) {
      const cells = rows[2]!.split(',');
      cells[column] = secret;
      expect((await failure(lines, changed(rows, 3, cells.join(',')).join('\n'))).message).not.toContain(
        secret,
      );
    }
  });
});

describe('leaks in a table of one\u2019s own', () => {
  test('a code for "not measured" that names a site is refused, unless it is named as missing', async () => {
    const table = ['who,where,age,sex,outcome'];
    for (let i = 0; i < 20; i++)
      table.push(`p${i},${i % 2 ? 'x' : 'y'},${i % 2 ? 0 : 50 + i},female,${i % 3 ? 1 : 0}`);
    const found = await failure(lines, table.join('\n'));
    expect(found.code).toBe('PARAMETER_UNSAFE');
    expect(found.message).toMatch(/column "age" lies outside its range in all 10 rows of site "x"/);
    const dataset = await loadCsvDataset(write('trial.yaml', [...lines, 'missing: {age: [0]}'].join('\n')));
    expect(dataset.sites).toEqual(['y']);
  });

  test('repeated people: by-person by default, other splits refused', async () => {
    write('trial.csv', [...rows, 'a,x,51,female,1'].join('\n'));
    const dataset = await loadCsvDataset(write('trial.yaml', lines.join('\n')));
    expect(dataset.definition.split).toEqual({ rule: 'by-person', fold: 0, folds: 4 });
    expect(() => splitOf(dataset, '0', { rule: 'index-mod-5' })).toThrow(
      expect.objectContaining({ code: 'PARAMETER_UNSAFE' }),
    );
  });

  test.skipIf(!haveHeart)('a known file under another name keeps its leak rules', async () => {
    copyFileSync(join(dataRoot!, 'uci-heart-4site/heart4.csv'), join(directory, 'mine.csv'));
    const schema = (features: string): string =>
      write(
        'mine.yaml',
        `name: mine\nfile: mine.csv\nlabel: {column: num, positive: {above: 0}}\nsite: site\nfeatures: ${features}\n`,
      );
    await expect(loadCsvDataset(schema('{age: [20, 90], chol: [0, 600]}'))).rejects.toThrow(
      '"chol" must not be an input',
    );
    expect((await loadCsvDataset(schema('{age: [20, 90]}'))).csv.known).toBe('uci-heart');
  });

  test.skipIf(!haveWisdm)('a known file whose people repeat needs its person column', async () => {
    copyFileSync(join(dataRoot!, 'wisdm-har/wisdm_v1.1_transformed.csv.gz'), join(directory, 'w.csv.gz'));
    const schema = write(
      'w.yaml',
      'name: w\nfile: w.csv.gz\nlabel: {column: class, positive: Jogging}\nfeatures: {YAVG: [-12, 12]}\n',
    );
    await expect(loadCsvDataset(schema)).rejects.toThrow('`person`');
  });
});

describe('checkCsv', () => {
  test('counts, balance, clamped shares and hints', async () => {
    const report = await checkCsv(example);
    expect([report.rows, report.rowsLeftOut, report.persons, report.rowsPerPersonMax]).toEqual([
      140, 1, 120, 2,
    ]);
    expect(report.sites.map(({ rows: count }) => count).reduce((a, b) => a + b)).toBe(140);
    expect(report.label.balance).toEqual({ negative: 86, positive: 54 });
    expect(report.features[0]).toMatchObject({
      column: 'age',
      rule: '18 to 100',
      clampedShare: 0,
      missingRows: 0,
    });
    expect(report.split).toMatchObject({ train: 112, test: 28 });
    expect(report.warnings).toEqual([]);
  });

  test('warns of giveaways, units and copies', async () => {
    const table = ['drug,height,outcome'];
    for (let i = 0; i < 30; i++)
      table.push(`${i < 15 ? 0 : 1},${i % 4 ? 170 : 1.7},${i < 15 ? 'no' : 'yes'}`);
    write('trial.csv', table.join('\n'));
    const schema = write(
      'trial.yaml',
      'name: t\nfile: trial.csv\nlabel: {column: outcome, positive: "yes"}\nfeatures: {drug: [0, 1], height: [140, 210]}\n',
    );
    const { warnings, features } = await checkCsv(schema);
    expect(features[1]!.clampedShare).toBeCloseTo(8 / 30, 10);
    expect(warnings.join('\n')).toMatch(/height: 26\.7 % .*unit/);
    expect(warnings.join('\n')).toMatch(/drug: alone gives the label with AUC 1\.000/);
    expect(warnings.join('\n')).toMatch(/26 rows are copies of others and there is no person column/);
  });
});
