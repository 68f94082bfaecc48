/**
 * `pulsefold bench simulate`: rounds per second of the simulator on a published workload, and what a round's time grows
 * with.
 *
 * For: cli/commands/bench.ts. Trusts: nothing. With --json one object per line, one per measure.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Command, Option } from 'commander';
import type { DigitsRow, ScalingRow } from '../../experiments/bench/simulate.ts';
import { type CommonOptions, integerBetween, leaf, printJson, printLine } from '../command.ts';
import { createProgress, renderFields, renderTable } from '../terminal.ts';

interface SimulateFlags extends CommonOptions {
  readonly only?: 'digits' | 'scaling';
  readonly exportData?: string;
  readonly workers?: number;
  readonly plot?: string;
}

export function simulate(): Command {
  return leaf('simulate', {
    description:
      'The simulator: logistic regression on 1,000 clients, 10 a round, 100 rounds, on synthetic digits of MNIST’s shape; ' +
      'and time per round against cohort, parameters and population.',
    examples: [
      'bench simulate --json',
      'bench simulate --only digits --export-data digits/',
      'bench simulate --only scaling --plot docs/images/simulate-scaling.svg',
    ],
  })
    .addOption(new Option('--only <part>', 'one of the two parts').choices(['digits', 'scaling']))
    .option('--export-data <dir>', 'also write the digits and the terms (.npy, JSON) for other systems')
    .option('--workers <number>', 'threads of the digits’ rounds (default: 0)', integerBetween(0, 256))
    .option('--plot <file>', 'write the scaling study as SVG')
    .action(run);
}

const version = (): string =>
  (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string })
    .version;

async function run({ only, json, ...flags }: SimulateFlags): Promise<void> {
  if (only !== 'scaling') await digits(flags, json === true);
  if (only !== 'digits') await scaling(flags, json === true);
}

async function digits({ exportData, workers }: SimulateFlags, json: boolean): Promise<void> {
  const { runDigitsBench } = await import('../../experiments/bench/simulate.ts');
  let progress: ReturnType<typeof createProgress> | undefined;
  const row = await runDigitsBench({
    version: version(),
    ...(exportData === undefined ? {} : { exportDirectory: exportData }),
    ...(workers === undefined ? {} : { workers }),
    onRound: (done, total) => {
      progress ??= createProgress({ label: 'digits', total, json });
      progress.update(done);
    },
  });
  progress?.finish();
  if (json) printJson(row);
  else printLine(renderFields(digitsFields(row)));
}

const digitsFields = (row: DigitsRow): [string, string][] => [
  ['workload', `LR 784-10, ${row.clients} clients, ${row.cohort} a round, ${row.rounds} rounds`],
  [
    'ran with',
    `seal ${row.label.seal}, identity ${row.label.identity}, store ${row.label.store}, noise ${row.label.noise}`,
  ],
  ['seconds', `${row.seconds.toFixed(2)} (and ${row.startupSeconds.toFixed(1)} to start and make the data)`],
  ['rounds per second', row.roundsPerSecond.toFixed(1)],
  ['accuracy, held out', row.accuracy.toFixed(4)],
];

async function scaling({ plot }: SimulateFlags, json: boolean): Promise<void> {
  const { runScalingBench } = await import('../../experiments/bench/simulate.ts');
  let progress: ReturnType<typeof createProgress> | undefined;
  const rows = await runScalingBench({
    onRow: (row) => {
      if (json) printJson(row);
    },
    onProgress: (done, total, what) => {
      progress ??= createProgress({ label: 'scaling', total, json });
      progress.update(done, what);
    },
  });
  progress?.finish();
  if (plot !== undefined) {
    const { scalingPlot } = await import('../../experiments/bench/simulate-plot.ts');
    mkdirSync(dirname(plot), { recursive: true });
    writeFileSync(plot, scalingPlot(rows));
  }
  if (json) return;
  printLine(
    renderTable(
      ['varied', 'population', 'cohort', 'parameters', 'ms per round', 'processor ms', 'devices/s'],
      rows.map(cells),
    ),
  );
}

const cells = (row: ScalingRow): string[] => [
  row.varied,
  String(row.population),
  String(row.cohort),
  String(row.parameters),
  row.roundMs.toFixed(1),
  row.roundCpuMs.toFixed(1),
  row.devicesPerSecond.toFixed(0),
];
