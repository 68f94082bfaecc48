/**
 * Suite `intl`: Ed25519, X25519, SHA-256, XChaCha20-Poly1305.
 *
 * For: suite.ts only. Trusts: node:crypto for curve and hash, @noble/ciphers for XChaCha20-Poly1305 (Node has no
 * XChaCha). Follows RFC 8032 §5.1, RFC 7748 §6.1, RFC 5869 and draft-irtf-cfrg-xchacha-03.
 */

import {
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  sign as edSign,
  verify as edVerify,
  hash,
  hkdfSync,
  type KeyObject,
} from 'node:crypto';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { concat, equalBytes, fromHex, toHex, transcript } from '../bytes.ts';
import { ensure, PulsefoldError } from '../error.ts';
import { type RandomSource, randomBytes, systemRandom } from '../random.ts';
import { BoundedCache } from './bounded-cache.ts';
import type { KeyPair, Suite } from './suite.ts';

type Curve = 'Ed25519' | 'X25519';
const KEY_BYTES = 32;
const NONCE_BYTES = 24;
const TAG_BYTES = 16;
const SEAL_VERSION = 1;

// RFC 8410 §7: the DER that stands before the 32 raw bytes of a private key.
const PRIVATE_PREFIX = {
  Ed25519: fromHex('302e020100300506032b657004220420'),
  X25519: fromHex('302e020100300506032b656e04220420'),
};
const PUBLIC_PREFIX = {
  Ed25519: fromHex('302a300506032b6570032100'),
  X25519: fromHex('302a300506032b656e032100'),
};

// y coordinates (sign bit cleared) of the eight points whose order divides 8. A key among them would let one
// signature verify for many messages.
const SMALL_ORDER_Y = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]);

/** RFC 8032 §5.1.3 step 1: y < p = 2^255 − 19, little-endian, top bit the sign of x. */
function isCanonicalY(encoded: Uint8Array): boolean {
  if ((encoded[31]! & 0x7f) !== 0x7f) return true;
  for (let i = 1; i < 31; i++) if (encoded[i] !== 0xff) return true;
  return encoded[0]! < 0xed;
}

const importPrivate = (curve: Curve, secretKey: Uint8Array): KeyObject => {
  ensure(secretKey.length === KEY_BYTES, 'FIELD_OUT_OF_RANGE', `a ${curve} secret key has 32 bytes`);
  const der = Buffer.from(concat(PRIVATE_PREFIX[curve], secretKey));
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  } finally {
    der.fill(0);
  }
};

const importPublic = (curve: Curve, publicKey: Uint8Array): KeyObject =>
  createPublicKey({
    key: Buffer.from(concat(PUBLIC_PREFIX[curve], publicKey)),
    format: 'der',
    type: 'spki',
  });

const publicOf = (curve: Curve, secretKey: Uint8Array): Uint8Array =>
  new Uint8Array(
    createPublicKey(importPrivate(curve, secretKey)).export({ format: 'der', type: 'spki' }),
  ).slice(PUBLIC_PREFIX[curve].length);

function generate(curve: Curve, random: RandomSource): KeyPair {
  const secretKey = randomBytes(KEY_BYTES, random);
  return { publicKey: publicOf(curve, secretKey), secretKey };
}

// Importing costs twice as much as signing. By the array that holds the key, and gone with it; the digest makes an array
// that was overwritten or wiped import anew. Whoever has the array has the key anyway.
const signingKeys = new WeakMap<Uint8Array, { readonly digest: Uint8Array; readonly key: KeyObject }>();

function signingKey(secretKey: Uint8Array): KeyObject {
  const digest = new Uint8Array(createHash('sha256').update(secretKey).digest());
  const known = signingKeys.get(secretKey);
  if (known && equalBytes(known.digest, digest)) return known.key;
  const key = importPrivate('Ed25519', secretKey);
  signingKeys.set(secretKey, { digest, key });
  return key;
}

// Importing costs as much as verifying, and a cohort's keys come back every round: room for the largest cohort, since a
// cache that is a little too small for what goes round in it never hits. Public keys only; `null` = refused.
const verificationKeys = new BoundedCache<KeyObject | null>(131_072);

function verificationKey(publicKey: Uint8Array): KeyObject | null {
  if (publicKey.length !== KEY_BYTES) return null;
  const hex = toHex(publicKey);
  const known = verificationKeys.get(hex);
  if (known !== undefined) return known;
  const key = importVerificationKey(publicKey);
  verificationKeys.set(hex, key);
  return key;
}

function importVerificationKey(publicKey: Uint8Array): KeyObject | null {
  if (!isCanonicalY(publicKey)) return null;
  const y = Uint8Array.from(publicKey);
  y[31]! &= 0x7f;
  if (SMALL_ORDER_Y.has(toHex(y))) return null;
  try {
    return importPublic('Ed25519', publicKey);
  } catch {
    return null;
  }
}

function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (!(signature instanceof Uint8Array) || signature.length !== 64) return false;
  if (!(publicKey instanceof Uint8Array) || !(message instanceof Uint8Array)) return false;
  const key = verificationKey(publicKey);
  if (key === null) return false;
  try {
    // OpenSSL refuses S ≥ L and compares the encoding of R, so a second encoding of a signature does not pass.
    return edVerify(null, message, key, signature);
  } catch {
    return false;
  }
}

/** A low-order point gives an all-zero secret, which node:crypto refuses. Null = unusable. */
function sharedSecret(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array | null {
  if (publicKey.length !== KEY_BYTES) return null;
  const privateKey = importPrivate('X25519', secretKey);
  try {
    return new Uint8Array(diffieHellman({ privateKey, publicKey: importPublic('X25519', publicKey) }));
  } catch {
    return null;
  }
}

/** Key and nonce bound to both public keys; unique because the ephemeral key is. */
function sealKeys(
  shared: Uint8Array,
  ephemeral: Uint8Array,
  recipient: Uint8Array,
): [Uint8Array, Uint8Array] {
  const info = transcript('seal/intl', ephemeral, recipient);
  const okm = new Uint8Array(hkdfSync('sha256', shared, new Uint8Array(0), info, KEY_BYTES + NONCE_BYTES));
  return [okm.subarray(0, KEY_BYTES), okm.subarray(KEY_BYTES)];
}

function seal(
  recipientPublicKey: Uint8Array,
  plaintext: Uint8Array,
  associatedData: Uint8Array,
  random: RandomSource = systemRandom,
): Uint8Array {
  const ephemeral = generate('X25519', random);
  const shared = sharedSecret(ephemeral.secretKey, recipientPublicKey);
  ensure(shared, 'FIELD_OUT_OF_RANGE', 'not a usable X25519 public key: 32 bytes, not of small order');
  const [key, nonce] = sealKeys(shared, ephemeral.publicKey, recipientPublicKey);
  const body = xchacha20poly1305(key, nonce, associatedData).encrypt(plaintext);
  return concat(Uint8Array.of(SEAL_VERSION), ephemeral.publicKey, body);
}

const decryptionFailed = (): PulsefoldError =>
  new PulsefoldError(
    'DECRYPTION_FAILED',
    'ciphertext does not open: wrong key, wrong context or altered bytes',
  );

function open(recipientSecretKey: Uint8Array, sealed: Uint8Array, associatedData: Uint8Array): Uint8Array {
  if (sealed.length < 1 + KEY_BYTES + TAG_BYTES || sealed[0] !== SEAL_VERSION) throw decryptionFailed();
  const ephemeral = sealed.subarray(1, 1 + KEY_BYTES);
  const shared = sharedSecret(recipientSecretKey, ephemeral);
  if (shared === null) throw decryptionFailed();
  const [key, nonce] = sealKeys(shared, ephemeral, publicOf('X25519', recipientSecretKey));
  try {
    return xchacha20poly1305(key, nonce, associatedData).decrypt(sealed.subarray(1 + KEY_BYTES));
  } catch {
    throw decryptionFailed();
  }
}

const checkKey = (key: Uint8Array): void =>
  ensure(key.length === KEY_BYTES, 'FIELD_OUT_OF_RANGE', 'an encryption key has 32 bytes');

export const intlSuite: Suite = {
  name: 'intl',
  publicKeyBytes: KEY_BYTES,
  signatureBytes: 64,
  digest(...parts) {
    // Without an object for the hash it takes half the time.
    const [only] = parts;
    if (only && parts.length === 1) return new Uint8Array(hash('sha256', only, 'buffer'));
    const hasher = createHash('sha256');
    for (const part of parts) hasher.update(part);
    return new Uint8Array(hasher.digest());
  },
  mac(key, ...parts) {
    const hmac = createHmac('sha256', key);
    for (const part of parts) hmac.update(part);
    return new Uint8Array(hmac.digest());
  },
  generateSigningKey: (random = systemRandom) => generate('Ed25519', random),
  sign: (secretKey, message) => new Uint8Array(edSign(null, message, signingKey(secretKey))),
  verify,
  generateSealingKey: (random = systemRandom) => generate('X25519', random),
  isPublicKey(kind, publicKey) {
    if (!(publicKey instanceof Uint8Array) || publicKey.length !== KEY_BYTES) return false;
    if (kind === 'signing') return verificationKey(publicKey) !== null;
    return sharedSecret(randomBytes(KEY_BYTES), publicKey) !== null;
  },
  seal,
  open,
  encrypt(key, plaintext, associatedData, random = systemRandom) {
    checkKey(key);
    const nonce = randomBytes(NONCE_BYTES, random);
    return concat(nonce, xchacha20poly1305(key, nonce, associatedData).encrypt(plaintext));
  },
  decrypt(key, ciphertext, associatedData) {
    checkKey(key);
    if (ciphertext.length < NONCE_BYTES + TAG_BYTES) throw decryptionFailed();
    const nonce = ciphertext.subarray(0, NONCE_BYTES);
    try {
      return xchacha20poly1305(key, nonce, associatedData).decrypt(ciphertext.subarray(NONCE_BYTES));
    } catch {
      throw decryptionFailed();
    }
  },
};
