/**
 * `pulsefold bench`: measurements that a user can repeat; docs/benchmarks.md shows those of ours.
 *
 * For: program.ts. Trusts: nothing. Each checks first that what it times is right. One JSON object per line with
 * --json; ratios are of one run, figures are medians.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type CommonOptions, group, integerBetween, leaf, printJson, printLine } from '../command.ts';
import { renderTable } from '../terminal.ts';
import { attacks } from './bench-attacks.ts';
import { ledger } from './bench-ledger.ts';
import { noise } from './bench-noise.ts';
import { poisoning } from './bench-poisoning.ts';
import { simulate } from './bench-simulate.ts';

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

const text = (value: unknown): string => (value === null || value === undefined ? '–' : String(value));

function printSecagg(rows: readonly Record<string, unknown>[]): void {
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

interface IngestFlags extends CommonOptions {
  readonly repeats: number;
}

function ingest(): Command {
  return leaf('ingest', {
    description:
      'Uploads into the coordinator’s gRPC server against raw HTTP/2 and against the stock grpc-js server, MB/s.',
    examples: ['bench ingest', 'bench ingest --json'],
  })
    .option('--repeats <n>', 'timed turns of each contender', integerBetween(1, 50), 7)
    .action(async (options: IngestFlags) => {
      const { run } = await import('../../experiments/bench/ingest-bench.ts');
      const rows = await run({
        repeats: options.repeats,
        onRow: (row) =>
          options.json ? printJson(row) : process.stderr.write(`${row.bytes} B, TLS ${row.tls}\n`),
      });
      if (!options.json) printRows(rows.map((row) => ({ ...row })));
    });
}

interface RoundFlags extends CommonOptions {
  readonly clients: number;
  readonly parameters: number;
  readonly transport: 'shares' | 'bfv';
  readonly connections: 'bounded' | 'all';
  readonly dp: boolean;
}

function round(): Command {
  return leaf('round', {
    description:
      'One round of real roles and real client agents over mutual TLS; only the local training is generated.',
    examples: ['bench round --clients 500', 'bench round --clients 10000 --parameters 10000 --json'],
  })
    .option(
      '--clients <n>',
      'clients, each with a certificate and a connection of its own',
      integerBetween(4, 10_000),
      1000,
    )
    .option('--parameters <d>', 'parameters of the model, about', integerBetween(2, DIMENSION_MAX), 10_000)
    .addOption(
      new Option('--transport <transport>', 'how the sum stays secret')
        .choices(['shares', 'bfv'])
        .default('shares'),
    )
    .addOption(
      new Option('--connections <how>', 'open at a time: as many as work at once, or all')
        .choices(['bounded', 'all'])
        .default('bounded'),
    )
    .option('--no-dp', 'without noise')
    .action(async (options: RoundFlags) => {
      const { runRoundBench } = await import('../../experiments/bench/round/round-bench.ts');
      const row = await runRoundBench({
        clients: options.clients,
        parameters: options.parameters,
        transport: options.transport,
        connections: options.connections,
        privacy: options.dp,
        onProgress: (text) => process.stderr.write(`${text}\n`),
      });
      if (options.json) printJson(row);
      else printRows([{ ...row }]);
    });
}

/** One figure a line; the columns are the rows. */
function printRows(rows: readonly Record<string, unknown>[]): void {
  const names = Object.keys(rows[0] ?? {}).filter((name) => name !== 'bench');
  printLine(
    renderTable(
      ['figure', ...rows.map((_, i) => (rows.length > 1 ? `row ${i + 1}` : 'value'))],
      names.map((name) => [name, ...rows.map((row) => text(row[name]))]),
    ),
  );
}

export function command(): Command {
  return group('bench', {
    description: 'Measure what this machine does.',
    examples: [
      'bench secagg',
      'bench ingest --json',
      'bench round --clients 500',
      'bench poisoning --seeds 2',
      'bench attacks',
    ],
  })
    .addCommand(secagg())
    .addCommand(ingest())
    .addCommand(round())
    .addCommand(ledger())
    .addCommand(noise())
    .addCommand(poisoning())
    .addCommand(attacks())
    .addCommand(simulate());
}
