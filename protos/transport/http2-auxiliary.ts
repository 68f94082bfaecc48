/**
 * Health and reflection on the http2 engine: their libraries are written for grpc-js' calls; this lends them such calls.
 *
 * For: http2-server.ts. Trusts: those libraries; requests are hostile.
 */
import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import {
  type Server,
  type ServiceDefinition,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import type { Invoke, Method } from './adapt.ts';
import { StatusError } from './grpc-status.ts';
import { loadPackage } from './load.ts';
import type { CallContext } from './server.ts';

export interface AuxiliaryMethod {
  readonly method: Method;
  readonly handler: Invoke;
}

interface LibraryError {
  readonly code?: number;
  readonly details?: string;
}

type LibraryHandler = (call: unknown, respond?: (error: LibraryError | null, reply?: object) => void) => void;

const statusError = (error: LibraryError): StatusError =>
  new StatusError(error.code ?? status.UNKNOWN, error.details ?? 'the call failed');

const unary =
  (handler: LibraryHandler): Invoke =>
  (request) =>
    new Promise((resolve, reject) => {
      handler({ request }, (error, reply) => (error ? reject(statusError(error)) : resolve(reply)));
    });

/** A call that writes replies until it ends, or until its caller leaves. */
const streaming =
  (handler: LibraryHandler, requestStream: boolean): Invoke =>
  (request, context: CallContext) => {
    const replies = new PassThrough({ objectMode: true });
    const call = Object.assign(new EventEmitter(), {
      request: requestStream ? undefined : request,
      write: (reply: object) => replies.write(reply),
      end: () => replies.end(),
    });
    const leave = (): void => {
      call.emit('cancelled');
      replies.destroy();
    };
    context.signal.addEventListener('abort', leave, { once: true });
    handler(call);
    if (requestStream) {
      const pump = async (): Promise<void> => {
        for await (const message of request as AsyncIterable<object>) {
          call.emit('data', message);
          if (replies.writableNeedDrain) {
            await new Promise((resolve) => replies.once('drain', resolve).once('close', resolve));
          }
        }
        call.emit('end');
      };
      pump().catch((error: Error) => replies.destroy(error));
    }
    return replies;
  };

/** Takes down what a library would add to a server of grpc-js. */
function collect(add: (server: Server) => void): AuxiliaryMethod[] {
  const methods: AuxiliaryMethod[] = [];
  const addService = (definition: ServiceDefinition, implementation: UntypedServiceImplementation): void => {
    for (const [name, method] of Object.entries(definition) as [string, Method][]) {
      const key = name in implementation ? name : name.charAt(0).toLowerCase() + name.slice(1);
      const handler = implementation[key] as LibraryHandler | undefined;
      if (!handler) continue;
      methods.push({
        method,
        handler: method.responseStream ? streaming(handler, method.requestStream) : unary(handler),
      });
    }
  };
  add({ addService } as unknown as Server);
  return methods;
}

/** Health of the server ('') and each named service, all SERVING, and the methods that tell it. */
export function healthService(names: readonly string[]): {
  health: HealthImplementation;
  methods: AuxiliaryMethod[];
} {
  const serving = Object.fromEntries(['', ...names].map((name) => [name, 'SERVING' as const]));
  const health = new HealthImplementation(serving);
  return { health, methods: collect((server) => health.addToServer(server)) };
}

export function reflectionServices(names: readonly string[]): AuxiliaryMethod[] {
  const reflection = new ReflectionService(loadPackage(), { services: [...names] });
  return collect((server) => reflection.addToServer(server));
}
