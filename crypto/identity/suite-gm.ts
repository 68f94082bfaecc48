/**
 * Suite `gm`: SM2, SM3, SM4 (GB/T 32918, 32905, 32907).
 *
 * For: suite.ts only. Trusts: sm-crypto 0.5.8 for SM2, noble's curve for verification (sm2-curve.ts; node:crypto signs plain ECDSA, or SM2 with an empty user ID,
 * without an error), node:crypto for SM3 and SM4. sm-crypto's own generator is RC4 under a system-random key, which
 * must not feed nonces: signatures get theirs from our source, and the one method of its generator is replaced below for
 * encryption. SM2 is variable-time JavaScript: the suite assumes that nobody times single signatures of a device.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  hkdfSync,
  timingSafeEqual,
} from 'node:crypto';
import smCrypto, { type JsbnInteger } from 'sm-crypto';
import { SecureRandom } from 'sm-crypto/src/sm2/rng.js';
import { concat, fromHex, toHex, transcript, uint64, utf8 } from '../bytes.ts';
import { ensure, PulsefoldError } from '../error.ts';
import { type RandomSource, randomBytes, systemRandom } from '../random.ts';
import {
  decodePoint,
  multiplyBase,
  randomScalar,
  SM2_ORDER,
  SM2_PUBLIC_KEY_BYTES,
  SM2_USER_ID,
  secretScalar,
  verifySm2,
} from './sm2-curve.ts';
import type { KeyPair, Suite } from './suite.ts';

const { sm2 } = smCrypto;

const KEY_BYTES = 32;
const IV_BYTES = 16;
const TAG_BYTES = 32;
const SEAL_VERSION = 2;
// C1 (64, without 0x04) ‖ C3 (32) ‖ C2 (32): the 32-byte key under SM2, order C1C3C2 of GB/T 32918.4.
const SEALED_KEY_BYTES = 128;
const C1C3C2 = 1;

// Whatever sm-crypto still draws by itself (the ephemeral key of an encryption) passes through this method.
SecureRandom.prototype.nextBytes = (target: number[]): void => {
  const fresh = randomBytes(target.length);
  for (let i = 0; i < target.length; i++) target[i] = fresh[i]!;
};

// jsbn's class is not exported; a point that sm-crypto made shows it.
const BigInteger = sm2.getPoint().k.constructor as new (hex: string, radix: 16) => JsbnInteger;

const scalarHex = (scalar: bigint): string => scalar.toString(16).padStart(64, '0');

function generate(random: RandomSource): KeyPair {
  let scalar = randomScalar(random);
  // GB/T 32918.2 §6.1 leaves out n−1, for which signing cannot work.
  while (scalar === SM2_ORDER - 1n) scalar = randomScalar(random);
  return { publicKey: multiplyBase(scalar), secretKey: fromHex(scalarHex(scalar)) };
}

/** sm-crypto does the arithmetic of the signature; public key and nonce point, its two slow parts, are given to it. */
function sign(secretKey: Uint8Array, message: Uint8Array): Uint8Array {
  const publicKey = toHex(multiplyBase(secretScalar(secretKey)));
  const nonce = randomScalar(systemRandom);
  const x1 = toHex(multiplyBase(nonce).subarray(1, 33));
  const signature = sm2.doSignature(Array.from(message), toHex(secretKey), {
    hash: true,
    userId: SM2_USER_ID,
    publicKey,
    pointPool: [{ k: new BigInteger(scalarHex(nonce), 16), x1: new BigInteger(x1, 16) }],
  });
  return fromHex(signature);
}

function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (!(signature instanceof Uint8Array) || !(message instanceof Uint8Array)) return false;
  try {
    return verifySm2(publicKey, message, signature);
  } catch {
    return false;
  }
}

const isPublicKey = (publicKey: Uint8Array): boolean => decodePoint(publicKey) !== null;

const decryptionFailed = (): PulsefoldError =>
  new PulsefoldError(
    'DECRYPTION_FAILED',
    'ciphertext does not open: wrong key, wrong context or altered bytes',
  );

/** Separate cipher and MAC keys (16 and 32 bytes) from one 32-byte key by HKDF-SM3. */
function splitKey(key: Uint8Array): [Uint8Array, Uint8Array] {
  ensure(key.length === KEY_BYTES, 'FIELD_OUT_OF_RANGE', 'an encryption key has 32 bytes');
  const okm = new Uint8Array(hkdfSync('sm3', key, new Uint8Array(0), utf8('pulsefold/v1/aead/gm'), 48));
  return [okm.subarray(0, 16), okm.subarray(16)];
}

/** HMAC-SM3 over associated data, nonce and ciphertext; the length first makes the split unambiguous. */
function tag(macKey: Uint8Array, associatedData: Uint8Array, ivAndBody: Uint8Array): Uint8Array {
  const hmac = createHmac('sm3', macKey);
  hmac.update(uint64(associatedData.length)).update(associatedData).update(ivAndBody);
  return new Uint8Array(hmac.digest());
}

function encrypt(
  key: Uint8Array,
  plaintext: Uint8Array,
  associatedData: Uint8Array,
  random: RandomSource = systemRandom,
): Uint8Array {
  const [cipherKey, macKey] = splitKey(key);
  const iv = randomBytes(IV_BYTES, random);
  const cipher = createCipheriv('sm4-ctr', cipherKey, iv);
  const ivAndBody = concat(iv, cipher.update(plaintext), cipher.final());
  return concat(ivAndBody, tag(macKey, associatedData, ivAndBody));
}

function decrypt(key: Uint8Array, ciphertext: Uint8Array, associatedData: Uint8Array): Uint8Array {
  const [cipherKey, macKey] = splitKey(key);
  if (ciphertext.length < IV_BYTES + TAG_BYTES) throw decryptionFailed();
  const ivAndBody = ciphertext.subarray(0, ciphertext.length - TAG_BYTES);
  const expected = tag(macKey, associatedData, ivAndBody);
  if (!timingSafeEqual(expected, ciphertext.subarray(ivAndBody.length))) throw decryptionFailed();
  const decipher = createDecipheriv('sm4-ctr', cipherKey, ivAndBody.subarray(0, IV_BYTES));
  return concat(decipher.update(ivAndBody.subarray(IV_BYTES)), decipher.final());
}

function seal(
  recipientPublicKey: Uint8Array,
  plaintext: Uint8Array,
  associatedData: Uint8Array,
  random: RandomSource = systemRandom,
): Uint8Array {
  ensure(
    isPublicKey(recipientPublicKey),
    'FIELD_OUT_OF_RANGE',
    'not an uncompressed SM2 public key of 65 bytes',
  );
  const key = randomBytes(KEY_BYTES, random);
  const sealedKey = fromHex(sm2.doEncrypt(Array.from(key), toHex(recipientPublicKey), C1C3C2));
  // The sealed key is part of the associated data: body and key of two messages cannot be exchanged.
  const bound = transcript('seal/gm', recipientPublicKey, sealedKey, associatedData);
  return concat(Uint8Array.of(SEAL_VERSION), sealedKey, encrypt(key, plaintext, bound, random));
}

function open(recipientSecretKey: Uint8Array, sealed: Uint8Array, associatedData: Uint8Array): Uint8Array {
  const scalar = secretScalar(recipientSecretKey);
  const shortest = 1 + SEALED_KEY_BYTES + IV_BYTES + TAG_BYTES;
  if (sealed.length < shortest || sealed[0] !== SEAL_VERSION) throw decryptionFailed();
  const sealedKey = sealed.subarray(1, 1 + SEALED_KEY_BYTES);
  const c1 = concat(Uint8Array.of(4), sealedKey.subarray(0, 64));
  if (!isPublicKey(c1)) throw decryptionFailed();
  const key = sm2.doDecrypt(toHex(sealedKey), scalarHex(scalar), C1C3C2, { output: 'array' });
  if (key.length !== KEY_BYTES) throw decryptionFailed();
  const recipient = multiplyBase(scalar);
  const bound = transcript('seal/gm', recipient, sealedKey, associatedData);
  return decrypt(Uint8Array.from(key), sealed.subarray(1 + SEALED_KEY_BYTES), bound);
}

export const gmSuite: Suite = {
  name: 'gm',
  publicKeyBytes: SM2_PUBLIC_KEY_BYTES,
  signatureBytes: 64,
  digest(...parts) {
    const hash = createHash('sm3');
    for (const part of parts) hash.update(part);
    return new Uint8Array(hash.digest());
  },
  mac(key, ...parts) {
    const hmac = createHmac('sm3', key);
    for (const part of parts) hmac.update(part);
    return new Uint8Array(hmac.digest());
  },
  generateSigningKey: (random = systemRandom) => generate(random),
  sign,
  verify,
  generateSealingKey: (random = systemRandom) => generate(random),
  isPublicKey: (_kind, publicKey) => isPublicKey(publicKey),
  seal,
  open,
  encrypt,
  decrypt,
};
