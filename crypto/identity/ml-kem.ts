/**
 * ML-KEM-768 (FIPS 203) of node:crypto, with raw keys, where the runtime has it.
 *
 * For: kem-intl.ts. Needs `crypto.encapsulate` (Node 24.7 or later on OpenSSL 3.5 or later). OpenSSL checks
 * the modulus of public keys (FIPS 203 §7.2) on import and rejects bad ciphertexts implicitly: they give an
 * unrelated key. Encapsulation draws from OpenSSL's own generator, not from a RandomSource. Trusts:
 * node:crypto. Keys and ciphertexts are hostile input. May be called by: kem-intl.ts and tests.
 */
import crypto, { type KeyObject } from 'node:crypto';
import { concat, fromHex } from '../bytes.ts';
import { ensure } from '../error.ts';

export const mlKemPublicKeyBytes = 1184;
/** The seed d ‖ z of FIPS 203 §7.1, from which key generation is deterministic. */
export const mlKemSecretKeyBytes = 64;
export const mlKemCiphertextBytes = 1088;

// RFC 9935: SubjectPublicKeyInfo, and PKCS #8 in its seed-only form, before the raw bytes.
const PUBLIC_PREFIX = fromHex('308204b2300b0609608648016503040402038204a100');
const SECRET_PREFIX = fromHex('3054020100300b060960864801650304040204428040');

type Backend = Partial<Pick<typeof crypto, 'encapsulate' | 'decapsulate'>>;
type WholeBackend = Required<Backend>;

// Whether this OpenSSL knows the algorithm: asked once, since asking generates a key.
let known: boolean | undefined;

function knowsAlgorithm(): boolean {
  try {
    importSecret(new Uint8Array(mlKemSecretKeyBytes));
    return true;
  } catch {
    return false;
  }
}

/** True where node:crypto (or what is given for it) can encapsulate and knows ML-KEM-768. */
export function hasMlKem(backend: Backend = crypto): backend is WholeBackend {
  if (typeof backend.encapsulate !== 'function' || typeof backend.decapsulate !== 'function') return false;
  known ??= knowsAlgorithm();
  return known;
}

export interface MlKem {
  /** Null for anything but a public key that passes FIPS 203 §7.2. */
  importPublic(publicKey: Uint8Array): KeyObject | null;
  importSecret(secretKey: Uint8Array): KeyObject;
  publicOf(secret: KeyObject): Uint8Array;
  encapsulate(publicKey: KeyObject): { readonly ciphertext: Uint8Array; readonly sharedKey: Uint8Array };
  decapsulate(secret: KeyObject, ciphertext: Uint8Array): Uint8Array;
}

/** Throws UNAVAILABLE where the runtime lacks it. */
export function loadMlKem(backend: Backend = crypto): MlKem {
  ensure(
    hasMlKem(backend),
    'UNAVAILABLE',
    'this runtime has no ML-KEM-768: use Node 24.7+ on OpenSSL 3.5+, or key encapsulation "x25519"',
  );
  return {
    importPublic,
    importSecret,
    publicOf: (secret) =>
      new Uint8Array(crypto.createPublicKey(secret).export({ format: 'der', type: 'spki' })).slice(
        PUBLIC_PREFIX.length,
      ),
    encapsulate: (publicKey) => backend.encapsulate(publicKey),
    decapsulate: (secret, ciphertext) => backend.decapsulate(secret, ciphertext),
  };
}

function importPublic(publicKey: Uint8Array): KeyObject | null {
  if (publicKey.length !== mlKemPublicKeyBytes) return null;
  try {
    const key = Buffer.from(concat(PUBLIC_PREFIX, publicKey));
    return crypto.createPublicKey({ key, format: 'der', type: 'spki' });
  } catch {
    return null;
  }
}

function importSecret(secretKey: Uint8Array): KeyObject {
  ensure(secretKey.length === mlKemSecretKeyBytes, 'FIELD_OUT_OF_RANGE', 'an ML-KEM seed has 64 bytes');
  const key = Buffer.from(concat(SECRET_PREFIX, secretKey));
  try {
    return crypto.createPrivateKey({ key, format: 'der', type: 'pkcs8' });
  } finally {
    key.fill(0);
  }
}
