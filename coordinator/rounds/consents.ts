/**
 * Consents: which devices have said yes to which purpose, and whether that covers a plan.
 *
 * A plan with `consent` invites nobody without one (check-in.ts); a plan without it asks nothing here. The newest consent
 * of a device for an epoch, a scope and a purpose is the one that counts; earlier ones stay as evidence. A withdrawal
 * ends it for good: no consent is taken within a scope that the device has withdrawn from (docs/adr/0037). The log leaf
 * carries pseudonym and digest of the purpose, no identifier. Trusts: the device id and key that the transport took from
 * the certificate. May be called by: coordinator/rounds, coordinator/grpc.
 */
import { fromHex } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import {
  CONSENT_NOTE,
  type Consent,
  consentColumnsOf,
  consentGap,
  consentReceiptRecord,
  consentReceiptStatement,
  consentRecord,
  consentScopeOf,
  consentStatement,
  purposeDigestOf,
  statementCommitment,
} from '../../protos/consent.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { planQuotaName } from '../../protos/plan-quota.ts';
import { requireFresh } from '../../protos/statement-age.ts';
import type { Database } from '../storage/store.ts';
import * as repository from './repository.ts';
import { isForgottenPlan } from './retention.ts';
import type { RoundServices } from './services.ts';
import { hasWithdrawn } from './withdrawals.ts';

export const CONSENT_MIGRATIONS = [
  `CREATE TABLE consents (
     device TEXT NOT NULL, epoch TEXT NOT NULL, scope TEXT NOT NULL, purpose TEXT NOT NULL, sequence INTEGER NOT NULL,
     plan TEXT NOT NULL, time_ms INTEGER NOT NULL, expires_ms INTEGER, consent BLOB NOT NULL, signature BLOB NOT NULL,
     receipt BLOB NOT NULL, leaf INTEGER NOT NULL,
     PRIMARY KEY (device, epoch, scope, purpose, sequence)) STRICT, WITHOUT ROWID;`,
];

/** Consents kept of one device for one purpose, scope and epoch: one a month for a year, and some changes of mind. */
export const REPEATS_MAX = 16;
/** ... of which so many in 24 hours: each is a leaf that the log keeps for good. */
export const REPEATS_PER_DAY_MAX = 4;
const DAY_MS = 86_400_000;
/** ... and of one device in all. */
const CONSENTS_MAX = 2000;

export const NO_CONSENT =
  'this plan asks for consent to its purpose, and none of this device covers it: run pulsefold client consent';

interface ConsentRow {
  readonly device: string;
  readonly plan: string;
  readonly expires_ms: number | null;
  readonly consent: Uint8Array;
}

/** One seek in the primary key for each device and scope. */
export const CONSENT_LOOKUP = `SELECT j.value AS device, c.plan, c.expires_ms, c.consent
     FROM json_each(?1) j CROSS JOIN json_each(?2) s
       JOIN consents c ON c.device = j.value AND c.epoch = ?3 AND c.scope = s.value AND c.purpose = ?4
         AND c.sequence = (SELECT MAX(sequence) FROM consents n
           WHERE n.device = j.value AND n.epoch = ?3 AND n.scope = s.value AND n.purpose = ?4)`;

/** Those of `devices` whose consent does not cover the plan now; nobody where the plan asks for none. */
export function consentLackingAmong(
  db: Database,
  devices: readonly string[],
  parsed: ParsedPlan,
  nowMs: number,
): Set<string> {
  if (parsed.plan.consent === undefined) return new Set();
  const scopes = [...new Set([consentScopeOf(parsed), planQuotaName(parsed.hashHex)])];
  const rows = db.all<ConsentRow>(
    CONSENT_LOOKUP,
    JSON.stringify(devices),
    JSON.stringify(scopes),
    parsed.plan.epoch,
    purposeDigestOf(parsed),
  );
  const lacking = new Set(devices);
  for (const row of rows) if (covers(row, parsed, nowMs)) lacking.delete(row.device);
  return lacking;
}

/** What was given for this very plan was compared with it when it was taken. */
function covers({ plan, expires_ms, consent }: ConsentRow, parsed: ParsedPlan, nowMs: number): boolean {
  if (plan === parsed.hashHex) return expires_ms === null || nowMs < expires_ms;
  return consentGap(consentRecord.parse(consent), parsed, nowMs) === undefined;
}

/** Whether a consent of the device covers the plan now; true where the plan asks for none. */
export const hasConsent = (db: Database, device: string, parsed: ParsedPlan, nowMs: number): boolean =>
  !consentLackingAmong(db, [device], parsed, nowMs).has(device);

export interface ConsentReply {
  readonly receipt: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * Records a consent; the same statement again gets the stored receipt. Throws MALFORMED_MESSAGE, BAD_SIGNATURE,
 * WRONG_PLAN (it is not about the plan), WITHDRAWN, STATEMENT_CONFLICT (an older one than the one that counts), or
 * BUDGET_EXCEEDED for a pseudonym that is not this device's.
 */
export function consent(
  services: RoundServices,
  planOf: (planHash: Uint8Array) => ParsedPlan,
  device: { readonly deviceId: string; readonly signingPublicKey: Uint8Array },
  request: { readonly consent: Uint8Array; readonly signature: Uint8Array },
): ConsentReply {
  const { suite, clock, store, signingKey } = services;
  const given = consentRecord.parse(request.consent);
  const parsed = planOf(fromHex(given.planHash));
  const nowMs = clock.nowMs();
  ensure(
    given.deviceId === device.deviceId,
    'BAD_SIGNATURE',
    'the consent is of another device than the certificate',
  );
  ensure(
    suite.verify(device.signingPublicKey, consentStatement(request.consent), request.signature),
    'BAD_SIGNATURE',
    'the consent is not signed by the device key in the certificate',
  );
  const stored = store.read('consent', (db) => storedReceipt(db, given, request.consent));
  if (!stored) {
    requireFresh(nowMs, given.timeMs, 'the consent is too old; set the clock and consent again');
    const gap = consentGap(given, parsed, nowMs);
    ensure(gap === undefined, 'WRONG_PLAN', `the consent does not cover the plan that it names: it ${gap}`);
    // Nobody was shown others; and the plan, not the device, decides how long a stored statement can be.
    const beyond = given.columns.length - consentColumnsOf(parsed.plan).length;
    ensure(
      beyond === 0,
      'WRONG_PLAN',
      'the consent names columns that the plan which was shown does not read',
    );
  }
  const receipt =
    stored ?? store.transaction('consent', (db) => record(services, db, parsed, given, request));
  return { receipt, signature: suite.sign(signingKey.secretKey, consentReceiptStatement(receipt)) };
}

/** Throws FIELD_OUT_OF_RANGE, or UNAVAILABLE where another day will do. */
function requireRepeatsFew(db: Database, given: Consent, sequence: number, nowMs: number): void {
  ensure(sequence <= REPEATS_MAX, 'FIELD_OUT_OF_RANGE', `at most ${REPEATS_MAX} consents to one purpose`);
  const { n } = db.get<{ n: number }>(
    `SELECT COUNT(*) AS n FROM consents WHERE ${KEY} AND time_ms > ?`,
    ...keyOf(given),
    nowMs - DAY_MS,
  )!;
  ensure(
    n < REPEATS_PER_DAY_MAX,
    'UNAVAILABLE',
    `at most ${REPEATS_PER_DAY_MAX} consents to one purpose a day; the last one counts`,
  );
}

interface StoredConsent {
  readonly sequence: number;
  readonly time_ms: number;
  readonly consent: Uint8Array;
  readonly receipt: Uint8Array;
}

const KEY = 'device = ? AND epoch = ? AND scope = ? AND purpose = ?';
const keyOf = (given: Consent) => [given.deviceId, given.epoch, given.scope, given.purposeDigest] as const;

/** Receipt of these very bytes, also of one that a later consent has replaced. */
const storedReceipt = (db: Database, given: Consent, bytes: Uint8Array): Uint8Array | undefined =>
  db.get<{ receipt: Uint8Array }>(
    `SELECT receipt FROM consents WHERE ${KEY} AND consent = ?`,
    ...keyOf(given),
    bytes,
  )?.receipt;

function record(
  { budget, suite, clock }: RoundServices,
  db: Database,
  parsed: ParsedPlan,
  given: Consent,
  request: { readonly consent: Uint8Array; readonly signature: Uint8Array },
): Uint8Array {
  const { deviceId, pseudonym, timeMs, expiresMs, epoch, scope, purposeDigest } = given;
  const repeated = storedReceipt(db, given, request.consent);
  if (repeated) return repeated;
  ensure(
    !hasWithdrawn(db, deviceId, parsed),
    'WITHDRAWN',
    'this device has withdrawn from this plan, its family or everything, which a consent does not undo',
  );
  // Its row would outlive what was promised: a plan is forgotten once. One to a family is for other plans, too.
  ensure(
    scope !== planQuotaName(parsed.hashHex) || !isForgottenPlan(db, parsed.hashHex),
    'WRONG_PLAN',
    'the plan has ended long ago, and its retention has passed: there is nothing left to consent to',
  );
  const newest = db.get<StoredConsent>(
    `SELECT sequence, time_ms FROM consents WHERE ${KEY} ORDER BY sequence DESC LIMIT 1`,
    ...keyOf(given),
  );
  ensure(
    newest === undefined || timeMs > newest.time_ms,
    'STATEMENT_CONFLICT',
    'a later consent of this device to this purpose is recorded already',
  );
  const sequence = (newest?.sequence ?? 0) + 1;
  requireRepeatsFew(db, given, sequence, clock.nowMs());
  const all = db.get<{ n: number }>('SELECT COUNT(*) AS n FROM consents WHERE device = ?', deviceId)!;
  ensure(all.n < CONSENTS_MAX, 'FIELD_OUT_OF_RANGE', `a device has at most ${CONSENTS_MAX} consents`);
  requireOwnPseudonym(db, parsed, deviceId, pseudonym);
  const commitment = statementCommitment(suite, consentStatement(request.consent), request.signature);
  const expires = expiresMs === undefined ? {} : { expiresMs };
  const body = { commitment, planHash: parsed.hashHex, pseudonym, scope, purposeDigest, ...expires };
  const receipt = consentReceiptRecord.encode({
    version: 1,
    kind: 'consent',
    ...body,
    deviceId,
    timeMs,
    receivedMs: clock.nowMs(),
    note: CONSENT_NOTE,
  });
  const leaf = budget.append(db, { kind: 'consent_commitment', ...body });
  db.run(
    'INSERT INTO consents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    deviceId,
    epoch,
    scope,
    purposeDigest,
    sequence,
    parsed.hashHex,
    timeMs,
    expiresMs ?? null,
    request.consent,
    request.signature,
    receipt,
    leaf,
  );
  return receipt;
}

/** Throws BUDGET_EXCEEDED for a pseudonym that is not the one under which this device is charged in this epoch. */
export function requireOwnPseudonym(
  db: Database,
  { plan }: ParsedPlan,
  deviceId: string,
  pseudonym: string,
): void {
  const foreign = repository.bindPseudonyms(db, plan.epoch, [{ deviceId, pseudonym }]);
  ensure(
    foreign.length === 0,
    'BUDGET_EXCEEDED',
    'this device is charged under another pseudonym in this epoch',
  );
}
