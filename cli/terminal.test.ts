import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createProgress,
  displayWidth,
  formatBytes,
  formatDuration,
  type Output,
  painter,
  printable,
  renderFields,
  renderTable,
  truncate,
} from './terminal.ts';

class Recorder implements Output {
  readonly isTTY: boolean;
  readonly columns: number;
  text = '';
  constructor(isTTY: boolean, columns = 80) {
    this.isTTY = isTTY;
    this.columns = columns;
  }
  write(text: string): void {
    this.text += text;
  }
  /** What is left on the line after the last redraw, without colours. */
  get line(): string {
    return printable(this.text.split('\r').at(-1) ?? '').trimEnd();
  }
}

function clock() {
  let time = 1000;
  return { nowMs: () => time, pass: (ms: number) => (time += ms) };
}

describe('createProgress on a terminal', () => {
  it('draws bar, count, ETA and note on one line', () => {
    const output = new Recorder(true);
    const { nowMs, pass } = clock();
    const progress = createProgress({
      label: 'rounds',
      total: 4,
      json: false,
      output,
      nowMs,
      environment: {},
    });
    pass(30_000);
    progress.update(1, '12 uploads');
    expect(output.line).toBe(`rounds ${'█'.repeat(6)}${'░'.repeat(18)} 1/4  ETA 1 min 30 s  12 uploads`);
    expect(output.text).not.toContain('\n');
    pass(90_000);
    progress.update(4);
    progress.finish('done');
    expect(output.line).toBe(`rounds ${'█'.repeat(24)} 4/4  2 min 00 s  done`);
    expect(output.text.match(/\n/g)).toHaveLength(1);
  });

  it('is rate-limited but always shows the end', () => {
    const output = new Recorder(true);
    const { nowMs, pass } = clock();
    const progress = createProgress({ label: 'x', total: 1000, json: false, output, nowMs, environment: {} });
    for (let done = 1; done <= 1000; done++) {
      pass(1);
      progress.update(done);
    }
    expect(output.text.match(/\r/g)!.length).toBeLessThanOrEqual(12);
    expect(output.line).toContain('1000/1000');
  });

  it('never wraps, however long the note', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 200 }),
        fc.integer({ min: 40, max: 200 }),
        (note, columns) => {
          const output = new Recorder(true, columns);
          const progress = createProgress({ label: 'label', total: 3, json: false, output, environment: {} });
          progress.update(1, note);
          const drawn = output.text.replace('\r\u001b[2K', '');
          expect(displayWidth(drawn)).toBeLessThan(columns);
        },
      ),
    );
  });

  it('has no bar and no ETA when the total is not known', () => {
    const output = new Recorder(true);
    const { nowMs, pass } = clock();
    const progress = createProgress({ label: 'x', total: 0, json: false, output, nowMs, environment: {} });
    pass(2000);
    progress.update(7);
    expect(output.line).toBe('x  7  2 s');
  });
});

describe('createProgress elsewhere', () => {
  it('prints plain lines, at most one in two seconds, each value once', () => {
    const output = new Recorder(false);
    const { nowMs, pass } = clock();
    const progress = createProgress({ label: 'rounds', total: 4, json: false, output, nowMs });
    for (const ms of [0, 500, 500, 500]) {
      pass(ms);
      progress.update(1, 'first');
    }
    pass(2000);
    progress.update(2);
    pass(2000);
    progress.update(2, 'again');
    progress.finish();
    progress.update(3);
    progress.finish();
    expect(output.text).toBe(
      'rounds: 1/4, about 0 ms left, first\nrounds: 2/4, about 4 s left\nrounds: done (6 s)\n',
    );
  });

  it('prints nothing for programs', () => {
    const output = new Recorder(true);
    const progress = createProgress({ label: 'x', total: 2, json: true, output });
    progress.update(1);
    progress.finish();
    expect(output.text).toBe('');
  });
});

describe('painter', () => {
  it('colours on a terminal only, and not under NO_COLOR', () => {
    expect(painter(new Recorder(true), {})('red', 'x')).toBe('\u001b[31mx\u001b[39m');
    expect(painter(new Recorder(true), { NO_COLOR: '' })('red', 'x')).toBe('\u001b[31mx\u001b[39m');
    expect(painter(new Recorder(true), { NO_COLOR: '1' })('red', 'x')).toBe('x');
    expect(painter(new Recorder(true), { TERM: 'dumb' })('red', 'x')).toBe('x');
    expect(painter(new Recorder(false), {})('red', 'x')).toBe('x');
  });
});

describe('width', () => {
  it.each([
    ['abc', 3],
    ['心脏病', 6],
    ['ひらがな', 8],
    ['한글', 4],
    ['ｆｕｌｌ', 8],
    ['é', 1],
    ['e\u0301', 1],
    ['👩‍⚕️', 2],
    ['❤️', 2],
    ['\u200b', 0],
    ['\u001b[31mred\u001b[39m', 3],
    ['█░│', 3],
    ['', 0],
  ])('of %j is %i', (text, width) => {
    expect(displayWidth(text)).toBe(width);
  });

  it('is kept by truncate', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), fc.nat(40), (text, cells) => {
        const cut = truncate(text, cells);
        expect(displayWidth(cut)).toBeLessThanOrEqual(cells);
        if (displayWidth(text) <= cells) expect(cut).toBe(text);
      }),
    );
    expect(truncate('心脏病学', 5)).toBe('心脏…');
  });
});

describe('renderTable', () => {
  it('aligns wide characters and numbers', () => {
    const table = renderTable(
      ['site', { title: 'AUC', align: 'right' }, 'rows'],
      [
        ['Cleveland', '0.871', 297],
        ['北京医院', '0.9', null],
      ],
    );
    expect(table).toBe(
      [
        '┌───────────┬───────┬──────┐',
        '│ site      │   AUC │ rows │',
        '├───────────┼───────┼──────┤',
        '│ Cleveland │ 0.871 │  297 │',
        '│ 北京医院  │   0.9 │    – │',
        '└───────────┴───────┴──────┘',
        '',
      ].join('\n'),
    );
  });

  it('has lines of one width, whatever is in the cells', () => {
    const cell = fc.oneof(fc.string({ unit: 'binary', maxLength: 30 }), fc.integer(), fc.constant(null));
    const row = fc.tuple(cell, cell, cell);
    fc.assert(
      fc.property(fc.array(row, { maxLength: 6 }), (rows) => {
        const lines = renderTable(['a', '列', 'c'], rows).trimEnd().split('\n');
        expect(lines).toHaveLength(rows.length + 4);
        expect(new Set(lines.map(displayWidth)).size).toBe(1);
      }),
      // A mark alone in a cell, and a letter that joins what follows.
      { numRuns: 50, examples: [[[['\u{1d165}', 0, null]]], [[['\u0d4e', '\u0d4e', null]]]] },
    );
  });

  it('lets no escape sequence or line break of another machine through', () => {
    const table = renderTable(['x'], [['\u001b[2J\u001b]0;title\u0007boo\r\nnext\u202e']]);
    for (const harmful of ['\u001b', '\r', '\u0007', '\u202e']) expect(table).not.toContain(harmful);
    expect(table.split('\n')).toHaveLength(6);
  });

  it('works without rows', () => {
    expect(renderTable(['a'], [])).toBe('┌───┐\n│ a │\n├───┤\n└───┘\n');
  });
});

describe('small formats', () => {
  it('fields line up', () => {
    expect(
      renderFields([
        ['计划', 'x'],
        ['a', undefined],
      ]),
    ).toBe('计划  x\na     –\n');
  });
  it.each([
    [0, '0 ms'],
    [999.4, '999 ms'],
    [999.6, '1 s'],
    [59_400, '59 s'],
    [59_600, '1 min 00 s'],
    [3_599_600, '1 h 00 min'],
    [-5, '0 ms'],
  ])('%d ms is %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1536, '1.5 KiB'],
    [81_920, '80.0 KiB'],
    [5 * 2 ** 30, '5.0 GiB'],
  ])('%d bytes are %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});
