// Goal: one token, one certificate, for the role and keys it was minted for, whatever applicants send and however often.
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  certificateDer,
  createCertificateAuthority,
  type EnrolledRole,
  subjectIdOf,
  verifyCertificate,
} from '../crypto/identity/certificate.ts';
import { randomBytes } from '../crypto/random.ts';
import {
  enrol,
  fetchRevocationList,
  formatToken,
  openRegistrar,
  parseToken,
} from '../protos/transport/enrol.ts';
import {
  address,
  applyWith,
  codeOf,
  enrolled,
  enrolmentClient,
  type Fixture,
  fixture,
  MINUTE,
  request,
  withClient,
} from './registrar.fixture.ts';
import { listCertificates, mintToken } from './registrar.ts';

let intl: Fixture;
beforeAll(async () => {
  intl = await fixture('intl');
});
afterAll(async () => {
  await intl.registrar.stop();
  await rm(intl.dir, { recursive: true });
  expect(intl.internal).toEqual([]);
});

describe('enrolment', () => {
  it('gives a certificate for exactly the keys and role', async () => {
    const bundle = await enrolled(intl, 'keyholder');
    const identity = verifyCertificate(bundle.certificate, certificateDer(intl.registrar.caPem), Date.now());
    expect(identity.role).toBe('keyholder');
    expect(identity.subjectId).toBe(subjectIdOf('keyholder', 'intl', bundle.signing.publicKey));
    expect(identity.sealingPublicKey).toEqual(bundle.sealing.publicKey);
    expect(listCertificates(intl.dir).map((entry) => entry.serial)).toContain(bundle.serial);
  });

  it('works under gm, and refuses the other suite', async () => {
    const gm = await fixture('gm');
    try {
      const bundle = await enrolled(gm, 'client', 'gm');
      expect(bundle.signing.publicKey).toHaveLength(65);
      const list = await withClient(openRegistrar(address(gm), bundle), (rpc) =>
        fetchRevocationList(rpc, gm.registrar.caPem),
      );
      expect(list.serials.size).toBe(0);
      expect(await codeOf(() => enrolled(gm, 'client', 'intl'))).toBe('FIELD_OUT_OF_RANGE');
    } finally {
      await gm.registrar.stop();
      await rm(gm.dir, { recursive: true });
    }
  });

  it('a used token → TOKEN_USED; the very same request → the very same certificate', async () => {
    const token = mintToken(intl.dir, 'client', MINUTE);
    const message = await request(token);
    await withClient(enrolmentClient(intl), async (rpc) => {
      const first = await rpc.call<{ certificate: Buffer }>('enrol', message);
      const again = await rpc.call<{ certificate: Buffer }>('enrol', message);
      expect(again.certificate.equals(first.certificate)).toBe(true);
      expect(await codeOf(async () => rpc.call('enrol', await request(token)))).toBe('TOKEN_USED');
    });
  });

  it('12 different requests with one token at a time: one certificate', async () => {
    const token = mintToken(intl.dir, 'client', MINUTE);
    const before = listCertificates(intl.dir).length;
    const requests = await Promise.all(Array.from({ length: 12 }, () => request(token)));
    await withClient(enrolmentClient(intl), async (rpc) => {
      const codes = await Promise.all(requests.map((message) => codeOf(() => rpc.call('enrol', message))));
      expect(codes.filter((code) => code === 'no error')).toHaveLength(1);
      expect(codes.filter((code) => code === 'TOKEN_USED')).toHaveLength(11);
    });
    expect(listCertificates(intl.dir)).toHaveLength(before + 1);
  });

  it('the same request 6 times at a time: one certificate, given to all', async () => {
    const message = await request(mintToken(intl.dir, 'client', MINUTE));
    const before = listCertificates(intl.dir).length;
    await withClient(enrolmentClient(intl), async (rpc) => {
      const send = () => rpc.call<{ certificate: Buffer }>('enrol', message);
      const replies = await Promise.all(Array.from({ length: 6 }, send));
      expect(new Set(replies.map((reply) => reply.certificate.toString('hex'))).size).toBe(1);
    });
    expect(listCertificates(intl.dir)).toHaveLength(before + 1);
  });

  it('unknown, expired and other-role tokens → TOKEN_INVALID', async () => {
    expect(await codeOf(() => applyWith(intl, formatToken(randomBytes(32))))).toBe('TOKEN_INVALID');
    const expired = mintToken(intl.dir, 'client', MINUTE);
    intl.clock.skewMs = 2 * MINUTE;
    expect(await codeOf(() => applyWith(intl, expired))).toBe('TOKEN_INVALID');
    intl.clock.skewMs = 0;
    const forClient = mintToken(intl.dir, 'client', MINUTE);
    expect(await codeOf(() => applyWith(intl, forClient, 'keyholder'))).toBe('TOKEN_INVALID');
    // The refusals used nothing up.
    expect((await applyWith(intl, forClient)).role).toBe('client');
    for (const text of ['', 'pft1-', `pft1-${'A'.repeat(42)}`, `pft1-${'/'.repeat(43)}`]) {
      expect(await codeOf(() => applyWith(intl, text))).toBe('TOKEN_INVALID');
    }
  });

  it('stores no token, only its hash', async () => {
    const token = mintToken(intl.dir, 'client', MINUTE);
    const names = (await readdir(intl.dir)).filter((name) => name.startsWith('registrar.sqlite'));
    for (const name of names) {
      const bytes = await readFile(join(intl.dir, name));
      expect(bytes.includes(Buffer.from(parseToken(token)))).toBe(false);
      expect(bytes.includes(token)).toBe(false);
    }
  });

  it('every spoilt field is refused with a code, and the token stays good', async () => {
    const token = mintToken(intl.dir, 'client', MINUTE);
    const good = await request(token);
    const other = await request(token);
    const weakKey = new Uint8Array(32);
    weakKey[0] = 1;
    const cases: [string, object, string][] = [
      ['no fields', {}, 'MALFORMED_MESSAGE'],
      ['short token', { ...good, token: good.token.subarray(1) }, 'MALFORMED_MESSAGE'],
      ['long token', { ...good, token: new Uint8Array(33) }, 'MALFORMED_MESSAGE'],
      ['role registrar', { ...good, role: 'registrar' }, 'MALFORMED_MESSAGE'],
      ['role of another case', { ...good, role: 'Client' }, 'MALFORMED_MESSAGE'],
      ['another role', { ...good, role: 'coordinator' }, 'TOKEN_INVALID'],
      ['unknown suite', { ...good, suite: 'rsa' }, 'MALFORMED_MESSAGE'],
      ['other suite', { ...good, suite: 'gm' }, 'FIELD_OUT_OF_RANGE'],
      ['short signing key', { ...good, signingPublicKey: new Uint8Array(31) }, 'MALFORMED_MESSAGE'],
      ['swapped signing key', { ...good, signingPublicKey: other.signingPublicKey }, 'BAD_SIGNATURE'],
      ['swapped sealing key', { ...good, sealingPublicKey: other.sealingPublicKey }, 'BAD_SIGNATURE'],
      ['swapped TLS key', { ...good, tlsPublicKey: other.tlsPublicKey }, 'BAD_SIGNATURE'],
      ['TLS key that is no key', { ...good, tlsPublicKey: new Uint8Array(91) }, 'FIELD_OUT_OF_RANGE'],
      ['no signing proof', { ...good, signingProof: new Uint8Array(64) }, 'BAD_SIGNATURE'],
      ['proof of another', { ...good, signingProof: other.signingProof }, 'BAD_SIGNATURE'],
      ['no TLS proof', { ...good, tlsProof: new Uint8Array(64) }, 'BAD_SIGNATURE'],
      ['key of small order', { ...good, signingPublicKey: weakKey }, 'BAD_SIGNATURE'],
      ['oversized', { ...good, role: 'x'.repeat(50_000) }, 'CHUNK_TOO_LARGE'],
    ];
    await withClient(enrolmentClient(intl), async (rpc) => {
      for (const [name, message, code] of cases) {
        expect(await codeOf(() => rpc.call('enrol', message)), name).toBe(code);
      }
      expect(await codeOf(() => rpc.call('enrol', good))).toBe('no error');
    });
  });

  it('an applicant refuses a registrar under another CA', async () => {
    const nowMs = Date.now();
    const authority = await createCertificateAuthority({
      name: 'Pulsefold enrolment CA',
      notBeforeMs: nowMs - MINUTE,
      notAfterMs: nowMs + 60 * MINUTE,
    });
    const token = mintToken(intl.dir, 'client', MINUTE);
    const enrolAddress = `127.0.0.1:${intl.registrar.enrolPort}`;
    const options = { enrolAddress, token, role: 'client', suite: 'intl', deadlineMs: 2000 } as const;
    expect(await codeOf(() => enrol({ ...options, caPem: authority.caPem }))).toMatch(
      /UNAVAILABLE|DEADLINE_EXCEEDED/,
    );
    expect((await applyWith(intl, token)).role).toBe('client');
  });

  it('only minted hosts enter a server certificate', () => {
    expect(() => mintToken(intl.dir, 'client', MINUTE, { hosts: ['fold.example'] })).toThrow(
      /serves no hosts/,
    );
    expect(() => mintToken(intl.dir, 'keyholder', MINUTE, { hosts: ['a b'] })).toThrow(/host names/);
    expect(() => mintToken(intl.dir, 'registrar' as EnrolledRole, MINUTE)).toThrow(/no tokens/);
    for (const lifetime of [0, -1, Number.NaN, 31 * 86_400_000]) {
      expect(() => mintToken(intl.dir, 'client', lifetime)).toThrow(/30 days/);
    }
  });
});
