/**
 * Goal: what comes over the network becomes the known table or an error, never something in between. A local
 * fetch stands in for the internet; the conversions themselves were checked against the original
 * repositories' files.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { convertHeart, convertLifesnaps, convertLineEnds, convertNhanes, convertWisdm } from './convert.ts';
import { downloadDataset, downloadSources } from './download.ts';
import { datasetAvailable, findDataRoot, loadDataset } from './index.ts';

const dataRoot = findDataRoot();
const havePima = await datasetAvailable('pima', dataRoot);
const haveWisdm = await datasetAvailable('wisdm', dataRoot);
const haveHeart = await datasetAvailable('uci-heart', dataRoot);

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'pulsefold-download-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

const serve =
  (answer: (url: string) => Response): typeof fetch =>
  async (url) =>
    answer(String(url));
const codeIs = (code: string) => expect.objectContaining({ code });

describe('convert', () => {
  test('heart: header lines, missing marks, number spellings', () => {
    const text = convertHeart([
      { site: 'a', text: 'age,sex,cp\r\n63.0,1.0,1.0,145.0,?,1.0,-9,150.0,0.0,.7,3.0,,6.0,0\r\n' },
      { site: 'b', text: '28,1,2,130,132,0,2,185,0,-1.5,-9.0,?,?,2' },
    ]);
    expect(text.split('\n').slice(1)).toEqual([
      'a,63,1,1,145,,1,,150,0,0.7,3,,6,0',
      'b,28,1,2,130,132,0,2,185,0,-1.5,,,,2',
      '',
    ]);
    expect(() => convertHeart([{ site: 'a', text: '<html>' }])).toThrow(codeIs('DATA_INVALID'));
  });

  test('nhanes: one row per person, adults, known label, NA empty', () => {
    const text = convertNhanes(
      'ID,SurveyYr,Gender,Age,BMI,Diabetes,SexAge\n1,2009_10,male,34,NA,No,17\n1,2009_10,male,34,NA,No,17\n' +
        '2,2009_10,male,12,20,No,NA\n3,2009_10,female,40,20,NA,NA\n4,2011_12,female,50,31.5,Yes,NA\n',
    );
    const lines = text.trimEnd().split('\n');
    expect(lines.slice(1).map((line) => line.split(',')[0])).toEqual(['1', '4']);
    expect(lines[0]).not.toContain('SexAge');
    expect(text).not.toContain('NA');
  });

  test.skipIf(!haveWisdm)('wisdm: the header put back, ? empty; byte for byte the known table', async () => {
    const text = gunzipSync(
      readFileSync(join(dataRoot!, 'wisdm-har/wisdm_v1.1_transformed.csv.gz')),
    ).toString();
    const [header, ...lines] = text.trimEnd().split('\n');
    const headless = lines.map((line) => line.replaceAll(/(?<=,)(?=,)/g, '?')).join('\r\n');
    expect(convertWisdm(headless)).toBe(text);
    expect(convertWisdm(`@relation x\n@data\n${headless}`)).toBe(text);
    expect(header!.split(',').length).toBe(46);
    expect(() => convertWisdm('1,2,3\n')).toThrow(codeIs('DATA_INVALID'));
  });

  test('lifesnaps: the column that counts rows goes', () => {
    expect(convertLifesnaps(',id,date,x\r\n0,a,2021-05-24,1\r\n1,b,2021-05-25,"1,2"\r\n')).toBe(
      'id,date,x\na,2021-05-24,1\nb,2021-05-25,"1,2"\n',
    );
    expect(() => convertLifesnaps('id,date\n')).toThrow(codeIs('DATA_INVALID'));
  });

  test('line ends', () => {
    expect(convertLineEnds('a\r\nb')).toBe('a\nb\n');
    expect(convertLineEnds('a\nb\n\n')).toBe('a\nb\n');
  });
});

describe('downloadDataset', () => {
  test.skipIf(!havePima)('a good download loads', async () => {
    const original = readFileSync(join(dataRoot!, 'pima-diabetes/pima.csv'), 'utf8');
    const fetched = serve(() => new Response(original.replaceAll('\n', '\r\n')));
    const path = await downloadDataset('pima', { directory, fetch: fetched });
    expect(readFileSync(path, 'utf8')).toBe(original);
    expect((await loadDataset('pima', { dataRoot: directory })).count).toBe(724);
  });

  test.skipIf(!haveHeart)('four parts, the second mirror where the first fails', async () => {
    const lines = readFileSync(join(dataRoot!, 'uci-heart-4site/heart4.csv'), 'utf8').trimEnd().split('\n');
    const asked: string[] = [];
    const fetched = serve((url) => {
      asked.push(new URL(url).host);
      if (url.includes('uci.edu')) return new Response('gone', { status: 404 });
      const site = /processed\.(\w+)\.data/.exec(url)![1]!;
      const part = lines
        .filter((line) => line.startsWith(`${site},`))
        .map((line) => line.slice(site.length + 1));
      return new Response(part.join('\n').replaceAll(/(?<=,)(?=,)/g, '?'));
    });
    await downloadDataset('uci-heart', { directory, fetch: fetched });
    expect(asked.length).toBe(8);
    expect((await loadDataset('uci-heart', { dataRoot: directory })).count).toBe(740);
  });

  test.each<[string, string, typeof fetch]>([
    ['offline', 'UNAVAILABLE', () => Promise.reject(new TypeError('fetch failed'))],
    ['server error', 'UNAVAILABLE', serve(() => new Response('', { status: 500 }))],
    ['another file', 'CHECKSUM_MISMATCH', serve(() => new Response('id;age\n1;2\n'))],
    ['not text', 'UNAVAILABLE', serve(() => new Response(Uint8Array.of(0xff, 0xfe, 0x80)))],
    ['endless', 'UNAVAILABLE', serve(() => new Response(endless()))],
  ])('%s: a coded error and no file', async (_, code, fetched) => {
    const target = join(directory, 'none');
    await expect(downloadDataset('cardio', { directory: target, fetch: fetched })).rejects.toThrow(
      codeIs(code),
    );
    expect(existsSync(join(target, 'cardio-70k'))).toBe(false);
  });

  test('the message of an offline machine says what to do', async () => {
    const offline = () => Promise.reject(new TypeError('getaddrinfo ENOTFOUND secret.internal'));
    await expect(downloadDataset('nhanes', { directory, fetch: offline })).rejects.toThrow('--data DIR');
    await expect(downloadDataset('nhanes', { directory, fetch: offline })).rejects.not.toThrow(
      'secret.internal',
    );
  });

  test('generated and unknown sets cannot be downloaded; every source is HTTPS', async () => {
    await expect(downloadDataset('synthetic-band')).rejects.toThrow(codeIs('NOT_FOUND'));
    await expect(downloadDataset('nope')).rejects.toThrow(codeIs('NOT_FOUND'));
    await expect(downloadDataset('apnea')).rejects.toThrow(/PhysioNet.*--data DIR/);
    for (const source of Object.values(downloadSources))
      for (const part of source.parts) for (const url of part.urls) expect(url).toMatch(/^https:\/\//);
  });
});

function endless(): ReadableStream<Uint8Array> {
  const block = new Uint8Array(2 ** 20).fill(97);
  return new ReadableStream({ pull: (controller) => controller.enqueue(block) });
}
