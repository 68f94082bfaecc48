/**
 * One way to serve gRPC for every role: mutual TLS, identity, role table, coded errors, limits, health, reflection.
 *
 * For: coordinator, key holders, registrar. Trusts: the CA given to it; requests, metadata and peer certificates are
 * hostile. Handlers see a request only after the caller's certificate was checked against the CA, the revocation
 * list and the role table; a method that is not in the table cannot be served.
 */

import { type Metadata, Server, type ServerCredentials } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation, type ServingStatus } from 'grpc-health-check';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import type { Identity, Role } from '../../crypto/identity/certificate.ts';
import { adaptService } from './adapt.ts';
import { checkAuthorisation, createAdmission } from './admission.ts';
import { startHttp2Server } from './http2-server.ts';
import { loadPackage, type ServiceReference, serviceDefinition } from './load.ts';
import { assertTls13 } from './tls.ts';

/** What a handler knows about its caller. */
export interface CallContext {
  /** Absent only for methods open to 'anyone' when the caller sent no certificate. */
  readonly identity: Identity | undefined;
  /** The certificate behind `identity`, DER. */
  readonly certificate: Uint8Array | undefined;
  /** Full method name, `/pulsefold.v1.Rounds/CheckIn`. */
  readonly method: string;
  /** Milliseconds since 1970 after which nobody waits for the reply. */
  readonly deadlineMs: number;
  readonly metadata: Metadata;
  /** Address of the peer, for logs. */
  readonly peer: string;
  /** Aborted when the caller goes away or the deadline passes. */
  readonly signal: AbortSignal;
}

/**
 * Unary: (request, context) → reply. Client stream: (async iterable of requests, context) → reply. Server stream:
 * (request, context) → async iterable of replies. Both: iterable → iterable. The request type is the caller's claim;
 * handlers parse it.
 */
export type Handler = (request: never, context: CallContext) => unknown;

export interface ServedService {
  /** Short name (`Rounds`), full name, or a definition from elsewhere. */
  readonly name: ServiceReference;
  /** One handler per method, by its name in lower camel case (`checkIn`). */
  readonly handlers: Readonly<Record<string, Handler>>;
}

/** `http2`: our own gRPC over node:http2, for uploads at wire speed. `grpc-js`: the stock server. Same wire, same rules. */
export type ServerEngine = 'grpc-js' | 'http2';

export interface ServerOptions {
  /** Default `grpc-js`. */
  readonly engine?: ServerEngine;
  readonly services: readonly ServedService[];
  readonly credentials: ServerCredentials;
  /** `host:port`; port 0 picks a free one. */
  readonly address: string;
  /** CA of the registrar, PEM: decides every caller's identity. */
  readonly caPem: string;
  /** Roles by full method name; 'anyone' needs no certificate. Every served method must be listed. */
  readonly authorise: Readonly<Record<string, readonly Role[] | 'anyone'>>;
  /** By serial, lower-case hex. */
  readonly isRevoked: (serial: string) => boolean;
  /** Largest message in either direction, bytes. Default 4 MiB. */
  readonly messageBytesMax?: number;
  /** Calls at a time over all peers; more are answered UNAVAILABLE. Default 4096. */
  readonly concurrentCallsMax?: number;
  /** Deadline of a call that came without one, and upper bound of those that did. Default 10 minutes. */
  readonly callDurationMsMax?: number;
  /** Close connections without calls after this long. Default 5 minutes. */
  readonly connectionIdleMsMax?: number;
  /** Engine http2 only: connections at a time; more are closed. Default 16,384. */
  readonly connectionsMax?: number;
  /** Engine http2 only: request and reply bytes held at a time over all peers. Default 192 MiB. */
  readonly bytesInFlightMax?: number;
  /**
   * Engine http2 only: unary methods, by full name, whose handlers neither keep their request nor have work under way
   * on it once they reply. Its memory is used again, and views of it become empty. Saves most of the garbage collection.
   */
  readonly recycledRequests?: readonly string[];
  readonly now?: () => number;
  /** Told about failures that are not coded errors; the caller only sees INTERNAL. */
  readonly onInternalError?: (method: string, error: unknown) => void;
}

export interface RunningServer {
  readonly port: number;
  /** Sets the gRPC health status of a service by short or full name ('' = the whole server). */
  setHealth(service: string, serving: ServingStatus): void;
  /** Stops accepting, lets calls finish for `graceMs` (default 2000), then cuts them off. */
  stop(graceMs?: number): Promise<void>;
}

const DEFAULTS = {
  messageBytesMax: 4 * 1024 * 1024,
  connectionIdleMsMax: 300_000,
};

function channelOptions(options: ServerOptions): Record<string, number> {
  const bytesMax = options.messageBytesMax ?? DEFAULTS.messageBytesMax;
  return {
    'grpc.max_receive_message_length': bytesMax,
    'grpc.max_send_message_length': bytesMax,
    'grpc.max_concurrent_streams': 256,
    'grpc.max_connection_idle_ms': options.connectionIdleMsMax ?? DEFAULTS.connectionIdleMsMax,
    // grpc-node#2975: without an age, sessions of vanished peers pile up.
    'grpc.max_connection_age_ms': 3_600_000,
    'grpc.max_connection_age_grace_ms': 60_000,
    'grpc.keepalive_time_ms': 60_000,
    'grpc.keepalive_timeout_ms': 20_000,
    'grpc.enable_channelz': 0,
  };
}

function bind(server: Server, address: string, credentials: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, port) => {
      if (error) reject(new PulsefoldError('UNAVAILABLE', `cannot listen on ${address}`, { cause: error }));
      else resolve(port);
    });
  });
}

async function shutDown(server: Server, graceMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const forced = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, graceMs);
  });
  await Promise.race([new Promise<void>((resolve) => server.tryShutdown(() => resolve())), forced]);
  clearTimeout(timer);
}

/** Serves until `stop`. Throws CONFIG_INVALID for a gap in handlers or roles, UNAVAILABLE when it cannot listen. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  assertTls13();
  ensure(options.credentials._isSecure(), 'CONFIG_INVALID', 'plain-text gRPC is not served');
  return options.engine === 'http2' ? await startHttp2Server(options) : await startGrpcJsServer(options);
}

async function startGrpcJsServer(options: ServerOptions): Promise<RunningServer> {
  const server = new Server(channelOptions(options));
  const admission = createAdmission(options);
  const names: string[] = [];
  const served: string[] = [];
  for (const service of options.services) {
    const { fullName, definition } = serviceDefinition(service.name);
    const adapted = adaptService(fullName, definition, service.handlers, admission);
    server.addService(adapted.definition, adapted.implementation);
    names.push(fullName);
    served.push(...adapted.methods);
  }
  checkAuthorisation(options.authorise, served);
  const health = new HealthImplementation(
    Object.fromEntries(['', ...names].map((name) => [name, 'SERVING'])),
  );
  health.addToServer(server);
  new ReflectionService(loadPackage(), { services: names }).addToServer(server);
  const port = await bind(server, options.address, options.credentials);
  let stopped: Promise<void> | undefined;
  return {
    port,
    setHealth: (service, serving) =>
      health.setStatus(service === '' ? '' : serviceDefinition(service).fullName, serving),
    stop(graceMs = 2000) {
      for (const name of ['', ...names]) health.setStatus(name, 'NOT_SERVING');
      stopped ??= shutDown(server, graceMs);
      return stopped;
    },
  };
}
