/**
 * `node experiments/bench/ingest-bench.ts [--json]`: how fast uploads come in, against the sockets and against grpc-js.
 *
 * raw: node:http2 on both sides, bytes only. ours: the http2 engine of protos/transport with PutUpload, driven by gRPC
 * framing on node:http2. stock_client: the same server, driven by grpc-js. grpcjs: grpc-js on both sides. Server and
 * clients are two processes. First every contender must deliver random messages whose SHA-256 comes back right, then
 * each is warmed up and they are timed in turns; medians. Without TLS only to show what TLS costs: no role serves that.
 *
 * Why grpc-js is slow (node --cpu-prof, --trace-gc, perf; Node 24.21, 2 cores, other work on the machine):
 * - Garbage collection first: 51-58 % of the server's and 46 % of the client's time (raw 22-47 %, ours 29-35 %). A
 *   Buffer counts as external memory; about 64 MB of it start a mark of the whole heap, although the garbage itself is a
 *   few objects. grpc-js makes five message-sized buffers: two in protobufjs and framing of the client, the frames of
 *   node:http2, Buffer.concat on the server. We make one, and none when requests are recycled (0.30 → 0.20 ms of
 *   CPU per 50 KB message, 2.6 → 1.9 ms per 1 MB). `node --max-semi-space-size=1` has young buffers collected by
 *   scavenges: 15 → 1 mark-compacts in the same run, CPU per 50 KB 0.15 → 0.09 ms raw, 0.21 → 0.18 ms ours.
 * - Its client: 4-5 ms of CPU per 1 MB message, where framing by hand takes 0.7-1.0; so stock against our server stays
 *   bound by the client.
 * - Windows: its server offers no option, so 64 KiB per stream and connection stay: raw falls from 1,013 to 680 MB/s
 *   with them at 1 MB (ours: 256 KiB and 1 MiB; 1 MiB and 4 MiB gain nothing here). At 50 KB they do not matter.
 * - getPeerCertificate() parses the certificate anew on every call (ours: once per connection).
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { ClientKind, LoadResult, LoadTask } from './ingest-bench-client.ts';
import type { Ports, ServerCommand, ServerKind, ServerUsage } from './ingest-bench-server.ts';
import { benchIdentities, median, type TlsFiles } from './measuring.ts';

export interface IngestOptions {
  /** Bytes of data per message. Default 50,000 and 1,000,000. */
  readonly bytes?: readonly number[];
  readonly connections?: number;
  /** Messages under way at a time per connection. */
  readonly streams?: number;
  readonly repeats?: number;
  /** One measurement of one contender. */
  readonly durationMs?: number;
  readonly onRow?: (row: IngestRow) => void;
}

/** Megabytes (10^6) of data per second; CPU milliseconds of the server per message. */
export interface IngestRow {
  readonly bench: 'ingest';
  readonly bytes: number;
  readonly tls: 'mtls' | 'none';
  readonly connections: number;
  readonly streams: number;
  readonly raw_mb_s: number;
  readonly ours_mb_s: number;
  readonly stock_client_mb_s: number;
  readonly grpcjs_mb_s: number;
  readonly ratio_raw: number;
  readonly ratio_grpcjs: number;
  readonly raw_server_cpu_ms: number;
  readonly ours_server_cpu_ms: number;
  readonly stock_client_server_cpu_ms: number;
  readonly grpcjs_server_cpu_ms: number;
  readonly server_rss_mb: number;
}

interface Contender {
  readonly name: 'raw' | 'ours' | 'stock_client' | 'grpcjs';
  readonly server: ServerKind;
  readonly client: ClientKind;
}

const CONTENDERS: readonly Contender[] = [
  { name: 'raw', server: 'raw', client: 'raw' },
  { name: 'ours', server: 'ours', client: 'framed' },
  { name: 'stock_client', server: 'ours', client: 'stock' },
  { name: 'grpcjs', server: 'grpcjs', client: 'stock' },
];
const CHECK_MESSAGES = 24;

/** A child process that answers one question at a time. */
class Peer {
  readonly #child: ChildProcess;
  readonly #gone: Promise<never>;

  constructor(script: string, role: string) {
    this.#child = fork(join(import.meta.dirname, script), [role]);
    this.#gone = once(this.#child, 'exit').then(([code]) => {
      throw new Error(`${role} ended with ${code}`);
    });
    this.#gone.catch(() => {});
  }

  async ask<Answer>(question: object): Promise<Answer> {
    const answered = once(this.#child, 'message');
    this.#child.send(question);
    const [answer] = (await Promise.race([answered, this.#gone])) as [Answer & { failure?: string }];
    if (answer.failure) throw new Error(answer.failure);
    return answer;
  }

  stop(): void {
    this.#child.kill();
  }
}

const round = (value: number, digits: number): number => Number(value.toFixed(digits));

class Bench {
  readonly #server: Peer;
  readonly #client: Peer;
  readonly #tls: TlsFiles;
  readonly #ports: Ports;
  readonly #options: Required<Omit<IngestOptions, 'onRow'>>;

  constructor(
    server: Peer,
    client: Peer,
    tls: TlsFiles,
    ports: Ports,
    options: Required<Omit<IngestOptions, 'onRow'>>,
  ) {
    this.#server = server;
    this.#client = client;
    this.#tls = tls;
    this.#ports = ports;
    this.#options = options;
  }

  /** Checks all contenders, then times them in turns. */
  async measure(bytes: number, tls: boolean): Promise<IngestRow> {
    const { repeats, connections, streams } = this.#options;
    await this.#server.ask({ type: 'mode', digest: true } satisfies ServerCommand);
    for (const contender of CONTENDERS) await this.#load(contender, bytes, tls, CHECK_MESSAGES);
    await this.#server.ask({ type: 'mode', digest: false } satisfies ServerCommand);
    for (const contender of CONTENDERS) await this.#load(contender, bytes, tls, 0);
    const speeds: Record<Contender['name'], number[]> = { raw: [], ours: [], stock_client: [], grpcjs: [] };
    const cpus: Record<Contender['name'], number[]> = { raw: [], ours: [], stock_client: [], grpcjs: [] };
    let rssBytes = 0;
    for (let turn = 0; turn < repeats; turn++) {
      for (const contender of CONTENDERS) {
        const { name } = contender;
        await this.#server.ask<ServerUsage>({ type: 'usage' } satisfies ServerCommand);
        const { messages, elapsedMs } = await this.#load(contender, bytes, tls, 0);
        const usage = await this.#server.ask<ServerUsage>({ type: 'usage' } satisfies ServerCommand);
        // One message per connection comes before the clock starts.
        if (usage.bytes !== (messages + connections) * bytes) throw new Error(`${name} lost bytes`);
        speeds[name].push((messages * bytes) / 1000 / elapsedMs);
        cpus[name].push(usage.cpuMs / messages);
        rssBytes = Math.max(rssBytes, usage.rssBytes);
      }
    }
    const speed = (name: Contender['name']): number => round(median(speeds[name]), 1);
    const cpu = (name: Contender['name']): number => round(median(cpus[name]), 3);
    return {
      bench: 'ingest',
      bytes,
      tls: tls ? 'mtls' : 'none',
      connections,
      streams,
      raw_mb_s: speed('raw'),
      ours_mb_s: speed('ours'),
      stock_client_mb_s: speed('stock_client'),
      grpcjs_mb_s: speed('grpcjs'),
      ratio_raw: round(speed('ours') / speed('raw'), 2),
      ratio_grpcjs: round(speed('ours') / speed('grpcjs'), 2),
      raw_server_cpu_ms: cpu('raw'),
      ours_server_cpu_ms: cpu('ours'),
      stock_client_server_cpu_ms: cpu('stock_client'),
      grpcjs_server_cpu_ms: cpu('grpcjs'),
      server_rss_mb: round(rssBytes / 1e6, 0),
    };
  }

  async #load(
    { server, client }: Contender,
    bytes: number,
    tls: boolean,
    checkMessages: number,
  ): Promise<LoadResult> {
    const { connections, streams, durationMs } = this.#options;
    const task: LoadTask = {
      server,
      client,
      port: this.#ports[`${server}-${tls ? 'mtls' : 'plain'}`],
      tls: tls ? this.#tls : undefined,
      bytes,
      connections,
      streams,
      checkMessages,
      durationMs,
    };
    return await this.#client.ask<LoadResult>(task);
  }
}

/** Throws when a contender loses or changes bytes; nothing is timed then. */
export async function run(options: IngestOptions = {}): Promise<IngestRow[]> {
  const {
    bytes = [50_000, 1_000_000],
    connections = 4,
    streams = 4,
    repeats = 7,
    durationMs = 600,
    onRow,
  } = options;
  const tls = await benchIdentities('ingest bench');
  const server = new Peer('ingest-bench-server.ts', 'ingest-server');
  const client = new Peer('ingest-bench-client.ts', 'ingest-client');
  try {
    const ports = await server.ask<Ports>({ type: 'start', tls: tls.server } satisfies ServerCommand);
    const settings = { bytes, connections, streams, repeats, durationMs };
    const bench = new Bench(server, client, tls.client, ports, settings);
    const rows: IngestRow[] = [];
    for (const secure of [true, false]) {
      for (const length of bytes) {
        const row = await bench.measure(length, secure);
        rows.push(row);
        onRow?.(row);
      }
    }
    return rows;
  } finally {
    server.stop();
    client.stop();
  }
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      bytes: { type: 'string', multiple: true, default: ['50000', '1000000'] },
      repeats: { type: 'string', default: '7' },
      connections: { type: 'string', default: '4' },
      streams: { type: 'string', default: '4' },
    },
  });
  const rows = await run({
    bytes: values.bytes.map(Number),
    repeats: Number(values.repeats),
    connections: Number(values.connections),
    streams: Number(values.streams),
    ...(values.json ? { onRow: (row) => console.log(JSON.stringify(row)) } : {}),
  });
  if (!values.json) console.table(rows.map(({ bench: _, ...row }) => row));
}
