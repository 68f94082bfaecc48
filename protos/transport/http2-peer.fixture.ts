/**
 * A server of the http2 engine without TLS, and peers that speak bare HTTP/2 to it.
 *
 * For: *.test.ts here only.
 */
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { type CertificateAuthority, createCertificateAuthority } from '../../crypto/identity/certificate.ts';
import { echo, HOUR, handlers, type Note } from './echo-server.fixture.ts';
import { frameMessage } from './grpc-framing.ts';
import { type AttachedEngine, attachGrpc, type EngineOptions, sessionOptions } from './http2-server.ts';

export const encode = (note: Partial<Note>): Buffer => echo.definition.Unary!.requestSerialize(note);
export const hello = frameMessage(encode({ text: 'hi' }));

let server: Http2Server;
export let engine: AttachedEngine;
let authority: CertificateAuthority | undefined;
const sessions: ClientHttp2Session[] = [];

/** Without TLS and for anyone: what is tested is the engine; admission has its own tests. */
export async function serve(options: Partial<EngineOptions> = {}): Promise<number> {
  authority ??= await createCertificateAuthority({
    name: 'test',
    notBeforeMs: Date.now() - HOUR,
    notAfterMs: Date.now() + HOUR,
  });
  server = createServer(sessionOptions);
  const paths = Object.values(echo.definition).map(({ path }) => path);
  engine = attachGrpc(server, {
    services: [{ name: echo, handlers }],
    caPem: authority.caPem,
    authorise: Object.fromEntries(paths.map((path) => [path, 'anyone' as const])),
    isRevoked: () => false,
    messageBytesMax: 100_000,
    ...options,
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

export function dial(port: number): ClientHttp2Session {
  const session = connect(`http://127.0.0.1:${port}`).on('error', () => {});
  sessions.push(session);
  return session;
}

/** For `afterEach`. */
export async function hangUp(): Promise<void> {
  for (const session of sessions.splice(0)) session.destroy();
  server.close();
  await engine.close(0);
}

export interface Outcome {
  readonly http: number | undefined;
  readonly grpc: number | undefined;
  readonly code: string | undefined;
  readonly body: Buffer;
  readonly reset: number;
}

export const HEADERS = {
  ':method': 'POST',
  ':path': '/test.Echo/Unary',
  'content-type': 'application/grpc',
  te: 'trailers',
};

/** Sends `chunks`, ends the request unless `open`, and tells how the reply, or with `wait` the stream, ended. */
export function send(
  session: ClientHttp2Session,
  headers: Record<string, string>,
  chunks: readonly Uint8Array[],
  open = false,
  wait = !open,
): Promise<Outcome> {
  const stream = session.request({ ...HEADERS, ...headers });
  let response: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders = {};
  const body: Buffer[] = [];
  stream.on('error', () => {});
  stream.on('response', (received) => {
    response = received;
  });
  stream.on('trailers', (received) => {
    trailers = received;
  });
  stream.on('data', (chunk: Buffer) => body.push(chunk));
  for (const chunk of chunks) stream.write(chunk);
  if (!open) stream.end();
  return new Promise((resolve) => {
    stream.on(wait ? 'close' : 'end', () => {
      const all: IncomingHttpHeaders = { ...response, ...trailers };
      resolve({
        http: response[':status'] as number | undefined,
        grpc: all['grpc-status'] === undefined ? undefined : Number(all['grpc-status']),
        code: all['pulsefold-code'] as string | undefined,
        body: Buffer.concat(body),
        reset: stream.rstCode ?? 0,
      });
    });
  });
}
