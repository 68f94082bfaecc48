/**
 * The tables of what holders answered and what it opened: statement signatures, partition draws, partial
 * decryptions, sums. Split from
 * repository.ts by idea.
 *
 * Trusts: its own database. May be called by: coordinator/rounds through repository.ts.
 */
import type { Database } from '../storage/store.ts';
import type { Draw, PartialOpening, StatementSignature } from './holder-port.ts';

export type StatementKind = 'certificate' | 'abort';

export function putStatementSignature(
  db: Database,
  plan: string,
  round: number,
  kind: StatementKind,
  s: StatementSignature,
): void {
  db.run(
    'INSERT INTO statement_signatures (plan, round, kind, holder, signature) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
    plan,
    round,
    kind,
    s.holderId,
    s.signature,
  );
}

export const statementSignatures = (
  db: Database,
  plan: string,
  round: number,
  kind: StatementKind,
): StatementSignature[] =>
  db
    .all<{ holder: string; signature: Uint8Array }>(
      'SELECT holder, signature FROM statement_signatures WHERE plan = ? AND round = ? AND kind = ? ORDER BY holder',
      plan,
      round,
      kind,
    )
    .map((row) => ({ holderId: row.holder, signature: row.signature }));

export function putPartial(
  db: Database,
  plan: string,
  round: number,
  activeSet: string,
  partial: PartialOpening,
): void {
  db.run(
    'INSERT INTO partials (plan, round, active_set, holder, partial, signature) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
    plan,
    round,
    activeSet,
    partial.holderId,
    partial.partial,
    partial.signature,
  );
}

/** The answers for one active set; null: for any, the first of each holder. */
export function partialsOf(
  db: Database,
  plan: string,
  round: number,
  activeSet: string | null,
): { readonly holder: string; readonly partial: Uint8Array }[] {
  const rows = db.all<{ holder: string; partial: Uint8Array }>(
    `SELECT holder, partial FROM partials WHERE plan = ? AND round = ? AND (? IS NULL OR active_set = ?)
     ORDER BY holder, active_set`,
    plan,
    round,
    activeSet,
    activeSet,
  );
  return rows.filter(({ holder }, i) => holder !== rows[i - 1]?.holder);
}

/** The first draw of a holder stays. */
export function putDraw(db: Database, plan: string, round: number, draw: Draw): void {
  db.run(
    'INSERT INTO partition_draws (plan, round, holder, draw, signature) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
    plan,
    round,
    draw.holderId,
    draw.values,
    draw.signature,
  );
}

export const drawsOf = (db: Database, plan: string, round: number): Draw[] =>
  db
    .all<{ holder: string; draw: Uint8Array; signature: Uint8Array }>(
      'SELECT holder, draw, signature FROM partition_draws WHERE plan = ? AND round = ? ORDER BY holder',
      plan,
      round,
    )
    .map(({ holder, draw, signature }) => ({ holderId: holder, values: draw, signature }));

/** Of a sum that was opened by groups: their members, and whether each opened. */
export interface GroupFacts {
  readonly sizes: readonly number[];
  readonly valid: readonly boolean[];
}

export interface StoredSum {
  /** Slots, little-endian int32: of each group in turn, zeros for one that did not open. */
  readonly digits: Uint8Array;
  readonly hash: string;
  readonly activeSet: string;
  /** Null where the round is one sum. */
  readonly groups: GroupFacts | null;
}

export function putSum(db: Database, plan: string, round: number, sum: StoredSum): void {
  db.run(
    `INSERT INTO sums (plan, round, digits, hash, active_set, group_facts) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT DO NOTHING`,
    plan,
    round,
    sum.digits,
    sum.hash,
    sum.activeSet,
    sum.groups ? JSON.stringify(sum.groups) : '',
  );
}

export function getSum(db: Database, plan: string, round: number): StoredSum | undefined {
  const row = db.get<{ digits: Uint8Array; hash: string; active_set: string; group_facts: string }>(
    'SELECT digits, hash, active_set, group_facts FROM sums WHERE plan = ? AND round = ?',
    plan,
    round,
  );
  if (!row) return undefined;
  const groups = row.group_facts ? (JSON.parse(row.group_facts) as GroupFacts) : null;
  return { digits: row.digits, hash: row.hash, activeSet: row.active_set, groups };
}
