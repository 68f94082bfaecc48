/**
 * `Store` on node:sqlite: the embedded default. WAL with synchronous=FULL, so a returned transaction has
 * reached the disk (sqlite.org/pragma.html#pragma_synchronous: WAL + FULL syncs the log on each commit).
 *
 * Trusts: SQLite and the file system. May be called by: whoever composes a role (coordinator main, tests).
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { ensure, isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';
import { StatementCache, TransactionControl } from './sqlite-statements.ts';
import type { Database, SqlValue, Store, StoreMetrics, TransactionMetrics } from './store.ts';

const BUSY_TIMEOUT_MS = 5_000;
const ATTEMPTS_MAX = 3;
/** Writes in one group commit; with ~10 µs per write a group stays near the cost of its one fsync. */
const GROUP_WRITES_MAX = 1_000;
/** Between two group commits under load: at least this long, and this many times what the last one took. */
const GATHER_MS = 4;
const GATHER_FACTOR = 10;
const GATHER_MS_MAX = 25;
const QUEUE_LENGTH_MAX = 100_000;
/** SQLite's own 2 MiB are too few for the inner pages of an index over a million people. */
const CACHE_KIB = 32_768;
/** A checkpoint writes each page once, however often it was committed: 32 MiB of WAL hold many groups. */
const WAL_PAGES = 8_192;
const NAME = /^[a-z][a-z0-9_.-]{0,63}$/;

/** SQLITE_BUSY and SQLITE_LOCKED, with their extended codes. */
const isBusy = (error: unknown): boolean => {
  const code = (error as { errcode?: unknown }).errcode;
  return typeof code === 'number' && ((code & 0xff) === 5 || (code & 0xff) === 6);
};
const isSqliteError = (error: unknown): boolean => (error as { code?: unknown }).code === 'ERR_SQLITE_ERROR';

/** SQL text and values stay in the cause, which never reaches the wire. */
const coded = (name: string, error: unknown): unknown =>
  isSqliteError(error)
    ? new PulsefoldError('INTERNAL', `store: transaction ${name} failed`, { cause: error })
    : error;

/** The face a transaction function sees: it stops working when the function has returned. */
class Lease implements Database {
  #database: Database | undefined;
  constructor(database: Database) {
    this.#database = database;
  }
  end(): void {
    this.#database = undefined;
  }
  #use(): Database {
    ensure(this.#database, 'INTERNAL', 'store: a database handle was used after its transaction ended');
    return this.#database;
  }
  run(sql: string, ...parameters: SqlValue[]): { changes: number; lastRowId: number } {
    return this.#use().run(sql, ...parameters);
  }
  get<T extends object>(sql: string, ...parameters: SqlValue[]): T | undefined {
    return this.#use().get<T>(sql, ...parameters);
  }
  all<T extends object>(sql: string, ...parameters: SqlValue[]): T[] {
    return this.#use().all<T>(sql, ...parameters);
  }
}

interface QueuedWrite {
  readonly name: string;
  readonly fn: (database: Database) => unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}
type Outcome = { readonly value: unknown } | { readonly error: unknown };

function pauseMs(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

export interface SqliteStoreOptions {
  /** File name, or ':memory:' for a store that dies with the process (simulation). */
  readonly path: string;
  /** Wait for another process's write lock, in milliseconds. */
  readonly busyTimeoutMs?: number;
}

export class SqliteStore implements Store {
  readonly #connection: DatabaseSync;
  readonly #control: TransactionControl;
  readonly #database: StatementCache;
  readonly #reader: StatementCache;
  readonly #metrics = new Map<string, TransactionMetrics>();
  #queue: QueuedWrite[] = [];
  #flushScheduled = false;
  #lastGroup = { writes: 0, endedAtMs: 0, tookMs: 0 };
  #inside = false;
  #closed = false;
  #groupCommits = 0;
  #groupedWrites = 0;

  /** Opens or creates the file with mode 0600. Throws CONFIG_INVALID if it is no database. */
  constructor({ path, busyTimeoutMs = BUSY_TIMEOUT_MS }: SqliteStoreOptions) {
    try {
      // Created first so that the database and its WAL are readable by the owner only.
      if (path !== ':memory:') closeSync(openSync(path, 'a', 0o600));
      this.#connection = new DatabaseSync(path, {
        timeout: busyTimeoutMs,
        enableForeignKeyConstraints: true,
        enableDoubleQuotedStringLiterals: false,
      });
      this.#control = new TransactionControl(this.#connection);
      this.#database = new StatementCache(this.#connection);
      this.#reader = new StatementCache(this.#connection, true);
      this.#connection.exec(
        'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;' +
          `PRAGMA cache_size = -${CACHE_KIB}; PRAGMA wal_autocheckpoint = ${WAL_PAGES};` +
          // What an erasure deletes must not live on in a file's free space (rounds/device-rows.ts).
          `PRAGMA temp_store = MEMORY; PRAGMA secure_delete = ${path === ':memory:' ? 'OFF' : 'ON'};`,
      );
      this.#connection.exec(`CREATE TABLE IF NOT EXISTS schema_migrations (
        domain TEXT NOT NULL, version INTEGER NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (domain, version)
      ) STRICT, WITHOUT ROWID`);
    } catch (cause) {
      throw new PulsefoldError('CONFIG_INVALID', `store: cannot open ${path} as a database`, { cause });
    }
  }

  migrate(domain: string, migrations: readonly string[]): void {
    ensure(NAME.test(domain), 'CONFIG_INVALID', 'store: a domain is a short lower-case name');
    this.transaction('store.migrate', (database) => {
      const rows = database.all<{ version: number; sha256: string }>(
        'SELECT version, sha256 FROM schema_migrations WHERE domain = ? ORDER BY version',
        domain,
      );
      ensure(
        rows.length <= migrations.length,
        'CONFIG_INVALID',
        `store: the database is newer than this program (${domain} ${rows.length}); upgrade the program`,
      );
      for (const [i, sql] of migrations.entries()) {
        const sha256 = createHash('sha256').update(sql).digest('hex');
        const applied = rows[i];
        ensure(
          applied === undefined || applied.sha256 === sha256,
          'CONFIG_INVALID',
          `store: migration ${domain} ${i + 1} was changed after it ran; add a new one instead`,
        );
        if (applied !== undefined) continue;
        this.#connection.exec(sql);
        ensure(
          this.#connection.isTransaction,
          'CONFIG_INVALID',
          'store: a migration must not end its transaction',
        );
        database.run('INSERT INTO schema_migrations VALUES (?, ?, ?)', domain, i + 1, sha256);
      }
    });
  }

  transaction<T>(name: string, fn: (database: Database) => T): T {
    return this.#measured(name, (metrics) =>
      this.#retried(metrics, () => {
        this.#control.run('BEGIN IMMEDIATE');
        try {
          const value = this.#call(this.#database, fn);
          this.#control.run('COMMIT');
          return value;
        } catch (error) {
          this.#rollback();
          throw error;
        }
      }),
    );
  }

  read<T>(name: string, fn: (database: Database) => T): T {
    return this.#measured(name, (metrics) =>
      this.#retried(metrics, () => {
        try {
          this.#control.run('BEGIN');
          return this.#call(this.#reader, fn);
        } finally {
          this.#rollback();
        }
      }),
    );
  }

  enqueue<T>(name: string, fn: (database: Database) => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      ensure(NAME.test(name), 'INTERNAL', 'store: a transaction needs a short lower-case name');
      ensure(!this.#closed, 'UNAVAILABLE', 'store: closed');
      ensure(
        this.#queue.length < QUEUE_LENGTH_MAX,
        'UNAVAILABLE',
        'store: too many writes are waiting; retry later',
      );
      this.#queue.push({ name, fn, resolve: resolve as (value: unknown) => void, reject });
      this.#scheduleFlush();
    });
  }

  flush(): void {
    this.#checkOpen();
    ensure(!this.#inside, 'INTERNAL', 'store: flush inside a transaction');
    while (this.#queue.length > 0) this.#flushGroup(this.#queue.splice(0, GROUP_WRITES_MAX));
  }

  metrics(): StoreMetrics {
    return { byName: this.#metrics, groupCommits: this.#groupCommits, groupedWrites: this.#groupedWrites };
  }

  close(): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    this.#connection.close();
  }

  // setImmediate runs after the pending I/O events of this turn, so one group holds all that arrived
  // together. While several writers are at it, a commit follows the last one only after a moment: each of
  // them stops this thread for an fsync, and what gathers meanwhile shares the next.
  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    const flush = () => {
      this.#flushScheduled = false;
      if (this.#closed || this.#queue.length === 0) return;
      const group = this.#queue.splice(0, GROUP_WRITES_MAX);
      const startMs = performance.now();
      this.#flushGroup(group);
      const endedAtMs = performance.now();
      this.#lastGroup = { writes: group.length, endedAtMs, tookMs: endedAtMs - startMs };
      if (this.#queue.length > 0) this.#scheduleFlush();
    };
    const { writes, endedAtMs, tookMs } = this.#lastGroup;
    const gatherMs = Math.min(GATHER_MS_MAX, Math.max(GATHER_MS, GATHER_FACTOR * tookMs));
    const waitMs =
      writes > 1 && this.#queue.length < GROUP_WRITES_MAX ? gatherMs - (performance.now() - endedAtMs) : 0;
    if (waitMs > 0) setTimeout(flush, waitMs);
    else setImmediate(flush);
  }

  #flushGroup(group: readonly QueuedWrite[]): void {
    let outcomes: Outcome[];
    try {
      outcomes = this.#measured('store.group_commit', (metrics) =>
        this.#retried(metrics, () => this.#commitGroup(group)),
      );
    } catch (cause) {
      // Nothing of the group is durable. The cause may hold SQL or values, so it stays out of the message.
      const error = isPulsefoldError(cause)
        ? cause
        : new PulsefoldError('UNAVAILABLE', 'store: the write could not be made durable; retry', { cause });
      for (const write of group) this.#metricsOf(write.name).failed++;
      for (const write of group) write.reject(error);
      return;
    }
    this.#groupCommits++;
    this.#groupedWrites += group.length;
    for (const [i, write] of group.entries()) {
      const outcome = outcomes[i]!;
      const metrics = this.#metricsOf(write.name);
      if ('error' in outcome) {
        metrics.failed++;
        write.reject(coded(write.name, outcome.error));
      } else {
        metrics.committed++;
        write.resolve(outcome.value);
      }
    }
  }

  #commitGroup(group: readonly QueuedWrite[]): Outcome[] {
    this.#control.run('BEGIN IMMEDIATE');
    try {
      const outcomes = group.map((write) => this.#runInSavepoint(write));
      this.#control.run('COMMIT');
      return outcomes;
    } catch (error) {
      this.#rollback();
      throw error;
    }
  }

  #runInSavepoint(write: QueuedWrite): Outcome {
    this.#control.run('SAVEPOINT w');
    try {
      const value = this.#call(this.#database, write.fn);
      this.#control.run('RELEASE w');
      return { value };
    } catch (error) {
      // A full disk or an I/O error makes SQLite undo the whole transaction: then no write of the group
      // counts.
      if (!this.#connection.isTransaction) throw error;
      this.#control.run('ROLLBACK TO w');
      this.#control.run('RELEASE w');
      return { error };
    }
  }

  #rollback(): void {
    if (this.#connection.isTransaction) this.#control.run('ROLLBACK');
  }

  #call<T>(database: Database, fn: (database: Database) => T): T {
    const lease = new Lease(database);
    try {
      const value = fn(lease);
      const isPromise = typeof (value as { then?: unknown } | null | undefined)?.then === 'function';
      ensure(!isPromise, 'INTERNAL', 'store: a transaction function must be synchronous');
      ensure(
        this.#connection.isTransaction,
        'INTERNAL',
        'store: a transaction function must not end its transaction',
      );
      return value;
    } finally {
      lease.end();
    }
  }

  #retried<T>(metrics: TransactionMetrics, fn: () => T): T {
    for (let attempt = 1; ; attempt++) {
      try {
        return fn();
      } catch (error) {
        if (!isBusy(error)) throw error;
        if (attempt === ATTEMPTS_MAX)
          throw new PulsefoldError('UNAVAILABLE', 'store: another process holds the database; retry', {
            cause: error,
          });
        metrics.retried++;
        pauseMs(10 * attempt);
      }
    }
  }

  #measured<T>(name: string, fn: (metrics: TransactionMetrics) => T): T {
    this.#checkOpen();
    ensure(NAME.test(name), 'INTERNAL', 'store: a transaction needs a short lower-case name');
    ensure(!this.#inside, 'INTERNAL', 'store: transactions do not nest; pass the database on instead');
    const metrics = this.#metricsOf(name);
    const startMs = performance.now();
    this.#inside = true;
    try {
      const value = fn(metrics);
      metrics.committed++;
      return value;
    } catch (error) {
      metrics.failed++;
      throw coded(name, error);
    } finally {
      this.#inside = false;
      const elapsedMs = performance.now() - startMs;
      metrics.totalMs += elapsedMs;
      metrics.maxMs = Math.max(metrics.maxMs, elapsedMs);
    }
  }

  #metricsOf(name: string): TransactionMetrics {
    const known = this.#metrics.get(name);
    if (known !== undefined) return known;
    const fresh = { committed: 0, failed: 0, retried: 0, totalMs: 0, maxMs: 0 };
    this.#metrics.set(name, fresh);
    return fresh;
  }

  #checkOpen(): void {
    ensure(!this.#closed, 'UNAVAILABLE', 'store: closed');
  }
}

/** A durable store in the file `path`. */
export const openStore = (path: string): SqliteStore => new SqliteStore({ path });

/** A store that dies with the process, for simulation and tests: same code, no disk. */
export const openMemoryStore = (): SqliteStore => new SqliteStore({ path: ':memory:' });
