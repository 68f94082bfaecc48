/**
 * The bytes of uploads: read back from the spool by part, hashed as they come.
 *
 * Trusts: rows of the coordinator's own database, which point at synced bytes of its own spool.
 * May be called by: coordinator/rounds.
 */
import { createHash, type Hash } from 'node:crypto';
import { ensure } from '../../crypto/error.ts';
import type { Suite } from '../../crypto/identity/suite.ts';
import type { SealedParts } from '../../crypto/secagg/scheme.ts';
import type { Spool, SpoolPlace, SpoolRound } from '../storage/spool.ts';
import type { Database } from '../storage/store.ts';
import { type ChunkRow, chunksOf, chunksOfDevices, getUpload } from './uploads-repository.ts';

/** Where bytes `from` … `to` of an upload stand: its chunks, cut to them. */
export function placesOf(chunks: readonly ChunkRow[], from: number, to: number): SpoolPlace[] {
  const places: SpoolPlace[] = [];
  let at = from;
  for (const { offset, segment, position, length } of chunks) {
    const end = Math.min(to, offset + length);
    if (end <= at || offset > at) continue;
    places.push({ segment, position: position + at - offset, length: end - at });
    at = end;
  }
  ensure(at === to, 'INTERNAL', `the spool lacks bytes ${at} to ${to} of an upload`);
  return places;
}

/** The bytes of these places, one after the other, into `target` (of their length) where given. */
export function readPlaces(
  spool: Spool,
  at: SpoolRound,
  places: readonly SpoolPlace[],
  target?: Uint8Array,
): Uint8Array {
  if (places.length === 1) return spool.read(at, places[0]!, target);
  const bytes = target ?? new Uint8Array(places.reduce((sum, { length }) => sum + length, 0));
  let filled = 0;
  for (const place of places) {
    spool.read(at, place, bytes.subarray(filled, filled + place.length));
    filled += place.length;
  }
  return bytes;
}

/** The holder parts of acknowledged uploads, without reading their bodies. */
export function holderPartsOf(
  spool: Spool,
  db: Database,
  at: SpoolRound,
  devices: readonly string[],
): Map<string, Uint8Array> {
  const found = chunksOfDevices(db, at.planHex, at.round, devices, 'holder');
  return new Map(
    found.map(({ device, bodyBytes, holderBytes, chunks }) => [
      device,
      readPlaces(spool, at, placesOf(chunks, bodyBytes, bodyBytes + holderBytes)),
    ]),
  );
}

/** Where a device's body stands. */
export interface BodyPlace {
  readonly device: string;
  readonly places: readonly SpoolPlace[];
}

/** The bodies of acknowledged uploads; every device must have one. */
export function bodyPlacesOf(db: Database, at: SpoolRound, devices: readonly string[]): BodyPlace[] {
  const found = chunksOfDevices(db, at.planHex, at.round, devices, 'body');
  ensure(found.length === devices.length, 'INTERNAL', 'an upload that was accepted has no bytes');
  return found.map(({ device, bodyBytes, chunks }) => ({ device, places: placesOf(chunks, 0, bodyBytes) }));
}

/** Everything received of an upload, body then holder part. */
export function uploadBytes(spool: Spool, db: Database, at: SpoolRound, device: string): Uint8Array {
  const chunks = chunksOf(db, at.planHex, at.round, device);
  const received = chunks.reduce((sum, { length }) => sum + length, 0);
  return readPlaces(spool, at, placesOf(chunks, 0, received));
}

/** A complete upload, split into its two parts. */
export function uploadParts(spool: Spool, db: Database, at: SpoolRound, device: string): SealedParts {
  const row = getUpload(db, at.planHex, at.round, device);
  ensure(row?.acknowledged, 'NOT_FOUND', 'this device has no complete upload in this round');
  const bytes = uploadBytes(spool, db, at, device);
  return { body: bytes.subarray(0, row.body_bytes), holderPart: bytes.subarray(row.body_bytes) };
}

/** Hashes body and holder part of an upload whose bytes come in order. */
export class PartHasher {
  readonly #bodyBytes: number;
  readonly #body: Hash;
  readonly #holderPart: Hash;
  #received = 0;

  constructor(suite: Suite, bodyBytes: number) {
    const algorithm = suite.name === 'gm' ? 'sm3' : 'sha256';
    this.#bodyBytes = bodyBytes;
    this.#body = createHash(algorithm);
    this.#holderPart = createHash(algorithm);
  }

  get received(): number {
    return this.#received;
  }

  update(data: Uint8Array): void {
    const split = Math.max(0, this.#bodyBytes - this.#received);
    if (split > 0) this.#body.update(data.subarray(0, split));
    if (data.length > split) this.#holderPart.update(data.subarray(split));
    this.#received += data.length;
  }

  /** Digests of the two parts as if `last` were all that is missing; the hasher itself stays where it is. */
  digests(last: Uint8Array): { body: Uint8Array; holderPart: Uint8Array } {
    const split = Math.min(last.length, Math.max(0, this.#bodyBytes - this.#received));
    const finish = (hash: Hash, rest: Uint8Array) => new Uint8Array(hash.copy().update(rest).digest());
    return {
      body: finish(this.#body, last.subarray(0, split)),
      holderPart: finish(this.#holderPart, last.subarray(split)),
    };
  }
}
