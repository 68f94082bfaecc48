/**
 * What a receipt claims, against what is shown of the log: certificate or abort, own entry in the cohort or not, charge.
 *
 * A bundle has a whole log whose audit has counted the holders' signatures. Without one they are counted here, over what
 * the receipt itself carries, and every outcome needs them: a receipt that no quorum stands behind settles nothing, and
 * the device keeps that charge (client/agent/receipts.ts). Trusts: the plan of the run. May be called by:
 * auditor/bundle/history.ts.
 */
import { equalBytes, fromHex } from '../../crypto/bytes.ts';
import { getSuite } from '../../crypto/identity/suite.ts';
import { leafHash, MerkleTree, verifyInclusion } from '../../crypto/log/merkle.ts';
import { quorumOf } from '../../protos/plan.ts';
import type { Receipt } from '../../protos/receipt.ts';
import { abortStatement, certificateStatement, entryLeaf } from '../../protos/statements.ts';
import { validSigners } from '../check-rounds.ts';
import { real } from '../numbers.ts';
import type { Numbered, RoundLeaves } from '../round-book.ts';
import type { HistoryProblem, HistoryRun } from './history.ts';

interface Charge {
  readonly settlement: Numbered<'settlement'>;
  readonly charged: boolean;
}

/** What the log did to a pseudonym in a round. */
export function chargeIn(round: RoundLeaves | undefined, pseudonym: string): Charge | undefined {
  for (const settlement of round?.settlement ?? [])
    if (settlement.leaf.pseudonyms.includes(pseudonym))
      return { settlement, charged: settlement.leaf.outcome === 'charged' };
  return undefined;
}

/** The receipt's claims against the log, each problem named. */
export function problemsOf(
  run: HistoryRun,
  receipt: Receipt,
  round: RoundLeaves | undefined,
): HistoryProblem[] {
  const problems: HistoryProblem[] = [];
  // Only a whole log can lack something.
  const absent = (problem: HistoryProblem) => (run.result === undefined ? 'LOG_NOT_SHOWN' : problem);
  const charge = chargeIn(round, receipt.pseudonym);
  const { certificate } = receipt;
  if (certificate !== undefined) {
    const logged = round?.round_certificate[0]?.leaf;
    const same =
      logged !== undefined &&
      (['modelHash', 'configHash', 'committeeKeyId', 'cohortRoot', 'cohortCount'] as const).every(
        (name) => certificate[name] === logged[name],
      );
    if (!same) problems.push(logged ? 'CERTIFICATE_NOT_IN_LOG' : absent('CERTIFICATE_NOT_IN_LOG'));
  }
  if (receipt.outcome === 'aborted' && round?.abort.length !== 1)
    problems.push(absent('CERTIFICATE_NOT_IN_LOG'));
  if (receipt.outcome === 'certified') {
    if (!isInside(run, receipt)) problems.push('NOT_IN_COHORT');
    if (run.parsed.plan.privacy !== null && charge?.charged !== true)
      problems.push(charge ? 'NOT_CHARGED_IN_LOG' : absent('NOT_CHARGED_IN_LOG'));
  } else if (charge?.charged === true) problems.push('CHARGED_AGAINST_RECEIPT');
  if (certificate !== undefined && receipt.exclusion !== undefined && !isOutside(run, receipt))
    problems.push('EXCLUSION_INVALID');
  if (receipt.charge !== undefined && charge?.charged === true) {
    const { order, charge: amount } = charge.settlement.leaf;
    const same =
      String(receipt.charge.order) === order && real(String(receipt.charge.amount)) === real(amount);
    if (!same) problems.push('CHARGE_DIFFERS');
  }
  if (run.result === undefined) problems.push(...unauditedProblems(run, receipt));
  return [...new Set(problems)];
}

/** What the audit of a bundle would have found of the holders' part, and what only a whole log shows otherwise. */
function unauditedProblems({ parsed }: HistoryRun, receipt: Receipt): HistoryProblem[] {
  const { outcome, certificate, exclusion, abort, round } = receipt;
  const ended = certificate ?? abort;
  // Late or rejected, says the coordinator alone.
  if (ended === undefined) return ['LOG_NOT_SHOWN'];
  const problems: HistoryProblem[] = [];
  const statement =
    certificate === undefined
      ? abortStatement({ planHash: parsed.hash, round, reason: abort!.reason })
      : certificateStatement({ planHash: parsed.hash, round, ...bytesOf(certificate) });
  const signers = validSigners({ parsed, suite: getSuite(parsed.plan.suite) }, statement, ended.signatures);
  if (signers.size < quorumOf(parsed.plan)) problems.push('QUORUM_MISSING');
  if (certificate !== undefined && certificate.cohortCount < parsed.plan.rounds.cohortMin)
    problems.push('COHORT_TOO_SMALL');
  if (certificate !== undefined && outcome !== 'certified' && exclusion === undefined)
    problems.push('LOG_NOT_SHOWN');
  return problems;
}

type Certificate = NonNullable<Receipt['certificate']>;

const bytesOf = ({ modelHash, configHash, committeeKeyId, cohortRoot, cohortCount }: Certificate) => ({
  modelHash: fromHex(modelHash),
  configHash: fromHex(configHash),
  committeeKeyId: fromHex(committeeKeyId),
  cohortRoot: fromHex(cohortRoot),
  cohortCount,
});

const ownLeafHash = ({ parsed }: HistoryRun, receipt: Receipt): Uint8Array => {
  const { modelHash, configHash, committeeKeyId } = bytesOf(receipt.certificate!);
  return leafHash(
    entryLeaf({
      planHash: parsed.hash,
      round: receipt.round,
      modelHash,
      configHash,
      committeeKeyId,
      deviceId: receipt.deviceId,
      digest: fromHex(receipt.digest),
    }),
  );
};

/** Of a certified receipt: its path leads from the own entry to the certified root. */
function isInside(run: HistoryRun, receipt: Receipt): boolean {
  const { cohortRoot, cohortCount } = receipt.certificate!;
  const { index, size, proof } = receipt.inclusion!;
  return (
    size === cohortCount &&
    verifyInclusion({
      leafHash: ownLeafHash(run, receipt),
      index,
      size,
      proof: proof.map(fromHex),
      root: fromHex(cohortRoot),
    })
  );
}

/** Of a receipt that lists the cohort: the list gives the certified root, and the own entry is not on it. */
function isOutside(run: HistoryRun, receipt: Receipt): boolean {
  const { cohortRoot, cohortCount } = receipt.certificate!;
  const leaves = receipt.exclusion!.leafHashes.map(fromHex);
  const own = ownLeafHash(run, receipt);
  return (
    leaves.length === cohortCount &&
    equalBytes(MerkleTree.fromLeafHashes(leaves).root(), fromHex(cohortRoot)) &&
    leaves.every((leaf) => !equalBytes(leaf, own))
  );
}
