/**
 * What an agent is given and what it reports; agent.ts does the work.
 *
 * May be called by: client/, cli/, experiments/.
 */
import type { ErrorCode } from '../../crypto/error.ts';
import type { TlogPolicy } from '../../crypto/log/tlog-policy.ts';
import type { RandomSource } from '../../crypto/random.ts';
import type { ApprovalPolicy } from '../../protos/approval-policy.ts';
import type { Plan } from '../../protos/plan.ts';
import type { RoundKind } from '../../protos/round-config.ts';
import type { IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import type { TrainEngine } from '../training/engine.ts';
import type { BudgetLimits, BudgetReport } from './budget.ts';
import type { Clock } from './clock.ts';
import type { DeviceConditions, DeviceData } from './eligibility.ts';
import type { Pins } from './invitation.ts';
import type { DeviceAccounts } from './reconcile.ts';
import type { Sealer } from './seal.ts';
import type { ClientStore } from './store.ts';
import type { RoundsTransport } from './transport.ts';

/** What pino offers and this agent uses. Nothing secret is ever passed. */
export interface Logger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export const silentLogger: Logger = { info: () => {}, warn: () => {} };

export interface AgentTiming {
  /** Long poll of one check-in. At most 60,000. */
  readonly checkInWaitMs: number;
  /** How long a coordinator may be out of reach before the agent gives up. */
  readonly patienceMs: number;
  /** How long to wait for charging, Wi-Fi and the like; 0 gives up at once. */
  readonly conditionPatienceMs: number;
  /** After the last round: how long to wait for receipts that are still missing. */
  readonly receiptPatienceMs: number;
}

export const defaultTiming: AgentTiming = {
  checkInWaitMs: 20_000,
  patienceMs: 600_000,
  conditionPatienceMs: 0,
  receiptPatienceMs: 10_000,
};

export interface AgentOptions {
  readonly identity: IdentityBundle;
  readonly policy: ApprovalPolicy;
  readonly pins: Pins;
  readonly limits: BudgetLimits;
  /** The device's rows, or how to read them once the plan says which features it wants. */
  readonly data: DeviceData | ((plan: Plan) => Promise<DeviceData>);
  readonly engine: TrainEngine;
  readonly sealer: Sealer;
  readonly rounds: RoundsTransport;
  readonly store: ClientStore;
  readonly conditions: () => DeviceConditions;
  readonly clock?: Clock;
  readonly random?: RandomSource;
  readonly logger?: Logger;
  readonly timing?: Partial<AgentTiming>;
  readonly signal?: AbortSignal;
  /** Which witnesses must have cosigned the log; without it none must. */
  readonly logPolicy?: TlogPolicy;
  /** Go on with a coordinator whose log has raised an alarm. */
  readonly continueAfterLogAlarm?: boolean;
}

export type RoundOutcome = 'certified' | 'late' | 'rejected' | 'aborted' | 'undecided' | 'declined';

export interface RoundReport {
  readonly round: number;
  readonly kind: RoundKind;
  /** `undecided`: nothing is proven yet, so the charge stands. `declined`: nothing left this device. */
  readonly outcome: RoundOutcome;
  readonly uploadBytes: number;
  /** Certified cohort, where a receipt proved it. */
  readonly cohortCount?: number;
  readonly code?: ErrorCode;
  readonly reason?: string;
}

export interface JoinSummary {
  readonly deviceId: string;
  readonly planHash: string;
  readonly planName: string;
  /** `finished`: the plan ended. `stopped`: this device withdrew (see code). `interrupted`: told to stop. */
  readonly ended: 'finished' | 'stopped' | 'interrupted';
  readonly reason: string;
  readonly code?: ErrorCode;
  /** Hash of the final model, when the coordinator named one. */
  readonly modelHash?: string;
  readonly rounds: readonly RoundReport[];
  readonly budget: BudgetReport;
  /** Where the coordinator's ledger disagreed with what this device has verified, ever; people should look at it. */
  readonly alarms: DeviceAccounts['alarms'];
}
