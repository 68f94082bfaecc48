/**
 * Makes a plan's committee keys ahead, one per round, and takes up where an earlier process stopped.
 *
 * Trusts: its store; holders sign what they make (ceremonies.ts). May be called by: coordinator/rounds/runner.ts.
 */
import { committeeKeyCount, type ParsedPlan, type PlanApproval } from '../../protos/plan.ts';
import { runCeremony } from './ceremonies.ts';
import type { HolderPort } from './holder-port.ts';
import type { Patience } from './patience.ts';
import * as repository from './repository.ts';
import type { RoundServices } from './services.ts';

/** Ceremonies under way at a time: enough to hide latency, few enough not to starve a running round. */
const CEREMONIES_AT_A_TIME = 2;

export interface KeyMaking {
  readonly parsed: ParsedPlan;
  readonly approvals: readonly PlanApproval[];
  readonly holders: readonly HolderPort[];
  readonly patience: Patience;
  readonly isStopped: () => boolean;
}

/**
 * Resolves when every key is there, or when stopped. A ceremony needs every holder, so this waits for one that is away.
 * @throws UNAVAILABLE for a holder that stays away beyond holderDeadlineMs, or what a holder refused with; both name it.
 */
export async function makeCommitteeKeys(
  { store, suite, budget, onCeremony }: Pick<RoundServices, 'store' | 'suite' | 'budget' | 'onCeremony'>,
  { parsed, approvals, holders, patience, isStopped }: KeyMaking,
): Promise<void> {
  const { holderDeadlineMs } = parsed.plan.rounds;
  const wanted = committeeKeyCount(parsed.plan);
  const made = await patience.store(() =>
    store.read('keys', (db) => repository.committeeKeyRounds(db, parsed.hashHex)),
  );
  const have = new Set(made);
  const missing = Array.from({ length: wanted }, (_, i) => i + 1).filter((round) => !have.has(round));
  onCeremony(parsed, have.size, wanted);
  if (missing.length === 0) return;
  const ask = <T>({ holderId }: HolderPort, question: () => Promise<T>) =>
    patience.holder(holderId, holderDeadlineMs, question);
  for (const holder of holders) await ask(holder, () => holder.registerPlan(parsed.bytes, approvals));
  let ready = have.size;
  const worker = async (): Promise<void> => {
    for (let round = missing.shift(); round !== undefined; round = missing.shift()) {
      if (isStopped()) return;
      const key = await runCeremony(parsed, round, holders, ask, suite);
      await patience.store(() => budget.recordKey(parsed, key));
      onCeremony(parsed, ++ready, wanted);
    }
  };
  await Promise.all(Array.from({ length: CEREMONIES_AT_A_TIME }, worker));
}
