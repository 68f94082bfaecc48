/**
 * Server process of ingest-bench.ts: all contenders on ports of their own, one busy at a time.
 *
 * Only for ingest-bench.ts, which starts it and tells it over IPC what to do. Trusts: its parent. The servers without
 * TLS exist here alone, to separate the cost of gRPC from that of TLS; no role can open one.
 */
import { createHash } from 'node:crypto';
import { createSecureServer, createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo, Server as NetServer } from 'node:net';
import { Server as GrpcServer, ServerCredentials, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { attachGrpc, sessionOptions } from '../../protos/transport/http2-server.ts';
import { serviceDefinition } from '../../protos/transport/load.ts';
import { type ServedService, startServer } from '../../protos/transport/server.ts';
import { serverCredentials } from '../../protos/transport/tls.ts';
import type { TlsFiles } from './measuring.ts';

export type ServerKind = 'raw' | 'ours' | 'grpcjs';
/** Ports by kind and TLS. */
export type Ports = Readonly<Record<`${ServerKind}-${'mtls' | 'plain'}`, number>>;
export type ServerCommand =
  | { readonly type: 'start'; readonly tls: TlsFiles }
  /** With `digest` each reply is the SHA-256 of what came, otherwise its length. */
  | { readonly type: 'mode'; readonly digest: boolean }
  | { readonly type: 'usage' };
/** Since the last reading: bytes of data that reached a handler, and CPU time of this process. */
export interface ServerUsage {
  readonly bytes: number;
  readonly cpuMs: number;
  readonly rssBytes: number;
}

const MESSAGE_BYTES_MAX = 8 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES = 1024 * 1024;
let digestMode = false;
let bytes = 0;

const sha256 = (data: Uint8Array): Buffer => createHash('sha256').update(data).digest();

function accept(request: { data: Uint8Array }): { nextOffset: number; signature: Uint8Array } {
  bytes += request.data.length;
  const signature = digestMode ? sha256(request.data) : new Uint8Array();
  return { nextOffset: request.data.length, signature };
}

/** Takes the bytes as they come and answers when the stream ends: the least that a server can do. */
function serveRaw(stream: ServerHttp2Stream): void {
  const hash = digestMode ? createHash('sha256') : undefined;
  let length = 0;
  stream.on('error', () => {});
  stream.on('data', (chunk: Buffer) => {
    length += chunk.length;
    hash?.update(chunk);
  });
  stream.once('end', () => {
    bytes += length;
    // In a header: a body would cost node:http2 a write more.
    const answer = hash ? hash.digest('hex') : String(length);
    stream.respond({ ':status': 200, answer }, { endStream: true });
  });
}

const listen = (server: NetServer): Promise<number> =>
  new Promise((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
  );

/** The same windows as ours. */
async function startRaw(tls: TlsFiles | undefined): Promise<number> {
  const secure = tls && {
    ca: tls.caPem,
    cert: tls.certPem,
    key: tls.keyPem,
    requestCert: true,
    minVersion: 'TLSv1.3' as const,
  };
  const server = secure ? createSecureServer({ ...sessionOptions, ...secure }) : createServer(sessionOptions);
  server.on('session', (session) => session.setLocalWindowSize(CONNECTION_WINDOW_BYTES));
  server.on('stream', serveRaw);
  return await listen(server);
}

const { fullName, definition } = serviceDefinition('Rounds');

function roundsService(): ServedService {
  const unused = () => {
    throw new Error('not part of the benchmark');
  };
  const names = Object.keys(definition).map((name) => name.charAt(0).toLowerCase() + name.slice(1));
  return {
    name: { fullName, definition },
    handlers: { ...Object.fromEntries(names.map((name) => [name, unused])), putUpload: accept },
  };
}

async function startOurs(tls: TlsFiles): Promise<{ mtls: number; plain: number }> {
  const paths = Object.values(definition).map((method) => method.path);
  const common = {
    services: [roundsService()],
    caPem: tls.caPem,
    isRevoked: () => false,
    messageBytesMax: MESSAGE_BYTES_MAX,
    recycledRequests: process.env.INGEST_RECYCLE === '0' ? [] : ['/pulsefold.v1.Rounds/PutUpload'],
    onInternalError: (_method: string, error: unknown) => console.error(error),
  };
  const credentials = serverCredentials({ ...tls, requireClientCertificate: true });
  const clients = Object.fromEntries(paths.map((path) => [path, ['client' as const]]));
  const anyone = Object.fromEntries(paths.map((path) => [path, 'anyone' as const]));
  const running = await startServer({
    ...common,
    engine: 'http2',
    credentials,
    address: '127.0.0.1:0',
    authorise: clients,
  });
  const server = createServer(sessionOptions);
  attachGrpc(server, { ...common, authorise: anyone });
  return { mtls: running.port, plain: await listen(server) };
}

/** grpc-js as it comes; only the cap on messages is raised, without which 8 MB would not pass. */
async function startStock(credentials: ServerCredentials): Promise<number> {
  const server = new GrpcServer({ 'grpc.max_receive_message_length': MESSAGE_BYTES_MAX });
  const unimplemented: UntypedServiceImplementation = {};
  const putUpload = (
    call: { request: { data: Uint8Array } },
    respond: (error: null, reply: object) => void,
  ): void => respond(null, accept(call.request));
  server.addService(definition, { ...unimplemented, PutUpload: putUpload as never });
  return await new Promise((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', credentials, (error, port) => (error ? reject(error) : resolve(port))),
  );
}

async function start(tls: TlsFiles): Promise<Ports> {
  const ours = await startOurs(tls);
  return {
    'raw-mtls': await startRaw(tls),
    'raw-plain': await startRaw(undefined),
    'ours-mtls': ours.mtls,
    'ours-plain': ours.plain,
    'grpcjs-mtls': await startStock(serverCredentials({ ...tls, requireClientCertificate: true })),
    'grpcjs-plain': await startStock(ServerCredentials.createInsecure()),
  };
}

let cpuBefore = process.cpuUsage();

function usage(): ServerUsage {
  const cpu = process.cpuUsage(cpuBefore);
  cpuBefore = process.cpuUsage();
  const reading = { bytes, cpuMs: (cpu.user + cpu.system) / 1000, rssBytes: process.memoryUsage.rss() };
  bytes = 0;
  return reading;
}

if (process.argv[2] === 'ingest-server') {
  process.on('message', async (command: ServerCommand) => {
    if (command.type === 'start') process.send!(await start(command.tls));
    else if (command.type === 'mode') {
      digestMode = command.digest;
      process.send!({});
    } else process.send!(usage());
  });
  process.once('disconnect', () => process.exit());
}
