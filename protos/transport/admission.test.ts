// Goal: over real TLS sockets, a handler runs only for the right caller, and a client talks only to the right server.
import { X509Certificate } from 'node:crypto';
import { connect as tlsConnect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CertificateAuthority, createCertificateAuthority } from '../../crypto/identity/certificate.ts';
import { createAdmission } from './admission.ts';
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
  handlers,
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
import { startServer } from './server.ts';
import { channelCredentials, type ExpectedServer, serverCredentials } from './tls.ts';

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

// TLS checks a client's certificate already; what it has checked is taken from it only where it trusts the same CA.
describe('TLS and the pinned CA', () => {
  const times = { notBeforeMs: Date.now() - 3 * HOUR, notAfterMs: Date.now() + 24 * HOUR };
  let pinned: CertificateAuthority;
  let other: CertificateAuthority;
  let third: CertificateAuthority;
  beforeAll(async () => {
    pinned = await createCertificateAuthority({ name: 'test', ...times });
    other = await createCertificateAuthority({ name: 'test', ...times });
    // OpenSSL looks at one CA of a name only.
    third = await createCertificateAuthority({ name: 'third', ...times });
  });

  it.each([
    ['another CA', () => other.caPem, () => other],
    ['two CAs, client of the other one', () => `${pinned.caPem}\n${third.caPem}`, () => third],
  ])(
    'a server whose TLS trusts %s refuses the caller: CERTIFICATE_UNTRUSTED',
    async (_, tlsCaPem, issuer) => {
      const own = await leaf(issuer(), 'coordinator');
      const running = await startServer({
        engine: 'http2',
        services: [{ name: echo, handlers }],
        credentials: serverCredentials({ ...own, caPem: tlsCaPem(), requireClientCertificate: true }),
        address: '127.0.0.1:0',
        caPem: pinned.caPem,
        authorise: Object.fromEntries(
          ['Unary', 'Open', 'Collect', 'Count'].map((name) => [`/test.Echo/${name}`, ['client' as const]]),
        ),
        isRevoked: () => false,
      });
      const who = await leaf(issuer(), 'client');
      const rpc = openClient({
        service: echo,
        address: `127.0.0.1:${running.port}`,
        credentials: channelCredentials({ ...who, caPem: issuer().caPem, server: { role: 'coordinator' } }),
      });
      const before = seen.calls;
      const error = await withClient(rpc, () => failure(rpc.call('unary', { text: 'hi' })));
      expect(error.code).toBe('CERTIFICATE_UNTRUSTED');
      expect(seen.calls).toBe(before);
      await running.stop(0);
    },
  );

  const admissionFor = (tlsCaPem: string | undefined) =>
    createAdmission({
      caPem: pinned.caPem,
      tlsCaPem,
      authorise: { '/m': ['client'] },
      isRevoked: () => false,
    });
  const peerOf = async (authority: CertificateAuthority) => {
    const parsed = new X509Certificate((await leaf(authority, 'client')).certPem);
    return { der: new Uint8Array(parsed.raw), peer: { leaf: parsed, identity: undefined } };
  };

  it('gives the same identity as the whole check, once per connection', async () => {
    const { der, peer } = await peerOf(pinned);
    const identity = admissionFor(pinned.caPem).authorise('/m', der, peer);
    expect(identity).toEqual(admissionFor(undefined).authorise('/m', der));
    expect(peer.identity).toEqual(identity);
  });

  it('checks everything itself where TLS trusts anything else', async () => {
    for (const tlsCaPem of [
      undefined,
      other.caPem,
      pinned.caPem + other.caPem,
      pinned.caPem + pinned.caPem,
    ]) {
      const { der, peer } = await peerOf(pinned);
      expect(admissionFor(tlsCaPem).authorise('/m', der, peer)?.role).toBe('client');
      expect(peer.identity).toBeUndefined();
      const foreign = await peerOf(other);
      expect(() => admissionFor(tlsCaPem).authorise('/m', foreign.der, foreign.peer)).toThrow(
        expect.objectContaining({ code: 'CERTIFICATE_UNTRUSTED' }),
      );
    }
  });

  it('still refuses what TLS would let pass: the CA itself, another issuer', async () => {
    const own = new X509Certificate(pinned.caPem);
    const untrusted = expect.objectContaining({ code: 'CERTIFICATE_UNTRUSTED' });
    const admission = admissionFor(pinned.caPem);
    const authorise = (parsed: X509Certificate) =>
      admission.authorise('/m', new Uint8Array(parsed.raw), { leaf: parsed, identity: undefined });
    expect(() => authorise(own)).toThrow(untrusted);
    expect(() => authorise(new X509Certificate(other.caPem))).toThrow(untrusted);
  });
});
