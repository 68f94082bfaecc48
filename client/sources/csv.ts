/**
 * Reads a CSV table (optionally gzipped) with a header line into rows of text.
 *
 * For: clients' local tables and the data sets of experiments/. Parsing is papaparse's; this file adds what
 * a hostile file needs: size caps before and after decompression, strict UTF-8, rectangular shape, unique
 * names, and coded errors with file and line. Trusts: nothing in the file. Values stay text;
 * protos/features.ts gives them meaning.
 */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import Papa from 'papaparse';
import { toHex } from '../../crypto/bytes.ts';
import { ensure, isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';

export type Row = Readonly<Record<string, string>>;

export interface Table {
  /** File name only, for messages. */
  readonly name: string;
  /** SHA-256 of the file's bytes as stored, lower-case hexadecimal. */
  readonly sha256: string;
  /** SHA-256 of the decompressed bytes. */
  readonly textSha256: string;
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
  /** Line of the header, and of each row where it begins; 1 is the first line of the file. */
  readonly headerLine: number;
  readonly lines: readonly number[];
}

export interface TableOptions {
  /** Default ','. */
  readonly delimiter?: ',' | ';' | '\t' | '|';
  /** Cap on the file and on its decompressed text, in bytes; default 64 MiB and 256 MiB. */
  readonly fileBytesMax?: number;
  readonly textBytesMax?: number;
  /** Default 1,000,000. */
  readonly rowsMax?: number;
  /** Expected SHA-256 of the stored bytes; checked before anything is parsed. */
  readonly sha256?: string;
}

const columnsMax = 512;
const columnNameLengthMax = 128;
const sha256Of = (bytes: Uint8Array): string => toHex(createHash('sha256').update(bytes).digest());
const unzip = promisify(gunzip);
const decoder = new TextDecoder('utf-8', { fatal: true }); // drops a byte-order mark

const invalid = (name: string, line: number | undefined, what: string): PulsefoldError =>
  new PulsefoldError(
    'DATA_INVALID',
    line === undefined ? `${name}: ${what}` : `${name}, line ${line}: ${what}`,
  );

/**
 * @throws PulsefoldError NOT_FOUND, CHECKSUM_MISMATCH, DATA_EMPTY (no rows), DATA_INVALID (anything else).
 */
export async function readTable(path: string, options: TableOptions = {}): Promise<Table> {
  const name = basename(path);
  const stored = await readCapped(path, options.fileBytesMax ?? 64 * 2 ** 20);
  const sha256 = sha256Of(stored);
  ensure(
    options.sha256 === undefined || options.sha256 === sha256,
    'CHECKSUM_MISMATCH',
    `${name}: SHA-256 is ${sha256}, expected ${options.sha256}; download the file again`,
  );
  const textBytesMax = options.textBytesMax ?? 256 * 2 ** 20;
  const bytes = await inflate(name, stored, textBytesMax);
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    throw invalid(name, lineOfBrokenText(bytes), 'not valid UTF-8; save the table as UTF-8');
  }
  const textSha256 = bytes === stored ? sha256 : sha256Of(bytes);
  return { name, sha256, textSha256, ...parseTable(name, text, options) };
}

async function readCapped(path: string, bytesMax: number): Promise<Buffer> {
  const name = basename(path);
  try {
    await using file = await open(path, 'r');
    const { size } = await file.stat();
    ensure(size <= bytesMax, 'DATA_INVALID', `${name}: ${size} bytes, more than the ${bytesMax} allowed`);
    return await file.readFile();
  } catch (error) {
    if (isPulsefoldError(error)) throw error;
    throw new PulsefoldError('NOT_FOUND', `${name}: cannot be read; check the path and its permissions`, {
      cause: error,
    });
  }
}

async function inflate(name: string, stored: Buffer, textBytesMax: number): Promise<Uint8Array> {
  const gzipped = stored.length > 2 && stored[0] === 0x1f && stored[1] === 0x8b;
  if (!gzipped) {
    ensure(stored.length <= textBytesMax, 'DATA_INVALID', `${name}: more than ${textBytesMax} bytes of text`);
    return stored;
  }
  try {
    return await unzip(stored, { maxOutputLength: textBytesMax });
  } catch (error) {
    throw new PulsefoldError(
      'DATA_INVALID',
      `${name}: broken gzip file, or more than ${textBytesMax} bytes of text`,
      { cause: error },
    );
  }
}

/**
 * Parses the text of a table. Pure; `name` is only used in messages.
 * @throws PulsefoldError DATA_EMPTY, DATA_INVALID.
 */
export function parseTable(
  name: string,
  text: string,
  options: TableOptions = {},
): Pick<Table, 'columns' | 'rows' | 'headerLine' | 'lines'> {
  const rowsMax = options.rowsMax ?? 1_000_000;
  const parsed = Papa.parse<string[]>(text.startsWith('\uFEFF') ? text.slice(1) : text, {
    delimiter: options.delimiter ?? ',',
    header: false,
    skipEmptyLines: false,
    preview: rowsMax + 3, // header, one row too many, a last empty line
  });
  const error = parsed.errors[0];
  if (error) throw invalid(name, lineOfRecord(parsed.data, error.row ?? 0), error.message);

  let columns: readonly string[] | undefined;
  const rows: Row[] = [];
  const lines: number[] = [];
  let headerLine = 1;
  let line = 1;
  for (const record of parsed.data) {
    const recordLine = line;
    line += linesOf(record);
    if (record.length === 1 && record[0]!.trim() === '') continue;
    if (!columns) {
      columns = checkHeader(name, recordLine, record);
      headerLine = recordLine;
      continue;
    }
    if (record.length !== columns.length)
      throw invalid(
        name,
        recordLine,
        `${record.length} fields, but the header has ${columns.length}` +
          (record.length < columns.length ? `; column "${columns[record.length]}" is missing` : ''),
      );
    if (rows.length === rowsMax) throw invalid(name, recordLine, `more than ${rowsMax} rows`);
    const row: Record<string, string> = {};
    for (let i = 0; i < record.length; i++) row[columns[i]!] = record[i]!;
    rows.push(row);
    lines.push(recordLine);
  }
  // Blank lines may use up the parser's preview: never drop the rest of a file silently.
  if (parsed.meta.truncated) throw invalid(name, line, `more than ${rowsMax} rows and blank lines`);
  ensure(columns, 'DATA_EMPTY', `${name}, line 1: the file is empty: no header and no rows`);
  ensure(rows.length > 0, 'DATA_EMPTY', `${name}, line ${headerLine}: the table has a header, but no rows`);
  return { columns, rows, headerLine, lines };
}

/** Lines that a record takes up: quoted cells may hold line ends. */
const linesOf = (record: readonly string[]): number =>
  record.reduce((sum, cell) => sum + (cell.includes('\n') ? cell.split('\n').length - 1 : 0), 1);

const lineOfRecord = (records: readonly (readonly string[])[], index: number): number =>
  records.slice(0, index).reduce((line, record) => line + linesOf(record), 1);

/** The first line that is not UTF-8. */
function lineOfBrokenText(bytes: Uint8Array): number {
  let line = 1;
  for (let from = 0; from < bytes.length; line++) {
    const end = bytes.indexOf(0x0a, from);
    const to = end < 0 ? bytes.length : end + 1;
    try {
      decoder.decode(bytes.subarray(from, to)); // a line feed is never a part of a longer UTF-8 sequence
    } catch {
      return line;
    }
    from = to;
  }
  return line;
}

function checkHeader(name: string, line: number, record: readonly string[]): readonly string[] {
  const columns = record.map((cell) => cell.trim());
  if (columns.length > columnsMax) throw invalid(name, line, `more than ${columnsMax} columns`);
  const seen = new Set<string>();
  for (const column of columns) {
    if (column === '' || column.length > columnNameLengthMax || column === '__proto__')
      throw invalid(
        name,
        line,
        'a column name is empty, reserved or too long; the first line must be a header',
      );
    if (seen.has(column)) throw invalid(name, line, `column "${column}" occurs twice`);
    seen.add(column);
  }
  return columns;
}
