/**
 * What a simulation is asked for and what it gives back; simulate.ts does the work.
 *
 * May be called by: experiments, cli/commands.
 */
import type { HistogramMetrics } from '../../protos/histogram-metrics.ts';
import type { RoundKind } from '../../protos/round-config.ts';
import type { AvailabilityOptions } from './availability.ts';
import type { DeviceFigures } from './device-accounts.ts';
import type { DeviceLimits } from './device-budgets.ts';
import type { SimulationEngine } from './engines.ts';
import type { Seal } from './local-holders.ts';

export interface SimulationOptions {
  /** `none`: vectors travel in the clear; else the plan's transport must be this one. */
  readonly seal: Seal;
  /** `none`: devices are believed; `signed`: certificates, check-ins, uploads and receipts as in production. */
  readonly identity: 'none' | 'signed';
  /**
   * For identity signed. `agents`: each device is a whole client agent on the coordinator's service; `seeds`: devices are
   * seeds whose keys sign and check the same messages in batches (fleet-identities.ts). Default: agents up to AGENTS_MAX.
   */
  readonly devices?: 'seeds' | 'agents';
  readonly store: 'memory' | 'sqlite';
  /** For store sqlite. */
  readonly directory?: string;
  readonly seed: string;
  /** `seeded`: the same seed gives the same figures, to the last bit, at any worker count; protects nobody. */
  readonly noise: 'seeded' | 'system';
  /** Threads for the devices' work; default: one less than there are cores, at least 1. 0: this thread. */
  readonly workers?: number;
  readonly engine?: SimulationEngine;
  readonly availability?: AvailabilityOptions;
  /** What every device allows by itself; default: what the plan states. */
  readonly limits?: DeviceLimits;
  readonly onRound?: (round: SimulatedRound) => void | Promise<void>;
  readonly signal?: AbortSignal;
}

export interface SimulatedRound {
  readonly round: number;
  readonly kind: RoundKind;
  readonly phase: 'released' | 'unopened' | 'aborted';
  readonly message: string;
  /** The model after this round. */
  readonly weights: Float32Array;
  readonly invited: number;
  readonly uploaded: number;
  readonly certified: number;
  /** Invited devices that vanished, and uploads that came after the freeze. */
  readonly dropped: number;
  readonly late: number;
  /** Virtual time from the opening of the round to its end. */
  readonly virtualMs: number;
  /** Virtual time from the opening of the first round to the end of this one; rounds may overlap. */
  readonly virtualEndMs: number;
  /** Of all uploads, sealed as the plan says, whether or not this simulation seals them. */
  readonly uploadBytes: number;
  /** Of a released evaluation, from the opened histograms (protos/histogram-metrics.ts); else null. */
  readonly metrics: HistogramMetrics | null;
  /** By the coordinator's ledger; null without differential privacy. */
  readonly epsilonSpent: number | null;
  /** Of all invited devices (device-accounts.ts). */
  readonly fetchedBytes: number;
  /** Virtual training time and battery of all invited devices; null without a trace. */
  readonly trainMs: number | null;
  readonly batteryShare: number | null;
  /** Real time. */
  readonly elapsedMs: number;
}

export interface SimulationLabel {
  readonly seal: Seal;
  readonly identity: SimulationOptions['identity'];
  readonly devices: 'seeds' | 'agents';
  readonly store: SimulationOptions['store'];
  readonly noise: 'seeded, not private' | 'system' | 'none';
  readonly engine: string;
  readonly workers: number;
}

export interface SimulationResult {
  readonly weights: Float32Array;
  readonly rounds: readonly SimulatedRound[];
  readonly epsilonSpent: number | null;
  /** Root of the transparency log, hexadecimal, and its size. */
  readonly logRoot: string;
  readonly logSize: number;
  /** Whether the same options and seed give this root again. */
  readonly logRepeats: boolean;
  readonly label: SimulationLabel;
  readonly devices: number;
  /** What it cost each device. */
  readonly perDevice: DeviceFigures;
  readonly totals: {
    readonly invitations: number;
    readonly uploads: number;
    readonly uploadBytes: number;
    /** Of all devices; null without a trace, which alone says how fast devices are. */
    readonly trainMs: number | null;
    /** Full batteries, of all devices together; null without a trace. */
    readonly batteries: number | null;
    readonly fetchedBytes: number;
    readonly virtualMs: number;
    readonly elapsedMs: number;
    /** Uploads per second of real time. */
    readonly deviceRoundsPerSecond: number;
  };
}
