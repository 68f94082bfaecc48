/**
 * Withdrawals: a device's signed statement ends its part in a plan, a family of plans or everything.
 *
 * From the durable statement on it gets no invitation, and an upload that is not acknowledged yet is refused, so its
 * reservation is freed when the round ends. An acknowledged upload counts as folded: it goes to holders and into the sum
 * as it comes, so that round ends as it would have and the withdrawal takes effect from the next one; the receipt names
 * it. Past spend stands. Kept by device, because a pseudonym lasts for one epoch; the log leaf carries the pseudonym.
 * Trusts: the device id and key that the transport took from the certificate. May be called by: coordinator/rounds,
 * coordinator/grpc.
 */
import { toHex } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { requireFresh } from '../../protos/statement-age.ts';
import {
  encodeWithdrawalReceipt,
  PAST_SPEND_NOTE,
  scopesOfPlan,
  type WithdrawRequest,
  withdrawalReceiptStatement,
  withdrawalStatement,
} from '../../protos/withdrawal.ts';
import type { Database } from '../storage/store.ts';
import { FINAL_PHASES } from './machine-types.ts';
import * as repository from './repository.ts';
import type { RoundServices } from './services.ts';

export const WITHDRAWAL_MIGRATIONS = [
  `CREATE TABLE withdrawals (
     device TEXT NOT NULL, scope TEXT NOT NULL, plan TEXT NOT NULL, statement BLOB NOT NULL, signature BLOB NOT NULL,
     receipt BLOB NOT NULL, PRIMARY KEY (device, scope)) STRICT, WITHOUT ROWID;`,
  'ALTER TABLE withdrawals ADD COLUMN leaf INTEGER;',
];

/** Scopes of one device; each plan has at most three. */
const SCOPES_MAX = 1000;

export interface WithdrawalReply {
  readonly receipt: Uint8Array;
  readonly signature: Uint8Array;
}

/** Those of `devices` that have withdrawn from this plan. */
export function withdrawnAmong(db: Database, devices: readonly string[], parsed: ParsedPlan): Set<string> {
  const rows = db.all<{ device: string }>(
    `SELECT DISTINCT w.device FROM json_each(?1) j CROSS JOIN withdrawals w ON w.device = j.value
     WHERE w.scope IN (SELECT value FROM json_each(?2))`,
    JSON.stringify(devices),
    JSON.stringify(scopesOfPlan(parsed)),
  );
  return new Set(rows.map(({ device }) => device));
}

/** Whether the device has withdrawn from this plan. */
export const hasWithdrawn = (db: Database, device: string, parsed: ParsedPlan): boolean =>
  scopesOfPlan(parsed).some(
    (scope) =>
      db.get('SELECT 1 AS found FROM withdrawals WHERE device = ? AND scope = ?', device, scope) !==
      undefined,
  );

/**
 * Records a withdrawal once; the same scope again gets the stored receipt. Throws BAD_SIGNATURE, or BUDGET_EXCEEDED for
 * a pseudonym that is not this device's.
 */
export function withdraw(
  services: RoundServices,
  parsed: ParsedPlan,
  device: { readonly deviceId: string; readonly signingPublicKey: Uint8Array },
  request: WithdrawRequest,
): WithdrawalReply {
  const { suite, clock, store, signingKey } = services;
  const statement = withdrawalStatement({ ...request, deviceId: device.deviceId });
  requireFresh(clock.nowMs(), request.timeMs, 'the withdrawal is too old; set the clock');
  ensure(
    suite.verify(device.signingPublicKey, statement, request.signature),
    'BAD_SIGNATURE',
    'the withdrawal is not signed by the device key in the certificate',
  );
  const receipt = store.transaction('withdraw', (db) =>
    record(services, db, parsed, device.deviceId, request, statement),
  );
  return { receipt, signature: suite.sign(signingKey.secretKey, withdrawalReceiptStatement(receipt)) };
}

function record(
  services: RoundServices,
  db: Database,
  parsed: ParsedPlan,
  deviceId: string,
  request: WithdrawRequest,
  statement: Uint8Array,
): Uint8Array {
  const { scope, timeMs, signature } = request;
  const stored = db.get<{ receipt: Uint8Array }>(
    'SELECT receipt FROM withdrawals WHERE device = ? AND scope = ?',
    deviceId,
    scope,
  );
  if (stored) return stored.receipt;
  const { known } = db.get<{ known: number }>(
    'SELECT COUNT(*) AS known FROM withdrawals WHERE device = ?',
    deviceId,
  )!;
  ensure(known < SCOPES_MAX, 'FIELD_OUT_OF_RANGE', `a device withdraws from at most ${SCOPES_MAX} scopes`);
  const pseudonym = toHex(request.pseudonym);
  const foreign = repository.bindPseudonyms(db, parsed.plan.epoch, [{ deviceId, pseudonym }]);
  const message = 'this device is charged under another pseudonym in this epoch';
  ensure(foreign.length === 0, 'BUDGET_EXCEEDED', message);
  const standingRound = scopesOfPlan(parsed).includes(scope) ? roundUnderWay(db, parsed, deviceId) : 0;
  const balance = services.budget.withdraw(db, pseudonym, scope);
  const receipt = encodeWithdrawalReceipt({
    version: 1,
    kind: 'withdrawal',
    planHash: parsed.hashHex,
    deviceId,
    pseudonym,
    scope,
    timeMs,
    standingRound,
    ...balance,
    note: PAST_SPEND_NOTE,
  });
  const leaf = services.budget.append(db, {
    kind: 'withdrawal',
    commitment: toHex(services.suite.digest(statement, signature)),
    planHash: parsed.hashHex,
    pseudonym,
    scope,
    afterRound: standingRound,
  });
  db.run(
    'INSERT INTO withdrawals VALUES (?, ?, ?, ?, ?, ?, ?)',
    deviceId,
    scope,
    parsed.hashHex,
    statement,
    signature,
    receipt,
    leaf,
  );
  return receipt;
}

/** The last round that is not over and has this device's whole upload; 0 where there is none. */
function roundUnderWay(db: Database, parsed: ParsedPlan, deviceId: string): number {
  const row = db.get<{ round: number }>(
    `SELECT r.round FROM uploads u JOIN rounds r ON r.plan = u.plan AND r.round = u.round
     WHERE u.plan = ? AND u.device = ? AND u.acknowledged = 1 AND r.phase NOT IN (SELECT value FROM json_each(?))
     ORDER BY r.round DESC LIMIT 1`,
    parsed.hashHex,
    deviceId,
    JSON.stringify(FINAL_PHASES),
  );
  return row?.round ?? 0;
}
