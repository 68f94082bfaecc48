/**
 * Key encapsulation to several recipients at once, and the one-time encryption that goes with it.
 *
 * For: secagg/shares (seeds sealed to the key holders of one round). One encapsulation serves all recipients:
 * `intl` reuses one ephemeral X25519 key for all of them (multi-recipient KEM of Kurosawa, PKC 2002), which
 * is safe because every derived key is bound to the whole encapsulation, all recipients' keys, the
 * recipient's place and the context. Trusts: the suites' primitives. Public keys and encapsulations are
 * hostile input. May be called by: everyone.
 *
 * | name               | suite | public key        | secret key | encapsulation to r recipients             |
 * |--------------------|-------|-------------------|------------|-------------------------------------------|
 * | x25519             | intl  | 32                | 32         | 32: one ephemeral key                     |
 * | x25519-ml-kem-768  | intl  | 32 + 1184         | 32 + 64    | 32 + r·1088: the same ‖ r ML-KEM texts    |
 * | sm2                | gm    | 65                | 32         | r·128: SM2 encryptions of r fresh keys    |
 *
 * Schedule, H and HKDF over the suite's hash, T = transcript():
 *   keys    = H(T('kem-keys', name, publicKey_1, …, publicKey_r))
 *   binding = H(T('kem-binding', name, keys, encapsulation, context))
 *   sharedKey_j = HKDF(secret_j, salt empty, info T('kem-key', name, j, binding)), 64 bytes
 * with secret_j = X25519 output, X25519 output ‖ ML-KEM shared key, or the 32 bytes that SM2 encrypts to j.
 */
import { ensure } from '../error.ts';
import type { RandomSource } from '../random.ts';
import { sm2Kem } from './kem-gm.ts';
import { x25519Kem, x25519MlKemKem } from './kem-intl.ts';
import type { KeyPair, SuiteName } from './suite.ts';

export type KemName = 'x25519' | 'x25519-ml-kem-768' | 'sm2';
export const kemNames: readonly KemName[] = ['x25519', 'x25519-ml-kem-768', 'sm2'];

/** Length of every shared key: callers cut keys for one use each out of it. */
export const sharedKeyBytes = 64;
/** Length of a key of `sealOnce`. */
export const onceKeyBytes = 32;

export interface Encapsulation {
  readonly encapsulation: Uint8Array;
  /** `sharedKeys[j − 1]`, 64 bytes, is recipient j's. */
  readonly sharedKeys: readonly Uint8Array[];
}

/**
 * One recipient with its imported key: importing costs more than a decapsulation, and a round has many of
 * them.
 */
export interface KemRecipient {
  /** The 64 bytes the sender got, or unrelated ones. Throws MALFORMED_MESSAGE (length), DECRYPTION_FAILED. */
  decapsulate(encapsulation: Uint8Array, context: Uint8Array): Uint8Array;
}

export interface Kem {
  readonly name: KemName;
  readonly suite: SuiteName;
  readonly publicKeyBytes: number;
  readonly secretKeyBytes: number;
  /** What `sealOnce` adds to a plaintext. */
  readonly onceOverheadBytes: number;
  encapsulationBytes(recipientCount: number): number;
  /** Throws UNAVAILABLE where the runtime lacks the primitive. */
  generateKey(random?: RandomSource): KeyPair;
  /** True for a canonical encoding of a key that encapsulation works with; never throws for hostile bytes. */
  isPublicKey(publicKey: Uint8Array): boolean;
  /** Throws FIELD_OUT_OF_RANGE for a bad public key. `context` may be of any length. */
  encapsulate(publicKeys: readonly Uint8Array[], context: Uint8Array, random?: RandomSource): Encapsulation;
  /**
   * `index` counts from 1. Throws FIELD_OUT_OF_RANGE for a bad secret key, WRONG_COMMITTEE_KEY if it does not
   * belong to `publicKeys[index − 1]`.
   */
  recipient(secretKey: Uint8Array, publicKeys: readonly Uint8Array[], index: number): KemRecipient;
  /** Authenticated encryption under a 32-byte key that encrypts this one message and no other, ever. */
  sealOnce(
    key: Uint8Array,
    plaintext: Uint8Array,
    associatedData: Uint8Array,
    random?: RandomSource,
  ): Uint8Array;
  /** Throws DECRYPTION_FAILED. */
  openOnce(key: Uint8Array, sealed: Uint8Array, associatedData: Uint8Array): Uint8Array;
}

const defaults: Readonly<Record<SuiteName, KemName>> = { intl: 'x25519', gm: 'sm2' };
const kems: Readonly<Record<KemName, Kem>> = {
  x25519: x25519Kem,
  'x25519-ml-kem-768': x25519MlKemKem,
  sm2: sm2Kem,
};

export const isKemName = (value: unknown): value is KemName => kemNames.some((name) => name === value);

/**
 * The KEM of a suite: its default, or the named one. Throws FIELD_OUT_OF_RANGE for a name of the other
 * suite.
 */
export function getKem(suite: SuiteName, name: KemName = defaults[suite]): Kem {
  ensure(
    isKemName(name),
    'FIELD_OUT_OF_RANGE',
    `unknown key encapsulation: use one of ${kemNames.join(', ')}`,
  );
  const kem = kems[name];
  ensure(kem.suite === suite, 'FIELD_OUT_OF_RANGE', `key encapsulation ${name} is not of suite ${suite}`);
  return kem;
}

/** All KEMs of a suite, the default first. */
export const kemsOf = (suite: SuiteName): readonly Kem[] =>
  kemNames.map((name) => kems[name]).filter((kem) => kem.suite === suite);
