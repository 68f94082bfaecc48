/**
 * What an upload must be to count: of the round's size, signed by the device's certified key, of the signed digest. One
 * place for uploads that come chunk by chunk (uploads.ts) and for those that come by the thousand (signed-uploads.ts).
 *
 * Trusts: the device id and key that were taken from a checked certificate. May be called by: coordinator/rounds.
 */
import { equalBytes } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import type { Suite } from '../../crypto/identity/suite.ts';
import type { UploadHeader } from '../../protos/rounds-messages.ts';
import {
  type RoundBinding,
  type UploadStatement,
  uploadDigestOfParts,
  uploadStatement,
} from '../../protos/statements.ts';
import type { ActiveRound } from './active-round.ts';
import type { RoundServices } from './services.ts';

export interface UploadingDevice {
  readonly deviceId: string;
  readonly signingPublicKey: Uint8Array;
  readonly certificate: Uint8Array;
}

export const SECOND_DIGEST =
  'this device already sent another update for this round; send the stored bytes again';

export const statementOf = (
  binding: RoundBinding,
  { deviceId }: Pick<UploadingDevice, 'deviceId'>,
  { digest }: Pick<UploadHeader, 'digest'>,
): UploadStatement => ({ ...binding, deviceId, digest });

/** Size, where the round still runs, and signature of an upload that begins. Throws VECTOR_LENGTH_MISMATCH, BAD_SIGNATURE. */
export function requireSignedUpload(
  { secagg, suite }: Pick<RoundServices, 'secagg' | 'suite'>,
  { binding, active }: { readonly binding: RoundBinding; readonly active: ActiveRound | null },
  device: Pick<UploadingDevice, 'deviceId' | 'signingPublicKey'>,
  header: UploadHeader,
): void {
  if (active) {
    const sizes = secagg.sizes(active.scheme);
    ensure(
      header.bodyBytes === sizes.body && header.holderBytes === sizes.holderPart,
      'VECTOR_LENGTH_MISMATCH',
      `expected a body of ${sizes.body} and a holder part of ${sizes.holderPart} bytes`,
    );
  }
  const statement = uploadStatement(statementOf(binding, device, header));
  ensure(
    suite.verify(device.signingPublicKey, statement, header.signature),
    'BAD_SIGNATURE',
    'the upload statement is not signed by the device key in its certificate',
  );
}

export interface PartDigests {
  readonly body: Uint8Array;
  readonly holderPart: Uint8Array;
}

export const digestsOf = (suite: Suite, body: Uint8Array, holderPart: Uint8Array): PartDigests => ({
  body: suite.digest(body),
  holderPart: suite.digest(holderPart),
});

/** Throws DIGEST_MISMATCH. */
export function requireSignedDigest(
  suite: Suite,
  { body, holderPart }: PartDigests,
  { digest }: Pick<UploadHeader, 'digest'>,
): void {
  ensure(
    equalBytes(uploadDigestOfParts(suite, body, holderPart), digest),
    'DIGEST_MISMATCH',
    'the bytes received do not have the signed digest; send the upload again from offset 0',
  );
}
