/**
 * Subject access: everything that this coordinator holds about one device, in one signed report.
 *
 * Made once and kept until its last page was fetched or ten minutes have passed, so that its pages fit together; it is
 * emptied then within a minute (promises.ts). Asking again within a minute gets the same one. A device gets 24 a day, and
 * all devices together 30 a minute, one at a time and round by round, because rounds go on in the same thread. The log
 * gets a commitment and no more. Trusts: the device id and key that the transport took from the certificate. May be
 * called by: coordinator/rounds, coordinator/grpc.
 */
import { fromUtf8, toHex } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import { statementCommitment } from '../../protos/consent.ts';
import { BLOB_PAGE_BYTES } from '../../protos/fields.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { requireFresh } from '../../protos/statement-age.ts';
import {
  SUBJECT_ROWS_MAX,
  type SubjectAccessRequest,
  type SubjectReport,
  subjectAccessStatement,
  subjectReceiptRecord,
  subjectReceiptStatement,
  subjectReportRecord,
} from '../../protos/subject-access.ts';
import type { Database } from '../storage/store.ts';
import { requireOwnPseudonym } from './consents.ts';
import { type Found, rowsOfDevice } from './device-report.ts';
import { wasErased } from './erased-devices.ts';
import type { RoundServices } from './services.ts';

export const SUBJECT_ACCESS_MIGRATIONS = [
  `CREATE TABLE subject_access (
     device TEXT PRIMARY KEY, made_ms INTEGER NOT NULL, day_ms INTEGER NOT NULL, of_day INTEGER NOT NULL,
     receipt BLOB NOT NULL, report BLOB NOT NULL, fetched INTEGER NOT NULL) STRICT;`,
];

const SAME_MS = 60_000;
const KEPT_MS = 600_000;
const DAY_MS = 86_400_000;
const PER_DAY_MAX = 24;
const MINUTE_MS = 60_000;
const PER_MINUTE_MAX = 30;
/** Requests that wait while a report is made. */
const WAITING_MAX = 8;
/** Proofs between two turns of others. */
const PROOFS_AT_A_TIME = 16;
/** Of all .tlog-proof texts together: a settlement's is up to 75 KB. */
const PROOF_BYTES_MAX = 16 * 1024 * 1024;

export interface SubjectAccessReply {
  readonly receipt: Uint8Array;
  readonly signature: Uint8Array;
  readonly data: Uint8Array;
}

interface Stored {
  readonly made_ms: number;
  readonly day_ms: number;
  readonly of_day: number;
  readonly receipt: Uint8Array;
  readonly report: Uint8Array;
  /** 1: the last page has gone out. */
  readonly fetched: number;
}

type Made = Pick<Stored, 'receipt' | 'report'>;

/** One for a coordinator: reports are made one after the other, so many a minute. */
class Desk {
  #madeMs: number[] = [];
  #last: Promise<unknown> = Promise.resolve();
  readonly #waiting = new Map<string, Promise<Made>>();

  /** A device that waits already gets the same. Throws UNAVAILABLE where too many others wait or were served. */
  serve(deviceId: string, clock: RoundServices['clock'], make: () => Promise<Made>): Promise<Made> {
    const mine = this.#waiting.get(deviceId);
    if (mine) return mine;
    const nowMs = clock.nowMs();
    this.#madeMs = this.#madeMs.filter((madeMs) => nowMs - madeMs < MINUTE_MS);
    const waiting = this.#waiting.size;
    const busy = waiting >= WAITING_MAX || this.#madeMs.length + waiting >= PER_MINUTE_MAX;
    ensure(!busy, 'UNAVAILABLE', 'many ask for their report just now; ask again in a minute');
    const making = this.#last
      .then(make)
      .then((made) => {
        // What is refused costs little and does not count: else the refused would keep everybody else waiting.
        this.#madeMs.push(clock.nowMs());
        return made;
      })
      .finally(() => this.#waiting.delete(deviceId));
    this.#waiting.set(deviceId, making);
    this.#last = making.catch(() => {});
    return making;
  }
}
const desks = new WeakMap<RoundServices['store'], Desk>();

function deskOf({ store }: RoundServices): Desk {
  const desk = desks.get(store) ?? new Desk();
  desks.set(store, desk);
  return desk;
}

/** Empties reports that were fetched or that nobody fetches; who asked when stays, to keep to the day's number. */
export const dropReports = (db: Database, nowMs: number): void =>
  void db.run(
    `UPDATE subject_access SET report = x''
     WHERE length(report) > 0 AND (made_ms < ?1 OR (fetched = 1 AND made_ms < ?2))`,
    nowMs - KEPT_MS,
    nowMs - SAME_MS,
  );

/**
 * A page of the report. Throws BAD_SIGNATURE, BUDGET_EXCEEDED for a pseudonym that is not this device's, NOT_FOUND for a
 * later page of a report that is gone, UNAVAILABLE beyond the day's number or while too many others ask.
 */
export async function subjectAccess(
  services: RoundServices,
  planOf: (planHash: Uint8Array) => ParsedPlan,
  device: { readonly deviceId: string; readonly signingPublicKey: Uint8Array },
  request: SubjectAccessRequest,
): Promise<SubjectAccessReply> {
  const { suite, clock, signingKey } = services;
  const { deviceId } = device;
  const nowMs = clock.nowMs();
  const statement = subjectAccessStatement({ ...request, deviceId });
  requireFresh(nowMs, request.timeMs, 'the request is too old; set the clock');
  ensure(
    suite.verify(device.signingPublicKey, statement, request.signature),
    'BAD_SIGNATURE',
    'the request is not signed by the device key in the certificate',
  );
  const stored = storedReport(services, deviceId, request.offset);
  ensure(stored || request.offset === 0, 'NOT_FOUND', 'that report is gone; ask again from its beginning');
  const { receipt, report } =
    stored ??
    (await deskOf(services).serve(deviceId, clock, () =>
      make(services, planOf, deviceId, request, statement),
    ));
  const end = request.offset + BLOB_PAGE_BYTES;
  if (end >= report.length && stored?.fetched !== 1) fetched(services, deviceId);
  const signature = suite.sign(signingKey.secretKey, subjectReceiptStatement(receipt));
  return { receipt, signature, data: report.subarray(request.offset, end) };
}

const rowOf = ({ store }: RoundServices, deviceId: string): Stored | undefined =>
  store.read('subject-access', (db) =>
    db.get<Stored>('SELECT * FROM subject_access WHERE device = ?', deviceId),
  );

/** For a later page, or for the same question within a minute. */
function storedReport(services: RoundServices, deviceId: string, offset: number): Stored | undefined {
  const row = rowOf(services, deviceId);
  if (row === undefined || row.report.length === 0) return undefined;
  const ageMs = services.clock.nowMs() - row.made_ms;
  return ageMs < (offset > 0 ? KEPT_MS : SAME_MS) ? row : undefined;
}

/** The last page has gone out: the report goes when the minute is over in which the same one is given again. */
function fetched({ store, clock }: RoundServices, deviceId: string): void {
  store.transaction('subject-fetched', (db) => {
    db.run('UPDATE subject_access SET fetched = 1 WHERE device = ?', deviceId);
    dropReports(db, clock.nowMs());
  });
}

async function make(
  services: RoundServices,
  planOf: (planHash: Uint8Array) => ParsedPlan,
  deviceId: string,
  request: SubjectAccessRequest,
  statement: Uint8Array,
): Promise<Made> {
  const { suite, store, clock } = services;
  const nowMs = clock.nowMs();
  const before = rowOf(services, deviceId);
  const parsed = planOf(request.planHash);
  const pseudonym = toHex(request.pseudonym);
  const sameDay = before !== undefined && nowMs - before.day_ms < DAY_MS;
  const ofDay = sameDay ? before.of_day + 1 : 1;
  ensure(
    ofDay <= PER_DAY_MAX,
    'UNAVAILABLE',
    `a device gets ${PER_DAY_MAX} reports a day; ask again tomorrow`,
  );
  store.transaction('subject-pseudonym', (db) => requireOwnPseudonym(db, parsed, deviceId, pseudonym));
  const found = await rowsOfDevice(services, deviceId, planOf);
  const content = await reportOf(services, deviceId, found, before, nowMs);
  const report = subjectReportRecord.encode(content);
  const commitment = statementCommitment(suite, statement, request.signature);
  const receipt = subjectReceiptRecord.encode({
    version: 1,
    kind: 'subject-access',
    planHash: parsed.hashHex,
    deviceId,
    pseudonym,
    timeMs: request.timeMs,
    madeMs: nowMs,
    reportDigest: toHex(suite.digest(report)),
    reportBytes: report.length,
    commitment,
  });
  const dayMs = sameDay ? before.day_ms : nowMs;
  const row = { made_ms: nowMs, day_ms: dayMs, of_day: ofDay, receipt, report };
  store.transaction('subject-access', (db) => put(services, db, deviceId, row, commitment));
  return { receipt, report };
}

function put(
  services: RoundServices,
  db: Database,
  deviceId: string,
  row: Omit<Stored, 'fetched'>,
  commitment: string,
): void {
  // It was made in several steps: an erasure in between must not leave it behind.
  ensure(!wasErased(services, db, deviceId), 'ERASED', 'this device was erased in the meantime');
  dropReports(db, row.made_ms);
  services.budget.append(db, { kind: 'subject_access', commitment });
  db.run(
    `INSERT INTO subject_access VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0) ON CONFLICT DO UPDATE SET
       made_ms = ?2, day_ms = ?3, of_day = ?4, receipt = ?5, report = ?6, fetched = 0`,
    deviceId,
    row.made_ms,
    row.day_ms,
    row.of_day,
    row.receipt,
    row.report,
  );
}

async function reportOf(
  services: RoundServices,
  deviceId: string,
  { rows, leaves }: Found,
  before: Stored | undefined,
  madeMs: number,
): Promise<SubjectReport> {
  const omitted: string[] = [];
  const capped = <T>(what: string, list: readonly T[]): T[] => {
    if (list.length > SUBJECT_ROWS_MAX)
      omitted.push(`${list.length - SUBJECT_ROWS_MAX} of ${list.length} ${what}: too many for a report`);
    return list.slice(0, SUBJECT_ROWS_MAX);
  };
  return {
    version: 1,
    kind: 'subject-access-report',
    deviceId,
    madeMs,
    plans: capped('plans', rows.plans),
    pseudonyms: capped('pseudonyms', rows.pseudonyms),
    invitations: capped('invitations', rows.invitations),
    uploads: capped('uploads', rows.uploads),
    lates: capped('late uploads', rows.lates),
    verdicts: capped('verdicts', rows.verdicts),
    accounts: capped('accounts', rows.accounts),
    charges: capped('charges', rows.charges),
    consents: capped('consents', rows.consents),
    withdrawals: capped('withdrawals', rows.withdrawals),
    alarms: capped('alarms', rows.alarms),
    accesses: before ? [{ timeMs: before.made_ms }] : [],
    certificate: rows.certificate,
    logProofs: capped('log proofs', await proofsOf(services, leaves, omitted)),
    omitted,
  };
}

/** The proofs that the log gives now; where this coordinator has no signing log, none. */
async function proofsOf(
  { logProofs, clock }: RoundServices,
  leaves: Found['leaves'],
  omitted: string[],
): Promise<SubjectReport['logProofs']> {
  if (!logProofs) return [];
  const proofs: SubjectReport['logProofs'] = [];
  let bytes = 0;
  for (const [i, { what, planHash, round, number, pseudonym }] of leaves.entries()) {
    if (i % PROOFS_AT_A_TIME === 0) await clock.turn();
    const made =
      number !== undefined
        ? logProofs.proveLeaf(number)
        : what === 'settlement'
          ? logProofs.proveSettlement(planHash, round, pseudonym ?? '')
          : logProofs.prove(planHash, round, 0);
    if (!made) continue;
    bytes += made.tlogProof.length;
    if (bytes > PROOF_BYTES_MAX) {
      omitted.push('some log proofs: too long for a report; the exported log has what they prove');
      break;
    }
    proofs.push({ what, planHash, round, proof: fromUtf8(made.tlogProof) });
  }
  return proofs;
}
