/**
 * The `Store` port: durable state behind named transactions (DESIGN §7).
 *
 * Domain repositories (rounds, ledger, log, registry) own their tables: they register migrations under a
 * domain name and talk SQL through `Database` inside a transaction. A transaction function is synchronous
 * and may be run more than once, so it must have no effect outside the database; state and its log leaves
 * are written in one.
 * Trusts: its own file system. May be called by: coordinator/ and keyholder-like roles with their own
 * store.
 */

export type SqlValue = null | number | bigint | string | Uint8Array;
export type Row = Record<string, SqlValue>;

/** What a transaction function works on. Statements are prepared once and cached by their text. */
export interface Database {
  /** Runs one writing statement; returns how many rows changed and the last row id. */
  run(sql: string, ...parameters: SqlValue[]): { changes: number; lastRowId: number };
  /** First row or undefined. `T` is the caller's claim about the columns it selected. */
  get<T extends object = Row>(sql: string, ...parameters: SqlValue[]): T | undefined;
  all<T extends object = Row>(sql: string, ...parameters: SqlValue[]): T[];
}

/** Counts and times of one name of transaction. */
export interface TransactionMetrics {
  committed: number;
  failed: number;
  /** Times the transaction was run again because the database was busy. */
  retried: number;
  totalMs: number;
  maxMs: number;
}

export interface StoreMetrics {
  readonly byName: ReadonlyMap<string, Readonly<TransactionMetrics>>;
  /** Group commits so far and the writes they held. */
  readonly groupCommits: number;
  readonly groupedWrites: number;
}

export interface Store {
  /**
   * Brings the tables of `domain` to version `migrations.length`, each SQL text once and in order. Throws
   * CONFIG_INVALID if an applied migration was edited or the database is newer than the code.
   */
  migrate(domain: string, migrations: readonly string[]): void;

  /**
   * Runs `fn` in one write transaction; when it returns, its writes are durable. Rolls back and rethrows if
   * `fn` throws. Retried while another process holds the database; then throws UNAVAILABLE.
   */
  transaction<T>(name: string, fn: (database: Database) => T): T;

  /** Runs `fn` on a consistent snapshot; a write inside it fails. */
  read<T>(name: string, fn: (database: Database) => T): T;

  /**
   * Group commit: queues `fn`; many queued writes share one COMMIT, each in its own savepoint, in order of
   * arrival. The promise settles only after the COMMIT is durable; if `fn` throws, it alone is undone and its
   * promise rejects with that error. If the COMMIT fails, all of them reject with UNAVAILABLE.
   * Throws (rejects) UNAVAILABLE at once when the queue is full: the caller is to slow down.
   */
  enqueue<T>(name: string, fn: (database: Database) => T): Promise<T>;

  /** Commits what is queued now, before returning. */
  flush(): void;

  metrics(): StoreMetrics;

  /** Flushes and closes. Later calls throw UNAVAILABLE. Idempotent. */
  close(): void;
}
