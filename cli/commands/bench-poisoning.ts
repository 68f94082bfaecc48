/**
 * `pulsefold bench poisoning`: what malicious clients do to one sum and to group sums.
 *
 * For: bench.ts. Trusts: nothing.
 */
import type { Command } from 'commander';
import { type CommonOptions, integerBetween, leaf, printJson, printLine } from '../command.ts';
import { createProgress, renderTable } from '../terminal.ts';

interface PoisoningFlags extends CommonOptions {
  readonly clients: number;
  readonly seeds: number;
  readonly data?: string;
  readonly plots?: string;
}

export function poisoning(): Command {
  return leaf('poisoning', {
    description:
      'Test AUC under 0–20 % malicious clients: one sum (FedAvg) against group sums combined robustly. Harness, noise seeded.',
    examples: ['bench poisoning', 'bench poisoning --seeds 2 --json', 'bench poisoning --plots docs/images'],
  })
    .option('--clients <n>', 'phones, one person each', integerBetween(40, 5000), 300)
    .option('--seeds <n>', 'splits, attackers and partitions drawn', integerBetween(1, 100), 5)
    .option('--data <dir>', 'directory of the data sets')
    .option('--plots <dir>', 'also write poisoning.svg there')
    .action(async (options: PoisoningFlags) => {
      const { runPoisoningBench } = await import('../../experiments/poisoning/bench.ts');
      let progress: ReturnType<typeof createProgress> | undefined;
      const rows = await runPoisoningBench({
        clients: options.clients,
        seeds: options.seeds,
        ...(options.data === undefined ? {} : { dataRoot: options.data }),
        onRow: (row) => {
          if (options.json) printJson(row);
        },
        onProgress: (done, total) => {
          progress ??= createProgress({ label: 'runs', total, json: options.json === true });
          progress.update(done, '');
        },
      });
      progress?.finish();
      if (options.plots !== undefined) {
        const { writePoisoningPlot } = await import('../../experiments/poisoning/plot.ts');
        process.stderr.write(`${writePoisoningPlot(rows, options.plots)}\n`);
      }
      if (options.json) return;
      printLine(
        renderTable(
          [
            'rule',
            'groups',
            'clients',
            'epsilon',
            'attack',
            'malicious',
            'groups spoiled',
            'AUC',
            'of seeds',
            'missed with trigger',
          ],
          rows.map((row) => [
            row.rule,
            row.groups,
            row.clients,
            row.epsilon ?? '–',
            row.attack === 'label-flip' ? row.attack : `${row.attack} × ${row.boost}`,
            `${row.malicious} (${(100 * row.malicious_share).toFixed(1)} %)`,
            `${(100 * row.spoiled_groups_share).toFixed(0)} %`,
            row.auc.toFixed(3),
            `${row.auc_min.toFixed(3)}–${row.auc_max.toFixed(3)}`,
            row.attack === 'backdoor' ? `${(100 * row.missed_with_trigger).toFixed(0)} %` : '',
          ]),
        ),
      );
      printLine(
        'Harness: all data in one place, outside the guarantee. seal: none; noise: seeded, not private.',
      );
    });
}
