/**
 * A suite for parties that share a thread: a signature that one of them has verified is not verified again by the next.
 *
 * The four key holders of a simulation all check the same uploads, in a deployment on four machines. Whether a signature is
 * valid follows from key, message and signature; who asks makes no difference. Every other check each makes by itself.
 * Trusts: nothing. May be called by: experiments/simulation.
 */
import { equalBytes } from '../../crypto/bytes.ts';
import type { Suite } from '../../crypto/identity/suite.ts';

interface Verified {
  readonly publicKey: Uint8Array;
  readonly message: Uint8Array;
  readonly isValid: boolean;
}

/** Signatures that are remembered: a few batches of each holder. */
const VERIFIED_MAX = 4096;

export function sharedVerification(suite: Suite): Suite {
  const verified = new Map<string, Verified>();
  return {
    ...suite,
    verify(publicKey, message, signature) {
      const key = Buffer.from(signature).toString('latin1');
      const known = verified.get(key);
      if (known && equalBytes(known.publicKey, publicKey) && equalBytes(known.message, message))
        return known.isValid;
      const isValid = suite.verify(publicKey, message, signature);
      verified.set(key, { publicKey: publicKey.slice(), message: message.slice(), isValid });
      if (verified.size > VERIFIED_MAX) verified.delete(verified.keys().next().value!);
      return isValid;
    },
  };
}
