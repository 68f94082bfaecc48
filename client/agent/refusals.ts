/**
 * Why a device stays out of a round for reasons of its own.
 *
 * Trusts: nothing. May be called by: agent.ts.
 */
import { type ErrorCode, isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { consentMissing } from './consent.ts';
import type { ClientState } from './store.ts';
import { withdrawalFrom } from './withdraw.ts';

/** Reasons of the device itself; anything else that stops a round is somebody's fault and is thrown. */
const declining: readonly ErrorCode[] = [
  'NOT_ELIGIBLE',
  'BUDGET_EXCEEDED',
  'WITHDRAWN',
  'CONSENT_MISSING',
  'DATA_EMPTY',
  'DATA_INVALID',
  'UNSUPPORTED_EVENT',
];

export const isDeclining = (error: unknown): error is PulsefoldError =>
  isPulsefoldError(error) && declining.includes(error.code);

/** The refusal of a device that has withdrawn from this plan, its family or everything. */
export function withdrawnFrom(state: ClientState, parsed: ParsedPlan): PulsefoldError | undefined {
  const withdrawal = withdrawalFrom(state, parsed);
  if (withdrawal === undefined) return undefined;
  const scope = withdrawal.scope === '*' ? 'everything' : withdrawal.scope.split(':')[0];
  const told = withdrawal.receipt === undefined ? '; the coordinator has not confirmed it yet' : '';
  return new PulsefoldError('WITHDRAWN', `this device has withdrawn (from ${scope})${told}`);
}

/** Why this device takes no part in the plan at all: it has withdrawn, or no consent of it covers the plan. */
export const outOfPlan = (
  state: ClientState,
  parsed: ParsedPlan,
  nowMs: number,
): PulsefoldError | undefined => withdrawnFrom(state, parsed) ?? consentMissing(state, parsed, nowMs);
