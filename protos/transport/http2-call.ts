/**
 * One gRPC call on one HTTP/2 stream: admission, request, handler, reply, status.
 *
 * For: http2-server.ts. Trusts: routes and admission; headers and bytes are hostile. The peer is admitted by its
 * certificate before the first byte of its request is kept; a place among the concurrent calls is taken only when the
 * request is complete, so slow senders hold none. Whatever ends the call early aborts the handler's signal.
 */
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { Metadata, status } from '@grpc/grpc-js';
import { ensure, isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';
import type { Identity } from '../../crypto/identity/certificate.ts';
import type { Invoke } from './adapt.ts';
import type { Admission, TlsPeer } from './admission.ts';
import type { BufferPool } from './buffer-pool.ts';
import type { Allowance } from './byte-budget.ts';
import { CONTENT_TYPE, MessageReader, messagePrefix, parseTimeout } from './grpc-framing.ts';
import { OK_TRAILERS, StatusError, type Trailers, trailersOf } from './grpc-status.ts';
import { RequestQueue } from './http2-requests.ts';
import type { CallContext } from './server.ts';

/** One method as it is served. `decode` throws MALFORMED_MESSAGE. */
export interface Route {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly decode: (bytes: Buffer) => object;
  readonly encode: (reply: object) => Uint8Array;
  readonly handler: Invoke;
  /** Where the memory of requests comes from and returns to, when the handler keeps none of it. */
  readonly pool?: BufferPool | undefined;
}

/** What all calls of one connection share. */
export interface Connection {
  /** DER, accepted by TLS. */
  readonly certificate: Uint8Array | undefined;
  readonly tlsPeer: TlsPeer | undefined;
  readonly peer: string;
  readonly allowance: Allowance;
  calls: number;
  streamingCalls: number;
}

/** A stream of messages may leave one window unread; this bounds how many such windows a peer gets. */
const STREAMING_CALLS_PER_CONNECTION_MAX = 16;
/** What is read of a request, and for how long, after it was answered. */
const DROPPED_BYTES_MAX = 1024 * 1024;
const DROPPING_MS_MAX = 2000;
/** Replies up to this size are copied behind their prefix; larger ones are written as they are. */
const SMALL_REPLY_BYTES = 16 * 1024;

// sendDate is an option of node:http2 that its types do not name.
const RESPOND = { waitForTrailers: true, sendDate: false };
const RESPOND_LAST = { endStream: true, sendDate: false };
const REPLY_HEADERS = {
  ':status': 200,
  'content-type': CONTENT_TYPE,
  'grpc-accept-encoding': 'identity',
} as const;
const OWN_HEADERS = [
  'grpc-timeout',
  'grpc-encoding',
  'grpc-accept-encoding',
  'accept-encoding',
  'te',
  'content-type',
];

export class Http2Call implements CallContext {
  readonly method: string;
  readonly peer: string;
  readonly certificate: Uint8Array | undefined;
  identity: Identity | undefined;
  deadlineMs = 0;
  readonly #stream: ServerHttp2Stream;
  readonly #headers: IncomingHttpHeaders;
  readonly #route: Route;
  readonly #connection: Connection;
  readonly #admission: Admission;
  readonly #bytesMax: number;
  readonly #reader: MessageReader;
  #queue: RequestQueue | undefined;
  #message: Buffer | undefined;
  #controller: AbortController | undefined;
  #abortReason: PulsefoldError | undefined;
  #metadata: Metadata | undefined;
  #timer: NodeJS.Timeout | undefined;
  #leave: () => void = () => {};
  #settled = false;
  #ended = false;
  #closed = false;
  #droppedBytes = 0;
  #unsentBytes = 0;
  #trailers: Trailers = OK_TRAILERS;

  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    route: Route,
    connection: Connection,
    environment: { readonly admission: Admission; readonly messageBytesMax: number },
  ) {
    this.#stream = stream;
    this.#headers = headers;
    this.#route = route;
    this.#connection = connection;
    this.#admission = environment.admission;
    this.#bytesMax = environment.messageBytesMax;
    this.#reader = new MessageReader(this.#bytesMax, connection.allowance, route.pool);
    this.method = route.path;
    this.peer = connection.peer;
    this.certificate = connection.certificate;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#abortReason && !this.#controller.signal.aborted) this.#controller.abort(this.#abortReason);
    return this.#controller.signal;
  }

  get metadata(): Metadata {
    if (!this.#metadata) {
      this.#metadata = Metadata.fromHttp2Headers(this.#headers);
      for (const name of OWN_HEADERS) this.#metadata.remove(name);
    }
    return this.#metadata;
  }

  /** Answered, or nobody is there to answer. */
  get #over(): boolean {
    return this.#settled || this.#stream.destroyed || this.#stream.closed;
  }

  /** Admits the call and begins to read it. */
  start(): void {
    this.#listen();
    try {
      this.#admit();
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (this.#route.requestStream) {
      const queue = new RequestQueue(this.#stream, this.#connection.allowance, this.#route.decode);
      this.#queue = queue;
      void this.#run(() => queue);
    }
  }

  /** Answers with an error instead. */
  refuse(error: unknown): void {
    this.#listen();
    this.#fail(error);
  }

  #listen(): void {
    this.#connection.calls++;
    if (this.#streaming) this.#connection.streamingCalls++;
    this.#stream.on('error', () => {});
    this.#stream.once('close', () => this.#onClose());
    this.#stream.on('data', (chunk: Buffer) => this.#onData(chunk));
    this.#stream.once('end', () => this.#onEnd());
  }

  get #streaming(): boolean {
    return this.#route.requestStream || this.#route.responseStream;
  }

  #admit(): void {
    const timeoutMs = parseTimeout(this.#headers['grpc-timeout'] as string | undefined);
    const encoding = this.#headers['grpc-encoding'] ?? 'identity';
    if (encoding !== 'identity') {
      throw new StatusError(
        status.UNIMPLEMENTED,
        'compressed messages are not accepted: send them as they are',
      );
    }
    const { certificate, tlsPeer } = this.#connection;
    this.identity = this.#admission.authorise(this.method, certificate, tlsPeer);
    ensure(
      this.#connection.streamingCalls <= STREAMING_CALLS_PER_CONNECTION_MAX,
      'UNAVAILABLE',
      'too many streams of messages on this connection: try again later',
    );
    const durationMs = Math.min(timeoutMs, this.#admission.callDurationMsMax);
    this.deadlineMs = Date.now() + durationMs;
    this.#timer = setTimeout(() => this.#onDeadline(), durationMs);
  }

  #onData(chunk: Buffer): void {
    if (this.#settled) {
      this.#droppedBytes += chunk.length;
      if (this.#droppedBytes > DROPPED_BYTES_MAX) this.#stream.close(constants.NGHTTP2_NO_ERROR);
      return;
    }
    try {
      this.#reader.push(chunk, (message) => {
        if (this.#queue) this.#queue.push(message);
        else if (!this.#message) this.#message = message;
        else {
          this.#connection.allowance.release(message.length);
          throw new PulsefoldError('MALFORMED_MESSAGE', 'this method takes one message');
        }
      });
    } catch (error) {
      this.#abort(error);
    }
  }

  #onEnd(): void {
    this.#ended = true;
    // A reset also ends the readable side; then nobody waits for a reply.
    if (this.#settled || this.#stream.closed || this.#stream.aborted) return;
    if (!this.#reader.atBoundary) {
      this.#abort(new PulsefoldError('MALFORMED_MESSAGE', 'the request ends within a message'));
    } else if (this.#queue) {
      this.#queue.end();
    } else if (this.#message) {
      const message = this.#message;
      this.#message = undefined;
      void this.#run(() => this.#route.decode(message), message);
    } else {
      this.#fail(new PulsefoldError('MALFORMED_MESSAGE', 'the request has no message'));
    }
  }

  async #run(requestOf: () => unknown, message?: Buffer): Promise<void> {
    const requestBytes = message?.length ?? 0;
    try {
      this.#leave = this.#admission.enter();
      const reply = await this.#route.handler(requestOf(), this);
      if (this.#route.responseStream) await this.#sendAll(reply as AsyncIterable<object>);
      else if (!this.#over) this.#sendLast(this.#encode(reply as object));
      // Not after a failure: then part of the handler's work may still be under way.
      if (message) this.#route.pool?.give(message);
    } catch (error) {
      this.#fail(error);
    } finally {
      // Until here the handler may have held the request, even when its caller was long gone.
      this.#connection.allowance.release(requestBytes);
      this.#queue?.discard();
    }
  }

  #encode(reply: object): Uint8Array {
    const bytes = this.#route.encode(reply);
    if (bytes.length > this.#bytesMax) {
      throw new StatusError(
        status.RESOURCE_EXHAUSTED,
        `a reply of ${bytes.length} bytes; at most ${this.#bytesMax}`,
      );
    }
    return bytes;
  }

  async #sendAll(replies: AsyncIterable<object>): Promise<void> {
    for await (const reply of replies) {
      if (this.#over) return;
      const body = this.#encode(reply);
      this.#open();
      this.#count(body.length);
      this.#stream.write(messagePrefix(body.length));
      const more = this.#stream.write(body, () => this.#sent(body.length));
      if (!more) await this.#drained();
    }
    if (this.#over) return;
    this.#open();
    this.#settle(OK_TRAILERS);
    this.#stream.end();
  }

  #sendLast(body: Uint8Array): void {
    this.#count(body.length);
    this.#open();
    this.#settle(OK_TRAILERS);
    const sent = (): void => this.#sent(body.length);
    const prefix = messagePrefix(body.length);
    if (body.length <= SMALL_REPLY_BYTES) {
      this.#stream.end(Buffer.concat([prefix, body]), sent);
      return;
    }
    this.#stream.cork();
    this.#stream.write(prefix);
    this.#stream.end(body, sent);
    this.#stream.uncork();
  }

  /** Sends the headers of a reply, once. The trailers go out when its last message has. */
  #open(): void {
    if (this.#stream.headersSent) return;
    this.#stream.respond(REPLY_HEADERS, RESPOND);
    this.#stream.once('wantTrailers', () => {
      if (this.#stream.destroyed || this.#stream.closed) return;
      this.#stream.sendTrailers(this.#trailers);
      this.#stopReading();
    });
  }

  /**
   * The caller gets its status although it is still sending. It is told to stop only if it goes on: a reset makes
   * grpc-js forget the status when it has writes under way.
   */
  #stopReading(): void {
    if (this.#ended) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#stream.close(constants.NGHTTP2_NO_ERROR), DROPPING_MS_MAX);
    this.#stream.resume();
  }

  #count(bytes: number): void {
    this.#connection.allowance.reserve(bytes);
    this.#unsentBytes += bytes;
  }

  #sent(bytes: number): void {
    if (this.#closed) return;
    this.#unsentBytes -= bytes;
    this.#connection.allowance.release(bytes);
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#stream.off('drain', done).off('close', done);
        resolve();
      };
      this.#stream.on('drain', done).on('close', done);
      if (this.#closed) done();
    });
  }

  #settle(trailers: Trailers): void {
    this.#settled = true;
    this.#trailers = trailers;
    this.#leave();
    this.#reader.abandon();
  }

  #fail(error: unknown): void {
    if (this.#settled) return;
    const coded = error instanceof StatusError || (isPulsefoldError(error) && error.code !== 'INTERNAL');
    if (!coded) this.#admission.onInternalError(this.method, error);
    this.#settle(trailersOf(error));
    if (this.#stream.destroyed || this.#stream.closed) return;
    if (this.#stream.headersSent) {
      this.#stream.end();
      return;
    }
    this.#stream.respond({ ...REPLY_HEADERS, ...this.#trailers }, RESPOND_LAST);
    this.#stopReading();
  }

  /** Ends the call before its handler does. */
  #abort(error: unknown): void {
    if (this.#settled) return;
    const reason = isPulsefoldError(error)
      ? error
      : new PulsefoldError('INTERNAL', 'call failed', { cause: error });
    this.#fail(reason);
    this.#abortReason = reason;
    this.#controller?.abort(reason);
    this.#queue?.fail(reason);
  }

  #onDeadline(): void {
    if (this.#settled) this.#stream.close(constants.NGHTTP2_CANCEL);
    else this.#abort(new PulsefoldError('DEADLINE_EXCEEDED', 'the deadline of the call has passed'));
  }

  #onClose(): void {
    // Errors are dear: none is made for a call that ended as it should.
    if (!this.#settled) this.#abort(new PulsefoldError('UNAVAILABLE', 'the caller went away'));
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#connection.allowance.release(this.#unsentBytes + (this.#message?.length ?? 0));
    this.#unsentBytes = 0;
    this.#message = undefined;
    this.#connection.calls--;
    if (this.#streaming) this.#connection.streamingCalls--;
  }
}
