/**
 * `pulsefold bench noise`: the exact samplers: fit, samples per second, and what their time tells.
 *
 * For: cli/commands/bench.ts. Trusts: nothing. With --json one object per line, one per sampler.
 */
import type { Command } from 'commander';
import { type CommonOptions, integerBetween, leaf, printJson, printLine } from '../command.ts';
import { createProgress, renderTable } from '../terminal.ts';

interface NoiseFlags extends CommonOptions {
  readonly draws: number;
  readonly turns: number;
}

export function noise(): Command {
  return leaf('noise', {
    description:
      'The exact noise samplers on one thread: goodness of fit, samples per second, correlation of time and value.',
    examples: ['bench noise --json', 'bench noise --draws 1000000'],
  })
    .option(
      '--draws <n>',
      'draws of each goodness-of-fit test',
      integerBetween(10_000, 1_000_000_000),
      10_000_000,
    )
    .option('--turns <n>', 'timed vectors of 2^17 values', integerBetween(3, 10_000), 100)
    .action(async (options: NoiseFlags) => {
      const { runNoiseBench } = await import('../../experiments/bench/noise-bench.ts');
      const json = options.json === true;
      let progress: ReturnType<typeof createProgress> | undefined;
      const rows = runNoiseBench({
        draws: options.draws,
        turns: options.turns,
        onRow: (row) => {
          if (json) printJson(row);
        },
        onProgress: (done, total, what) => {
          progress ??= createProgress({ label: 'noise', total, json });
          progress.update(done, what);
        },
      });
      progress?.finish();
      if (json) return;
      printLine(
        renderTable(
          [
            'sampler',
            'M/s',
            'M/s of processor time',
            'G-test p',
            'r of value and time',
            'r of vector and time',
          ],
          rows.map((row) => [
            `${row.law} ${row.parameter} (${row.method})`,
            (row.samples_per_second / 1e6).toFixed(1),
            (row.samples_per_cpu_second / 1e6).toFixed(1),
            `${row.p_value} (${row.draws} draws)`,
            `${row.value_correlation} (${row.value_correlation_deviations} deviations)`,
            `${row.vector_correlation} (${row.vector_correlation_deviations} deviations)`,
          ]),
        ),
      );
    });
}
