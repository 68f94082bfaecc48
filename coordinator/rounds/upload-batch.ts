/**
 * Acknowledges many whole uploads in one write: the rows, the places of their bytes, one event for the round.
 *
 * What uploads.ts does for one request, less what belongs to a request: whoever calls this has authenticated the devices,
 * checked every digest and signature that there is to check, and spooled the bytes.
 * Without identities there are no statements: rows hold digests only.
 * Trusts: its caller, which is a simulation in its own process; no service reaches this.
 * May be called by: experiments/simulation.
 */
import { toHex } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import type { SpoolPlace } from '../storage/spool.ts';
import type { Database } from '../storage/store.ts';
import type { ActiveRound } from './active-round.ts';
import * as repository from './repository.ts';
import type { RoundServices } from './services.ts';

const DIGEST_BYTES = 32;

/** One upload of each device, side by side in this order. */
export interface WholeUploads {
  /** Without repeats. */
  readonly deviceIds: readonly string[];
  /** H(H(body) ‖ H(holder part)), H(body) and the leaf of the entry in the cohort's tree; 32 bytes each. */
  readonly digests: Uint8Array;
  readonly bodyDigests: Uint8Array;
  readonly leaves: Uint8Array;
  /** Of all of them: body, then holder part of each. */
  readonly place: SpoolPlace;
}

export type UploadOutcome = 'acknowledged' | 'late' | 'not-invited' | 'withdrawn' | 'second-digest';

/** One outcome per upload, in their order; durable when this resolves. */
export async function acknowledgeUploads(
  services: RoundServices,
  active: ActiveRound,
  uploads: WholeUploads,
): Promise<UploadOutcome[]> {
  if (uploads.deviceIds.length === 0) return [];
  const { body, holderPart } = services.secagg.sizes(active.scheme);
  checkSizes(uploads, body + holderPart);
  const outcomes = await services.store.enqueue('uploads', (db) => decide(services, db, active, uploads));
  const isTaken = (index: number) => outcomes[index] === 'acknowledged';
  const deviceIds = uploads.deviceIds.filter((_, i) => isTaken(i));
  active.noteUploads({ ...uploads, bodyBytes: body }, isTaken);
  if (deviceIds.length > 0) active.notify({ type: 'uploads_acknowledged', deviceIds });
  return outcomes;
}

function checkSizes({ deviceIds, digests, bodyDigests, leaves, place }: WholeUploads, length: number): void {
  const count = deviceIds.length;
  const fits = place.length === count * length;
  ensure(fits, 'VECTOR_LENGTH_MISMATCH', 'an upload of another size');
  for (const hashes of [digests, bodyDigests, leaves])
    ensure(hashes.length === count * DIGEST_BYTES, 'VECTOR_LENGTH_MISMATCH', 'one digest for each upload');
}

function decide(
  { secagg }: RoundServices,
  db: Database,
  { at, parsed, scheme }: ActiveRound,
  uploads: WholeUploads,
): UploadOutcome[] {
  const { planHex, round } = at;
  const { deviceIds, digests } = uploads;
  if (repository.roundPhase(db, planHex, round) !== 'collecting') return deviceIds.map(() => 'late');
  const { body, holderPart } = secagg.sizes(scheme);
  const sizes = { bodyBytes: body, holderBytes: holderPart };
  const inserted = repository.insertPlainUploads(db, parsed, round, { ...uploads, ...sizes });
  if (inserted === deviceIds.length) return deviceIds.map(() => 'acknowledged');
  // Whoever has no row now may not have one; a row that was there before says whether it is the same upload.
  const rows = new Map(
    repository.uploadsAmong(db, planHex, round, deviceIds).map((row) => [row.device, row]),
  );
  const invited = repository.invitedAmong(db, planHex, round, deviceIds);
  return deviceIds.map((deviceId, i): UploadOutcome => {
    const row = rows.get(deviceId);
    if (!row) return invited.has(deviceId) ? 'withdrawn' : 'not-invited';
    const digest = toHex(digests.subarray(i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES));
    return row.digest === digest && row.acknowledged === 1 ? 'acknowledged' : 'second-digest';
  });
}
