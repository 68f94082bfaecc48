/**
 * gRPC straight on node:http2: the same services, rules and wire as the grpc-js engine, at the speed of the sockets.
 *
 * For: server.ts (`engine: 'http2'`) and benchmarks. Trusts: the CA given to it; requests, metadata and peer
 * certificates are hostile. Unary and streaming methods, health and reflection are served; messages are never
 * compressed. What bounds a hostile peer: header and stream limits and the reset rate below (CVE-2023-44487 is in
 * nghttp2's hands), byte-budget.ts for memory, http2-connections.ts for time.
 */
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
  type ServerOptions as SessionOptions,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { status } from '@grpc/grpc-js';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import { type Invoke, type Method, pairHandlers } from './adapt.ts';
import { type Admission, type AdmissionOptions, checkAuthorisation, createAdmission } from './admission.ts';
import { BufferPool } from './buffer-pool.ts';
import { ByteBudget } from './byte-budget.ts';
import { isGrpcContentType } from './grpc-framing.ts';
import { StatusError } from './grpc-status.ts';
import { healthService, reflectionServices } from './http2-auxiliary.ts';
import { Http2Call, type Route } from './http2-call.ts';
import { type ConnectionLimits, Connections } from './http2-connections.ts';
import { serviceDefinition } from './load.ts';
import { PUT_UPLOAD_PATH, putUploadReader } from './put-upload-reader.ts';
import type { RunningServer, ServerOptions } from './server.ts';

const MiB = 1024 * 1024;
const MESSAGE_BYTES_MAX = 4 * MiB;
const BYTES_IN_FLIGHT_MAX = 192 * MiB;
const HEADER_BYTES_MAX = 16 * 1024;
/** Memory of requests kept for the next ones. */
const POOL_BYTES_MAX = 32 * MiB;
const HANDSHAKE_MS_MAX = 20_000;

/** Limits that nghttp2 and node:http2 enforce, for `createServer` as for `createSecureServer`. */
export const sessionOptions: SessionOptions = {
  settings: {
    maxConcurrentStreams: 256,
    maxHeaderListSize: HEADER_BYTES_MAX,
    initialWindowSize: 256 * 1024,
  },
  maxHeaderListPairs: 64,
  // Resets: this many at once, then so many per second; beyond, the connection is ended.
  streamResetBurst: 512,
  streamResetRate: 64,
  maxSessionInvalidFrames: 100,
  maxSessionRejectedStreams: 100,
  maxSettings: 16,
  maxOutstandingPings: 4,
  maxSessionMemory: 32,
};

const CONNECTION_LIMITS: ConnectionLimits = {
  connectionsMax: 16_384,
  connectionBytesMax: 32 * MiB,
  idleMsMax: 300_000,
  ageMsMax: 3_600_000,
  ageGraceMs: 60_000,
  keepaliveMs: 60_000,
  keepaliveTimeoutMs: 20_000,
  sweepMs: 1000,
  connectionWindowBytes: MiB,
};

export type EngineOptions = AdmissionOptions &
  Pick<
    ServerOptions,
    | 'services'
    | 'messageBytesMax'
    | 'bytesInFlightMax'
    | 'connectionsMax'
    | 'connectionIdleMsMax'
    | 'recycledRequests'
  > & { readonly limits?: Partial<ConnectionLimits> };

/** What is served on a server that somebody else opened. */
export interface AttachedEngine {
  setHealth: RunningServer['setHealth'];
  /** Bytes of requests and replies held now. */
  bytesInFlight(): number;
  /** Lets calls finish for `graceMs`, then ends them. */
  close(graceMs: number): Promise<void>;
}

/** The loader's decoder, with a coded error. */
const decoderOf =
  (method: Method): Route['decode'] =>
  (bytes) => {
    try {
      return method.requestDeserialize(bytes);
    } catch {
      throw new PulsefoldError('MALFORMED_MESSAGE', 'request does not decode as its protobuf message');
    }
  };

function routeOf(method: Method, handler: Invoke): Route {
  const { path, requestStream, responseStream, responseSerialize: encode } = method;
  const decode = path === PUT_UPLOAD_PATH ? putUploadReader() : decoderOf(method);
  return { path, requestStream, responseStream, decode, encode, handler };
}

function collectRoutes(options: EngineOptions): {
  routes: Map<string, Route>;
  names: string[];
  served: string[];
} {
  const routes = new Map<string, Route>();
  const names: string[] = [];
  const pool = new BufferPool(POOL_BYTES_MAX);
  const recycled = new Set(options.recycledRequests ?? []);
  for (const service of options.services) {
    const { fullName, definition } = serviceDefinition(service.name);
    names.push(fullName);
    for (const { method, handler } of pairHandlers(fullName, definition, service.handlers)) {
      const route = routeOf(method, handler);
      const unary = !method.requestStream && !method.responseStream;
      routes.set(method.path, recycled.delete(method.path) && unary ? { ...route, pool } : route);
    }
  }
  const [unknown] = recycled;
  ensure(unknown === undefined, 'CONFIG_INVALID', `no method ${unknown} to recycle requests of`);
  return { routes, names, served: [...routes.keys()] };
}

/** For paths that nobody serves: never decoded, never run. */
const NO_ROUTE: Route = {
  path: '',
  requestStream: false,
  responseStream: false,
  decode: () => ({}),
  encode: () => new Uint8Array(),
  handler: () => ({}),
};

/** HTTP status for what is no gRPC request. */
function httpRefusal(headers: IncomingHttpHeaders): number | undefined {
  if (headers[':method'] !== 'POST') return 405;
  if (!isGrpcContentType(headers['content-type'])) return 415;
  // HTTP/2 counts 32 bytes more per field. Peers that have not acknowledged our settings are not held to them yet.
  let bytes = 0;
  for (const name in headers) bytes += name.length + String(headers[name]).length + 32;
  return bytes > HEADER_BYTES_MAX ? 431 : undefined;
}

/** Turns a stream into a call, or refuses it. */
function dispatch(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  routes: ReadonlyMap<string, Route>,
  connections: Connections,
  environment: { readonly admission: Admission; readonly messageBytesMax: number },
): void {
  const connection = connections.of(stream.session as never);
  const path = headers[':path'] ?? '';
  const refusal = httpRefusal(headers);
  if (!connection) {
    stream.on('error', () => {}).destroy();
  } else if (refusal !== undefined) {
    stream.on('error', () => {});
    stream.respond({ ':status': refusal }, { endStream: true });
    stream.close();
  } else {
    const route = routes.get(path);
    const call = new Http2Call(stream, headers, route ?? NO_ROUTE, connection, environment);
    if (route) call.start();
    else call.refuse(new StatusError(status.UNIMPLEMENTED, `the server does not implement ${path}`));
  }
}

/** Serves on `server`, which its caller opens and closes. Throws CONFIG_INVALID for a gap in handlers or roles. */
export function attachGrpc(server: Http2Server | Http2SecureServer, options: EngineOptions): AttachedEngine {
  const { routes, names, served } = collectRoutes(options);
  checkAuthorisation(options.authorise, served);
  const { health, methods } = healthService(names);
  const auxiliary = [...methods, ...reflectionServices(names)];
  for (const { method, handler } of auxiliary) routes.set(method.path, routeOf(method, handler));
  const open = Object.fromEntries(auxiliary.map(({ method }) => [method.path, 'anyone' as const]));
  const admission = createAdmission({ ...options, authorise: { ...options.authorise, ...open } });
  const messageBytesMax = options.messageBytesMax ?? MESSAGE_BYTES_MAX;
  const budget = new ByteBudget(options.bytesInFlightMax ?? BYTES_IN_FLIGHT_MAX);
  const limits: ConnectionLimits = {
    ...CONNECTION_LIMITS,
    ...(options.connectionsMax === undefined ? {} : { connectionsMax: options.connectionsMax }),
    ...(options.connectionIdleMsMax === undefined ? {} : { idleMsMax: options.connectionIdleMsMax }),
    ...options.limits,
  };
  const connections = new Connections(server, limits, budget);
  const environment = { admission, messageBytesMax };
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) =>
    dispatch(stream, headers, routes, connections, environment),
  );
  return {
    setHealth: (service, serving) =>
      health.setStatus(service === '' ? '' : serviceDefinition(service).fullName, serving),
    bytesInFlight: () => budget.used,
    close(graceMs) {
      for (const name of ['', ...names]) health.setStatus(name, 'NOT_SERVING');
      return connections.close(graceMs);
    },
  };
}

/** `host:port` or `[v6]:port`. */
function parseAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s/:]+)):(\d{1,5})$/.exec(address);
  ensure(match && Number(match[3]) <= 65_535, 'CONFIG_INVALID', 'an address has the form host:port');
  return { host: (match[1] ?? match[2])!, port: Number(match[3]) };
}

function listen(server: Http2SecureServer, address: string): Promise<number> {
  const { host, port } = parseAddress(address);
  return new Promise((resolve, reject) => {
    const refused = (cause: Error): void =>
      reject(new PulsefoldError('UNAVAILABLE', `cannot listen on ${address}`, { cause }));
    server.once('error', refused);
    server.listen({ host, port }, () => {
      server.off('error', refused);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/** As `startServer`, which checks TLS beforehand and is the only caller. */
export async function startHttp2Server(options: ServerOptions): Promise<RunningServer> {
  const context = options.credentials._getSecureContextOptions();
  const server = createSecureServer({
    ...options.credentials._getConstructorOptions(),
    ...context,
    ...sessionOptions,
    minVersion: 'TLSv1.3',
    handshakeTimeout: HANDSHAKE_MS_MAX,
  });
  // Peers that fail in the handshake, speak no HTTP/2 or break off are no errors of ours.
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  server.on('unknownProtocol', (socket) => socket.destroy());
  server.on('sessionError', () => {});
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket.once('close', () => sockets.delete(socket))));
  const tlsCaPem = Buffer.isBuffer(context?.ca) ? context.ca.toString('latin1') : undefined;
  const engine = attachGrpc(server, { ...options, tlsCaPem });
  let port: number;
  try {
    port = await listen(server, options.address);
  } catch (error) {
    await engine.close(0);
    throw error;
  }
  server.on('error', (error) => options.onInternalError?.('', error));
  let stopped: Promise<void> | undefined;
  return {
    port,
    setHealth: engine.setHealth,
    stop(graceMs = 2000) {
      stopped ??= (async () => {
        const closed = new Promise<void>((resolve) => server.close(() => resolve()));
        await engine.close(graceMs);
        // Those that never came as far as HTTP/2.
        for (const socket of sockets) socket.destroy();
        await closed;
      })();
      return stopped;
    },
  };
}
