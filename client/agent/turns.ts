/**
 * How many rounds of a plan this device has taken part in. The plan's ε pays for a number of rounds; spare committee
 * keys must not let a coordinator run more than that, whatever the device's own budget would still allow.
 *
 * Trusts: the device's own state. May be called by: client/agent.
 */
import { ensure } from '../../crypto/error.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import type { RoundKind } from '../../protos/round-config.ts';
import type { ClientState } from './store.ts';

const NONE = { training: 0, evaluation: 0 } as const;

const turnsOf = (state: ClientState, planHash: string) => state.turns[planHash] ?? NONE;

/** Throws BUDGET_EXCEEDED when the plan has had all its rounds of this kind from this device. */
export function requireTurn(state: ClientState, { plan, hashHex }: ParsedPlan, kind: RoundKind): void {
  const taken = turnsOf(state, hashHex)[kind];
  ensure(
    taken < plan.rounds[kind],
    'BUDGET_EXCEEDED',
    `the plan pays for ${plan.rounds[kind]} ${kind} rounds and this device has taken part in as many`,
  );
}

/** An update was sealed (+1), or a quorum proved that its round will never open (−1). */
export function countTurn(
  state: ClientState,
  planHash: string,
  kind: RoundKind,
  change: 1 | -1,
): ClientState['turns'] {
  const turns = turnsOf(state, planHash);
  return { ...state.turns, [planHash]: { ...turns, [kind]: Math.max(0, turns[kind] + change) } };
}
