/**
 * What the round code needs from outside: everything that differs between production and simulation.
 *
 * May be called by: coordinator/server.ts and experiments/simulation, which build it.
 */
import type { Logger } from 'pino';
import type { Suite } from '../../crypto/identity/suite.ts';
import type { Secagg } from '../../crypto/secagg/scheme.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import type { FoldPool } from '../aggregation/fold-pool.ts';
import type { Spool } from '../storage/spool.ts';
import type { Store } from '../storage/store.ts';
import type { LogProofs } from '../witnessing/log-proofs.ts';
import type { ActiveRound } from './active-round.ts';
import type { RoundBudget } from './budget.ts';
import type { HolderPort } from './holder-port.ts';
import type { RoundState } from './machine.ts';

export interface Clock {
  nowMs(): number;
  /** Calls `action` about every `periodMs` until stopped. */
  every(periodMs: number, action: () => void): { stop(): void };
  /** Calls `action` once, `delayMs` from now, unless stopped before. */
  after(delayMs: number, action: () => void): { stop(): void };
  /** Resolves when whatever else is due in this process has had its turn. */
  turn(): Promise<void>;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  every(periodMs, action) {
    const timer = setInterval(action, periodMs);
    return { stop: () => clearInterval(timer) };
  },
  after(delayMs, action) {
    const timer = setTimeout(action, delayMs);
    return { stop: () => clearTimeout(timer) };
  },
  turn: () => new Promise((resolve) => setImmediate(resolve)),
};

export interface RoundServices {
  readonly store: Store;
  /** Bytes of uploads. */
  readonly spool: Spool;
  /** Worker threads that fold; without them the main thread does. */
  readonly foldPool?: FoldPool;
  readonly suite: Suite;
  readonly secagg: Secagg;
  readonly budget: RoundBudget;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
  readonly signingKey: { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array };
  /** Adds the log's proofs to receipts; without it they carry none. */
  readonly logProofs?: LogProofs;
  holdersOf(parsed: ParsedPlan): readonly HolderPort[];
  /** Post-processing of an opened sum: server optimiser or metrics, model registry, log. */
  release(parsed: ParsedPlan, round: ActiveRound): Promise<void>;
  onRoundChange(parsed: ParsedPlan, state: RoundState): void;
  onCeremony(parsed: ParsedPlan, ready: number, wanted: number): void;
}
