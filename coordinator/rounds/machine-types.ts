/**
 * What a round is in, what can happen to it, and what it asks for: the vocabulary of machine.ts.
 *
 * May be called by: coordinator/rounds, experiments/simulation.
 */
import type { RoundKind } from '../../protos/round-config.ts';

export type Phase =
  | 'collecting'
  | 'accepting'
  | 'certifying'
  | 'opening'
  | 'opened'
  | 'released'
  /** Certified and charged, but no set of holders can open the sum: nothing is released. */
  | 'unopened'
  | 'aborting'
  | 'aborted';

/** Phases that a round never leaves. */
export const FINAL_PHASES: readonly string[] = ['released', 'unopened', 'aborted'] satisfies Phase[];

export interface RoundTerms {
  readonly cohortMin: number;
  readonly cohortTarget: number;
  readonly cohortMax: number;
  readonly checkInWindowMs: number;
  readonly deadlineMs: number;
  /** Once enough uploads are in: how long to wait for the next one. */
  readonly stragglerMs: number;
  readonly holderDeadlineMs: number;
  /** In plan order; a holder's index is its position + 1. */
  readonly holderIds: readonly string[];
  readonly quorum: number;
  readonly threshold: number;
}

export interface HolderProgress {
  /** A request is under way in this process; cleared by `resume`. */
  readonly asked: boolean;
  readonly retryAtMs: number;
  readonly failures: number;
}

export interface RoundState {
  readonly round: number;
  readonly kind: RoundKind;
  readonly phase: Phase;
  readonly terms: RoundTerms;
  readonly invited: readonly string[];
  readonly uploaded: readonly string[];
  /** When enough devices had been invited; the windows count from here. */
  readonly quorateAtMs: number | null;
  readonly lastUploadAtMs: number;
  readonly stageStartedAtMs: number;
  /** Frozen set of durable uploads, sorted; null while collecting. */
  readonly candidates: readonly string[] | null;
  readonly verdicts: Readonly<Record<string, readonly string[]>>;
  /** The certified cohort, sorted; fixed before the first signature is asked for. */
  readonly cohort: readonly string[] | null;
  readonly certificateSigners: readonly string[];
  readonly abortReason: string | null;
  readonly abortSigners: readonly string[];
  readonly activeSet: readonly number[] | null;
  /** Partial decryptions at hand, by active set ("1,3"). */
  readonly partials: Readonly<Record<string, readonly string[]>>;
  readonly holders: Readonly<Record<string, HolderProgress>>;
  /** Local work that was handed to the driver of this process; cleared by `resume`. */
  readonly underWay: string | null;
  readonly stuck: boolean;
  readonly message: string;
  /** Releases before this round opened: the version it starts from. Only where rounds overlap. */
  readonly startVersion?: number;
  /** Holders whose answers contradicted the majority's, for people to see; decides nothing. */
  readonly contradicting?: readonly string[];
}

export type HolderStage = 'acceptance' | 'certificate' | 'partial' | 'abort';

export type RoundEvent =
  | { readonly type: 'tick'; readonly nowMs: number }
  | { readonly type: 'devices_invited'; readonly deviceIds: readonly string[]; readonly nowMs: number }
  | { readonly type: 'uploads_acknowledged'; readonly deviceIds: readonly string[]; readonly nowMs: number }
  | {
      readonly type: 'accepted';
      readonly holderId: string;
      readonly deviceIds: readonly string[];
      readonly nowMs: number;
    }
  | { readonly type: 'certificate_signed'; readonly holderId: string; readonly nowMs: number }
  | { readonly type: 'abort_requested'; readonly reason: string; readonly nowMs: number }
  | { readonly type: 'abort_signed'; readonly holderId: string; readonly nowMs: number }
  | {
      readonly type: 'partial_received';
      readonly holderId: string;
      readonly activeSet: readonly number[];
      readonly nowMs: number;
    }
  /** All holders have answered, and the answers of these differ from the majority's. */
  | { readonly type: 'holders_contradict'; readonly holderIds: readonly string[]; readonly nowMs: number }
  | { readonly type: 'opening_failed'; readonly activeSet: readonly number[]; readonly nowMs: number }
  | { readonly type: 'sum_opened'; readonly nowMs: number }
  | { readonly type: 'released'; readonly nowMs: number }
  | {
      readonly type: 'holder_failed';
      readonly holderId: string;
      readonly stage: HolderStage;
      readonly message: string;
      readonly nowMs: number;
    };

export type RoundEffect =
  /** Freeze: from here on uploads are late. The driver makes it durable before anything else. */
  | { readonly type: 'freeze' }
  | {
      readonly type: 'ask';
      readonly stage: HolderStage;
      readonly holderId: string;
      readonly activeSet?: readonly number[];
    }
  /** A quorum certificate exists: charge the ledger, log it. */
  | { readonly type: 'settle' }
  /** A quorum signed the abort: free the reservations, log it. */
  | { readonly type: 'void' }
  /** Every set of holders failed to open: log it. */
  | { readonly type: 'give_up' }
  | { readonly type: 'open_sum'; readonly activeSet: readonly number[] }
  | { readonly type: 'release' };

export interface Step {
  readonly state: RoundState;
  readonly effects: readonly RoundEffect[];
}

/** The end of a message, for people: who contradicted the others. */
export const blamed = ({ contradicting = [] }: RoundState): string =>
  contradicting.length > 0
    ? `; the answer of ${contradicting.join(', ')} contradicts the other key holders'`
    : '';
