/**
 * Whether this device may take part right now, in a sentence for the person when not (DESIGN §2.3).
 *
 * Trusts: the device's own sensors and data. May be called by: client/.
 */
import { ensure } from '../../crypto/error.ts';
import type { Plan } from '../../protos/plan.ts';
import type { RoundKind } from '../../protos/round-config.ts';
import { checkData } from '../training/checks.ts';
import type { TrainingData } from '../training/engine.ts';

export interface DeviceConditions {
  readonly charging: boolean;
  /** On a network that does not bill by volume. */
  readonly unmetered: boolean;
  readonly worn: boolean;
}

export interface DeviceData {
  readonly train: TrainingData;
  /** Held-out rows for federated evaluation. */
  readonly evaluation?: TrainingData | undefined;
}

/** Throws NOT_ELIGIBLE for a condition that may pass. */
export function requireConditions(plan: Plan, conditions: DeviceConditions): void {
  const { chargingRequired, unmeteredRequired, wornRequired } = plan.eligibility;
  ensure(
    !chargingRequired || conditions.charging,
    'NOT_ELIGIBLE',
    'the plan asks that the device is charging: plug it in',
  );
  ensure(
    !unmeteredRequired || conditions.unmetered,
    'NOT_ELIGIBLE',
    'the plan asks for a network without volume charges: join a Wi-Fi network',
  );
  ensure(!wornRequired || conditions.worn, 'NOT_ELIGIBLE', 'the plan asks that the band is worn: put it on');
}

/** The rows this device gives to a round of this kind. Throws NOT_ELIGIBLE, DATA_EMPTY or DATA_INVALID. */
export function requireData(plan: Plan, data: DeviceData, kind: RoundKind): TrainingData {
  const table = kind === 'training' ? data.train : data.evaluation;
  ensure(
    table,
    'NOT_ELIGIBLE',
    'this device has no evaluation table (data.evaluation), so it sits out evaluations',
  );
  checkData(plan.model, table);
  const { recordsMin, recordsMax } = plan.eligibility;
  ensure(
    kind === 'evaluation' || table.count >= recordsMin,
    'NOT_ELIGIBLE',
    `the plan asks for at least ${recordsMin} records, this device has ${table.count}`,
  );
  ensure(
    table.count <= recordsMax,
    'NOT_ELIGIBLE',
    `the plan allows at most ${recordsMax} records, this device has ${table.count}`,
  );
  return table;
}
