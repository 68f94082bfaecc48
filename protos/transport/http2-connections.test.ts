// Goal: connections that misbehave, idle, age or die are ended; the others are not.
import { constants } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { frameMessage } from './grpc-framing.ts';
import { dial, encode, HEADERS, hangUp, hello, type Outcome, send, serve } from './http2-peer.fixture.ts';

afterEach(hangUp);

it('rapid resets end the connection (CVE-2023-44487)', async () => {
  const session = dial(await serve());
  const closed = new Promise((resolve) => session.once('close', resolve));
  let sent = 0;
  const reset = async (): Promise<void> => {
    while (!session.destroyed && sent < 5000) {
      for (let i = 0; i < 50 && !session.closed; i++, sent++) {
        const stream = session.request(HEADERS);
        stream.on('error', () => {});
        stream.close(constants.NGHTTP2_CANCEL);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await Promise.all([closed, reset()]);
  expect(sent).toBeGreaterThan(400);
  expect(sent).toBeLessThan(5000);
});

it('headers over 16 KiB or 64 pairs reach no handler', async () => {
  const port = await serve();
  const long = await send(dial(port), { 'x-long': 'x'.repeat(30_000) }, [hello]);
  expect([long.http, long.grpc]).toEqual([431, undefined]);
  // Once the peer knows the limit, node:http2 holds it to it.
  const session = dial(port);
  await send(session, {}, [hello]);
  const again = await send(session, { 'x-long': 'x'.repeat(30_000) }, [hello]);
  expect([again.http, again.reset]).toEqual([undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM]);
  const pairs = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`x-${i}`, '1']));
  const many = await send(dial(port), pairs, [hello]);
  expect(many.http).toBeUndefined();
  expect(many.reset).not.toBe(constants.NGHTTP2_NO_ERROR);
});

it('streams of messages per connection are few', async () => {
  const session = dial(await serve());
  const outcomes: Outcome[] = [];
  for (let i = 0; i < 20; i++) {
    void send(session, { ':path': '/test.Echo/Collect' }, [], true).then((outcome) => outcomes.push(outcome));
  }
  await expect.poll(() => outcomes.map(({ code }) => code)).toEqual(Array(4).fill('UNAVAILABLE'));
});

it('announces its limits', async () => {
  const session = dial(await serve());
  await new Promise((resolve) => session.once('remoteSettings', resolve));
  expect(session.remoteSettings).toMatchObject({
    maxConcurrentStreams: 256,
    maxHeaderListSize: 16_384,
    initialWindowSize: 262_144,
  });
  await send(session, {}, [hello]);
  expect(session.state.remoteWindowSize).toBeGreaterThan(1_000_000);
});

it('idle ones are closed, busy ones are not', async () => {
  const port = await serve({ limits: { idleMsMax: 150, sweepMs: 30 } });
  const [idle, busy] = [dial(port), dial(port)];
  const ended: string[] = [];
  idle.once('close', () => ended.push('idle'));
  busy.once('close', () => ended.push('busy'));
  void send(busy, {}, [frameMessage(encode({ text: 'hang' }))]);
  await expect.poll(() => ended, { timeout: 3000 }).toEqual(['idle']);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(ended).toEqual(['idle']);
});

it('old ones are told to go; calls under way get the grace', async () => {
  const port = await serve({ limits: { ageMsMax: 100, ageGraceMs: 300, sweepMs: 30 } });
  const session = dial(port);
  const start = performance.now();
  const goaway = new Promise((resolve) => session.once('goaway', resolve));
  void send(session, {}, [frameMessage(encode({ text: 'hang' }))]);
  await goaway;
  await new Promise((resolve) => session.once('close', resolve));
  expect(performance.now() - start).toBeGreaterThan(350);
});

it('those that answer no ping are cut off', async () => {
  const port = await serve({ limits: { keepaliveMs: 100, keepaliveTimeoutMs: 100, sweepMs: 30 } });
  const living = dial(port);
  const dead = connectTcp(port, '127.0.0.1');
  dead.on('error', () => {});
  // The preface of a client and empty SETTINGS; then silence.
  dead.write(
    Buffer.concat([
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
    ]),
  );
  dead.resume();
  await new Promise((resolve) => dead.once('close', resolve));
  expect((await send(living, {}, [hello])).grpc).toBe(0);
});

it('no more than allowed', async () => {
  const port = await serve({ connectionsMax: 2 });
  expect((await send(dial(port), {}, [hello])).grpc).toBe(0);
  expect((await send(dial(port), {}, [hello])).grpc).toBe(0);
  const third = dial(port);
  await new Promise((resolve) => third.once('close', resolve));
});

it('bytes that are no HTTP/2 end the connection, not the server', async () => {
  const port = await serve();
  const socket = connectTcp(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(100));
  socket.resume();
  await new Promise((resolve) => socket.once('close', resolve));
  expect((await send(dial(port), {}, [hello])).grpc).toBe(0);
});
