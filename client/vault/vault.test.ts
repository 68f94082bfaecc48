// Goal: a vault keeps what was put in, over a reopening, for its passphrase only; entries cannot be swapped or altered.
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { toHex, utf8 } from '../../crypto/bytes.ts';
import { PulsefoldError } from '../../crypto/error.ts';
import {
  createCertificateAuthority,
  generateTlsKey,
  issueCertificate,
  subjectIdOf,
} from '../../crypto/identity/certificate.ts';
import { getSuite, suiteNames } from '../../crypto/identity/suite.ts';
import { assembleBundle } from '../../protos/transport/identity-bundle.ts';
import { createVault, openOrCreateVault, openVault } from './vault.ts';

const secret = { passphrase: 'a passphrase for the phone' };
const scrypt = { costLog2: 14, blockSize: 8, parallelism: 1 };

const codeOf = async (body: () => unknown): Promise<string> => {
  try {
    await body();
  } catch (error) {
    return error instanceof PulsefoldError ? error.code : String(error);
  }
  return 'no error';
};

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'pulsefold-vault-'));
});
afterEach(() => rm(dir, { recursive: true }));

describe.each(suiteNames)('vault (%s)', (suite) => {
  it('keeps entries over a reopening, lists and deletes them', async () => {
    const vault = await createVault(dir, suite, secret, scrypt);
    await vault.put('budget', utf8('one'));
    await vault.put('budget', utf8('two'));
    await vault.put('round-1', new Uint8Array(100_000).fill(3));
    vault.close();
    expect(await codeOf(() => vault.get('budget'))).toBe('FILE_SEALED');

    const again = await openVault(dir, suite, secret);
    expect(toHex(await again.get('budget'))).toBe(toHex(utf8('two')));
    expect((await again.get('round-1')).length).toBe(100_000);
    expect(await again.list()).toEqual(['budget', 'round-1']);
    await again.delete('round-1');
    await again.delete('round-1');
    expect(await again.has('round-1')).toBe(false);
    expect(await again.has('budget')).toBe(true);
    expect(await codeOf(() => again.get('round-1'))).toBe('NOT_FOUND');
    expect((await readdir(dir)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('opens for its passphrase and suite only, and is not made twice', async () => {
    expect(await codeOf(() => openVault(dir, suite, secret))).toBe('NOT_FOUND');
    (await openOrCreateVault(dir, suite, secret, scrypt)).close();
    (await openOrCreateVault(dir, suite, secret, scrypt)).close();
    expect(await codeOf(() => createVault(dir, suite, secret, scrypt))).toBe('CONFIG_INVALID');
    expect(await codeOf(() => openVault(dir, suite, { passphrase: 'another passphrase' }))).toBe(
      'FILE_SEALED',
    );
    const other = suite === 'gm' ? 'intl' : 'gm';
    expect(await codeOf(() => openVault(dir, other, secret))).toBe('FILE_SEALED');
  });

  it('refuses entries that were swapped, altered or taken from another vault', async () => {
    const vault = await createVault(join(dir, 'a'), suite, secret, scrypt);
    const other = await createVault(join(dir, 'b'), suite, secret, scrypt);
    await vault.put('one', utf8('1'));
    await vault.put('two', utf8('2'));
    await other.put('one', utf8('3'));
    const path = join(dir, 'a', 'one.sealed');
    await copyFile(join(dir, 'a', 'two.sealed'), path);
    expect(await codeOf(() => vault.get('one'))).toBe('FILE_SEALED');
    await copyFile(join(dir, 'b', 'one.sealed'), path);
    expect(await codeOf(() => vault.get('one'))).toBe('FILE_SEALED');
    await vault.put('one', utf8('1'));
    const bytes = await readFile(path);
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(path, bytes);
    expect(await codeOf(() => vault.get('one'))).toBe('FILE_SEALED');
  });

  it('refuses names that leave the directory', async () => {
    const vault = await createVault(dir, suite, secret, scrypt);
    for (const name of ['../x', 'a/b', '', '.', 'A', 'a.b', '-', 'x'.repeat(101)]) {
      expect(await codeOf(() => vault.put(name, utf8('x'))), name).toBe('FIELD_OUT_OF_RANGE');
    }
  });

  it('derives separate keys by name, stable over a reopening', async () => {
    const vault = await createVault(dir, suite, secret, scrypt);
    const key = toHex(vault.deriveKey('state'));
    expect(toHex(vault.deriveKey('other'))).not.toBe(key);
    const again = await openVault(dir, suite, secret);
    expect(toHex(again.deriveKey('state'))).toBe(key);
  });

  it('keeps the identity, and no file shows a key', async () => {
    const nowMs = Date.now();
    const times = { notBeforeMs: nowMs - 1000, notAfterMs: nowMs + 60_000 };
    const authority = await createCertificateAuthority({ name: 'test', ...times });
    const signing = getSuite(suite).generateSigningKey();
    const sealing = getSuite(suite).generateSealingKey();
    const { tlsKeyPem, tlsPublicKey } = await generateTlsKey();
    const subjectId = subjectIdOf('client', suite, signing.publicKey);
    const keys = { signingPublicKey: signing.publicKey, sealingPublicKey: sealing.publicKey };
    const claims = { role: 'client', suite, subjectId, ...keys } as const;
    const { pem } = await issueCertificate(authority, { claims, tlsPublicKey, ...times });
    const parts = { caPem: authority.caPem, certPem: pem, tlsKeyPem, signing, sealing };
    const bundle = assembleBundle(parts);
    const wrongKeys = { ...parts, signing: getSuite(suite).generateSigningKey() };
    expect(await codeOf(() => assembleBundle(wrongKeys))).toBe('BAD_SIGNATURE');
    const wrongTls = { ...parts, tlsKeyPem: (await generateTlsKey()).tlsKeyPem };
    expect(await codeOf(() => assembleBundle(wrongTls))).toBe('BAD_SIGNATURE');

    const vault = await createVault(dir, suite, secret, scrypt);
    expect(await codeOf(() => vault.loadIdentity())).toBe('NOT_FOUND');
    await vault.saveIdentity(bundle);
    expect(await vault.loadIdentity()).toEqual(bundle);
    for (const name of await readdir(dir)) {
      const bytes = await readFile(join(dir, name));
      expect(bytes.includes(Buffer.from(signing.secretKey))).toBe(false);
      expect(bytes.includes('PRIVATE KEY')).toBe(false);
    }
  });
});
