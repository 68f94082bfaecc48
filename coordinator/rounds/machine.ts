/**
 * The round state machine: pure decisions, no I/O, no clock of its own.
 *
 * For: production, demo and simulation alike run rounds through `advance(state, event)`. The driver persists the
 * returned state, carries out the effects and feeds back what happened. Effects are idempotent, so after a crash
 * `resume(state)` simply asks for the missing ones again.
 * Trusts: events of the driver that calls it; holders' signatures inside events have been verified by the driver.
 * May be called by: coordinator/rounds/active-round.ts, experiments/simulation.
 *
 *   collecting ─► accepting ─► certifying ─► opening ─► opened ─► released
 *        │            │                          └─► unopened
 *        └────────────┴─► aborting ─► aborted      (none once signatures for a certificate were asked for)
 */
import type { RoundKind } from '../../protos/round-config.ts';
import { ask, blame, done, fail, idleHolders, overdue, still } from './machine-holders.ts';
import type { Phase, RoundEffect, RoundEvent, RoundState, RoundTerms, Step } from './machine-types.ts';
import { blamed, FINAL_PHASES } from './machine-types.ts';
import { add, addAll } from './members.ts';
import { activeSets, chooseActiveSet, chooseCohort } from './selection.ts';

export type * from './machine-types.ts';

/**
 * A holder may have signed the certificate although its answer was lost; two certificates and two aborts would end the
 * round for neither. So once signatures were asked for there is no way back, only forward.
 */
const TOO_LATE_TO_ABORT =
  'key holders were already asked to certify, so the round can only go on; waiting for their quorum';

const VERDICT_GRACE_MS = 1000;

export function openRound(round: number, kind: RoundKind, terms: RoundTerms, nowMs: number): RoundState {
  return {
    round,
    kind,
    phase: 'collecting',
    terms,
    invited: [],
    uploaded: [],
    quorateAtMs: null,
    lastUploadAtMs: nowMs,
    stageStartedAtMs: nowMs,
    candidates: null,
    verdicts: {},
    cohort: null,
    certificateSigners: [],
    abortReason: null,
    abortSigners: [],
    activeSet: null,
    partials: {},
    holders: idleHolders(terms),
    underWay: null,
    stuck: false,
    message: 'waiting for devices',
  };
}

/** After a restart: nothing is under way any more; `tick` asks for what is missing. */
export const resume = (state: RoundState): RoundState => ({
  ...state,
  holders: idleHolders(state.terms),
  underWay: null,
});

export const isFinal = (state: RoundState): boolean => FINAL_PHASES.includes(state.phase);

export function advance(state: RoundState, event: RoundEvent): Step {
  if (isFinal(state)) return { state, effects: [] };
  const step = apply(state, event);
  // Every event is also a look at the clock, so that no decision waits for the next tick.
  const looked = look(step.state, event.nowMs);
  return { state: looked.state, effects: [...step.effects, ...looked.effects] };
}

function apply(state: RoundState, event: RoundEvent): Step {
  switch (event.type) {
    case 'tick':
      return still(state);
    case 'devices_invited':
      return still(invite(state, event.deviceIds));
    case 'uploads_acknowledged': {
      if (state.phase !== 'collecting') return still(state);
      const uploaded = addAll(state.uploaded, event.deviceIds);
      return still(uploaded === state.uploaded ? state : { ...state, uploaded, lastUploadAtMs: event.nowMs });
    }
    case 'accepted':
      // A verdict after the cohort was chosen decides nothing any more.
      if (state.phase !== 'accepting') return still(state);
      return still(judged(state, event.holderId, event.deviceIds));
    case 'certificate_signed':
      return still({
        ...done(state, 'certificate', event.holderId),
        certificateSigners: add(state.certificateSigners, event.holderId),
      });
    case 'abort_signed':
      return still({
        ...done(state, 'abort', event.holderId),
        abortSigners: add(state.abortSigners, event.holderId),
      });
    case 'abort_requested':
      return still(beginAbort(state, event.reason, event.nowMs));
    case 'partial_received': {
      const key = event.activeSet.join(',');
      const partials = { ...state.partials, [key]: add(state.partials[key] ?? [], event.holderId) };
      return still({ ...done(state, 'partial', event.holderId), partials });
    }
    case 'opening_failed':
      return still(discard(state, event.activeSet, event.nowMs));
    case 'sum_opened':
      if (state.phase !== 'opening') return still(state);
      return still({ ...enter(state, 'opened', event.nowMs), message: `sum opened${blamed(state)}` });
    case 'holders_contradict':
      return still({ ...state, contradicting: event.holderIds });
    case 'released':
      if (state.phase !== 'opened') return still(state);
      return still({ ...enter(state, 'released', event.nowMs), message: `released${blamed(state)}` });
    case 'holder_failed':
      return still(fail(state, event));
  }
}

/** What the passing of time and the present state call for. */
function look(state: RoundState, nowMs: number): Step {
  switch (state.phase) {
    case 'collecting':
      return lookCollecting(state, nowMs);
    case 'accepting':
      return lookAccepting(state, nowMs);
    case 'certifying':
      return lookCertifying(state, nowMs);
    case 'opening':
      return lookOpening(state, nowMs);
    case 'aborting':
      return lookAborting(state, nowMs);
    case 'opened':
      return handOver(state, 'release', { type: 'release' });
    default:
      return still(state);
  }
}

function lookCollecting(state: RoundState, nowMs: number): Step {
  const { terms } = state;
  if (state.invited.length < terms.cohortMin) return still(state);
  // The windows count from here. A crash forgets them while invitations and uploads stay: they start again, which
  // gives the devices time to come back.
  if (state.quorateAtMs === null)
    return lookCollecting({ ...state, quorateAtMs: nowMs, lastUploadAtMs: nowMs }, nowMs);
  const waitedMs = nowMs - state.quorateAtMs;
  const enough = state.uploaded.length >= terms.cohortMin;
  const everybody = state.uploaded.length === state.invited.length;
  // Phones vanish; a round does not wait for its deadline when nothing has come for a while.
  const quiet = nowMs - state.lastUploadAtMs >= terms.stragglerMs;
  const settled = waitedMs >= terms.checkInWindowMs && (everybody || quiet);
  if (enough && (state.uploaded.length >= terms.cohortTarget || settled || waitedMs >= terms.deadlineMs)) {
    const frozen = {
      ...enter(state, 'accepting', nowMs),
      candidates: [...state.uploaded].sort(),
      message: `${state.uploaded.length} uploads frozen; key holders check them`,
    };
    const next = look(frozen, nowMs);
    return { state: next.state, effects: [{ type: 'freeze' }, ...next.effects] };
  }
  if (!enough && waitedMs >= terms.deadlineMs)
    return look(
      beginAbort(
        state,
        `only ${state.uploaded.length} of at least ${terms.cohortMin} uploads came in time`,
        nowMs,
      ),
      nowMs,
    );
  return still(state);
}

function lookAccepting(state: RoundState, nowMs: number): Step {
  const { terms } = state;
  const candidates = state.candidates ?? [];
  const answered = Object.keys(state.verdicts);
  const settled = terms.holderIds.every((id) => state.verdicts[id] || (state.holders[id]?.failures ?? 0) > 0);
  const unanimous = answered.filter((id) => state.verdicts[id]!.length === candidates.length);
  // A quorum that accepts everybody may still be wrong about one whom the last holder rejects (selection.ts), so that
  // one gets a moment to say so: it has seen most uploads while they came.
  const waited = nowMs - state.stageStartedAtMs >= VERDICT_GRACE_MS;
  const agreed = unanimous.length >= terms.quorum && (settled || waited);
  if (!agreed && !(settled && answered.length >= terms.quorum))
    return ask(
      state,
      'acceptance',
      terms.holderIds.filter((id) => !state.verdicts[id]),
      nowMs,
    );
  const cohort = chooseCohort(state.verdicts, terms.quorum, terms.cohortMin);
  // One holder that rejects everybody and another that is away for a moment must not end the round together.
  const missing = terms.holderIds.filter((id) => !state.verdicts[id]);
  const patient = missing.length > 0 && nowMs - state.stageStartedAtMs < terms.holderDeadlineMs;
  if (cohort.length < terms.cohortMin && patient) return ask(state, 'acceptance', missing, nowMs);
  if (cohort.length < terms.cohortMin)
    return look(
      beginAbort(
        state,
        `a quorum accepts only ${cohort.length} of at least ${terms.cohortMin} uploads`,
        nowMs,
      ),
      nowMs,
    );
  return look(
    {
      ...enter(state, 'certifying', nowMs),
      cohort,
      message: `${cohort.length} uploads accepted; asking for signatures`,
    },
    nowMs,
  );
}

function lookCertifying(state: RoundState, nowMs: number): Step {
  const { terms } = state;
  if (state.certificateSigners.length >= terms.quorum) {
    const certified = { ...enter(state, 'opening', nowMs), message: 'cohort certified; opening the sum' };
    const next = look(certified, nowMs);
    return { state: next.state, effects: [{ type: 'settle' }, ...next.effects] };
  }
  return ask(
    state,
    'certificate',
    terms.holderIds.filter((id) => !state.certificateSigners.includes(id)),
    nowMs,
  );
}

function lookOpening(state: RoundState, nowMs: number): Step {
  const { terms } = state;
  for (const set of activeSets(terms.holderIds.length, terms.threshold)) {
    const have = state.partials[set.join(',')] ?? [];
    if (set.every((index) => have.includes(terms.holderIds[index - 1]!))) {
      return handOver(state, `open ${set.join(',')}`, { type: 'open_sum', activeSet: set });
    }
  }
  // The stored answers of a holder are final, so a set that failed fails for ever; when all have, the round is over.
  const hopeless = activeSets(terms.holderIds.length, terms.threshold).every(
    (set) => state.partials[set.join(',')]?.length === 0,
  );
  if (hopeless)
    return {
      state: {
        ...enter(state, 'unopened', nowMs),
        message: `no set of key holders opens the sum; the budget is charged${blamed(state)}`,
      },
      effects: [{ type: 'give_up' }],
    };
  const activeSet = chooseActiveSet(state, nowMs);
  if (!activeSet) return overdue(state, nowMs);
  const have = state.partials[activeSet.join(',')] ?? [];
  const missing = activeSet.map((index) => terms.holderIds[index - 1]!).filter((id) => !have.includes(id));
  return ask({ ...state, activeSet }, 'partial', missing, nowMs, activeSet);
}

/** Gives local work to the driver once per process. */
function handOver(state: RoundState, work: string, effect: RoundEffect): Step {
  if (state.underWay === work) return still(state);
  return { state: { ...state, underWay: work }, effects: [effect] };
}

function lookAborting(state: RoundState, nowMs: number): Step {
  const { terms } = state;
  if (state.abortSigners.length >= terms.quorum)
    return {
      state: { ...enter(state, 'aborted', nowMs), message: state.abortReason ?? 'aborted' },
      effects: [{ type: 'void' }],
    };
  return ask(
    state,
    'abort',
    terms.holderIds.filter((id) => !state.abortSigners.includes(id)),
    nowMs,
  );
}

function invite(state: RoundState, deviceIds: readonly string[]): RoundState {
  if (state.phase !== 'collecting') return state;
  const invited = addAll(state.invited, deviceIds);
  return invited === state.invited ? state : { ...state, invited, message: 'collecting uploads' };
}

function beginAbort(state: RoundState, reason: string, nowMs: number): RoundState {
  if (state.phase === 'certifying') return { ...state, message: TOO_LATE_TO_ABORT };
  if (!['collecting', 'accepting'].includes(state.phase)) return state;
  // A holder that signed an abort before signs no other one, so the first reason stays.
  const abortReason = state.abortReason ?? reason;
  return { ...enter(state, 'aborting', nowMs), abortReason, message: `aborting: ${abortReason}` };
}

function enter(state: RoundState, phase: Phase, nowMs: number): RoundState {
  return {
    ...state,
    phase,
    stageStartedAtMs: nowMs,
    stuck: false,
    underWay: null,
    holders: idleHolders(state.terms),
  };
}

/** A holder's verdict on the frozen uploads; what it says of others, or twice, does not count. */
function judged(state: RoundState, holderId: string, deviceIds: readonly string[]): RoundState {
  const candidates = state.candidates ?? [];
  const accepted = deviceIds === candidates ? null : new Set(deviceIds);
  const verdict = accepted ? candidates.filter((id) => accepted.has(id)) : candidates;
  return { ...done(state, 'acceptance', holderId), verdicts: { ...state.verdicts, [holderId]: verdict } };
}

/** A wrong partial decryption: this set can never open, the stored answers are final. Another one is tried. */
function discard(state: RoundState, activeSet: readonly number[], nowMs: number): RoundState {
  if (state.phase !== 'opening') return state;
  const partials = { ...state.partials, [activeSet.join(',')]: [] };
  return { ...state, activeSet: null, underWay: null, partials, holders: blame(state, activeSet, nowMs) };
}
