/**
 * Takes many signed uploads of one piece at once: checked one by one as uploads.ts checks them, written by one
 * transaction, acknowledged by a signature each.
 *
 * The checks, rows and acknowledgements are those of a request; what is left out belongs to chunks and to resuming. A bad
 * upload is refused alone. Trusts: device ids and keys taken from checked certificates. May be called by:
 * experiments/simulation.
 */
import { toHex } from '../../crypto/bytes.ts';
import { ensure, isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';
import { parse } from '../../protos/fields.ts';
import { type UploadHeader, uploadHeader } from '../../protos/rounds-messages.ts';
import { acknowledgementStatement } from '../../protos/statements.ts';
import type { Database } from '../storage/store.ts';
import type { ActiveRound } from './active-round.ts';
import * as repository from './repository.ts';
import type { RoundServices } from './services.ts';
import {
  digestsOf,
  requireSignedDigest,
  requireSignedUpload,
  SECOND_DIGEST,
  statementOf,
  type UploadingDevice,
} from './upload-checks.ts';
import { withdrawnAmong } from './withdrawals.ts';

export interface SignedUpload {
  readonly device: UploadingDevice;
  readonly header: UploadHeader;
  /** Body, then holder part. */
  readonly bytes: Uint8Array;
}

/** As in a reply to PutUpload: the coordinator's signature over the acknowledgement, or why there is none. */
export type SignedOutcome =
  | { readonly kind: 'acknowledged'; readonly signature: Uint8Array }
  | { readonly kind: 'late' }
  | { readonly kind: 'refused'; readonly error: PulsefoldError };

interface Checked extends SignedUpload {
  readonly bodyDigest: string;
}

/** One outcome per upload, in their order; what is acknowledged is durable when this resolves. */
export async function takeSignedUploads(
  services: RoundServices,
  active: ActiveRound,
  uploads: readonly SignedUpload[],
): Promise<SignedOutcome[]> {
  const outcomes = new Array<SignedOutcome>(uploads.length);
  const good: { readonly upload: Checked; readonly index: number; readonly position: number }[] = [];
  let length = 0;
  for (const [index, upload] of uploads.entries()) {
    const checked = attempt(() => check(services, active, upload));
    if ('error' in checked) outcomes[index] = { kind: 'refused', error: checked.error };
    else {
      good.push({ upload: checked.value, index, position: length });
      length += upload.bytes.length;
    }
  }
  if (good.length === 0) return outcomes;
  const bytes = new Uint8Array(length);
  for (const { upload, position } of good) bytes.set(upload.bytes, position);
  const place = await services.spool.append(active.at, bytes);
  const placed = good.map(({ upload, position }) => ({
    upload,
    chunk: {
      offset: 0,
      segment: place.segment,
      position: place.position + position,
      length: upload.bytes.length,
    },
  }));
  const written = await services.store.enqueue('signed-uploads', (db) => write(db, active, placed));
  const deviceIds: string[] = [];
  for (const [i, { upload, index }] of good.entries()) {
    const outcome = written[i]!;
    if (outcome === 'acknowledged') deviceIds.push(upload.device.deviceId);
    outcomes[index] = outcome === 'acknowledged' ? acknowledge(services, active, upload) : outcome;
  }
  if (deviceIds.length > 0) active.notify({ type: 'uploads_acknowledged', deviceIds });
  return outcomes;
}

function attempt<T>(work: () => T): { readonly value: T } | { readonly error: PulsefoldError } {
  try {
    return { value: work() };
  } catch (error) {
    if (!isPulsefoldError(error)) throw error;
    return { error };
  }
}

function check(services: RoundServices, active: ActiveRound, upload: SignedUpload): Checked {
  const { suite, secagg } = services;
  const { device, bytes } = upload;
  const header = parse(uploadHeader, upload.header);
  ensure(
    bytes.length === header.bodyBytes + header.holderBytes,
    'UPLOAD_OFFSET_MISMATCH',
    'an upload of one piece has the announced size',
  );
  requireSignedUpload(services, { binding: active.binding, active }, device, header);
  const body = bytes.subarray(0, header.bodyBytes);
  const holderPart = bytes.subarray(header.bodyBytes);
  const digests = digestsOf(suite, body, holderPart);
  requireSignedDigest(suite, digests, header);
  secagg.validate(active.scheme, { body, holderPart });
  return { device, header, bytes, bodyDigest: toHex(digests.body) };
}

function acknowledge(
  { suite, signingKey }: RoundServices,
  { binding }: ActiveRound,
  { device, header }: SignedUpload,
): SignedOutcome {
  const statement = acknowledgementStatement(statementOf(binding, device, header));
  return { kind: 'acknowledged', signature: suite.sign(signingKey.secretKey, statement) };
}

type Written = 'acknowledged' | Exclude<SignedOutcome, { kind: 'acknowledged' }>;

const refused = (code: ConstructorParameters<typeof PulsefoldError>[0], message: string): Written => ({
  kind: 'refused',
  error: new PulsefoldError(code, message),
});

/** Rows of whoever was invited, has not withdrawn and sent nothing else, while the round collects. */
function write(
  db: Database,
  { at, parsed }: ActiveRound,
  placed: readonly { readonly upload: Checked; readonly chunk: repository.ChunkRow }[],
): Written[] {
  const { planHex, round } = at;
  if (repository.roundPhase(db, planHex, round) !== 'collecting') return placed.map(() => ({ kind: 'late' }));
  const devices = placed.map(({ upload }) => upload.device.deviceId);
  const invited = repository.invitedAmong(db, planHex, round, devices);
  const withdrawn = withdrawnAmong(db, devices, parsed);
  const known = new Map(
    repository
      .uploadsAmong(db, planHex, round, devices)
      .map(({ device, digest, acknowledged }) => [device, acknowledged === 1 ? digest : '']),
  );
  return placed.map(({ upload, chunk }): Written => {
    const { device, header, bodyDigest } = upload;
    const { deviceId, certificate } = device;
    const digest = toHex(header.digest);
    if (!invited.has(deviceId)) return refused('NOT_INVITED', `check in to round ${round} first`);
    const before = known.get(deviceId);
    if (before !== undefined)
      return before === digest ? 'acknowledged' : refused('SECOND_DIGEST', SECOND_DIGEST);
    if (withdrawn.has(deviceId)) return refused('WITHDRAWN', 'this device has withdrawn from this plan');
    known.set(deviceId, digest);
    repository.insertUpload(db, planHex, round, {
      device: deviceId,
      digest,
      signature: header.signature,
      certificate,
      body_bytes: header.bodyBytes,
      holder_bytes: header.holderBytes,
      received_bytes: chunk.length,
      acknowledged: 1,
      body_digest: bodyDigest,
    });
    repository.insertChunk(db, planHex, round, deviceId, chunk);
    return 'acknowledged';
  });
}
