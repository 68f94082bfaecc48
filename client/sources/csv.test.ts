/** Goal: a table reader that reads honest tables exactly and refuses the others with file and line. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import Papa from 'papaparse';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { utf8 } from '../../crypto/bytes.ts';
import type { FeatureSchema } from '../../protos/features.ts';
import { parseTable, readTable } from './csv.ts';
import { loadLocalData } from './local-data.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'pulsefold-csv-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

describe('parseTable', () => {
  test('header, quotes, empty lines, CRLF, byte-order mark', () => {
    const { columns, rows } = parseTable('t', '\uFEFFa,b\r\n1,"x, ""y"""\r\n\r\n2,\r\n');
    expect(columns).toEqual(['a', 'b']);
    expect(rows).toEqual([
      { a: '1', b: 'x, "y"' },
      { a: '2', b: '' },
    ]);
  });

  test('says on which line the header and each row begin', () => {
    const { headerLine, lines } = parseTable('t', '\na,b\n"1\n1",2\n\n3,4\n');
    expect([headerLine, ...lines]).toEqual([2, 3, 6]);
  });

  test('delimiter option', () => {
    expect(parseTable('t', 'a;b\n1,5;2\n', { delimiter: ';' }).rows).toEqual([{ a: '1,5', b: '2' }]);
  });

  test.each<[string, string, string, string]>([
    ['short row', 'a,b\n1,2\n3\n', 'DATA_INVALID', 't, line 3: 1 fields'],
    ['long row after a quoted line end', 'a,b\n"1\n2",2\n3,4,5\n', 'DATA_INVALID', 't, line 4: 3 fields'],
    ['duplicate column', 'a,a\n1,2\n', 'DATA_INVALID', '"a" occurs twice'],
    ['empty column name', 'a,\n1,2\n', 'DATA_INVALID', 'line 1'],
    ['prototype column', 'a,__proto__\n1,2\n', 'DATA_INVALID', 'reserved'],
    ['open quote', 'a,b\n"1,2\n', 'DATA_INVALID', 'line 2'],
    ['header only', 'a,b\n', 'DATA_EMPTY', 'no rows'],
    ['nothing', '', 'DATA_EMPTY', 'no rows'],
  ])('refuses: %s', (_, text, code, message) => {
    expect(() => parseTable('t', text)).toThrow(expect.objectContaining({ code }));
    expect(() => parseTable('t', text)).toThrow(message);
  });

  test('row cap', () => {
    expect(parseTable('t', 'a\n1\n2\n', { rowsMax: 2 }).rows.length).toBe(2);
    expect(() => parseTable('t', 'a\n1\n2\n3\n', { rowsMax: 2 })).toThrow('line 4: more than 2 rows');
    expect(() => parseTable('t', `a\n1\n${'\n'.repeat(9)}2\n3\n`, { rowsMax: 2 })).toThrow(
      'more than 2 rows',
    );
    expect(parseTable('t', 'a\n1\n\n2\n', { rowsMax: 2 }).rows.length).toBe(2);
  });

  test('what papaparse writes comes back', () => {
    const cell = fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll('\r', ''));
    fc.assert(
      fc.property(fc.array(fc.tuple(cell, cell), { minLength: 1 }), (data) => {
        const text = Papa.unparse({ fields: ['a', 'b'], data }, { newline: '\n' });
        expect(parseTable('t', text).rows).toEqual(data.map(([a, b]) => ({ a, b })));
      }),
    );
  });
});

describe('readTable', () => {
  const text = 'a,b\n1,2\n';
  test('plain and gzipped files give the same rows and text checksum', async () => {
    const plain = await readTable(file('plain.csv', text));
    const zipped = await readTable(file('zipped.csv.gz', gzipSync(text)));
    expect(zipped.rows).toEqual(plain.rows);
    expect(zipped.textSha256).toBe(plain.sha256);
    expect(zipped.sha256).not.toBe(plain.sha256);
  });

  test('checksum is checked before parsing', async () => {
    const path = file('sum.csv', 'broken"');
    await expect(readTable(path, { sha256: '00'.repeat(32) })).rejects.toThrow(
      expect.objectContaining({ code: 'CHECKSUM_MISMATCH' }),
    );
  });

  test.each<[string, () => string, object, string]>([
    ['missing file', () => join(directory, 'none.csv'), {}, 'NOT_FOUND'],
    ['a directory', () => directory, {}, 'NOT_FOUND'],
    ['too many bytes', () => file('big.csv', text), { fileBytesMax: 3 }, 'DATA_INVALID'],
    ['too much text', () => file('long.csv', text), { textBytesMax: 3 }, 'DATA_INVALID'],
    [
      'a decompression bomb',
      () => file('bomb.csv.gz', gzipSync(new Uint8Array(2 ** 22).fill(97))),
      { textBytesMax: 2 ** 20 },
      'DATA_INVALID',
    ],
    ['cut gzip', () => file('cut.csv.gz', gzipSync(text).subarray(0, 15)), {}, 'DATA_INVALID'],
    ['not UTF-8', () => file('latin.csv', Uint8Array.of(97, 10, 0xe9, 10)), {}, 'DATA_INVALID'],
  ])('refuses %s', async (_, path, options, code) => {
    await expect(readTable(path(), options)).rejects.toThrow(expect.objectContaining({ code }));
  });
});

describe('loadLocalData', () => {
  const schema: FeatureSchema = {
    dataset: 'sample',
    label: { column: 'y', positive: { equals: '1', otherwise: ['0'] } },
    features: [{ column: 'x', kind: 'number', minimum: 0, maximum: 10 }],
    complete: true,
  };

  test('leaves out incomplete rows and says how many', async () => {
    const data = await loadLocalData(file('local.csv', 'extra,x,y\n?,10,1\n?,,0\n?,5,0\n'), schema);
    expect(data).toEqual({
      features: Float32Array.of(1, 0),
      labels: Uint8Array.of(1, 0),
      count: 2,
      incompleteRows: 1,
    });
  });

  test.each<[string, string, string, string]>([
    ['NaN', 'x,y\n1,1\nNaN,0\n', 'DATA_INVALID', 'row 1, column "x"'],
    ['unlisted label', 'x,y\n1,2\n', 'DATA_INVALID', 'row 0, column "y"'],
    ['missing column', 'x,z\n1,1\n', 'DATA_INVALID', 'column "y"'],
    ['no complete row', 'x,y\n,1\n', 'DATA_EMPTY', 'no complete row'],
    ['no row', 'x,y\n', 'DATA_EMPTY', 'no rows'],
  ])('refuses %s', async (_, text, code, message) => {
    const path = file('refused.csv', utf8(text));
    await expect(loadLocalData(path, schema)).rejects.toThrow(expect.objectContaining({ code }));
    await expect(loadLocalData(path, schema)).rejects.toThrow(message);
  });
});
