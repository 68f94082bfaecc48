/**
 * A suite for parties that share a thread: a signature that one of them has verified is not verified again by the next.
 *
 * The four key holders of a simulation all check the same uploads, in a deployment on four machines. Whether a signature is
 * valid follows from key, message and signature; who asks makes no difference. Every other check each makes by itself.
 * Trusts: nothing. May be called by: experiments/simulation.
 */
import type { Suite } from '../../crypto/identity/suite.ts';
import { SignatureMemory } from './signature-memory.ts';

/** Signatures that are remembered: a few batches of each holder. */
const VERIFIED_MAX = 4096;

export function sharedVerification(suite: Suite): Suite {
  const verified = new SignatureMemory(VERIFIED_MAX);
  return {
    ...suite,
    verify(publicKey, message, signature) {
      const known = verified.recall(publicKey, message, signature);
      if (known !== undefined) return known;
      const isValid = suite.verify(publicKey, message, signature);
      verified.note(publicKey, message, signature, isValid);
      return isValid;
    },
  };
}
