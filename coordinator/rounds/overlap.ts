/**
 * Which round of a plan opens next, and when: pure decisions over the rounds that are open (docs/adr/0041).
 *
 * Rounds that are open at a time stand within overlap + 1 consecutive numbers, so that a key holder knows from the number
 * alone which keys have no use left; evaluation waits for every training round. With overlap 0 rounds follow one another.
 * Trusts: states of its caller. May be called by: coordinator/rounds/runner.ts.
 */
import { committeeKeyCount, type Plan } from '../../protos/plan.ts';
import { lastEndedBefore } from '../../protos/plan-overlap.ts';
import type { RoundKind } from '../../protos/round-config.ts';
import type { RoundState } from './machine-types.ts';

export interface PlanProgress {
  readonly plan: Plan;
  /** Rounds that have ended with a release. */
  readonly released: number;
  /** Number of the last round that was opened; 0 before the first. */
  readonly lastRound: number;
  /** Rounds that have not ended, by ascending number. */
  readonly open: readonly RoundState[];
  readonly nowMs: number;
}

export type NextRound =
  | { readonly type: 'open'; readonly round: number; readonly kind: RoundKind }
  /** Something must happen first. */
  | { readonly type: 'wait' }
  | { readonly type: 'finished' };

const WAIT: NextRound = { type: 'wait' };

/** Whether devices that come now are of more use to the next round than to this one. */
export function leavesRoom(
  { phase, quorateAtMs, invited, terms }: Pick<RoundState, 'phase' | 'quorateAtMs' | 'invited' | 'terms'>,
  nowMs: number,
): boolean {
  if (phase !== 'collecting' || invited.length >= terms.cohortMax) return true;
  return quorateAtMs !== null && nowMs - quorateAtMs >= terms.checkInWindowMs;
}

export function nextRound({ plan, released, lastRound, open, nowMs }: PlanProgress): NextRound {
  const { training, evaluation } = plan.rounds;
  const round = lastRound + 1;
  const [oldest, newest] = [open[0], open.at(-1)];
  if (!oldest || !newest) {
    if (released >= training + evaluation) return { type: 'finished' };
    return { type: 'open', round, kind: released < training ? 'training' : 'evaluation' };
  }
  const fits =
    oldest.round > lastEndedBefore(plan, round) &&
    released + open.length < training &&
    round <= committeeKeyCount(plan);
  return fits && leavesRoom(newest, nowMs) ? { type: 'open', round, kind: 'training' } : WAIT;
}
