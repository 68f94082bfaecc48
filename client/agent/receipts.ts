/**
 * What a receipt proves to the device that holds it (DESIGN §2.7, §2.9, §2.11).
 *
 * The coordinator's signature only says who sent it. The budget moves on proofs alone: a quorum of the plan's holders
 * signed this certificate and the device's own entry is in its tree (charge), or is provably not (release); or a
 * quorum signed the abort (release). Two quorums share an honest holder, which signs one statement per round.
 * Anything less leaves the charge standing. Trusts: the approved plan. May be called by: client/.
 */
import { equalBytes, fromHex, toHex } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import { leafHash, MerkleTree, verifyInclusion } from '../../crypto/log/merkle.ts';
import { quorumOf } from '../../protos/plan.ts';
import { parseReceipt, type Receipt } from '../../protos/receipt.ts';
import {
  abortStatement,
  certificateStatement,
  entryLeaf,
  receiptStatement,
  type UploadStatement,
} from '../../protos/statements.ts';
import type { PlanSession } from './invitation.ts';

/** What the device knows of its own upload. */
export interface OwnEntry {
  readonly statement: UploadStatement;
  readonly pseudonym: Uint8Array;
}

export interface Verdict {
  readonly receipt: Receipt;
  /** What it proves about the device's budget; `stands`: nothing, so the reservation stays. */
  readonly effect: 'charged' | 'released' | 'stands';
  /** Certified cohort; 0 where none is proven. */
  readonly cohortCount: number;
}

/**
 * Verifies a receipt for `entry`. Throws BAD_SIGNATURE, MALFORMED_MESSAGE, WRONG_ROUND, QUORUM_NOT_REACHED,
 * CERTIFICATE_INVALID or PROOF_INVALID; then nothing is proven and the charge stands.
 */
export function verifyReceipt(
  session: PlanSession,
  entry: OwnEntry,
  bytes: Uint8Array,
  signature: Uint8Array,
): Verdict {
  const { suite, parsed } = session;
  const coordinator = fromHex(parsed.plan.coordinatorPublicKey);
  const signed = suite.verify(coordinator, receiptStatement(bytes), signature);
  ensure(signed, 'BAD_SIGNATURE', 'the receipt is not signed by the coordinator of the plan');
  const receipt = parseReceipt(bytes);
  const { statement } = entry;
  const own =
    receipt.planHash === toHex(statement.planHash) &&
    receipt.round === statement.round &&
    receipt.deviceId === statement.deviceId &&
    receipt.digest === toHex(statement.digest) &&
    receipt.pseudonym === toHex(entry.pseudonym);
  ensure(own, 'WRONG_ROUND', 'the receipt speaks of another upload than the one this device sent');
  if (receipt.outcome === 'aborted') {
    const { reason, signatures } = receipt.abort!;
    requireQuorum(
      session,
      abortStatement({ planHash: statement.planHash, round: statement.round, reason }),
      signatures,
    );
    return { receipt, effect: 'released', cohortCount: 0 };
  }
  if (!receipt.certificate) return { receipt, effect: 'stands', cohortCount: 0 };
  const { root, count } = verifyCohort(session, statement, receipt.certificate);
  if (receipt.outcome === 'certified') {
    verifyInside(session, entry, receipt, root, count);
    return { receipt, effect: 'charged', cohortCount: count };
  }
  if (!receipt.exclusion) return { receipt, effect: 'stands', cohortCount: count };
  verifyOutside(entry, receipt.exclusion.leafHashes, root, count);
  // Proven outside, yet the charge stands: the bytes have left this device, and a coordinator with a colluding client
  // could have had a re-randomised copy of them certified under another name. Only an abort proves that nothing opens.
  return { receipt, effect: 'stands', cohortCount: count };
}

const ownLeafHash = ({ statement }: OwnEntry): Uint8Array => leafHash(entryLeaf(statement));

type HolderSignatures = readonly { readonly holderId: string; readonly signature: string }[];

/** By session: statement and signatures of the quorum that was found last; a round's receipts all carry the same. */
const lastQuorums = new WeakMap<PlanSession, string>();

/**
 * Distinct holders of the plan, each counted once however often it is listed; no more are looked at than a quorum needs.
 * Throws QUORUM_NOT_REACHED.
 */
function requireQuorum(session: PlanSession, statement: Uint8Array, signatures: HolderSignatures): void {
  const asked = JSON.stringify([toHex(statement), signatures]);
  if (lastQuorums.get(session) === asked) return;
  const { parsed, suite } = session;
  const quorum = quorumOf(parsed.plan);
  let valid = 0;
  for (const holder of parsed.plan.holders) {
    if (valid === quorum) break;
    const key = fromHex(holder.signingPublicKey);
    const has = signatures.some(
      ({ holderId, signature }) => holderId === holder.id && suite.verify(key, statement, fromHex(signature)),
    );
    if (has) valid++;
  }
  ensure(
    valid >= quorum,
    'QUORUM_NOT_REACHED',
    `the receipt carries ${valid} valid holder signatures, the plan asks for ${quorum}`,
  );
  lastQuorums.set(session, asked);
}

function verifyCohort(
  session: PlanSession,
  statement: UploadStatement,
  certificate: NonNullable<Receipt['certificate']>,
): { root: Uint8Array; count: number } {
  const root = fromHex(certificate.cohortRoot);
  const count = certificate.cohortCount;
  const certified = certificateStatement({
    planHash: statement.planHash,
    round: statement.round,
    modelHash: fromHex(certificate.modelHash),
    configHash: fromHex(certificate.configHash),
    committeeKeyId: fromHex(certificate.committeeKeyId),
    cohortRoot: root,
    cohortCount: count,
  });
  requireQuorum(session, certified, certificate.signatures);
  const { cohortMin } = session.parsed.plan.rounds;
  ensure(
    count >= cohortMin,
    'CERTIFICATE_INVALID',
    `the cohort has ${count} devices, the plan asks for ${cohortMin}`,
  );
  return { root, count };
}

function verifyInside(
  _session: PlanSession,
  entry: OwnEntry,
  receipt: Receipt,
  root: Uint8Array,
  count: number,
): void {
  const { statement } = entry;
  const certificate = receipt.certificate!;
  const sameRound =
    certificate.modelHash === toHex(statement.modelHash) &&
    certificate.configHash === toHex(statement.configHash) &&
    certificate.committeeKeyId === toHex(statement.committeeKeyId);
  ensure(
    sameRound,
    'CERTIFICATE_INVALID',
    'the certificate is of another model, configuration or committee key',
  );
  const { index, size, proof } = receipt.inclusion!;
  const inside =
    size === count &&
    verifyInclusion({ leafHash: ownLeafHash(entry), index, size, proof: proof.map(fromHex), root });
  ensure(
    inside,
    'PROOF_INVALID',
    "the receipt does not prove that this device's upload is in the certified cohort",
  );
}

/** The tree has exactly these leaves and the device's own is not one of them. */
function verifyOutside(
  entry: OwnEntry,
  leafHashes: readonly string[],
  root: Uint8Array,
  count: number,
): void {
  const leaves = leafHashes.map(fromHex);
  const whole = leaves.length === count && equalBytes(MerkleTree.fromLeafHashes(leaves).root(), root);
  ensure(whole, 'PROOF_INVALID', 'the listed leaves are not those of the certified cohort');
  const own = ownLeafHash(entry);
  const outside = leaves.every((leaf) => !equalBytes(leaf, own));
  ensure(
    outside,
    'PROOF_INVALID',
    "the certified cohort holds this device's upload although the receipt denies it",
  );
}
