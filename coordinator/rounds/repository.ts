/**
 * The tables of plans, rounds, uploads and openings, and every SQL text about them.
 *
 * All functions take the `Database` of a transaction, so that a caller groups what must be atomic.
 * Trusts: its own database. May be called by: coordinator/rounds, coordinator/grpc.
 */
import { fromHex } from '../../crypto/bytes.ts';
import type { RoundBinding } from '../../protos/statements.ts';
import type { Database } from '../storage/store.ts';
import type { CommitteeKey } from './ceremonies.ts';
import type { StatementSignature } from './holder-port.ts';
import { invitedDevices } from './invitations-repository.ts';
import type { RoundState } from './machine.ts';
import { type StatementKind, statementSignatures } from './openings-repository.ts';
import { acknowledgedDevices } from './uploads-repository.ts';

export * from './fold-repository.ts';
export * from './invitations-repository.ts';
export * from './openings-repository.ts';
export * from './uploads-repository.ts';
export * from './verdicts-repository.ts';

export const ROUNDS_MIGRATIONS: readonly string[] = [
  `CREATE TABLE plans (
     hash TEXT PRIMARY KEY, bytes BLOB NOT NULL, approvals TEXT NOT NULL, position INTEGER NOT NULL UNIQUE,
     status TEXT NOT NULL, message TEXT NOT NULL, model_hash TEXT NOT NULL DEFAULT '', optimizer TEXT NOT NULL DEFAULT '');
   CREATE TABLE blobs (digest TEXT PRIMARY KEY, data BLOB NOT NULL);
   CREATE TABLE committee_keys (
     plan TEXT NOT NULL, round INTEGER NOT NULL, key_id TEXT NOT NULL, signatures TEXT NOT NULL,
     PRIMARY KEY (plan, round));
   CREATE TABLE rounds (
     plan TEXT NOT NULL, round INTEGER NOT NULL, phase TEXT NOT NULL, state TEXT NOT NULL, config BLOB NOT NULL,
     config_hash TEXT NOT NULL, model_hash TEXT NOT NULL, committee_key_id TEXT NOT NULL, summary TEXT NOT NULL DEFAULT '',
     invited INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (plan, round));
   CREATE UNIQUE INDEX rounds_config ON rounds (config_hash);
   CREATE TABLE pseudonyms (
     epoch TEXT NOT NULL, device TEXT NOT NULL, pseudonym TEXT NOT NULL, PRIMARY KEY (epoch, device),
     UNIQUE (pseudonym));
   CREATE TABLE invitations (
     plan TEXT NOT NULL, round INTEGER NOT NULL, device TEXT NOT NULL, pseudonym TEXT NOT NULL,
     PRIMARY KEY (plan, round, device));
   CREATE TABLE uploads (
     plan TEXT NOT NULL, round INTEGER NOT NULL, device TEXT NOT NULL, digest TEXT NOT NULL, signature BLOB NOT NULL,
     certificate BLOB NOT NULL, body_bytes INTEGER NOT NULL, holder_bytes INTEGER NOT NULL, received_bytes INTEGER NOT NULL,
     acknowledged INTEGER NOT NULL, body_digest TEXT NOT NULL, PRIMARY KEY (plan, round, device));
   CREATE TABLE upload_chunks (
     plan TEXT NOT NULL, round INTEGER NOT NULL, device TEXT NOT NULL, offset INTEGER NOT NULL, segment INTEGER NOT NULL,
     position INTEGER NOT NULL, length INTEGER NOT NULL, PRIMARY KEY (plan, round, device, offset)) WITHOUT ROWID;
   CREATE TABLE verdicts (
     plan TEXT NOT NULL, round INTEGER NOT NULL, holder TEXT NOT NULL, device TEXT NOT NULL, accepted INTEGER NOT NULL,
     PRIMARY KEY (plan, round, holder, device)) WITHOUT ROWID;
   CREATE TABLE fold_state (
     plan TEXT NOT NULL, round INTEGER NOT NULL, shard INTEGER NOT NULL, sum BLOB NOT NULL, devices TEXT NOT NULL,
     count INTEGER NOT NULL, PRIMARY KEY (plan, round, shard));
   CREATE TABLE lates (
     plan TEXT NOT NULL, round INTEGER NOT NULL, device TEXT NOT NULL, digest TEXT NOT NULL, signature BLOB NOT NULL,
     PRIMARY KEY (plan, round, device, digest));
   CREATE TABLE rejections (
     plan TEXT NOT NULL, round INTEGER NOT NULL, device TEXT NOT NULL, holder TEXT NOT NULL, code TEXT NOT NULL,
     reason TEXT NOT NULL, PRIMARY KEY (plan, round, device, holder));
   CREATE TABLE statement_signatures (
     plan TEXT NOT NULL, round INTEGER NOT NULL, kind TEXT NOT NULL, holder TEXT NOT NULL, signature BLOB NOT NULL,
     PRIMARY KEY (plan, round, kind, holder));
   CREATE TABLE partials (
     plan TEXT NOT NULL, round INTEGER NOT NULL, active_set TEXT NOT NULL, holder TEXT NOT NULL, partial BLOB NOT NULL,
     signature BLOB NOT NULL, PRIMARY KEY (plan, round, active_set, holder));
   CREATE TABLE erasures (plan TEXT NOT NULL, round INTEGER NOT NULL, holder TEXT NOT NULL, PRIMARY KEY (plan, round, holder));
   CREATE TABLE once (mark TEXT PRIMARY KEY);
   CREATE TABLE sums (
     plan TEXT NOT NULL, round INTEGER NOT NULL, digits BLOB NOT NULL, hash TEXT NOT NULL, active_set TEXT NOT NULL,
     PRIMARY KEY (plan, round));`,
  `CREATE TABLE partition_draws (
     plan TEXT NOT NULL, round INTEGER NOT NULL, holder TEXT NOT NULL, draw BLOB NOT NULL, signature BLOB NOT NULL,
     PRIMARY KEY (plan, round, holder));
   ALTER TABLE sums ADD COLUMN group_facts TEXT NOT NULL DEFAULT '';`,
  `CREATE TABLE verdict_lists (
     plan TEXT NOT NULL, round INTEGER NOT NULL, holder TEXT NOT NULL, devices TEXT NOT NULL, accepted INTEGER NOT NULL);
   CREATE INDEX verdict_lists_round ON verdict_lists (plan, round, holder);
   INSERT INTO verdict_lists
     SELECT plan, round, holder, json_group_array(device), accepted FROM verdicts GROUP BY plan, round, holder, accepted;
   DROP TABLE verdicts;`,
];

/** True exactly once per mark; makes a transaction repeatable after a crash. */
export const markOnce = (db: Database, mark: string): boolean =>
  db.run('INSERT INTO once (mark) VALUES (?) ON CONFLICT DO NOTHING', mark).changes > 0;

/** The first mark that was made of those that begin with `prefix`. */
export const oldestMarkUnder = (db: Database, prefix: string): string | undefined =>
  db.get<{ mark: string }>(
    'SELECT mark FROM once WHERE mark >= ? AND mark < ? ORDER BY rowid LIMIT 1',
    prefix,
    `${prefix}\uffff`,
  )?.mark;

export interface PlanRow {
  readonly hash: string;
  readonly bytes: Uint8Array;
  readonly approvals: string;
  readonly position: number;
  readonly status: 'queued' | 'running' | 'finished' | 'failed';
  readonly message: string;
  readonly model_hash: string;
  readonly optimizer: string;
}

export function insertPlan(db: Database, plan: { hash: string; bytes: Uint8Array; approvals: string }): void {
  db.run(
    `INSERT INTO plans (hash, bytes, approvals, position, status, message)
     VALUES (?, ?, ?, (SELECT COALESCE(MAX(position), 0) + 1 FROM plans), 'queued', '') ON CONFLICT (hash) DO NOTHING`,
    plan.hash,
    plan.bytes,
    plan.approvals,
  );
}

export const listPlans = (db: Database): PlanRow[] =>
  db.all<PlanRow>('SELECT * FROM plans ORDER BY position');

export const getPlan = (db: Database, hash: string): PlanRow | undefined =>
  db.get<PlanRow>('SELECT * FROM plans WHERE hash = ?', hash);

export function setPlanStatus(db: Database, hash: string, status: PlanRow['status'], message: string): void {
  db.run('UPDATE plans SET status = ?, message = ? WHERE hash = ?', status, message, hash);
}

export function setPlanModel(db: Database, hash: string, modelHash: string, optimizer: string): void {
  db.run('UPDATE plans SET model_hash = ?, optimizer = ? WHERE hash = ?', modelHash, optimizer, hash);
}

export function putBlob(db: Database, digest: string, data: Uint8Array): void {
  db.run('INSERT INTO blobs (digest, data) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING', digest, data);
}

export const getBlob = (db: Database, digest: string): Uint8Array | undefined =>
  db.get<{ data: Uint8Array }>('SELECT data FROM blobs WHERE digest = ?', digest)?.data;

/** The artefact where it has at most `bytesMax` bytes, else undefined; a longer one is not read. */
export const getShortBlob = (db: Database, digest: string, bytesMax: number): Uint8Array | undefined =>
  db.get<{ data: Uint8Array }>(
    'SELECT data FROM blobs WHERE digest = ? AND length(data) <= ?',
    digest,
    bytesMax,
  )?.data;

interface StoredSignature {
  readonly holderId: string;
  readonly signature: string;
}

export function putCommitteeKey(db: Database, plan: string, key: CommitteeKey): void {
  const keyId = Buffer.from(key.keyId).toString('hex');
  const signatures: StoredSignature[] = key.signatures.map((s) => ({
    holderId: s.holderId,
    signature: Buffer.from(s.signature).toString('hex'),
  }));
  putBlob(db, keyId, key.publicKey);
  db.run(
    'INSERT INTO committee_keys (plan, round, key_id, signatures) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
    plan,
    key.round,
    keyId,
    JSON.stringify(signatures),
  );
}

export function getCommitteeKey(
  db: Database,
  plan: string,
  round: number,
): { keyId: string; signatures: StatementSignature[] } | undefined {
  const row = db.get<{ key_id: string; signatures: string }>(
    'SELECT key_id, signatures FROM committee_keys WHERE plan = ? AND round = ?',
    plan,
    round,
  );
  if (!row) return undefined;
  const signatures = (JSON.parse(row.signatures) as StoredSignature[]).map((s) => ({
    holderId: s.holderId,
    signature: new Uint8Array(Buffer.from(s.signature, 'hex')),
  }));
  return { keyId: row.key_id, signatures };
}

/** Rounds after `after` that have a key. */
export const committeeKeyRounds = (db: Database, plan: string, after = 0): number[] =>
  db
    .all<{ round: number }>(
      'SELECT round FROM committee_keys WHERE plan = ? AND round > ? ORDER BY round',
      plan,
      after,
    )
    .map((row) => row.round);

export interface RoundRow {
  readonly round: number;
  readonly phase: string;
  readonly state: string;
  readonly config: Uint8Array;
  readonly config_hash: string;
  readonly model_hash: string;
  readonly committee_key_id: string;
  readonly summary: string;
}

export function insertRound(db: Database, plan: string, row: Omit<RoundRow, 'summary'>): void {
  db.run(
    `INSERT INTO rounds (plan, round, phase, state, config, config_hash, model_hash, committee_key_id)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    plan,
    row.round,
    row.phase,
    row.state,
    row.config,
    row.config_hash,
    row.model_hash,
    row.committee_key_id,
  );
}

/** Stands in a stored state for a list that is the candidates once more, as verdicts and cohort nearly always are. */
const CANDIDATES = '=candidates';

const sameList = (a: readonly string[], b: readonly string[]): boolean =>
  a === b || (a.length === b.length && a.every((item, i) => item === b[i]));

function packLists(state: RoundState): object {
  const { candidates, cohort, verdicts } = state;
  const packed = (list: readonly string[]) =>
    candidates !== null && sameList(list, candidates) ? CANDIDATES : list;
  return {
    ...state,
    cohort: cohort === null ? null : packed(cohort),
    verdicts: Object.fromEntries(Object.entries(verdicts).map(([holder, list]) => [holder, packed(list)])),
  };
}

/** The state as it was saved, without what has rows of its own. */
function parseState(text: string): RoundState {
  const state = JSON.parse(text) as RoundState;
  const full = (list: readonly string[] | string) => (list === CANDIDATES ? state.candidates! : list);
  return {
    ...state,
    cohort: state.cohort === null ? null : (full(state.cohort) as readonly string[]),
    verdicts: Object.fromEntries(
      Object.entries(state.verdicts).map(([holder, list]) => [holder, full(list) as readonly string[]]),
    ),
  };
}

/** The cohort in a stored state, for tests and checks that read a database from outside. */
export const storedCohort = (text: string): readonly string[] | null => parseState(text).cohort;

export function saveRoundState(db: Database, plan: string, state: RoundState): void {
  // Invitations and uploads have rows of their own, written as they happen; they are not repeated here.
  const text = JSON.stringify(packLists({ ...state, invited: [], uploaded: [] }));
  db.run(
    'UPDATE rounds SET phase = ?, state = ? WHERE plan = ? AND round = ?',
    state.phase,
    text,
    plan,
    state.round,
  );
}

export function setRoundSummary(db: Database, plan: string, round: number, summary: string): void {
  db.run('UPDATE rounds SET summary = ? WHERE plan = ? AND round = ?', summary, plan, round);
}

/** Without state and configuration, which hold the cohort's names: asked after every round. */
export const roundPhases = (db: Database, plan: string, after = 0): Pick<RoundRow, 'round' | 'phase'>[] =>
  db.all('SELECT round, phase FROM rounds WHERE plan = ? AND round > ? ORDER BY round', plan, after);

/** What has been released, in the order of rounds. */
export const roundSummaries = (db: Database, plan: string): string[] =>
  db
    .all<{ summary: string }>(
      "SELECT summary FROM rounds WHERE plan = ? AND summary <> '' ORDER BY round",
      plan,
    )
    .map(({ summary }) => summary);

export const listRounds = (db: Database, plan: string): RoundRow[] =>
  db.all<RoundRow>('SELECT * FROM rounds WHERE plan = ? ORDER BY round', plan);

export type RoundKey = Pick<RoundRow, 'round' | 'config_hash' | 'model_hash' | 'committee_key_id'> & {
  readonly plan: string;
};

/** The round of a configuration, with its plan; a configuration hash names one round only. Asked with every chunk. */
export const roundByConfig = (db: Database, configHash: string): RoundKey | undefined =>
  db.get<RoundKey>(
    'SELECT plan, round, config_hash, model_hash, committee_key_id FROM rounds WHERE config_hash = ?',
    configHash,
  );

/** What a round's uploads are bound to. */
export function bindingOfRow({
  plan,
  round,
  model_hash,
  config_hash,
  committee_key_id,
}: RoundKey): RoundBinding {
  return {
    planHash: fromHex(plan),
    round,
    modelHash: fromHex(model_hash),
    configHash: fromHex(config_hash),
    committeeKeyId: fromHex(committee_key_id),
  };
}

export const getRound = (db: Database, plan: string, round: number): RoundRow | undefined =>
  db.get<RoundRow>('SELECT * FROM rounds WHERE plan = ? AND round = ?', plan, round);

export const roundPhase = (db: Database, plan: string, round: number): string | undefined =>
  db.get<{ phase: string }>('SELECT phase FROM rounds WHERE plan = ? AND round = ?', plan, round)?.phase;

/** The stored state with everything that has rows of its own filled in. */
export function loadRoundState(db: Database, plan: string, row: RoundRow): RoundState {
  const state = parseState(row.state);
  const signers = (kind: StatementKind) =>
    statementSignatures(db, plan, row.round, kind).map((s) => s.holderId);
  const partials: Record<string, string[]> = {};
  for (const partial of db.all<{ active_set: string; holder: string }>(
    'SELECT active_set, holder FROM partials WHERE plan = ? AND round = ? ORDER BY active_set, holder',
    plan,
    row.round,
  ))
    partials[partial.active_set] = [...(partials[partial.active_set] ?? []), partial.holder];
  return {
    ...state,
    invited: invitedDevices(db, plan, row.round),
    uploaded: acknowledgedDevices(db, plan, row.round),
    certificateSigners: signers('certificate'),
    abortSigners: signers('abort'),
    partials,
  };
}

export function putLate(
  db: Database,
  plan: string,
  round: number,
  device: string,
  digest: string,
  signature: Uint8Array,
): void {
  db.run(
    'INSERT INTO lates (plan, round, device, digest, signature) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
    plan,
    round,
    device,
    digest,
    signature,
  );
}

export const lateOf = (db: Database, plan: string, round: number, device: string): string | undefined =>
  db.get<{ digest: string }>(
    'SELECT digest FROM lates WHERE plan = ? AND round = ? AND device = ?',
    plan,
    round,
    device,
  )?.digest;

/** Holders that confirmed the erasure of a round's share. */
export const erasedBy = (db: Database, plan: string, round: number): string[] =>
  db
    .all<{ holder: string }>('SELECT holder FROM erasures WHERE plan = ? AND round = ?', plan, round)
    .map((row) => row.holder);

export function putErasure(db: Database, plan: string, round: number, holder: string): void {
  db.run(
    'INSERT INTO erasures (plan, round, holder) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
    plan,
    round,
    holder,
  );
}
