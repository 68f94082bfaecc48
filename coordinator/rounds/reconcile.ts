/**
 * Compares what a device says its verified receipts have charged with what the ledger has spent under its pseudonym. A
 * ledger that has less has lost charges that were proven to people: an alarm, logged and kept. More is no alarm here:
 * receipts may not have been fetched yet, and the device looks at that side (client/agent/reconcile.ts).
 *
 * Trusts: the device id of the certificate, not what the device says: an alarm changes nothing. May be called by:
 * coordinator/grpc.
 */
import type { ParsedPlan } from '../../protos/plan.ts';
import type { Database } from '../storage/store.ts';
import * as repository from './repository.ts';
import type { RoundServices } from './services.ts';

export const RECONCILE_MIGRATIONS = [
  `CREATE TABLE budget_alarms (
     device TEXT NOT NULL, plan TEXT NOT NULL, round INTEGER NOT NULL, said TEXT NOT NULL, ledger TEXT NOT NULL,
     time_ms INTEGER NOT NULL, PRIMARY KEY (device, plan)) STRICT, WITHOUT ROWID;`,
];

/** Charges stand on a grid of 2^-40. */
const SLACK = 2 ** -39;

export interface BudgetAlarm {
  readonly device: string;
  readonly plan: string;
  readonly round: number;
  /** Decimals at the ledger's order. */
  readonly said: string;
  readonly ledger: string;
  readonly timeMs: number;
}

export const budgetAlarms = (db: Database): BudgetAlarm[] =>
  db.all<BudgetAlarm & Record<string, string | number>>(
    'SELECT device, plan, round, said, ledger, time_ms AS timeMs FROM budget_alarms ORDER BY time_ms, device',
  );

export function compareAccounts(
  services: RoundServices,
  parsed: ParsedPlan,
  deviceId: string,
  { round, charged }: { readonly round: number; readonly charged: string },
): void {
  if (charged === '') return;
  const ledger = services.store.read('reconcile', (db) => {
    const pseudonym = repository.invitationOf(db, parsed.hashHex, round, deviceId);
    return pseudonym === undefined ? null : services.budget.ledgerOf(db, parsed, pseudonym);
  });
  if (ledger === null || Number(charged) <= Number(ledger.spent) + SLACK) return;
  const kept = services.store.transaction('budget-alarm', (db) =>
    db.run(
      'INSERT INTO budget_alarms VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
      deviceId,
      parsed.hashHex,
      round,
      charged,
      ledger.spent,
      services.clock.nowMs(),
    ),
  );
  if (kept.changes > 0)
    services.logger.error(
      { code: 'BUDGET_DISAGREEMENT', round, deviceId, charged, ledger: ledger.spent },
      'a device has receipts for more than the ledger has charged it: charges were lost, or the device lies',
    );
}
