/**
 * A suite for a coordinator and key holders of one thread without identities: a signature that it made itself is not verified
 * again. It is valid for the key, message and signature that belong together; for anything else the suite decides.
 *
 * For `identity: none`, where nobody is authenticated; log and exports carry the real signatures.
 * Trusts: nothing. May be called by: experiments/simulation.
 */
import { equalBytes } from '../../crypto/bytes.ts';
import type { KeyPair, Suite } from '../../crypto/identity/suite.ts';

interface Made {
  readonly publicKey: Uint8Array;
  readonly message: Uint8Array;
}

/** Signatures that are remembered: more than a round's, and than the ceremonies under way. */
const MADE_MAX = 256;

/** `keys`: of those who sign with this suite; signatures of others are verified. */
export function ownSignatures(suite: Suite, keys: readonly KeyPair[]): Suite {
  const made = new Map<string, Made>();
  const nameOf = (signature: Uint8Array): string => Buffer.from(signature).toString('latin1');
  return {
    ...suite,
    sign(secretKey, message) {
      const signature = suite.sign(secretKey, message);
      const own = keys.find((pair) => pair.secretKey === secretKey);
      if (own) made.set(nameOf(signature), { publicKey: own.publicKey, message: message.slice() });
      if (made.size > MADE_MAX) made.delete(made.keys().next().value!);
      return signature;
    },
    verify(publicKey, message, signature) {
      const known = made.get(nameOf(signature));
      if (known && equalBytes(known.publicKey, publicKey) && equalBytes(known.message, message)) return true;
      return suite.verify(publicKey, message, signature);
    },
  };
}
