/**
 * What the round machine remembers of its holders: who is asked, who failed and when to ask again. Part of machine.ts.
 *
 * May be called by: coordinator/rounds/machine.ts.
 */
import type {
  HolderStage,
  Phase,
  RoundEffect,
  RoundEvent,
  RoundState,
  RoundTerms,
  Step,
} from './machine-types.ts';

const RETRY_FIRST_MS = 200;
const RETRY_MAX_MS = 5000;

/** Nothing to carry out. */
export const still = (state: RoundState): Step => ({ state, effects: [] });

/** Nobody is asked. */
export const idleHolders = (terms: RoundTerms): RoundState['holders'] =>
  Object.fromEntries(terms.holderIds.map((id) => [id, { asked: false, retryAtMs: 0, failures: 0 }]));

/** Asks every holder in `ids` that is idle and due; notes when the stage has waited too long. */
export function ask(
  state: RoundState,
  stage: HolderStage,
  ids: readonly string[],
  nowMs: number,
  activeSet?: readonly number[],
): Step {
  const due = ids.filter((id) => !state.holders[id]!.asked && state.holders[id]!.retryAtMs <= nowMs);
  const holders = { ...state.holders };
  for (const id of due) holders[id] = { ...holders[id]!, asked: true };
  const effects: RoundEffect[] = due.map((holderId) => ({
    type: 'ask',
    stage,
    holderId,
    ...(activeSet ? { activeSet } : {}),
  }));
  return { state: overdue({ ...state, holders }, nowMs).state, effects };
}

/** Says so, once, where a stage has waited too long for its holders. */
export function overdue(state: RoundState, nowMs: number): Step {
  if (state.stuck || nowMs - state.stageStartedAtMs < state.terms.holderDeadlineMs) return still(state);
  const down = Object.entries(state.holders).filter(([, progress]) => progress.failures > 0);
  const { quorum, threshold, holderIds } = state.terms;
  const needed = state.phase === 'opening' ? `${threshold} to open` : `${quorum} to sign`;
  const held =
    state.phase === 'opening'
      ? 'the budget is charged, nothing is opened'
      : 'the reservation stays held, nothing is opened';
  return still({
    ...state,
    stuck: true,
    message: `${holderIds.length - down.length} of ${holderIds.length} key holders answer, ${needed}; ${held}`,
  });
}

const stageOf: Readonly<Partial<Record<Phase, HolderStage>>> = {
  accepting: 'acceptance',
  certifying: 'certificate',
  opening: 'partial',
  aborting: 'abort',
};

/** The holder answered. An answer to an earlier stage says nothing about the request that is under way now. */
export function done(state: RoundState, stage: HolderStage, holderId: string): RoundState {
  if (stageOf[state.phase] !== stage) return state;
  return { ...state, holders: { ...state.holders, [holderId]: { asked: false, retryAtMs: 0, failures: 0 } } };
}

/** A request to a holder failed; later ones wait longer. */
export function fail(state: RoundState, event: Extract<RoundEvent, { type: 'holder_failed' }>): RoundState {
  const { holderId, stage, message, nowMs } = event;
  if (stageOf[state.phase] !== stage) return state;
  const failures = (state.holders[holderId]?.failures ?? 0) + 1;
  const retryAtMs = nowMs + Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** (failures - 1));
  return {
    ...state,
    holders: { ...state.holders, [holderId]: { asked: false, retryAtMs, failures } },
    message: state.stuck ? state.message : `${holderId}: ${message}`,
  };
}

/** The holders of a set whose answers do not open the sum. */
export function blame(state: RoundState, activeSet: readonly number[], nowMs: number): RoundState['holders'] {
  const holders = { ...state.holders };
  for (const index of activeSet) {
    const id = state.terms.holderIds[index - 1]!;
    holders[id] = {
      asked: false,
      retryAtMs: nowMs + RETRY_FIRST_MS,
      failures: (holders[id]?.failures ?? 0) + 1,
    };
  }
  return holders;
}
