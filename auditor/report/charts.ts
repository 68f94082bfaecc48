/**
 * The report's figures as plain shapes: budget per plan, budget over time, cohorts, the pyramid of NIST SP 800-226.
 *
 * Trusts: nothing; labels are masked before they come here. May be called by: auditor/report/.
 */
import { CONTENT_WIDTH, type Drawing, INK, SERIES, type Shape } from './document.ts';

type Point = readonly [number, number];

const rectangle = (x: number, y: number, width: number, height: number, fill: string): Shape => ({
  kind: 'area',
  points: [
    [x, y],
    [x + width, y],
    [x + width, y + height],
    [x, y + height],
  ],
  fill,
});

const line = (points: readonly Point[], colour: string, width = 0.6, dash = false): Shape => ({
  kind: 'line',
  points,
  colour,
  width,
  ...(dash ? { dash } : {}),
});

const text = (
  x: number,
  y: number,
  content: string,
  anchor: 'start' | 'middle' | 'end' = 'start',
  { size = 8, colour = INK.soft as string, strong = false } = {},
): Shape => ({ kind: 'text', x, y, text: content, size, anchor, colour, strong });

export interface BudgetBar {
  readonly name: string;
  readonly spent: number;
  readonly budget: number;
  /** `2.345 of 3`. */
  readonly label: string;
}

/** One horizontal bar a plan; the ground is its budget. */
export function budgetChart(bars: readonly BudgetBar[], label: string): Drawing {
  const row = 24;
  const left = 142;
  const right = 84;
  const width = CONTENT_WIDTH - left - right;
  const shapes = bars.flatMap(({ name, spent, budget, label: amount }, i): Shape[] => {
    const y = i * row + 4;
    const part = Math.min(1, budget > 0 ? spent / budget : 0);
    return [
      text(left - 8, y + 11, shorten(name, 30), 'end', { colour: INK.text }),
      rectangle(left, y, width, 14, INK.accentSoft),
      rectangle(left, y, width * part, 14, spent > budget * (1 + 1e-6) ? INK.bad : INK.accent),
      text(left + width + 8, y + 11, amount, 'start', { colour: INK.text, strong: true }),
    ];
  });
  return { width: CONTENT_WIDTH, height: bars.length * row + 6, label, shapes };
}

const shorten = (name: string, characters: number): string =>
  name.length > characters ? `${name.slice(0, characters - 1)}…` : name;

export interface TimeSeries {
  readonly name: string;
  readonly budget: number;
  readonly points: readonly { readonly timeMs: number; readonly epsilon: number }[];
}

/** 1, 2 or 5 times a power of ten, so that a scale has about `count` steps. */
function niceStep(range: number, count: number): number {
  const rough = range / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5, 10].find((factor) => rough <= factor * power) ?? 10);
}

const PLOT = { left: 40, right: 8, top: 8, height: 116 } as const;

function frame(maximum: number, count = 4): { shapes: Shape[]; y: (value: number) => number } {
  const step = niceStep(maximum, count);
  const top = Math.ceil(maximum / step - 1e-9) * step;
  const y = (value: number) => PLOT.top + PLOT.height * (1 - value / top);
  const shapes: Shape[] = [];
  for (let value = 0; value <= top * (1 + 1e-9); value += step) {
    const at = y(value);
    shapes.push(
      line(
        [
          [PLOT.left, at],
          [CONTENT_WIDTH - PLOT.right, at],
        ],
        INK.line,
        0.5,
      ),
    );
    shapes.push(text(PLOT.left - 6, at + 3, String(Number(value.toPrecision(6))), 'end'));
  }
  return { shapes, y };
}

/** ε after each settled round as steps, the budget of each plan dashed. */
export function timelineChart(
  series: readonly TimeSeries[],
  [fromMs, toMs]: readonly [number, number],
  tick: (timeMs: number) => string,
  label: string,
): Drawing {
  const right = CONTENT_WIDTH - PLOT.right;
  const x = (timeMs: number) => PLOT.left + ((timeMs - fromMs) / (toMs - fromMs)) * (right - PLOT.left);
  const most = Math.max(
    ...series.map(({ budget, points }) => Math.max(budget, ...points.map((p) => p.epsilon))),
  );
  const { shapes, y } = frame(most * 1.04);
  series.forEach(({ budget, points }, i) => {
    const colour = SERIES[i % SERIES.length]!;
    shapes.push(
      line(
        [
          [PLOT.left, y(budget)],
          [right, y(budget)],
        ],
        colour,
        0.8,
        true,
      ),
    );
    let level = y(0);
    const steps: Point[] = [[PLOT.left, level]];
    for (const { timeMs, epsilon } of points) {
      const at = Math.max(PLOT.left, x(timeMs));
      steps.push([at, level], [at, y(epsilon)]);
      level = y(epsilon);
    }
    steps.push([right, level]);
    shapes.push(line(steps, colour, 1.6));
  });
  const bottom = PLOT.top + PLOT.height;
  for (let i = 0; i <= 4; i++) {
    const at = PLOT.left + ((right - PLOT.left) * i) / 4;
    const anchor = i === 0 ? 'start' : i === 4 ? 'end' : 'middle';
    shapes.push(
      line(
        [
          [at, bottom],
          [at, bottom + 3],
        ],
        INK.soft,
        0.5,
      ),
    );
    shapes.push(text(at, bottom + 13, tick(fromMs + ((toMs - fromMs) * i) / 4), anchor));
  }
  const columns = 3;
  series.forEach(({ name }, i) => {
    const at = PLOT.left + (i % columns) * ((right - PLOT.left) / columns);
    const row = bottom + 30 + Math.floor(i / columns) * 13;
    shapes.push(
      line(
        [
          [at, row - 3],
          [at + 14, row - 3],
        ],
        SERIES[i % SERIES.length]!,
        1.6,
      ),
    );
    shapes.push(text(at + 19, row, shorten(name, 26), 'start', { colour: INK.text }));
  });
  const height = bottom + 24 + 13 * Math.ceil(series.length / columns) + 4;
  return { width: CONTENT_WIDTH, height, label, shapes };
}

export interface CohortBar {
  readonly name: string;
  /** undefined for a round without a certificate. */
  readonly count: number | undefined;
}

/** Participants per round, the least that the plan allows dashed. */
export function cohortChart(bars: readonly CohortBar[], minimum: number, label: string): Drawing {
  const right = CONTENT_WIDTH - PLOT.right;
  const most = Math.max(minimum, ...bars.map(({ count }) => count ?? 0));
  const { shapes, y } = frame(most * 1.12, Math.min(4, most));
  const slot = (right - PLOT.left) / bars.length;
  const width = Math.min(34, slot * 0.62);
  const every = Math.ceil(bars.length / 24);
  bars.forEach(({ name, count }, i) => {
    const middle = PLOT.left + slot * (i + 0.5);
    if (count !== undefined) {
      shapes.push(rectangle(middle - width / 2, y(count), width, y(0) - y(count), INK.accent));
      if (bars.length <= 24)
        shapes.push(text(middle, y(count) - 4, String(count), 'middle', { colour: INK.text }));
    }
    if (i % every === 0) shapes.push(text(middle, y(0) + 13, name, 'middle'));
  });
  shapes.push(
    line(
      [
        [PLOT.left, y(minimum)],
        [right, y(minimum)],
      ],
      INK.bad,
      0.9,
      true,
    ),
  );
  return { width: CONTENT_WIDTH, height: PLOT.top + PLOT.height + 20, label, shapes };
}

/** Three layers, each with a title and what belongs to it, the guarantee on top. */
export function pyramid(
  layers: readonly { readonly title: string; readonly text: string }[],
  label: string,
): Drawing {
  const layerHeight = 44;
  const middle = CONTENT_WIDTH / 2;
  const half = (row: number): number => 70 + row * 57;
  const fills = [INK.accent, '#4c8791', '#a9c8cd'];
  const shapes = layers.flatMap(({ title, text: content }, i): Shape[] => {
    const top = i * (layerHeight + 3);
    const bottom = top + layerHeight;
    const dark = i < 2;
    return [
      {
        kind: 'area',
        points: [
          [middle - half(i), top],
          [middle + half(i), top],
          [middle + half(i + 1) - 3, bottom],
          [middle - half(i + 1) + 3, bottom],
        ],
        fill: fills[i % fills.length]!,
      },
      text(middle, top + 19, title, 'middle', {
        size: 10,
        colour: dark ? '#ffffff' : INK.text,
        strong: true,
      }),
      text(middle, top + 33, content, 'middle', { size: 8, colour: dark ? '#ffffff' : INK.text }),
    ];
  });
  return { width: CONTENT_WIDTH, height: layers.length * (layerHeight + 3), label, shapes };
}
