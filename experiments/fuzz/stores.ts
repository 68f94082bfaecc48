/**
 * The disks of a simulated deployment: the real stores behind gates at which writes fail and processes die.
 *
 * Trusts: nothing. May be called by: experiments/fuzz.
 */
import type { ClientStore } from '../../client/agent/store.ts';
import type { Spool, SpoolPlace, SpoolRound } from '../../coordinator/storage/spool.ts';
import type { Database, Store } from '../../coordinator/storage/store.ts';
import { HolderStore } from '../../keyholder/store.ts';
import { type Life, never, processIsDead, type WriteGate } from './life.ts';

/** The coordinator's database as one life of its process sees it. */
export class GatedStore implements Store {
  readonly #inner: Store;
  readonly #life: Life;
  readonly #gate: WriteGate;

  constructor(inner: Store, life: Life, gate: WriteGate) {
    this.#inner = inner;
    this.#life = life;
    this.#gate = gate;
  }

  #requireAlive(): void {
    if (!this.#life.alive) throw processIsDead();
  }

  migrate(domain: string, migrations: readonly string[]): void {
    this.#inner.migrate(domain, migrations);
  }

  transaction<T>(name: string, fn: (database: Database) => T): T {
    this.#requireAlive();
    this.#gate.before(name);
    const value = this.#inner.transaction(name, fn);
    this.#gate.after(name);
    return value;
  }

  read<T>(name: string, fn: (database: Database) => T): T {
    this.#requireAlive();
    return this.#inner.read(name, fn);
  }

  /** A write that fails takes no other one of its group with it; one that kills the process is the last of it. */
  async enqueue<T>(name: string, fn: (database: Database) => T): Promise<T> {
    this.#requireAlive();
    try {
      const value = await this.#inner.enqueue(name, (database) => {
        this.#requireAlive();
        this.#gate.before(name);
        return fn(database);
      });
      if (this.#life.alive) this.#gate.after(name);
      return this.#life.alive ? value : await never();
    } catch (error) {
      if (!this.#life.alive) return never();
      throw error;
    }
  }

  flush(): void {
    this.#inner.flush();
  }
  metrics() {
    return this.#inner.metrics();
  }
  /** The database outlives the process. */
  close(): void {}
}

/** A write and its fsync, in virtual time: long enough for other things to happen meanwhile. */
const SPOOL_MS = 8;

/** The coordinator's spool: shares the disk, and so the gate, of its database. */
export class GatedSpool implements Spool {
  readonly #inner: Spool;
  readonly #life: Life;
  readonly #gate: WriteGate;
  readonly #sleep: (durationMs: number) => Promise<void>;

  constructor(inner: Spool, life: Life, gate: WriteGate, sleep: (durationMs: number) => Promise<void>) {
    this.#inner = inner;
    this.#life = life;
    this.#gate = gate;
    this.#sleep = sleep;
  }

  async append(at: SpoolRound, data: Uint8Array): Promise<SpoolPlace> {
    if (!this.#life.alive) return never();
    try {
      this.#gate.before();
      await this.#sleep(SPOOL_MS);
      if (!this.#life.alive) return await never();
      const place = await this.#inner.append(at, data);
      this.#gate.after();
      return place;
    } catch (error) {
      if (!this.#life.alive) return never();
      throw error;
    }
  }

  read(at: SpoolRound, place: SpoolPlace, target?: Uint8Array): Uint8Array {
    if (!this.#life.alive) throw processIsDead();
    return this.#inner.read(at, place, target);
  }

  directoryOf(): null {
    return null;
  }

  drop(at: SpoolRound): void {
    if (this.#life.alive) this.#inner.drop(at);
  }

  metrics() {
    return this.#inner.metrics();
  }
  async close(): Promise<void> {}
}

const READS = /^(load|get|has|list)/;

/** A device's vault as one life of its process sees it. Whatever it can do beside reading is a write. */
export function gatedClientStore(inner: ClientStore, life: Life, gate: WriteGate): ClientStore {
  const use = async (isWrite: boolean, work: () => unknown): Promise<unknown> => {
    if (!life.alive) return never();
    try {
      if (isWrite) gate.before();
      const value = await work();
      if (isWrite) gate.after();
      return value;
    } catch (error) {
      if (!life.alive) return never();
      throw error;
    }
  };
  return new Proxy(inner, {
    get(store, name) {
      const method: unknown = Reflect.get(store, name, store);
      if (typeof method !== 'function') return method;
      if (name === 'close') return async () => {};
      const isWrite = !READS.test(String(name));
      return (...values: unknown[]) => use(isWrite, () => method.apply(store, values));
    },
  });
}

/** A key holder's database; a nested transaction is one write with the outer one. */
export class GatedHolderStore extends HolderStore {
  readonly #gate: WriteGate;
  readonly #life: Life;
  #depth = 0;

  constructor(path: string, life: Life, gate: WriteGate) {
    super(path);
    this.#gate = gate;
    this.#life = life;
  }

  override transaction<T>(work: () => T): T {
    if (this.#depth > 0) return super.transaction(work);
    if (!this.#life.alive) throw processIsDead();
    this.#gate.before();
    this.#depth++;
    let value: T;
    try {
      value = super.transaction(work);
    } finally {
      this.#depth--;
    }
    this.#gate.after();
    return value;
  }

  override putPlan(planHash: Uint8Array, bytes: Uint8Array): void {
    this.transaction(() => super.putPlan(planHash, bytes));
  }
}
