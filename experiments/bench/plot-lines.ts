/**
 * Lines over a linear scale as a self-contained SVG, with a band for the spread where one is given.
 *
 * No dependency and no script; white ground, so that it reads the same on light and dark pages. Pure: returns text.
 * May be called by: benchmarks.
 */
import { escaped, FIGURE_WIDTH, figure, lines, text } from './svg.ts';

export interface Line {
  readonly name: string;
  /** CSS colour. */
  readonly colour: string;
  /** SVG dash pattern, e.g. '6 4'; solid where absent. */
  readonly dash?: string;
  readonly points: readonly {
    readonly x: number;
    readonly y: number;
    /** Lower and upper end of the band. */
    readonly spread?: readonly [number, number];
  }[];
}

export interface LinePlot {
  readonly title: string;
  readonly subtitle: string;
  readonly xLabel: string;
  readonly yLabel: string;
  /** Evenly spaced places with these labels; a point's x is an index into them. */
  readonly xTicks: readonly string[];
  readonly yRange: readonly [number, number];
  readonly yStep: number;
  readonly lines: readonly Line[];
  /** Small print beneath. */
  readonly note?: string;
}

const PLOT = { left: 70, right: 24, height: 300 };
const INNER_WIDTH = FIGURE_WIDTH - PLOT.left - PLOT.right;
const LEGEND_COLUMNS_MAX = 3;
/** Width of a letter at 12 px on the average, a little generous. */
const LETTER = 6.8;
const LEGEND_ROW = 20;

interface Frame {
  readonly top: number;
  x(index: number): number;
  y(value: number): number;
}

function frameOf({ xTicks, yRange }: LinePlot, top: number): Frame {
  const [low, high] = yRange;
  const step = INNER_WIDTH / xTicks.length;
  return {
    top,
    x: (index) => PLOT.left + (index + 0.5) * step,
    // What lies outside is drawn at the edge: a broken model's exact figure is of no interest.
    y: (value) => top + PLOT.height * (1 - (Math.min(high, Math.max(low, value)) - low) / (high - low)),
  };
}

function axes(plot: LinePlot, frame: Frame): string {
  const [low, high] = plot.yRange;
  const parts: string[] = [];
  const steps = Math.round((high - low) / plot.yStep);
  for (let i = 0; i <= steps; i++) {
    const value = low + i * plot.yStep;
    const y = frame.y(value).toFixed(1);
    parts.push(
      `<line x1="${PLOT.left}" x2="${FIGURE_WIDTH - PLOT.right}" y1="${y}" y2="${y}" stroke="${i === 0 ? '#555' : '#e2e2e2'}"/>`,
      text(PLOT.left - 8, Number(y) + 4, value.toFixed(2), 'text-anchor="end" fill="#555"'),
    );
  }
  plot.xTicks.forEach((tick, i) => {
    parts.push(text(frame.x(i), frame.top + PLOT.height + 18, tick, 'text-anchor="middle" fill="#222"'));
  });
  const middle = frame.top + PLOT.height / 2;
  parts.push(
    text(
      (PLOT.left + FIGURE_WIDTH - PLOT.right) / 2,
      frame.top + PLOT.height + 38,
      plot.xLabel,
      'text-anchor="middle" fill="#555"',
    ),
    text(
      18,
      middle,
      plot.yLabel,
      `text-anchor="middle" fill="#555" transform="rotate(-90 18 ${middle.toFixed(1)})"`,
    ),
  );
  return parts.join('\n');
}

function drawn({ colour, dash, points, name }: Line, frame: Frame): string {
  const at = points.map(({ x, y }) => `${frame.x(x).toFixed(1)},${frame.y(y).toFixed(1)}`);
  const banded = points.filter((point) => point.spread);
  const upper = banded.map(({ x, spread }) => `${frame.x(x).toFixed(1)},${frame.y(spread![1]).toFixed(1)}`);
  const lower = banded.map(({ x, spread }) => `${frame.x(x).toFixed(1)},${frame.y(spread![0]).toFixed(1)}`);
  const band =
    banded.length > 1
      ? `<polygon points="${[...upper, ...lower.reverse()].join(' ')}" fill="${colour}" fill-opacity="0.08"/>`
      : '';
  const dots = points.map(
    ({ x, y }) =>
      `<circle cx="${frame.x(x).toFixed(1)}" cy="${frame.y(y).toFixed(1)}" r="3.2" fill="${colour}">` +
      `<title>${escaped(`${name}: ${y}`)}</title></circle>`,
  );
  const dashes = dash === undefined ? '' : ` stroke-dasharray="${dash}"`;
  return `${band}<polyline points="${at.join(' ')}" fill="none" stroke="${colour}" stroke-width="2.2"${dashes}/>${dots.join('')}`;
}

/** As many columns as the longest name leaves room for. */
function legendColumns(lines: readonly Line[]): number {
  const widest = 50 + LETTER * Math.max(0, ...lines.map(({ name }) => name.length));
  return Math.min(LEGEND_COLUMNS_MAX, Math.max(1, Math.floor(INNER_WIDTH / widest)));
}

function legend(lines: readonly Line[], top: number): string {
  const columns = legendColumns(lines);
  const column = INNER_WIDTH / columns;
  return lines
    .map(({ name, colour, dash }, i) => {
      const x = PLOT.left + (i % columns) * column;
      const y = top + Math.floor(i / columns) * LEGEND_ROW;
      const dashes = dash === undefined ? '' : ` stroke-dasharray="${dash}"`;
      return (
        `<line x1="${x.toFixed(1)}" x2="${(x + 26).toFixed(1)}" y1="${y}" y2="${y}" stroke="${colour}" ` +
        `stroke-width="2.4"${dashes}/>${text(x + 34, y + 4, name, 'fill="#222"')}`
      );
    })
    .join('\n');
}

/** The figure as an SVG document. */
export function linePlot(plot: LinePlot): string {
  const legendTop = 68;
  const top = legendTop + Math.ceil(plot.lines.length / legendColumns(plot.lines)) * LEGEND_ROW + 8;
  const notes = plot.note === undefined ? [] : lines(plot.note, 135);
  const height = top + PLOT.height + 52 + notes.length * 15;
  const frame = frameOf(plot, top);
  return figure(plot.title, height, [
    text(PLOT.left, 26, plot.title, 'font-size="16" font-weight="bold" fill="#111"'),
    text(PLOT.left, 45, plot.subtitle, 'fill="#555"'),
    legend(plot.lines, legendTop),
    axes(plot, frame),
    ...plot.lines.map((line) => drawn(line, frame)),
    ...notes.map((line, i) =>
      text(PLOT.left, top + PLOT.height + 58 + i * 15, line, 'fill="#555" font-size="11"'),
    ),
  ]);
}
