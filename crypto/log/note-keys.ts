/**
 * Note keys bound to their algorithms: from a verifier key line to something that verifies, from a secret to something
 * that signs.
 *
 * Trusts: crypto/identity, ml-dsa.ts. Key lines are hostile. May be called by: everyone.
 */
import { ensure } from '../error.ts';
import { getSuite } from '../identity/suite.ts';
import { type RandomSource, systemRandom } from '../random.ts';
import {
  type CosignatureAlgorithm,
  decodeVerifierKey,
  type NoteAlgorithm,
  type NoteKey,
  type NoteSigner,
  type NoteVerifier,
} from './checkpoint.ts';
import {
  type CosignatureKey,
  cosignatureSigner,
  cosignatureVerifier,
  isCosignatureAlgorithm,
} from './cosignature.ts';
import { generateMlDsaKey, mlDsaSign, mlDsaVerify } from './ml-dsa.ts';

const suiteOf = (algorithm: NoteAlgorithm) =>
  getSuite(algorithm === 'sm2' || algorithm === 'cosignature-sm2' ? 'gm' : 'intl');

function verifyRaw(key: NoteKey, message: Uint8Array, signature: Uint8Array): boolean {
  if (key.algorithm === 'cosignature-ml-dsa-44') return mlDsaVerify(key.publicKey, message, signature);
  return suiteOf(key.algorithm).verify(key.publicKey, message, signature);
}

const isCosignatureKey = (key: NoteKey): key is CosignatureKey => isCosignatureAlgorithm(key.algorithm);

/** A verifier for a key. */
export function noteVerifier(key: NoteKey): NoteVerifier {
  const verify = (message: Uint8Array, signature: Uint8Array) => verifyRaw(key, message, signature);
  return isCosignatureKey(key) ? cosignatureVerifier(key, verify) : { ...key, verify };
}

/** A verifier for a key line (`name+id+base64`), by its signature type. Throws MALFORMED_MESSAGE. */
export const noteVerifierOf = (keyLine: string): NoteVerifier => noteVerifier(decodeVerifierKey(keyLine));

/** A witness's key. `secretKey`: 32 bytes in every algorithm. */
export interface CosignerKey extends CosignatureKey {
  readonly secretKey: Uint8Array;
}

/** A fresh witness key. Throws MALFORMED_MESSAGE for a bad name, CONFIG_INVALID where ML-DSA-44 is missing. */
export function generateCosignerKey(
  name: string,
  algorithm: CosignatureAlgorithm,
  random: RandomSource = systemRandom,
): CosignerKey {
  const pair =
    algorithm === 'cosignature-ml-dsa-44'
      ? generateMlDsaKey(random)
      : suiteOf(algorithm).generateSigningKey(random);
  return { name, algorithm, ...pair };
}

/** Signs note lines with a witness's key at that time (Unix time in seconds, > 0). */
export function cosignerAt(key: CosignerKey, timestampSeconds: number): NoteSigner {
  const { secretKey, ...publicHalf } = key;
  ensure(secretKey.length === 32, 'FIELD_OUT_OF_RANGE', 'a witness key has 32 secret bytes');
  const sign = (message: Uint8Array): Uint8Array =>
    key.algorithm === 'cosignature-ml-dsa-44'
      ? mlDsaSign(secretKey, message)
      : suiteOf(key.algorithm).sign(secretKey, message);
  return cosignatureSigner(publicHalf, sign, timestampSeconds);
}
