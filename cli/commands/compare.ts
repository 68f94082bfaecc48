/**
 * `pulsefold compare`: run folders side by side, paired by seed.
 *
 * For: program.ts. Trusts: nothing; folders are read, never run.
 */
import { writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { Comparison } from '../../experiments/runs/compare.ts';
import type { MetricName } from '../../experiments/runs/task-metrics.ts';
import { type CommonOptions, collect, ensureUsage, leaf, printJson, printLine } from '../command.ts';
import { naming } from '../failure.ts';
import { renderFields, renderTable } from '../terminal.ts';

interface CompareFlags extends CommonOptions {
  readonly metric?: readonly string[];
  readonly html?: string;
}

export function command(): Command {
  return leaf('compare', {
    description:
      'Set finished runs side by side: every sweep point of every run against the first one, seed by seed where both ' +
      'tested on the same rows, with 95 % intervals.',
    examples: [
      'compare runs/heart-fedavg-1a2b3c4d5e6f runs/heart-dp-6f5e4d3c2b1a',
      'compare runs/heart-dp-6f5e4d3c2b1a --metric auc --html compare.html',
      'compare runs/a runs/b --json',
    ],
  })
    .argument('<run...>', 'run folders; the first point of the first one is the reference')
    .option('--metric <name>', 'compare this metric; may be repeated (default: all of the task)', collect)
    .option('--html <file>', 'also write a page with overlaid curves')
    .action(async (directories: string[], options: CompareFlags) => {
      const { compareRuns, readRun } = await import('../../experiments/runs/compare.ts');
      const { isMetricName, METRICS } = await import('../../experiments/runs/task-metrics.ts');
      const wanted = options.metric?.map((name): MetricName => {
        ensureUsage(
          isMetricName(name),
          `no metric is called ${name}: ${Object.keys(METRICS).join(', ')}`,
          'pulsefold compare',
        );
        return name;
      });
      const runs = directories.map(readRun);
      const comparison = compareRuns(runs, wanted);
      if (options.html !== undefined) {
        const { comparePage } = await import('../../experiments/runs/compare-page.ts');
        const { html } = options;
        await naming(html, () => writeFileSync(html, comparePage(comparison, runs)));
        if (!options.json) process.stderr.write(`${html}\n`);
      }
      if (options.json) printJson(comparison);
      else await print(comparison);
    });
}

async function print(comparison: Comparison): Promise<void> {
  const { METRICS } = await import('../../experiments/runs/task-metrics.ts');
  const { intervalText, signedText } = await import('../../experiments/runs/page.ts');
  const { PER_DEVICE_COLUMNS, perDeviceRows } = await import('../../experiments/runs/per-device.ts');
  const { conditions, differences, metrics, notes } = comparison;
  for (const metric of metrics) {
    const { title, better, digits } = METRICS[metric];
    printLine(`${title} (${better} is better)`);
    const rows = conditions.map((condition) => {
      const found = differences.find((one) => one.condition === condition.name && one.metric === metric);
      return [
        condition.name,
        intervalText(condition.estimates[metric], digits),
        found === undefined ? '–' : signedText(found.difference, digits),
        found === undefined ? '–' : found.paired ? String(found.seeds) : 'unpaired',
        found?.better === 'condition' ? 'better' : found?.better === 'reference' ? 'worse' : '–',
        condition.privacy ? (condition.privacy.epsilon_spent ?? 0).toFixed(3) : '–',
      ];
    });
    process.stdout.write(
      renderTable(
        [
          'condition',
          'mean',
          'difference',
          { title: 'pairs', align: 'right' },
          'beyond the interval',
          'ε spent',
        ],
        rows,
      ),
    );
  }
  const costs = conditions.flatMap(({ name, perDevice }) =>
    perDevice ? perDeviceRows(perDevice).map((row) => [name, ...row]) : [],
  );
  if (costs.length > 0) process.stdout.write(renderTable(['condition', ...PER_DEVICE_COLUMNS], costs));
  process.stdout.write(
    renderFields([
      ['reference', comparison.reference],
      ['figures', comparison.evaluation],
      ['brackets', comparison.interval],
      ['noise', comparison.noise.join('; ')],
      ...notes.map((note) => ['note', note] as const),
    ]),
  );
}
