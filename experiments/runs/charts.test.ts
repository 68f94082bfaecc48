/** Goal: charts are well-formed, show what they are given, and have scales that a person can read. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { intervalChart, lineChart, niceTicks, tickText } from './charts.ts';

describe('scales', () => {
  test('by hand', () => {
    expect(niceTicks(0, 10)).toEqual([0, 2, 4, 6, 8, 10]);
    expect(niceTicks(0.61, 0.79).map((tick) => tickText(tick, 0.05))).toEqual([
      '0.60',
      '0.65',
      '0.70',
      '0.75',
      '0.80',
    ]);
    expect(tickText(0.0125, 0.0025)).toBe('0.0125');
    expect(tickText(1500, 500)).toBe('1500');
  });

  test('ticks cover the values, are few, and have different texts', () => {
    const value = fc.double({ min: -1e6, max: 1e6, noNaN: true });
    fc.assert(
      fc.property(value, value, (a, b) => {
        const [low, high] = a < b ? [a, b] : [b, a];
        fc.pre(high - low > 1e-6 * Math.max(1, Math.abs(high)));
        const ticks = niceTicks(low, high);
        const step = ticks[1]! - ticks[0]!;
        expect(ticks[0]!).toBeLessThanOrEqual(low + 1e-6 * step);
        expect(ticks.at(-1)!).toBeGreaterThanOrEqual(high - 1e-6 * step);
        expect(ticks.length).toBeLessThanOrEqual(8);
        expect(new Set(ticks.map((tick) => tickText(tick, step))).size).toBe(ticks.length);
      }),
    );
  });

  test('equal values still make a scale', () => {
    for (const value of [0, 1, -3, 0.5]) {
      const ticks = niceTicks(value, value);
      expect(ticks[0]!).toBeLessThanOrEqual(value);
      expect(ticks.at(-1)!).toBeGreaterThanOrEqual(value);
    }
  });
});

/** Tags that open and close in order; attributes quoted: what a browser needs of an SVG file. */
function wellFormed(svg: string): boolean {
  const open: string[] = [];
  const body = svg.replace(/<style>[\s\S]*?<\/style>/g, '');
  for (const [, closing, name, rest] of body.matchAll(/<(\/?)([a-z]+)((?:\s+[\w:-]+="[^"<]*")*)\s*\/?>/g)) {
    if (rest === undefined) return false;
    const isEmpty = body.includes(`<${name}${rest}/>`);
    if (closing) {
      if (open.pop() !== name) return false;
    } else if (!isEmpty) open.push(name!);
  }
  return (
    open.length === 0 &&
    (body.match(/</g) ?? []).length ===
      [...body.matchAll(/<\/?[a-z]+(?:\s+[\w:-]+="[^"<]*")*\s*\/?>/g)].length
  );
}

const line = {
  title: 'A <b> title',
  subtitle: 'sub & more',
  xLabel: 'round',
  yLabel: 'AUC',
  notes: ['noise: seeded, not private'],
};

describe('line chart', () => {
  test('well-formed, escaped, with band, reference and legend', () => {
    const svg = lineChart({
      ...line,
      series: [
        {
          name: 'ε = 1 "quoted"',
          points: [
            { x: 1, y: 0.5, low: 0.4, high: 0.6 },
            { x: 2, y: 0.7, low: 0.6, high: 0.8 },
          ],
        },
        { name: 'central', points: [{ x: 0, y: 0.9 }], isReference: true },
      ],
    });
    expect(wellFormed(svg)).toBe(true);
    expect(svg).toContain('A &lt;b&gt; title');
    expect(svg.match(/<polyline/g)).toHaveLength(2);
    expect(svg.match(/<polygon/g)).toHaveLength(1);
    expect(svg).toContain('noise: seeded, not private');
    expect(svg).toContain('prefers-color-scheme:dark');
  });

  test('a higher value stands higher', () => {
    const svg = lineChart({
      ...line,
      series: [
        {
          name: 'a',
          points: [
            { x: 1, y: 0.2 },
            { x: 2, y: 0.9 },
          ],
        },
      ],
    });
    const [, points = ''] = /<polyline points="([^"]+)"/.exec(svg) ?? [];
    const [first, second] = points.split(' ').map((pair) => pair.split(',').map(Number));
    expect(second![1]!).toBeLessThan(first![1]!);
    expect(second![0]!).toBeGreaterThan(first![0]!);
  });

  test('one point, and a hundred', () => {
    const points = (count: number) => Array.from({ length: count }, (_, x) => ({ x, y: x / 100 }));
    expect(wellFormed(lineChart({ ...line, series: [{ name: 'a', points: points(1) }] }))).toBe(true);
    expect(lineChart({ ...line, series: [{ name: 'a', points: points(100) }] })).not.toContain('<circle');
  });
});

test('interval chart: rows, whiskers, the line of no difference', () => {
  const svg = intervalChart({
    title: 'difference',
    subtitle: 's',
    xLabel: 'x',
    rows: [
      { name: 'one', value: 0.1, low: -0.1, high: 0.3, kind: 0 },
      {
        name: 'a name that is far too long for the room that there is beside the plot, really',
        value: 0.2,
        kind: 1,
      },
    ],
    reference: 0,
    text: (value) => value.toFixed(2),
    notes: [],
  });
  expect(wellFormed(svg)).toBe(true);
  expect(svg).toContain('0.10 [-0.10, 0.30]');
  expect(svg).toContain('…');
  expect(svg.match(/class="whisker/g)).toHaveLength(3);
});
