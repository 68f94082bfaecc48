/**
 * Reads every row that this coordinator holds about one device, for a subject access.
 *
 * A new table that names a device belongs here and in device-rows.ts; a test compares both with the schema. Trusts: its
 * own database. May be called by: subject-access.ts.
 */
import { fromHex, fromUtf8, toHex } from '../../crypto/bytes.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import type { RoundKind } from '../../protos/round-config.ts';
import type { SubjectReport } from '../../protos/subject-access.ts';
import type { Database } from '../storage/store.ts';
import { type DeviceRound, roundsOfDevice } from './device-rows.ts';
import { FINAL_PHASES } from './machine-types.ts';
import * as repository from './repository.ts';
import type { RoundServices } from './services.ts';

/** Phases after the certificate or the abort. */
const DECIDED: readonly string[] = ['opening', 'opened', ...FINAL_PHASES];

/** A leaf of the log that concerns the device: by its number, or by what it decides. */
export interface OwnLeaf {
  readonly what: SubjectReport['logProofs'][number]['what'];
  readonly planHash: string;
  readonly round: number;
  readonly number?: number;
  readonly pseudonym?: string;
}

export interface Found {
  readonly rows: Omit<
    SubjectReport,
    'version' | 'kind' | 'deviceId' | 'madeMs' | 'accesses' | 'logProofs' | 'omitted'
  >;
  readonly leaves: readonly OwnLeaf[];
}

/** What stands about the device in its rounds. */
type OfRounds = Pick<Found['rows'], 'invitations' | 'charges' | 'uploads' | 'lates' | 'verdicts'>;

/** Read round by round, with turns for others in between; each round is read as of one moment. */
export async function rowsOfDevice(
  services: RoundServices,
  device: string,
  planOf: (planHash: Uint8Array) => ParsedPlan,
): Promise<Found> {
  const { store, clock } = services;
  const rounds = store.read('subject-rounds', (db) => roundsOfDevice(db, device));
  const found: OfRounds = { invitations: [], charges: [], uploads: [], lates: [], verdicts: [] };
  for (const at of rounds) {
    store.read('subject-round', (db) => addRound(found, services, db, device, at, planOf));
    await clock.turn();
  }
  return store.read('subject-rows', (db) => withRecords(found, rounds, services, db, device, planOf));
}

function addRound(
  { invitations, charges, uploads, lates, verdicts }: OfRounds,
  services: RoundServices,
  db: Database,
  device: string,
  at: DeviceRound,
  planOf: (planHash: Uint8Array) => ParsedPlan,
): void {
  const { plan, round } = at;
  const pseudonym = repository.invitationOf(db, plan, round, device);
  if (pseudonym !== undefined) {
    const invitation = { planHash: plan, round, pseudonym };
    invitations.push(invitation);
    charges.push(...chargeIn(services, db, device, invitation, planOf));
  }
  uploads.push(...uploadRow(db, device, at));
  lates.push(...lateRows(db, plan, round, device));
  verdicts.push(...verdictRows(db, device, at));
}

function withRecords(
  found: OfRounds,
  rounds: readonly DeviceRound[],
  services: RoundServices,
  db: Database,
  device: string,
  planOf: (planHash: Uint8Array) => ParsedPlan,
): Found {
  const { charges } = found;
  const consents = consentRows(db, device);
  const withdrawals = withdrawalRows(db, device);
  const planHashes = [...new Set([...rounds.map(({ plan }) => plan), ...consents.map(({ plan }) => plan)])];
  const pseudonyms = db.all<{ epoch: string; pseudonym: string }>(
    'SELECT epoch, pseudonym FROM pseudonyms WHERE device = ? ORDER BY epoch',
    device,
  );
  return {
    rows: {
      plans: planHashes.map((hash) => planRow(db, hash, planOf)),
      pseudonyms,
      ...found,
      accounts: pseudonyms.flatMap(({ pseudonym }) => services.budget.accountOf(db, pseudonym) ?? []),
      consents: consents.map(({ plan: _plan, leaf: _leaf, ...row }) => row),
      withdrawals: withdrawals.map(({ plan: _plan, leaf: _leaf, ...row }) => row),
      alarms: alarmRows(db, device),
      certificate: certificateOf(db, device, rounds),
    },
    leaves: [
      ...charges.flatMap(({ planHash, round, pseudonym, state }): OwnLeaf[] =>
        state === 'reserved'
          ? []
          : [
              { what: 'decision', planHash, round },
              ...(state === 'charged' ? [{ what: 'settlement' as const, planHash, round, pseudonym }] : []),
            ],
      ),
      ...withdrawals.flatMap(({ plan, leaf }): OwnLeaf[] =>
        leaf === null ? [] : [{ what: 'withdrawal', planHash: plan, round: 0, number: leaf }],
      ),
      ...consents.map(
        ({ plan, leaf }): OwnLeaf => ({ what: 'consent', planHash: plan, round: 0, number: leaf }),
      ),
    ],
  };
}

function planRow(
  db: Database,
  hash: string,
  planOf: (planHash: Uint8Array) => ParsedPlan,
): SubjectReport['plans'][number] {
  const { name, purpose, epoch, consent } = planOf(fromHex(hash)).plan;
  const status = repository.getPlan(db, hash)?.status ?? '';
  const { controller = '', contact = '' } = consent ?? {};
  return { planHash: hash, name, purpose, epoch, status, controller, contact };
}

function uploadRow(db: Database, device: string, { plan, round }: DeviceRound): SubjectReport['uploads'] {
  const row = repository.getUpload(db, plan, round, device);
  if (!row) return [];
  return [
    {
      planHash: plan,
      round,
      digest: row.digest,
      signature: toHex(row.signature),
      bodyBytes: row.body_bytes,
      holderBytes: row.holder_bytes,
      receivedBytes: row.received_bytes,
      acknowledged: row.acknowledged === 1,
      stored: repository.chunksOf(db, plan, round, device).length > 0,
    },
  ];
}

const lateRows = (db: Database, plan: string, round: number, device: string): SubjectReport['lates'] =>
  db
    .all<{ digest: string }>(
      'SELECT digest FROM lates WHERE plan = ? AND round = ? AND device = ? ORDER BY digest',
      plan,
      round,
      device,
    )
    .map(({ digest }) => ({ planHash: plan, round, digest }));

function verdictRows(db: Database, device: string, { plan, round }: DeviceRound): SubjectReport['verdicts'] {
  const reasonOf = (holder: string) =>
    db.get<{ reason: string }>(
      `SELECT code || ': ' || reason AS reason FROM rejections
       WHERE plan = ? AND round = ? AND device = ? AND holder = ?`,
      plan,
      round,
      device,
      holder,
    )?.reason ?? '';
  return repository.verdictsAbout(db, plan, round, device).map(({ holder, accepted }) => ({
    planHash: plan,
    round,
    holder,
    accepted,
    reason: reasonOf(holder).slice(0, 600),
  }));
}

/** Of a stored round state, without reading its lists of thousands of devices into objects. */
const ROUND_FACTS = `SELECT phase, state ->> '$.kind' AS kind,
     json_array_length(state, CASE json_type(state, '$.cohort') WHEN 'text' THEN '$.candidates' ELSE '$.cohort' END) AS count,
     EXISTS (SELECT 1 FROM json_each(state, CASE json_type(state, '$.cohort') WHEN 'text' THEN '$.candidates' ELSE '$.cohort' END)
       WHERE value = ?3) AS inside
   FROM rounds WHERE plan = ?1 AND round = ?2`;

/** The ledger's rule, read off the round: in the certified cohort, charged; ended without, released; else held. */
function chargeIn(
  { budget }: RoundServices,
  db: Database,
  device: string,
  { planHash, round, pseudonym }: SubjectReport['invitations'][number],
  planOf: (planHash: Uint8Array) => ParsedPlan,
): SubjectReport['charges'] {
  const row = db.get<{ phase: string; kind: RoundKind; count: number | null; inside: number }>(
    ROUND_FACTS,
    planHash,
    round,
    device,
  );
  if (!row) return [];
  const parsed = planOf(fromHex(planHash));
  const { phase, kind, count, inside } = row;
  // Without DP nothing is charged.
  if (parsed.plan.privacy === null) return [];
  const at = { planHash, round, pseudonym };
  if (!DECIDED.includes(phase))
    return [{ ...at, amount: budget.promised(parsed, { kind }), state: 'reserved' }];
  if (phase === 'aborted' || inside === 0) return [{ ...at, amount: '0', state: 'released' }];
  const charge = budget.chargeOfRound(parsed, { kind, cohort: new Array<string>(count ?? 0) });
  return [{ ...at, amount: charge!.amount, state: 'charged' }];
}

const consentRows = (
  db: Database,
  device: string,
): (SubjectReport['consents'][number] & { readonly plan: string; readonly leaf: number })[] =>
  db
    .all<{ plan: string; leaf: number; consent: Uint8Array; signature: Uint8Array; receipt: Uint8Array }>(
      'SELECT plan, leaf, consent, signature, receipt FROM consents WHERE device = ? ORDER BY leaf',
      device,
    )
    .map(({ plan, leaf, consent, signature, receipt }) => ({
      plan,
      leaf,
      consent: fromUtf8(consent),
      signature: toHex(signature),
      receipt: fromUtf8(receipt),
    }));

const withdrawalRows = (
  db: Database,
  device: string,
): (SubjectReport['withdrawals'][number] & { readonly plan: string; readonly leaf: number | null })[] =>
  db
    .all<{ plan: string; leaf: number | null; signature: Uint8Array; receipt: Uint8Array }>(
      'SELECT plan, leaf, signature, receipt FROM withdrawals WHERE device = ? AND length(receipt) > 0 ORDER BY scope',
      device,
    )
    .map(({ plan, leaf, signature, receipt }) => ({
      plan,
      leaf,
      signature: toHex(signature),
      receipt: fromUtf8(receipt),
    }));

const alarmRows = (db: Database, device: string): SubjectReport['alarms'] =>
  db
    .all<{ plan: string; round: number; said: string; ledger: string; time_ms: number }>(
      'SELECT plan, round, said, ledger, time_ms FROM budget_alarms WHERE device = ? ORDER BY time_ms',
      device,
    )
    .map(({ plan, round, said, ledger, time_ms }) => ({
      planHash: plan,
      round,
      said,
      ledger,
      timeMs: time_ms,
    }));

/** Of the newest upload, in hexadecimal. */
function certificateOf(db: Database, device: string, rounds: readonly DeviceRound[]): string {
  for (const { plan, round } of [...rounds].reverse()) {
    const row = repository.getUpload(db, plan, round, device);
    if (row && row.certificate.length > 0) return toHex(row.certificate);
  }
  return '';
}
