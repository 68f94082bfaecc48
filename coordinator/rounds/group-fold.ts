/**
 * The sums of a grouped round: each group's bodies, added up from the spool once the partition is drawn.
 *
 * Nothing can be folded earlier, and nothing is stored: a restart folds anew, at memory speed. Worker threads take a
 * group each; where one fails, its group is folded in the main thread.
 * Trusts: its spool. May be called by: coordinator/rounds.
 */
import { PulsefoldError } from '../../crypto/error.ts';
import type { BodyPlaces, FoldShard } from '../aggregation/fold-shard.ts';
import type { RoundServices } from './services.ts';

/** Bodies of one request to a shard: their places wait in memory, the bodies themselves do not. */
const BATCH = 32;

export interface GroupFoldParts {
  readonly logger: RoundServices['logger'];
  readonly round: number;
  isStopped(): boolean;
  /** Fresh and empty, one per worker; may be none. */
  openShards(): readonly FoldShard[];
  openLocalShard(): FoldShard;
  /** Where the bodies of these devices stand, in the same order. */
  placesOf(devices: readonly string[]): readonly BodyPlaces[];
}

export class GroupFold {
  readonly #parts: GroupFoldParts;
  #sums: Promise<Uint8Array[]> | null = null;

  constructor(parts: GroupFoldParts) {
    this.#parts = parts;
  }

  /** `BodyFolder.bytes()` of each group. The partition of a round is fixed: later calls get the same sums. */
  sumsOf(groups: readonly (readonly string[])[]): Promise<Uint8Array[]> {
    this.#sums ??= this.#fold(groups).catch((error: unknown) => {
      this.#sums = null;
      throw error;
    });
    return this.#sums;
  }

  async #fold(groups: readonly (readonly string[])[]): Promise<Uint8Array[]> {
    const sums: Uint8Array[] = [];
    while (sums.length < groups.length) {
      const shards = this.#parts.openShards();
      // As many groups at a time as there are workers.
      const wave = groups.slice(sums.length, sums.length + Math.max(1, shards.length));
      try {
        sums.push(...(await Promise.all(wave.map((group, i) => this.#sumOf(group, shards[i])))));
      } finally {
        for (const shard of shards) shard.close();
      }
    }
    return sums;
  }

  async #sumOf(group: readonly string[], shard: FoldShard | undefined): Promise<Uint8Array> {
    if (!shard) return this.#addUp(group, this.#parts.openLocalShard());
    try {
      return await this.#addUp(group, shard);
    } catch (error) {
      if (this.#parts.isStopped()) throw error;
      const { logger, round } = this.#parts;
      const { message } = error as Error;
      logger.warn(
        { round, shard: shard.name, message },
        'a fold worker failed; its uploads are folded in the main thread',
      );
      return this.#addUp(group, this.#parts.openLocalShard());
    }
  }

  async #addUp(group: readonly string[], shard: FoldShard): Promise<Uint8Array> {
    for (let from = 0; from < group.length; from += BATCH) {
      if (this.#parts.isStopped()) throw new PulsefoldError('UNAVAILABLE', 'stopped');
      await shard.add(this.#parts.placesOf(group.slice(from, from + BATCH)));
    }
    return shard.sum();
  }
}
