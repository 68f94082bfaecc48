/**
 * ML-DSA-44 (FIPS 204) of node:crypto with raw keys, where the runtime has it: Node 24.6 on OpenSSL 3.5, or later.
 *
 * For: note-keys.ts (cosignatures of type 0x06). Secret keys are the 32-byte seed ξ of FIPS 204 §5.1; signatures are
 * pure ML-DSA with an empty context. OpenSSL signs with fresh randomness of its own (hedged), so two signatures of one
 * message differ. Trusts: node:crypto. Public keys and signatures are hostile input.
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { concat, fromHex } from '../bytes.ts';
import { ensure } from '../error.ts';
import { type RandomSource, randomBytes, systemRandom } from '../random.ts';

export const ML_DSA_44_PUBLIC_KEY_BYTES = 1312;
export const ML_DSA_44_SECRET_KEY_BYTES = 32;
export const ML_DSA_44_SIGNATURE_BYTES = 2420;

// RFC 9881: SubjectPublicKeyInfo, and PKCS #8 in its seed-only form, before the raw bytes.
const PUBLIC_PREFIX = fromHex('30820532300b06096086480165030403110382052100');
const SECRET_PREFIX = fromHex('3034020100300b060960864801650304031104228020');

function importSecret(secretKey: Uint8Array): KeyObject {
  ensure(
    secretKey.length === ML_DSA_44_SECRET_KEY_BYTES,
    'FIELD_OUT_OF_RANGE',
    'an ML-DSA secret key is a seed of 32 bytes',
  );
  const der = Buffer.from(concat(SECRET_PREFIX, secretKey));
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  } finally {
    der.fill(0);
  }
}

// Asked once, since asking makes a key.
let known: boolean | undefined;

/** True where this runtime can sign and verify ML-DSA-44. */
export function hasMlDsa(): boolean {
  try {
    known ??= importSecret(new Uint8Array(ML_DSA_44_SECRET_KEY_BYTES)).asymmetricKeyType === 'ml-dsa-44';
  } catch {
    known = false;
  }
  return known;
}

const requireMlDsa = (): void =>
  ensure(
    hasMlDsa(),
    'CONFIG_INVALID',
    'this Node has no ML-DSA-44: use Node 24.6 with OpenSSL 3.5, or later',
  );

/** A fresh key pair: public key of 1,312 bytes, seed of 32. Throws CONFIG_INVALID where the runtime lacks ML-DSA. */
export function generateMlDsaKey(random: RandomSource = systemRandom): {
  publicKey: Uint8Array;
  secretKey: Uint8Array;
} {
  requireMlDsa();
  const secretKey = randomBytes(ML_DSA_44_SECRET_KEY_BYTES, random);
  return { publicKey: mlDsaPublicKeyOf(secretKey), secretKey };
}

/** The 1,312-byte public key of a seed. */
export function mlDsaPublicKeyOf(secretKey: Uint8Array): Uint8Array {
  requireMlDsa();
  const der = createPublicKey(importSecret(secretKey)).export({ format: 'der', type: 'spki' });
  return new Uint8Array(der.subarray(PUBLIC_PREFIX.length));
}

/** 2,420 bytes. Throws FIELD_OUT_OF_RANGE for a bad secret key, CONFIG_INVALID where the runtime lacks ML-DSA. */
export function mlDsaSign(secretKey: Uint8Array, message: Uint8Array): Uint8Array {
  requireMlDsa();
  return new Uint8Array(sign(null, message, importSecret(secretKey)));
}

/** False for anything but a valid signature. Throws CONFIG_INVALID where the runtime lacks ML-DSA: not "invalid". */
export function mlDsaVerify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  requireMlDsa();
  if (publicKey.length !== ML_DSA_44_PUBLIC_KEY_BYTES || signature.length !== ML_DSA_44_SIGNATURE_BYTES)
    return false;
  try {
    const der = Buffer.from(concat(PUBLIC_PREFIX, publicKey));
    return verify(null, message, createPublicKey({ key: der, format: 'der', type: 'spki' }), signature);
  } catch {
    return false;
  }
}
