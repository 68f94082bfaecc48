/**
 * The port that turns signed digits into a ciphertext of which only sums can be opened (DESIGN §2.6).
 *
 * Trusts: a committee key that every holder signed (invitation.ts). May be called by: client/.
 */
import { loadBfv } from '../../crypto/secagg/bfv.ts';

export interface Sealer {
  /** `digits`: one signed digit per plaintext coefficient. */
  encrypt(committeeKey: Uint8Array, digits: Int32Array): { readonly c0: Uint8Array; readonly c1: Uint8Array };
}

/** Threshold BFV, the only transport of this version. */
export const loadSealer = (): Promise<Sealer> => loadBfv();
