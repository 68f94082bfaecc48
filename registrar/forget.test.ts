// Goal: a device can have its enrolment revoked and forgotten, by itself alone, and nothing but what revocation needs is kept.
import { readFileSync, rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { getSuite } from '../crypto/identity/suite.ts';
import { parse } from '../protos/fields.ts';
import { forgetReply, forgetStatement, verifyForgetReply } from '../protos/forget.ts';
import { enrol, fetchRevocationList, openRegistrar } from '../protos/transport/enrol.ts';
import type { IdentityBundle } from '../protos/transport/identity-bundle.ts';
import { listCertificates, mintToken } from './authority.ts';
import { address, codeOf, enrolled, type Fixture, fixture, MINUTE, withClient } from './registrar.fixture.ts';

let f: Fixture;
beforeAll(async () => {
  f = await fixture('intl');
});
afterAll(async () => {
  await f.registrar.stop();
  rmSync(f.dir, { recursive: true });
  expect(f.internal).toEqual([]);
});

const suite = getSuite('intl');
const statementOf = (bundle: IdentityBundle, timeMs: number, by = bundle) => ({
  timeMs,
  signature: suite.sign(by.signing.secretKey, forgetStatement(bundle.serial, timeMs)),
});
const forget = (bundle: IdentityBundle, message: object) =>
  withClient(openRegistrar(address(f), bundle), (rpc) => rpc.call('forget', message));
const own = (bundle: IdentityBundle) => ({
  deviceId: bundle.subjectId,
  caPem: bundle.caPem,
  nowMs: Date.now(),
});

describe('forget', () => {
  it('revokes, erases, says so under its own certificate; the key never enrols again', async () => {
    const token = mintToken(f.dir, 'client', MINUTE);
    const options = { enrolAddress: `127.0.0.1:${f.registrar.enrolPort}`, caPem: f.registrar.caPem };
    const device = await enrol({ ...options, token, role: 'client', suite: 'intl' });
    const other = await enrolled(f);
    const reply = parse(forgetReply, await forget(device, statementOf(device, Date.now())));
    const receipt = verifyForgetReply(reply, own(device));
    expect(receipt).toMatchObject({ kind: 'forgotten', serials: [device.serial] });
    expect(() => verifyForgetReply(reply, own(other))).toThrow(/another device/);
    const bent = { ...reply, signature: reply.signature.map((byte) => byte ^ 1) };
    expect(() => verifyForgetReply(bent, own(device))).toThrow(/not signed by the registrar/);
    expect(() => verifyForgetReply({ ...reply, certificate: device.certificate }, own(device))).toThrow(
      expect.objectContaining({ code: 'WRONG_ROLE' }),
    );

    const list = await withClient(openRegistrar(address(f), other), (rpc) =>
      fetchRevocationList(rpc, f.registrar.caPem),
    );
    expect(list.serials.has(device.serial)).toBe(true);
    expect(list.serials.has(other.serial)).toBe(false);
    expect(await codeOf(() => forget(device, statementOf(device, Date.now())))).toBe('CERTIFICATE_REVOKED');
    const again = {
      ...options,
      token: mintToken(f.dir, 'client', MINUTE),
      role: 'client',
      suite: 'intl',
    } as const;
    const sameKeys = { signing: device.signing, sealing: device.sealing };
    expect(await codeOf(() => enrol({ ...again, ...sameKeys }))).toBe('CERTIFICATE_REVOKED');
    // The token was not used up by the refusal.
    expect((await enrol(again)).role).toBe('client');

    const subjects = listCertificates(f.dir).map(({ subjectId }) => subjectId);
    expect(subjects).not.toContain(device.subjectId);
    expect(subjects).toContain(other.subjectId);
    const bytes = ['', '-wal'].map((end) =>
      readFileSync(`${f.dir}/registrar.sqlite${end}`).toString('latin1'),
    );
    // The main file after its checkpoint; the write-ahead log keeps frames until the next ones.
    expect(bytes[0]).not.toContain(device.subjectId);
    expect(bytes.join('')).toContain(other.subjectId);
  });

  it.each<[string, (device: IdentityBundle, other: IdentityBundle) => object, string]>([
    ['another key', (d, o) => statementOf(d, Date.now(), o), 'BAD_SIGNATURE'],
    ['another’s serial', (d, o) => ({ ...statementOf(o, Date.now(), d) }), 'BAD_SIGNATURE'],
    ['an old time', (d) => statementOf(d, Date.now() - 11 * MINUTE), 'BAD_SIGNATURE'],
    [
      'a cut signature',
      (d) => ({ ...statementOf(d, Date.now()), signature: new Uint8Array(63) }),
      'FIELD_OUT_OF_RANGE',
    ],
    ['nothing', () => ({}), 'FIELD_OUT_OF_RANGE'],
  ])('signed with %s is refused and revokes nobody', async (_name, make, code) => {
    const [device, other] = [await enrolled(f), await enrolled(f)];
    expect(await codeOf(() => forget(device, make(device, other)))).toBe(code);
    const state = listCertificates(f.dir).filter(({ serial }) =>
      [device.serial, other.serial].includes(serial),
    );
    expect(state.map(({ revoked }) => revoked)).toEqual([false, false]);
  });

  it('is for clients only', async () => {
    const holder = await enrolled(f, 'keyholder');
    expect(await codeOf(() => forget(holder, statementOf(holder, Date.now())))).toBe('WRONG_ROLE');
  });
});
