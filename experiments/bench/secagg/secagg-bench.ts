/**
 * `pulsefold bench secagg`: bytes and times of secure sums, from a device's doubles to the opened integers.
 *
 * Every row first opens a sum of real uploads and compares it with plain integers; only then times are taken. A row
 * per line with --json; units in the names. May be called by: cli/commands/bench.ts, experiments/bench/plots.
 */
import { randomBytes, systemRandom, uniform } from '../../../crypto/random.ts';
import { logModulus } from '../../../crypto/secagg/long/parameters.ts';
import { loadSecagg, type Secagg } from '../../../crypto/secagg/scheme.ts';
import { median } from '../measuring.ts';
import { type BenchCase, type PreparedCase, prepareCase, standardCases } from './cases.ts';
import { openUploads, survivors, wrongCoordinates } from './exactness.ts';
import { measureServer } from './measure.ts';
import {
  type Client,
  type Committee,
  createClient,
  createCommittee,
  sealVector,
  type Upload,
} from './parties.ts';
import { Wire } from './wire.ts';

export interface SecaggRow {
  readonly bench: 'secagg';
  readonly scheme: string;
  readonly engine: string;
  readonly d: number;
  readonly clients: number;
  /** Ring degree; of BFV where the long cipher is skipped, null where there is no ring. */
  readonly n: number | null;
  readonly log_q: number | null;
  readonly digit_bits: number;
  readonly sigma_total: number;
  readonly clip: string;
  readonly upload_bytes: number;
  readonly ratio_float32: number;
  readonly client_ms: number;
  readonly noise_ms: number;
  readonly fold_ms_per_client: number;
  readonly memcpy_ms: number;
  readonly sha256_ms: number;
  readonly verify_ms: number;
  readonly server_ms_per_client: number;
  /** server_ms_per_client over SHA-256 of the same bytes and one signature check. */
  readonly ratio_server: number;
  readonly ratio_fold_memcpy: number;
  readonly holder_ms_per_client: number;
  readonly open_ms: number;
  readonly exact: boolean;
}

export interface DropoutRow {
  readonly bench: 'secagg-dropout';
  readonly scheme: string;
  readonly d: number;
  readonly clients: number;
  readonly patterns: number;
  readonly smallest_cohort: number;
  readonly coordinates: number;
  readonly wrong: number;
  readonly exact: boolean;
}

export interface SecaggOptions {
  readonly dimensions: readonly number[];
  /** Vectors sealed per row. */
  readonly repeats: number;
  readonly patterns: number;
  readonly onRow: (row: SecaggRow | DropoutRow) => void;
  readonly onProgress?: (text: string) => void;
}

const vectorOf = (dimension: number): Float64Array =>
  Float64Array.from({ length: dimension }, () => uniform(systemRandom) - 0.5);

interface Sealed {
  readonly uploads: Upload[];
  readonly clients: Client[];
  readonly clientMs: number;
  readonly noiseMs: number;
}

function sealMany(
  secagg: Secagg,
  one: PreparedCase,
  committee: Committee,
  configHash: Uint8Array,
  count: number,
): Sealed {
  const vector = vectorOf(one.dimension);
  const uploads: Upload[] = [];
  const clients: Client[] = [];
  const clientTimes: number[] = [];
  const noiseTimes: number[] = [];
  // The first two are warm-up: tables, kernels, inline caches. A device seals once per round, but its process lives on.
  for (let i = 0; i < count + 2; i++) {
    const client = createClient();
    const { upload, times } = sealVector(secagg, one, client, committee.publicKey, configHash, vector);
    if (i < 2) continue;
    uploads.push(upload);
    clients.push(client);
    clientTimes.push(times.clientMs);
    noiseTimes.push(times.noiseMs);
  }
  return { uploads, clients, clientMs: median(clientTimes), noiseMs: median(noiseTimes) };
}

const rounded = (value: number): number => Number(value.toPrecision(4));

async function measureRow(secagg: Secagg, wire: Wire, bench: BenchCase, repeats: number): Promise<SecaggRow> {
  const one = prepareCase(bench);
  const { scheme } = one;
  const configHash = randomBytes(32);
  const committee = createCommittee(secagg, one.transport);
  const { uploads, clients, clientMs, noiseMs } = sealMany(secagg, one, committee, configHash, repeats);
  openUploads(secagg, one, committee, configHash, uploads);
  const openings = [1, 2, 3].map(() => openUploads(secagg, one, committee, configHash, uploads));
  const wrong = openings.map(({ sums }) => wrongCoordinates(one, sums, uploads));
  const exact = wrong.every((count) => count === 0);
  if (!exact)
    throw new Error(`${one.name}, d = ${one.dimension}: ${wrong[0]} coordinates of the sum are wrong`);
  const uploadBytes = await wire.send(uploads[0]!, configHash);
  const server = measureServer(secagg, one, uploads, clients, configHash);
  return {
    bench: 'secagg',
    scheme: one.name,
    engine: secagg.longEngine.name,
    d: one.dimension,
    clients: one.clients,
    n: scheme.long?.polyDegree ?? (one.transport === 'bfv' ? 4096 : null),
    log_q: scheme.long ? rounded(logModulus(scheme.long)) : null,
    digit_bits: one.layout.modulusBits,
    sigma_total: rounded(one.sigmaTotal),
    clip: `${one.mechanism.unitsPerClip} units`,
    upload_bytes: uploadBytes,
    ratio_float32: rounded(uploadBytes / (4 * one.dimension)),
    client_ms: rounded(clientMs),
    noise_ms: rounded(noiseMs),
    fold_ms_per_client: rounded(server.foldMs),
    memcpy_ms: rounded(server.memcpyMs),
    sha256_ms: rounded(server.sha256Ms),
    verify_ms: rounded(server.verifyMs),
    server_ms_per_client: rounded(server.serverMs),
    ratio_server: rounded(server.serverMs / (server.sha256Ms + server.verifyMs)),
    ratio_fold_memcpy: rounded(server.foldMs / server.memcpyMs),
    holder_ms_per_client: rounded(median(openings.map(({ holderMs }) => holderMs))),
    open_ms: rounded(median(openings.map(({ openMs }) => openMs))),
    exact,
  };
}

/** One million coordinates and more: 100 clients of 10,000, opened for random cohorts of half to all of them. */
function measureDropout(secagg: Secagg, patterns: number): DropoutRow {
  const one = prepareCase({ transport: 'shares', dimension: 10_000, clients: 100 });
  const configHash = randomBytes(32);
  const committee = createCommittee(secagg, 'shares');
  const { uploads } = sealMany(secagg, one, committee, configHash, one.clients);
  let wrong = 0;
  let smallest = uploads.length;
  for (let i = 0; i < patterns; i++) {
    const cohort = survivors(uploads, systemRandom);
    smallest = Math.min(smallest, cohort.length);
    wrong += wrongCoordinates(one, openUploads(secagg, one, committee, configHash, cohort).sums, cohort);
  }
  return {
    bench: 'secagg-dropout',
    scheme: one.name,
    d: one.dimension,
    clients: one.clients,
    patterns,
    smallest_cohort: smallest,
    coordinates: patterns * one.dimension,
    wrong,
    exact: wrong === 0,
  };
}

export async function runSecaggBench(options: SecaggOptions): Promise<void> {
  const secagg = await loadSecagg();
  const wire = await Wire.open();
  try {
    for (const one of standardCases(options.dimensions)) {
      options.onProgress?.(`${one.transport}, d = ${one.dimension}, ${one.clients} clients`);
      options.onRow(await measureRow(secagg, wire, one, options.repeats));
    }
    if (options.patterns > 0) options.onRow(measureDropout(secagg, options.patterns));
  } finally {
    await wire.close();
  }
}
