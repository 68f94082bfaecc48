/**
 * Upload intake: resumable, idempotent by (round, device), acknowledged only when durable.
 *
 * Trusts: nothing in a request. The caller has authenticated the device by its certificate; the signature over the
 * upload statement is checked here once more, because the holders will check it too and an upload that they would
 * reject must not take a place. May be called by: coordinator/grpc/rounds-service.ts.
 */
import { equalBytes, toHex } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import type { UploadHeader } from '../../protos/rounds-messages.ts';
import { acknowledgementStatement, lateStatement, uploadDigest, uploadStatement } from '../../protos/statements.ts';
import type { Database } from '../storage/store.ts';
import type { ActiveRound } from './active-round.ts';
import * as repository from './repository.ts';
import type { RoundServices } from './services.ts';

export interface UploadingDevice {
  readonly deviceId: string;
  readonly signingPublicKey: Uint8Array;
  readonly certificate: Uint8Array;
}

export interface PutUploadReply {
  readonly nextOffset: number;
  readonly acknowledged: boolean;
  readonly late: boolean;
  readonly signature: Uint8Array;
}

interface Intake {
  readonly planHex: string;
  readonly device: UploadingDevice;
  readonly header: UploadHeader;
  readonly offset: number;
  readonly data: Uint8Array;
}

/** What the transaction found; the reply is signed afterwards. */
type Outcome = { readonly kind: 'stored' | 'acknowledged' | 'late'; readonly nextOffset: number };

/** Stores one chunk. Errors: WRONG_*, BAD_SIGNATURE, NOT_INVITED, SECOND_DIGEST, UPLOAD_OFFSET_MISMATCH, DIGEST_MISMATCH. */
export async function putUpload(
  services: RoundServices,
  round: ActiveRound | null,
  intake: Intake,
): Promise<PutUploadReply> {
  const { header, device, planHex } = intake;
  const statement = { ...header, deviceId: device.deviceId };
  const outcome = await storeChunk(services, round, intake);
  if (outcome.kind === 'acknowledged' && round && round.state.round === header.round)
    round.notify({ type: 'upload_acknowledged', deviceId: device.deviceId });
  const { suite, signingKey } = services;
  if (outcome.kind === 'stored')
    return { nextOffset: outcome.nextOffset, acknowledged: false, late: false, signature: new Uint8Array(0) };
  const late = outcome.kind === 'late';
  const signature = suite.sign(
    signingKey.secretKey,
    late ? lateStatement({ ...header, deviceId: device.deviceId }) : acknowledgementStatement(statement),
  );
  if (late)
    await services.store.enqueue('late', (db) =>
      repository.putLate(db, planHex, header.round, device.deviceId, toHex(header.digest), signature),
    );
  return { nextOffset: outcome.nextOffset, acknowledged: true, late, signature };
}

async function storeChunk(services: RoundServices, round: ActiveRound | null, intake: Intake): Promise<Outcome> {
  const { header, device, planHex, offset, data } = intake;
  const totalBytes = header.c0Bytes + header.c1Bytes;
  const earlier = services.store.read('upload', (db) =>
    repository.getUpload(db, planHex, header.round, device.deviceId),
  );
  if (earlier) requireSameUpload(header, earlier);
  if (earlier?.acknowledged) return { kind: 'acknowledged', nextOffset: totalBytes };
  if (!earlier) checkNewUpload(services, round, intake);
  ensure(offset + data.length <= totalBytes, 'UPLOAD_TOO_LARGE', 'the chunk goes past the announced upload size');
  const complete = offset + data.length === totalBytes;
  // Hashing and range checks happen before the transaction: nobody waits for them in the commit queue.
  const fault = complete ? findFault(services, round, intake) : null;
  const outcome = await services.store.enqueue('upload-chunk', (db): Outcome | 'bad' => {
    if (repository.roundPhase(db, planHex, header.round) !== 'collecting')
      return { kind: 'late', nextOffset: totalBytes };
    const row = repository.getUpload(db, planHex, header.round, device.deviceId);
    if (row) requireSameUpload(header, row);
    if (row?.acknowledged) return { kind: 'acknowledged', nextOffset: totalBytes };
    if (fault) {
      repository.dropUpload(db, planHex, header.round, device.deviceId);
      return 'bad';
    }
    return append(db, intake, row, complete);
  });
  if (outcome === 'bad') throw fault!;
  return outcome;
}

function append(db: Database, intake: Intake, row: repository.UploadRow | undefined, complete: boolean): Outcome {
  const { header, device, planHex, offset, data } = intake;
  ensure(
    repository.invitationOf(db, planHex, header.round, device.deviceId) !== undefined,
    'NOT_INVITED',
    `check in to round ${header.round} first`,
  );
  const received = row?.received_bytes ?? 0;
  // A repeated chunk, sent again because the reply was lost.
  if (offset + data.length <= received) return { kind: 'stored', nextOffset: received };
  ensure(offset === received, 'UPLOAD_OFFSET_MISMATCH', `resume at offset ${received}`);
  if (!row)
    repository.insertUpload(db, planHex, header.round, {
      device: device.deviceId,
      digest: toHex(header.digest),
      signature: header.signature,
      certificate: device.certificate,
      c0_bytes: header.c0Bytes,
      c1_bytes: header.c1Bytes,
      received_bytes: 0,
      acknowledged: 0,
    });
  repository.appendChunk(db, planHex, header.round, device.deviceId, { offset, data, complete });
  return { kind: complete ? 'acknowledged' : 'stored', nextOffset: offset + data.length };
}

function requireSameUpload(header: UploadHeader, row: repository.UploadRow): void {
  const same =
    row.digest === toHex(header.digest) && row.c0_bytes === header.c0Bytes && row.c1_bytes === header.c1Bytes;
  ensure(same, 'SECOND_DIGEST', 'this device already sent another update for this round; send the stored bytes again');
}

/** Everything that binds an upload to its round, and the device's signature. */
function checkNewUpload(services: RoundServices, round: ActiveRound | null, intake: Intake): void {
  const { header, device } = intake;
  // Known round that is over: the transaction answers `late`.
  if (!round || round.state.round !== header.round) {
    const known = services.store.read('round', (db) => repository.getRound(db, intake.planHex, header.round));
    ensure(known, 'WRONG_ROUND', `round ${header.round} is not open; check in again`);
  } else {
    const { binding } = round;
    ensure(equalBytes(header.modelHash, binding.modelHash), 'WRONG_MODEL', 'the update was made from another model');
    ensure(equalBytes(header.configHash, binding.configHash), 'WRONG_CONFIG', 'the update was made under another configuration');
    ensure(
      equalBytes(header.committeeKeyId, binding.committeeKeyId),
      'WRONG_COMMITTEE_KEY',
      'the update is sealed under another committee key',
    );
    const sizes = services.bfv.ciphertextBytes(round.config.config.digitCount);
    ensure(
      header.c0Bytes === sizes.c0 && header.c1Bytes === sizes.c1,
      'VECTOR_LENGTH_MISMATCH',
      `expected c0 of ${sizes.c0} and c1 of ${sizes.c1} bytes`,
    );
  }
  ensure(
    services.suite.verify(device.signingPublicKey, uploadStatement({ ...header, deviceId: device.deviceId }), header.signature),
    'BAD_SIGNATURE',
    'the upload statement is not signed by the device key in its certificate',
  );
}

/** Checks a complete upload against its digest and the ciphertext format; returns the error to throw, if any. */
function findFault(services: RoundServices, round: ActiveRound | null, intake: Intake): unknown {
  const { header, device, planHex, offset, data } = intake;
  if (!round || round.state.round !== header.round) return null;
  const whole = new Uint8Array(header.c0Bytes + header.c1Bytes);
  if (offset > 0) {
    const stored = services.store.read('upload-bytes', (db) =>
      repository.uploadBytes(db, planHex, header.round, device.deviceId),
    );
    if (stored.length !== offset) return null; // the transaction names the offset to resume at
    whole.set(stored);
  }
  whole.set(data, offset);
  const c0 = whole.subarray(0, header.c0Bytes);
  const c1 = whole.subarray(header.c0Bytes);
  try {
    ensure(
      equalBytes(uploadDigest(services.suite, c0, c1), header.digest),
      'DIGEST_MISMATCH',
      'the bytes received do not have the signed digest; send the upload again from offset 0',
    );
    services.bfv.validatePart(c0, 'c0', round.config.config.digitCount);
    services.bfv.validatePart(c1, 'c1', round.config.config.digitCount);
    return null;
  } catch (error) {
    return error;
  }
}
