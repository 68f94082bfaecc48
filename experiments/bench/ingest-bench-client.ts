/**
 * Client process of ingest-bench.ts: drives one contender at a time over a fixed number of connections and streams.
 *
 * Only for ingest-bench.ts, which starts it and tells it over IPC what to do. Trusts: its parent; it checks what the
 * servers answer, because a contender that loses bytes would win. Three clients: bare HTTP/2; gRPC framing on
 * node:http2, as a client in any other language would do it; and stock grpc-js.
 */
import { createHash, randomBytes } from 'node:crypto';
import { type ClientHttp2Session, connect, constants } from 'node:http2';
import { Client, credentials as grpcCredentials, type MethodDefinition } from '@grpc/grpc-js';
import { messagePrefix } from '../../protos/transport/grpc-framing.ts';
import { serviceDefinition } from '../../protos/transport/load.ts';
import { channelCredentials } from '../../protos/transport/tls.ts';
import type { ServerKind } from './ingest-bench-server.ts';
import type { TlsFiles } from './measuring.ts';

export type ClientKind = 'raw' | 'framed' | 'stock';

export interface LoadTask {
  readonly server: ServerKind;
  readonly client: ClientKind;
  readonly port: number;
  /** Absent: no TLS. */
  readonly tls: TlsFiles | undefined;
  readonly bytes: number;
  readonly connections: number;
  readonly streams: number;
  /** Check: this many different messages, whose digests must come back. Otherwise load for `durationMs`. */
  readonly checkMessages: number;
  readonly durationMs: number;
}

export interface LoadResult {
  readonly messages: number;
  readonly elapsedMs: number;
  readonly cpuMs: number;
}

/** One connection. `put` resolves when the server answered for exactly these bytes. */
interface Sender {
  put(data: Buffer, digest: Buffer | undefined): Promise<void>;
  close(): void;
}

const definition = serviceDefinition('Rounds').definition;
const method = definition.PutUpload as MethodDefinition<object, Reply>;
interface Reply {
  readonly nextOffset: number;
  readonly signature: Uint8Array;
}

const bytesOf = (length: number, value: number): Buffer => Buffer.alloc(length, value);

/** As large as the header of a real upload. */
const header = {
  planHash: bytesOf(32, 1),
  round: 3,
  modelHash: bytesOf(32, 2),
  configHash: bytesOf(32, 3),
  committeeKeyId: bytesOf(32, 4),
  digest: bytesOf(32, 5),
  signature: bytesOf(64, 6),
};

function checkReply(reply: Reply, data: Buffer, digest: Buffer | undefined): void {
  if (reply.nextOffset !== data.length)
    throw new Error(`${reply.nextOffset} of ${data.length} bytes arrived`);
  if (digest && !digest.equals(reply.signature)) throw new Error('other bytes arrived than were sent');
}

function openSession(task: LoadTask): Promise<ClientHttp2Session> {
  const { tls, port } = task;
  const secure = tls && { ca: tls.caPem, cert: tls.certPem, key: tls.keyPem, minVersion: 'TLSv1.3' as const };
  const session = connect(`${tls ? 'https' : 'http'}://localhost:${port}`, {
    ...secure,
    family: 4,
  } as object);
  return new Promise((resolve, reject) => {
    session.once('error', reject);
    session.once('remoteSettings', () => resolve(session));
  });
}

async function openRaw(task: LoadTask): Promise<Sender> {
  const session = await openSession(task);
  const put = (data: Buffer, digest: Buffer | undefined): Promise<void> =>
    new Promise((resolve, reject) => {
      const stream = session.request({ ':method': 'POST', ':path': '/put' });
      stream.once('error', reject);
      stream.once('response', ({ answer }) => {
        if (answer === (digest?.toString('hex') ?? String(data.length))) resolve();
        else reject(new Error('other bytes arrived than were sent'));
      });
      stream.resume();
      stream.end(data);
    });
  return { put, close: () => session.close() };
}

function varint(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) out.push((rest % 128) | 0x80);
  out.push(rest);
  return out;
}

async function openFramed(task: LoadTask): Promise<Sender> {
  const session = await openSession(task);
  const headers = {
    [constants.HTTP2_HEADER_METHOD]: 'POST',
    [constants.HTTP2_HEADER_PATH]: method.path,
    [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc+proto',
    [constants.HTTP2_HEADER_TE]: 'trailers',
    'grpc-timeout': '30S',
  };
  const put = (data: Buffer, digest: Buffer | undefined): Promise<void> =>
    new Promise((resolve, reject) => {
      const head = method.requestSerialize({ header, offset: 0 });
      const tag = Buffer.from([0x1a, ...varint(data.length)]);
      const prefix = messagePrefix(head.length + tag.length + data.length);
      const stream = session.request(headers);
      const chunks: Buffer[] = [];
      let status = 'none';
      stream.once('error', reject);
      stream.once('trailers', (trailers) => {
        status = String(trailers['grpc-status']);
      });
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.once('end', () => {
        try {
          if (status !== '0') throw new Error(`grpc-status ${status}`);
          checkReply(method.responseDeserialize(Buffer.concat(chunks).subarray(5)), data, digest);
          resolve();
        } catch (error) {
          reject(error);
        }
      });
      stream.cork();
      stream.write(Buffer.concat([prefix, head, tag]));
      stream.end(data);
      stream.uncork();
    });
  return { put, close: () => session.close() };
}

function openStock(task: LoadTask): Sender {
  const credentials = task.tls
    ? channelCredentials({ ...task.tls, server: { role: 'coordinator' } })
    : grpcCredentials.createInsecure();
  const client = new Client(`localhost:${task.port}`, credentials, { 'grpc.use_local_subchannel_pool': 1 });
  const put = (data: Buffer, digest: Buffer | undefined): Promise<void> =>
    new Promise((resolve, reject) => {
      const request = { header, offset: 0, data };
      const { path, requestSerialize, responseDeserialize } = method;
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, reply) => {
        try {
          if (error) throw error;
          checkReply(reply!, data, digest);
          resolve();
        } catch (failure) {
          reject(failure);
        }
      });
    });
  return { put, close: () => client.close() };
}

async function check(senders: readonly Sender[], task: LoadTask): Promise<void> {
  const messages = Array.from({ length: task.checkMessages }, () => randomBytes(task.bytes));
  await Promise.all(
    messages.map((data, at) =>
      senders[at % senders.length]!.put(data, createHash('sha256').update(data).digest()),
    ),
  );
}

async function load(senders: readonly Sender[], task: LoadTask): Promise<LoadResult> {
  const data = randomBytes(task.bytes);
  for (const sender of senders) await sender.put(data, undefined);
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  let messages = 0;
  const worker = async (sender: Sender): Promise<void> => {
    while (performance.now() - start < task.durationMs) {
      await sender.put(data, undefined);
      messages++;
    }
  };
  await Promise.all(senders.flatMap((sender) => Array.from({ length: task.streams }, () => worker(sender))));
  const elapsedMs = performance.now() - start;
  const cpu = process.cpuUsage(cpuBefore);
  return { messages, elapsedMs, cpuMs: (cpu.user + cpu.system) / 1000 };
}

const openers = { raw: openRaw, framed: openFramed, stock: openStock };

async function run(task: LoadTask): Promise<LoadResult> {
  const open = openers[task.client];
  const senders = await Promise.all(Array.from({ length: task.connections }, async () => await open(task)));
  try {
    if (task.checkMessages === 0) return await load(senders, task);
    await check(senders, task);
    return { messages: task.checkMessages, elapsedMs: 0, cpuMs: 0 };
  } finally {
    for (const sender of senders) sender.close();
  }
}

if (process.argv[2] === 'ingest-client') {
  process.on('message', async (task: LoadTask) => {
    try {
      process.send!(await run(task));
    } catch (error) {
      process.send!({ failure: error instanceof Error ? error.message : String(error) });
    }
  });
  process.once('disconnect', () => process.exit());
}
