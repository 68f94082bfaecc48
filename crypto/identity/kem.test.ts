// Goal: each key encapsulation gives both ends the same bound key, agrees with a second implementation of its
// parts, and refuses unusable keys.
import nodeCrypto from 'node:crypto';
import { x25519 } from '@noble/curves/ed25519.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import smCrypto from 'sm-crypto';
import { sm2 as sm2v2 } from 'sm-crypto-v2';
import { describe, expect, it } from 'vitest';
import { concat, fromHex, toHex, transcript, utf8 } from '../bytes.ts';
import { PulsefoldError } from '../error.ts';
import { randomBytes, seededRandom } from '../random.ts';
import { getKem, type Kem, type KemName, kemsOf } from './kem.ts';
import { hasMlKem, loadMlKem } from './ml-kem.ts';
import { suiteNames } from './suite.ts';

const codeOf = (body: () => unknown): string => {
  try {
    body();
  } catch (error) {
    return error instanceof PulsefoldError ? error.code : String(error);
  }
  return 'no error';
};
const usable = (kem: Kem) => kem.name !== 'x25519-ml-kem-768' || hasMlKem();
const kems = suiteNames.flatMap((suite) => kemsOf(suite).filter(usable));
const context = utf8('context');

describe.each(kems.map((kem) => ({ kem, name: kem.name })))('$name', ({ kem }) => {
  const random = seededRandom(`kem ${kem.name}`);
  const pairs = [1, 2, 3].map(() => kem.generateKey(random));
  const publicKeys = pairs.map(({ publicKey }) => publicKey);
  const { encapsulation, sharedKeys } = kem.encapsulate(publicKeys, context, random);

  it('every recipient gets its own key, which nothing else gives', () => {
    expect(encapsulation).toHaveLength(kem.encapsulationBytes(3));
    expect(new Set(sharedKeys.map(toHex)).size).toBe(3);
    pairs.forEach(({ secretKey, publicKey }, i) => {
      expect(publicKey).toHaveLength(kem.publicKeyBytes);
      expect(secretKey).toHaveLength(kem.secretKeyBytes);
      expect(kem.isPublicKey(publicKey)).toBe(true);
      const recipient = kem.recipient(secretKey, publicKeys, i + 1);
      const mine = toHex(sharedKeys[i]!);
      expect(toHex(recipient.decapsulate(encapsulation, context))).toBe(mine);
      expect(toHex(recipient.decapsulate(encapsulation, utf8('other')))).not.toBe(mine);
      // The same place in a list with one other key.
      const others = publicKeys.map((key, at) => (at === (i + 1) % 3 ? kem.generateKey().publicKey : key));
      const elsewhere = kem.recipient(secretKey, others, i + 1);
      expect(toHex(elsewhere.decapsulate(encapsulation, context))).not.toBe(mine);
    });
  });

  it('is bound to every byte of the encapsulation, also those for other recipients', () => {
    const recipient = kem.recipient(pairs[0]!.secretKey, publicKeys, 1);
    for (const at of [0, 31, encapsulation.length - 1]) {
      const altered = encapsulation.map((byte, i) => (i === at ? byte ^ 1 : byte));
      let opened = '';
      expect(['no error', 'DECRYPTION_FAILED']).toContain(
        codeOf(() => {
          opened = toHex(recipient.decapsulate(altered, context));
        }),
      );
      expect(opened).not.toBe(toHex(sharedKeys[0]!));
    }
    for (const wrong of [
      encapsulation.subarray(1),
      new Uint8Array(0),
      concat(encapsulation, encapsulation),
    ]) {
      expect(codeOf(() => recipient.decapsulate(wrong, context))).toBe('MALFORMED_MESSAGE');
    }
  });

  it('refuses keys that cannot work', () => {
    const bytes = kem.publicKeyBytes;
    const bad = [
      new Uint8Array(bytes),
      new Uint8Array(bytes).fill(0xff),
      publicKeys[0]!.subarray(1),
      new Uint8Array(0),
    ];
    for (const key of bad) {
      expect(kem.isPublicKey(key)).toBe(false);
      expect(codeOf(() => kem.encapsulate([publicKeys[0]!, key], context))).toBe('FIELD_OUT_OF_RANGE');
    }
    expect(kem.isPublicKey(null as unknown as Uint8Array)).toBe(false);
    expect(codeOf(() => kem.encapsulate([], context))).toBe('FIELD_OUT_OF_RANGE');
    const { secretKey } = pairs[0]!;
    expect(codeOf(() => kem.recipient(secretKey, publicKeys, 2))).toBe('WRONG_COMMITTEE_KEY');
    expect(codeOf(() => kem.recipient(secretKey, publicKeys, 4))).toBe('FIELD_OUT_OF_RANGE');
    expect(codeOf(() => kem.recipient(secretKey.subarray(1), publicKeys, 1))).toBe('FIELD_OUT_OF_RANGE');
  });

  it('one-time encryption opens under its key and data only', () => {
    const key = randomBytes(32);
    const sealed = kem.sealOnce(key, utf8('seed'), context);
    expect(sealed).toHaveLength(4 + kem.onceOverheadBytes);
    expect(toHex(kem.openOnce(key, sealed, context))).toBe(toHex(utf8('seed')));
    for (let at = 0; at < sealed.length; at++) {
      const altered = sealed.map((byte, i) => (i === at ? byte ^ 1 : byte));
      expect(codeOf(() => kem.openOnce(key, altered, context))).toBe('DECRYPTION_FAILED');
    }
    expect(codeOf(() => kem.openOnce(key, sealed, utf8('x')))).toBe('DECRYPTION_FAILED');
    expect(codeOf(() => kem.openOnce(randomBytes(32), sealed, context))).toBe('DECRYPTION_FAILED');
    expect(codeOf(() => kem.openOnce(key, new Uint8Array(3), context))).toBe('DECRYPTION_FAILED');
  });
});

describe('second implementations', () => {
  it('x25519: noble’s curve and HKDF give the same key from the documented schedule', () => {
    const kem = getKem('intl');
    const pairs = [1, 2, 3, 4].map(() => kem.generateKey());
    const publicKeys = pairs.map(({ publicKey }) => publicKey);
    const { encapsulation, sharedKeys } = kem.encapsulate(publicKeys, context);
    pairs.forEach(({ secretKey, publicKey }, i) => {
      expect(toHex(x25519.getPublicKey(secretKey))).toBe(toHex(publicKey));
      const keys = sha256(transcript('kem-keys', 'x25519', ...publicKeys));
      const binding = sha256(transcript('kem-binding', 'x25519', keys, encapsulation, context));
      const info = transcript('kem-key', 'x25519', i + 1, binding);
      const shared = x25519.getSharedSecret(secretKey, encapsulation);
      expect(toHex(hkdf(sha256, shared, undefined, info, 64))).toBe(toHex(sharedKeys[i]!));
    });
  });

  it('sm2: sm-crypto and sm-crypto-v2 decrypt each fresh key', () => {
    const kem = getKem('gm');
    const random = seededRandom('sm2 kem');
    const pairs = [1, 2].map(() => kem.generateKey(random));
    // The fresh keys are the first draws of `encapsulate`.
    const draws = seededRandom('encapsulate');
    const expected = [1, 2].map(() => toHex(randomBytes(32, draws)));
    const { encapsulation } = kem.encapsulate(
      pairs.map(({ publicKey }) => publicKey),
      context,
      seededRandom('encapsulate'),
    );
    pairs.forEach(({ secretKey }, i) => {
      const sealed = toHex(encapsulation.subarray(i * 128, i * 128 + 128));
      const one = smCrypto.sm2.doDecrypt(sealed, toHex(secretKey), 1, { output: 'array' });
      const two = sm2v2.doDecrypt(sealed, toHex(secretKey), 1, { output: 'array' });
      expect(toHex(Uint8Array.from(one))).toBe(expected[i]);
      expect(toHex(Uint8Array.from(two))).toBe(toHex(Uint8Array.from(one)));
    });
  });

  it('sm2: opens what sm-crypto encrypted', () => {
    const kem = getKem('gm');
    const pair = kem.generateKey();
    const fresh = randomBytes(32);
    const sealed = fromHex(smCrypto.sm2.doEncrypt(Array.from(fresh), toHex(pair.publicKey), 1));
    const sm3 = (bytes: Uint8Array) => new Uint8Array(nodeCrypto.createHash('sm3').update(bytes).digest());
    const keys = sm3(transcript('kem-keys', 'sm2', pair.publicKey));
    const info = transcript(
      'kem-key',
      'sm2',
      1,
      sm3(transcript('kem-binding', 'sm2', keys, sealed, context)),
    );
    const expected = new Uint8Array(nodeCrypto.hkdfSync('sm3', fresh, new Uint8Array(0), info, 64));
    const opened = kem.recipient(pair.secretKey, [pair.publicKey], 1).decapsulate(sealed, context);
    expect(toHex(opened)).toBe(toHex(expected));
  });
});

describe('hybrid', () => {
  it.skipIf(!hasMlKem())('needs both secrets: another seed of either part gives another key', () => {
    const kem = getKem('intl', 'x25519-ml-kem-768');
    const pair = kem.generateKey();
    const { encapsulation, sharedKeys } = kem.encapsulate([pair.publicKey], context);
    const other = kem.generateKey();
    for (const at of [0, 32]) {
      const mixedSecret = pair.secretKey.slice();
      const mixedPublic = pair.publicKey.slice();
      const [secretEnd, publicEnd] = at === 0 ? [32, 32] : [96, 1216];
      mixedSecret.set(other.secretKey.subarray(at, secretEnd), at);
      mixedPublic.set(other.publicKey.subarray(at, publicEnd), at);
      const opened = kem.recipient(mixedSecret, [mixedPublic], 1).decapsulate(encapsulation, context);
      expect(toHex(opened)).not.toBe(toHex(sharedKeys[0]!));
    }
  });

  it('a runtime without it gets a code that says what to do', () => {
    expect(hasMlKem({})).toBe(false);
    expect(codeOf(() => loadMlKem({}))).toBe('UNAVAILABLE');
    expect(() => loadMlKem({})).toThrow('x25519');
  });
});

it('getKem refuses names of another suite and unknown ones', () => {
  expect(getKem('intl').name).toBe('x25519');
  expect(getKem('gm').name).toBe('sm2');
  expect(codeOf(() => getKem('gm', 'x25519'))).toBe('FIELD_OUT_OF_RANGE');
  expect(codeOf(() => getKem('intl', 'none' as KemName))).toBe('FIELD_OUT_OF_RANGE');
});
