// Goal: a stock grpc-js client, without our channel.ts, sees the same from both engines.
import {
  Client,
  type ClientOptions,
  Metadata,
  type MethodDefinition,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ca,
  client,
  echo,
  engines,
  health,
  type Note,
  seen,
  server,
  startEcho,
} from './echo-server.fixture.ts';
import { CODE_METADATA } from './status.ts';
import { channelCredentials } from './tls.ts';

type Method = MethodDefinition<object, object>;
const methodOf = (name: string): Method => echo.definition[name] as Method;

describe.each(engines)('stock client and engine %s', (engine) => {
  let stock: Client;
  const open = (options: ClientOptions = {}): Client =>
    new Client(
      `localhost:${server.port}`,
      channelCredentials({ ...client, caPem: ca.caPem, server: { role: 'coordinator' } }),
      { 'grpc.use_local_subchannel_pool': 1, ...options },
    );

  beforeAll(async () => {
    await startEcho(engine);
    stock = open();
  });
  afterAll(async () => {
    stock.close();
    await server.stop();
  });

  const unary = (
    method: Method,
    request: object,
    options: { client?: Client; metadata?: Metadata; deadlineMs?: number } = {},
  ): Promise<Note | ServiceError> =>
    new Promise((resolve) => {
      const { path, requestSerialize, responseDeserialize } = method;
      const deadline = Date.now() + (options.deadlineMs ?? 10_000);
      const metadata = options.metadata ?? new Metadata();
      (options.client ?? stock).makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        { deadline },
        (error, reply) => resolve(error ?? (reply as Note)),
      );
    });

  it('unary: reply; coded error in status, details and metadata; nothing of an unknown error', async () => {
    const reply = (await unary(methodOf('Unary'), { text: 'hi' })) as Note;
    expect(reply.text).toBe(`hi from client ${client.subjectId}`);
    const coded = (await unary(methodOf('Unary'), { text: 'coded' })) as ServiceError;
    expect([coded.code, coded.details, coded.metadata.get(CODE_METADATA)]).toEqual([
      status.FAILED_PRECONDITION,
      'wait for the next epoch',
      ['BUDGET_EXCEEDED'],
    ]);
    const internal = (await unary(methodOf('Unary'), { text: 'boom' })) as ServiceError;
    expect([internal.code, internal.metadata.get(CODE_METADATA)]).toEqual([status.INTERNAL, ['INTERNAL']]);
    expect(JSON.stringify(internal)).not.toContain('hunter2');
  });

  it('a hundred calls at a time on one connection, each with its own reply', async () => {
    const texts = Array.from({ length: 100 }, (_, i) => `${i} ${'x'.repeat(500 * i)}`);
    const replies = (await Promise.all(texts.map((text) => unary(methodOf('Unary'), { text })))) as Note[];
    expect(replies.map(({ text }) => text)).toEqual(
      texts.map((text) => `${text} from client ${client.subjectId}`),
    );
  });

  it('metadata reaches the handler, without the headers of gRPC itself', async () => {
    const metadata = new Metadata();
    metadata.set('x-note', 'hello');
    metadata.set('x-note-bin', Buffer.from([0, 255, 7]));
    const { text } = (await unary(methodOf('Open'), { text: 'metadata' }, { metadata })) as Note;
    const received = JSON.parse(text) as Record<string, unknown>;
    expect(received['x-note']).toBe('hello');
    expect(received['x-note-bin']).toMatchObject({ type: 'Buffer', data: [0, 255, 7] });
    expect(Object.keys(received).filter((name) => /^(:|grpc-timeout|te$|content-type)/.test(name))).toEqual(
      [],
    );
  });

  it('far too large a message → RESOURCE_EXHAUSTED, and the connection lives on', async () => {
    const error = (await unary(methodOf('Unary'), { text: 'x'.repeat(8_000_000) })) as ServiceError;
    expect(error.code).toBe(status.RESOURCE_EXHAUSTED);
    expect(((await unary(methodOf('Unary'), { text: 'on' })) as Note).text).toContain('on from');
  });

  it('too large a reply → RESOURCE_EXHAUSTED', async () => {
    const error = (await unary(methodOf('Unary'), { text: 'long reply' })) as ServiceError;
    expect(error.code).toBe(status.RESOURCE_EXHAUSTED);
  });

  it('unknown method → UNIMPLEMENTED', async () => {
    const unknown = { ...methodOf('Unary'), path: '/test.Echo/Nothing' };
    expect(((await unary(unknown, { text: 'x' })) as ServiceError).code).toBe(status.UNIMPLEMENTED);
    const stranger = { ...methodOf('Unary'), path: '/no.such.Service/Nothing' };
    expect(((await unary(stranger, { text: 'x'.repeat(50_000) })) as ServiceError).code).toBe(
      status.UNIMPLEMENTED,
    );
  });

  it('deadline → DEADLINE_EXCEEDED at the client, abort at the handler', async () => {
    const before = seen.aborted;
    const error = (await unary(methodOf('Unary'), { text: 'hang' }, { deadlineMs: 150 })) as ServiceError;
    expect(error.code).toBe(status.DEADLINE_EXCEEDED);
    await expect.poll(() => seen.aborted, { timeout: 3000 }).toBe(before + 1);
  });

  it('a client with a small window gets a long stream whole', async () => {
    const narrow = open({ 'grpc-node.flow_control_window': 65_535 });
    const { path, requestSerialize, responseDeserialize } = methodOf('Count');
    const stream = narrow.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {
      count: 20_000,
    });
    let sum = 0;
    for await (const note of stream) sum += (note as Note).count;
    expect(sum).toBe((20_000 * 19_999) / 2);
    narrow.close();
  });

  it('health: check, list and watch', async () => {
    const check = health.definition.Check as Method;
    expect(await unary(check, { service: 'test.Echo' })).toMatchObject({ status: 'SERVING' });
    expect(((await unary(check, { service: 'nö\n' })) as ServiceError).code).toBe(status.NOT_FOUND);
    const { path, requestSerialize, responseDeserialize } = health.definition.Watch as Method;
    const watch = stock.makeServerStreamRequest(path, requestSerialize, responseDeserialize, { service: '' });
    const states: string[] = [];
    watch.on('data', (reply: { status: string }) => states.push(reply.status));
    watch.on('error', () => {});
    await expect.poll(() => states).toEqual(['SERVING']);
    server.setHealth('', 'NOT_SERVING');
    await expect.poll(() => states).toEqual(['SERVING', 'NOT_SERVING']);
    server.setHealth('', 'SERVING');
    watch.cancel();
  });

  it('reflection lists the services', async () => {
    const file = new URL(
      '../../node_modules/@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto',
      import.meta.url,
    );
    const loaded = loadSync(file.pathname)['grpc.reflection.v1.ServerReflection'] as unknown as Record<
      string,
      Method
    >;
    const { path, requestSerialize, responseDeserialize } = loaded.ServerReflectionInfo!;
    const call = stock.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    call.write({ listServices: '' });
    call.write({ fileContainingSymbol: 'pulsefold.v1.Rounds' });
    call.end();
    const replies: Record<string, unknown>[] = [];
    for await (const reply of call) replies.push(reply as Record<string, unknown>);
    expect(replies).toHaveLength(2);
    expect(replies[0]).toHaveProperty('listServicesResponse');
    expect(replies[1]).toHaveProperty('fileDescriptorResponse');
  });
});
