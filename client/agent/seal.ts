/**
 * The port that turns signed digits into sealed bytes of which only sums can be opened (DESIGN §2.6).
 *
 * Trusts: a committee key that every holder signed (invitation.ts), a scheme derived from the approved plan.
 * May be called by: client/.
 */
import {
  loadSecagg,
  type SealContext,
  type SealedParts,
  type SumScheme,
} from '../../crypto/secagg/scheme.ts';

export interface SealRequest extends SealContext {
  readonly scheme: SumScheme;
  readonly committeeKey: Uint8Array;
  /** One signed digit per slot. */
  readonly digits: Int32Array;
}

export interface Sealer {
  seal(request: SealRequest): SealedParts;
}

export async function loadSealer(): Promise<Sealer> {
  const secagg = await loadSecagg();
  return {
    seal: ({ scheme, committeeKey, digits, ...context }) =>
      secagg.seal(scheme, context, committeeKey, digits),
  };
}
