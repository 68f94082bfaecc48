/**
 * `node experiments/bench/round/round-bench.ts [--clients 10000 --parameters 10000 --json]`: one whole round over real
 * mutual-TLS sockets, every role a process of its own on this machine.
 *
 * Coordinator, four key holders and registrar are started through the command line; the clients are real agents in a few
 * host processes, each with its own certificate, keys and connection (round-client.ts says what is replaced: training is
 * generated, state is in memory). Timed from the first check-in to the release. The opened sum is compared with the sum
 * of what the clients sealed. CPU and memory come from /proc.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensure } from '../../../crypto/error.ts';
import { RoundRun } from './round-run.ts';
import type { RoundBenchOptions, RoundRow } from './round-types.ts';

export type { RoundBenchOptions, RoundRow } from './round-types.ts';

const FILES_RESERVED = 500;

export async function runRoundBench(options: RoundBenchOptions): Promise<RoundRow> {
  ensure(process.platform === 'linux', 'CONFIG_INVALID', 'bench round reads /proc, so it runs on Linux only');
  const { clients } = options;
  ensure(
    Number.isSafeInteger(clients) && clients >= 2 && clients <= 10_000,
    'FIELD_OUT_OF_RANGE',
    'clients: 2 to 10000',
  );
  if (options.connections === 'all') requireFiles(clients + FILES_RESERVED);
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'pulsefold-round-'));
  const run = new RoundRun(options, directory);
  try {
    return await run.row();
  } finally {
    await run.stop();
    if (options.directory === undefined) rmSync(directory, { recursive: true, force: true });
  }
}

/** The roles inherit this process' limit, which node has raised to the hard one. */
function requireFiles(wanted: number): void {
  const limits = readFileSync('/proc/self/limits', 'utf8');
  const allowed = Number(/Max open files\s+(\d+)/.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
  ensure(
    allowed >= wanted,
    'CONFIG_INVALID',
    `--connections all needs ${wanted} open files and ${allowed} are allowed: raise it with ulimit -n ${wanted}`,
  );
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      clients: { type: 'string', default: '10000' },
      parameters: { type: 'string', default: '10000' },
      transport: { type: 'string', default: 'shares' },
      'cohort-min': { type: 'string' },
      hosts: { type: 'string', default: '2' },
      'at-a-time': { type: 'string', default: '128' },
      connections: { type: 'string', default: 'bounded' },
      'no-dp': { type: 'boolean', default: false },
      directory: { type: 'string' },
      profile: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const row = await runRoundBench({
    clients: Number(values.clients),
    parameters: Number(values.parameters),
    transport: values.transport === 'bfv' ? 'bfv' : 'shares',
    privacy: !values['no-dp'],
    hosts: Number(values.hosts),
    atATime: Number(values['at-a-time']),
    connections: values.connections === 'all' ? 'all' : 'bounded',
    ...(values['cohort-min'] ? { cohortMin: Number(values['cohort-min']) } : {}),
    ...(values.directory ? { directory: values.directory } : {}),
    ...(values.profile ? { profileDirectory: values.profile } : {}),
    onProgress: (text) => process.stderr.write(`${text}\n`),
  });
  process.stdout.write(`${JSON.stringify(row, null, values.json ? 0 : 2)}\n`);
}

if (process.argv[1] === import.meta.filename) await main();
