// Goal: the mutual-TLS service, the CA at rest and the config file: revocation reaches everyone, keys lie sealed.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, type ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { service as healthDefinition } from 'grpc-health-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createCertificateAuthority,
  generateTlsKey,
  issueCertificate,
  subjectIdOf,
} from '../crypto/identity/certificate.ts';
import { getSuite } from '../crypto/identity/suite.ts';
import { openClient } from '../protos/transport/channel.ts';
import { enrol, fetchRevocationList, openRegistrar, renew } from '../protos/transport/enrol.ts';
import { assembleBundle, type IdentityBundle } from '../protos/transport/identity-bundle.ts';
import { loadIdentity, saveIdentity } from '../protos/transport/identity-store.ts';
import { channelCredentials } from '../protos/transport/tls.ts';
import {
  address,
  codeOf,
  enrolled,
  type Fixture,
  fixture,
  MINUTE,
  PASSPHRASE,
  scrypt,
  withClient,
} from './registrar.fixture.ts';
import {
  initialiseFromConfig,
  initialiseRegistrar,
  mintToken,
  parseRegistrarConfig,
  revoke,
  runRegistrar,
  startRegistrar,
} from './registrar.ts';

let intl: Fixture;
beforeAll(async () => {
  intl = await fixture('intl');
});
afterAll(async () => {
  await intl.registrar.stop();
  await rm(intl.dir, { recursive: true });
  expect(intl.internal).toEqual([]);
});

/** A bundle whose certificate the coordinator signed with a CA of its own. */
async function mintedByCoordinator(caPem: string): Promise<IdentityBundle> {
  const nowMs = Date.now();
  const suite = getSuite('intl');
  const signing = suite.generateSigningKey();
  const sealing = suite.generateSealingKey();
  const times = { notBeforeMs: nowMs - MINUTE, notAfterMs: nowMs + MINUTE };
  const authority = await createCertificateAuthority({ name: 'Pulsefold enrolment CA', ...times });
  const { tlsKeyPem, tlsPublicKey } = await generateTlsKey();
  const subjectId = subjectIdOf('client', 'intl', signing.publicKey);
  const keys = { signingPublicKey: signing.publicKey, sealingPublicKey: sealing.publicKey };
  const claims = { role: 'client', suite: 'intl', subjectId, ...keys } as const;
  const { pem } = await issueCertificate(authority, { claims, tlsPublicKey, ...times });
  return { ...assembleBundle({ caPem: authority.caPem, certPem: pem, tlsKeyPem, signing, sealing }), caPem };
}

describe('the mutual-TLS service', () => {
  it('renews for the same keys, and the new certificate works', async () => {
    const bundle = await enrolled(intl, 'coordinator');
    const renewed = await renew(address(intl), bundle);
    expect(renewed.subjectId).toBe(bundle.subjectId);
    expect(renewed.serial).not.toBe(bundle.serial);
    const list = await withClient(openRegistrar(address(intl), renewed), (rpc) =>
      fetchRevocationList(rpc, intl.registrar.caPem),
    );
    expect(list.signer.role).toBe('registrar');
  });

  it('refuses a renewal without the signing key', async () => {
    const bundle = await enrolled(intl);
    const thief = { ...bundle, signing: getSuite('intl').generateSigningKey() };
    expect(await codeOf(() => renew(address(intl), thief))).toBe('BAD_SIGNATURE');
  });

  it('refuses callers without a certificate of this CA', async () => {
    const minted = await mintedByCoordinator(intl.registrar.caPem);
    const call = (bundle: IdentityBundle) =>
      withClient(openRegistrar(address(intl), bundle), (rpc) =>
        codeOf(() => rpc.call('getRevocationList', {}, { deadlineMs: 5000 })),
      );
    expect(await call(minted)).toBe('UNAVAILABLE');
    const credentials = channelCredentials({ caPem: intl.registrar.caPem, server: { role: 'registrar' } });
    const anonymous = openClient({ service: 'Registrar', address: address(intl), credentials });
    const code = await withClient(anonymous, (rpc) =>
      codeOf(() => rpc.call('getRevocationList', {}, { deadlineMs: 5000 })),
    );
    expect(code).toBe('UNAVAILABLE');
  });

  it('revocation: at once here, in the next list for everyone, for all certificates of the key', async () => {
    const bundle = await enrolled(intl);
    const renewed = await renew(address(intl), bundle);
    const observer = await enrolled(intl, 'auditor');
    const list = () =>
      withClient(openRegistrar(address(intl), observer), (rpc) =>
        fetchRevocationList(rpc, intl.registrar.caPem),
      );
    const before = await list();
    expect(revoke(intl.dir, renewed.serial.toUpperCase()).sort()).toEqual(
      [bundle.serial, renewed.serial].sort(),
    );
    expect(revoke(intl.dir, renewed.serial)).toEqual([]);
    const after = await list();
    expect(after.number).toBe(before.number + 1);
    expect(after.serials.has(bundle.serial) && after.serials.has(renewed.serial)).toBe(true);
    expect(await codeOf(() => renew(address(intl), bundle))).toBe('CERTIFICATE_REVOKED');
    // A new token does not bring the key back.
    const again = enrol({
      enrolAddress: `127.0.0.1:${intl.registrar.enrolPort}`,
      caPem: intl.registrar.caPem,
      token: mintToken(intl.dir, 'client', MINUTE),
      role: 'client',
      suite: 'intl',
      signing: bundle.signing,
      sealing: bundle.sealing,
    });
    expect(await codeOf(() => again)).toBe('CERTIFICATE_REVOKED');
    expect(() => revoke(intl.dir, 'f'.repeat(32))).toThrow(/no certificate/);
    expect(() => revoke(intl.dir, "x' OR 1=1")).toThrow(/32 hexadecimal/);
  });

  it('answers health checks and reflection on both listeners', async () => {
    const bundle = await enrolled(intl);
    const service = { fullName: 'grpc.health.v1.Health', definition: healthDefinition as ServiceDefinition };
    const tls = { certPem: bundle.certPem, keyPem: bundle.tlsKeyPem };
    const credentials = channelCredentials({ caPem: bundle.caPem, ...tls, server: { role: 'registrar' } });
    for (const port of [intl.registrar.port, intl.registrar.enrolPort]) {
      const rpc = openClient({ service, address: `127.0.0.1:${port}`, credentials });
      const reply = await withClient(rpc, () => rpc.call<{ status: string }>('check', { service: '' }));
      expect(reply.status).toBe('SERVING');
    }
    expect(await listServices(`localhost:${intl.registrar.port}`, credentials)).toContain(
      'pulsefold.v1.Registrar',
    );
    const enrolment = await listServices(`localhost:${intl.registrar.enrolPort}`, credentials);
    expect(enrolment).toContain('pulsefold.v1.Enrolment');
    expect(enrolment).not.toContain('pulsefold.v1.Registrar');
  });
});

async function listServices(
  target: string,
  credentials: ReturnType<typeof channelCredentials>,
): Promise<string> {
  const main = fileURLToPath(import.meta.resolve('@grpc/reflection'));
  const proto = join(main, '..', '..', 'proto', 'grpc', 'reflection', 'v1', 'reflection.proto');
  const loaded = loadSync(proto, { defaults: true, oneofs: true });
  const definition = loaded['grpc.reflection.v1.ServerReflection'] as unknown as ServiceDefinition;
  const { path, requestSerialize, responseDeserialize } = definition.ServerReflectionInfo!;
  const channel = new Client(target, credentials);
  try {
    const call = channel.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    call.write({ listServices: '' });
    call.end();
    const replies: unknown[] = [];
    for await (const reply of call) replies.push(reply);
    return JSON.stringify(replies);
  } finally {
    channel.close();
  }
}

describe('at rest', () => {
  it('no file holds a private key in the clear; the CA opens only with its passphrase', async () => {
    for (const name of await readdir(intl.dir)) {
      expect((await readFile(join(intl.dir, name))).includes('PRIVATE KEY'), name).toBe(false);
    }
    const start = (passphrase: string) =>
      startRegistrar({
        directory: intl.dir,
        passphrase,
        enrolAddress: '127.0.0.1:0',
        address: '127.0.0.1:0',
      });
    expect(await codeOf(() => start('wrong passphrase'))).toBe('FILE_SEALED');
    expect(await codeOf(() => initialiseRegistrar(intl.dir, { suite: 'intl', passphrase: PASSPHRASE }))).toBe(
      'CONFIG_INVALID',
    );
  });

  it('an identity file keeps a bundle, sealed', async () => {
    const bundle = await enrolled(intl);
    const path = join(intl.dir, 'someone.sealed');
    await saveIdentity(path, bundle, { passphrase: PASSPHRASE }, scrypt);
    expect(await loadIdentity(path, { passphrase: PASSPHRASE })).toEqual(bundle);
    expect(await codeOf(() => loadIdentity(path, { passphrase: 'wrong passphrase' }))).toBe('FILE_SEALED');
    expect(await codeOf(() => loadIdentity(join(intl.dir, 'none'), { passphrase: PASSPHRASE }))).toBe(
      'NOT_FOUND',
    );
  });
});

describe('config file', () => {
  it('initialises, runs, stops, runs again with the same CA', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'pulsefold-registrar-'));
    const path = join(dir, 'registrar.yaml');
    const work = 'scrypt: { costLog2: 14, blockSize: 8, parallelism: 1 }';
    const addresses = 'enrolAddress: 127.0.0.1:0\naddress: 127.0.0.1:0';
    await writeFile(
      path,
      `directory: ./ca\npassphraseFile: ./pass\nhosts: [fold.example]\n${addresses}\n${work}\n`,
    );
    await writeFile(join(dir, 'pass'), `${PASSPHRASE}\n`);
    expect(await codeOf(() => runRegistrar(path))).toBe('CONFIG_INVALID');
    const { caPem } = await initialiseFromConfig(path);
    for (let i = 0; i < 2; i++) {
      const running = await runRegistrar(path);
      expect(running.caPem).toBe(caPem);
      await running.stop();
    }
    await rm(dir, { recursive: true });
  });

  it.each([
    {},
    { directory: 'x' },
    { directory: 'x', passphraseEnv: 'A', passphraseFile: 'b' },
    { directory: 'x', passphraseEnv: 'A', adress: '127.0.0.1:1' },
    { directory: 'x', passphraseEnv: 'A', address: 'nowhere' },
    { directory: 'x', passphraseEnv: 'A', certificateLifetimeDays: 0 },
    { directory: 'x', passphraseEnv: 'A', scrypt: { costLog2: 4, blockSize: 8, parallelism: 1 } },
    { directory: 'x', passphraseEnv: 'A', suite: 'none' },
    null,
    [],
  ])('refuses %j', async (value) => {
    expect(await codeOf(() => parseRegistrarConfig(value))).toBe('CONFIG_INVALID');
  });
});
