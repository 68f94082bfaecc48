// Goal: failures, streams, health and configuration of the transport behave the same for every service.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PulsefoldError } from '../../crypto/error.ts';
import type { Role } from '../../crypto/identity/certificate.ts';
import {
  ca,
  client,
  coordinator,
  echo,
  engines,
  failure,
  handlers,
  health,
  leaf,
  type Note,
  openEcho,
  seen,
  server,
  startEcho,
  withClient,
} from './echo-server.fixture.ts';
import type { LoadedService } from './load.ts';
import { startServer } from './server.ts';
import { serverCredentials } from './tls.ts';

describe.each(engines)('engine %s', (engine) => {
  beforeAll(() => startEcho(engine));
  afterAll(() => server.stop());

  describe('failures', () => {
    it('coded errors arrive as they are; others as INTERNAL without their text', async () => {
      await withClient(openEcho(client), async (rpc) => {
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
      await withClient(openEcho(client, undefined, raw), async (rpc) => {
        const malformed = { raw: Uint8Array.from([0x10]) };
        expect((await failure(rpc.call('unary', malformed))).code).toBe('MALFORMED_MESSAGE');
        expect((await failure(rpc.call('unary', { raw: Uint8Array.from([0x0f]) }))).code).toBe(
          'MALFORMED_MESSAGE',
        );
        expect((await failure(rpc.send('collect', [malformed]))).code).toBe('MALFORMED_MESSAGE');
      });
      await withClient(openEcho(client), async (rpc) => {
        const error = await failure(rpc.call('unary', { text: 'x'.repeat(200_000) }));
        expect(error.code).toBe('CHUNK_TOO_LARGE');
      });
    });

    it('deadline and cancellation end the call on both sides', async () => {
      await withClient(openEcho(client), async (rpc) => {
        const before = seen.aborted;
        expect((await failure(rpc.call('unary', { text: 'hang' }, { deadlineMs: 300 }))).code).toBe(
          'DEADLINE_EXCEEDED',
        );
        const controller = new AbortController();
        setTimeout(() => controller.abort(), 100);
        const cancelled = await failure(rpc.call('unary', { text: 'hang' }, { signal: controller.signal }));
        expect(cancelled.code).toBe('UNAVAILABLE');
        await expect.poll(() => seen.aborted, { timeout: 3000 }).toBe(before + 2);
      });
    });

    it('repeats only idempotent calls, only after UNAVAILABLE, and not for ever', async () => {
      await withClient(openEcho(client), async (rpc) => {
        seen.attemptsToFail = 2;
        expect((await rpc.call<Note>('unary', { text: 'flaky' }, { idempotent: true })).text).toContain(
          'flaky',
        );
        seen.attemptsToFail = 1;
        expect((await failure(rpc.call('unary', { text: 'flaky' }))).code).toBe('UNAVAILABLE');
        seen.attemptsToFail = 100;
        const before = seen.calls;
        expect((await failure(rpc.call('unary', { text: 'flaky' }, { idempotent: true }))).code).toBe(
          'UNAVAILABLE',
        );
        expect(seen.calls - before).toBe(4);
        seen.attemptsToFail = 0;
        const once = seen.calls;
        await failure(rpc.call('unary', { text: 'coded' }, { idempotent: true }));
        expect(seen.calls - once).toBe(1);
      });
    });
  });

  describe('streams', () => {
    it('client stream: sums, stops early, fails with its code', async () => {
      await withClient(openEcho(client), async (rpc) => {
        const notes = Array.from({ length: 500 }, (_, i) => ({ count: i, text: '' }));
        expect((await rpc.send<Note>('collect', notes)).count).toBe((500 * 499) / 2);
        const early = await rpc.send<Note>('collect', [
          { count: 1, text: '' },
          { count: 2, text: 'enough' },
          ...notes,
        ]);
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
      await withClient(openEcho(client), async (rpc) => {
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
      await withClient(openEcho(await leaf(ca, 'auditor')), async (rpc) => {
        expect((await failure(rpc.send('collect', [{ count: 1 }]))).code).toBe('WRONG_ROLE');
        const read = async () => {
          for await (const _ of rpc.receive<Note>('count', { count: 1 }));
        };
        expect((await failure(read())).code).toBe('WRONG_ROLE');
      });
    });
  });

  describe('health', () => {
    it('health says SERVING, and NOT_SERVING when told so', async () => {
      await withClient(openEcho(client, undefined, health), async (rpc) => {
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
        engine,
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
      expect((await failure(start({ services: [{ name: echo, handlers: others }] }))).code).toBe(
        'CONFIG_INVALID',
      );
      const extra = { ...handlers, admin: unary };
      expect((await failure(start({ services: [{ name: echo, handlers: extra }] }))).code).toBe(
        'CONFIG_INVALID',
      );
    });
    it('refuses an address in use', async () => {
      const authorise = Object.fromEntries(
        Object.values(echo.definition).map((method) => [method.path, ['client'] as Role[]]),
      );
      const error = await failure(start({ authorise, address: `127.0.0.1:${server.port}` }));
      expect(error.code).toBe('UNAVAILABLE');
    });
  });
});
