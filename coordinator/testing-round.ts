/**
 * Whole rounds with fake clients and holders, through crashes: for coordinator/**\/*.test.ts only.
 *
 * A client here does what client/ does on the wire, in a few lines: check in, protect, seal once, upload until it is
 * acknowledged, ask for its receipt.
 */
import { protectHistogram, protectPerson, toDigits } from '../crypto/dp/mechanism.ts';
import { isPulsefoldError, PulsefoldError } from '../crypto/error.ts';
import type { ParsedPlan } from '../protos/plan.ts';
import { mechanismOfRound } from '../protos/plan-mechanism.ts';
import { layoutOf } from '../protos/plan-scheme.ts';
import { type EncodedRoundConfig, parseRoundConfig } from '../protos/round-config.ts';
import type { PutUploadReply } from './rounds/uploads.ts';
import { FileSpool } from './storage/file-spool.ts';
import { openStore, type SqliteStore } from './storage/sqlite-store.ts';
import type { Database, Store } from './storage/store.ts';
import type { TestClock, TestDevice, TestWorld } from './testing.ts';
import { Bench, type BenchOptions, type Sealed, sealFor } from './testing-bench.ts';
import type { FakeHolder } from './testing-holder.ts';

/** Integers of one client's vector for a round: update (training) or histogram (evaluation), protected and packed. */
export function digitsOf(parsed: ParsedPlan, config: EncodedRoundConfig, vector: Float64Array): Int32Array {
  const mechanism = mechanismOfRound(parsed, config.config);
  const integers =
    config.config.kind === 'training'
      ? protectPerson(vector, mechanism)
      : protectHistogram(Int32Array.from(vector), mechanism);
  return toDigits(integers, layoutOf(parsed, config.config.kind));
}

/** A store that dies before a chosen write, and stays dead: what a SIGKILL at that moment leaves on disk. */
export class MortalStore implements Store {
  /** Names of the write transactions so far. */
  readonly writes: string[] = [];
  dead = false;
  readonly #inner: SqliteStore;
  readonly #dieBefore: (name: string, occurrence: number) => boolean;
  readonly #onDeath: () => void;
  constructor(path: string, dieBefore: (name: string, occurrence: number) => boolean, onDeath: () => void) {
    this.#inner = openStore(path);
    this.#dieBefore = dieBefore;
    this.#onDeath = onDeath;
  }
  #live(name: string): void {
    if (!this.dead) {
      this.writes.push(name);
      const occurrence = this.writes.filter((one) => one === name).length;
      if (!this.#dieBefore(name, occurrence)) return;
      this.dead = true;
      this.#onDeath();
    }
    throw new PulsefoldError('UNAVAILABLE', 'killed');
  }
  transaction<T>(name: string, fn: (database: Database) => T): T {
    this.#live(name);
    return this.#inner.transaction(name, fn);
  }
  enqueue<T>(name: string, fn: (database: Database) => T): Promise<T> {
    return this.#inner.enqueue(name, (database) => {
      this.#live(name);
      return fn(database);
    });
  }
  read<T>(name: string, fn: (database: Database) => T): T {
    if (this.dead) throw new PulsefoldError('UNAVAILABLE', 'killed');
    return this.#inner.read(name, fn);
  }
  migrate(domain: string, migrations: readonly string[]): void {
    this.#inner.migrate(domain, migrations);
  }
  flush(): void {
    this.#inner.flush();
  }
  metrics() {
    return this.#inner.metrics();
  }
  close(): void {
    this.#inner.close();
  }
}

/** The coordinator's machine: starts it again when it was killed. */
export class Host {
  bench: Bench;
  restarts = 0;
  /** Resolves when a restart that is under way has happened. */
  ready: Promise<void> = Promise.resolve();
  readonly writes: string[] = [];
  readonly #world: TestWorld;
  readonly #holders: readonly FakeHolder[];
  readonly #path: string;
  readonly #options: BenchOptions & { readonly clock: TestClock };
  readonly #dieBefore: (name: string, occurrence: number) => boolean;

  constructor(
    world: TestWorld,
    holders: readonly FakeHolder[],
    path: string,
    options: BenchOptions & { readonly clock: TestClock },
    dieBefore: (name: string, occurrence: number) => boolean = () => false,
  ) {
    this.#world = world;
    this.#holders = holders;
    this.#path = path;
    this.#options = options;
    this.#dieBefore = dieBefore;
    this.bench = this.#boot();
  }

  #boot(): Bench {
    const store: MortalStore = new MortalStore(
      this.#path,
      // Dies once: the next process lives.
      (name, occurrence) => this.restarts === 0 && this.#dieBefore(name, occurrence),
      () => this.restart(store.writes),
    );
    const spool = new FileSpool({ directory: `${this.#path}.spool` });
    return new Bench(this.#world, this.#holders, { ...this.#options, store, spool }).start();
  }

  /** As SIGKILL and a supervisor would: nothing of the old process gets another word in. */
  restart(writes: readonly string[] = []): void {
    this.writes.push(...writes);
    const old = this.bench;
    this.ready = new Promise((resolve, reject) => {
      setImmediate(() => {
        old.stop().then(() => {
          this.restarts++;
          this.bench = this.#boot();
          resolve();
        }, reject);
      });
    });
  }

  /** Repeats `body` against whichever process is up, as clients repeat calls that were cut off. */
  async persist<T>(body: (bench: Bench) => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      await this.ready;
      try {
        return await body(this.bench);
      } catch (error) {
        const passing = isPulsefoldError(error) && ['UNAVAILABLE', 'WRONG_PLAN'].includes(error.code);
        if (!passing || attempt > 200) throw error;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
  }
}

export interface Participation {
  readonly config: EncodedRoundConfig;
  readonly sealed: Sealed;
  readonly reply: PutUploadReply;
}

/** One client's part in the next round after `roundAfter`; seals once, whatever happens to the coordinator. */
export async function participate(
  host: Host,
  world: TestWorld,
  device: TestDevice,
  parsed: ParsedPlan,
  vector: (config: EncodedRoundConfig) => Float64Array,
  roundAfter = 0,
): Promise<Participation> {
  const config = await host.persist(async (bench) => {
    const { invitation, finished, wait } = await bench.checkIn(device, parsed, { roundAfter, waitMs: 1000 });
    if (finished) throw new Error(`finished: ${finished.reason}`);
    if (!invitation) throw new PulsefoldError('UNAVAILABLE', wait?.reason ?? 'no round');
    return parseRoundConfig(invitation.config, world.suite);
  });
  const sealed = sealFor(world, device, parsed, config, digitsOf(parsed, config, vector(config)));
  const reply = await host.persist((bench) => bench.put(device, sealed));
  return { config, sealed, reply };
}
