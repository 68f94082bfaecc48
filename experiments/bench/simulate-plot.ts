/**
 * The scaling study of simulate.ts as a figure: time per round over its first value, for each of the three things that were
 * varied, over how many times its first value it is. Work that grows with it lies on a straight line, what does not matter
 * lies flat.
 *
 * Pure: returns text. May be called by: cli/commands/bench-simulate.ts.
 */
import { type Line, linePlot } from './plot-lines.ts';
import type { ScalingRow } from './simulate.ts';

const VARIED = [
  { name: 'cohort', of: (row: ScalingRow) => row.cohort, colour: '#1f77b4' },
  { name: 'parameters', of: (row: ScalingRow) => row.parameters, colour: '#2ca02c' },
  { name: 'population', of: (row: ScalingRow) => row.population, colour: '#d62728' },
] as const;

const short = (value: number): string =>
  value >= 1e6
    ? `${value / 1e6} M`
    : value >= 1000 && value % 1000 === 0
      ? `${value / 1000} k`
      : String(value);

interface Series {
  readonly name: ScalingRow['varied'];
  readonly own: readonly ScalingRow[];
  readonly of: (row: ScalingRow) => number;
}

/** `cohort 1 k to 8 k (1025 parameters)`. */
function nameOf({ name, own, of }: Series): string {
  const [first, last] = [own[0]!, own.at(-1)!];
  const others = {
    cohort: `${first.parameters} parameters`,
    parameters: `cohort ${short(first.cohort)}`,
    population: `cohort ${short(first.cohort)}, ${first.parameters} parameters`,
  };
  return `${name} ${short(of(first))} to ${short(of(last))} (${others[name]})`;
}

export function scalingPlot(rows: readonly ScalingRow[]): string {
  const series = VARIED.map(({ name, of, colour }) => {
    const own = rows.filter(({ varied }) => varied === name);
    return { name, colour, own, of };
  });
  const timesOf = (row: ScalingRow, { own, of }: (typeof series)[number]) => of(row) / of(own[0]!);
  // Parameters are inputs and a bias: 1.99 times is twice.
  const times = series.flatMap((one) => one.own.map((row) => Math.round(timesOf(row, one))));
  const lines: Line[] = series.map((one) => ({
    name: nameOf(one),
    colour: one.colour,
    points: one.own.map((row) => ({ x: timesOf(row, one) - 1, y: row.roundCpuMs / 1000 })),
  }));
  const most = Math.max(...rows.map(({ roundCpuMs }) => roundCpuMs / 1000));
  const step = 10 ** Math.floor(Math.log10(most)) / 2;
  return linePlot({
    title: 'Time of a simulated round',
    subtitle: 'Real rounds over virtual devices; one thing varied at a time: cohort, parameters, population',
    xLabel: 'times the first value',
    yLabel: 'processor seconds per round',
    xTicks: Array.from({ length: Math.max(...times) }, (_, i) => (times.includes(i + 1) ? `${i + 1} ×` : '')),
    yRange: [0, step * Math.ceil(most / step)],
    yStep: step,
    lines,
    note: 'One row a device, person-level noise. Processor time of all threads, median of the rounds but the first.',
  });
}
