// Goal: over real TLS sockets, a handler runs only for the right caller, and every refusal has its code.
import { connect as tlsConnect } from 'node:tls';
import { fromJSON } from '@grpc/proto-loader';
import { service as healthDefinition } from 'grpc-health-check';
import type { ServiceDefinition } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
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
import { type CallContext, type RunningServer, startServer } from './server.ts';
import { channelCredentials, type ExpectedServer, serverCredentials } from './tls.ts';

const HOUR = 3_600_000;

const oneNote = { requestType: 'Note', responseType: 'Note', comment: '' };

/** Every shape of call, so that the adapter is tested without depending on the real services. */
const echo: LoadedService = {
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
const health: LoadedService = { fullName: 'grpc.health.v1.Health', definition: healthDefinition as ServiceDefinition };

interface Note {
  text: string;
  count: number;
}

async function leaf(ca: CertificateAuthority, role: Role, notAfterMs = Date.now() + HOUR) {
  const signing = getSuite('intl').generateSigningKey();
  const { tlsKeyPem, tlsPublicKey } = await generateTlsKey();
  const subjectId = subjectIdOf(role, 'intl', signing.publicKey);
  const claims = { role, suite: 'intl' as const, subjectId, signingPublicKey: signing.publicKey };
  const notBeforeMs = Date.now() - 2 * HOUR;
  const { pem, serial } = await issueCertificate(ca, { claims, tlsPublicKey, notBeforeMs, notAfterMs });
  return { certPem: pem, keyPem: tlsKeyPem, serial, subjectId };
}
type Leaf = Awaited<ReturnType<typeof leaf>>;

let ca: CertificateAuthority;
let coordinator: Leaf;
let client: Leaf;
let server: RunningServer;
const revoked = new Set<string>();
const seen = { calls: 0, internal: [] as unknown[], aborted: 0 };
let attemptsToFail = 0;

const handlers = {
  async unary(request: Note, context: CallContext): Promise<Partial<Note>> {
    seen.calls++;
    if (request.text === 'boom') throw new TypeError('hunter2');
    if (request.text === 'coded') throw new PulsefoldError('BUDGET_EXCEEDED', 'wait for the next epoch');
    if (request.text === 'flaky' && attemptsToFail-- > 0) throw new PulsefoldError('UNAVAILABLE', 'try again');
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
  open: async (_: Note, context: CallContext) => ({ text: context.identity?.role ?? 'nobody' }),
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

beforeAll(async () => {
  const times = { notBeforeMs: Date.now() - 3 * HOUR, notAfterMs: Date.now() + 24 * HOUR };
  ca = await createCertificateAuthority({ name: 'test', ...times });
  coordinator = await leaf(ca, 'coordinator');
  client = await leaf(ca, 'client');
  server = await startServer({
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
    onInternalError: (_method, error) => seen.internal.push(error),
  });
});
afterAll(() => server.stop());

const open = (who: Leaf, expected: ExpectedServer = { role: 'coordinator' }, service = echo, host = '127.0.0.1') =>
  openClient({
    service,
    address: `${host}:${server.port}`,
    credentials: channelCredentials({ ...who, caPem: ca.caPem, server: expected }),
    messageBytesMax: 10_000_000,
    deadlineMs: 10_000,
  });

async function withClient<Result>(rpc: RpcClient, body: (rpc: RpcClient) => Promise<Result>): Promise<Result> {
  try {
    return await body(rpc);
  } finally {
    rpc.close();
  }
}

const failure = (call: Promise<unknown>): Promise<PulsefoldError> =>
  call.then(
    () => Promise.reject(new Error('expected a failure')),
    (error) => error as PulsefoldError,
  );

const refusal = async (who: Leaf, expected?: ExpectedServer, method = 'unary') =>
  await withClient(open(who, expected), (rpc) => failure(rpc.call(method, { text: 'hi' })));

describe('who may call', () => {
  it('serves the right role, with its identity, by name and by address', async () => {
    for (const host of ['127.0.0.1', 'localhost']) {
      const reply = await withClient(open(client, undefined, echo, host), (rpc) =>
        rpc.call<Note>('unary', { text: 'hi' }),
      );
      expect(reply.text).toBe(`hi from client ${client.subjectId}`);
    }
  });

  it('wrong role → WRONG_ROLE (PERMISSION_DENIED), before the handler runs', async () => {
    const before = seen.calls;
    const error = await refusal(await leaf(ca, 'researcher'));
    expect(error.code).toBe('WRONG_ROLE');
    expect((error.cause as { code: number }).code).toBe(7);
    expect(seen.calls).toBe(before);
  });

  it('revoked → CERTIFICATE_REVOKED (UNAUTHENTICATED), also on an open connection', async () => {
    const who = await leaf(ca, 'client');
    await withClient(open(who), async (rpc) => {
      await rpc.call('unary', { text: 'hi' });
      revoked.add(who.serial);
      const error = await failure(rpc.call('unary', { text: 'hi' }));
      expect(error.code).toBe('CERTIFICATE_REVOKED');
      expect((error.cause as { code: number }).code).toBe(16);
      expect((await failure(rpc.call('open', {}))).code).toBe('CERTIFICATE_REVOKED');
    });
  });

  it('expired → the handshake ends, UNAVAILABLE', async () => {
    const before = seen.calls;
    const error = await refusal(await leaf(ca, 'client', Date.now() - HOUR));
    expect(error.code).toBe('UNAVAILABLE');
    expect(seen.calls).toBe(before);
  });

  it('expiring during a connection → CERTIFICATE_EXPIRED on the next call', async () => {
    const who = await leaf(ca, 'client', Date.now() + 2500);
    await withClient(open(who), async (rpc) => {
      await rpc.call('unary', { text: 'hi' });
      await new Promise((resolve) => setTimeout(resolve, 3000));
      expect((await failure(rpc.call('unary', { text: 'hi' }))).code).toBe('CERTIFICATE_EXPIRED');
    });
  });

  it('minted by another CA with the same name → the handshake ends, UNAVAILABLE', async () => {
    const times = { notBeforeMs: Date.now() - 3 * HOUR, notAfterMs: Date.now() + 24 * HOUR };
    const coordinatorCa = await createCertificateAuthority({ name: 'test', ...times });
    expect((await refusal(await leaf(coordinatorCa, 'client'))).code).toBe('UNAVAILABLE');
  });

  it('no certificate → the handshake ends', async () => {
    const credentials = channelCredentials({ caPem: ca.caPem, server: { role: 'coordinator' } });
    const rpc = openClient({ service: echo, address: `127.0.0.1:${server.port}`, credentials });
    const error = await withClient(rpc, () => failure(rpc.call('open', {}, { deadlineMs: 5000 })));
    expect(error.code).toBe('UNAVAILABLE');
  });
});

describe('whom a client talks to', () => {
  it('refuses a server of another role or another subject, and a client posing as a server', async () => {
    expect((await refusal(client, { role: 'keyholder' })).code).toBe('UNAVAILABLE');
    expect((await refusal(client, { role: 'coordinator', subjectId: '0'.repeat(32) })).code).toBe('UNAVAILABLE');
    const right = open(client, { role: 'coordinator', subjectId: coordinator.subjectId });
    await withClient(right, (rpc) => rpc.call('unary', { text: 'hi' }));
  });
  it('refuses a host that is not in the certificate', async () => {
    const credentials = channelCredentials({ ...client, caPem: ca.caPem, server: { role: 'coordinator' } });
    const rpc = openClient({ service: echo, address: `127.0.0.2:${server.port}`, credentials, deadlineMs: 5000 });
    expect((await withClient(rpc, () => failure(rpc.call('unary', {})))).code).toBe('UNAVAILABLE');
  });
});

function handshake(maxVersion: 'TLSv1.2' | 'TLSv1.3'): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = tlsConnect({
      port: server.port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca: ca.caPem,
      cert: client.certPem,
      key: client.keyPem,
      minVersion: 'TLSv1.2',
      maxVersion,
      ALPNProtocols: ['h2'],
    });
    socket.once('secureConnect', () => {
      resolve(socket.getProtocol() ?? 'none');
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

it('TLS 1.2 is refused, TLS 1.3 is spoken', async () => {
  await expect(handshake('TLSv1.2')).rejects.toThrow(/protocol version|alert/i);
  expect(await handshake('TLSv1.3')).toBe('TLSv1.3');
});

describe('failures', () => {
  it('coded errors arrive as they are; others as INTERNAL without their text', async () => {
    await withClient(open(client), async (rpc) => {
      const coded = await failure(rpc.call('unary', { text: 'coded' }));
      expect([coded.code, coded.message]).toEqual(['BUDGET_EXCEEDED', 'wait for the next epoch']);
      const internal = await failure(rpc.call('unary', { text: 'boom' }));
      expect(internal.code).toBe('INTERNAL');
      expect(internal.message).not.toContain('hunter2');
      expect(seen.internal.at(-1)).toBeInstanceOf(TypeError);
    });
  });

  it('bytes that are no message → MALFORMED_MESSAGE; oversized → CHUNK_TOO_LARGE', async () => {
    const raw: LoadedService = {
      ...echo,
      definition: Object.fromEntries(
        Object.entries(echo.definition).map(([name, method]) => [
          name,
          { ...method, requestSerialize: (value: { raw: Uint8Array }) => Buffer.from(value.raw) },
        ]),
      ),
    };
    await withClient(open(client, undefined, raw), async (rpc) => {
      const malformed = { raw: Uint8Array.from([0x10]) };
      expect((await failure(rpc.call('unary', malformed))).code).toBe('MALFORMED_MESSAGE');
      expect((await failure(rpc.call('unary', { raw: Uint8Array.from([0x0f]) }))).code).toBe('MALFORMED_MESSAGE');
      expect((await failure(rpc.send('collect', [malformed]))).code).toBe('MALFORMED_MESSAGE');
    });
    await withClient(open(client), async (rpc) => {
      const error = await failure(rpc.call('unary', { text: 'x'.repeat(200_000) }));
      expect(error.code).toBe('CHUNK_TOO_LARGE');
    });
  });

  it('deadline and cancellation end the call on both sides', async () => {
    await withClient(open(client), async (rpc) => {
      const before = seen.aborted;
      expect((await failure(rpc.call('unary', { text: 'hang' }, { deadlineMs: 300 }))).code).toBe('DEADLINE_EXCEEDED');
      const controller = new AbortController();
      setTimeout(() => controller.abort(), 100);
      const cancelled = await failure(rpc.call('unary', { text: 'hang' }, { signal: controller.signal }));
      expect(cancelled.code).toBe('UNAVAILABLE');
      await expect.poll(() => seen.aborted, { timeout: 3000 }).toBe(before + 2);
    });
  });

  it('repeats only idempotent calls, only after UNAVAILABLE, and not for ever', async () => {
    await withClient(open(client), async (rpc) => {
      attemptsToFail = 2;
      expect((await rpc.call<Note>('unary', { text: 'flaky' }, { idempotent: true })).text).toContain('flaky');
      attemptsToFail = 1;
      expect((await failure(rpc.call('unary', { text: 'flaky' }))).code).toBe('UNAVAILABLE');
      attemptsToFail = 100;
      const before = seen.calls;
      expect((await failure(rpc.call('unary', { text: 'flaky' }, { idempotent: true }))).code).toBe('UNAVAILABLE');
      expect(seen.calls - before).toBe(4);
      attemptsToFail = 0;
      const once = seen.calls;
      await failure(rpc.call('unary', { text: 'coded' }, { idempotent: true }));
      expect(seen.calls - once).toBe(1);
    });
  });
});

describe('streams', () => {
  it('client stream: sums, stops early, fails with its code', async () => {
    await withClient(open(client), async (rpc) => {
      const notes = Array.from({ length: 500 }, (_, i) => ({ count: i, text: '' }));
      expect((await rpc.send<Note>('collect', notes)).count).toBe((500 * 499) / 2);
      const early = await rpc.send<Note>('collect', [{ count: 1, text: '' }, { count: 2, text: 'enough' }, ...notes]);
      expect(early.count).toBe(3);
      const error = await failure(rpc.send('collect', [{ count: 1, text: 'bad' }, ...notes]));
      expect(error.code).toBe('FIELD_OUT_OF_RANGE');
      const broken = (async function* () {
        yield { count: 1, text: '' };
        throw new PulsefoldError('DATA_INVALID', 'local');
      })();
      expect((await failure(rpc.send('collect', broken))).code).toBe('DATA_INVALID');
    });
  });

  it('server stream: delivers, fails with its code, survives a reader that leaves', async () => {
    await withClient(open(client), async (rpc) => {
      const counts: number[] = [];
      for await (const note of rpc.receive<Note>('count', { count: 300 })) counts.push(note.count);
      expect(counts).toEqual(Array.from({ length: 300 }, (_, i) => i));
      const read = async () => {
        for await (const _ of rpc.receive<Note>('count', { count: 10, text: 'bad' }));
      };
      expect((await failure(read())).code).toBe('DATA_INVALID');
      for await (const note of rpc.receive<Note>('count', { count: 100_000 })) if (note.count > 3) break;
      expect((await rpc.call<Note>('unary', { text: 'still' })).text).toContain('still');
    });
  });

  it('streams are admitted by the same rules', async () => {
    await withClient(open(await leaf(ca, 'auditor')), async (rpc) => {
      expect((await failure(rpc.send('collect', [{ count: 1 }]))).code).toBe('WRONG_ROLE');
      const read = async () => {
        for await (const _ of rpc.receive<Note>('count', { count: 1 }));
      };
      expect((await failure(read())).code).toBe('WRONG_ROLE');
    });
  });
});

describe('health and reflection', () => {
  it('reflection lists what is served', async () => {
    const reflection = loadSync(protoPath('grpc/reflection/v1/reflection.proto'), { defaults: true, oneofs: true });
    const definition = reflection['grpc.reflection.v1.ServerReflection'] as unknown as ServiceDefinition;
    const channel = new Client(
      `localhost:${server.port}`,
      channelCredentials({ ...client, caPem: ca.caPem, server: { role: 'coordinator' } }),
    );
    const { path, requestSerialize, responseDeserialize } = definition.ServerReflectionInfo!;
    const call = channel.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    try {
      call.write({ listServices: '' });
      call.end();
      const replies: unknown[] = [];
      for await (const reply of call) replies.push(reply);
      expect(JSON.stringify(replies)).toContain('test.Echo');
    } finally {
      channel.close();
    }
  });

  it('health says SERVING, and NOT_SERVING when told so', async () => {
    await withClient(open(client, undefined, health), async (rpc) => {
      const check = (service: string) => rpc.call<{ status: unknown }>('check', { service });
      expect((await check('')).status).toBe('SERVING');
      expect((await check('test.Echo')).status).toBe('SERVING');
      server.setHealth('', 'NOT_SERVING');
      expect((await check('')).status).toBe('NOT_SERVING');
      server.setHealth('', 'SERVING');
      expect((await failure(check('no.such.Service'))).code).toBe('NOT_FOUND');
    });
  });
});

describe('configuration', () => {
  const start = (over: object) =>
    startServer({
      services: [{ name: echo, handlers }],
      credentials: serverCredentials({ ...coordinator, caPem: ca.caPem, requireClientCertificate: true }),
      address: '127.0.0.1:0',
      caPem: ca.caPem,
      authorise: {},
      isRevoked: () => false,
      ...over,
    });
  it('refuses a method without a role list, a list without a method, a missing or extra handler', async () => {
    expect((await failure(start({}))).code).toBe('CONFIG_INVALID');
    const { unary, ...others } = handlers;
    expect((await failure(start({ services: [{ name: echo, handlers: others }] }))).code).toBe('CONFIG_INVALID');
    const extra = { ...handlers, admin: unary };
    expect((await failure(start({ services: [{ name: echo, handlers: extra }] }))).code).toBe('CONFIG_INVALID');
  });
  it('refuses an address in use', async () => {
    const authorise = Object.fromEntries(
      Object.values(echo.definition).map((method) => [method.path, ['client'] as Role[]]),
    );
    const error = await failure(start({ authorise, address: `127.0.0.1:${server.port}` }));
    expect(error.code).toBe('UNAVAILABLE');
  });
});
