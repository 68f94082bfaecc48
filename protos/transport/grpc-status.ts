/**
 * How a call ends on the wire of the http2 engine: trailers, from coded errors and from statuses of gRPC itself.
 *
 * For: the http2 engine. Trusts: status.ts for what may leave the process.
 */
import type { status } from '@grpc/grpc-js';
import { encodeStatusMessage } from './grpc-framing.ts';
import { toServiceError } from './status.ts';

export type Trailers = Record<string, string | string[]>;

/** A status outside the table of coded errors: what gRPC itself or a library answers. */
export class StatusError extends Error {
  readonly status: status;
  constructor(code: status, message: string) {
    super(message);
    this.name = 'StatusError';
    this.status = code;
  }
}

export const OK_TRAILERS: Trailers = Object.freeze({ 'grpc-status': '0' });

export function trailersOf(error: unknown): Trailers {
  if (error instanceof StatusError) {
    return { 'grpc-status': String(error.status), 'grpc-message': encodeStatusMessage(error.message) };
  }
  const { code, details, metadata } = toServiceError(error);
  const own = metadata.toHttp2Headers() as Trailers;
  return { ...own, 'grpc-status': String(code), 'grpc-message': encodeStatusMessage(details) };
}
