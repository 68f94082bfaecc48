/**
 * What a run of a fault simulation is given beside its story, and what comes of it.
 *
 * May be called by: experiments/fuzz, cli.
 */
import type { Invariant, Violation } from './observer.ts';
import type { PlantedBug } from './planted.ts';

export interface RunOptions {
  /** Calls the offline verifier on the exported run. */
  readonly audit?: boolean;
  readonly planted?: PlantedBug;
  /** Keeps what happened, line by line. */
  readonly trace?: boolean;
}

export interface RunResult {
  readonly violation: Violation | null;
  /** What happened, without anything that depends on keys: equal for equal stories. */
  readonly summary: string;
  readonly ops: number;
  readonly rounds: Readonly<Record<string, number>>;
  /** Faults that took place, by kind. */
  readonly faults: Readonly<Record<string, number>>;
  /** Times that each invariant was checked. */
  readonly checks: Readonly<Record<Invariant, number>>;
  readonly messages: number;
  readonly virtualMs: number;
  readonly trace: readonly string[];
}
