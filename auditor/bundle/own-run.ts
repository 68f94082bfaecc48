/**
 * A run without its bundle, as far as a person's own proofs of logging show it: each leaf with its path to a tree that
 * the coordinator signed. Enough for the rounds that the person has receipts of; who approved the plan, that nothing else
 * was charged to them, that no consent was made up and that the run passes its audit is seen in a bundle only.
 *
 * Trusts: the plan that the person shows, whose keys are anybody's unless its hash or the log's key is pinned. May be
 * called by: cli/.
 */
import { equalBytes, fromHex, toHex, utf8 } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import { MerkleTree } from '../../crypto/log/merkle.ts';
import { noteVerifierOf } from '../../crypto/log/note-keys.ts';
import type { PersonExport } from '../../protos/person-export.ts';
import { type ParsedPlan, parsePlanBytes } from '../../protos/plan.ts';
import { bookOf } from '../round-book.ts';
import type { AuditTrust } from '../verify.ts';
import type { HistoryRun } from './history.ts';
import { checkOwnProof, type OwnProof } from './own-proofs.ts';

/** The pins that can be held against a run without its bundle; the others speak of leaves and checkpoints that it lacks. */
export type OwnTrust = Pick<AuditTrust, 'planHash' | 'logKey'>;

/**
 * Pins that do not fit are the run's `differsFromPins`. Throws PLAN_INVALID for a plan that is not the one of its hash,
 * MALFORMED_MESSAGE for a log key that is none.
 */
export function ownRunOf(
  { planHash, plan }: Pick<PersonExport['plans'][number], 'planHash' | 'plan'>,
  logProofs: readonly OwnProof[],
  trust: OwnTrust = {},
): HistoryRun {
  const parsed = parsePlanBytes(utf8(plan));
  ensure(
    parsed.hashHex === planHash,
    'PLAN_INVALID',
    `the export's plan ${planHash.slice(0, 8)} is another one`,
  );
  const nothing: HistoryRun = {
    parsed,
    result: undefined,
    rounds: new Map(),
    log: new MerkleTree(),
    consents: [],
    lastMs: 0,
  };
  // A leaf may be proven twice, by the device and in the coordinator's report.
  const shown = logProofs
    .filter((proof) => proof.planHash === planHash)
    .flatMap((proof) => checkOwnProof(nothing, proof).shown ?? []);
  const leaves = new Map(
    shown.map(({ index, hash, leaf }) => [`${index} ${toHex(hash)}`, { number: index, leaf }]),
  );
  const numbered = [...leaves.values()].sort((a, b) => a.number - b.number);
  const rounds = new Map(bookOf(numbered, planHash).rounds.map((round) => [round.round, round]));
  const consents = numbered.flatMap(({ leaf }) => (leaf.kind === 'consent_commitment' ? [leaf] : []));
  const origins = shown.map(({ origin }) => origin);
  return { ...nothing, rounds, consents, differsFromPins: differs(parsed, origins, trust) };
}

/** A log is its key and its name, as in the audit of a bundle. */
function differs({ plan, hashHex }: ParsedPlan, origins: readonly string[], trust: OwnTrust): boolean {
  if (trust.planHash !== undefined && trust.planHash !== hashHex) return true;
  if (trust.logKey === undefined) return false;
  const { name, publicKey } = noteVerifierOf(trust.logKey.trim());
  return (
    !equalBytes(publicKey, fromHex(plan.coordinatorPublicKey)) || origins.some((origin) => origin !== name)
  );
}
