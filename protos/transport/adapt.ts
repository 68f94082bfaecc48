/**
 * Between grpc-js' callbacks and streams and our async handlers.
 *
 * For: server.ts only. Trusts: the service definition; requests are hostile. A request that does not decode reaches
 * no handler and is answered MALFORMED_MESSAGE.
 */

import { type EventEmitter, once } from 'node:events';
import type {
  MethodDefinition,
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  sendUnaryData,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { ensure, isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';
import type { Admission } from './admission.ts';
import type { CallContext, Handler } from './server.ts';
import { toServiceError } from './status.ts';

type AnyCall =
  | ServerUnaryCall<object, object>
  | ServerWritableStream<object, object>
  | ServerDuplexStream<object, object>;
export type Method = MethodDefinition<object, object>;
export type Invoke = (request: unknown, context: CallContext) => unknown;

/** Stands in for a request that protobufjs could not decode. */
const MALFORMED = Object.freeze({ malformed: true });

const checkDecoded = <Request>(request: Request): Request => {
  ensure(
    (request as unknown) !== MALFORMED,
    'MALFORMED_MESSAGE',
    'request does not decode as its protobuf message',
  );
  return request;
};

function tolerantDefinition(method: Method): Method {
  return {
    ...method,
    requestDeserialize(bytes: Buffer): object {
      try {
        return method.requestDeserialize(bytes);
      } catch {
        return MALFORMED;
      }
    },
  };
}

/** DER of the peer's certificate, when TLS accepted one. */
function peerCertificate(call: AnyCall): Uint8Array | undefined {
  const raw = call.getAuthContext()?.sslPeerCertificate?.raw;
  return raw ? new Uint8Array(raw) : undefined;
}

/** The caller's deadline, bounded by the server's; a call without one reports Infinity. */
function deadlineOf(call: AnyCall, admission: Admission): number {
  const deadline = call.getDeadline();
  const asked = deadline instanceof Date ? deadline.getTime() : deadline;
  const latest = Date.now() + admission.callDurationMsMax;
  return Number.isFinite(asked) && asked > 0 ? Math.min(asked, latest) : latest;
}

/** Runs one call: admission, handler, release; whatever fails is thrown as it is. */
async function run<Result>(
  call: AnyCall,
  path: string,
  admission: Admission,
  body: (context: CallContext) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  const certificate = peerCertificate(call);
  const identity = admission.authorise(path, certificate);
  const release = admission.enter();
  const deadlineMs = deadlineOf(call, admission);
  const abort = (code: 'UNAVAILABLE' | 'DEADLINE_EXCEEDED', text: string): void =>
    controller.abort(new PulsefoldError(code, text));
  (call as EventEmitter).once('cancelled', () => abort('UNAVAILABLE', 'the caller went away'));
  const overdue = () => abort('DEADLINE_EXCEEDED', 'the deadline of the call has passed');
  const timer = setTimeout(overdue, Math.max(0, deadlineMs - Date.now()));
  const { signal } = controller;
  try {
    // A handler that ignores its signal must not keep its caller's slot and connection.
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    aborted.catch(() => {});
    const context: CallContext = {
      identity,
      certificate,
      method: path,
      deadlineMs,
      metadata: call.metadata,
      peer: call.getPeer(),
      signal,
    };
    return await Promise.race([body(context), aborted]);
  } finally {
    clearTimeout(timer);
    release();
  }
}

function report(admission: Admission, path: string, error: unknown): void {
  if (!isPulsefoldError(error) || error.code === 'INTERNAL') admission.onInternalError(path, error);
}

async function* decoded(call: AsyncIterable<object>): AsyncGenerator<object> {
  for await (const request of call) yield checkDecoded(request);
}

/** Requests of a stream. Leaving early must not destroy the call: the reply still travels on it. */
const requestsOf = (call: ServerDuplexStream<object, object>): AsyncIterable<object> =>
  decoded({ [Symbol.asyncIterator]: () => call.iterator({ destroyOnReturn: false }) });

async function sendAll(call: ServerWritableStream<object, object>, replies: unknown, signal: AbortSignal) {
  for await (const reply of replies as AsyncIterable<object>) {
    signal.throwIfAborted();
    if (!call.write(reply)) await once(call, 'drain', { signal });
  }
}

/** Handlers with one reply. */
function replying(path: string, method: Method, handler: Invoke, admission: Admission) {
  return (call: ServerUnaryCall<object, object>, respond: sendUnaryData<object>): void => {
    const body = async (context: CallContext): Promise<object> => {
      const request = method.requestStream
        ? requestsOf(call as unknown as ServerDuplexStream<object, object>)
        : checkDecoded(call.request);
      return (await handler(request, context)) as object;
    };
    run(call, path, admission, body).then(
      (reply) => respond(null, reply),
      (error) => {
        report(admission, path, error);
        respond(toServiceError(error));
      },
    );
  };
}

/** Handlers with a stream of replies. */
function streaming(path: string, method: Method, handler: Invoke, admission: Admission) {
  return (call: ServerWritableStream<object, object>): void => {
    const body = async (context: CallContext): Promise<void> => {
      const request = method.requestStream
        ? requestsOf(call as unknown as ServerDuplexStream<object, object>)
        : checkDecoded(call.request);
      await sendAll(call, await handler(request, context), context.signal);
    };
    run(call, path, admission, body).then(
      () => call.end(),
      (error) => {
        report(admission, path, error);
        call.emit('error', toServiceError(error));
      },
    );
  };
}

/** Each method with its handler, by name. Throws CONFIG_INVALID for a missing handler or one too many. */
export function pairHandlers(
  fullName: string,
  definition: ServiceDefinition,
  handlers: Readonly<Record<string, Handler>>,
): { name: string; method: Method; handler: Invoke }[] {
  const unused = new Set(Object.keys(handlers));
  const paired = Object.entries(definition).map(([name, method]) => {
    const key = name.charAt(0).toLowerCase() + name.slice(1);
    const handler = handlers[key] as Invoke | undefined;
    ensure(handler, 'CONFIG_INVALID', `no handler ${key} for ${method.path}`);
    unused.delete(key);
    return { name, method: method as Method, handler };
  });
  ensure(unused.size === 0, 'CONFIG_INVALID', `${fullName} has no method ${[...unused].join(', ')}`);
  return paired;
}

/** Definition, implementation and full method names for `server.addService`. Throws CONFIG_INVALID for a gap. */
export function adaptService(
  fullName: string,
  definition: ServiceDefinition,
  handlers: Readonly<Record<string, Handler>>,
  admission: Admission,
): { definition: ServiceDefinition; implementation: UntypedServiceImplementation; methods: string[] } {
  const tolerant: Record<string, Method> = {};
  const implementation: UntypedServiceImplementation = {};
  for (const { name, method, handler } of pairHandlers(fullName, definition, handlers)) {
    tolerant[name] = tolerantDefinition(method);
    const adapt = method.responseStream ? streaming : replying;
    const adapted = adapt(method.path, method, handler, admission);
    implementation[name] = adapted as UntypedServiceImplementation[string];
  }
  const methods = Object.values(tolerant).map((method) => method.path);
  return { definition: tolerant as ServiceDefinition, implementation, methods };
}
