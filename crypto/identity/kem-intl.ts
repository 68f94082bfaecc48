/**
 * KEMs of suite `intl`: X25519 for all recipients under one ephemeral key, alone or joined with ML-KEM-768.
 *
 * For: kem.ts, whose header has layout and key schedule. The hybrid's secret is the concatenation of both
 * outputs under one HKDF with both ciphertexts and all keys bound (as X-Wing and TLS do), so it stands while
 * either part does. One-time encryption is ChaCha20-Poly1305 (RFC 8439) of noble under a zero nonce: its key
 * comes out of an encapsulation and encrypts once; it also runs in a browser, and for 64 bytes it is quicker
 * than setting up a node:crypto cipher. Trusts: node:crypto, @noble/ciphers. May be called by: kem.ts.
 */
import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from 'node:crypto';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { concat, equalBytes, fromHex, toHex } from '../bytes.ts';
import { ensure } from '../error.ts';
import { type RandomSource, randomBytes, systemRandom } from '../random.ts';
import { BoundedCache } from './bounded-cache.ts';
import type { Encapsulation, Kem, KemName, KemRecipient } from './kem.ts';
import {
  bindingOf,
  checkIndex,
  checkRecipients,
  decryptionFailed,
  deriveSharedKey,
  digestOfKeys,
} from './kem-schedule.ts';
import {
  hasMlKem,
  loadMlKem,
  mlKemCiphertextBytes,
  mlKemPublicKeyBytes,
  mlKemSecretKeyBytes,
} from './ml-kem.ts';
import type { KeyPair } from './suite.ts';

const KEY_BYTES = 32;
const TAG_BYTES = 16;
const HASH = 'sha256';
const ZERO_NONCE = new Uint8Array(12);
// RFC 8410 §7.
const SECRET_PREFIX = fromHex('302e020100300506032b656e04220420');
const PUBLIC_PREFIX = fromHex('302a300506032b656e032100');

function importSecret(secretKey: Uint8Array): KeyObject {
  ensure(secretKey.length === KEY_BYTES, 'FIELD_OUT_OF_RANGE', 'an X25519 secret key has 32 bytes');
  const key = Buffer.from(concat(SECRET_PREFIX, secretKey));
  try {
    return createPrivateKey({ key, format: 'der', type: 'pkcs8' });
  } finally {
    key.fill(0);
  }
}

const importPublic = (publicKey: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.from(concat(PUBLIC_PREFIX, publicKey)), format: 'der', type: 'spki' });

const publicOf = (secret: KeyObject): Uint8Array =>
  new Uint8Array(createPublicKey(secret).export({ format: 'der', type: 'spki' })).slice(PUBLIC_PREFIX.length);

/**
 * u < p = 2^255 − 19 and the ignored top bit clear: one key, one encoding (RFC 7748 §5 would mask and
 * reduce).
 */
function isCanonicalU(encoded: Uint8Array): boolean {
  const top = encoded[31]!;
  if (top < 0x7f) return true;
  if (top > 0x7f) return false;
  for (let i = 30; i >= 1; i--) if (encoded[i] !== 0xff) return true;
  return encoded[0]! < 0xed;
}

/** Null for a point of small order: its all-zero output is refused by node:crypto (RFC 7748 §6.1). */
function agree(secret: KeyObject, publicKey: KeyObject): Uint8Array | null {
  try {
    return diffieHellman({ privateKey: secret, publicKey });
  } catch {
    return null;
  }
}

// A device seals to the keys of one round; a simulation seals to the same ones thousands of times. Public
// keys only.
const publicKeys = new BoundedCache<KeyObject>(64);

function publicKeyObject(publicKey: Uint8Array): KeyObject {
  const hex = toHex(publicKey);
  const known = publicKeys.get(hex);
  if (known) return known;
  const imported = importPublic(publicKey);
  publicKeys.set(hex, imported);
  return imported;
}

let probe: KeyObject | undefined;

function isX25519Key(publicKey: Uint8Array): boolean {
  if (!(publicKey instanceof Uint8Array) || publicKey.length !== KEY_BYTES || !isCanonicalU(publicKey)) {
    return false;
  }
  probe ??= importSecret(randomBytes(KEY_BYTES));
  return agree(probe, importPublic(publicKey)) !== null;
}

const badPublicKey = 'not a usable X25519 public key: 32 canonical bytes, not of small order';

interface Sender {
  readonly ephemeral: Uint8Array;
  /** X25519 outputs, one per recipient. */
  readonly secrets: Uint8Array[];
}

function agreeWithAll(recipients: readonly Uint8Array[], random: RandomSource): Sender {
  checkRecipients(recipients);
  const seed = randomBytes(KEY_BYTES, random);
  const secret = importSecret(seed);
  seed.fill(0);
  const secrets = recipients.map((publicKey) => {
    const usable = publicKey.length === KEY_BYTES && isCanonicalU(publicKey);
    const shared = usable ? agree(secret, publicKeyObject(publicKey)) : null;
    ensure(shared, 'FIELD_OUT_OF_RANGE', badPublicKey);
    return shared;
  });
  return { ephemeral: publicOf(secret), secrets };
}

function deriveAll(
  name: KemName,
  recipients: readonly Uint8Array[],
  encapsulation: Uint8Array,
  context: Uint8Array,
  secrets: readonly Uint8Array[],
): Encapsulation {
  const binding = bindingOf(HASH, name, digestOfKeys(HASH, name, recipients), encapsulation, context);
  const sharedKeys = secrets.map((secret, i) => {
    const key = deriveSharedKey(HASH, name, secret, i + 1, binding);
    secret.fill(0);
    return key;
  });
  return { encapsulation, sharedKeys };
}

function checkOwn(own: Uint8Array, recipients: readonly Uint8Array[], index: number): void {
  ensure(
    equalBytes(own, recipients[index - 1]!),
    'WRONG_COMMITTEE_KEY',
    'the secret key does not belong to this place in the committee key',
  );
}

const checkEncapsulation = (encapsulation: Uint8Array, expectedBytes: number): void =>
  ensure(
    encapsulation.length === expectedBytes,
    'MALFORMED_MESSAGE',
    `an encapsulation has ${expectedBytes} bytes`,
  );

const once = {
  onceOverheadBytes: TAG_BYTES,
  sealOnce(key: Uint8Array, plaintext: Uint8Array, associatedData: Uint8Array): Uint8Array {
    ensure(key.length === KEY_BYTES, 'FIELD_OUT_OF_RANGE', 'an encryption key has 32 bytes');
    return chacha20poly1305(key, ZERO_NONCE, associatedData).encrypt(plaintext);
  },
  openOnce(key: Uint8Array, sealed: Uint8Array, associatedData: Uint8Array): Uint8Array {
    ensure(key.length === KEY_BYTES, 'FIELD_OUT_OF_RANGE', 'an encryption key has 32 bytes');
    try {
      return chacha20poly1305(key, ZERO_NONCE, associatedData).decrypt(sealed);
    } catch {
      throw decryptionFailed();
    }
  },
};

export const x25519Kem: Kem = {
  name: 'x25519',
  suite: 'intl',
  publicKeyBytes: KEY_BYTES,
  secretKeyBytes: KEY_BYTES,
  ...once,
  encapsulationBytes: () => KEY_BYTES,
  generateKey(random = systemRandom): KeyPair {
    const secretKey = randomBytes(KEY_BYTES, random);
    return { publicKey: publicOf(importSecret(secretKey)), secretKey };
  },
  isPublicKey: isX25519Key,
  encapsulate(recipients, context, random = systemRandom) {
    const { ephemeral, secrets } = agreeWithAll(recipients, random);
    return deriveAll('x25519', recipients, ephemeral, context, secrets);
  },
  recipient(secretKey, recipients, index): KemRecipient {
    checkIndex(recipients, index);
    const secret = importSecret(secretKey);
    checkOwn(publicOf(secret), recipients, index);
    const keysDigest = digestOfKeys(HASH, 'x25519', recipients);
    return {
      decapsulate(encapsulation, context) {
        checkEncapsulation(encapsulation, KEY_BYTES);
        const shared = agree(secret, importPublic(encapsulation));
        if (shared === null) throw decryptionFailed();
        const binding = bindingOf(HASH, 'x25519', keysDigest, encapsulation, context);
        const key = deriveSharedKey(HASH, 'x25519', shared, index, binding);
        shared.fill(0);
        return key;
      },
    };
  },
};

const HYBRID = 'x25519-ml-kem-768';
const HYBRID_KEY_BYTES = KEY_BYTES + mlKemPublicKeyBytes;
const x25519Part = (key: Uint8Array): Uint8Array => key.subarray(0, KEY_BYTES);
const mlKemPart = (key: Uint8Array): Uint8Array => key.subarray(KEY_BYTES);

/** X25519 output ‖ ML-KEM shared key; wipes both parts. */
function joinSecrets(first: Uint8Array, second: Uint8Array): Uint8Array {
  const joined = concat(first, second);
  first.fill(0);
  second.fill(0);
  return joined;
}

export const x25519MlKemKem: Kem = {
  name: HYBRID,
  suite: 'intl',
  publicKeyBytes: HYBRID_KEY_BYTES,
  secretKeyBytes: KEY_BYTES + mlKemSecretKeyBytes,
  ...once,
  encapsulationBytes: (recipientCount) => KEY_BYTES + recipientCount * mlKemCiphertextBytes,
  generateKey(random = systemRandom): KeyPair {
    const mlKem = loadMlKem();
    const secretKey = randomBytes(KEY_BYTES + mlKemSecretKeyBytes, random);
    const publicKey = concat(
      publicOf(importSecret(x25519Part(secretKey))),
      mlKem.publicOf(mlKem.importSecret(mlKemPart(secretKey))),
    );
    return { publicKey, secretKey };
  },
  isPublicKey(publicKey) {
    if (!(publicKey instanceof Uint8Array) || publicKey.length !== HYBRID_KEY_BYTES || !hasMlKem()) {
      return false;
    }
    return isX25519Key(x25519Part(publicKey)) && loadMlKem().importPublic(mlKemPart(publicKey)) !== null;
  },
  encapsulate(recipients, context, random = systemRandom) {
    const mlKem = loadMlKem();
    // A cut key would otherwise only show in its second half, with the first already used.
    const whole = recipients.every((publicKey) => publicKey.length === HYBRID_KEY_BYTES);
    ensure(whole, 'FIELD_OUT_OF_RANGE', `a hybrid public key has ${HYBRID_KEY_BYTES} bytes`);
    const { ephemeral, secrets } = agreeWithAll(recipients.map(x25519Part), random);
    const parts = [ephemeral];
    const joined = recipients.map((publicKey, i) => {
      const key = mlKem.importPublic(mlKemPart(publicKey));
      ensure(
        key,
        'FIELD_OUT_OF_RANGE',
        'not a usable ML-KEM-768 public key: 1184 bytes, residues below 3329',
      );
      const { ciphertext, sharedKey } = mlKem.encapsulate(key);
      parts.push(ciphertext);
      return joinSecrets(secrets[i]!, sharedKey);
    });
    return deriveAll(HYBRID, recipients, concat(...parts), context, joined);
  },
  recipient(secretKey, recipients, index): KemRecipient {
    checkIndex(recipients, index);
    ensure(
      secretKey.length === KEY_BYTES + mlKemSecretKeyBytes,
      'FIELD_OUT_OF_RANGE',
      'a hybrid secret key has 96 bytes',
    );
    const mlKem = loadMlKem();
    const secret = importSecret(x25519Part(secretKey));
    const mlKemSecret = mlKem.importSecret(mlKemPart(secretKey));
    checkOwn(concat(publicOf(secret), mlKem.publicOf(mlKemSecret)), recipients, index);
    const keysDigest = digestOfKeys(HASH, HYBRID, recipients);
    return {
      decapsulate(encapsulation, context) {
        checkEncapsulation(encapsulation, KEY_BYTES + recipients.length * mlKemCiphertextBytes);
        const shared = agree(secret, importPublic(x25519Part(encapsulation)));
        if (shared === null) throw decryptionFailed();
        const at = KEY_BYTES + (index - 1) * mlKemCiphertextBytes;
        const ciphertext = encapsulation.subarray(at, at + mlKemCiphertextBytes);
        const joined = joinSecrets(shared, mlKem.decapsulate(mlKemSecret, ciphertext));
        const binding = bindingOf(HASH, HYBRID, keysDigest, encapsulation, context);
        const key = deriveSharedKey(HASH, HYBRID, joined, index, binding);
        joined.fill(0);
        return key;
      },
    };
  },
};
