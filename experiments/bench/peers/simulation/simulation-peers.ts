/**
 * `npm run bench:peers -- --only simulation [--json] [--repeats 3]`: the same workload on the same data, in our
 * simulator, on Flower's simulation engine and on pfl-research.
 *
 * The workload is that of `pulsefold bench simulate`: logistic regression 784-10, 1,000 clients, 10 a round, 100
 * rounds, batch 10. Every contender runs in processes of its own, one after the other, in turns; accuracy on the
 * same held-out rows comes first, and who is off by more than `ACCURACY_SLACK` is not timed. Seconds are those of
 * the rounds: what a contender needs to start and to read the data is stated apart. Of pfl-research the better of
 * one and of all cores counts. Where Python or PyPI is missing it says so. Trusts: nothing; benchmarks only.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { median } from '../../measuring.ts';
import { type Peers, preparePeers, type Requirements } from '../venv.ts';

const HERE = import.meta.dirname;
const LAUNCHER = join(HERE, '../../../../cli/launch.js');
const MINUTES_MAX = 30;
/** Held-out accuracy may differ by this much: the contenders draw other cohorts. */
export const ACCURACY_SLACK = 0.03;

const REQUIREMENTS: Requirements = {
  file: join(HERE, 'requirements.txt'),
  title: 'Flower with Ray, and pfl-research with PyTorch (some minutes, 6 GB)',
};

const runSchema = z.object({
  contender: z.string(),
  version: z.string(),
  seconds: z.number().positive(),
  startupSeconds: z.number().min(0),
  roundsPerSecond: z.number().positive(),
  accuracy: z.number().min(0).max(1),
});
export type SimulationRun = z.output<typeof runSchema>;

export interface SimulationRow {
  readonly bench: 'peers-simulation';
  readonly contender: string;
  readonly version: string;
  readonly repeats: number;
  /** Medians. */
  readonly seconds: number;
  readonly startupSeconds: number;
  readonly roundsPerSecond: number;
  readonly accuracy: number;
  /** Seconds of this contender over ours. */
  readonly timesOurs: number;
  readonly load: number;
}

/** The last line of the output that is a JSON object with the wanted fields. */
export function parseRun(output: string): SimulationRun {
  for (const line of output.trim().split('\n').reverse()) {
    if (!line.startsWith('{')) continue;
    const parsed = runSchema.safeParse(JSON.parse(line));
    if (parsed.success) return parsed.data;
  }
  throw new Error(`no result in the output: ${output.slice(-300)}`);
}

function runOnce(command: string, args: readonly string[]): SimulationRun {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    cwd: HERE,
    timeout: MINUTES_MAX * 60_000,
    maxBuffer: 1 << 26,
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1', RAY_DEDUP_LOGS: '0' },
  });
  if (status !== 0) throw error ?? new Error(`${args[0]} failed: ${stderr.slice(-500)}`);
  return parseRun(stdout);
}

type Contender = { readonly name: string; readonly run: () => SimulationRun };

const fasterOf = (a: SimulationRun, b: SimulationRun): SimulationRun => (a.seconds <= b.seconds ? a : b);

function contendersOf(python: string, data: string): Contender[] {
  const cores = availableParallelism();
  const script = (file: string, threads: number) => runOnce(python, ['-B', file, data, String(threads)]);
  return [
    {
      name: 'pulsefold',
      run: () => runOnce(process.execPath, [LAUNCHER, 'bench', 'simulate', '--only', 'digits', '--json']),
    },
    { name: 'flower', run: () => script('simulate_flower.py', cores) },
    {
      name: 'pfl-research',
      run: () => fasterOf(script('simulate_pfl.py', 1), script('simulate_pfl.py', cores)),
    },
  ];
}

function rowOf(name: string, runs: readonly SimulationRun[], oursSeconds: number): SimulationRow {
  const middle = (pick: (run: SimulationRun) => number) => Number(median(runs.map(pick)).toPrecision(4));
  const seconds = middle((run) => run.seconds);
  return {
    bench: 'peers-simulation',
    contender: name,
    version: runs[0]!.version,
    repeats: runs.length,
    seconds,
    startupSeconds: middle((run) => run.startupSeconds),
    roundsPerSecond: middle((run) => run.roundsPerSecond),
    accuracy: middle((run) => run.accuracy),
    timesOurs: Number((seconds / oursSeconds).toPrecision(4)),
    load: Number(loadavg()[0]!.toFixed(2)),
  };
}

export interface SimulationPeersOptions {
  readonly repeats: number;
  readonly onProgress: (text: string) => void;
}

export type SimulationPeersResult =
  | { readonly rows: readonly SimulationRow[]; readonly cpu: string; readonly cores: number }
  | { readonly skipped: string };

/** Throws where a contender does not learn what the others learn. */
export function runSimulationPeers({ repeats, onProgress }: SimulationPeersOptions): SimulationPeersResult {
  const peers: Peers = preparePeers(onProgress, REQUIREMENTS);
  if ('skipped' in peers) return peers;
  const data = mkdtempSync(join(tmpdir(), 'pulsefold-digits-'));
  try {
    onProgress('writing the data');
    runOnce(process.execPath, [
      LAUNCHER,
      'bench',
      'simulate',
      '--only',
      'digits',
      '--json',
      '--export-data',
      data,
    ]);
    const contenders = contendersOf(peers.python, data);
    const runs = new Map<string, SimulationRun[]>(contenders.map(({ name }) => [name, []]));
    for (let repeat = 1; repeat <= repeats; repeat++)
      for (const { name, run } of contenders) {
        onProgress(`${name}, run ${repeat} of ${repeats}`);
        runs.get(name)!.push(run());
      }
    const accuracies = [...runs].map(
      ([name, all]) => [name, median(all.map((run) => run.accuracy))] as const,
    );
    const [, ours] = accuracies[0]!;
    for (const [name, accuracy] of accuracies)
      if (Math.abs(accuracy - ours) > ACCURACY_SLACK)
        throw new Error(`${name} reaches ${accuracy} where pulsefold reaches ${ours}: not the same workload`);
    const oursSeconds = median(runs.get('pulsefold')!.map((run) => run.seconds));
    const rows = [...runs].map(([name, all]) => rowOf(name, all, oursSeconds));
    return { rows, cpu: cpus()[0]?.model ?? 'unknown', cores: availableParallelism() };
  } finally {
    rmSync(data, { recursive: true, force: true });
  }
}

/** A table for people. */
export function simulationTable(result: SimulationPeersResult): string {
  if ('skipped' in result) return `simulation: skipped: ${result.skipped}\n`;
  const lines = result.rows.map((row) =>
    [
      row.contender.padEnd(14),
      row.version.padEnd(9),
      row.accuracy.toFixed(3).padStart(8),
      row.seconds.toFixed(2).padStart(9),
      row.startupSeconds.toFixed(2).padStart(9),
      row.roundsPerSecond.toFixed(1).padStart(10),
      `${row.timesOurs.toFixed(1)} x`.padStart(9),
    ].join(' '),
  );
  const head = 'simulation     version   accuracy   seconds  start-up   rounds/s     ours';
  return [head, ...lines, `${result.cores} cores, ${result.cpu}`, ''].join('\n');
}
