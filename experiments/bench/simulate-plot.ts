/**
 * The scaling study of simulate.ts as a figure: time per round over its first value, for each of the three things that were
 * varied. Work that grows with the cohort lies on the diagonal, what does not matter lies flat.
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
  value >= 1e6 ? `${value / 1e6} M` : value >= 1000 ? `${value / 1000} k` : String(value);

export function scalingPlot(rows: readonly ScalingRow[]): string {
  const series = VARIED.map(({ name, of, colour }) => {
    const own = rows.filter(({ varied }) => varied === name);
    return { name, colour, own, of };
  });
  const steps = Math.max(...series.map(({ own }) => own.length));
  const lines: Line[] = series.map(({ name, colour, own, of }) => ({
    name: `${name} ${own.map((row) => short(of(row))).join(', ')}`,
    colour,
    points: own.map((row, x) => ({ x, y: row.roundCpuMs / 1000 })),
  }));
  const most = Math.max(...rows.map(({ roundCpuMs }) => roundCpuMs / 1000));
  const step = 10 ** Math.floor(Math.log10(most)) / 2;
  return linePlot({
    title: 'Time of a simulated round',
    subtitle: 'Real rounds over virtual devices; one thing varied at a time: cohort, parameters, population',
    xLabel: 'value, in the order of the legend',
    yLabel: 'processor seconds per round',
    xTicks: Array.from({ length: steps }, (_, i) => `${i + 1}.`),
    yRange: [0, step * Math.ceil(most / step)],
    yStep: step,
    lines,
    note: 'Otherwise: cohort 2,000 of 20,000 devices, 33 parameters, one row each. Cohorts double, parameters quadruple, populations grow tenfold.',
  });
}
