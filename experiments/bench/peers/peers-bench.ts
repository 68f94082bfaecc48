/**
 * `npm run bench:peers [-- --json] [-- --only sums|simulation] [-- --parameters 100000,1000000] [-- --plots docs/images]`:
 * the same sums with TenSEAL's CKKS under NVFlare's settings, with Flower's SecAgg+ as shipped, and with ours; then
 * the same simulation on Flower, on pfl-research and on ours (simulation/simulation-peers.ts).
 *
 * In one run, one thread each, in turns: every contender first adds the same integer vectors and must open
 * their sum within the error that it states for itself (ours: 0); what disagrees is not timed. Then medians
 * over rounds: CPU time of the others, elapsed time of ours, so that a busy machine favours the others.
 * Where Python or PyPI is missing it says so and ends with 0. Trusts: nothing; benchmarks only.
 */
import { availableParallelism, cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { loadSecagg, type Secagg } from '../../../crypto/secagg/scheme.ts';
import { median } from '../measuring.ts';
import { prepareCase } from '../secagg/cases.ts';
import { Wire } from '../secagg/wire.ts';
import { type Contender, Pulsefold, type Sample, secAggPlus, tenseal } from './contenders.ts';
import { PythonPeer } from './python-peer.ts';
import {
  type EnvironmentRow,
  type PeersRow,
  ratioRow,
  report,
  type SkippedRow,
  writePlots,
} from './report.ts';
import { runSimulationPeers, simulationTable } from './simulation/simulation-peers.ts';
import { preparePeers } from './venv.ts';

/** The cohort of Flower's own example (flower-secure-aggregation): 5 clients, 3 shares, threshold 2. */
const CLIENTS = 5;
/** Parameters of ours are chosen for a round of this many clients. */
const PLANNED_CLIENTS = 10_000;

const rounded = (value: number): number => Number(value.toPrecision(4));

function contendersOf(peer: PythonPeer, ours: Pulsefold): Contender[] {
  return [
    ours,
    tenseal(peer, 'symmetric', CLIENTS),
    tenseal(peer, 'public', CLIENTS),
    secAggPlus(peer, 3, 2, CLIENTS),
    secAggPlus(peer, 21, 14, 21),
  ];
}

/** Largest distance from the plain integer sum of as many clients as the contender has. */
export function errorOf({ sums }: Sample, slots: readonly Int32Array[], clients: number): number {
  const dimension = slots[0]!.length;
  if (sums.length !== dimension) return Number.POSITIVE_INFINITY;
  let worst = 0;
  for (let i = 0; i < dimension; i++) {
    let sum = 0;
    for (let c = 0; c < clients; c++) sum += slots[c % slots.length]![i]!;
    const error = Math.abs(sums[i]! - sum);
    // Not a number must not pass for agreement.
    if (!(error <= worst)) worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
  }
  return worst;
}

function rowOf(contender: Contender, dimension: number, samples: readonly Sample[], error: number): PeersRow {
  const all = (pick: (sample: Sample) => readonly number[]) => rounded(median(samples.flatMap(pick)));
  const one = samples[0]!;
  return {
    bench: 'peers',
    contender: contender.name,
    label: contender.label,
    d: dimension,
    clients: contender.clients,
    rounds: samples.length,
    client_ms: all(({ clientMs }) => clientMs),
    client_crypto_ms: all(({ clientCryptoMs }) => clientCryptoMs),
    client_pipeline_ms:
      one.clientPipelineMs === undefined ? null : all(({ clientPipelineMs }) => clientPipelineMs!),
    noise_ms: one.noiseMs === undefined ? null : all(({ noiseMs }) => noiseMs!),
    server_ms_per_client: all(({ serverMs }) => serverMs),
    server_crypto_ms_per_client: all(({ serverCryptoMs }) => serverCryptoMs),
    holder_ms_per_client: one.holderMs === undefined ? null : all(({ holderMs }) => [holderMs!]),
    open_ms: all(({ openMs }) => [openMs]),
    upload_bytes: one.uploadBytes,
    uncompressed_bytes: one.uncompressedBytes ?? null,
    masked_bytes: one.maskedBytes ?? null,
    release_bytes: one.releaseBytes ?? null,
    ratio_float32: rounded(one.uploadBytes / (4 * dimension)),
    error_max: error,
    tolerance: one.tolerance,
    cpu_share: all(({ cpuShare }) => [cpuShare]),
  };
}

export interface PeersOptions {
  readonly dimensions: readonly number[];
  readonly rounds: number;
  readonly onProgress: (text: string) => void;
}

async function measureDimension(
  peer: PythonPeer,
  secagg: Secagg,
  wire: Wire,
  dimension: number,
  options: PeersOptions,
): Promise<PeersRow[]> {
  const prepared = prepareCase({ transport: 'shares', dimension, clients: PLANNED_CLIENTS });
  const ours = new Pulsefold(secagg, wire, prepared, CLIENTS);
  await peer.load(ours.slots);
  const contenders = contendersOf(peer, ours);
  const errors = new Map<Contender, number>();
  const samples = new Map<Contender, Sample[]>(contenders.map((contender) => [contender, []]));
  for (let round = 0; round <= options.rounds; round++) {
    options.onProgress(
      `d = ${dimension}: ${round === 0 ? 'agreement' : `round ${round} of ${options.rounds}`}`,
    );
    for (let turn = 0; turn < contenders.length; turn++) {
      const contender = contenders[(turn + round) % contenders.length]!;
      const sample = await contender.run();
      const error = errorOf(sample, ours.slots, contender.clients);
      if (!(error <= sample.tolerance))
        throw new Error(
          `${contender.label}, d = ${dimension}: off by ${error} where ${sample.tolerance} is allowed`,
        );
      errors.set(contender, Math.max(error, errors.get(contender) ?? 0));
      // The first round is for agreement and for warming up.
      if (round > 0) samples.get(contender)!.push(sample);
    }
  }
  return contenders.map((one) => rowOf(one, dimension, samples.get(one)!, errors.get(one)!));
}

export interface PeersResult {
  readonly environment: EnvironmentRow;
  readonly rows: readonly PeersRow[];
}

export async function runPeersBench(options: PeersOptions): Promise<PeersResult | SkippedRow> {
  const peers = preparePeers(options.onProgress);
  if ('skipped' in peers) return { bench: 'peers', skipped: true, reason: peers.skipped };
  const peer = new PythonPeer(peers.python);
  const wire = await Wire.open();
  try {
    const loadBefore = loadavg()[0]!;
    const versions = await peer.versions();
    const secagg = await loadSecagg();
    const rows: PeersRow[] = [];
    for (const dimension of options.dimensions)
      rows.push(...(await measureDimension(peer, secagg, wire, dimension, options)));
    const environment: EnvironmentRow = {
      bench: 'peers-environment',
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: availableParallelism(),
      node: process.version,
      engine: secagg.longEngine.name,
      ...versions,
      load_before: rounded(loadBefore),
      load_after: rounded(loadavg()[0]!),
    };
    return { environment, rows };
  } finally {
    await peer.close();
    await wire.close();
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      parameters: { type: 'string', default: '100000,1000000' },
      rounds: { type: 'string', default: '5' },
      plots: { type: 'string' },
      only: { type: 'string' },
      repeats: { type: 'string', default: '3' },
    },
  });
  if (values.only !== undefined && !['sums', 'simulation'].includes(values.only))
    throw new Error('--only takes sums or simulation');
  const onProgress = (text: string) => process.stderr.write(`${text}\n`);
  if (values.only !== 'simulation') await compareSums(values, onProgress);
  if (values.only !== 'sums') compareSimulations(Number(values.repeats), values.json, onProgress);
}

function compareSimulations(repeats: number, json: boolean, onProgress: (text: string) => void): void {
  if (!Number.isSafeInteger(repeats) || repeats < 1 || repeats > 100)
    throw new Error('--repeats takes a whole number between 1 and 100');
  const result = runSimulationPeers({ repeats, onProgress });
  if (!json) process.stdout.write(simulationTable(result));
  else if ('skipped' in result)
    process.stdout.write(`${JSON.stringify({ bench: 'peers-simulation', ...result })}\n`);
  else for (const row of result.rows) process.stdout.write(`${JSON.stringify(row)}\n`);
}

interface SumArguments {
  readonly json: boolean;
  readonly parameters: string;
  readonly rounds: string;
  readonly plots?: string | undefined;
}

async function compareSums(values: SumArguments, onProgress: (text: string) => void): Promise<void> {
  const dimensions = values.parameters.split(',').map(Number);
  const rounds = Number(values.rounds);
  if (
    ![...dimensions, rounds].every((value) => Number.isSafeInteger(value) && value >= 2 && value <= 2 ** 20)
  )
    throw new Error('--parameters and --rounds take whole numbers between 2 and 1048576');
  const result = await runPeersBench({ dimensions, rounds, onProgress });
  if ('skipped' in result) {
    process.stdout.write(`${values.json ? JSON.stringify(result) : `skipped: ${result.reason}`}\n`);
    return;
  }
  const { environment, rows } = result;
  const ratios = dimensions.flatMap((d) => ratioRow(rows, d));
  if (values.json)
    for (const row of [environment, ...rows, ...ratios]) process.stdout.write(`${JSON.stringify(row)}\n`);
  else process.stdout.write(report(environment, rows, ratios));
  if (values.plots !== undefined)
    for (const path of writePlots(values.plots, environment, rows)) onProgress(`wrote ${path}`);
}

if (import.meta.main) await main();
