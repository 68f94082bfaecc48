/**
 * What a round knows of its uploads beyond the machine's lists: the signed entries that holders are shown, the leaves of
 * the cohort tree, and where bodies stand until they are folded.
 *
 * Trusts: its store. May be called by: coordinator/rounds/active-round.ts.
 */
import { ensure } from '../../crypto/error.ts';
import { CompactRange } from '../../crypto/log/merkle.ts';
import type { SumScheme } from '../../crypto/secagg/scheme.ts';
import { ENTRIES_PER_MESSAGE_MAX } from '../../protos/fields.ts';
import type { RoundBinding } from '../../protos/statements.ts';
import type { BodyPlaces } from '../aggregation/fold-shard.ts';
import type { SpoolPlace, SpoolRound } from '../storage/spool.ts';
import { LeafMaker } from './cohort-leaves.ts';
import type { Entry } from './holder-port.ts';
import * as repository from './repository.ts';
import type { RoundServices } from './services.ts';
import { bodyPlacesOf, holderPartsOf } from './upload-bytes.ts';

const NONE = new Uint8Array(0);
const HASH_BYTES = 32;

export type DeviceEntry = Entry & { readonly deviceId: string };

/** Uploads of one piece each, which stand one behind the other in one segment. */
export interface NotedUploads {
  readonly deviceIds: readonly string[];
  /** Of their entries, without statements; 32 bytes each. */
  readonly digests: Uint8Array;
  /** `leafHash(entryLeaf(entry))`, 32 bytes each. */
  readonly leaves: Uint8Array;
  /** All of them; each is body, then holder part. */
  readonly place: SpoolPlace;
  readonly bodyBytes: number;
}

/** One of them. */
interface Noted {
  readonly batch: NotedUploads;
  readonly index: number;
}

const hashAt = (hashes: Uint8Array, index: number): Uint8Array =>
  hashes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);

export class RoundEntries {
  readonly #services: RoundServices;
  readonly #at: SpoolRound;
  readonly #binding: RoundBinding;
  readonly #scheme: SumScheme;
  #leaves: LeafMaker | null = null;
  readonly #leafHashes = new Map<string, Uint8Array>();
  readonly #noted = new Map<string, Noted>();

  constructor(
    services: RoundServices,
    { at, binding, scheme }: { at: SpoolRound; binding: RoundBinding; scheme: SumScheme },
  ) {
    this.#services = services;
    this.#at = at;
    this.#binding = binding;
    this.#scheme = scheme;
  }

  /** As the coordinator stored them, by device id. */
  stored(devices: readonly string[]): DeviceEntry[] {
    const { secagg, store, spool } = this.#services;
    const [at, binding, scheme] = [this.#at, this.#binding, this.#scheme];
    const { holderPart } = secagg.sizes(scheme);
    const plain = holderPart === 0 ? this.#plainEntries(devices) : null;
    if (plain) return plain;
    return store.read('entries', (db) => {
      const entries = repository.entriesOf(db, at.planHex, binding, devices);
      if (scheme.transport !== 'shares' || holderPart === 0)
        return entries.map((entry) => ({ ...entry, bodyDigest: NONE, holderPart: NONE }));
      const digests = repository.bodyDigestsOf(db, at.planHex, at.round, devices);
      const parts = holderPartsOf(spool, db, at, devices);
      return entries.map((entry) => ({
        ...entry,
        bodyDigest: digests.get(entry.deviceId)!,
        holderPart: parts.get(entry.deviceId)!,
      }));
    });
  }

  /** Entries never change, and holders are asked about every one: its leaf is made on the way. */
  keepLeaves(entries: readonly DeviceEntry[]): void {
    this.#leaves ??= new LeafMaker(this.#binding);
    for (const entry of entries)
      if (!this.#noted.has(entry.deviceId) && !this.#leafHashes.has(entry.deviceId))
        this.#leafHashes.set(entry.deviceId, this.#leaves.hash(entry));
  }

  #leafOf(device: string): Uint8Array | undefined {
    const noted = this.#noted.get(device);
    return noted ? hashAt(noted.batch.leaves, noted.index) : this.#leafHashes.get(device);
  }

  /** Root of the cohort tree, whose leaves stand in the order of device ids; `keep` has missing leaves made. */
  cohortRoot(cohort: readonly string[], keep: (devices: readonly string[]) => void): Uint8Array {
    const missing = cohort.filter((device) => !this.#noted.has(device) && !this.#leafHashes.has(device));
    for (let from = 0; from < missing.length; from += ENTRIES_PER_MESSAGE_MAX)
      keep(missing.slice(from, from + ENTRIES_PER_MESSAGE_MAX));
    const range = new CompactRange();
    for (const device of cohort) {
      const hash = this.#leafOf(device);
      ensure(hash, 'INTERNAL', 'a device of the cohort has no upload');
      range.append(hash);
    }
    return range.root();
  }

  /** The root is known: leaves have no use left. */
  forgetLeaves(): void {
    this.#leafHashes.clear();
  }

  /** What whoever stored them knows of uploads, so that nobody need look it up; of those that were taken. */
  note(batch: NotedUploads, isTaken: (index: number) => boolean): void {
    for (const [index, deviceId] of batch.deviceIds.entries())
      if (isTaken(index)) this.#noted.set(deviceId, { batch, index });
  }

  /** Entries of uploads without statements, from memory; null unless all of them are. */
  #plainEntries(devices: readonly string[]): DeviceEntry[] | null {
    const entries: DeviceEntry[] = [];
    for (const deviceId of [...devices].sort()) {
      const noted = this.#noted.get(deviceId);
      if (!noted) return null;
      entries.push({
        deviceId,
        ...this.#binding,
        certificate: NONE,
        digest: hashAt(noted.batch.digests, noted.index),
        signature: NONE,
        bodyDigest: NONE,
        holderPart: NONE,
      });
    }
    return entries;
  }

  /** Where the bodies of these devices stand, for whoever folds them. */
  placesOf(devices: readonly string[]): readonly BodyPlaces[] {
    const unknown = devices.filter((device) => !this.#noted.has(device));
    const { store } = this.#services;
    const read =
      unknown.length > 0 ? store.read('body-places', (db) => bodyPlacesOf(db, this.#at, unknown)) : [];
    const found = new Map(read.map(({ device, places }) => [device, places]));
    return devices.map((device) => {
      const noted = this.#noted.get(device);
      return noted ? [bodyPlaceOf(noted)] : found.get(device)!;
    });
  }
}

function bodyPlaceOf({ batch, index }: Noted): SpoolPlace {
  const { deviceIds, place, bodyBytes } = batch;
  const stride = place.length / deviceIds.length;
  return { segment: place.segment, position: place.position + index * stride, length: bodyBytes };
}
