/**
 * The entries that a holder accepted and, under transport shares, the seeds that came with them.
 *
 * For: acceptance.ts, certification.ts, opening*.ts through `HolderStore.entries`. Trusts: the database; seeds come here
 * only sealed. May be called by: keyholder/ only.
 */
import { bytesIn, type HolderDatabase } from './database.ts';

/** One round of one plan. */
export interface RoundRef {
  readonly planHash: Uint8Array;
  readonly round: number;
}
/** What this holder accepted from one device. `leaf` is the leaf of the cohort tree. */
export interface AcceptedEntry {
  readonly deviceId: string;
  readonly modelHash: Uint8Array;
  readonly configHash: Uint8Array;
  readonly committeeKeyId: Uint8Array;
  readonly digest: Uint8Array;
  readonly leaf: Uint8Array;
  /** Transport shares: this holder's three seeds, sealed under the round's storage key; null once erased. */
  readonly sealedSeeds: Uint8Array | null;
}
export class EntryTable {
  readonly #database: HolderDatabase;

  constructor(database: HolderDatabase) {
    this.#database = database;
  }

  /** Whose upload has this digest, if anybody's was accepted. */
  ownerOfDigest(at: RoundRef, digest: Uint8Array): string | undefined {
    const row = this.#database.get(
      'SELECT device_id FROM entries WHERE plan_hash = ? AND round = ? AND digest = ?',
      at.planHash,
      at.round,
      digest,
    );
    return row && String(row.device_id);
  }
  get(at: RoundRef, deviceId: string): AcceptedEntry | undefined {
    const row = this.#database.get(
      'SELECT * FROM entries WHERE plan_hash = ? AND round = ? AND device_id = ?',
      at.planHash,
      at.round,
      deviceId,
    );
    return (
      row && {
        deviceId,
        modelHash: bytesIn(row, 'model_hash'),
        configHash: bytesIn(row, 'config_hash'),
        committeeKeyId: bytesIn(row, 'committee_key_id'),
        digest: bytesIn(row, 'digest'),
        leaf: bytesIn(row, 'leaf'),
        sealedSeeds: row.sealed_seeds === null ? null : bytesIn(row, 'sealed_seeds'),
      }
    );
  }
  /** `seedTags`: what its seeds are recognised by (round-seeds.ts). */
  put(at: RoundRef, entry: AcceptedEntry, seedTags: readonly Uint8Array[] = []): void {
    this.#database.run(
      'INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
      at.planHash,
      at.round,
      entry.deviceId,
      entry.modelHash,
      entry.configHash,
      entry.committeeKeyId,
      entry.digest,
      entry.leaf,
      entry.sealedSeeds,
    );
    for (const tag of seedTags)
      this.#database.run(
        'INSERT INTO seed_tags VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
        at.planHash,
        at.round,
        tag,
        entry.deviceId,
      );
  }
  count(at: RoundRef): number {
    const row = this.#database.get(
      'SELECT count(*) AS n FROM entries WHERE plan_hash = ? AND round = ?',
      at.planHash,
      at.round,
    );
    return Number(row?.n);
  }

  /** Whose seed has this tag, if anybody's was accepted in this round. */
  ownerOfSeed(at: RoundRef, tag: Uint8Array): string | undefined {
    const row = this.#database.get(
      'SELECT device_id FROM seed_tags WHERE plan_hash = ? AND round = ? AND tag = ?',
      at.planHash,
      at.round,
      tag,
    );
    return row && String(row.device_id);
  }

  /** Inside a transaction of the caller's. */
  eraseSeeds(at: RoundRef): void {
    // As with key shares: zeros first.
    for (const value of ['zeroblob(length(sealed_seeds))', 'NULL'])
      this.#database.run(
        `UPDATE entries SET sealed_seeds = ${value} WHERE plan_hash = ? AND round = ? AND sealed_seeds IS NOT NULL`,
        at.planHash,
        at.round,
      );
    this.#database.run('DELETE FROM seed_tags WHERE plan_hash = ? AND round = ?', at.planHash, at.round);
  }
}
