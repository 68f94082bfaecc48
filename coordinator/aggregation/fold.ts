/**
 * Folds the certified c0 parts and opens the sum with the holders' partial decryptions.
 *
 * Trusts: the caller that the parts are those of the certificate. May be called by: coordinator/rounds.
 */
import { isPulsefoldError } from '../../crypto/error.ts';
import type { Bfv } from '../../crypto/secagg/bfv.ts';

/** Exact digit sums, or null when these partial decryptions do not open (OPENING_FAILED). */
export function foldAndOpen(
  bfv: Bfv,
  digitCount: number,
  partials: readonly Uint8Array[],
  c0Parts: Iterable<Uint8Array>,
): Int32Array | null {
  const accumulator = bfv.accumulator('c0', digitCount);
  for (const part of c0Parts) accumulator.add(part);
  try {
    return bfv.open({ c0Sum: accumulator.bytes(), partials, digitCount });
  } catch (error) {
    if (isPulsefoldError(error) && error.code === 'OPENING_FAILED') return null;
    throw error;
  }
}
