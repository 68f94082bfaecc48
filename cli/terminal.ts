/**
 * What people see while they wait, and tables at the end.
 *
 * For: cli/ and experiments/. Trusts: nothing; cells may hold text from outside, so control characters are replaced.
 * Progress goes to stderr, so that stdout holds results only. No colour when NO_COLOR is set or there is no terminal.
 */
import { stripVTControlCharacters } from 'node:util';

/** The part of a stream that is used here. */
export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export interface ProgressOptions {
  readonly label: string;
  /** Number of steps; 0 when it is not known. */
  readonly total: number;
  /** Machine mode: nothing is printed. */
  readonly json: boolean;
  readonly output?: Output;
  readonly nowMs?: () => number;
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

export interface Progress {
  /** `done` of `total` steps; going back (a repeated round) is allowed. */
  update(done: number, note?: string): void;
  /** Ends the bar; later calls do nothing. */
  finish(note?: string): void;
}

const BAR_CELLS = 24;
const REDRAW_MS = 100;
/** Without a terminal: at most one line in this time, unless the work is done. */
const LINE_MS = 2000;

export function createProgress(options: ProgressOptions): Progress {
  if (options.json) return { update() {}, finish() {} };
  const output = options.output ?? process.stderr;
  return output.isTTY === true ? new BarProgress(options, output) : new LineProgress(options, output);
}

/** Shared by both: remembers the time and says how long it still takes. */
class Estimate {
  readonly #nowMs: () => number;
  readonly #total: number;
  readonly #startMs: number;

  constructor({ nowMs, total }: ProgressOptions) {
    this.#nowMs = nowMs ?? (() => performance.now());
    this.#total = total;
    this.#startMs = this.#nowMs();
  }
  get elapsedMs(): number {
    return this.#nowMs() - this.#startMs;
  }
  /** Milliseconds left at the present pace, or null while nothing is known. */
  remainingMs(done: number): number | null {
    if (this.#total <= 0 || done <= 0) return null;
    return (this.elapsedMs / done) * Math.max(0, this.#total - done);
  }
}

class BarProgress implements Progress {
  readonly #options: ProgressOptions;
  readonly #output: Output;
  readonly #estimate: Estimate;
  readonly #paint: Painter;
  #drawnMs = Number.NEGATIVE_INFINITY;
  #done = 0;
  #finished = false;

  constructor(options: ProgressOptions, output: Output) {
    this.#options = options;
    this.#output = output;
    this.#estimate = new Estimate(options);
    this.#paint = painter(output, options.environment);
  }

  update(done: number, note = ''): void {
    if (this.#finished) return;
    this.#done = done;
    const nowMs = this.#estimate.elapsedMs;
    if (nowMs - this.#drawnMs < REDRAW_MS && done < this.#options.total) return;
    this.#drawnMs = nowMs;
    const leftMs = this.#estimate.remainingMs(done);
    const time = leftMs === null ? formatDuration(nowMs) : `ETA ${formatDuration(leftMs)}`;
    this.#draw(done, `${time}${note ? `  ${note}` : ''}`);
  }

  finish(note = 'done'): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#draw(this.#done, `${formatDuration(this.#estimate.elapsedMs)}  ${note}`);
    this.#output.write('\n');
  }

  #draw(done: number, tail: string): void {
    const { label, total } = this.#options;
    const count = total > 0 ? `${done}/${total}` : String(done);
    const head = `${label} `;
    const rest = ` ${count}  ${tail}`;
    const bar = this.#bar(done);
    const room = (this.#output.columns || 80) - 1 - displayWidth(head) - bar.cells;
    this.#output.write(`\r\u001b[2K${head}${bar.text}${truncate(printable(rest), Math.max(0, room))}`);
  }

  #bar(done: number): { text: string; cells: number } {
    const { total } = this.#options;
    if (total <= 0) return { text: '', cells: 0 };
    const filled = Math.round(BAR_CELLS * Math.min(1, Math.max(0, done / total)));
    const text = `${this.#paint('green', '█'.repeat(filled))}${this.#paint('dim', '░'.repeat(BAR_CELLS - filled))}`;
    return { text, cells: BAR_CELLS };
  }
}

class LineProgress implements Progress {
  readonly #options: ProgressOptions;
  readonly #output: Output;
  readonly #estimate: Estimate;
  #printedMs = Number.NEGATIVE_INFINITY;
  #printedDone = Number.NaN;
  #finished = false;

  constructor(options: ProgressOptions, output: Output) {
    this.#options = options;
    this.#output = output;
    this.#estimate = new Estimate(options);
  }

  update(done: number, note = ''): void {
    if (this.#finished || done === this.#printedDone) return;
    const nowMs = this.#estimate.elapsedMs;
    if (nowMs - this.#printedMs < LINE_MS) return;
    this.#printedMs = nowMs;
    this.#printedDone = done;
    const { label, total } = this.#options;
    const leftMs = this.#estimate.remainingMs(done);
    const count = total > 0 ? `${done}/${total}` : String(done);
    const eta = leftMs === null ? '' : `, about ${formatDuration(leftMs)} left`;
    this.#output.write(`${printable(`${label}: ${count}${eta}${note ? `, ${note}` : ''}`)}\n`);
  }

  finish(note = 'done'): void {
    if (this.#finished) return;
    this.#finished = true;
    const took = formatDuration(this.#estimate.elapsedMs);
    this.#output.write(`${printable(`${this.#options.label}: ${note} (${took})`)}\n`);
  }
}

/** `850 ms`, `12 s`, `3 min 05 s`, `2 h 07 min`. */
export function formatDuration(durationMs: number): string {
  const ms = Math.max(0, durationMs);
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(seconds % 60).padStart(2, '0')} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

/** `512 B`, `1.5 KiB`, `3.2 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

export type Colour = 'bold' | 'dim' | 'red' | 'green' | 'yellow';
export type Painter = (colour: Colour, text: string) => string;

const codes: Readonly<Record<Colour, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
};

/** Colours text, or leaves it alone where colour is not wanted (https://no-color.org: any value but the empty one). */
export function painter(
  output: Output = process.stdout,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Painter {
  const wanted = output.isTTY === true && !environment.NO_COLOR && environment.TERM !== 'dumb';
  if (!wanted) return (_colour, text) => text;
  return (colour, text) => `\u001b[${codes[colour][0]}m${text}\u001b[${codes[colour][1]}m`;
}

/** Removes escape sequences and replaces control characters: cells and notes may come from another machine. */
export const printable = (text: string): string =>
  stripVTControlCharacters(text).replace(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu, ' ');

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** Blocks that Unicode TR 11 classes as wide (W) or fullwidth (F). */
const wide: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0x33ff],
  [0x3400, 0x4dbf],
  [0x4e00, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x17000, 0x18cff],
  [0x1b000, 0x1b2ff],
  [0x20000, 0x3fffd],
];

function graphemeWidth(grapheme: string): number {
  if (/^[\p{Cc}\p{Cf}\p{Mn}\p{Me}]+$/u.test(grapheme)) return 0;
  if (/\p{Emoji_Presentation}|\ufe0f/u.test(grapheme)) return 2;
  const code = grapheme.codePointAt(0) ?? 0;
  return wide.some(([first, last]) => code >= first && code <= last) ? 2 : 1;
}

/** Terminal cells that `text` takes up, escape sequences not counted. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const { segment } of segmenter.segment(stripVTControlCharacters(text)))
    width += graphemeWidth(segment);
  return width;
}

/** Cells of `text` between two spaces, as in a table: a mark at its start joins the space before it, and so on. */
const cellWidth = (text: string): number => displayWidth(` ${text} `) - 2;

/** At most `cells` cells of `text`, with an ellipsis where something is missing. */
export function truncate(text: string, cells: number): string {
  if (displayWidth(text) <= cells) return text;
  let result = '';
  let width = 0;
  for (const { segment } of segmenter.segment(text)) {
    const next = graphemeWidth(segment);
    if (width + next > cells - 1) break;
    result += segment;
    width += next;
  }
  return cells > 0 ? `${result}…` : '';
}

export interface Column {
  readonly title: string;
  /** Default: `right` when all its cells are numbers, else `left`. */
  readonly align?: 'left' | 'right';
  /** Longer cells are cut. Default 80. */
  readonly cellsMax?: number;
}

export type Cell = string | number | bigint | boolean | null | undefined;

const cellText = (cell: Cell): string =>
  cell === null || cell === undefined ? '–' : printable(String(cell));
const isNumeric = (text: string): boolean =>
  text === '–' || text === 'n/a' || /^[−+-]?[\d., ]+( ?%)?$/.test(text);

/** A table in box-drawing characters, with a newline at its end. Columns may be given as plain titles. */
export function renderTable(
  columns: readonly (Column | string)[],
  rows: readonly (readonly Cell[])[],
): string {
  const layout = columns.map((given, index) => {
    const column: Column = typeof given === 'string' ? { title: given } : given;
    const cells = rows.map((row) => truncate(cellText(row[index]), column.cellsMax ?? 80));
    const title = printable(column.title);
    const align = column.align ?? (cells.length > 0 && cells.every(isNumeric) ? 'right' : 'left');
    return { title, cells, align, width: Math.max(cellWidth(title), 0, ...cells.map(cellWidth)) };
  });
  const pad = (text: string, { width, align }: { width: number; align: string }): string => {
    const space = ' '.repeat(Math.max(0, width - cellWidth(text)));
    return align === 'right' ? space + text : text + space;
  };
  const rule = (left: string, middle: string, right: string): string =>
    left + layout.map(({ width }) => '─'.repeat(width + 2)).join(middle) + right;
  const line = (texts: readonly string[]): string =>
    `│${layout.map((column, index) => ` ${pad(texts[index]!, column)} `).join('│')}│`;
  return `${[
    rule('┌', '┬', '┐'),
    line(layout.map(({ title }) => title)),
    rule('├', '┼', '┤'),
    ...rows.map((_, row) => line(layout.map(({ cells }) => cells[row]!))),
    rule('└', '┴', '┘'),
  ].join('\n')}\n`;
}

/** `name  value` lines with the values in one column. */
export function renderFields(fields: readonly (readonly [string, Cell])[]): string {
  const width = Math.max(0, ...fields.map(([name]) => displayWidth(name)));
  return fields
    .map(([name, value]) => `${name}${' '.repeat(width - displayWidth(name))}  ${cellText(value)}\n`)
    .join('');
}
