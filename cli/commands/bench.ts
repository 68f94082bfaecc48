/**
 * `pulsefold bench`: measurements that a user can repeat; docs/benchmarks.md shows those of ours.
 *
 * For: program.ts. Trusts: nothing. Each checks first that what it times is right. One JSON object per line with
 * --json; ratios are of one run, figures are medians.
 */
import { type Command, InvalidArgumentError } from 'commander';
import { type CommonOptions, group, integerBetween, leaf, printJson, printLine } from '../command.ts';
import { renderTable } from '../terminal.ts';

const DIMENSION_MAX = 2 ** 20;

function parseDimensions(text: string): number[] {
  const values = text.split(',').map(Number);
  const fit = values.every((value) => Number.isInteger(value) && value >= 2 && value <= DIMENSION_MAX);
  if (!fit || values.length > 16)
    throw new InvalidArgumentError(`Expected whole numbers from 2 to ${DIMENSION_MAX}, e.g. 1000,100000.`);
  return values;
}

interface SecaggFlags extends CommonOptions {
  readonly parameters: number[];
  readonly repeats: number;
  readonly patterns: number;
}

function secagg(): Command {
  return leaf('secagg', {
    description: 'Bytes and times of secure sums: client, coordinator, key holder, opening.',
    examples: ['bench secagg', 'bench secagg --parameters 1000,100000 --json'],
  })
    .option('--parameters <list>', 'vector lengths', parseDimensions, [1000, 10_000, 100_000, 1_000_000])
    .option('--repeats <n>', 'vectors sealed per row', integerBetween(2, 100), 7)
    .option('--patterns <n>', 'random dropout patterns checked, 0 for none', integerBetween(0, 10_000), 100)
    .action(async (options: SecaggFlags) => {
      const { runSecaggBench } = await import('../../experiments/bench/secagg/secagg-bench.ts');
      const rows: Record<string, unknown>[] = [];
      await runSecaggBench({
        dimensions: options.parameters,
        repeats: options.repeats,
        patterns: options.patterns,
        onRow: (row) => {
          if (options.json) printJson(row);
          else rows.push({ ...row });
        },
        onProgress: (text) => process.stderr.write(`${text}\n`),
      });
      if (!options.json) printSecagg(rows);
    });
}

const SECAGG_COLUMNS: readonly (readonly [string, string])[] = [
  ['scheme', 'scheme'],
  ['d', 'd'],
  ['clients', 'N'],
  ['n', 'n'],
  ['digit_bits', 'bits'],
  ['upload_bytes', 'bytes'],
  ['ratio_float32', '/ float32'],
  ['client_ms', 'client ms'],
  ['noise_ms', 'noise ms'],
  ['server_ms_per_client', 'server ms'],
  ['ratio_server', '/ hash+verify'],
  ['ratio_fold_memcpy', 'fold / memcpy'],
  ['holder_ms_per_client', 'holder ms'],
  ['open_ms', 'open ms'],
];

function printSecagg(rows: readonly Record<string, unknown>[]): void {
  const text = (value: unknown): string => (value === null || value === undefined ? '–' : String(value));
  const table = rows.filter((row) => row.bench === 'secagg');
  printLine(
    renderTable(
      SECAGG_COLUMNS.map(([, title]) => title),
      table.map((row) => SECAGG_COLUMNS.map(([field]) => text(row[field]))),
    ),
  );
  for (const row of rows.filter((one) => one.bench === 'secagg-dropout'))
    printLine(
      `${row.wrong} of ${row.coordinates} coordinates wrong over ${row.patterns} random dropout patterns of ` +
        `${row.clients} clients (smallest cohort ${row.smallest_cohort})`,
    );
}

export function command(): Command {
  return group('bench', {
    description: 'Measure what this machine does.',
    examples: ['bench secagg', 'bench ingest --json'],
  }).addCommand(secagg());
}
