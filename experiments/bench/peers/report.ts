/**
 * What bench:peers prints and draws: rows for machines, a table for people, two plots.
 *
 * May be called by: peers-bench.ts.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { groupedBars } from '../plot.ts';
import type { Versions } from './python-peer.ts';

/**
 * Milliseconds are medians, of elapsed time for ours and of CPU time for the others; `crypto` leaves out what
 * is done besides encrypting, adding and serialising.
 */
export interface PeersRow {
  readonly bench: 'peers';
  readonly contender: string;
  readonly label: string;
  readonly d: number;
  readonly clients: number;
  readonly rounds: number;
  /**
   * Ours: seal, digest, signature. TenSEAL: encrypt, serialise, and the same SHA-256 and Ed25519 of the
   * upload. Flower: all four stages with their messages.
   */
  readonly client_ms: number;
  readonly client_crypto_ms: number;
  /** Ours only: client_ms and clip, rotation and rounding before it. */
  readonly client_pipeline_ms: number | null;
  /** Ours only: drawing and adding the noise, in neither of the above. */
  readonly noise_ms: number | null;
  /** Ours: parse, digest, signature, fold. TenSEAL: SHA-256, Ed25519, deserialise, add. Flower: 3 stages. */
  readonly server_ms_per_client: number;
  readonly server_crypto_ms_per_client: number;
  readonly holder_ms_per_client: number | null;
  /** Once per round of `clients`; Flower's grows with them. */
  readonly open_ms: number;
  /** Ours: at the server's socket, with gRPC and TLS. The others: what they serialise. */
  readonly upload_bytes: number;
  readonly uncompressed_bytes: number | null;
  readonly masked_bytes: number | null;
  readonly release_bytes: number | null;
  readonly ratio_float32: number;
  readonly error_max: number;
  readonly tolerance: number;
  readonly cpu_share: number;
}

export interface EnvironmentRow extends Versions {
  readonly bench: 'peers-environment';
  readonly cpu: string;
  readonly cores: number;
  readonly node: string;
  readonly engine: string;
  readonly load_before: number;
  readonly load_after: number;
}

export interface SkippedRow {
  readonly bench: 'peers';
  readonly skipped: true;
  readonly reason: string;
}

/** Their cost over ours: `crypto` bare : bare, `signed` whole : whole, `strict` their bare : all of ours. */
export interface RatioRow {
  readonly bench: 'peers-ratio';
  readonly d: number;
  readonly against: string;
  readonly client_crypto: number;
  readonly client_signed: number;
  readonly client_strict: number;
  readonly server_crypto: number;
  readonly server_signed: number;
  readonly server_strict: number;
  readonly bytes: number;
}

const OURS = 'pulsefold-shares';
const rounded = (value: number): number => Number(value.toPrecision(3));

export function ratioRow(rows: readonly PeersRow[], d: number): RatioRow[] {
  const ours = rows.find((row) => row.contender === OURS && row.d === d)!;
  return rows
    .filter((row) => row.contender !== OURS && row.d === d)
    .map((row) => ({
      bench: 'peers-ratio',
      d,
      against: row.contender,
      client_crypto: rounded(row.client_crypto_ms / ours.client_crypto_ms),
      client_signed: rounded(row.client_ms / ours.client_ms),
      client_strict: rounded(row.client_crypto_ms / ours.client_pipeline_ms!),
      server_crypto: rounded(row.server_crypto_ms_per_client / ours.server_crypto_ms_per_client),
      server_signed: rounded(row.server_ms_per_client / ours.server_ms_per_client),
      server_strict: rounded(row.server_crypto_ms_per_client / ours.server_ms_per_client),
      bytes: rounded(row.upload_bytes / ours.upload_bytes),
    }));
}

const milliseconds = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
const times = (value: number): string => `${value >= 10 ? value.toFixed(0) : value.toFixed(1)}×`;
const grouped = (value: number): string => value.toLocaleString('en-GB');

function markdown(header: readonly string[], body: readonly (readonly string[])[]): string {
  const lines = [header, header.map(() => '---'), ...body].map((cells) => `| ${cells.join(' | ')} |`);
  return `${lines.join('\n')}\n`;
}

export function report(
  { cpu, cores, node, engine, python, tenseal, flwr, load_before, load_after }: EnvironmentRow,
  rows: readonly PeersRow[],
  ratios: readonly RatioRow[],
): string {
  const costs = rows.map((row) => [
    grouped(row.d),
    row.label,
    milliseconds(row.client_crypto_ms),
    milliseconds(row.client_ms),
    row.client_pipeline_ms === null ? '–' : milliseconds(row.client_pipeline_ms),
    row.noise_ms === null ? '–' : milliseconds(row.noise_ms),
    milliseconds(row.server_crypto_ms_per_client),
    milliseconds(row.server_ms_per_client),
    `${milliseconds(row.open_ms)} (${row.clients})`,
    grouped(row.upload_bytes),
    (row.upload_bytes / row.d).toFixed(2),
    row.error_max === 0 ? 'exact' : row.error_max.toExponential(0),
  ]);
  const labels = new Map(rows.map(({ contender, label }) => [contender, label]));
  const against = ratios.map((row) => [
    grouped(row.d),
    labels.get(row.against)!,
    times(row.client_crypto),
    times(row.client_signed),
    times(row.client_strict),
    times(row.server_crypto),
    times(row.server_signed),
    times(row.server_strict),
    times(row.bytes),
  ]);
  return [
    `${cpu}, ${cores} cores, one thread used; Node ${node} (${engine}), Python ${python}, `,
    `TenSEAL ${tenseal}, Flower ${flwr}; load ${load_before} before and ${load_after} after. `,
    'Ours: elapsed time; the others: CPU time.\n\n',
    markdown(
      [
        'd',
        'system',
        'client, crypto ms',
        'client, signed ms',
        'DP pipeline ms',
        'noise ms',
        'server, crypto ms',
        'server, signed ms',
        'open ms (clients)',
        'upload bytes',
        'B/entry',
        'error',
      ],
      costs,
    ),
    '\n',
    markdown(
      [
        'd',
        'over ours',
        'client, crypto',
        'client, signed',
        'client, strict',
        'server, crypto',
        'server, signed',
        'server, strict',
        'bytes',
      ],
      against,
    ),
  ].join('');
}

const COLOURS: Record<string, string> = {
  [OURS]: '#0b7a75',
  'tenseal-ckks-symmetric': '#b5482a',
  'tenseal-ckks-public': '#e0926f',
  'flower-secaggplus-3': '#4a5a9a',
  'flower-secaggplus-21': '#97a3d2',
};

/** peers-bytes.svg and peers-time.svg; returns their paths. */
export function writePlots(
  directory: string,
  environment: EnvironmentRow,
  rows: readonly PeersRow[],
): string[] {
  const dimensions = [...new Set(rows.map(({ d }) => d))];
  const contenders = [...new Set(rows.map(({ contender }) => contender))];
  const find = (contender: string, d: number) => rows.find((r) => r.contender === contender && r.d === d)!;
  const series = (values: (contender: string) => number[]) =>
    contenders.map((contender) => ({
      name: rows.find((row) => row.contender === contender)!.label,
      colour: COLOURS[contender]!,
      values: values(contender),
    }));
  const note =
    `One thread of ${environment.cpu}. TenSEAL ${environment.tenseal}: n = 8192, [60, 40, 40]. ` +
    `Flower ${environment.flwr}.`;
  const bytes = groupedBars({
    title: 'Bytes per parameter of one upload',
    unit: 'bytes, log scale',
    note,
    groups: dimensions.map((d) => `d = ${grouped(d)}`),
    series: series((contender) => dimensions.map((d) => find(contender, d).upload_bytes / d)),
    reference: { value: 4, label: 'float32, not encrypted' },
  });
  const time = groupedBars({
    title: 'Milliseconds per client: seal and serialise; receive and add',
    unit: 'milliseconds, log scale',
    note: `${note} Without digests, signatures, noise. Ours: elapsed time; theirs: CPU time.`,
    groups: ['client', 'server'].flatMap((side) => dimensions.map((d) => `${side}, d = ${grouped(d)}`)),
    series: series((contender) => [
      ...dimensions.map((d) => find(contender, d).client_crypto_ms),
      ...dimensions.map((d) => find(contender, d).server_crypto_ms_per_client),
    ]),
  });
  mkdirSync(directory, { recursive: true });
  return [['peers-bytes.svg', bytes] as const, ['peers-time.svg', time] as const].map(([name, svg]) => {
    const path = join(directory, name);
    writeFileSync(path, svg);
    return path;
  });
}
