/**
 * `pulsefold bench ledger`: decisions, durable reservations and replay of the budget ledger.
 *
 * For: cli/commands/bench.ts. Trusts: nothing. With --json one object per line, one per measure.
 */
import type { Command } from 'commander';
import { type CommonOptions, integerBetween, leaf, printJson, printLine } from '../command.ts';
import { createProgress, renderTable } from '../terminal.ts';

interface LedgerFlags extends CommonOptions {
  readonly people: number;
  readonly history: number;
  readonly reservations: number;
  readonly spends: number;
  readonly directory?: string;
}

export function ledger(): Command {
  return leaf('ledger', {
    description:
      'The budget ledger: time of a decision, durable reservations per second by group commit, replay of all spends.',
    examples: ['bench ledger --json', 'bench ledger --people 100000 --spends 100000'],
  })
    .option('--people <n>', 'open filters', integerBetween(10_000, 10_000_000), 1_000_000)
    .option('--history <n>', 'spends of one person before it is asked', integerBetween(1, 1_000_000), 100_000)
    .option('--reservations <n>', 'timed durable reservations', integerBetween(1_000, 10_000_000), 100_000)
    .option('--spends <n>', 'spends of everybody that are replayed', integerBetween(1, 10_000_000), 1_000_000)
    .option('--directory <directory>', 'where the database lies meanwhile (default: the temporary directory)')
    .action(async (options: LedgerFlags) => {
      const { runLedgerBench } = await import('../../experiments/bench/ledger-bench.ts');
      const lines: string[][] = [];
      const json = options.json === true;
      const steps = options.people + options.history + options.spends + options.reservations;
      const progress = createProgress({ label: 'ledger', total: steps, json });
      await runLedgerBench({
        people: options.people,
        historySpends: options.history,
        reservations: options.reservations,
        spends: options.spends,
        ...(options.directory === undefined ? {} : { directory: options.directory }),
        onRow: (row) => {
          if (json) printJson(row);
          else lines.push(...linesOf(row));
        },
        onProgress: (done, what) => progress.update(done, what),
      });
      progress.finish();
      if (!json) printLine(renderTable(['measure', 'figure', 'value'], lines));
    });
}

const linesOf = ({ bench: _, measure, ...fields }: Readonly<Record<string, unknown>>): string[][] =>
  Object.entries(fields).map(([name, value], i) => [i === 0 ? String(measure) : '', name, String(value)]);
