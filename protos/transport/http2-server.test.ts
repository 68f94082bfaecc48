// Goal: requests that break HTTP/2 or gRPC, or only cost, get a status; and nothing of them stays in memory.
import { constants } from 'node:http2';
import { status } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { echo, handlers, type Note } from './echo-server.fixture.ts';
import { frameMessage, messagePrefix } from './grpc-framing.ts';
import {
  dial,
  encode,
  engine,
  HEADERS,
  hangUp,
  hello,
  type Outcome,
  send,
  serve,
} from './http2-peer.fixture.ts';

afterEach(hangUp);

describe('requests that are not gRPC', () => {
  it.each([
    ['another content type', { 'content-type': 'application/json' }, 415],
    ['gRPC-web', { 'content-type': 'application/grpc-web+proto' }, 415],
    ['GET', { ':method': 'GET' }, 405],
  ])('%s', async (_name, headers, http) => {
    const outcome = await send(dial(await serve()), headers as Record<string, string>, []);
    expect([outcome.http, outcome.grpc]).toEqual([http, undefined]);
  });
});

describe('requests that break gRPC', () => {
  it.each<[string, Record<string, string>, Uint8Array[], number, string | undefined]>([
    ['no message', {}, [], status.INVALID_ARGUMENT, 'MALFORMED_MESSAGE'],
    ['half a prefix', {}, [hello.subarray(0, 3)], status.INVALID_ARGUMENT, 'MALFORMED_MESSAGE'],
    ['half a message', {}, [hello.subarray(0, 7)], status.INVALID_ARGUMENT, 'MALFORMED_MESSAGE'],
    ['two messages', {}, [hello, hello], status.INVALID_ARGUMENT, 'MALFORMED_MESSAGE'],
    ['bytes behind the message', {}, [hello, Buffer.from([0])], status.INVALID_ARGUMENT, 'MALFORMED_MESSAGE'],
    ['the compressed flag', {}, [Buffer.from([1, 0, 0, 0, 0])], status.INVALID_ARGUMENT, 'MALFORMED_MESSAGE'],
    [
      'a timeout that is none',
      { 'grpc-timeout': 'soon' },
      [hello],
      status.INVALID_ARGUMENT,
      'MALFORMED_MESSAGE',
    ],
    ['gzip', { 'grpc-encoding': 'gzip' }, [hello], status.UNIMPLEMENTED, undefined],
    ['another method', { ':path': '/test.Echo/Other' }, [hello], status.UNIMPLEMENTED, undefined],
    ['a message over the cap', {}, [messagePrefix(100_001)], status.RESOURCE_EXHAUSTED, 'CHUNK_TOO_LARGE'],
    ['a timeout of nothing', { 'grpc-timeout': '0n' }, [], status.DEADLINE_EXCEEDED, 'DEADLINE_EXCEEDED'],
  ])('%s', async (name, headers, chunks, grpc, code) => {
    const session = dial(await serve());
    const outcome = await send(session, headers, chunks, name === 'a timeout of nothing');
    expect([outcome.http, outcome.grpc, outcome.code]).toEqual([200, grpc, code]);
    const after = await send(session, {}, [hello]);
    expect([after.grpc, after.body.length > 5]).toEqual([0, true]);
    await expect.poll(() => engine.bytesInFlight()).toBe(0);
  });

  it('one byte at a time is slow, but right', async () => {
    const bytes = [...frameMessage(encode({ text: 'slowly' }))].map((byte) => Uint8Array.from([byte]));
    expect((await send(dial(await serve()), {}, bytes)).body.toString()).toContain('slowly from');
  });

  it('a sender that goes on after its answer is told to stop', async () => {
    const session = dial(await serve());
    const flood = [messagePrefix(100_001), ...Array.from({ length: 200 }, () => Buffer.alloc(16_384))];
    const outcome = await send(session, {}, flood, true, true);
    expect([outcome.grpc, outcome.reset]).toEqual([status.RESOURCE_EXHAUSTED, constants.NGHTTP2_NO_ERROR]);
  });
});

describe('memory', () => {
  it('of calls that never end is bounded, refused beyond, and freed when their peers leave', async () => {
    const port = await serve({ bytesInFlightMax: 400_000 });
    const hogs = Array.from({ length: 4 }, () => dial(port));
    const half = Buffer.concat([messagePrefix(90_000), Buffer.alloc(80_000)]);
    const outcomes: Outcome[] = [];
    for (const hog of hogs) {
      for (let i = 0; i < 3; i++) void send(hog, {}, [half], true).then((outcome) => outcomes.push(outcome));
    }
    await expect.poll(() => outcomes.length).toBeGreaterThanOrEqual(7);
    expect(engine.bytesInFlight()).toBeLessThanOrEqual(400_000);
    expect(outcomes.every(({ code, grpc }) => code === 'UNAVAILABLE' && grpc === status.UNAVAILABLE)).toBe(
      true,
    );
    for (const hog of hogs) hog.destroy();
    await expect.poll(() => engine.bytesInFlight()).toBe(0);
    expect((await send(dial(port), {}, [hello])).grpc).toBe(0);
  });

  it('one connection gets its share only', async () => {
    const port = await serve({ limits: { connectionBytesMax: 200_000 } });
    const greedy = dial(port);
    const half = Buffer.concat([messagePrefix(90_000), Buffer.alloc(80_000)]);
    for (let i = 0; i < 2; i++) void send(greedy, {}, [half], true);
    expect((await send(greedy, {}, [half], true)).code).toBe('UNAVAILABLE');
    expect((await send(dial(port), {}, [frameMessage(encode({ text: 'x'.repeat(50_000) }))])).grpc).toBe(0);
  });

  it('of replies that nobody reads is counted and freed', async () => {
    const many = { text: 'y'.repeat(5000), count: 1 };
    const endless = {
      ...handlers,
      async *count() {
        for (;;) yield many;
      },
    };
    const port = await serve({ services: [{ name: echo, handlers: endless }], bytesInFlightMax: 10_000_000 });
    const session = dial(port);
    const stream = session.request({ ...HEADERS, ':path': '/test.Echo/Count' });
    stream.on('error', () => {});
    stream.end(hello);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(engine.bytesInFlight()).toBeLessThan(1_000_000);
    session.destroy();
    await expect.poll(() => engine.bytesInFlight()).toBe(0);
  });

  it('of a stream faster than its handler is bounded by its window', async () => {
    let taken = 0;
    const slow = {
      ...handlers,
      async collect(requests: AsyncIterable<Note>) {
        for await (const _ of requests) {
          if (++taken === 3) await new Promise(() => {});
        }
        return {};
      },
    };
    const session = dial(await serve({ services: [{ name: echo, handlers: slow }] }));
    const note = frameMessage(encode({ text: 'z'.repeat(50_000) }));
    void send(
      session,
      { ':path': '/test.Echo/Collect' },
      Array.from({ length: 100 }, () => note),
      true,
    );
    await expect.poll(() => taken).toBe(3);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(engine.bytesInFlight()).toBeLessThan(400_000);
    expect(engine.bytesInFlight()).toBeGreaterThan(0);
  });

  it('a recycled request is empty for a handler that kept it, and right for the next', async () => {
    const kept: Uint8Array[] = [];
    const texts: string[] = [];
    const keeping = {
      ...handlers,
      unary: async (request: { raw: Uint8Array }) => {
        kept.push(request.raw);
        texts.push(Buffer.from(request.raw).toString());
        return {};
      },
    };
    const raw = {
      ...echo,
      definition: {
        ...echo.definition,
        Unary: { ...echo.definition.Unary!, requestDeserialize: (bytes: Buffer) => ({ raw: bytes }) },
      },
    };
    const services = [{ name: raw, handlers: keeping as never }];
    const session = dial(await serve({ services, recycledRequests: ['/test.Echo/Unary'] }));
    const bodies = ['a', 'b', 'c'].map((letter) => letter.repeat(60_000));
    for (const body of bodies)
      expect((await send(session, {}, [frameMessage(Buffer.from(body))])).grpc).toBe(0);
    expect(texts).toEqual(bodies);
    await expect.poll(() => kept.map((view) => view.length)).toEqual([0, 0, 0]);
    await expect(serve({ recycledRequests: ['/test.Echo/Other'] })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
  });
});

describe('calls at a time', () => {
  it('slow senders hold no place; the place of an answered call is free', async () => {
    const port = await serve({ concurrentCallsMax: 2 });
    const slow = dial(port);
    for (let i = 0; i < 5; i++) void send(slow, {}, [hello.subarray(0, 6)], true);
    const session = dial(port);
    for (let i = 0; i < 10; i++) expect((await send(session, {}, [hello])).grpc).toBe(0);
    const hang = frameMessage(encode({ text: 'hang' }));
    const hanging = [
      send(session, { 'grpc-timeout': '300m' }, [hang]),
      send(session, { 'grpc-timeout': '300m' }, [hang]),
    ];
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect((await send(session, {}, [hello])).code).toBe('UNAVAILABLE');
    expect((await Promise.all(hanging)).map(({ code }) => code)).toEqual([
      'DEADLINE_EXCEEDED',
      'DEADLINE_EXCEEDED',
    ]);
    expect((await send(session, {}, [hello])).grpc).toBe(0);
  });
});
