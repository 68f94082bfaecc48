/**
 * Rounds: approvals, committee keys, quorums, cohort sizes, opened sums. The chain of models: check-versions.ts.
 *
 * Trusts: the public keys in the plan, whose hash the approvers signed. May be called by: auditor/.
 */

import { fromHex, toHex } from '../crypto/bytes.ts';
import { getSuite, type Suite } from '../crypto/identity/suite.ts';
import { MerkleTree } from '../crypto/log/merkle.ts';
import { type Approver, emptySeats, SEATS } from '../protos/approval-policy.ts';
import { openersOf, type ParsedPlan, quorumOf } from '../protos/plan.ts';
import {
  abortStatement,
  approvalStatement,
  certificateStatement,
  committeeKeyStatement,
} from '../protos/statements.ts';
import { checkGroups } from './check-groups.ts';
import type { Findings } from './findings.ts';
import { openedLength } from './plan-terms.ts';
import type { Numbered, PlanBook, RoundLeaves } from './round-book.ts';
import type { RoundFile } from './run-directory.ts';

type HolderSignatures = readonly { readonly holderId: string; readonly signature: string }[];

export interface RoundContext {
  readonly parsed: ParsedPlan;
  readonly suite: Suite;
  readonly findings: Findings;
}

export const contextOf = (parsed: ParsedPlan, findings: Findings): RoundContext => ({
  parsed,
  suite: getSuite(parsed.plan.suite),
  findings,
});

/**
 * Holders of the plan with a valid signature over `statement`; unknown names, repeats and bad signatures
 * count nothing.
 */
export function validSigners(
  { parsed, suite }: Pick<RoundContext, 'parsed' | 'suite'>,
  statement: Uint8Array,
  signatures: HolderSignatures,
): Set<string> {
  const valid = new Set<string>();
  for (const { holderId, signature } of signatures) {
    const holder = parsed.plan.holders.find((candidate) => candidate.id === holderId);
    if (holder && suite.verify(fromHex(holder.signingPublicKey), statement, fromHex(signature)))
      valid.add(holderId);
  }
  return valid;
}

/** The bytes that the holders signed for a certificate leaf. */
export const statementOf = ({ parsed }: RoundContext, { leaf }: Numbered<'round_certificate'>): Uint8Array =>
  certificateStatement({
    planHash: parsed.hash,
    round: leaf.round,
    modelHash: fromHex(leaf.modelHash),
    configHash: fromHex(leaf.configHash),
    committeeKeyId: fromHex(leaf.committeeKeyId),
    cohortRoot: fromHex(leaf.cohortRoot),
    cohortCount: leaf.cohortCount,
  });

/** Digest by which other leaves name this certificate. */
export const certificateHash = (context: RoundContext, certificate: Numbered<'round_certificate'>): string =>
  toHex(context.suite.digest(statementOf(context, certificate)));

export const abortHash = ({ parsed, suite }: RoundContext, { leaf }: Numbered<'abort'>): string =>
  toHex(suite.digest(abortStatement({ planHash: parsed.hash, round: leaf.round, reason: leaf.reason })));

export interface ApprovalTrust {
  /** Whose keys are pinned. A seat that one of them holds must be filled by a signature. */
  readonly approvers?: readonly Approver[] | undefined;
  readonly approvalsRequired?: number | undefined;
}

export function checkApprovals(context: RoundContext, book: PlanBook, trust: ApprovalTrust): void {
  const { parsed, suite, findings } = context;
  const required = trust.approvalsRequired ?? 1;
  const first = book.approvals[0];
  const opened = book.rounds.flatMap((round) => round.round_opened.map(({ number }) => number));
  if (!findings.require(first !== undefined, 'PLAN_NOT_APPROVED', 'no leaf holds an approval of this plan'))
    return;
  findings.require(
    opened.every((number) => number > first!.number),
    'PLAN_NOT_APPROVED',
    'a round was opened before the plan was approved',
    { leaf: first!.number },
  );
  if (trust.approvers === undefined)
    findings.warn(
      'TRUST_NOT_PINNED',
      'no approver keys were given: approvals are checked against their own keys',
    );
  const valid = new Set<string>();
  for (const { approverId, publicKey, signature } of first!.leaf.approvals) {
    const pinned = trust.approvers?.find((approver) => approver.id === approverId)?.publicKey;
    if (trust.approvers !== undefined && pinned !== publicKey) continue;
    if (suite.verify(fromHex(publicKey), approvalStatement(parsed.hash, approverId), fromHex(signature)))
      valid.add(publicKey);
  }
  findings.require(
    valid.size >= required,
    'PLAN_NOT_APPROVED',
    `the plan has ${valid.size} of ${required} required approver signatures`,
    { leaf: first!.number },
  );
  const approvers = trust.approvers ?? [];
  const seats = SEATS.filter((seat) => approvers.some((approver) => approver.seat === seat));
  const empty = emptySeats({ approvers, required, seats }, valid);
  findings.require(
    empty.length === 0,
    'PLAN_NOT_APPROVED',
    `the plan lacks the signature of the ${empty.join(' seat, of the ')} seat`,
    { leaf: first!.number },
  );
}

/** Everything about rounds that is not money: returns the purpose of each round. */
export function checkRounds(context: RoundContext, book: PlanBook, files: readonly RoundFile[]): void {
  const byRound = new Map(files.map((file) => [file.round, file]));
  for (const round of book.rounds) {
    checkKey(context, round);
    checkCertificate(context, round);
    checkCohort(context, round, byRound.get(round.round));
    checkAbort(context, round);
    checkSum(context, round, byRound.get(round.round));
    const [certificate] = round.round_certificate;
    checkGroups(context, round, byRound.get(round.round), certificate && statementOf(context, certificate));
    checkOrder(context, round);
  }
  const known = new Set(
    book.rounds.filter((round) => round.opened_sum.length > 0).map((round) => round.round),
  );
  for (const file of files)
    if (file.sum !== null)
      context.findings.require(
        known.has(file.round) && file.planHash === context.parsed.hashHex,
        'SUM_UNCERTIFIED',
        `rounds/${file.round}.json holds a sum that the log does not know`,
        { round: file.round },
      );
}

/** A committee key counts only with the signatures of *all* holders in the plan (DESIGN §2.3). */
function checkKey(context: RoundContext, { round, ceremony, round_opened: opened }: RoundLeaves): void {
  const { parsed, findings } = context;
  for (const { number, leaf } of ceremony) {
    const keyId = fromHex(leaf.committeeKeyId);
    const statement = committeeKeyStatement({ planHash: parsed.hash, round, keyId });
    findings.require(
      validSigners(context, statement, leaf.signatures).size === parsed.plan.holders.length,
      'KEY_NOT_SIGNED',
      `the committee key of round ${round} is not signed by all holders`,
      { leaf: number, round },
    );
  }
  for (const { number, leaf } of opened)
    findings.require(
      ceremony.some((made) => made.number < number && made.leaf.committeeKeyId === leaf.committeeKeyId),
      'KEY_NOT_SIGNED',
      `round ${round} was opened with a committee key that no ceremony before it made`,
      { leaf: number, round },
    );
}

/** The certified root and count are those of the exported leaf hashes. */
function checkCohort({ findings }: RoundContext, leaves: RoundLeaves, file: RoundFile | undefined): void {
  const [certificate] = leaves.round_certificate;
  if (!certificate || !file) return;
  const { round, leaf } = { round: leaves.round, leaf: certificate.leaf };
  const where = { leaf: certificate.number, round };
  if (file.cohortLeafHashes === undefined) {
    findings.warn(
      'NOT_CHECKED',
      `rounds/${round}.json has no leaf hashes: the cohort root was not recomputed`,
      where,
    );
    return;
  }
  const tree = MerkleTree.fromLeafHashes(file.cohortLeafHashes.map(fromHex));
  findings.require(
    tree.size === leaf.cohortCount && toHex(tree.root()) === leaf.cohortRoot,
    'COHORT_MISMATCH',
    `the leaf hashes in rounds/${round}.json do not give the certified cohort root`,
    where,
  );
}

function checkCertificate(context: RoundContext, leaves: RoundLeaves): void {
  const { parsed, findings } = context;
  const { round, round_certificate: certificates, round_opened: opened, abort } = leaves;
  findings.require(
    opened.length === 1 || certificates.length + abort.length === 0,
    'ROUND_INCONSISTENT',
    `round ${round} was opened ${opened.length} times`,
    { round },
  );
  findings.require(
    certificates.length + abort.length <= 1,
    'CERTIFICATE_CONFLICT',
    `round ${round} has more than one final statement`,
    { round },
  );
  for (const certificate of certificates) {
    const where = { leaf: certificate.number, round };
    const { leaf } = certificate;
    const signers = validSigners(context, statementOf(context, certificate), leaf.signatures).size;
    const quorum = quorumOf(parsed.plan);
    findings.require(
      signers >= quorum,
      'QUORUM_MISSING',
      `the certificate of round ${round} has ${signers} of ${quorum} holder signatures`,
      where,
    );
    findings.require(
      leaf.cohortCount >= parsed.plan.rounds.cohortMin,
      'COHORT_TOO_SMALL',
      `round ${round} certifies ${leaf.cohortCount} clients, the plan wants ${parsed.plan.rounds.cohortMin}`,
      where,
    );
    findings.require(
      leaf.cohortCount <= parsed.plan.rounds.cohortMax,
      'ROUND_INCONSISTENT',
      `round ${round} certifies more clients than the plan allows`,
      where,
    );
    const same = opened.some(
      (open) =>
        open.leaf.modelHash === leaf.modelHash &&
        open.leaf.configHash === leaf.configHash &&
        open.leaf.committeeKeyId === leaf.committeeKeyId,
    );
    findings.require(
      same,
      'ROUND_INCONSISTENT',
      `the certificate of round ${round} names another model, configuration or key than the round`,
      where,
    );
  }
}

function checkAbort(context: RoundContext, { round, abort }: RoundLeaves): void {
  const { parsed, findings } = context;
  for (const { number, leaf } of abort) {
    const statement = abortStatement({ planHash: parsed.hash, round, reason: leaf.reason });
    const signers = validSigners(context, statement, leaf.signatures).size;
    const quorum = quorumOf(parsed.plan);
    findings.require(
      signers >= quorum,
      'QUORUM_MISSING',
      `the abort of round ${round} has ${signers} of ${quorum} holder signatures`,
      { leaf: number, round },
    );
  }
}

function checkSum(context: RoundContext, leaves: RoundLeaves, file: RoundFile | undefined): void {
  const { parsed, suite, findings } = context;
  const { round, opened_sum: sums, round_certificate: certificates } = leaves;
  findings.require(sums.length <= 1, 'SUM_UNCERTIFIED', `round ${round} was opened more than once`, {
    round,
  });
  for (const { number, leaf } of sums) {
    const where = { leaf: number, round };
    const certified = certificates.some(
      (certificate) =>
        certificate.number < number && certificateHash(context, certificate) === leaf.certificateHash,
    );
    findings.require(
      certified,
      'SUM_UNCERTIFIED',
      `the sum of round ${round} was opened without its certificate`,
      where,
    );
    const ids = new Set(leaf.activeSet);
    findings.require(
      ids.size === openersOf(parsed.plan) &&
        parsed.plan.holders.filter((holder) => ids.has(holder.id)).length === ids.size,
      'SUM_UNCERTIFIED',
      `the sum of round ${round} names a wrong set of opening holders`,
      where,
    );
    if (
      !findings.require(
        Boolean(file?.sum),
        'SUM_MISSING',
        `the opened sum of round ${round} is not in rounds/${round}.json`,
        where,
      )
    )
      continue;
    const { digits } = file!.sum!;
    const length = openedLength(parsed.plan, leaves.round_opened[0]?.leaf.purpose ?? 'training');
    findings.require(
      length === undefined || (digits.length === length && leaf.length === length),
      'MECHANISM_MISMATCH',
      `round ${round} opened ${leaf.length} coefficients for ${length} noised entries: more than their sum`,
      where,
    );
    findings.require(
      toHex(suite.digest(int32Bytes(digits))) === leaf.sumHash && digits.length === leaf.length,
      'SUM_MISMATCH',
      `the sum in rounds/${round}.json is not the one in the log`,
      where,
    );
  }
}

/** Digits as they are hashed: little-endian int32. */
function int32Bytes(digits: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(digits.length * 4);
  const view = new DataView(bytes.buffer);
  digits.forEach((digit, i) => {
    view.setInt32(4 * i, digit, true);
  });
  return bytes;
}

/** opened → certificate or abort → sum → release, or, where no sum opens, certificate → unopened; each ending once. */
function checkOrder(context: RoundContext, leaves: RoundLeaves): void {
  const { findings } = context;
  const { round, round_opened, round_certificate, abort, opened_sum, release } = leaves;
  const numbers = (list: readonly { readonly number: number }[]) => list.map(({ number }) => number);
  const steps = [
    numbers(round_opened),
    numbers([...round_certificate, ...abort]),
    numbers(opened_sum),
    numbers(release),
  ];
  for (let i = 1; i < steps.length; i++) {
    const [before, after] = [steps[i - 1]!, steps[i]!];
    const ordered = after.length === 0 || (before.length > 0 && Math.max(...before) < Math.min(...after));
    findings.require(
      ordered,
      'ROUND_INCONSISTENT',
      `the steps of round ${round} stand in the log out of order`,
      { round },
    );
  }
  findings.require(
    release.length <= 1,
    'ROUND_INCONSISTENT',
    `round ${round} was released ${release.length} times`,
    { round },
  );
  checkUnopened(context, leaves);
}

/**
 * A round may end without a sum only where it was certified and nothing of it was opened, before or after: otherwise one
 * that has ended by the log, so that later ones may pass it, could still be released.
 */
function checkUnopened(context: RoundContext, leaves: RoundLeaves): void {
  const { findings } = context;
  const { round, round_certificate: certificates, unopened, opened_sum, release } = leaves;
  findings.require(
    unopened.length <= 1,
    'ROUND_INCONSISTENT',
    `round ${round} was given up ${unopened.length} times`,
    { round },
  );
  for (const { number, leaf } of unopened) {
    const where = { leaf: number, round };
    findings.require(
      certificates.some(
        (certificate) =>
          certificate.number < number && certificateHash(context, certificate) === leaf.certificateHash,
      ),
      'ROUND_INCONSISTENT',
      `round ${round} was given up as unopened without its certificate`,
      where,
    );
    findings.require(
      opened_sum.length + release.length === 0,
      'ROUND_INCONSISTENT',
      `round ${round} was given up as unopened, yet its sum was opened or released`,
      where,
    );
  }
}
