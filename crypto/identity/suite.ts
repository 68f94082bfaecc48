/**
 * The two cipher suites and the one interface over them.
 *
 * For: device and holder signatures, sealed messages, sealed files, digests. A deployment picks one suite; every
 * caller works with either. Trusts: node:crypto, @noble/ciphers (intl), sm-crypto (gm). Public keys, signatures and
 * ciphertexts are hostile input. May be called by: everyone.
 *
 * | primitive | intl                                         | gm                                               |
 * |-----------|----------------------------------------------|--------------------------------------------------|
 * | digest    | SHA-256 (FIPS 180-4)                         | SM3 (GB/T 32905)                                 |
 * | mac       | HMAC-SHA-256 (RFC 2104)                      | HMAC-SM3                                         |
 * | signature | Ed25519 (RFC 8032)                           | SM2 with Z, user ID 1234567812345678 (GB/T 32918)|
 * | seal      | X25519 + HKDF-SHA-256 + XChaCha20-Poly1305   | SM2 encryption of a key + SM4-CTR + HMAC-SM3     |
 * | encrypt   | XChaCha20-Poly1305                           | SM4-CTR + HMAC-SM3, encrypt then MAC             |
 */
import { ensure } from '../error.ts';
import type { RandomSource } from '../random.ts';
import { gmSuite } from './suite-gm.ts';
import { intlSuite } from './suite-intl.ts';

export type SuiteName = 'intl' | 'gm';
export const suiteNames: readonly SuiteName[] = ['intl', 'gm'];

/** Raw bytes. Ed25519/X25519: 32 and 32; SM2: 65 (0x04 ‖ x ‖ y) and 32 (big-endian scalar). */
export interface KeyPair {
  readonly publicKey: Uint8Array;
  readonly secretKey: Uint8Array;
}
export type SigningKeyPair = KeyPair;

export interface Suite {
  readonly name: SuiteName;
  /** Length of signing and of sealing public keys: 32 (intl) or 65 (gm). */
  readonly publicKeyBytes: number;
  /** Always 64. */
  readonly signatureBytes: number;
  /** Hash of the plain concatenation of `parts`, 32 bytes; frame the parts with `transcript()` when they vary. */
  digest(...parts: readonly Uint8Array[]): Uint8Array;
  /** HMAC over the suite's hash, 32 bytes; `key` of any length. */
  mac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array;
  generateSigningKey(random?: RandomSource): SigningKeyPair;
  /** 64 bytes: R ‖ S (Ed25519) or r ‖ s (SM2). Throws FIELD_OUT_OF_RANGE for a bad secret key. */
  sign(secretKey: Uint8Array, message: Uint8Array): Uint8Array;
  /** False for anything but a canonical signature under a valid public key; never throws. */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  generateSealingKey(random?: RandomSource): KeyPair;
  /** True for an encoding that `verify` and `seal` can work with: on the curve, canonical, not of small order. */
  isPublicKey(kind: 'signing' | 'sealing', publicKey: Uint8Array): boolean;
  /** Encrypts to a public key under a fresh ephemeral key. Throws FIELD_OUT_OF_RANGE for a bad public key. */
  seal(
    recipientPublicKey: Uint8Array,
    plaintext: Uint8Array,
    associatedData: Uint8Array,
    random?: RandomSource,
  ): Uint8Array;
  /** Opens what `seal` made. Throws DECRYPTION_FAILED for anything else, without saying why. */
  open(recipientSecretKey: Uint8Array, sealed: Uint8Array, associatedData: Uint8Array): Uint8Array;
  /** Authenticated encryption under a 32-byte key with a fresh random nonce. */
  encrypt(
    key: Uint8Array,
    plaintext: Uint8Array,
    associatedData: Uint8Array,
    random?: RandomSource,
  ): Uint8Array;
  /** Opens what `encrypt` made. Throws DECRYPTION_FAILED for anything else. */
  decrypt(key: Uint8Array, ciphertext: Uint8Array, associatedData: Uint8Array): Uint8Array;
}

export const isSuiteName = (value: unknown): value is SuiteName => value === 'intl' || value === 'gm';

/** The suite of that name. Throws FIELD_OUT_OF_RANGE for another name (the name may come from a file or a peer). */
export function getSuite(name: SuiteName): Suite {
  ensure(isSuiteName(name), 'FIELD_OUT_OF_RANGE', 'unknown suite: use "intl" or "gm"');
  return name === 'gm' ? gmSuite : intlSuite;
}
