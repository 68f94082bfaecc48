/**
 * The figure of the attack study: what is read and who is found, layer by layer.
 *
 * May be called by: cli/commands/bench-attacks.ts.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Line, linePlot } from '../bench/plot-lines.ts';
import type { AttackRow } from './bench.ts';

const tickOf = ({ layer, clients, epsilon }: AttackRow): string =>
  layer === 'plain' ? 'plain' : epsilon === null ? `sum of ${clients}` : `+ noise, ε ${epsilon}`;

/** Writes `attacks.svg`; returns its path. */
export function writeAttackPlot(rows: readonly AttackRow[], directory: string): string {
  const line = (name: string, colour: string, pick: (row: AttackRow) => number): Line => ({
    name,
    colour,
    points: rows.map((row, x) => ({ x, y: pick(row) })),
  });
  const svg = linePlot({
    title: 'What each layer buys',
    subtitle: 'cardio, one person a client, first round; noise in sums of 1,000, ε of the whole plan',
    xLabel: 'what the attacker sees',
    yLabel: 'share read, and AUC',
    xTicks: rows.map(tickOf),
    yRange: [0, 1],
    yStep: 0.25,
    lines: [
      line('a row read by inversion (R²)', '#b4302a', (row) => row.inversion_explained),
      line('membership, cohort unknown (AUC)', '#1b6ca8', (row) => row.membership_auc),
      line('membership, rest of cohort known (AUC)', '#8a5fb0', (row) => row.membership_auc_informed),
    ],
    note: `${rows[0]?.trials} victims a point. Harness, seal: none, seeded. An AUC of .5 is a coin's.`,
  });
  mkdirSync(directory, { recursive: true });
  const file = join(directory, 'attacks.svg');
  writeFileSync(file, svg);
  return file;
}
