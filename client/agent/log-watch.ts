/**
 * What a device checks of the transparency log: that the round it took part in stands there, that the checkpoint
 * continues the one it saw last, and (with a policy) that enough witnesses saw the same log.
 *
 * Two checkpoints that the coordinator signed and that cannot be of one log are an alarm: LOG_INCONSISTENT, with both
 * notes as evidence that anybody can verify. The budget does not depend on any of this (receipts.ts).
 * Trusts: the coordinator key of the approved plan, the pinned policy. May be called by: agent.ts, tests.
 */
import { equalBytes, fromHex, toHex } from '../../crypto/bytes.ts';
import { ensure, isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';
import {
  type Checkpoint,
  openCheckpoint,
  parseCheckpointText,
  parseSignedNote,
} from '../../crypto/log/checkpoint.ts';
import { parseLeaf } from '../../crypto/log/leaves.ts';
import { leafHash, verifyConsistency } from '../../crypto/log/merkle.ts';
import { noteVerifier } from '../../crypto/log/note-keys.ts';
import { policyOfLogs, type TlogPolicy } from '../../crypto/log/tlog-policy.ts';
import { parseTlogProof, type TlogProof, verifyTlogProof } from '../../crypto/log/tlog-proof.ts';
import type { Receipt } from '../../protos/receipt.ts';
import type { PlanSession } from './invitation.ts';

/** The largest verified checkpoint of one log: its signed note. */
export interface SeenLog {
  readonly note: string;
}

export interface LogReply {
  readonly tlogProof: Uint8Array;
  readonly logConsistency: readonly Uint8Array[];
}

export interface LogVerdict {
  /** To be remembered; the same as before where the reply brought nothing larger. */
  readonly seen: SeenLog;
  readonly leafHash: string;
  /** Names of witnesses of the policy that cosigned. */
  readonly witnesses: readonly string[];
  /** False: a policy is pinned and its quorum has not cosigned yet; ask again later. */
  readonly witnessed: boolean;
}

/** An alarm: two signed notes that contradict each other. */
export class ForkedLogError extends PulsefoldError {
  readonly notes: readonly [string, string];
  constructor(what: string, notes: readonly [string, string]) {
    super(
      'LOG_INCONSISTENT',
      `ALARM: ${what}. This device takes part no more; both signed checkpoints are kept as evidence: show them to the auditor`,
    );
    this.notes = notes;
  }
}

const checkpointOf = (note: string): Checkpoint => parseCheckpointText(parseSignedNote(note).text);

/** Size of what was seen, 0 for nothing: what the coordinator is asked to prove consistency with. */
export const sizeOfSeen = (seen: SeenLog | undefined): number => (seen ? checkpointOf(seen.note).size : 0);

/** What the proof must be of: the leaf that decided a verified receipt's round, or a leaf known by its hash. */
export type ExpectedLeaf = { readonly receipt: Receipt } | { readonly leafHash: string };

/**
 * Checks the log's part of a receipt that is verified already. Throws ForkedLogError (the alarm), or PROOF_INVALID,
 * BAD_SIGNATURE, MALFORMED_MESSAGE: then the reply proves nothing about the log.
 */
export function verifyLogReply(
  session: PlanSession,
  expected: ExpectedLeaf,
  reply: LogReply,
  own: { readonly seen: SeenLog | undefined; readonly policy?: TlogPolicy | undefined },
): LogVerdict {
  const proof = parseTlogProof(reply.tlogProof);
  const coordinator = coordinatorKey(session, checkpointOf(proof.checkpoint).origin);
  // First what an alarm rests on: the coordinator's signature and nothing else.
  openCheckpoint(proof.checkpoint, [coordinator], coordinator.name);
  const seen = continueFrom(own.seen, proof.checkpoint, reply.logConsistency);
  const leaf =
    'receipt' in expected ? leafHash(decidingLeaf(expected.receipt, proof)) : fromHex(expected.leafHash);
  verifyTlogProof(proof, { leafHash: leaf, policy: policyOfLogs([coordinator]) });
  return { seen, leafHash: toHex(leaf), ...witnessesOf(proof, leaf, own.policy, coordinator) };
}

function coordinatorKey({ parsed, suite }: PlanSession, origin: string) {
  return noteVerifier({
    name: origin,
    algorithm: suite.name === 'gm' ? 'sm2' : 'ed25519',
    publicKey: fromHex(parsed.plan.coordinatorPublicKey),
  });
}

function continueFrom(seen: SeenLog | undefined, note: string, proof: readonly Uint8Array[]): SeenLog {
  if (seen === undefined) return { note };
  const before = checkpointOf(seen.note);
  const now = checkpointOf(note);
  const alarm = (what: string): never => {
    throw new ForkedLogError(what, [seen.note, note]);
  };
  if (now.origin !== before.origin) alarm('the coordinator now signs a log of another name');
  if (now.size < before.size)
    alarm(`the log had ${before.size} leaves and now has ${now.size}: history was cut off`);
  const consistent = verifyConsistency({
    oldSize: before.size,
    oldRoot: before.root,
    size: now.size,
    root: now.root,
    proof: now.size === before.size ? [] : proof,
  });
  if (!consistent)
    alarm(
      'the coordinator cannot show that the log continues the one it signed before: two histories are shown',
    );
  return now.size === before.size ? seen : { note };
}

/** The leaf in the extra data, if it is the one that decided this receipt's round. */
function decidingLeaf(receipt: Receipt, { extra }: TlogProof): Uint8Array {
  ensure(extra, 'PROOF_INVALID', 'the proof of logging does not carry its leaf');
  const leaf = parseLeaf(extra);
  const { certificate, abort } = receipt;
  const decides = leaf.kind === 'round_certificate' || leaf.kind === 'abort';
  const same =
    certificate !== undefined
      ? leaf.kind === 'round_certificate' &&
        leaf.modelHash === certificate.modelHash &&
        leaf.configHash === certificate.configHash &&
        leaf.committeeKeyId === certificate.committeeKeyId &&
        leaf.cohortRoot === certificate.cohortRoot &&
        leaf.cohortCount === certificate.cohortCount
      : leaf.kind === 'abort' && leaf.reason === abort?.reason.slice(0, 500);
  ensure(
    decides && same && leaf.planHash === receipt.planHash && leaf.round === receipt.round,
    'PROOF_INVALID',
    'the proof of logging is for another leaf than the one that decided this round',
  );
  return extra;
}

function witnessesOf(
  proof: TlogProof,
  leaf: Uint8Array,
  policy: TlogPolicy | undefined,
  coordinator: ReturnType<typeof coordinatorKey>,
): Pick<LogVerdict, 'witnesses' | 'witnessed'> {
  if (policy === undefined) return { witnesses: [], witnessed: true };
  try {
    const { log, cosigners } = verifyTlogProof(proof, { leafHash: leaf, policy, logs: [coordinator] });
    ensure(
      equalBytes(log.publicKey, coordinator.publicKey),
      'BAD_SIGNATURE',
      `the policy pins another log key for ${coordinator.name}: ${toHex(log.publicKey).slice(0, 16)}…`,
    );
    return { witnesses: cosigners.map(({ name }) => name), witnessed: true };
  } catch (error) {
    if (!isPulsefoldError(error) || error.code !== 'QUORUM_NOT_REACHED') throw error;
    return { witnesses: [], witnessed: false };
  }
}
