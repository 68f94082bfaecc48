/**
 * Prepared statements of a node:sqlite connection: kept by their text, and refused to readers where they write.
 *
 * Trusts: SQL of this program. May be called by: sqlite-store.ts.
 */
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import { ensure } from '../../crypto/error.ts';
import type { Database, SqlValue } from './store.ts';

const STATEMENTS_MAX = 500;

/** Prepared statements by text; the oldest goes when the cache is full. With `readOnly` it refuses those that write. */
export class StatementCache implements Database {
  readonly #connection: DatabaseSync;
  readonly #readOnly: boolean;
  readonly #statements = new Map<string, StatementSync>();
  constructor(connection: DatabaseSync, readOnly = false) {
    this.#connection = connection;
    this.#readOnly = readOnly;
  }
  #prepare(sql: string): StatementSync {
    const cached = this.#statements.get(sql);
    if (cached !== undefined) return cached;
    ensure(!this.#readOnly || !writes(this.#connection, sql), 'INTERNAL', 'store: a read does not write');
    const statement = this.#connection.prepare(sql);
    if (this.#statements.size >= STATEMENTS_MAX) {
      const oldest = this.#statements.keys().next();
      if (!oldest.done) this.#statements.delete(oldest.value);
    }
    this.#statements.set(sql, statement);
    return statement;
  }
  run(sql: string, ...parameters: SqlValue[]): { changes: number; lastRowId: number } {
    const result = this.#prepare(sql).run(...(parameters as SQLInputValue[]));
    return { changes: Number(result.changes), lastRowId: Number(result.lastInsertRowid) };
  }
  get<T extends object>(sql: string, ...parameters: SqlValue[]): T | undefined {
    return this.#prepare(sql).get(...(parameters as SQLInputValue[])) as T | undefined;
  }
  all<T extends object>(sql: string, ...parameters: SqlValue[]): T[] {
    return this.#prepare(sql).all(...(parameters as SQLInputValue[])) as T[];
  }
}

/**
 * Whether a statement writes, by the program that SQLite compiled it to (sqlite.org/opcode.html: Transaction, p2 ≥ 1).
 * Once per statement, where PRAGMA query_only around every read would make SQLite compile all statements anew.
 */
function writes(connection: DatabaseSync, sql: string): boolean {
  const program = connection.prepare(`EXPLAIN ${sql}`).all() as { opcode: string; p2: number }[];
  return program.some(({ opcode, p2 }) => opcode === 'AutoCommit' || (opcode === 'Transaction' && p2 > 0));
}

/** What begins and ends transactions, prepared. */
export class TransactionControl {
  readonly #connection: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  constructor(connection: DatabaseSync) {
    this.#connection = connection;
  }
  run(
    sql: 'BEGIN' | 'BEGIN IMMEDIATE' | 'COMMIT' | 'ROLLBACK' | 'SAVEPOINT w' | 'RELEASE w' | 'ROLLBACK TO w',
  ): void {
    const statement = this.#statements.get(sql) ?? this.#connection.prepare(sql);
    this.#statements.set(sql, statement);
    statement.run();
  }
}
