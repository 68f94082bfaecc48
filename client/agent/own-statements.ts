/**
 * What a device says under its own key in every round: its name in the ledger, its check-in, its upload; and what it
 * demands of the answer. One place for agents and for devices that exist as seeds only (experiments/simulation).
 *
 * Trusts: the device's own signing key. May be called by: client/, experiments/.
 */
import { utf8 } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import type { Suite } from '../../crypto/identity/suite.ts';
import {
  acknowledgementStatement,
  checkInStatement,
  lateStatement,
  ledgerPseudonym,
  type UploadStatement,
  uploadStatement,
} from '../../protos/statements.ts';
import type { PutUploadReply } from './replies.ts';

/** Under which the device is charged in this budget epoch: 32 bytes, which only its own key can derive. */
export const ownPseudonym = (suite: Suite, secretKey: Uint8Array, epoch: string): Uint8Array =>
  ledgerPseudonym(suite, suite.mac(secretKey, utf8('pulsefold/v1/ledger-secret')), epoch);

/** Signature over a check-in. */
export const signCheckIn = (
  suite: Suite,
  secretKey: Uint8Array,
  fields: Parameters<typeof checkInStatement>[0],
): Uint8Array => suite.sign(secretKey, checkInStatement(fields));

/** Signature over an upload. */
export const signUpload = (suite: Suite, secretKey: Uint8Array, statement: UploadStatement): Uint8Array =>
  suite.sign(secretKey, uploadStatement(statement));

/** The coordinator has signed that it has these bytes durably, or that they came late. Throws BAD_SIGNATURE. */
export function requireAnswerSigned(
  suite: Suite,
  coordinatorPublicKey: Uint8Array,
  statement: UploadStatement,
  { late, signature }: Pick<PutUploadReply, 'late' | 'signature'>,
): void {
  const { planHash, round, deviceId, digest } = statement;
  const claimed = late
    ? lateStatement({ planHash, round, deviceId, digest })
    : acknowledgementStatement(statement);
  ensure(
    suite.verify(coordinatorPublicKey, claimed, signature),
    'BAD_SIGNATURE',
    'the answer to the upload is not signed by the coordinator of the plan',
  );
}
