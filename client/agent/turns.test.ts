/**
 * Goal: spare committee keys do not buy a coordinator rounds that the plan's ε never paid for. Method: the counter
 * alone; agent.test.ts and resume.test.ts run it inside whole rounds.
 */
import { expect, it } from 'vitest';
import type { ParsedPlan } from '../../protos/plan.ts';
import { emptyState } from './store.ts';
import { countTurn, requireTurn } from './turns.ts';

const plan = {
  hashHex: 'ab'.repeat(32),
  plan: { rounds: { training: 2, evaluation: 1, spare: 5 } },
} as unknown as ParsedPlan;

it('refuses a third training round of a plan that pays for two, whatever its spare keys', () => {
  const state = emptyState();
  for (let turn = 0; turn < 2; turn++) {
    expect(() => requireTurn(state, plan, 'training')).not.toThrow();
    state.turns = countTurn(state, plan.hashHex, 'training', 1);
  }
  expect(() => requireTurn(state, plan, 'training')).toThrowError(/pays for 2 training rounds/);
  expect(() => requireTurn(state, plan, 'evaluation')).not.toThrow();
});

it('gives a turn back when a quorum aborted the round, and never below zero', () => {
  const state = emptyState();
  state.turns = countTurn(state, plan.hashHex, 'training', 1);
  state.turns = countTurn(state, plan.hashHex, 'training', -1);
  state.turns = countTurn(state, plan.hashHex, 'training', -1);
  expect(state.turns[plan.hashHex]).toEqual({ training: 0, evaluation: 0 });
});
