/**
 * Signatures once more, by other code than verifies them in the roles: noble for Ed25519 (there: node:crypto), sm-crypto for
 * SM2 (there: sm2-curve.ts).
 *
 * Trusts: nothing. May be called by: experiments/fuzz.
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import smCrypto from 'sm-crypto';
import { toHex } from '../../crypto/bytes.ts';
import type { SuiteName } from '../../crypto/identity/suite.ts';
import { abortStatement, type CohortCertificate, certificateStatement } from '../../protos/statements.ts';

export function verifiesElsewhere(
  suite: SuiteName,
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  try {
    if (suite === 'intl') return ed25519.verify(signature, message, publicKey, { zip215: false });
    return smCrypto.sm2.doVerifySignature(Array.from(message), toHex(signature), toHex(publicKey), {
      hash: true,
      userId: '1234567812345678',
    });
  } catch {
    return false;
  }
}

/** What a holder signs when it answers `certify` or `abort`. */
export function signedBytes(method: string, request: unknown): Uint8Array {
  if (method === 'abort')
    return abortStatement(request as { planHash: Uint8Array; round: number; reason: string });
  const { deviceIds, ...rest } = request as Omit<CohortCertificate, 'cohortCount'> & {
    readonly deviceIds: readonly string[];
  };
  return certificateStatement({ ...rest, cohortCount: deviceIds.length });
}
