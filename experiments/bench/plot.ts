/**
 * Grouped bars on a logarithmic scale as a self-contained SVG: one figure per question, numbers on the bars.
 *
 * No dependency and no script; white ground, so that it reads the same on light and dark pages. Pure: returns text.
 * May be called by: benchmarks.
 */
import { escaped, FIGURE_WIDTH, figure, lines, text } from './svg.ts';

export interface Series {
  readonly name: string;
  /** CSS colour. */
  readonly colour: string;
  /** One positive value per group; null where there is none. */
  readonly values: readonly (number | null)[];
}

export interface GroupedBars {
  readonly title: string;
  /** Stands under the title: what the numbers are. */
  readonly unit: string;
  readonly groups: readonly string[];
  readonly series: readonly Series[];
  /** A dashed line across the plot. */
  readonly reference?: { readonly value: number; readonly label: string };
  /** Small print beneath: machine, versions, what is left out. */
  readonly note?: string;
}

const PLOT = { left: 64, right: 20, height: 260 };
const LEGEND_COLUMNS = 3;
/** Room at the right for the name of the reference line. */
const REFERENCE_MARGIN = 104;
const BAR_WIDTH_MAX = 52;
const LEGEND_ROW = 20;
/** Room for a number above the highest bar, as a factor on the scale. */
const HEADROOM = 1.6;

const NUMBER = 'text-anchor="middle" fill="#222" font-size="11"';

/** Two or three significant digits, no exponent. */
const short = (value: number): string => {
  const digits = Number(value.toPrecision(value >= 100 ? 3 : 2));
  return digits >= 1000 ? digits.toLocaleString('en-GB') : String(digits);
};

interface Scale {
  readonly low: number;
  readonly high: number;
  /** Where the plot ends. */
  readonly right: number;
  y(value: number): number;
}

function scaleOf({ series, reference }: GroupedBars, top: number): Scale {
  const values = series.flatMap((one) => one.values.filter((value) => value !== null));
  if (reference !== undefined) values.push(reference.value);
  if (values.length === 0 || !values.every((value) => value > 0 && Number.isFinite(value)))
    throw new Error('a plot on a logarithmic scale takes positive values only');
  // Bars start below the smallest value, so that it can be seen.
  const low = 10 ** Math.floor(Math.log10(Math.min(...values) / 1.25));
  const high = Math.max(...values) * HEADROOM;
  const span = Math.log(high / low);
  const right = FIGURE_WIDTH - PLOT.right - (reference === undefined ? 0 : REFERENCE_MARGIN);
  return { low, high, right, y: (value) => top + PLOT.height * (1 - Math.log(value / low) / span) };
}

function axis({ low, high, right, y }: Scale): string {
  const parts: string[] = [];
  for (let tick = low; tick <= high; tick *= 10) {
    const at = y(tick);
    parts.push(
      `<line x1="${PLOT.left}" x2="${right}" y1="${at.toFixed(1)}" y2="${at.toFixed(1)}" ` +
        `stroke="${tick === low ? '#555' : '#e2e2e2'}"/>`,
      text(PLOT.left - 8, at + 4, short(tick), 'text-anchor="end" fill="#555"'),
    );
  }
  return parts.join('\n');
}

function legend(series: readonly Series[], top: number): string {
  const column = (FIGURE_WIDTH - PLOT.left - PLOT.right) / LEGEND_COLUMNS;
  return series
    .map(({ name, colour }, i) => {
      const x = PLOT.left + (i % LEGEND_COLUMNS) * column;
      const y = top + Math.floor(i / LEGEND_COLUMNS) * LEGEND_ROW;
      return (
        `<rect x="${x.toFixed(1)}" y="${y}" width="12" height="12" fill="${colour}"/>` +
        text(x + 18, y + 10.5, name, 'fill="#222"')
      );
    })
    .join('\n');
}

function bars({ groups, series }: GroupedBars, { low, right, y }: Scale): string {
  const groupWidth = (right - PLOT.left) / groups.length;
  const barWidth = Math.min(BAR_WIDTH_MAX, (groupWidth * 0.84) / series.length);
  const bottom = y(low);
  const parts: string[] = [];
  groups.forEach((group, g) => {
    const centre = PLOT.left + (g + 0.5) * groupWidth;
    series.forEach(({ colour, values, name }, s) => {
      const value = values[g];
      if (value === null || value === undefined) return;
      const top = y(value);
      const x = centre + (s - series.length / 2) * barWidth;
      parts.push(
        `<rect x="${(x + 1).toFixed(1)}" y="${top.toFixed(1)}" width="${(barWidth - 2).toFixed(1)}" ` +
          `height="${(bottom - top).toFixed(1)}" fill="${colour}"><title>${escaped(`${name}: ${value}`)}</title></rect>`,
        // Twice, so that the number stays readable where a line runs behind it; not every viewer knows paint-order.
        text(x + barWidth / 2, top - 4, short(value), `${NUMBER} stroke="#fff" stroke-width="3"`),
        text(x + barWidth / 2, top - 4, short(value), NUMBER),
      );
    });
    parts.push(text(centre, bottom + 18, group, 'text-anchor="middle" fill="#222"'));
  });
  return parts.join('\n');
}

function referenceLine({ reference }: GroupedBars, { right, y }: Scale): string {
  if (reference === undefined) return '';
  const at = y(reference.value);
  const label = lines(`${reference.label}: ${short(reference.value)}`, 16);
  return [
    `<line x1="${PLOT.left}" x2="${right}" y1="${at.toFixed(1)}" y2="${at.toFixed(1)}" ` +
      `stroke="#222" stroke-dasharray="5 4"/>`,
    ...label.map((line, i) => {
      const y = at + 4 + (i - (label.length - 1) / 2) * 14;
      return text(right + 8, y, line, 'fill="#222" font-size="11"');
    }),
  ].join('\n');
}

/** The figure as an SVG document. Throws where a value is not positive. */
export function groupedBars(plot: GroupedBars): string {
  const legendTop = 60;
  const plotTop = legendTop + Math.ceil(plot.series.length / LEGEND_COLUMNS) * LEGEND_ROW + 12;
  const notes = plot.note === undefined ? [] : lines(plot.note, 140);
  const height = plotTop + PLOT.height + 34 + notes.length * 15 + 6;
  const scale = scaleOf(plot, plotTop);
  return figure(plot.title, height, [
    text(PLOT.left, 26, plot.title, 'font-size="16" font-weight="bold" fill="#111"'),
    text(PLOT.left, 44, plot.unit, 'fill="#555"'),
    legend(plot.series, legendTop),
    axis(scale),
    referenceLine(plot, scale),
    bars(plot, scale),
    ...notes.map((line, i) =>
      text(PLOT.left, plotTop + PLOT.height + 42 + i * 15, line, 'fill="#555" font-size="11"'),
    ),
  ]);
}
