/**
 * Sorts the leaves of one plan by round, keeping their numbers, so that the checks can ask for "the
 * certificate of round 3" and for the order of things.
 *
 * Trusts: nothing beyond the leaf format. May be called by: auditor/.
 */
import type { LeafKind, LeafOf } from '../crypto/log/leaves.ts';
import type { NumberedLeaf } from './run-directory.ts';

export interface Numbered<K extends LeafKind> {
  readonly number: number;
  readonly leaf: LeafOf<K>;
}

/** Kinds of leaves that belong to one round. */
const ROUND_KINDS = [
  'ceremony',
  'round_opened',
  'reservation',
  'round_certificate',
  'abort',
  'opened_sum',
  'unopened',
  'mechanism',
  'settlement',
  'release',
] as const satisfies readonly LeafKind[];
type RoundKind = (typeof ROUND_KINDS)[number];

export type RoundLeaves = { readonly round: number } & { readonly [K in RoundKind]: Numbered<K>[] };

export interface PlanBook {
  readonly approvals: Numbered<'plan_approved'>[];
  /** By ascending round number. */
  readonly rounds: RoundLeaves[];
  /** Leaves of the same log that belong to other plans. */
  readonly foreignLeaves: number;
}

const isRoundKind = (kind: LeafKind): kind is RoundKind => (ROUND_KINDS as readonly string[]).includes(kind);

export function bookOf(leaves: readonly NumberedLeaf[], planHash: string): PlanBook {
  const approvals: Numbered<'plan_approved'>[] = [];
  const rounds = new Map<number, RoundLeaves>();
  let foreignLeaves = 0;
  for (const { number, leaf } of leaves) {
    if (!('planHash' in leaf)) continue;
    if (leaf.planHash !== planHash) {
      foreignLeaves++;
      continue;
    }
    if (leaf.kind === 'plan_approved') approvals.push({ number, leaf });
    if (!('round' in leaf) || !isRoundKind(leaf.kind)) continue;
    const book = rounds.get(leaf.round) ?? emptyRound(leaf.round);
    rounds.set(leaf.round, book);
    (book[leaf.kind] as NumberedLeaf[]).push({ number, leaf });
  }
  return { approvals, rounds: [...rounds.values()].sort((a, b) => a.round - b.round), foreignLeaves };
}

const emptyRound = (round: number): RoundLeaves =>
  ({ round, ...Object.fromEntries(ROUND_KINDS.map((kind) => [kind, []])) }) as unknown as RoundLeaves;
