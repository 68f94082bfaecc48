/**
 * A server with every shape of call, real certificates and real TLS sockets, for the tests of this folder.
 *
 * For: *.test.ts here only.
 */
import type { ServiceDefinition } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import { service as healthDefinition } from 'grpc-health-check';
import { PulsefoldError } from '../../crypto/error.ts';
import {
  type CertificateAuthority,
  createCertificateAuthority,
  generateTlsKey,
  issueCertificate,
  type Role,
  subjectIdOf,
} from '../../crypto/identity/certificate.ts';
import { getSuite } from '../../crypto/identity/suite.ts';
import { openClient, type RpcClient } from './channel.ts';
import type { LoadedService } from './load.ts';
import { type CallContext, type RunningServer, type ServerEngine, startServer } from './server.ts';
import { channelCredentials, type ExpectedServer, serverCredentials } from './tls.ts';

export const HOUR = 3_600_000;

const oneNote = { requestType: 'Note', responseType: 'Note', comment: '' };

/** Every shape of call, so that the adapter is tested without depending on the real services. */
export const echo: LoadedService = {
  fullName: 'test.Echo',
  definition: fromJSON(
    {
      nested: {
        test: {
          nested: {
            Note: { fields: { text: { type: 'string', id: 1 }, count: { type: 'uint32', id: 2 } } },
            Echo: {
              methods: {
                Unary: { ...oneNote },
                Open: { ...oneNote },
                Collect: { ...oneNote, requestStream: true },
                Count: { ...oneNote, responseStream: true },
              },
            },
          },
        },
      },
    },
    { defaults: true },
  )['test.Echo'] as unknown as ServiceDefinition,
};
export const health: LoadedService = {
  fullName: 'grpc.health.v1.Health',
  definition: healthDefinition as ServiceDefinition,
};

export interface Note {
  text: string;
  count: number;
}

export async function leaf(ca: CertificateAuthority, role: Role, notAfterMs = Date.now() + HOUR) {
  const signing = getSuite('intl').generateSigningKey();
  const { tlsKeyPem, tlsPublicKey } = await generateTlsKey();
  const subjectId = subjectIdOf(role, 'intl', signing.publicKey);
  const claims = { role, suite: 'intl' as const, subjectId, signingPublicKey: signing.publicKey };
  const notBeforeMs = Date.now() - 2 * HOUR;
  const { pem, serial } = await issueCertificate(ca, { claims, tlsPublicKey, notBeforeMs, notAfterMs });
  return { certPem: pem, keyPem: tlsKeyPem, serial, subjectId };
}
export type Leaf = Awaited<ReturnType<typeof leaf>>;

export let ca: CertificateAuthority;
export let coordinator: Leaf;
export let client: Leaf;
export let server: RunningServer;
export const revoked = new Set<string>();
export const seen = { calls: 0, internal: [] as unknown[], aborted: 0, attemptsToFail: 0 };
/** Moves the server's clock. */
export const clock = { skewMs: 0 };

export const handlers = {
  async unary(request: Note, context: CallContext): Promise<Partial<Note>> {
    seen.calls++;
    if (request.text === 'boom') throw new TypeError('hunter2');
    if (request.text === 'coded') throw new PulsefoldError('BUDGET_EXCEEDED', 'wait for the next epoch');
    if (request.text === 'flaky' && seen.attemptsToFail-- > 0)
      throw new PulsefoldError('UNAVAILABLE', 'try again');
    if (request.text === 'long reply') return { text: 'x'.repeat(200_000) };
    if (request.text === 'hang') {
      await new Promise((_, reject) => {
        context.signal.addEventListener('abort', () => {
          seen.aborted++;
          reject(context.signal.reason);
        });
      });
    }
    return { text: `${request.text} from ${context.identity?.role} ${context.identity?.subjectId}` };
  },
  open: async ({ text }: Note, context: CallContext) => ({
    text:
      text === 'metadata' ? JSON.stringify(context.metadata.getMap()) : (context.identity?.role ?? 'nobody'),
  }),
  async collect(requests: AsyncIterable<Note>): Promise<Partial<Note>> {
    let count = 0;
    for await (const request of requests) {
      count += request.count;
      if (request.text === 'enough') break;
      if (request.text === 'bad') throw new PulsefoldError('FIELD_OUT_OF_RANGE', 'no such note');
    }
    return { count };
  },
  async *count(request: Note, context: CallContext): AsyncGenerator<Partial<Note>> {
    for (let i = 0; i < request.count; i++) {
      if (i === 5 && request.text === 'bad') throw new PulsefoldError('DATA_INVALID', 'stopped');
      if (context.signal.aborted) seen.aborted++;
      yield { count: i };
    }
  },
};

export const engines: readonly ServerEngine[] = ['grpc-js', 'http2'];

/** For `beforeAll`. */
export async function startEcho(engine: ServerEngine = 'grpc-js'): Promise<void> {
  const times = { notBeforeMs: Date.now() - 3 * HOUR, notAfterMs: Date.now() + 24 * HOUR };
  ca = await createCertificateAuthority({ name: 'test', ...times });
  coordinator = await leaf(ca, 'coordinator');
  client = await leaf(ca, 'client');
  server = await startServer({
    engine,
    services: [{ name: echo, handlers }],
    credentials: serverCredentials({ ...coordinator, caPem: ca.caPem, requireClientCertificate: true }),
    address: '127.0.0.1:0',
    caPem: ca.caPem,
    authorise: {
      '/test.Echo/Unary': ['client'],
      '/test.Echo/Open': 'anyone',
      '/test.Echo/Collect': ['client'],
      '/test.Echo/Count': ['client'],
    },
    isRevoked: (serial) => revoked.has(serial),
    messageBytesMax: 100_000,
    now: () => Date.now() + clock.skewMs,
    onInternalError: (_method, error) => seen.internal.push(error),
  });
}

export const openEcho = (
  who: Leaf,
  expected: ExpectedServer = { role: 'coordinator' },
  service = echo,
  host = '127.0.0.1',
) =>
  openClient({
    service,
    address: `${host}:${server.port}`,
    credentials: channelCredentials({ ...who, caPem: ca.caPem, server: expected }),
    messageBytesMax: 10_000_000,
    deadlineMs: 10_000,
  });

export async function withClient<Result>(
  rpc: RpcClient,
  body: (rpc: RpcClient) => Promise<Result>,
): Promise<Result> {
  try {
    return await body(rpc);
  } finally {
    rpc.close();
  }
}

export const failure = (call: Promise<unknown>): Promise<PulsefoldError> =>
  call.then(
    () => Promise.reject(new Error('expected a failure')),
    (error) => error as PulsefoldError,
  );
