/**
 * `pulsefold bench attacks`: what an attacker reads from a plain update, from a sum, from a sum with noise.
 *
 * For: bench.ts. Trusts: nothing.
 */
import type { Command } from 'commander';
import { type CommonOptions, integerBetween, leaf, printJson, printLine } from '../command.ts';
import { createProgress, renderTable } from '../terminal.ts';

interface AttackFlags extends CommonOptions {
  readonly trials: number;
  readonly data?: string;
  readonly plots?: string;
}

const percent = (share: number): string => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

export function attacks(): Command {
  return leaf('attacks', {
    description:
      'Gradient inversion and membership inference against a plain update, a sum of K, and a sum with noise. Harness, noise seeded.',
    examples: ['bench attacks', 'bench attacks --trials 50 --json', 'bench attacks --plots docs/images'],
  })
    .option(
      '--trials <n>',
      'cohorts for the attacker to learn on, and as many victims',
      integerBetween(20, 5000),
      200,
    )
    .option('--data <dir>', 'directory of the data sets')
    .option('--plots <dir>', 'also write attacks.svg there')
    .action(async (options: AttackFlags) => {
      const { runAttackBench, FALSE_POSITIVES } = await import('../../experiments/attacks/bench.ts');
      const progress = createProgress({ label: 'attacks', total: 100, json: options.json === true });
      const rows = await runAttackBench({
        trials: options.trials,
        ...(options.data === undefined ? {} : { dataRoot: options.data }),
        onRow: (row) => {
          if (options.json) printJson(row);
        },
        onProgress: (done, total) => progress.update(Math.floor((100 * done) / total), ''),
      });
      progress.finish();
      if (options.plots !== undefined) {
        const { writeAttackPlot } = await import('../../experiments/attacks/plot.ts');
        process.stderr.write(`${writeAttackPlot(rows, options.plots)}\n`);
      }
      if (options.json) return;
      printLine(
        renderTable(
          [
            'seen',
            'clients',
            'epsilon',
            'row read',
            'member? (AUC)',
            'knows the rest (AUC)',
            'caught',
            'bound',
          ],
          rows.map((row) => [
            row.layer,
            row.clients,
            row.epsilon ?? '–',
            percent(row.inversion_explained),
            row.membership_auc.toFixed(3),
            row.membership_auc_informed.toFixed(3),
            percent(row.membership_tpr_informed),
            row.membership_tpr_bound === null ? 'none' : percent(row.membership_tpr_bound),
          ]),
        ),
      );
      printLine(
        `row read: share of the variance of a victim's inputs that the better of two inversions explains. caught: ` +
          `members found by one who knows everybody else, at ${100 * FALSE_POSITIVES} % false alarms; bound: what ε allows.`,
      );
      printLine(
        'Harness: all data in one place, outside the guarantee. seal: none; noise: seeded, not private.',
      );
    });
}
