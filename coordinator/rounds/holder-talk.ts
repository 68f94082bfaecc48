/**
 * What a round asks of its holders once it is frozen: verdicts, signatures under the certificate or the abort. Every
 * signature is verified and stored before the machine hears of it.
 *
 * Trusts: nothing a holder says. May be called by: coordinator/rounds/active-round.ts, opening.ts.
 */
import { fromHex } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import { abortStatement, certificateStatement } from '../../protos/statements.ts';
import type { Acceptances } from './acceptance.ts';
import type { HolderPort } from './holder-port.ts';
import * as repository from './repository.ts';
import type { RoundView } from './round-view.ts';

export async function askAcceptance(
  round: RoundView,
  acceptances: Acceptances,
  { holderId }: HolderPort,
): Promise<void> {
  const deviceIds = await acceptances.complete(holderId, round.state.candidates ?? []);
  round.notify({ type: 'accepted', holderId, deviceIds });
}

export async function askCertificate(
  round: RoundView,
  acceptances: Acceptances,
  holder: HolderPort,
): Promise<void> {
  const cohort = round.state.cohort!;
  await acceptances.insist(holder.holderId, cohort);
  const certificate = round.certificate();
  const reply = await holder.certify({
    ...round.binding,
    cohortRoot: certificate.cohortRoot,
    deviceIds: cohort,
  });
  keepSignature(round, holder, 'certificate', certificateStatement(certificate), reply.signature);
  round.notify({ type: 'certificate_signed', holderId: holder.holderId });
}

export async function askAbort(round: RoundView, holder: HolderPort): Promise<void> {
  const planHash = round.parsed.hash;
  const reason = round.state.abortReason!;
  const reply = await holder.abort(planHash, round.at.round, reason);
  const statement = abortStatement({ planHash, round: round.at.round, reason });
  keepSignature(round, holder, 'abort', statement, reply.signature);
  round.notify({ type: 'abort_signed', holderId: holder.holderId });
}

function keepSignature(
  round: RoundView,
  { holderId }: HolderPort,
  kind: repository.StatementKind,
  statement: Uint8Array,
  signature: Uint8Array,
): void {
  verifyHolder(round, holderId, statement, signature);
  const { planHex, round: number } = round.at;
  round.services.store.transaction('keep-signature', (db) =>
    repository.putStatementSignature(db, planHex, number, kind, { holderId, signature }),
  );
}

/** Throws BAD_SIGNATURE unless the plan's key of this holder signed the statement. */
export function verifyHolder(
  { parsed, services }: RoundView,
  holderId: string,
  statement: Uint8Array,
  signature: Uint8Array,
): void {
  const key = parsed.plan.holders.find((holder) => holder.id === holderId)!.signingPublicKey;
  ensure(
    services.suite.verify(fromHex(key), statement, signature),
    'BAD_SIGNATURE',
    `the signature of ${holderId} does not verify under the key in the plan`,
  );
}
