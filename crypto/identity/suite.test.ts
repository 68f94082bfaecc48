// Goal: both suites compute what their standards say, agree with a second implementation, and refuse hostile bytes.
import { spawnSync } from 'node:child_process';
import { createCipheriv, hkdfSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import fc from 'fast-check';
import smCrypto from 'sm-crypto';
import { SecureRandom } from 'sm-crypto/src/sm2/rng.js';
import { sm2 as sm2v2, sm3 as sm3v2, sm4 as sm4v2 } from 'sm-crypto-v2';
import { describe, expect, it } from 'vitest';
import { concat, fromHex, fromUtf8, toHex, utf8 } from '../bytes.ts';
import { PulsefoldError } from '../error.ts';
import { type RandomSource, randomBytes, seededRandom } from '../random.ts';
import { getSuite, type SuiteName, suiteNames } from './suite.ts';

const vectors = JSON.parse(readFileSync(new URL('../vectors/identity.json', import.meta.url), 'utf8'));
const intl = getSuite('intl');
const gm = getSuite('gm');
const empty = new Uint8Array(0);
const options = { hash: true, userId: '1234567812345678' } as const;

/** A source that returns the given bytes and then refuses. */
function fixedRandom(...outputs: Uint8Array[]): RandomSource {
  return {
    seeded: true,
    fill(target) {
      const next = outputs.shift();
      if (next?.length !== target.length) throw new Error('unexpected draw');
      target.set(next);
      return target;
    },
  };
}

const codeOf = (body: () => unknown): string => {
  try {
    body();
  } catch (error) {
    return error instanceof PulsefoldError ? error.code : String(error);
  }
  return 'no error';
};

describe('intl vectors', () => {
  for (const vector of vectors.ed25519) {
    it(vector.name, () => {
      const message = fromHex(vector.message);
      const pair = intl.generateSigningKey(fixedRandom(fromHex(vector.secretKey)));
      expect(toHex(pair.publicKey)).toBe(vector.publicKey);
      expect(toHex(intl.sign(pair.secretKey, message))).toBe(vector.signature);
      expect(intl.verify(pair.publicKey, message, fromHex(vector.signature))).toBe(true);
    });
  }
  it(vectors.x25519.name, () => {
    const { aliceSecret, alicePublic, bobSecret, bobPublic, shared } = vectors.x25519;
    expect(toHex(intl.generateSealingKey(fixedRandom(fromHex(aliceSecret))).publicKey)).toBe(alicePublic);
    expect(toHex(intl.generateSealingKey(fixedRandom(fromHex(bobSecret))).publicKey)).toBe(bobPublic);
    // The suite never shows the shared secret; noble, which it is checked against below, does.
    expect(toHex(x25519.getSharedSecret(fromHex(aliceSecret), fromHex(bobPublic)))).toBe(shared);
  });
  it(vectors.xchacha20poly1305.name, () => {
    const { key, nonce, associatedData, plaintextText, ciphertext, tag } = vectors.xchacha20poly1305;
    const sealed = intl.encrypt(
      fromHex(key),
      utf8(plaintextText),
      fromHex(associatedData),
      fixedRandom(fromHex(nonce)),
    );
    expect(toHex(sealed)).toBe(nonce + ciphertext + tag);
    expect(fromUtf8(intl.decrypt(fromHex(key), sealed, fromHex(associatedData)))).toBe(plaintextText);
  });
  it('SHA-256 of parts is the hash of their concatenation (FIPS 180-4 "abc")', () => {
    const expected = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
    expect(toHex(intl.digest(utf8('a'), utf8('bc')))).toBe(expected);
  });
  it('HMAC-SHA-256, RFC 4231 case 2', () => {
    const expected = '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843';
    expect(toHex(intl.mac(utf8('Jefe'), utf8('what do ya want '), utf8('for nothing?')))).toBe(expected);
  });
});

describe('gm vectors', () => {
  for (const { message, digest } of vectors.sm3) {
    it(`SM3 of ${message.length / 2} bytes (GB/T 32905 A)`, () => {
      expect(toHex(gm.digest(fromHex(message)))).toBe(digest);
    });
  }
  it('SM2 signature (GB/T 32918.5 annex A), also by sm-crypto with the nonce of the standard', () => {
    const { secretKey, publicKey, nonce, message, signature } = vectors.sm2;
    expect(gm.verify(fromHex(publicKey), utf8(message), fromHex(signature))).toBe(true);
    const drawn = SecureRandom.prototype.nextBytes;
    try {
      // sm-crypto draws 33 bytes, drops the first and adds 1.
      SecureRandom.prototype.nextBytes = (target: number[]) => {
        fromHex(`00${nonce}`).forEach((byte, i) => {
          target[i] = byte;
        });
        target[32] = target[32]! - 1;
      };
      const made = smCrypto.sm2.doSignature(Array.from(utf8(message)), secretKey, options);
      expect(made).toBe(signature);
    } finally {
      SecureRandom.prototype.nextBytes = drawn;
    }
  });
  it('SM2 draws keys and nonces from our source; what sm-crypto draws itself is the system’s, not RC4', () => {
    const drawn = SecureRandom.prototype.nextBytes;
    const pair = gm.generateSigningKey();
    let draws = 0;
    try {
      SecureRandom.prototype.nextBytes = (target: number[]) => {
        draws++;
        drawn(target);
      };
      gm.generateSigningKey();
      gm.sign(pair.secretKey, empty);
      expect(draws).toBe(0);
      gm.seal(pair.publicKey, empty, empty);
      expect(draws).toBe(1);
    } finally {
      SecureRandom.prototype.nextBytes = drawn;
    }
    expect(drawn.toString()).toContain('randomBytes');
  });
  it('SM2 decryption (GB/T 32918.5 annex C)', () => {
    const { secretKey, plaintext, ciphertextC1C3C2 } = vectors.sm2;
    const opened = smCrypto.sm2.doDecrypt(ciphertextC1C3C2, secretKey, 1, { output: 'array' });
    expect(fromUtf8(Uint8Array.from(opened))).toBe(plaintext);
  });
  it('SM4-CTR of node:crypto is that of draft-ribose-cfrg-sm4 and of sm-crypto-v2 (GB/T 32907 A)', () => {
    const { key, plaintext, ciphertext, ctrIv, ctrPlaintext, ctrCiphertext } = vectors.sm4;
    const ecb = createCipheriv('sm4-ecb', fromHex(key), null).setAutoPadding(false);
    expect(ecb.update(plaintext, 'hex', 'hex')).toBe(ciphertext);
    const ctr = createCipheriv('sm4-ctr', fromHex(key), fromHex(ctrIv));
    expect(ctr.update(ctrPlaintext, 'hex', 'hex')).toBe(ctrCiphertext);
    expect(sm4v2.encrypt(fromHex(plaintext), key, { padding: 'none' })).toBe(ciphertext);
  });
});

describe('second implementations', () => {
  it('intl: noble verifies our signatures, we verify noble’s, and XChaCha opens both ways', () => {
    const random = seededRandom('suite cross-check');
    for (let i = 0; i < 10; i++) {
      const message = randomBytes(i * 7, random);
      const pair = intl.generateSigningKey(random);
      expect(toHex(ed25519.getPublicKey(pair.secretKey))).toBe(toHex(pair.publicKey));
      const signature = intl.sign(pair.secretKey, message);
      expect(ed25519.verify(signature, message, pair.publicKey, { zip215: false })).toBe(true);
      expect(intl.verify(pair.publicKey, message, ed25519.sign(message, pair.secretKey))).toBe(true);
      const key = randomBytes(32, random);
      const sealed = intl.encrypt(key, message, utf8('a'));
      const opened = xchacha20poly1305(key, sealed.subarray(0, 24), utf8('a')).decrypt(sealed.subarray(24));
      expect(toHex(opened)).toBe(toHex(message));
    }
  });
  it('intl: a sealed message opens with noble’s X25519 and the documented key schedule', () => {
    const pair = intl.generateSealingKey();
    const sealed = intl.seal(pair.publicKey, utf8('hello'), utf8('context'));
    const ephemeral = sealed.slice(1, 33);
    const frame = (bytes: Uint8Array) => concat(Uint8Array.of(bytes.length, 0, 0, 0), bytes);
    const info = concat(frame(utf8('pulsefold/v1/seal/intl')), frame(ephemeral), frame(pair.publicKey));
    const shared = x25519.getSharedSecret(pair.secretKey, ephemeral);
    const okm = new Uint8Array(hkdfSync('sha256', shared, empty, info, 56));
    const cipher = xchacha20poly1305(okm.subarray(0, 32), okm.subarray(32), utf8('context'));
    expect(fromUtf8(cipher.decrypt(sealed.subarray(33)))).toBe('hello');
  });
  it('gm: sm-crypto-v2 and we accept each other’s signatures and ciphertexts', () => {
    const message = utf8('both directions');
    const pair = gm.generateSigningKey();
    const [publicHex, secretHex] = [toHex(pair.publicKey), toHex(pair.secretKey)];
    expect(sm2v2.getPublicKeyFromPrivateKey(secretHex)).toBe(publicHex);
    const ours = gm.sign(pair.secretKey, message);
    expect(sm2v2.doVerifySignature(message, toHex(ours), publicHex, options)).toBe(true);
    const theirs = sm2v2.doSignature(message, secretHex, options);
    expect(gm.verify(pair.publicKey, message, fromHex(theirs))).toBe(true);
    // Without Z (hash: false) the signature must not pass: that is the trap the suite exists for.
    const bare = sm2v2.doSignature(message, secretHex, { hash: false });
    expect(gm.verify(pair.publicKey, message, fromHex(bare))).toBe(false);
    const otherUser = sm2v2.doSignature(message, secretHex, { hash: true, userId: '' });
    expect(gm.verify(pair.publicKey, message, fromHex(otherUser))).toBe(false);
    const sealed = gm.seal(pair.publicKey, utf8('secret'), empty);
    const key = sm2v2.doDecrypt(toHex(sealed.subarray(1, 129)), secretHex, 1, { output: 'array' });
    expect(key).toHaveLength(32);
  });
  it('gm: sm-crypto and we agree on every signature and every altered one', () => {
    const pair = gm.generateSigningKey(seededRandom('sm2'));
    const [publicHex, secretHex] = [toHex(pair.publicKey), toHex(pair.secretKey)];
    expect(smCrypto.sm2.getPublicKeyFromPrivateKey(secretHex)).toBe(publicHex);
    for (let i = 0; i < 6; i++) {
      const message = randomBytes(i * 11, seededRandom(`m${i}`));
      const ours = gm.sign(pair.secretKey, message);
      const theirs = fromHex(smCrypto.sm2.doSignature(Array.from(message), secretHex, options));
      const altered = ours.slice();
      altered[i * 9]! ^= 1;
      for (const signature of [ours, theirs, altered]) {
        const expected = signature !== altered;
        expect(gm.verify(pair.publicKey, message, signature)).toBe(expected);
        const reference = smCrypto.sm2.doVerifySignature(
          Array.from(message),
          toHex(signature),
          publicHex,
          options,
        );
        expect(reference).toBe(expected);
      }
    }
  });
  it('gm: sm3 of sm-crypto-v2 equals ours', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(sm3v2(bytes)).toBe(toHex(gm.digest(bytes)));
      }),
      { numRuns: 50 },
    );
  });
});

const openssl = (args: string[], input: Uint8Array) => spawnSync('openssl', args, { input });
const hasOpenssl = openssl(['dgst', '-sm3', '-hex'], empty).status === 0;

describe('OpenSSL command line', () => {
  it.skipIf(!hasOpenssl)('SM3 and SM4-CTR agree (skipped: no openssl with SM3)', () => {
    const message = randomBytes(1000);
    const digest = openssl(['dgst', '-sm3', '-binary'], message).stdout;
    expect(toHex(new Uint8Array(digest))).toBe(toHex(gm.digest(message)));
    const key = randomBytes(32);
    const sealed = gm.encrypt(key, message, empty);
    const cipherKey = new Uint8Array(hkdfSync('sm3', key, empty, utf8('pulsefold/v1/aead/gm'), 48)).subarray(
      0,
      16,
    );
    const iv = sealed.subarray(0, 16);
    const body = sealed.subarray(16, sealed.length - 32);
    const opened = openssl(['enc', '-d', '-sm4-ctr', '-K', toHex(cipherKey), '-iv', toHex(iv)], body);
    expect(toHex(new Uint8Array(opened.stdout))).toBe(toHex(message));
  });
});

describe.each(suiteNames)('suite %s', (name: SuiteName) => {
  const suite = getSuite(name);
  const signing = suite.generateSigningKey();
  const sealing = suite.generateSealingKey();
  const message = utf8('a statement');
  const signature = suite.sign(signing.secretKey, message);

  it('has the lengths it says', () => {
    expect(signing.publicKey).toHaveLength(suite.publicKeyBytes);
    expect(sealing.publicKey).toHaveLength(suite.publicKeyBytes);
    expect(signing.secretKey).toHaveLength(32);
    expect(signature).toHaveLength(suite.signatureBytes);
    expect(suite.isPublicKey('signing', signing.publicKey)).toBe(true);
    expect(suite.isPublicKey('sealing', sealing.publicKey)).toBe(true);
  });

  it('verifies only the signed message under the right key, and never throws', () => {
    expect(suite.verify(signing.publicKey, message, signature)).toBe(true);
    expect(suite.verify(signing.publicKey, utf8('another'), signature)).toBe(false);
    expect(suite.verify(suite.generateSigningKey().publicKey, message, signature)).toBe(false);
    for (const wrong of [
      empty,
      signature.subarray(1),
      concat(signature, Uint8Array.of(0)),
      new Uint8Array(64),
    ]) {
      expect(suite.verify(signing.publicKey, message, wrong)).toBe(false);
    }
    const hostile = [empty, new Uint8Array(32), new Uint8Array(65).fill(0xff), signing.publicKey.subarray(1)];
    for (const key of hostile) expect(suite.verify(key, message, signature)).toBe(false);
    expect(suite.verify(null as unknown as Uint8Array, message, signature)).toBe(false);
    expect(suite.verify(signing.publicKey, message, 'x' as unknown as Uint8Array)).toBe(false);
  });

  it('refuses every single flipped bit of a signature (sampled)', () => {
    for (let at = 0; at < 64; at += name === 'gm' ? 9 : 1) {
      const altered = signature.slice();
      altered[at]! ^= 1 << (at % 8);
      expect(suite.verify(signing.publicKey, message, altered)).toBe(false);
    }
  });

  it('seals and opens, and every altered byte or other context fails with one code', () => {
    const sealed = suite.seal(sealing.publicKey, message, utf8('context'));
    expect(toHex(suite.open(sealing.secretKey, sealed, utf8('context')))).toBe(toHex(message));
    expect(toHex(suite.seal(sealing.publicKey, message, utf8('context')))).not.toBe(toHex(sealed));
    const failures = [
      () => suite.open(sealing.secretKey, sealed, utf8('other')),
      () => suite.open(suite.generateSealingKey().secretKey, sealed, utf8('context')),
      () => suite.open(sealing.secretKey, sealed.subarray(0, 20), utf8('context')),
      () => suite.open(sealing.secretKey, empty, empty),
    ];
    for (const failure of failures) expect(codeOf(failure)).toBe('DECRYPTION_FAILED');
    for (let at = 0; at < sealed.length; at += name === 'gm' ? 23 : 3) {
      const altered = sealed.slice();
      altered[at]! ^= 0x40;
      expect(codeOf(() => suite.open(sealing.secretKey, altered, utf8('context')))).toBe('DECRYPTION_FAILED');
    }
  });

  it('encrypts and decrypts any bytes; nothing altered, moved or cut passes', () => {
    const key = randomBytes(32);
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.uint8Array({ maxLength: 40 }),
        fc.nat(),
        (plain, data, n) => {
          const sealed = suite.encrypt(key, plain, data);
          expect(toHex(suite.decrypt(key, sealed, data))).toBe(toHex(plain));
          const altered = sealed.slice();
          altered[n % altered.length]! ^= 1;
          expect(codeOf(() => suite.decrypt(key, altered, data))).toBe('DECRYPTION_FAILED');
          const cut = sealed.subarray(0, n % sealed.length);
          expect(codeOf(() => suite.decrypt(key, cut, data))).toBe('DECRYPTION_FAILED');
          const moved = concat(data, Uint8Array.of(1));
          expect(codeOf(() => suite.decrypt(key, sealed, moved))).toBe('DECRYPTION_FAILED');
        },
      ),
      { numRuns: 60 },
    );
  });

  it('refuses keys of the wrong kind with a code', () => {
    expect(codeOf(() => suite.sign(new Uint8Array(31), message))).toBe('FIELD_OUT_OF_RANGE');
    expect(codeOf(() => suite.seal(new Uint8Array(suite.publicKeyBytes), message, empty))).toBe(
      'FIELD_OUT_OF_RANGE',
    );
    expect(codeOf(() => suite.encrypt(new Uint8Array(16), message, empty))).toBe('FIELD_OUT_OF_RANGE');
  });
});

describe('non-canonical and small-order encodings', () => {
  it('intl: refuses S + L, the weak keys, and encodings of y that are not reduced', () => {
    const pair = intl.generateSigningKey();
    const message = utf8('m');
    const signature = intl.sign(pair.secretKey, message);
    const L = 2n ** 252n + 27742317777372353535851937790883648493n;
    let s = 0n;
    for (let i = 63; i >= 32; i--) s = s * 256n + BigInt(signature[i]!);
    const malleated = signature.slice();
    for (let i = 32, v = s + L; i < 64; i++, v >>= 8n) malleated[i] = Number(v & 255n);
    expect(intl.verify(pair.publicKey, message, malleated)).toBe(false);

    // For the identity as key, R = identity and S = 0 satisfy the equation for every message: OpenSSL alone says yes.
    const identity = new Uint8Array(32);
    identity[0] = 1;
    expect(intl.verify(identity, message, concat(identity, new Uint8Array(32)))).toBe(false);
    let point = ed25519.Point.ZERO;
    const torsion = ed25519.Point.fromHex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a');
    for (let i = 0; i < 8; i++) {
      expect(point.isSmallOrder()).toBe(true);
      expect(intl.isPublicKey('signing', point.toBytes())).toBe(false);
      point = point.add(torsion);
    }
    expect(point.equals(ed25519.Point.ZERO)).toBe(true);
    const unreduced = fromHex('f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'); // p + 3
    expect(intl.isPublicKey('signing', unreduced)).toBe(false);
  });
  it('intl: refuses low-order X25519 points when sealing and opening', () => {
    const low = fromHex('e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800');
    expect(intl.isPublicKey('sealing', low)).toBe(false);
    expect(codeOf(() => intl.seal(low, empty, empty))).toBe('FIELD_OUT_OF_RANGE');
    const pair = intl.generateSealingKey();
    const forged = concat(Uint8Array.of(1), low, new Uint8Array(16));
    expect(codeOf(() => intl.open(pair.secretKey, forged, empty))).toBe('DECRYPTION_FAILED');
  });
  it('gm: refuses points off the curve, infinity, compressed forms and secrets out of range', () => {
    const { publicKey } = gm.generateSigningKey();
    const off = publicKey.slice();
    off[64]! ^= 1;
    const compressed = concat(Uint8Array.of(2), publicKey.subarray(1, 33));
    const hybrid = concat(Uint8Array.of(6), publicKey.subarray(1));
    for (const key of [off, compressed, hybrid, new Uint8Array(1), new Uint8Array(65)]) {
      expect(gm.isPublicKey('signing', key)).toBe(false);
    }
    const n = fromHex('fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123');
    for (const secret of [new Uint8Array(32), n]) {
      expect(codeOf(() => gm.sign(secret, empty))).toBe('FIELD_OUT_OF_RANGE');
    }
  });
});

it('getSuite refuses a name from outside', () => {
  expect(codeOf(() => getSuite('none' as SuiteName))).toBe('FIELD_OUT_OF_RANGE');
});
