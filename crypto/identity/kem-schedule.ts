/**
 * The key schedule that all KEMs of kem.ts share (its header has the formulas), and their argument checks.
 *
 * For: kem-intl.ts, kem-gm.ts. Trusts: node:crypto. May be called by: those two.
 */
import { createHash, createSecretKey, hkdfSync } from 'node:crypto';
import { transcript } from '../bytes.ts';
import { ensure, PulsefoldError } from '../error.ts';

type Hash = 'sha256' | 'sm3';
const SHARED_KEY_BYTES = 64;
const RECIPIENTS_MAX = 64;

const digest = (hash: Hash, bytes: Uint8Array): Uint8Array =>
  new Uint8Array(createHash(hash).update(bytes).digest());

export const digestOfKeys = (hash: Hash, name: string, publicKeys: readonly Uint8Array[]): Uint8Array =>
  digest(hash, transcript('kem-keys', name, ...publicKeys));

/** One hash binds everything, so the HKDF info stays below node:crypto's 1024 bytes whatever the context. */
export const bindingOf = (
  hash: Hash,
  name: string,
  keysDigest: Uint8Array,
  encapsulation: Uint8Array,
  context: Uint8Array,
): Uint8Array => digest(hash, transcript('kem-binding', name, keysDigest, encapsulation, context));

export const deriveSharedKey = (
  hash: Hash,
  name: string,
  secret: Uint8Array,
  index: number,
  binding: Uint8Array,
): Uint8Array => {
  const info = transcript('kem-key', name, index, binding);
  // A key object: for raw bytes node:crypto takes several times as long (Node 24.21).
  return new Uint8Array(hkdfSync(hash, createSecretKey(secret), new Uint8Array(0), info, SHARED_KEY_BYTES));
};

export function checkRecipients(publicKeys: readonly Uint8Array[]): void {
  ensure(
    publicKeys.length >= 1 && publicKeys.length <= RECIPIENTS_MAX,
    'FIELD_OUT_OF_RANGE',
    `an encapsulation has 1 to ${RECIPIENTS_MAX} recipients`,
  );
}

export function checkIndex(publicKeys: readonly Uint8Array[], index: number): void {
  checkRecipients(publicKeys);
  ensure(
    Number.isInteger(index) && index >= 1 && index <= publicKeys.length,
    'FIELD_OUT_OF_RANGE',
    'the recipient index lies outside the list of public keys',
  );
}

export const decryptionFailed = (): PulsefoldError =>
  new PulsefoldError(
    'DECRYPTION_FAILED',
    'sealed message does not open: wrong key, wrong context or altered bytes',
  );
