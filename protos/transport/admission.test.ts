// Goal: over real TLS sockets, a handler runs only for the right caller, and a client talks only to the right server.
import { connect as tlsConnect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createCertificateAuthority } from '../../crypto/identity/certificate.ts';
import { openClient } from './channel.ts';
import {
  ca,
  client,
  clock,
  coordinator,
  echo,
  engines,
  failure,
  HOUR,
  type Leaf,
  leaf,
  type Note,
  openEcho,
  revoked,
  seen,
  server,
  startEcho,
  withClient,
} from './echo-server.fixture.ts';
import { channelCredentials, type ExpectedServer } from './tls.ts';

describe.each(engines)('engine %s', (engine) => {
  beforeAll(() => startEcho(engine));
  afterAll(() => server.stop());

  const refusal = async (who: Leaf, expected?: ExpectedServer, method = 'unary') =>
    await withClient(openEcho(who, expected), (rpc) => failure(rpc.call(method, { text: 'hi' })));

  describe('who may call', () => {
    it('serves the right role, with its identity, by name and by address', async () => {
      for (const host of ['127.0.0.1', 'localhost']) {
        const reply = await withClient(openEcho(client, undefined, echo, host), (rpc) =>
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
      await withClient(openEcho(who), async (rpc) => {
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
      const who = await leaf(ca, 'client', Date.now() + HOUR);
      await withClient(openEcho(who), async (rpc) => {
        await rpc.call('unary', { text: 'hi' });
        clock.skewMs = 2 * HOUR;
        try {
          expect((await failure(rpc.call('unary', { text: 'hi' }))).code).toBe('CERTIFICATE_EXPIRED');
        } finally {
          clock.skewMs = 0;
        }
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
      expect((await refusal(client, { role: 'coordinator', subjectId: '0'.repeat(32) })).code).toBe(
        'UNAVAILABLE',
      );
      const right = openEcho(client, { role: 'coordinator', subjectId: coordinator.subjectId });
      await withClient(right, (rpc) => rpc.call('unary', { text: 'hi' }));
    });
    it('refuses a host that is not in the certificate', async () => {
      const credentials = channelCredentials({ ...client, caPem: ca.caPem, server: { role: 'coordinator' } });
      const rpc = openClient({
        service: echo,
        address: `127.0.0.2:${server.port}`,
        credentials,
        deadlineMs: 5000,
      });
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
});
