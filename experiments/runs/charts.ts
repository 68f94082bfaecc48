/**
 * Line and interval charts as self-contained SVG that follow the reader's light or dark theme.
 *
 * No script; the same text stands alone as a file or inside a page. Pure. May be called by: experiments/runs.
 */
import { escaped } from '../bench/svg.ts';

export interface ChartPoint {
  readonly x: number;
  readonly y: number;
  /** Ends of the interval around y. */
  readonly low?: number | null;
  readonly high?: number | null;
}

export interface ChartSeries {
  readonly name: string;
  readonly points: readonly ChartPoint[];
  /** A horizontal line across the plot: a baseline. */
  readonly isReference?: boolean;
}

export interface LineChart {
  readonly title: string;
  readonly subtitle: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly ChartSeries[];
  /** Small print beneath, each beginning on a line of its own. */
  readonly notes: readonly string[];
}

const WIDTH = 860;
const LEFT = 64;
const RIGHT = 24;
const HEIGHT = 280;
const LEGEND_ROW = 20;

/** Okabe and Ito's palette, tuned for each ground; told apart under every common colour blindness. */
const LIGHT = ['#0067a5', '#c8500a', '#00845f', '#9a4f86', '#8a6a00', '#3a86c8', '#5a5a5a', '#a8382e'];
const DARK = ['#62b4ea', '#f39b5a', '#45c79c', '#d796c2', '#e2c04c', '#9dcbf0', '#b5b5b5', '#f08a80'];
/** Second and third time round the palette. */
const DASHES = ['', '7 4', '2 4'];
export const SERIES_MAX = LIGHT.length * DASHES.length;

const colours = (list: readonly string[]): string =>
  list.map((colour, i) => `.pf .s${i}{stroke:${colour}}.pf .f${i}{fill:${colour}}`).join('');

const STYLE = `<style>
.pf{font-family:Inter,"Segoe UI",Helvetica,Arial,sans-serif;font-size:12px;font-variant-numeric:tabular-nums}
.pf .ground{fill:#fff}.pf .ink{fill:#1c2430}.pf .soft{fill:#5b6675}.pf .axis{stroke:#5b6675}.pf .grid{stroke:#e4e8ed}
.pf .line{fill:none;stroke-width:2.2;stroke-linejoin:round}.pf .band{fill-opacity:.12;stroke:none}.pf .whisker{stroke-width:2}
${colours(LIGHT)}
@media (prefers-color-scheme:dark){.pf .ground{fill:#14181e}.pf .ink{fill:#e6eaf0}.pf .soft{fill:#98a3b3}
.pf .axis{stroke:#98a3b3}.pf .grid{stroke:#2a323d}.pf .band{fill-opacity:.2}${colours(DARK)}}
</style>`;

const at = (value: number): string => value.toFixed(1);
const label = (x: number, y: number, text: string, className: string, more = ''): string =>
  `<text x="${at(x)}" y="${at(y)}" class="${className}" ${more}>${escaped(text)}</text>`;

const colourOf = (index: number): number => index % LIGHT.length;
const dashOf = (index: number, isReference: boolean | undefined): string => {
  const dash = isReference ? '5 4' : DASHES[Math.floor(index / LIGHT.length) % DASHES.length];
  return dash ? ` stroke-dasharray="${dash}"` : '';
};

/** About `wanted` round steps that cover [low, high]. */
export function niceTicks(low: number, high: number, wanted = 5): number[] {
  const span = high - low || Math.abs(high) || 1;
  const raw = span / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= raw) ?? raw;
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  // Multiples, not sums: 0.1 three times is not 0.3.
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

/** As many digits as tell the ticks apart. */
export function tickText(value: number, step: number): string {
  const digits = Math.max(0, Math.min(8, -Math.floor(Math.log10(step) + 1e-9)));
  const exact = Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) > 1e-6 ? digits + 1 : digits;
  return value.toFixed(exact);
}

interface Scale {
  readonly ticks: readonly number[];
  readonly text: (value: number) => string;
  place(value: number): number;
}

function scaleOf(values: readonly number[], from: number, to: number, wanted?: number): Scale {
  const ticks = niceTicks(Math.min(...values), Math.max(...values), wanted);
  if (ticks.length === 1) ticks.push(ticks[0]! + 1);
  const [low, high] = [ticks[0]!, ticks.at(-1)!];
  return {
    ticks,
    text: (value) => tickText(value, ticks[1]! - ticks[0]!),
    place: (value) => from + ((value - low) / (high - low)) * (to - from),
  };
}

/** Breaks at spaces. */
function wrapped(text: string, charactersMax: number): string[] {
  const result = [''];
  for (const word of text.split(' ')) {
    const longer = `${result.at(-1)} ${word}`.trim();
    if (longer.length > charactersMax) result.push(word);
    else result[result.length - 1] = longer;
  }
  return result.filter((line) => line !== '');
}

function document(title: string, height: number, parts: readonly string[]): string {
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" class="pf" viewBox="0 0 ${WIDTH} ${Math.ceil(height)}" role="img" ` +
    `aria-label="${escaped(title)}">\n${STYLE}\n<rect width="${WIDTH}" height="${Math.ceil(height)}" class="ground"/>\n` +
    `${parts.filter((part) => part !== '').join('\n')}\n</svg>\n`
  );
}

/** Characters of the legend's names, in columns wide enough for the longest. */
function legend(
  series: readonly ChartSeries[],
  top: number,
): { readonly svg: string; readonly bottom: number } {
  const longest = Math.max(...series.map(({ name }) => name.length));
  const columns = Math.max(1, Math.min(4, Math.floor((WIDTH - LEFT - RIGHT) / (44 + 6.6 * longest))));
  const width = (WIDTH - LEFT - RIGHT) / columns;
  const parts = series.map(({ name, isReference }, i) => {
    const x = LEFT + (i % columns) * width;
    const y = top + Math.floor(i / columns) * LEGEND_ROW;
    return (
      `<line x1="${at(x)}" x2="${at(x + 26)}" y1="${at(y)}" y2="${at(y)}" class="line s${colourOf(i)}"${dashOf(i, isReference)}/>` +
      label(x + 34, y + 4, name, 'ink')
    );
  });
  return { svg: parts.join('\n'), bottom: top + Math.ceil(series.length / columns) * LEGEND_ROW };
}

/** More bands over each other are one grey area. */
const BANDS_MAX = 4;

const isNumber = (value: number | null | undefined): value is number =>
  value !== null && value !== undefined && Number.isFinite(value);

function drawn(series: ChartSeries, index: number, x: Scale, y: Scale, hasBand: boolean): string {
  const { points, isReference, name } = series;
  const colour = colourOf(index);
  const line = points.map((point) => `${at(x.place(point.x))},${at(y.place(point.y))}`).join(' ');
  const path = `<polyline points="${line}" class="line s${colour}"${dashOf(index, isReference)}/>`;
  if (isReference) return path;
  const banded = points.filter(({ low, high }) => isNumber(low) && isNumber(high));
  const edge = (side: 'low' | 'high') =>
    banded.map((point) => `${at(x.place(point.x))},${at(y.place(point[side]!))}`);
  const band =
    hasBand && banded.length > 1
      ? `<polygon points="${[...edge('high'), ...edge('low').reverse()].join(' ')}" class="band f${colour}"/>`
      : '';
  // Dots on long lines would be a second line.
  const dots =
    points.length > 40
      ? ''
      : points
          .map(
            (point) =>
              `<circle cx="${at(x.place(point.x))}" cy="${at(y.place(point.y))}" r="2.6" class="f${colour}">` +
              `<title>${escaped(`${name}: ${point.y} at ${point.x}`)}</title></circle>`,
          )
          .join('');
  return `${band}${path}${dots}`;
}

/** References span the x range of the others; bands are drawn for up to four lines. */
export function lineChart(chart: LineChart): string {
  const series = chart.series.slice(0, SERIES_MAX);
  const lines = series.filter(({ isReference }) => !isReference).flatMap(({ points }) => points);
  const hasBands = series.filter(({ isReference }) => !isReference).length <= BANDS_MAX;
  const values = series.flatMap(({ points }) =>
    points.flatMap(({ y, low, high }) => (hasBands ? [y, low, high] : [y]).filter(isNumber)),
  );
  const { svg, bottom } = legend(series, 70);
  const top = bottom + 6;
  const x = scaleOf(
    lines.map((point) => point.x),
    LEFT,
    WIDTH - RIGHT,
    8,
  );
  const y = scaleOf(values, top + HEIGHT, top);
  const [left, right] = [x.ticks[0]!, x.ticks.at(-1)!];
  const spanned = series.map((one) =>
    one.isReference ? { ...one, points: [left, right].map((end) => ({ x: end, y: one.points[0]!.y })) } : one,
  );
  const notes = chart.notes.flatMap((note) => wrapped(note, 130));
  const foot = top + HEIGHT;
  const middle = (top + foot) / 2;
  return document(chart.title, foot + 56 + notes.length * 15, [
    label(LEFT, 26, chart.title, 'ink', 'font-size="16" font-weight="600"'),
    label(LEFT, 46, chart.subtitle, 'soft'),
    svg,
    ...y.ticks.map((tick, i) => {
      const place = at(y.place(tick));
      return (
        `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${place}" y2="${place}" class="${i === 0 ? 'axis' : 'grid'}"/>` +
        label(LEFT - 8, Number(place) + 4, y.text(tick), 'soft', 'text-anchor="end"')
      );
    }),
    ...x.ticks.map((tick) => label(x.place(tick), foot + 18, x.text(tick), 'soft', 'text-anchor="middle"')),
    label((LEFT + WIDTH - RIGHT) / 2, foot + 38, chart.xLabel, 'soft', 'text-anchor="middle"'),
    label(16, middle, chart.yLabel, 'soft', `text-anchor="middle" transform="rotate(-90 16 ${at(middle)})"`),
    ...spanned.map((one, i) => drawn(one, i, x, y, hasBands)),
    ...notes.map((line, i) => label(LEFT, foot + 60 + i * 15, line, 'soft', 'font-size="11"')),
  ]);
}

export interface IntervalRow {
  readonly name: string;
  readonly value: number;
  readonly low?: number | null;
  readonly high?: number | null;
  /** Which colour: rows of one kind share it. */
  readonly kind: number;
}

export interface IntervalChart {
  readonly title: string;
  readonly subtitle: string;
  readonly xLabel: string;
  readonly rows: readonly IntervalRow[];
  /** A vertical line, e.g. no difference. */
  readonly reference?: number;
  readonly text: (value: number) => string;
  /** Small print beneath, each beginning on a line of its own. */
  readonly notes: readonly string[];
}

const ROW = 26;
const VALUE_MARGIN = 196;

/** One row per condition: its mean, its interval, both as figures at the right. */
export function intervalChart(chart: IntervalChart): string {
  const { rows, reference, text } = chart;
  const longest = Math.max(...rows.map(({ name }) => name.length));
  const left = Math.min(330, 30 + 6.7 * longest);
  const top = 66;
  const foot = top + rows.length * ROW;
  const values = rows.flatMap(({ value, low, high }) => [value, low, high].filter(isNumber));
  const x = scaleOf(
    reference === undefined ? values : [...values, reference],
    left,
    WIDTH - RIGHT - VALUE_MARGIN,
    5,
  );
  const notes = chart.notes.flatMap((note) => wrapped(note, 130));
  const charactersMax = Math.floor((left - 30) / 6.4);
  return document(chart.title, foot + 56 + notes.length * 15, [
    label(20, 26, chart.title, 'ink', 'font-size="16" font-weight="600"'),
    label(20, 46, chart.subtitle, 'soft'),
    ...x.ticks.map((tick) => {
      const place = at(x.place(tick));
      return (
        `<line x1="${place}" x2="${place}" y1="${top}" y2="${foot}" class="grid"/>` +
        label(Number(place), foot + 18, x.text(tick), 'soft', 'text-anchor="middle"')
      );
    }),
    reference === undefined
      ? ''
      : `<line x1="${at(x.place(reference))}" x2="${at(x.place(reference))}" y1="${top}" y2="${foot}" class="axis"/>`,
    ...rows.map((row, i) => intervalRow(row, top + (i + 0.5) * ROW, x, { left, charactersMax, text })),
    label((left + WIDTH - RIGHT - VALUE_MARGIN) / 2, foot + 38, chart.xLabel, 'soft', 'text-anchor="middle"'),
    ...notes.map((line, i) => label(20, foot + 60 + i * 15, line, 'soft', 'font-size="11"')),
  ]);
}

function intervalRow(
  { name, value, low, high, kind }: IntervalRow,
  y: number,
  x: Scale,
  place: { readonly left: number; readonly charactersMax: number; readonly text: (value: number) => string },
): string {
  const { left, charactersMax, text } = place;
  const colour = colourOf(kind);
  const hasInterval = isNumber(low) && isNumber(high);
  const whisker = hasInterval
    ? `<line x1="${at(x.place(low))}" x2="${at(x.place(high))}" y1="${at(y)}" y2="${at(y)}" class="whisker s${colour}"/>` +
      [low, high]
        .map(
          (end) =>
            `<line x1="${at(x.place(end))}" x2="${at(x.place(end))}" y1="${at(y - 5)}" y2="${at(y + 5)}" class="whisker s${colour}"/>`,
        )
        .join('')
    : '';
  const figures = hasInterval ? `${text(value)} [${text(low)}, ${text(high)}]` : text(value);
  const shown = name.length > charactersMax ? `${name.slice(0, charactersMax - 1)}…` : name;
  return (
    `${label(left - 10, y + 4, shown, 'ink', 'text-anchor="end"')}${whisker}` +
    `<circle cx="${at(x.place(value))}" cy="${at(y)}" r="4.5" class="f${colour}"><title>${escaped(`${name}: ${figures}`)}</title></circle>` +
    label(WIDTH - RIGHT, y + 4, figures, 'ink', 'text-anchor="end"')
  );
}
