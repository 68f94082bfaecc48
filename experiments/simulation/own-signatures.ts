/**
 * A suite for a coordinator and key holders of one thread without identities: a signature that it made itself is not verified
 * again. It is valid for the key, message and signature that belong together; for anything else the suite decides.
 *
 * For `identity: none`, where nobody is authenticated; log and exports carry the real signatures.
 * Trusts: nothing. May be called by: experiments/simulation.
 */
import type { KeyPair, Suite } from '../../crypto/identity/suite.ts';
import { SignatureMemory } from './signature-memory.ts';

/** Signatures that are remembered: more than a round's, and than the ceremonies under way. */
const MADE_MAX = 256;

/** `keys`: of those who sign with this suite; signatures of others are verified. */
export function ownSignatures(suite: Suite, keys: readonly KeyPair[]): Suite {
  const made = new SignatureMemory(MADE_MAX);
  return {
    ...suite,
    sign(secretKey, message) {
      const signature = suite.sign(secretKey, message);
      const own = keys.find((pair) => pair.secretKey === secretKey);
      if (own) made.note(own.publicKey, message, signature, true);
      return signature;
    },
    verify: (publicKey, message, signature) =>
      made.recall(publicKey, message, signature) ?? suite.verify(publicKey, message, signature),
  };
}
