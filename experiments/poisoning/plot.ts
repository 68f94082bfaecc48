/**
 * The figure of the poisoning study: AUC over the share of malicious clients, one line per rule.
 *
 * May be called by: cli/commands/bench-poisoning.ts.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Line, linePlot } from '../bench/plot-lines.ts';
import { MALICIOUS_SHARES, type PoisoningRow } from './bench.ts';

const COLOURS = ['#b4302a', '#1b6ca8', '#35a06d', '#8a5fb0', '#d08a1d'];

const nameOf = ({ rule, groups, clients }: PoisoningRow): string =>
  rule === 'fedavg'
    ? 'FedAvg, one sum'
    : `${rule.replace('-', ' ')}, groups of ${Math.floor(clients / groups)}`;

/** Writes `poisoning.svg`; returns its path. */
export function writePoisoningPlot(rows: readonly PoisoningRow[], directory: string): string {
  const open = rows.filter((row) => row.epsilon === null && row.attack === 'boosted');
  const names = [...new Set(open.map(nameOf))];
  const lines: Line[] = names.map((name, i) => ({
    name,
    colour: COLOURS[i % COLOURS.length]!,
    points: open
      .filter((row) => nameOf(row) === name)
      .map((row, x) => ({ x, y: row.auc, spread: [row.auc_min, row.auc_max] as const })),
  }));
  const [first] = open;
  const svg = linePlot({
    title: 'What boosted malicious clients do to the model',
    subtitle: `cardio, ${first?.clients} phones of one person each, without noise; malicious clients collude and choose their boost: the worst of five`,
    xLabel: 'malicious clients',
    yLabel: 'test AUC',
    xTicks: MALICIOUS_SHARES.map((share) => `${100 * share} %`),
    yRange: [0.2, 0.8],
    yStep: 0.1,
    lines,
    note: `Mean of ${first?.seeds} seeds, band: smallest to largest. Harness, seal: none, seeded. No rule over groups can hold once half of the groups hold a malicious client.`,
  });
  mkdirSync(directory, { recursive: true });
  const file = join(directory, 'poisoning.svg');
  writeFileSync(file, svg);
  return file;
}
