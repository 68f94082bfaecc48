/**
 * A run without its bundle, as far as a person's own proofs of logging show it: each leaf with its path to a tree that
 * the coordinator signed. Enough for the rounds that the person has receipts of; that nothing else was charged to them,
 * that no consent was made up and that the run passes its audit is seen in a bundle only.
 *
 * Trusts: the plan's coordinator key, which the person took from an approved plan. May be called by: cli/.
 */
import { toHex, utf8 } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import { MerkleTree } from '../../crypto/log/merkle.ts';
import type { PersonExport } from '../../protos/person-export.ts';
import { parsePlanBytes } from '../../protos/plan.ts';
import { bookOf } from '../round-book.ts';
import type { HistoryRun } from './history.ts';
import { checkOwnProof, type OwnProof } from './own-proofs.ts';

/** Throws PLAN_INVALID for a plan that is not the one of its hash. */
export function ownRunOf(
  { planHash, plan }: Pick<PersonExport['plans'][number], 'planHash' | 'plan'>,
  logProofs: readonly OwnProof[],
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
  const leaves = new Map(
    logProofs
      .filter((proof) => proof.planHash === planHash)
      .flatMap((proof) => checkOwnProof(nothing, proof).shown ?? [])
      .map(({ index, hash, leaf }) => [`${index} ${toHex(hash)}`, { number: index, leaf }]),
  );
  const numbered = [...leaves.values()].sort((a, b) => a.number - b.number);
  const rounds = new Map(bookOf(numbered, planHash).rounds.map((round) => [round.round, round]));
  const consents = numbered.flatMap(({ leaf }) => (leaf.kind === 'consent_commitment' ? [leaf] : []));
  return { ...nothing, rounds, consents };
}
