/**
 * KEM of suite `gm`: one SM2 encryption (GB/T 32918.4, order C1C3C2) of a fresh 32-byte key per recipient.
 *
 * For: kem.ts, whose header has layout and key schedule. The point arithmetic is noble's (sm2-curve.ts),
 * which is several times faster than sm-crypto's and takes its nonces from our source; tests decrypt with
 * sm-crypto and the other way. Unlike one shared ephemeral key this uses SM2 encryption exactly as
 * standardised, at 128 bytes per recipient. One-time encryption is the suite's own (SM4-CTR + HMAC-SM3).
 * Trusts: sm2-curve.ts, node:crypto's SM3. May be called by: kem.ts.
 */
import { timingSafeEqual } from 'node:crypto';
import { concat, equalBytes, uint32 } from '../bytes.ts';
import { ensure } from '../error.ts';
import { type RandomSource, randomBytes, systemRandom } from '../random.ts';
import type { Kem, KemRecipient } from './kem.ts';
import {
  bindingOf,
  checkIndex,
  checkRecipients,
  decryptionFailed,
  deriveSharedKey,
  digestOfKeys,
} from './kem-schedule.ts';
import {
  decodePoint,
  multiplyBase,
  randomScalar,
  SM2_PUBLIC_KEY_BYTES,
  secretScalar,
  sm3,
} from './sm2-curve.ts';
import { gmSuite } from './suite-gm.ts';

const HASH = 'sm3';
const KEY_BYTES = 32;
const POINT_BYTES = 64;
/** C1 without 0x04 (64) ‖ C3 (32) ‖ C2 (32). */
const SEALED_KEY_BYTES = 128;

/** GB/T 32918.4 §5.4.3 for 32 bytes: one block, counter 1 (big-endian). */
const keyStream = (point: Uint8Array): Uint8Array => sm3(point, uint32(1).reverse());

const xor = (a: Uint8Array, b: Uint8Array): Uint8Array => a.map((byte, i) => byte ^ b[i]!);

type Point = NonNullable<ReturnType<typeof decodePoint>>;
/** x2 ‖ y2, 64 bytes. */
const multiply = (point: Point, scalar: bigint): Uint8Array => point.multiply(scalar).toBytes(false).slice(1);

/** GB/T 32918.4 §6.1 for a 32-byte message. */
function encryptKey(recipient: Point, key: Uint8Array, random: RandomSource): Uint8Array {
  for (;;) {
    const nonce = randomScalar(random);
    const shared = multiply(recipient, nonce);
    const stream = keyStream(shared);
    // Step A5: an all-zero stream would send the key in the clear (probability 2^-256).
    if (stream.every((byte) => byte === 0)) continue;
    const c1 = multiplyBase(nonce).subarray(1);
    const c3 = sm3(shared.subarray(0, 32), key, shared.subarray(32));
    return concat(c1, c3, xor(key, stream));
  }
}

/** GB/T 32918.4 §7.1. Throws DECRYPTION_FAILED. */
function decryptKey(scalar: bigint, sealed: Uint8Array): Uint8Array {
  const c1 = decodePoint(concat(Uint8Array.of(4), sealed.subarray(0, POINT_BYTES)));
  if (c1 === null) throw decryptionFailed();
  const shared = multiply(c1, scalar);
  const key = xor(sealed.subarray(POINT_BYTES + 32), keyStream(shared));
  const c3 = sm3(shared.subarray(0, 32), key, shared.subarray(32));
  if (!timingSafeEqual(c3, sealed.subarray(POINT_BYTES, POINT_BYTES + 32))) throw decryptionFailed();
  return key;
}

export const sm2Kem: Kem = {
  name: 'sm2',
  suite: 'gm',
  publicKeyBytes: SM2_PUBLIC_KEY_BYTES,
  secretKeyBytes: KEY_BYTES,
  onceOverheadBytes: 48,
  encapsulationBytes: (recipientCount) => recipientCount * SEALED_KEY_BYTES,
  generateKey: (random = systemRandom) => gmSuite.generateSealingKey(random),
  isPublicKey: (publicKey) => decodePoint(publicKey) !== null,
  encapsulate(publicKeys, context, random = systemRandom) {
    checkRecipients(publicKeys);
    const points = publicKeys.map((publicKey) => {
      const point = decodePoint(publicKey);
      ensure(point, 'FIELD_OUT_OF_RANGE', 'not an uncompressed SM2 public key of 65 bytes');
      return point;
    });
    const secrets = points.map(() => randomBytes(KEY_BYTES, random));
    const encapsulation = concat(...points.map((point, i) => encryptKey(point, secrets[i]!, random)));
    const keysDigest = digestOfKeys(HASH, 'sm2', publicKeys);
    const binding = bindingOf(HASH, 'sm2', keysDigest, encapsulation, context);
    const sharedKeys = secrets.map((secret, i) => {
      const key = deriveSharedKey(HASH, 'sm2', secret, i + 1, binding);
      secret.fill(0);
      return key;
    });
    return { encapsulation, sharedKeys };
  },
  recipient(secretKey, publicKeys, index): KemRecipient {
    checkIndex(publicKeys, index);
    const scalar = secretScalar(secretKey);
    ensure(
      equalBytes(multiplyBase(scalar), publicKeys[index - 1]!),
      'WRONG_COMMITTEE_KEY',
      'the secret key does not belong to this place in the committee key',
    );
    const keysDigest = digestOfKeys(HASH, 'sm2', publicKeys);
    return {
      decapsulate(encapsulation, context) {
        const expectedBytes = publicKeys.length * SEALED_KEY_BYTES;
        ensure(
          encapsulation.length === expectedBytes,
          'MALFORMED_MESSAGE',
          `an encapsulation has ${expectedBytes} bytes`,
        );
        const at = (index - 1) * SEALED_KEY_BYTES;
        const secret = decryptKey(scalar, encapsulation.subarray(at, at + SEALED_KEY_BYTES));
        const binding = bindingOf(HASH, 'sm2', keysDigest, encapsulation, context);
        const key = deriveSharedKey(HASH, 'sm2', secret, index, binding);
        secret.fill(0);
        return key;
      },
    };
  },
  sealOnce: (key, plaintext, associatedData, random = systemRandom) =>
    gmSuite.encrypt(key, plaintext, associatedData, random),
  openOnce: (key, sealed, associatedData) => gmSuite.decrypt(key, sealed, associatedData),
};
