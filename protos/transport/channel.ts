/**
 * One way to call gRPC for every role: promises, a deadline on every call, bounded retries, coded errors.
 *
 * For: clients, key holders, coordinator, tests. Trusts: the credentials given to it; replies are hostile and must be
 * parsed by the caller. Only calls marked idempotent are repeated, and only after UNAVAILABLE.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type CallOptions,
  type ChannelCredentials,
  Client,
  Metadata,
  type MethodDefinition,
  type ServiceDefinition,
  type ServiceError,
} from '@grpc/grpc-js';
import { ensure } from '../../crypto/error.ts';
import { randomBytes } from '../../crypto/random.ts';
import { type ServiceReference, serviceDefinition } from './load.ts';
import { fromServiceError } from './status.ts';
import { serverNameOf } from './tls.ts';

export interface RpcClientOptions {
  /** Short name (`Rounds`), full name, or a definition from elsewhere. */
  readonly service: ServiceReference;
  /** `host:port`. */
  readonly address: string;
  readonly credentials: ChannelCredentials;
  /** Default deadline of a call, over all its attempts. Default 30 s. */
  readonly deadlineMs?: number;
  /** Largest message in either direction, bytes. Default 4 MiB. */
  readonly messageBytesMax?: number;
  /** Attempts of an idempotent call. Default 4. */
  readonly attemptsMax?: number;
  /** First pause between attempts; doubles each time, with full jitter. Default 100 ms, at most 5 s. */
  readonly backoffMs?: number;
}

export interface RpcCallOptions {
  readonly deadlineMs?: number;
  /** May be sent twice without harm: repeated after UNAVAILABLE within its deadline. */
  readonly idempotent?: boolean;
  readonly signal?: AbortSignal;
}

/** Methods go by their names in lower camel case. Every failure is a PulsefoldError. */
export interface RpcClient {
  readonly address: string;
  call<Reply>(method: string, request: object, options?: RpcCallOptions): Promise<Reply>;
  /** Client stream: sends all requests, resolves with the one reply. Never repeated. */
  send<Reply>(
    method: string,
    requests: Iterable<object> | AsyncIterable<object>,
    options?: RpcCallOptions,
  ): Promise<Reply>;
  /** Server stream. Leaving the loop cancels the call. */
  receive<Reply>(method: string, request: object, options?: RpcCallOptions): AsyncIterable<Reply>;
  close(): void;
}

const BACKOFF_MS_MAX = 5000;
type Method = MethodDefinition<object, object>;

/** Uniform in [0, limit): spreads clients that lost the same server. */
function jitter(limitMs: number): number {
  const bytes = randomBytes(4);
  return (new DataView(bytes.buffer).getUint32(0, true) / 2 ** 32) * limitMs;
}

/** Host of `host:port` or `[v6]:port`. */
const hostOf = (address: string): string =>
  address.slice(0, address.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1');

function methodOf(definition: ServiceDefinition, name: string): Method {
  const key = name.charAt(0).toUpperCase() + name.slice(1);
  const method = definition[key];
  ensure(method, 'CONFIG_INVALID', `no method ${name} in this service`);
  return method as Method;
}

/** Ties a call to an AbortSignal; returns the function that unties it. */
function cancelOn(signal: AbortSignal | undefined, call: { cancel(): void }): () => void {
  if (!signal) return () => {};
  const cancel = (): void => call.cancel();
  if (signal.aborted) queueMicrotask(cancel);
  signal.addEventListener('abort', cancel, { once: true });
  return () => signal.removeEventListener('abort', cancel);
}

class GrpcClient implements RpcClient {
  readonly address: string;
  readonly #client: Client;
  readonly #definition: ServiceDefinition;
  readonly #deadlineMs: number;
  readonly #attemptsMax: number;
  readonly #backoffMs: number;

  constructor(options: RpcClientOptions) {
    this.address = options.address;
    this.#definition = serviceDefinition(options.service).definition;
    this.#deadlineMs = options.deadlineMs ?? 30_000;
    this.#attemptsMax = options.attemptsMax ?? 4;
    this.#backoffMs = options.backoffMs ?? 100;
    const bytesMax = options.messageBytesMax ?? 4 * 1024 * 1024;
    this.#client = new Client(options.address, options.credentials, {
      'grpc.max_receive_message_length': bytesMax,
      'grpc.max_send_message_length': bytesMax,
      // Each identity has its own connection, also when many phones share a process.
      'grpc.use_local_subchannel_pool': 1,
      'grpc.ssl_target_name_override': serverNameOf(hostOf(options.address)),
      'grpc.enable_http_proxy': 0,
      'grpc.enable_retries': 0,
      'grpc.service_config_disable_resolution': 1,
      'grpc.enable_channelz': 0,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': BACKOFF_MS_MAX,
    });
  }

  async call<Reply>(name: string, request: object, options: RpcCallOptions = {}): Promise<Reply> {
    const method = methodOf(this.#definition, name);
    ensure(!method.requestStream && !method.responseStream, 'CONFIG_INVALID', `${name} is a stream`);
    const deadline = Date.now() + (options.deadlineMs ?? this.#deadlineMs);
    for (let attempt = 1; ; attempt++) {
      try {
        return (await this.#unary(method, request, deadline, options.signal)) as Reply;
      } catch (error) {
        const failure = fromServiceError(error);
        const pauseMs = jitter(Math.min(BACKOFF_MS_MAX, this.#backoffMs * 2 ** (attempt - 1)));
        const repeat = options.idempotent && failure.code === 'UNAVAILABLE' && attempt < this.#attemptsMax;
        if (!repeat || options.signal?.aborted || Date.now() + pauseMs >= deadline) throw failure;
        await sleep(pauseMs, undefined, options.signal ? { signal: options.signal } : {}).catch(() => {
          throw failure;
        });
      }
    }
  }

  #unary(method: Method, request: object, deadline: number, signal?: AbortSignal): Promise<object> {
    return new Promise((resolve, reject) => {
      const done = (error: ServiceError | null, reply?: object): void => {
        release();
        if (error) reject(error);
        else resolve(reply as object);
      };
      const { path, requestSerialize, responseDeserialize } = method;
      const callOptions: CallOptions = { deadline };
      const metadata = new Metadata();
      const call = this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        callOptions,
        done,
      );
      const release = cancelOn(signal, call);
    });
  }

  async send<Reply>(
    name: string,
    requests: Iterable<object> | AsyncIterable<object>,
    options: RpcCallOptions = {},
  ): Promise<Reply> {
    const { path, requestSerialize, responseDeserialize } = methodOf(this.#definition, name);
    const deadline = Date.now() + (options.deadlineMs ?? this.#deadlineMs);
    let finish: (error: ServiceError | null, reply?: object) => void = () => {};
    const answered = new Promise<object>((resolve, reject) => {
      finish = (error, reply) => (error ? reject(error) : resolve(reply as object));
    });
    const call = this.#client.makeClientStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      new Metadata(),
      { deadline },
      (error, reply) => finish(error, reply),
    );
    const release = cancelOn(options.signal, call);
    let settled = false;
    answered.finally(() => (settled = true)).catch(() => {});
    const pump = async (): Promise<void> => {
      for await (const request of requests) {
        // The server may answer before it read everything; the rest is then not sent.
        if (settled) return;
        if (!call.write(request)) {
          await Promise.race([new Promise<void>((resolve) => call.once('drain', () => resolve())), answered]);
        }
      }
      call.end();
    };
    try {
      const pumped = pump();
      pumped.catch(() => call.cancel());
      await Promise.race([pumped, answered]);
      return (await answered) as Reply;
    } catch (error) {
      throw fromServiceError(error);
    } finally {
      release();
    }
  }

  async *receive<Reply>(name: string, request: object, options: RpcCallOptions = {}): AsyncGenerator<Reply> {
    const { path, requestSerialize, responseDeserialize } = methodOf(this.#definition, name);
    const deadline = Date.now() + (options.deadlineMs ?? this.#deadlineMs);
    const metadata = new Metadata();
    const callOptions: CallOptions = { deadline };
    const call = this.#client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      metadata,
      callOptions,
    );
    const release = cancelOn(options.signal, call);
    try {
      for await (const reply of call) yield reply as Reply;
    } catch (error) {
      throw fromServiceError(error);
    } finally {
      release();
      call.cancel();
    }
  }

  close(): void {
    this.#client.close();
  }
}

/** Opens a client; it connects with the first call. Throws CONFIG_INVALID for an unknown service. */
export function openClient(options: RpcClientOptions): RpcClient {
  ensure(/^[^\s/]+:\d{1,5}$/.test(options.address), 'CONFIG_INVALID', 'an address has the form host:port');
  return new GrpcClient(options);
}
