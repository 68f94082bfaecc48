/**
 * Upload intake: resumable, idempotent by (round, device), acknowledged only when durable.
 *
 * Trusts: nothing in a request. The caller has authenticated the device by its certificate; the signature over the
 * upload statement is checked here once more, because the holders will check it too and an upload that they would
 * reject must not take a place. May be called by: coordinator/grpc/rounds-service.ts.
 */
import { equalBytes, fromHex, toHex } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import type { UploadHeader } from '../../protos/rounds-messages.ts';
import {
  acknowledgementStatement,
  lateStatement,
  uploadDigest,
  uploadStatement,
} from '../../protos/statements.ts';
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

/** The check of a complete upload. `prefix`: the stored bytes it covered, so that no others are acknowledged by it. */
interface Verdict {
  readonly prefix: Uint8Array;
  readonly fault: unknown;
}

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

async function storeChunk(
  services: RoundServices,
  round: ActiveRound | null,
  intake: Intake,
): Promise<Outcome> {
  const { header, device, planHex, offset, data } = intake;
  const totalBytes = header.c0Bytes + header.c1Bytes;
  // With every chunk, also of a known upload: the coordinator signs these fields in its reply.
  requireBinding(services, round, intake);
  const earlier = services.store.read('upload', (db) =>
    repository.getUpload(db, planHex, header.round, device.deviceId),
  );
  if (earlier) requireSameUpload(header, earlier);
  if (earlier?.acknowledged) return { kind: 'acknowledged', nextOffset: totalBytes };
  // Also for a later chunk: its transaction may find the row gone and insert what this request carries.
  checkNewUpload(services, round, intake);
  ensure(
    offset + data.length <= totalBytes,
    'UPLOAD_TOO_LARGE',
    'the chunk goes past the announced upload size',
  );
  const complete = offset + data.length === totalBytes;
  // Hashing and range checks happen before the transaction: nobody waits for them in the commit queue.
  const verdict = complete ? checkComplete(services, round, intake) : null;
  const outcome = await services.store.enqueue('upload-chunk', (db): Outcome | 'bad' => {
    const row = repository.getUpload(db, planHex, header.round, device.deviceId);
    if (row) requireSameUpload(header, row);
    if (row?.acknowledged) return { kind: 'acknowledged', nextOffset: totalBytes };
    ensure(
      repository.invitationOf(db, planHex, header.round, device.deviceId) !== undefined,
      'NOT_INVITED',
      `check in to round ${header.round} first`,
    );
    if (repository.roundPhase(db, planHex, header.round) !== 'collecting') return noteLate(db, intake);
    if (verdict?.fault) {
      repository.dropUpload(db, planHex, header.round, device.deviceId);
      return 'bad';
    }
    return append(db, intake, row, verdict, complete);
  });
  if (outcome === 'bad') throw verdict!.fault;
  return outcome;
}

/** The first late update of a device stands, like the first one in time. */
function noteLate(db: Database, { header, device, planHex }: Intake): Outcome {
  const earlier = repository.lateOf(db, planHex, header.round, device.deviceId);
  ensure(earlier === undefined || earlier === toHex(header.digest), 'SECOND_DIGEST', SECOND_DIGEST);
  return { kind: 'late', nextOffset: header.c0Bytes + header.c1Bytes };
}

function append(
  db: Database,
  intake: Intake,
  row: repository.UploadRow | undefined,
  verdict: Verdict | null,
  complete: boolean,
): Outcome {
  const { header, device, planHex, offset, data } = intake;
  const received = row?.received_bytes ?? 0;
  // A repeated chunk, sent again because the reply was lost.
  if (offset + data.length <= received) return { kind: 'stored', nextOffset: received };
  ensure(offset === received, 'UPLOAD_OFFSET_MISMATCH', `resume at offset ${received}`);
  if (complete) requireChecked(db, intake, verdict);
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

/**
 * Chunks of one upload may be sent at the same time. What was stored after this one was checked has not been: it must
 * be sent, and checked, again.
 */
function requireChecked(
  db: Database,
  { header, device, planHex, offset }: Intake,
  verdict: Verdict | null,
): void {
  const stored = repository.uploadBytes(db, planHex, header.round, device.deviceId);
  ensure(
    verdict && Buffer.compare(stored, verdict.prefix) === 0,
    'UPLOAD_OFFSET_MISMATCH',
    `send the chunks one after the other; resume at offset ${offset}`,
  );
}

const SECOND_DIGEST = 'this device already sent another update for this round; send the stored bytes again';

function requireSameUpload(header: UploadHeader, row: repository.UploadRow): void {
  const same =
    row.digest === toHex(header.digest) && row.c0_bytes === header.c0Bytes && row.c1_bytes === header.c1Bytes;
  ensure(same, 'SECOND_DIGEST', SECOND_DIGEST);
}

const isActive = (round: ActiveRound | null, header: UploadHeader): round is ActiveRound =>
  round !== null && round.state.round === header.round;

/** The round's own hashes, also of one that is over: the transaction will answer that it is late. */
function bindingOf(services: RoundServices, round: ActiveRound | null, intake: Intake) {
  const { header, planHex } = intake;
  if (isActive(round, header)) return round.binding;
  const known = services.store.read('round', (db) => repository.getRound(db, planHex, header.round));
  ensure(known, 'WRONG_ROUND', `round ${header.round} is not open; check in again`);
  return {
    modelHash: fromHex(known.model_hash),
    configHash: fromHex(known.config_hash),
    committeeKeyId: fromHex(known.committee_key_id),
  };
}

function requireBinding(services: RoundServices, round: ActiveRound | null, intake: Intake): void {
  const { header } = intake;
  const binding = bindingOf(services, round, intake);
  ensure(
    equalBytes(header.modelHash, binding.modelHash),
    'WRONG_MODEL',
    'the update was made from another model',
  );
  ensure(
    equalBytes(header.configHash, binding.configHash),
    'WRONG_CONFIG',
    'the update was made under another configuration',
  );
  ensure(
    equalBytes(header.committeeKeyId, binding.committeeKeyId),
    'WRONG_COMMITTEE_KEY',
    'the update is sealed under another committee key',
  );
}

/** Size and signature of an upload that begins. */
function checkNewUpload(services: RoundServices, round: ActiveRound | null, intake: Intake): void {
  const { header, device } = intake;
  if (isActive(round, header)) {
    const sizes = services.bfv.ciphertextBytes(round.config.config.digitCount);
    ensure(
      header.c0Bytes === sizes.c0 && header.c1Bytes === sizes.c1,
      'VECTOR_LENGTH_MISMATCH',
      `expected c0 of ${sizes.c0} and c1 of ${sizes.c1} bytes`,
    );
  }
  ensure(
    services.suite.verify(
      device.signingPublicKey,
      uploadStatement({ ...header, deviceId: device.deviceId }),
      header.signature,
    ),
    'BAD_SIGNATURE',
    'the upload statement is not signed by the device key in its certificate',
  );
}

/**
 * Checks a complete upload against its digest and the ciphertext format. Null when there is nothing to check it with
 * or by: then the transaction says where to go on, or that it is late.
 */
function checkComplete(services: RoundServices, round: ActiveRound | null, intake: Intake): Verdict | null {
  const { header, device, planHex, offset, data } = intake;
  if (!isActive(round, header)) return null;
  const prefix = services.store.read('upload-bytes', (db) =>
    repository.uploadBytes(db, planHex, header.round, device.deviceId),
  );
  if (prefix.length !== offset) return null;
  const whole = new Uint8Array(header.c0Bytes + header.c1Bytes);
  whole.set(prefix);
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
    return { prefix, fault: null };
  } catch (error) {
    return { prefix, fault: error };
  }
}
