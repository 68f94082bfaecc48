/**
 * An agent against the fake coordinator, with everything well unless a test says otherwise. For tests only.
 *
 * May be called by: *.test.ts in client/. Not exported by the package.
 */
import { type ErrorCode, isPulsefoldError } from '../../crypto/error.ts';
import { loadTrainEngine } from '../training/engine.ts';
import { type AgentOptions, ClientAgent } from './agent.ts';
import { MemoryClientStore } from './store.ts';
import { FakeClock, RandomSealer, sampleData } from './testing.ts';
import type { FakeCoordinator } from './testing-coordinator.ts';

export const engine = await loadTrainEngine(['tfjs-cpu']);

export const allWell = { charging: true, unmetered: true, worn: true };

export function agentOf(coordinator: FakeCoordinator, changes: Partial<AgentOptions> = {}): ClientAgent {
  return new ClientAgent({
    identity: coordinator.identity,
    policy: coordinator.policy,
    pins: coordinator.pins,
    limits: { epsilon: 8, delta: 1e-5 },
    data: { train: sampleData(40) },
    engine,
    sealer: new RandomSealer(),
    rounds: coordinator,
    store: new MemoryClientStore(),
    conditions: () => allWell,
    clock: new FakeClock(),
    timing: { patienceMs: 60_000, receiptPatienceMs: 1000 },
    ...changes,
  });
}

/** Code of the error that `run` ends with; other errors fail the test. */
export async function codeOf(run: Promise<unknown>): Promise<ErrorCode | 'no error'> {
  try {
    await run;
    return 'no error';
  } catch (error) {
    if (isPulsefoldError(error)) return error.code;
    throw error;
  }
}
