/**
 * Acknowledges many whole uploads in one write: the rows, the places of their bytes, one event for the round.
 *
 * What uploads.ts does for one request, less what belongs to a request: whoever calls this has authenticated the devices,
 * checked every digest and signature that there is to check, and spooled the bytes.
 * Without identities there are no statements: rows hold digests only.
 * Trusts: its caller, which is a simulation in its own process; no service reaches this.
 * May be called by: experiments/simulation.
 */
import { ensure } from '../../crypto/error.ts';
import type { SpoolPlace } from '../storage/spool.ts';
import type { Database } from '../storage/store.ts';
import type { ActiveRound } from './active-round.ts';
import * as repository from './repository.ts';
import type { RoundServices } from './services.ts';
import { withdrawnAmong } from './withdrawals.ts';

export interface WholeUpload {
  readonly deviceId: string;
  /** H(H(body) ‖ H(holder part)) and H(body), hexadecimal. */
  readonly digest: string;
  readonly bodyDigest: string;
  /** Body, then holder part; all of a batch in one segment. */
  readonly place: SpoolPlace;
}

export type UploadOutcome = 'acknowledged' | 'late' | 'not-invited' | 'withdrawn' | 'second-digest';

/** One outcome per upload, in their order; durable when this resolves. A device appears once. */
export async function acknowledgeUploads(
  services: RoundServices,
  active: ActiveRound,
  uploads: readonly WholeUpload[],
): Promise<UploadOutcome[]> {
  const outcomes = await services.store.enqueue('uploads', (db) => decide(services, db, active, uploads));
  const { body } = services.secagg.sizes(active.scheme);
  const deviceIds: string[] = [];
  for (const [i, { deviceId, digest, place }] of uploads.entries()) {
    if (outcomes[i] !== 'acknowledged') continue;
    deviceIds.push(deviceId);
    active.noteUpload(deviceId, { digest, place: { ...place, length: body } });
  }
  if (deviceIds.length > 0) active.notify({ type: 'uploads_acknowledged', deviceIds });
  return outcomes;
}

function decide(
  { secagg }: RoundServices,
  db: Database,
  { at, parsed, scheme }: ActiveRound,
  uploads: readonly WholeUpload[],
): UploadOutcome[] {
  const { planHex, round } = at;
  if (repository.roundPhase(db, planHex, round) !== 'collecting') return uploads.map(() => 'late');
  const devices = uploads.map(({ deviceId }) => deviceId);
  const invited = repository.invitedAmong(db, planHex, round, devices);
  const withdrawn = withdrawnAmong(db, devices, parsed);
  const rows = new Map(repository.uploadsAmong(db, planHex, round, devices).map((row) => [row.device, row]));
  const sizes = secagg.sizes(scheme);
  const outcomes = uploads.map(({ deviceId, digest, place }): UploadOutcome => {
    ensure(
      place.length === sizes.body + sizes.holderPart,
      'VECTOR_LENGTH_MISMATCH',
      'an upload of another size',
    );
    if (!invited.has(deviceId)) return 'not-invited';
    const row = rows.get(deviceId);
    if (row) return row.digest === digest && row.acknowledged === 1 ? 'acknowledged' : 'second-digest';
    return withdrawn.has(deviceId) ? 'withdrawn' : 'acknowledged';
  });
  const fresh = uploads.filter(({ deviceId }, i) => outcomes[i] === 'acknowledged' && !rows.has(deviceId));
  const segment = uploads[0]?.place.segment ?? 0;
  ensure(
    uploads.every(({ place }) => place.segment === segment),
    'INTERNAL',
    'a batch of uploads is in one segment',
  );
  if (fresh.length > 0)
    repository.insertPlainUploads(
      db,
      planHex,
      round,
      fresh.map(({ deviceId: device, digest, bodyDigest, place: { position } }) => ({
        device,
        digest,
        bodyDigest,
        position,
      })),
      { segment, bodyBytes: sizes.body, holderBytes: sizes.holderPart },
    );
  return outcomes;
}
