/**
 * What the parts of a running round (acceptance, certification, opening, fold) see of it.
 *
 * May be called by: coordinator/rounds; implemented by active-round.ts.
 */
import type { SumScheme } from '../../crypto/secagg/scheme.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import type { EncodedRoundConfig } from '../../protos/round-config.ts';
import type { CohortCertificate, RoundBinding } from '../../protos/statements.ts';
import type { SpoolRound } from '../storage/spool.ts';
import type { Entry, StatementSignature } from './holder-port.ts';
import type { RoundEvent, RoundState } from './machine.ts';
import type { StatementKind } from './openings-repository.ts';
import type { RoundServices } from './services.ts';

/** A `RoundEvent` without its time; the round adds the clock's. */
export type RoundNews = RoundEvent extends infer E
  ? E extends RoundEvent
    ? Omit<E, 'nowMs'>
    : never
  : never;

export interface RoundView {
  readonly services: RoundServices;
  readonly parsed: ParsedPlan;
  readonly config: EncodedRoundConfig;
  readonly scheme: SumScheme;
  readonly binding: RoundBinding;
  /** Where its uploads are spooled. */
  readonly at: SpoolRound;
  readonly state: RoundState;
  readonly isStopped: boolean;
  /** Entries as the coordinator stored them, by device id; holders check every one themselves. */
  entries(devices: readonly string[]): (Entry & { deviceId: string })[];
  signatures(kind: StatementKind): StatementSignature[];
  /** The statement about the cohort, which is fixed before anyone is asked to sign it. */
  certificate(): CohortCertificate;
  /** Tells the machine what happened; never throws. */
  notify(news: RoundNews): void;
}
