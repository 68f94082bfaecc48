/**
 * The tables of what holders answered and what it opened: statement signatures, partial decryptions, sums. Split from
 * repository.ts by idea.
 *
 * Trusts: its own database. May be called by: coordinator/rounds through repository.ts.
 */
import type { Database } from '../storage/store.ts';
import type { PartialOpening, StatementSignature } from './holder-port.ts';

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

export function putSum(
  db: Database,
  plan: string,
  round: number,
  sum: { digits: Uint8Array; hash: string; activeSet: string },
): void {
  db.run(
    'INSERT INTO sums (plan, round, digits, hash, active_set) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
    plan,
    round,
    sum.digits,
    sum.hash,
    sum.activeSet,
  );
}

export const getSum = (db: Database, plan: string, round: number) =>
  db.get<{ digits: Uint8Array; hash: string; active_set: string }>(
    'SELECT digits, hash, active_set FROM sums WHERE plan = ? AND round = ?',
    plan,
    round,
  );
