// Goal: a sealed file opens with its secret and under its label only; a hostile header cannot cost much.
import { describe, expect, it } from 'vitest';
import { concat, toHex, utf8 } from '../bytes.ts';
import { PulsefoldError } from '../error.ts';
import { openSealedFile, type ScryptParameters, sealFile } from './sealed-file.ts';
import { suiteNames } from './suite.ts';

const codeOf = (body: () => unknown): string => {
  try {
    body();
  } catch (error) {
    return error instanceof PulsefoldError ? error.code : String(error);
  }
  return 'no error';
};

const passphrase = { passphrase: 'correct horse battery' };
const key = { key: new Uint8Array(32).fill(9) };
// The least that is allowed, to keep the test short.
const parameters: ScryptParameters = { costLog2: 14, blockSize: 8, parallelism: 1 };
const secret = utf8('the share of this holder');

describe.each(suiteNames)('sealed file (%s)', (suite) => {
  const withPassphrase = sealFile(suite, secret, passphrase, 'share', { parameters });
  const withKey = sealFile(suite, secret, key, 'share');

  it('opens with its secret', () => {
    expect(toHex(openSealedFile(withPassphrase, passphrase, 'share'))).toBe(toHex(secret));
    expect(toHex(openSealedFile(withKey, key, 'share'))).toBe(toHex(secret));
    expect(toHex(withKey)).not.toContain(toHex(secret));
    expect(toHex(sealFile(suite, secret, key, 'share'))).not.toBe(toHex(withKey));
  });

  it('opens with nothing else', () => {
    const wrong = [
      () => openSealedFile(withPassphrase, { passphrase: 'correct horse batterx' }, 'share'),
      () => openSealedFile(withPassphrase, passphrase, 'identity'),
      () => openSealedFile(withPassphrase, key, 'share'),
      () => openSealedFile(withKey, passphrase, 'share'),
      () => openSealedFile(withKey, { key: new Uint8Array(32) }, 'share'),
      () => openSealedFile(withKey, key, 'identity'),
    ];
    for (const body of wrong) expect(codeOf(body)).toBe('FILE_SEALED');
  });

  it('refuses every altered byte and every cut', () => {
    for (let at = 0; at < withKey.length; at++) {
      const altered = withKey.slice();
      altered[at]! ^= 1;
      expect(
        codeOf(() => openSealedFile(altered, key, 'share')),
        `byte ${at}`,
      ).toBe('FILE_SEALED');
      expect(codeOf(() => openSealedFile(withKey.subarray(0, at), key, 'share'))).toBe('FILE_SEALED');
    }
    expect(codeOf(() => openSealedFile(concat(withKey, Uint8Array.of(0)), key, 'share'))).toBe('FILE_SEALED');
  });
});

describe('limits', () => {
  it('does not run scrypt for a header out of bounds', () => {
    const file = sealFile('intl', secret, passphrase, 'share', { parameters });
    for (const [offset, value] of [
      [9, 30],
      [9, 13],
      [9, 1],
      [10, 255],
      [11, 255],
      [11, 0],
    ] as const) {
      const hostile = file.slice();
      hostile[offset] = value;
      const start = performance.now();
      expect(codeOf(() => openSealedFile(hostile, passphrase, 'share'))).toBe('FILE_SEALED');
      expect(performance.now() - start).toBeLessThan(30);
    }
  });
  it('refuses weak secrets and weak parameters when sealing', () => {
    expect(codeOf(() => sealFile('intl', secret, { passphrase: 'short' }, 'share'))).toBe('CONFIG_INVALID');
    expect(codeOf(() => sealFile('intl', secret, { key: new Uint8Array(16) }, 'share'))).toBe(
      'CONFIG_INVALID',
    );
    for (const weak of [
      { costLog2: 10 },
      { blockSize: 1 },
      { parallelism: 0 },
      { costLog2: 20, blockSize: 32 },
    ]) {
      const body = () =>
        sealFile('intl', secret, passphrase, 'share', { parameters: { ...parameters, ...weak } });
      expect(codeOf(body)).toBe('CONFIG_INVALID');
    }
  });
});
