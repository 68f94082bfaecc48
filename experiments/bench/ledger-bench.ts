/**
 * `pulsefold bench ledger`: what the budget ledger decides, makes durable and replays, on one SQLite file.
 *
 * check: the decision alone on a snapshot, for one person with a long history and for random people out of many.
 * reserve: reservations as check-ins make them, one queued write each, durable before they are acknowledged; beside it
 * the same with a commit of their own, for the ratio. replay: every spend recomputed from the journal on one thread;
 * its balances must be those of the tables. The machine's own fsync stands beside the figures: it bounds them.
 * Trusts: nothing. May be called by: cli/commands/bench.ts.
 */
import { createHash } from 'node:crypto';
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BudgetLedger, type Quota } from '../../coordinator/ledger/budget-ledger.ts';
import { openStore, type SqliteStore } from '../../coordinator/storage/sqlite-store.ts';
import { ensure } from '../../crypto/error.ts';
import { systemRandom, uniform } from '../../crypto/random.ts';
import { median } from './measuring.ts';

export interface LedgerBenchOptions {
  /** Open filters. */
  readonly people: number;
  /** Spends of one person before it is asked. */
  readonly historySpends: number;
  /** Timed reservations. */
  readonly reservations: number;
  /** Spends in the history that is replayed, besides those of the one person. */
  readonly spends: number;
  /** Where the database lies while it is measured; a directory on a disk. */
  readonly directory?: string;
  readonly onRow?: (row: LedgerBenchRow) => void;
  /** Filters opened, spends and reservations made so far, of all that will be. */
  readonly onProgress?: (done: number, what: string) => void;
}

export type LedgerBenchRow = Readonly<Record<string, string | number | boolean>> & {
  readonly bench: 'ledger';
};

const COHORT = 10_000;
/** 2^-20: exact on the ledger's grid, and so small that a million fit. */
const CHARGE = 2 ** -20;
const TERMS = { unit: 'person', epsilon: 20, delta: 1e-6, order: 'zcdp' } as const;
const MECHANISM = {
  type: 'distributed_discrete_gaussian',
  sensitivitySquared: '16777216',
  noiseShares: 7500,
};
const QUOTAS: readonly Quota[] = [{ name: 'family:bench', limit: 1 }];
const HASH = 'c'.repeat(64);
const PLANS = {
  history: '1'.repeat(64),
  reserve: '2'.repeat(64),
  single: '3'.repeat(64),
  replay: '4'.repeat(64),
};
const CHECKS = 20_000;
const SINGLE_COMMITS = 500;

const microseconds = (milliseconds: number): number => Number((milliseconds * 1000).toFixed(2));
const perSecond = (count: number, elapsedMs: number): number => Math.round((count / elapsedMs) * 1000);

class LedgerBench {
  readonly #options: LedgerBenchOptions;
  readonly #directory: string;
  readonly #path: string;
  readonly #store: SqliteStore;
  readonly #ledger: BudgetLedger;
  readonly #people: readonly string[];
  #spends = 0;
  #stepsDone = 0;

  constructor(options: LedgerBenchOptions) {
    this.#options = options;
    this.#directory = mkdtempSync(join(options.directory ?? tmpdir(), 'pulsefold-bench-ledger-'));
    this.#path = join(this.#directory, 'ledger.sqlite');
    this.#store = openStore(this.#path);
    this.#ledger = new BudgetLedger(this.#store);
    this.#people = pseudonyms(options.people);
  }

  close(): void {
    this.#store.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #step(count: number, what: string): void {
    this.#stepsDone += count;
    this.#options.onProgress?.(this.#stepsDone, what);
  }

  #row(measure: string, fields: Readonly<Record<string, string | number | boolean>>): void {
    this.#options.onRow?.({ bench: 'ledger', measure, ...fields });
  }

  /** Random people out of all, without repeats. */
  #cohort(count: number): string[] {
    const start = Math.floor(uniform(systemRandom) * this.#people.length);
    const stride = 7919;
    ensure(this.#people.length % stride !== 0, 'CONFIG_INVALID', 'choose another number of people');
    return Array.from({ length: count }, (_, i) => this.#people[(start + i * stride) % this.#people.length]!);
  }

  openAll(): void {
    const startMs = performance.now();
    for (let first = 0; first < this.#people.length; first += COHORT) {
      const part = this.#people.slice(first, first + COHORT);
      this.#store.transaction('bench.open', (database) => {
        const ledger = this.#ledger.within(database);
        for (const pseudonym of part) ledger.openFilter({ pseudonym, ...TERMS });
      });
      this.#step(part.length, 'opening filters');
    }
    const elapsedMs = performance.now() - startMs;
    this.#row('open', {
      people: this.#people.length,
      opened_per_s: perSecond(this.#people.length, elapsedMs),
      fdatasync_ms: Number(medianSyncMs(this.#directory).toFixed(3)),
    });
  }

  /** Spends in rounds of `cohort` people, certified one by one. */
  spend(planHash: string, spends: number, cohort: (count: number) => string[], perRound: number): void {
    const roundsPerCommit = Math.max(1, Math.floor(COHORT / perRound));
    const rounds = Math.ceil(spends / perRound);
    for (let first = 1; first <= rounds; first += roundsPerCommit) {
      const last = Math.min(rounds, first + roundsPerCommit - 1);
      this.#store.transaction('bench.spend', (database) => {
        const ledger = this.#ledger.within(database);
        for (let round = first; round <= last; round++) {
          const key = { planHash, round };
          const names = cohort(perRound);
          const options = { order: TERMS.order, mechanism: MECHANISM, quotas: QUOTAS };
          const { refused } = ledger.reserve(key, names, CHARGE, options);
          ensure(
            refused.length === 0,
            'INTERNAL',
            'bench: the budget must suffice for the whole measurement',
          );
          ledger.settle(key, { hash: HASH, included: names });
        }
      });
      this.#spends += (last - first + 1) * perRound;
      this.#step((last - first + 1) * perRound, 'spending');
    }
  }

  #timeChecks(
    who: (i: number) => string,
    charge: number,
    fits: boolean,
  ): { medianMs: number; p99Ms: number } {
    const times: number[] = [];
    for (let i = 0; i < CHECKS; i++) {
      const pseudonym = who(i);
      const startMs = performance.now();
      const refusal = this.#ledger.check(pseudonym, charge, { order: TERMS.order, quotas: QUOTAS });
      times.push(performance.now() - startMs);
      ensure((refusal === null) === fits, 'INTERNAL', 'bench: a check decided wrongly');
    }
    times.sort((a, b) => a - b);
    return { medianMs: median(times), p99Ms: times[Math.floor(times.length * 0.99)]! };
  }

  checks(): void {
    const one = this.#people[0]!;
    const { spent, limit } = this.#ledger.balance(one);
    const { historySpends, people } = this.#options;
    ensure(spent === historySpends * CHARGE, 'INTERNAL', 'bench: the history does not add up');
    const measures = [
      ['one person, fits', () => one, CHARGE, true],
      ['one person, refused', () => one, limit - spent + CHARGE, false],
      ['random people, fits', (i: number) => this.#people[(i * 7919) % people]!, CHARGE, true],
    ] as const;
    for (const [name, who, charge, fits] of measures) {
      const { medianMs, p99Ms } = this.#timeChecks(who, charge, fits);
      const spends = name.startsWith('one') ? historySpends : 0;
      const figures = { check_us: microseconds(medianMs), check_p99_us: microseconds(p99Ms) };
      this.#row('check', { case: name, people, spends_of_person: spends, ...figures });
    }
  }

  async reservations(): Promise<void> {
    const rounds = Math.ceil(this.#options.reservations / COHORT);
    const perRound = Math.min(COHORT, this.#options.reservations);
    const elapsed: number[] = [];
    const cpu: number[] = [];
    const before = this.#store.metrics();
    for (let round = 1; round <= rounds; round++) {
      const cohort = this.#cohort(perRound);
      const cpuBefore = process.cpuUsage();
      const startMs = performance.now();
      const results = await Promise.all(cohort.map((pseudonym) => this.#reserveOne(round, pseudonym)));
      elapsed.push(performance.now() - startMs);
      const { user, system } = process.cpuUsage(cpuBefore);
      cpu.push((user + system) / perRound);
      ensure(
        results.every((fits) => fits),
        'INTERNAL',
        'bench: a reservation was refused',
      );
      this.#step(perRound, 'reserving');
    }
    this.#checkDurable(rounds * perRound);
    const singleMs = this.#singleCommits();
    const after = this.#store.metrics();
    const total = elapsed.reduce((sum, ms) => sum + ms, 0);
    this.#row('reserve', {
      people: this.#people.length,
      reservations: rounds * perRound,
      reservations_per_s: perSecond(rounds * perRound, total),
      best_round_per_s: perSecond(perRound, Math.min(...elapsed)),
      cpu_us_per_reservation: Number(median(cpu).toFixed(2)),
      writes_per_commit: Math.round(
        (after.groupedWrites - before.groupedWrites) / Math.max(1, after.groupCommits - before.groupCommits),
      ),
      single_commits_per_s: perSecond(SINGLE_COMMITS, singleMs),
      ratio_single: Number(
        (perSecond(rounds * perRound, total) / perSecond(SINGLE_COMMITS, singleMs)).toFixed(1),
      ),
    });
  }

  #reserveOne(round: number, pseudonym: string): Promise<boolean> {
    return this.#store.enqueue('bench.reserve', (database) => {
      const key = { planHash: PLANS.reserve, round };
      const ledger = this.#ledger.within(database);
      ledger.openFilter({ pseudonym, ...TERMS });
      const options = { order: TERMS.order, mechanism: MECHANISM };
      return ledger.reserve(key, [pseudonym], CHARGE, options).refused.length === 0;
    });
  }

  /** What was acknowledged is there for another connection. */
  #checkDurable(expected: number): void {
    const reader = openStore(this.#path);
    const row = reader.read('bench.count', (database) =>
      database.get<{ held: number }>(
        'SELECT COUNT(*) AS held FROM budget_holds h JOIN budget_charges c ON c.id = h.round_id WHERE c.plan_hash = ?',
        PLANS.reserve,
      ),
    );
    reader.close();
    ensure(row!.held === expected, 'INTERNAL', 'bench: acknowledged reservations are missing');
  }

  #singleCommits(): number {
    const cohort = this.#cohort(SINGLE_COMMITS);
    const startMs = performance.now();
    for (const pseudonym of cohort)
      this.#ledger.reserve({ planHash: PLANS.single, round: 1 }, [pseudonym], CHARGE, {
        mechanism: MECHANISM,
      });
    return performance.now() - startMs;
  }

  replay(): void {
    const spends = this.#spends;
    const cpuBefore = process.cpuUsage();
    const startMs = performance.now();
    const replayed = this.#ledger.replay();
    const elapsedMs = performance.now() - startMs;
    const { user, system } = process.cpuUsage(cpuBefore);
    ensure(replayed.size === this.#people.length, 'LOG_INCONSISTENT', 'bench: replay lost a filter');
    this.#ledger.verify();
    this.#row('replay', {
      spends,
      people: this.#people.length,
      replay_s: Number((elapsedMs / 1000).toFixed(2)),
      replay_cpu_s: Number(((user + system) / 1e6).toFixed(2)),
      spends_per_s: perSecond(spends, elapsedMs),
      database_mb: Math.round(statSync(this.#path).size / 1e6),
      equals_tables: true,
    });
  }

  async run(): Promise<void> {
    this.openAll();
    this.spend(PLANS.history, this.#options.historySpends, () => [this.#people[0]!], 1);
    this.checks();
    await this.reservations();
    const perRound = Math.min(COHORT, this.#people.length);
    this.spend(PLANS.replay, this.#options.spends, (count) => this.#cohort(count), perRound);
    this.replay();
  }
}

/** As long as real ones and as random; ascending, so that the file is made in a reasonable time. */
function pseudonyms(count: number): string[] {
  const names = Array.from({ length: count }, (_, i) =>
    createHash('sha256').update(`person ${i}`).digest('hex'),
  );
  return names.sort();
}

/** A page written and synced: what no durable commit here can be faster than. */
function medianSyncMs(directory: string): number {
  const file = openSync(join(directory, 'sync'), 'w', 0o600);
  const page = new Uint8Array(4096);
  const times = Array.from({ length: 51 }, () => {
    const startMs = performance.now();
    writeSync(file, page);
    fdatasyncSync(file);
    return performance.now() - startMs;
  });
  closeSync(file);
  return median(times);
}

export async function runLedgerBench(options: LedgerBenchOptions): Promise<void> {
  const bench = new LedgerBench(options);
  try {
    await bench.run();
  } finally {
    bench.close();
  }
}
