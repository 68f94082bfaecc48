/**
 * Far too many reservations by several processes on one database file, some of them killed: the child process, and
 * the parent that starts, kills and counts.
 *
 * As a program: node testing-oversubscribed.ts <sound|unlocked> <database> <first round> <rounds> <people> <fits> <dawdle> <processes>. It asks for
 * every person in each of its rounds and prints what was acknowledged; started again it repeats, which changes nothing.
 * `unlocked` is the weakened ledger that the test must catch: the same code on a store whose transactions are off.
 * Trusts: its arguments. For tests only. May be called by: oversubscribed*.test.ts.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { closeSync, existsSync, openSync, writeSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isPulsefoldError } from '../../crypto/error.ts';
import { openStore } from '../storage/sqlite-store.ts';
import type { Database, SqlValue, Store } from '../storage/store.ts';
import { BudgetLedger, type Quota } from './budget-ledger.ts';

const PLAN = 'a'.repeat(64);
const CHUNK_PEOPLE = 100;
/** Far longer than processes that begin together are apart, also on a busy machine. */
const DAWDLE_MS = 100;
export const TERMS = { unit: 'person', epsilon: 3, delta: 1e-5, order: 'zcdp' } as const;

export const peopleNames = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `person-${i}`);

/** What fits: `fits` rounds in all, of those at most fits/2 of one family and fits/2 + 1 of the other. */
export function chargesOf(
  limit: number,
  fits: number,
): { charge: number; quotas: (round: number) => Quota[] } {
  const charge = limit / (fits + 0.5);
  const half = Math.floor(fits / 2);
  return {
    charge,
    quotas: (round) =>
      round % 2 === 0
        ? [{ name: 'family:even', limit: charge * (half + 0.5) }]
        : [{ name: 'family:odd', limit: charge * (fits - half + 1.5) }],
  };
}

/**
 * The same SQL with every statement for itself: no BEGIN, no COMMIT, nothing is undone. Without the trigger that checks
 * each insertion, because that alone would stop the overspending here, though not the journal's holes.
 */
class UnlockedStore implements Database {
  readonly #connection: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  constructor(path: string) {
    this.#connection = new DatabaseSync(path, { timeout: 5000 });
    this.#connection.exec('PRAGMA synchronous = OFF; DROP TRIGGER IF EXISTS budget_holds_fit;');
  }
  #prepare(sql: string): StatementSync {
    const statement = this.#statements.get(sql) ?? this.#connection.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
  run(sql: string, ...values: SqlValue[]): { changes: number; lastRowId: number } {
    const { changes, lastInsertRowid } = this.#prepare(sql).run(...(values as SQLInputValue[]));
    return { changes: Number(changes), lastRowId: Number(lastInsertRowid) };
  }
  get<T extends object>(sql: string, ...values: SqlValue[]): T | undefined {
    return this.#prepare(sql).get(...(values as SQLInputValue[])) as T | undefined;
  }
  all<T extends object>(sql: string, ...values: SqlValue[]): T[] {
    return this.#prepare(sql).all(...(values as SQLInputValue[])) as T[];
  }
  migrate(): void {}
  enqueue<T>(_name: string, fn: (database: Database) => T): Promise<T> {
    return new Promise((resolve) => resolve(fn(this)));
  }
}

/** Sleeps for a moment between what it read of an account and what is written of it, each `every`-th time. */
function dawdling(database: Database, every: number): Database {
  return {
    run: (sql, ...values) => database.run(sql, ...values),
    get: (sql, ...values) => database.get(sql, ...values),
    all: (sql, ...values) => {
      const rows = database.all(sql, ...values);
      if (sql.includes('budget_holds') && randomInt(every) === 0)
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, DAWDLE_MS);
      return rows as never;
    },
  };
}

interface Work {
  readonly mode: 'sound' | 'unlocked';
  readonly path: string;
  readonly firstRound: number;
  readonly rounds: number;
  readonly people: number;
  readonly fits: number;
  /** How often a process sleeps in the middle of a decision of its first round: 1 in so many. */
  readonly dawdleEvery: number;
  /** They begin together, so that one that is started late does not find the work done. */
  readonly processes: number;
}

/** Waits until every process has come here once. */
async function meet({ path, firstRound, rounds, processes }: Work): Promise<void> {
  closeSync(openSync(`${path}.ready-${firstRound}`, 'a'));
  const all = Array.from({ length: processes }, (_, i) => `${path}.ready-${1 + i * rounds}`);
  while (!all.every((file) => existsSync(file))) await sleep(1);
}

async function reserveAll(work: Work): Promise<void> {
  const { mode, path, firstRound, rounds, people, fits, dawdleEvery } = work;
  const store = (mode === 'sound' ? openStore(path) : new UnlockedStore(path)) as Pick<Store, 'enqueue'>;
  const ledger = new BudgetLedger(store as Store);
  const names = peopleNames(people);
  const limit = await store.enqueue('test.limit', (db) => ledger.within(db).balance(names[0]!).limit);
  const { charge, quotas } = chargesOf(limit, fits);
  await meet(work);
  for (let round = firstRound; round < firstRound + rounds; round++)
    for (let first = 0; first < people; first += CHUNK_PEOPLE) {
      const chunk = names.slice(first, first + CHUNK_PEOPLE);
      const reserved = await retried(() =>
        store.enqueue('test.reserve', (db) => {
          const key = { planHash: PLAN, round };
          const options = { order: 'zcdp', quotas: quotas(round) } as const;
          if (round !== firstRound) return ledger.within(db).reserve(key, chunk, charge, options).reserved;
          // One by one, as check-ins ask: a list is one statement, which nothing can come between.
          const inside = ledger.within(dawdling(db, dawdleEvery));
          return chunk.flatMap((name) => inside.reserve(key, [name], charge, options).reserved);
        }),
      );
      writeSync(1, `${[round, ...reserved].join(' ')}\n`);
    }
}

/** The store gives up after a while where other processes never let it in; without transactions everything may fail. */
async function retried(attempt: () => Promise<string[]>): Promise<string[]> {
  for (let tries = 0; ; tries++)
    try {
      return await attempt();
    } catch (error) {
      const busy = isPulsefoldError(error) ? error.code === 'UNAVAILABLE' : true;
      if (!busy || tries > 100) throw error;
    }
}

/** Complete lines of a process that ran to its end, or was killed and started again until it did. */
async function runToEnd(work: Work, kills: number): Promise<string[]> {
  const program = fileURLToPath(import.meta.url);
  const { mode, path, firstRound, rounds, people, fits, dawdleEvery, processes } = work;
  const given = [
    program,
    mode,
    path,
    ...[firstRound, rounds, people, fits, dawdleEvery, processes].map(String),
  ];
  const lines: string[] = [];
  for (let start = 0; ; start++) {
    const child = spawn(process.execPath, given, { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = collect(child, lines);
    if (start < kills) {
      const before = lines.length;
      while (lines.length === before && child.exitCode === null) await sleep(2);
      await sleep(randomInt(60));
      child.kill('SIGKILL');
    }
    const { code, signal } = await ended;
    if (code === 0) return lines;
    if (signal !== 'SIGKILL') throw new Error(`the ${mode} writer ended with ${code ?? signal}`);
  }
}

function collect(
  child: ChildProcess,
  lines: string[],
): Promise<{ code: number | null; signal: string | null }> {
  let rest = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop()!;
    lines.push(...parts);
  });
  return new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal })));
}

export interface OversubscribedResult {
  /** Reservations held, by person. */
  readonly held: ReadonlyMap<string, number>;
  /** Acknowledged reservations that are not in the database. */
  readonly lost: number;
  /** Whether balances follow from the journal. */
  readonly consistent: boolean;
  readonly kills: number;
}

/** `processes` writers ask ten times for what fits; each is killed `killsEach` times on the way. */
export async function oversubscribe(
  path: string,
  options: {
    mode: 'sound' | 'unlocked';
    people: number;
    fits: number;
    processes: number;
    killsEach: number;
    dawdleEvery: number;
  },
): Promise<OversubscribedResult> {
  const { mode, people, fits, processes, killsEach, dawdleEvery } = options;
  const store = openStore(path);
  const ledger = new BudgetLedger(store);
  const names = peopleNames(people);
  store.transaction('test.open', (db) => {
    const inside = ledger.within(db);
    for (const pseudonym of names) inside.openFilter({ pseudonym, ...TERMS });
  });
  const rounds = Math.ceil((10 * fits) / processes);
  const work = Array.from({ length: processes }, (_, i) => ({
    ...{ mode, path, people, fits, rounds, dawdleEvery, processes },
    firstRound: 1 + i * rounds,
  }));
  const lines = (await Promise.all(work.map((one) => runToEnd(one, killsEach)))).flat();
  const holds = new Set(
    store
      .read('test.holds', (db) =>
        db.all<{ line: string }>(
          `SELECT c.round || ' ' || a.pseudonym AS line FROM budget_holds h
         JOIN budget_charges c ON c.id = h.round_id JOIN budget_accounts a ON a.id = h.account_id`,
        ),
      )
      .map(({ line }) => line),
  );
  const acknowledged = new Set(
    lines.flatMap((line) => {
      const [round, ...reserved] = line.split(' ');
      return reserved.map((name) => `${round} ${name}`);
    }),
  );
  const held = new Map(names.map((name) => [name, 0]));
  for (const line of holds) {
    const name = line.split(' ')[1]!;
    held.set(name, held.get(name)! + 1);
  }
  const lost = [...acknowledged].filter((line) => !holds.has(line)).length;
  const consistent = isConsistent(ledger);
  store.close();
  return { held, lost, consistent, kills: processes * killsEach };
}

function isConsistent(ledger: BudgetLedger): boolean {
  try {
    ledger.verify();
    return true;
  } catch (error) {
    if (isPulsefoldError(error) && error.code === 'LOG_INCONSISTENT') return false;
    throw error;
  }
}

if (import.meta.main) {
  // A process that is killed leaves nothing compiled to the next one.
  flushCompileCache();
  const [mode, path, ...numbers] = process.argv.slice(2);
  const [firstRound, rounds, people, fits, dawdleEvery, processes] = numbers.map(Number);
  await reserveAll({
    mode: mode as 'sound' | 'unlocked',
    path: path!,
    firstRound: firstRound!,
    rounds: rounds!,
    people: people!,
    fits: fits!,
    dawdleEvery: dawdleEvery!,
    processes: processes!,
  });
}
