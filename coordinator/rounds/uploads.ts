/**
 * Upload intake: resumable, idempotent by (round, device), acknowledged only when durable: first the bytes in the
 * spool, then the row that points at them.
 *
 * Trusts: nothing in a request. The caller has authenticated the device by its certificate; the signature over the
 * upload statement is checked here once more, because the holders will check it too and an upload that they would
 * reject must not take a place. May be called by: coordinator/grpc/rounds-service.ts.
 */
import { toHex } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import type { UploadHeader } from '../../protos/rounds-messages.ts';
import { acknowledgementStatement, lateStatement, type RoundBinding } from '../../protos/statements.ts';
import type { Spool, SpoolRound } from '../storage/spool.ts';
import type { Database } from '../storage/store.ts';
import type { ActiveRound } from './active-round.ts';
import * as repository from './repository.ts';
import type { RoundServices } from './services.ts';
import { PartHasher, placesOf, readPlaces } from './upload-bytes.ts';
import {
  digestsOf,
  requireSignedDigest,
  requireSignedUpload,
  SECOND_DIGEST,
  statementOf,
  type UploadingDevice,
} from './upload-checks.ts';

export interface PutUploadReply {
  readonly nextOffset: number;
  readonly acknowledged: boolean;
  readonly late: boolean;
  readonly signature: Uint8Array;
}

/** The round that the configuration hash of a header names. */
export interface UploadTarget {
  readonly planHex: string;
  readonly binding: RoundBinding;
  /** The round itself while it runs; null once it is over. */
  readonly active: ActiveRound | null;
}

interface Intake {
  readonly target: UploadTarget;
  readonly device: UploadingDevice;
  readonly header: UploadHeader;
  readonly offset: number;
  readonly data: Uint8Array;
}

/** What the transaction found; the reply is signed afterwards. */
type Outcome = { readonly kind: 'stored' | 'acknowledged' | 'late'; readonly nextOffset: number };

/** The check of a complete upload. `prefix`: the stored chunks it covered, so that no others are acknowledged by it. */
interface Verdict {
  readonly prefix: readonly repository.ChunkRow[];
  readonly bodyDigest: string;
  readonly fault: unknown;
}

/** What this process knows of uploads that are coming in; a restart forgets it. */
class IntakeDesk {
  /** One chunk per upload at a time; others wait and look again. */
  readonly underWay = new Map<string, Promise<unknown>>();
  readonly #hashers = new Map<string, PartHasher>();
  readonly #faults = new Map<string, number>();

  /** The hasher that has seen exactly the first `received` bytes of this upload. */
  hasher(key: string, received: number): PartHasher | null {
    const hasher = this.#hashers.get(key);
    return hasher?.received === received ? hasher : null;
  }

  keep(key: string, hasher: PartHasher): void {
    this.#hashers.delete(key);
    this.#hashers.set(key, hasher);
    if (this.#hashers.size > HASHERS_MAX) this.#hashers.delete(this.#hashers.keys().next().value!);
  }

  forget(key: string): void {
    this.#hashers.delete(key);
  }

  noteFault(key: string): void {
    this.#faults.set(key, (this.#faults.get(key) ?? 0) + 1);
    if (this.#faults.size > FAULTY_KEYS_MAX) this.#faults.delete(this.#faults.keys().next().value!);
  }

  requirePatience(key: string): void {
    ensure(
      (this.#faults.get(key) ?? 0) < FAULTY_UPLOADS_MAX,
      'DIGEST_MISMATCH',
      'too many uploads of this device did not match their digest; none is taken any more in this round',
    );
  }
}

/** Uploads of several chunks whose hashes are kept up; others are read again at their end. */
const HASHERS_MAX = 10_000;
/** Every refused upload leaves its chunks in the spool until the round is over. */
const FAULTY_UPLOADS_MAX = 16;
const FAULTY_KEYS_MAX = 100_000;

const desks = new WeakMap<RoundServices, IntakeDesk>();
function deskOf(services: RoundServices): IntakeDesk {
  const desk = desks.get(services) ?? new IntakeDesk();
  desks.set(services, desk);
  return desk;
}

const keyOf = ({ target, device }: Intake): string =>
  `${target.planHex}/${target.binding.round}/${device.deviceId}`;

/**
 * The round of a header. The configuration hash commits to plan, round, model and committee key, so there is nothing
 * else in a header that could name another one; a wrong statement fails at its signature. Throws WRONG_CONFIG.
 */
export function targetOf(
  services: RoundServices,
  configHash: Uint8Array,
  /** The round, if it is under way in this process. */
  roundOf: (planHex: string, round: number) => ActiveRound | null,
): UploadTarget {
  const known = services.store.read('round-by-config', (db) =>
    repository.roundByConfig(db, toHex(configHash)),
  );
  ensure(known, 'WRONG_CONFIG', 'no round has this configuration; check in again');
  return {
    planHex: known.plan,
    active: roundOf(known.plan, known.round),
    binding: repository.bindingOfRow(known),
  };
}

/** Stores one chunk. Errors: BAD_SIGNATURE, NOT_INVITED, SECOND_DIGEST, UPLOAD_OFFSET_MISMATCH, DIGEST_MISMATCH. */
export async function putUpload(services: RoundServices, intake: Intake): Promise<PutUploadReply> {
  const { header, device, target } = intake;
  const statement = statementOf(target.binding, device, header);
  const outcome = await storeChunk(services, intake);
  if (outcome.kind === 'acknowledged')
    target.active?.notify({ type: 'uploads_acknowledged', deviceIds: [device.deviceId] });
  const { suite, signingKey } = services;
  if (outcome.kind === 'stored')
    return { nextOffset: outcome.nextOffset, acknowledged: false, late: false, signature: new Uint8Array(0) };
  const late = outcome.kind === 'late';
  const signature = suite.sign(
    signingKey.secretKey,
    late ? lateStatement(statement) : acknowledgementStatement(statement),
  );
  if (late)
    await services.store.enqueue('late', (db) =>
      repository.putLate(
        db,
        target.planHex,
        target.binding.round,
        device.deviceId,
        toHex(header.digest),
        signature,
      ),
    );
  return { nextOffset: outcome.nextOffset, acknowledged: true, late, signature };
}

async function storeChunk(services: RoundServices, intake: Intake): Promise<Outcome> {
  const desk = deskOf(services);
  const key = keyOf(intake);
  for (;;) {
    const seen = look(services, intake);
    if (seen.kind === 'late') return services.store.enqueue('upload-late', (db) => noteLate(db, intake));
    if (seen.kind !== 'next') return seen;
    const other = desk.underWay.get(key);
    if (!other) {
      desk.requirePatience(key);
      const work = receive(services, desk, intake);
      desk.underWay.set(key, work);
      return work.finally(() => desk.underWay.delete(key));
    }
    await other.catch(() => {});
  }
}

/** What is to be done with a chunk; nothing is spooled that its transaction would refuse anyway. */
function look(services: RoundServices, intake: Intake): Outcome | { readonly kind: 'next' } {
  const { header, device, target, offset, data } = intake;
  const { planHex } = target;
  const { round } = target.binding;
  const totalBytes = header.bodyBytes + header.holderBytes;
  const { row, invited, phase } = services.store.read('upload', (db) => ({
    row: repository.getUpload(db, planHex, round, device.deviceId),
    invited: repository.invitationOf(db, planHex, round, device.deviceId) !== undefined,
    phase: repository.roundPhase(db, planHex, round),
  }));
  if (row) requireSameUpload(header, row);
  if (row?.acknowledged) return { kind: 'acknowledged', nextOffset: totalBytes };
  if (!row) requireSignedUpload(services, target, device, header);
  ensure(
    offset + data.length <= totalBytes,
    'UPLOAD_TOO_LARGE',
    'the chunk goes past the announced upload size',
  );
  ensure(invited, 'NOT_INVITED', `check in to round ${round} first`);
  if (phase !== 'collecting') return { kind: 'late', nextOffset: totalBytes };
  ensure(
    target.active,
    'UNAVAILABLE',
    'the coordinator has just started and takes the round up again; retry',
  );
  const received = row?.received_bytes ?? 0;
  // A repeated chunk, sent again because the reply was lost.
  if (offset + data.length <= received) return { kind: 'stored', nextOffset: received };
  ensure(offset === received, 'UPLOAD_OFFSET_MISMATCH', `resume at offset ${received}`);
  return { kind: 'next' };
}

/** Checks, spools and commits one chunk, in this order. Nothing else happens to this upload meanwhile. */
async function receive(services: RoundServices, desk: IntakeDesk, intake: Intake): Promise<Outcome> {
  const { header, device, target, offset, data } = intake;
  const { planHex } = target;
  const { round } = target.binding;
  const key = keyOf(intake);
  const complete = offset + data.length === header.bodyBytes + header.holderBytes;
  const verdict = complete ? checkComplete(services, desk, intake) : null;
  if (verdict?.fault) {
    desk.noteFault(key);
    desk.forget(key);
    if (offset > 0)
      await services.store.enqueue('upload-chunk', (db) =>
        repository.dropUpload(db, planHex, round, device.deviceId),
      );
    throw verdict.fault;
  }
  const place = await services.spool.append({ planHex, round }, data);
  const outcome = await services.store.enqueue('upload-chunk', (db): Outcome => {
    const row = repository.getUpload(db, planHex, round, device.deviceId);
    if (row) requireSameUpload(header, row);
    if (row?.acknowledged) return { kind: 'acknowledged', nextOffset: row.received_bytes };
    if (repository.roundPhase(db, planHex, round) !== 'collecting') return noteLate(db, intake);
    if (target.active) services.budget.requireTakingPart(db, device.deviceId, target.active.parsed);
    return append(db, intake, row, verdict, { offset, ...place });
  });
  if (outcome.kind === 'stored') keepHash(services, desk, intake);
  else desk.forget(key);
  return outcome;
}

/** Takes a durable chunk into the running hash, so that the last one need not read the others again. */
function keepHash({ suite }: RoundServices, desk: IntakeDesk, intake: Intake): void {
  const { header, offset, data } = intake;
  const key = keyOf(intake);
  const hasher = offset === 0 ? new PartHasher(suite, header.bodyBytes) : desk.hasher(key, offset);
  hasher?.update(data);
  if (hasher) desk.keep(key, hasher);
  else desk.forget(key);
}

/** The first late update of a device stands, like the first one in time. */
function noteLate(db: Database, { header, device, target }: Intake): Outcome {
  const earlier = repository.lateOf(db, target.planHex, target.binding.round, device.deviceId);
  ensure(earlier === undefined || earlier === toHex(header.digest), 'SECOND_DIGEST', SECOND_DIGEST);
  return { kind: 'late', nextOffset: header.bodyBytes + header.holderBytes };
}

function append(
  db: Database,
  intake: Intake,
  row: repository.UploadRow | undefined,
  verdict: Verdict | null,
  chunk: repository.ChunkRow,
): Outcome {
  const { header, device, target } = intake;
  const { planHex } = target;
  const { round } = target.binding;
  const received = row?.received_bytes ?? 0;
  ensure(chunk.offset === received, 'UPLOAD_OFFSET_MISMATCH', `resume at offset ${received}`);
  const receivedBytes = chunk.offset + chunk.length;
  const bodyDigest = verdict?.bodyDigest ?? null;
  if (verdict) requireChecked(db, intake, row, verdict);
  if (row) repository.updateReceived(db, planHex, round, device.deviceId, { receivedBytes, bodyDigest });
  else
    repository.insertUpload(db, planHex, round, {
      device: device.deviceId,
      digest: toHex(header.digest),
      signature: header.signature,
      certificate: device.certificate,
      body_bytes: header.bodyBytes,
      holder_bytes: header.holderBytes,
      received_bytes: receivedBytes,
      acknowledged: verdict ? 1 : 0,
      body_digest: bodyDigest ?? '',
    });
  repository.insertChunk(db, planHex, round, device.deviceId, chunk);
  return { kind: verdict ? 'acknowledged' : 'stored', nextOffset: receivedBytes };
}

/**
 * What is acknowledged must be what was checked: exactly these stored chunks before the last one. Places are never
 * used twice, so equal places are equal bytes.
 */
function requireChecked(
  db: Database,
  { device, target, offset }: Intake,
  row: repository.UploadRow | undefined,
  { prefix }: Verdict,
): void {
  const stored = row ? repository.chunksOf(db, target.planHex, target.binding.round, device.deviceId) : [];
  const same =
    stored.length === prefix.length &&
    stored.every(({ segment, position, length }, i) => {
      const checked = prefix[i]!;
      return segment === checked.segment && position === checked.position && length === checked.length;
    });
  ensure(same, 'UPLOAD_OFFSET_MISMATCH', `send the chunks one after the other; resume at offset ${offset}`);
}

function requireSameUpload(header: UploadHeader, row: repository.UploadRow): void {
  const same =
    row.digest === toHex(header.digest) &&
    row.body_bytes === header.bodyBytes &&
    row.holder_bytes === header.holderBytes;
  ensure(same, 'SECOND_DIGEST', SECOND_DIGEST);
}

/** Checks a complete upload against its digest and the ciphertext format. */
function checkComplete(services: RoundServices, desk: IntakeDesk, intake: Intake): Verdict {
  const { suite, secagg, store, spool } = services;
  const { header, device, target, offset, data } = intake;
  const { planHex, active } = target;
  const at = { planHex, round: target.binding.round };
  const { scheme } = active!;
  const prefix =
    offset === 0
      ? []
      : store.read('upload-chunks', (db) => repository.chunksOf(db, planHex, at.round, device.deviceId));
  // Words and packed residues are valid whatever they are; only BFV residues must be looked at.
  const hasher = scheme.transport === 'shares' ? desk.hasher(keyOf(intake), offset) : null;
  const whole = hasher ? null : wholeUpload(spool, at, prefix, intake);
  try {
    const body = whole?.subarray(0, header.bodyBytes);
    const holderPart = whole?.subarray(header.bodyBytes);
    const digests = hasher?.digests(data) ?? digestsOf(suite, body!, holderPart!);
    requireSignedDigest(suite, digests, header);
    if (body && holderPart) secagg.validate(scheme, { body, holderPart });
    return { prefix, bodyDigest: toHex(digests.body), fault: null };
  } catch (error) {
    return { prefix, bodyDigest: '', fault: error };
  }
}

/** The upload in one piece: the chunk itself where it is the only one. */
function wholeUpload(
  spool: Spool,
  at: SpoolRound,
  prefix: readonly repository.ChunkRow[],
  { offset, data }: Intake,
): Uint8Array {
  if (offset === 0) return data;
  const whole = new Uint8Array(offset + data.length);
  readPlaces(spool, at, placesOf(prefix, 0, offset), whole.subarray(0, offset));
  whole.set(data, offset);
  return whole;
}
