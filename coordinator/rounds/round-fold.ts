/**
 * The running sum of one round: every upload that a quorum has accepted is added once, as it comes (DESIGN §2.8).
 *
 * Promise: the sum that `sumOf(cohort)` gives is over exactly the cohort, whatever was folded before, whichever worker
 * died, and wherever the process was killed. How: each shard's sum is committed together with the list of its devices;
 * a restart keeps the committed rows as they are, folds on from there in new shards, and adds whatever no row names.
 * Trusts: its store and spool. Whose acceptance is a quorum's, and what the cohort is, the round says.
 * May be called by: coordinator/rounds/active-round.ts.
 */
import { isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';
import type { BodyFolder } from '../../crypto/secagg/scheme.ts';
import type { BodyPlaces, FoldShard } from '../aggregation/fold-shard.ts';
import type { Store } from '../storage/store.ts';
import * as repository from './repository.ts';
import type { RoundServices } from './services.ts';

/** Sums are committed no more often than this, apart from the freeze and the end. */
const COMMIT_MS = 3000;
/** Bodies of one request to a shard: their places wait in memory, the bodies themselves do not. Short ones go by more. */
const BATCH_MIN = 32;
const BATCH_MAX = 1024;
const BATCH_BYTES = 256 * 1024;

export interface RoundFoldParts {
  readonly store: Store;
  readonly logger: RoundServices['logger'];
  readonly planHex: string;
  readonly round: number;
  readonly bodyBytes: number;
  nowMs(): number;
  /** Lets others have their turn. */
  turn(): Promise<void>;
  /** Fresh and empty; may be none. */
  openShards(): readonly FoldShard[];
  openLocalShard(): FoldShard;
  folder(): BodyFolder;
  /** Where the bodies of these devices stand, in the same order. */
  placesOf(devices: readonly string[]): readonly BodyPlaces[];
}

/** A shard at work. */
interface Lane {
  readonly id: number;
  readonly shard: FoldShard;
  readonly isLocal: boolean;
  /** In its sum, in order. The first `committed` are in the row `id`. */
  readonly devices: string[];
  committed: number;
  dueMs: number;
  running: Promise<void> | null;
}

/** A committed row that nobody adds to any more: of an earlier process, or of a shard that failed. */
interface Base {
  readonly id: number;
  readonly devices: readonly string[];
}

export class RoundFold {
  readonly #parts: RoundFoldParts;
  readonly #batchSize: number;
  #lanes: Lane[] = [];
  #bases: Base[] = [];
  #nextId = 1;
  /** Offered, or in a sum. */
  #known = new Set<string>();
  #queue: string[] = [];
  #stopped = false;
  /** Of the main thread; nothing is folded until it was heard. */
  #failure: { readonly error: unknown } | null = null;
  #idle: (() => void)[] = [];
  #sum: Promise<Uint8Array> | null = null;

  constructor(parts: RoundFoldParts) {
    this.#parts = parts;
    const fitting = Math.floor(BATCH_BYTES / Math.max(1, parts.bodyBytes));
    this.#batchSize = Math.min(BATCH_MAX, Math.max(BATCH_MIN, fitting));
    this.#load();
  }

  /** Devices in committed or running sums, or on their way there. */
  get size(): number {
    return this.#known.size;
  }

  #load(): void {
    const { store, planHex, round, bodyBytes, logger } = this.#parts;
    const rows = store.read('fold-state', (db) =>
      repository.foldDevices(db, planHex, round).map((row) => ({
        ...row,
        bytes: repository.foldSum(db, planHex, round, row.shard)?.length,
      })),
    );
    for (const { shard, devices, count, bytes } of rows) {
      const isWhole = bytes === bodyBytes && devices.length === count;
      if (isWhole && devices.every((device) => !this.#known.has(device))) {
        this.#bases.push({ id: shard, devices });
        for (const device of devices) this.#known.add(device);
      } else {
        // Unreachable through this code: each row was written whole. Then nothing of it counts.
        logger.error({ round, shard }, 'a stored partial sum is not usable; its uploads are folded again');
        store.transaction('fold-reset', (db) => repository.dropFold(db, planHex, round));
        this.#bases = [];
        this.#known.clear();
        break;
      }
    }
    this.#nextId = Math.max(0, ...rows.map((row) => row.shard)) + 1;
  }

  /** A quorum accepted this device: its body goes into the sum, once. */
  offer(device: string): void {
    if (this.#stopped || this.#known.has(device)) return;
    this.#known.add(device);
    this.#queue.push(device);
    this.#pump();
  }

  /** Lets due commits happen; `freeze`: makes every one due. */
  tick(freeze = false): void {
    if (freeze) for (const lane of this.#lanes) lane.dueMs = 0;
    this.#pump();
  }

  stop(): void {
    this.#stopped = true;
    for (const lane of this.#lanes) lane.shard.close();
    this.#wake();
  }

  /**
   * The sum over exactly `cohort`. Adds what is missing; where something else was folded, folds the cohort anew from the
   * spool. The cohort of a round is fixed: later calls get the same sum.
   */
  sumOf(cohort: readonly string[]): Promise<Uint8Array> {
    this.#sum ??= this.#finish(cohort).catch((error: unknown) => {
      this.#sum = null;
      throw error;
    });
    return this.#sum;
  }

  async #finish(cohort: readonly string[]): Promise<Uint8Array> {
    const wanted = new Set(cohort);
    for (const device of this.#queue) if (!wanted.has(device)) this.#known.delete(device);
    this.#queue = this.#queue.filter((device) => wanted.has(device));
    await this.#settled();
    const foreign = [...this.#known].filter((device) => !wanted.has(device)).length;
    if (foreign > 0) this.#startOver(foreign);
    for (const device of cohort) this.offer(device);
    await this.#settled();
    return this.#merge(cohort.length);
  }

  #startOver(foreign: number): void {
    const { store, planHex, round, logger } = this.#parts;
    logger.warn({ round, foreign }, 'uploads were folded that are not in the cohort; folding it anew');
    store.transaction('fold-reset', (db) => repository.dropFold(db, planHex, round));
    for (const lane of this.#lanes) lane.shard.close();
    this.#lanes = [];
    this.#bases = [];
    this.#known.clear();
  }

  async #merge(count: number): Promise<Uint8Array> {
    const { store, planHex, round } = this.#parts;
    const total = this.#parts.folder();
    for (const { id, devices } of this.#bases) {
      const sum = store.read('fold-sum', (db) => repository.foldSum(db, planHex, round, id));
      if (!sum) throw new Error(`the partial sum ${id} is not in the store`);
      total.addSum(sum, devices.length);
    }
    for (const lane of [...this.#lanes]) {
      if (lane.devices.length === 0) continue;
      try {
        // Committed once more: a crash before the opening finds the whole sum.
        total.addSum(await this.#commit(lane), lane.devices.length);
      } catch (error) {
        // A worker that died with the last of its sums: its devices are folded elsewhere, and all is summed again.
        this.#bury(lane, [], error);
        await this.#settled();
        return this.#merge(count);
      }
    }
    // Every device is in one list only, so equal counts are equal sets.
    if (total.count !== count) throw new Error(`folded ${total.count} uploads for a cohort of ${count}`);
    return total.bytes();
  }

  /** Resolves when nothing waits and no shard works. */
  async #settled(): Promise<void> {
    for (;;) {
      if (this.#stopped) throw new PulsefoldError('UNAVAILABLE', 'stopped');
      if (this.#failure) {
        // Told once; whoever asks again lets it be tried again.
        const { error } = this.#failure;
        this.#failure = null;
        throw error;
      }
      const busy = this.#queue.length > 0 || this.#lanes.some((lane) => lane.running);
      if (!busy) return;
      this.#pump();
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    }
  }

  #wake(): void {
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #pump(): void {
    if (this.#stopped || this.#failure) return;
    if (this.#queue.length > 0 && this.#lanes.length === 0) {
      const shards = this.#parts.openShards();
      for (const shard of shards) this.#addLane(shard, false);
      if (shards.length === 0) this.#addLane(this.#parts.openLocalShard(), true);
    }
    for (const lane of this.#lanes) {
      if (lane.running || (this.#queue.length === 0 && !this.#isDue(lane))) continue;
      lane.running = this.#drive(lane).finally(() => {
        lane.running = null;
        this.#wake();
        // What came while the last turn ended.
        if (this.#queue.length > 0) this.#pump();
      });
    }
  }

  #addLane(shard: FoldShard, isLocal: boolean): void {
    const dueMs = this.#parts.nowMs() + COMMIT_MS;
    this.#lanes.push({ id: this.#nextId++, shard, isLocal, devices: [], committed: 0, dueMs, running: null });
  }

  #isDue(lane: Lane): boolean {
    return lane.devices.length > lane.committed && this.#parts.nowMs() >= lane.dueMs;
  }

  async #drive(lane: Lane): Promise<void> {
    // One turn later, so that uploads that are accepted together go together.
    await this.#parts.turn();
    while (!this.#stopped) {
      const batch = this.#queue.splice(0, this.#batchSize);
      const isLast = batch.length === 0;
      try {
        if (!isLast) {
          await lane.shard.add(this.#parts.placesOf(batch));
          lane.devices.push(...batch.splice(0));
        }
        if (this.#isDue(lane)) await this.#commit(lane);
      } catch (error) {
        // `batch` is what is not in the lane's list yet.
        this.#bury(lane, batch, error);
        return;
      }
      if (isLast) return;
    }
  }

  /** Makes the lane's present sum and its devices durable, together; returns the sum. */
  async #commit(lane: Lane): Promise<Uint8Array> {
    const { store, planHex, round } = this.#parts;
    const devices = lane.devices.slice();
    const sum = await lane.shard.sum();
    lane.dueMs = this.#parts.nowMs() + COMMIT_MS;
    if (this.#stopped || lane.committed === devices.length) return sum;
    try {
      store.transaction('fold-commit', (db) =>
        repository.putFold(db, planHex, round, { shard: lane.id, sum, devices }),
      );
      lane.committed = devices.length;
    } catch (error) {
      // The store is away: the sum in memory is as good, and is offered again.
      if (!isPulsefoldError(error) || error.code !== 'UNAVAILABLE') throw error;
    }
    return sum;
  }

  /** A shard failed: its committed row stays, everything since is folded again in the main thread. */
  #bury(lane: Lane, batch: readonly string[], error: unknown): void {
    if (this.#stopped) return;
    const { logger, round } = this.#parts;
    this.#lanes = this.#lanes.filter((other) => other !== lane);
    lane.shard.close();
    if (lane.committed > 0) this.#bases.push({ id: lane.id, devices: lane.devices.slice(0, lane.committed) });
    this.#queue.unshift(...lane.devices.slice(lane.committed), ...batch);
    const message = (error as Error).message;
    if (lane.isLocal) {
      logger.warn({ round, message }, 'folding failed; it is tried again when the sum is wanted');
      this.#failure = { error };
      this.#wake();
      return;
    }
    logger.warn(
      { round, shard: lane.shard.name, message },
      'a fold worker failed; its uploads are folded in the main thread',
    );
    if (!this.#lanes.some((other) => other.isLocal)) this.#addLane(this.#parts.openLocalShard(), true);
    this.#pump();
  }
}
