/**
 * The outcome of a canary audit, and its words: an alarm or none, never an ε.
 *
 * Trusts: nothing. May be called by: experiments/canary, cli.
 */

export type CheckStatus = 'ok' | 'alarm' | 'weak';

export interface CanaryCheck {
  readonly name: string;
  /** `weak`: the plan's own noise hides what the check looks for; it neither alarms nor reassures. */
  readonly status: CheckStatus;
  /** Both in the unit that `detail` names. */
  readonly observed: number;
  readonly limit: number;
  readonly detail: string;
}

export interface CanaryReport {
  readonly plan: string;
  readonly planHash: string;
  readonly mode: 'replay' | 'one-run';
  readonly noise: 'system' | 'seeded, not private';
  /** Runs with and as many without the canary; one-run: passes. */
  readonly runs: number;
  /** Canaries altogether (one-run), else 1. */
  readonly canaries: number;
  /** Training rounds that one run replays, and releases that were made in all. */
  readonly rounds: number;
  readonly releases: number;
  /** ε that the plan states for everything, and what it claims for the audited rounds. */
  readonly epsilonStated: number;
  readonly epsilonClaimed: number;
  readonly delta: number;
  /** Bound that the canaries prove, at `confidence`. A bug alarm: the true ε may be far above it. */
  readonly epsilonLowerBound: number;
  readonly confidence: number;
  /** The bound by method; `epsilonLowerBound` is the largest. */
  readonly bounds: Readonly<Record<string, number>>;
  /** Chance that a correct mechanism sets off any alarm. */
  readonly falseAlarmRate: number;
  /** Estimates without confidence, for people who read such figures; they decide nothing. */
  readonly estimates: Readonly<Record<string, number>>;
  readonly checks: readonly CanaryCheck[];
  readonly verdict: Verdict;
  readonly note: string;
}

export type Verdict = 'no violation found' | 'ALARM';

export const verdictOf = (checks: readonly CanaryCheck[]): Verdict =>
  checks.some(({ status }) => status === 'alarm') ? 'ALARM' : 'no violation found';

/** Stands in every report, so that nobody quotes a bound as a guarantee. */
export const CANARY_NOTE =
  'A bug alarm, not an epsilon: the bound only says what this attack could prove. The epsilon of the plan comes from ' +
  'its accountant; "no violation found" does not confirm it.';
