/**
 * What a run directory says beside its log and without proof: disagreements about budgets, and clips that adapted.
 *
 * Attested, not checked: nothing here changes a charge or an ε. Trusts: nothing. May be called by: auditor/report/.
 */
import type { Plan } from '../../protos/plan.ts';
import { Findings } from '../findings.ts';
import { readAlarms, readRounds } from '../run-directory.ts';
import { scrub } from './mask.ts';

/** A clip that a training round released for the next one. */
export interface ReleasedClip {
  readonly round: number;
  readonly clip: string;
}

export interface Published {
  /** Devices whose receipts add up to more than the ledger charged them; undefined where the run does not say. */
  readonly budgetAlarms: number | undefined;
  readonly clips: readonly ReleasedClip[];
}

/** Bounds of a clip that adapts, and the clips that the coordinator published with its releases. */
export interface AdaptiveClipFacts {
  readonly quantile: string;
  readonly clipMin: string;
  readonly clipMax: string;
  readonly released: readonly ReleasedClip[];
}

/** Malformed files are findings of the audit itself (auditor/verify.ts); here they say nothing. */
export function publishedIn(directory: string): Published {
  const unheard = new Findings();
  const clips = readRounds(directory, unheard)
    .flatMap(({ round, summary }) => (summary?.clip ? [{ round, clip: scrub(summary.clip.next) }] : []))
    .sort((a, b) => a.round - b.round);
  return { budgetAlarms: readAlarms(directory, unheard)?.alarms.length, clips };
}

export function adaptiveClipOf({ mechanism }: Plan, { clips }: Published): AdaptiveClipFacts | undefined {
  if (mechanism.adaptiveClip === undefined) return undefined;
  const { quantile, clipMin, clipMax } = mechanism.adaptiveClip;
  return { quantile, clipMin, clipMax, released: clips };
}
