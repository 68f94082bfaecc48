/**
 * The ceremony of a round's committee key: each holder makes one key pair for that round, all four are
 * joined.
 *
 * Two phases, both pure: 1. every holder calls `makeRoundKey` and publishes the public key; 2. everyone calls
 * `joinRoundKeys` on the same four and signs the result. No secret is shared, so there is nothing to commit
 * to beforehand: a holder that picks its key after seeing the others' gains nothing, because each recipient's
 * key schedule is bound to its place and all four keys. The holder erases its secret key after the opening.
 * Trusts: nothing; public keys are hostile. May be called by: key holders, clients (`splitRoundKeys`),
 * through index.ts.
 */
import { concat, equalBytes } from '../../bytes.ts';
import { ensure } from '../../error.ts';
import { getKem, type KemName, kemsOf } from '../../identity/kem.ts';
import type { KeyPair, Suite } from '../../identity/suite.ts';
import { type RandomSource, systemRandom } from '../../random.ts';
import { holderCount } from './layout.ts';

/**
 * A fresh pair for one round. `kem` undefined = the suite's default. Throws UNAVAILABLE, FIELD_OUT_OF_RANGE.
 */
export const makeRoundKey = (suite: Suite, kem?: KemName, random: RandomSource = systemRandom): KeyPair =>
  getKem(suite.name, kem).generateKey(random);

/**
 * The committee key: the four public keys in holder order. The KEM follows from their length. Throws
 * CEREMONY_FAILED, naming the holder, for a wrong count, mixed or unknown lengths, an unusable key or two
 * equal keys.
 */
export function joinRoundKeys(suite: Suite, publicKeys: readonly Uint8Array[]): Uint8Array {
  ensure(
    publicKeys.length === holderCount,
    'CEREMONY_FAILED',
    `a committee key needs ${holderCount} round keys, one per holder`,
  );
  const kem = kemsOf(suite.name).find((candidate) => candidate.publicKeyBytes === publicKeys[0]!.length);
  ensure(kem, 'CEREMONY_FAILED', `holder 1 sent no round key of suite ${suite.name}: wrong length`);
  publicKeys.forEach((publicKey, i) => {
    ensure(
      publicKey.length === kem.publicKeyBytes && kem.isPublicKey(publicKey),
      'CEREMONY_FAILED',
      `holder ${i + 1} sent a round key that key encapsulation ${kem.name} cannot use: let it make a new one`,
    );
    const twin = publicKeys.findIndex((other) => equalBytes(other, publicKey));
    ensure(
      twin === i,
      'CEREMONY_FAILED',
      `holders ${twin + 1} and ${i + 1} sent the same round key: one of them copied it`,
    );
  });
  return concat(...publicKeys);
}

/**
 * The four public keys, as views. Checks the length only; the key encapsulation refuses unusable keys by
 * itself.
 */
export function splitRoundKeys(
  suite: Suite,
  kem: KemName | undefined,
  committeeKey: Uint8Array,
): Uint8Array[] {
  const { publicKeyBytes, name } = getKem(suite.name, kem);
  ensure(
    committeeKey.length === holderCount * publicKeyBytes,
    'WRONG_COMMITTEE_KEY',
    `a committee key under ${name} has ${holderCount * publicKeyBytes} bytes`,
  );
  return Array.from({ length: holderCount }, (_, i) =>
    committeeKey.subarray(i * publicKeyBytes, (i + 1) * publicKeyBytes),
  );
}
