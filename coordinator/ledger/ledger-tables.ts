/**
 * The tables of the budget ledger and every SQL statement on them.
 *
 * The CHECK on `budget_filters` is the last line that keeps spent + reserved within the limit, whatever the
 * code above does; events are append-only by trigger. Trusts: nothing. May be called by:
 * coordinator/ledger.
 */
import { canonicalJson } from '../../crypto/log/canonical-json.ts';
import type { Database } from '../storage/store.ts';
import type { LedgerEvent, RoundKey } from './ledger-events.ts';

export const LEDGER_MIGRATIONS = [
  `CREATE TABLE budget_filters (
     pseudonym TEXT PRIMARY KEY,
     unit TEXT NOT NULL CHECK (unit IN ('person', 'record')),
     epsilon TEXT NOT NULL,
     delta TEXT NOT NULL,
     filter_order TEXT NOT NULL,
     limit_steps INTEGER NOT NULL,
     spent_steps INTEGER NOT NULL CHECK (spent_steps >= 0),
     reserved_steps INTEGER NOT NULL CHECK (reserved_steps >= 0),
     CHECK (spent_steps + reserved_steps <= limit_steps)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE budget_rounds (
     plan_hash TEXT NOT NULL,
     round INTEGER NOT NULL,
     charge_steps INTEGER NOT NULL,
     state TEXT NOT NULL CHECK (state IN ('reserved', 'settled', 'aborted')),
     statement_hash TEXT,
     PRIMARY KEY (plan_hash, round)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE budget_reservations (
     plan_hash TEXT NOT NULL,
     round INTEGER NOT NULL,
     pseudonym TEXT NOT NULL REFERENCES budget_filters (pseudonym),
     state TEXT NOT NULL CHECK (state IN ('reserved', 'charged', 'released')),
     PRIMARY KEY (plan_hash, round, pseudonym),
     FOREIGN KEY (plan_hash, round) REFERENCES budget_rounds (plan_hash, round)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE budget_events (id INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL) STRICT;
   CREATE TRIGGER budget_events_no_update BEFORE UPDATE ON budget_events
     BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
   CREATE TRIGGER budget_events_no_delete BEFORE DELETE ON budget_events
     BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;`,
];

export interface FilterRow {
  pseudonym: string;
  unit: 'person' | 'record';
  epsilon: string;
  delta: string;
  filter_order: string;
  limit_steps: number;
  spent_steps: number;
  reserved_steps: number;
}
export interface RoundRow {
  charge_steps: number;
  state: 'reserved' | 'settled' | 'aborted';
  statement_hash: string | null;
}
export type ReservationState = 'reserved' | 'charged' | 'released';

/** Row access inside one transaction. */
export class LedgerTables {
  readonly #database: Database;
  constructor(database: Database) {
    this.#database = database;
  }

  filter(pseudonym: string): FilterRow | undefined {
    return this.#database.get<FilterRow>('SELECT * FROM budget_filters WHERE pseudonym = ?', pseudonym);
  }
  filters(): FilterRow[] {
    return this.#database.all<FilterRow>('SELECT * FROM budget_filters ORDER BY pseudonym');
  }
  insertFilter(row: Omit<FilterRow, 'spent_steps' | 'reserved_steps'>): void {
    this.#database.run(
      'INSERT INTO budget_filters VALUES (?, ?, ?, ?, ?, ?, 0, 0)',
      row.pseudonym,
      row.unit,
      row.epsilon,
      row.delta,
      row.filter_order,
      row.limit_steps,
    );
  }
  setAmounts(pseudonym: string, spentSteps: number, reservedSteps: number): void {
    this.#database.run(
      'UPDATE budget_filters SET spent_steps = ?, reserved_steps = ? WHERE pseudonym = ?',
      spentSteps,
      reservedSteps,
      pseudonym,
    );
  }

  round(key: RoundKey): RoundRow | undefined {
    return this.#database.get<RoundRow>(
      'SELECT charge_steps, state, statement_hash FROM budget_rounds WHERE plan_hash = ? AND round = ?',
      key.planHash,
      key.round,
    );
  }
  openRound(key: RoundKey, chargeSteps: number): void {
    this.#database.run(
      "INSERT INTO budget_rounds VALUES (?, ?, ?, 'reserved', NULL)",
      key.planHash,
      key.round,
      chargeSteps,
    );
  }
  /** Also for a round without any reservation: it can then never get one. */
  endRound(key: RoundKey, state: 'settled' | 'aborted', statementHash: string): void {
    this.#database.run(
      `INSERT INTO budget_rounds VALUES (?1, ?2, 0, ?3, ?4)
       ON CONFLICT DO UPDATE SET state = ?3, statement_hash = ?4`,
      key.planHash,
      key.round,
      state,
      statementHash,
    );
  }

  reservation(key: RoundKey, pseudonym: string): ReservationState | undefined {
    return this.#database.get<{ state: ReservationState }>(
      'SELECT state FROM budget_reservations WHERE plan_hash = ? AND round = ? AND pseudonym = ?',
      key.planHash,
      key.round,
      pseudonym,
    )?.state;
  }
  insertReservation(key: RoundKey, pseudonym: string): void {
    this.#database.run(
      "INSERT INTO budget_reservations VALUES (?, ?, ?, 'reserved')",
      key.planHash,
      key.round,
      pseudonym,
    );
  }
  setReservation(key: RoundKey, pseudonym: string, state: 'charged' | 'released'): void {
    this.#database.run(
      'UPDATE budget_reservations SET state = ? WHERE plan_hash = ? AND round = ? AND pseudonym = ?',
      state,
      key.planHash,
      key.round,
      pseudonym,
    );
  }
  /** Pseudonyms of the round in this state, ascending. */
  pseudonymsIn(key: RoundKey, state: ReservationState): string[] {
    return this.#database
      .all<{ pseudonym: string }>(
        `SELECT pseudonym FROM budget_reservations WHERE plan_hash = ? AND round = ? AND state = ?
         ORDER BY pseudonym`,
        key.planHash,
        key.round,
        state,
      )
      .map((row) => row.pseudonym);
  }

  record(event: LedgerEvent): void {
    this.#database.run('INSERT INTO budget_events (event) VALUES (?)', canonicalJson(event));
  }
  events(): LedgerEvent[] {
    return this.#database
      .all<{ event: string }>('SELECT event FROM budget_events ORDER BY id')
      .map((row) => JSON.parse(row.event) as LedgerEvent);
  }
}
