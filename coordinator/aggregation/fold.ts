/**
 * Opens a folded sum with the holders' answers.
 *
 * Trusts: the caller that the sum is that of the certificate. May be called by: coordinator/rounds.
 */
import { isPulsefoldError } from '../../crypto/error.ts';
import type { OpenInput, Secagg, SumScheme } from '../../crypto/secagg/scheme.ts';

/** Exact slot sums, or the reason why these answers do not open it (OPENING_FAILED). */
export function openSum(secagg: Secagg, scheme: SumScheme, input: OpenInput): Int32Array | string {
  try {
    return secagg.open(scheme, input);
  } catch (error) {
    if (isPulsefoldError(error) && error.code === 'OPENING_FAILED') return error.message;
    throw error;
  }
}
