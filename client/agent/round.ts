/**
 * One round of one device: invitation → checks → budget → training → protection → sealed bytes on disk → upload
 * (DESIGN §2.3–2.7).
 *
 * The order is the point: nothing is trained before the budget holds it, and nothing leaves before the bytes, their
 * signature and the reservation are durable together, so a crash anywhere repeats the same bytes or none.
 * Trusts: what agent.ts passes in. May be called by: agent.ts.
 */
import { concat, fromHex, toHex } from '../../crypto/bytes.ts';
import { ensure, isPulsefoldError, type PulsefoldError } from '../../crypto/error.ts';
import type { RandomSource } from '../../crypto/random.ts';
import type { SealedParts } from '../../crypto/secagg/scheme.ts';
import { schemeOf } from '../../protos/plan-scheme.ts';
import type { RoundKind } from '../../protos/round-config.ts';
import { type UploadStatement, uploadDigest } from '../../protos/statements.ts';
import { strategyOf } from '../../protos/strategies/index.ts';
import type { IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import type { TrainEngine } from '../training/engine.ts';
import type { StrategyMemory } from '../training/strategies/index.ts';
import type { DeviceBudget } from './budget.ts';
import { type Clock, isTransient } from './clock.ts';
import { type DeviceConditions, type DeviceData, requireConditions, requireData } from './eligibility.ts';
import {
  type AcceptedInvitation,
  acceptCommitteeKey,
  acceptInvitation,
  acceptWeights,
  COMMITTEE_KEY_BYTES_MAX,
  fetchBlob,
  type PlanSession,
} from './invitation.ts';
import { signUpload } from './own-statements.ts';
import { fillNoise, protectContribution } from './protect.ts';
import type { Invitation } from './replies.ts';
import type { Sealer, SealRequest } from './seal.ts';
import { type ClientState, type ClientStore, type SealedUpload, uploadName } from './store.ts';
import { RoundMemory } from './strategy-memory.ts';
import type { RoundsTransport } from './transport.ts';
import { countTurn, requireTurn } from './turns.ts';
import { uploadSealed } from './upload.ts';

/** Largest model that is fetched. */
const MODEL_BYTES_MAX = 4 * 10_000_000;

export interface RoundParticipation {
  readonly session: PlanSession;
  readonly identity: IdentityBundle;
  readonly engine: TrainEngine;
  readonly sealer: Sealer;
  readonly transport: RoundsTransport;
  readonly store: ClientStore;
  readonly data: DeviceData;
  readonly conditions: () => DeviceConditions;
  readonly random: RandomSource;
  readonly clock: Clock;
  readonly state: ClientState;
  readonly budget: DeviceBudget;
  readonly patienceMs: number;
  readonly signal: AbortSignal | undefined;
  readonly retry: <T>(operation: () => Promise<T>) => Promise<T>;
  /** Makes state and budget durable together. */
  readonly save: () => Promise<void>;
  /** Set once the invitation is believed: from here on the device may decline for reasons of its own. */
  declined: { readonly round: number; readonly kind: RoundKind } | undefined;
}

/**
 * Verifies an invitation and returns the sealed update for it, durable, making it if there is none yet. A second
 * invitation for a sealed round gets the stored update when it is the same, STATEMENT_CONFLICT when it is not.
 */
export async function sealRound(p: RoundParticipation, invitation: Invitation): Promise<SealedUpload> {
  const accepted = acceptInvitation(p.session, invitation);
  const { config, hashHex } = accepted.config;
  const planHash = p.session.parsed.hashHex;
  const stored = p.state.undecided.find(
    (upload) => upload.planHash === planHash && upload.round === config.round,
  );
  if (stored) {
    const same = stored.configHash === hashHex && stored.modelHash === config.modelHash;
    ensure(
      same,
      'STATEMENT_CONFLICT',
      `round ${config.round} came again with another model or configuration; refused`,
    );
    return stored;
  }
  const finished = p.state.finishedRounds[planHash] ?? 0;
  ensure(config.round > finished, 'WRONG_ROUND', `round ${config.round} is finished for this device`);
  p.declined = { round: config.round, kind: config.kind };
  const { plan } = p.session.parsed;
  requireConditions(plan, p.conditions());
  requireData(plan, p.data, config.kind);
  requireTurn(p.state, p.session.parsed, config.kind);
  const name = uploadName({ planHash, round: config.round });
  p.budget.reserve(name, p.session.parsed, config.kind);
  try {
    return await makeUpload(p, accepted, name);
  } catch (error) {
    // Nothing left this device, and nothing of this round is on disk as state.
    p.budget.release(name, p.session.parsed);
    throw error;
  }
}

async function makeUpload(
  p: RoundParticipation,
  accepted: AcceptedInvitation,
  name: string,
): Promise<SealedUpload> {
  const { session, identity, state } = p;
  const { binding, config: encoded } = accepted;
  const { config } = encoded;
  const memory = memoryOfRound(p, config.round);
  const request = {
    scheme: schemeOf(session.parsed, config.kind).scheme,
    configHash: binding.configHash,
    deviceId: identity.subjectId,
    ...(await makeDigits(p, accepted, memory)),
  };
  const { body, holderPart } = sealAndWipe(p.sealer, request);
  const statement: UploadStatement = {
    ...binding,
    deviceId: identity.subjectId,
    digest: uploadDigest(session.suite, body, holderPart),
  };
  const signature = signUpload(session.suite, identity.signing.secretKey, statement);
  const upload: SealedUpload = {
    planHash: session.parsed.hashHex,
    round: config.round,
    kind: config.kind,
    modelHash: config.modelHash,
    configHash: encoded.hashHex,
    committeeKeyId: config.committeeKeyId,
    digest: toHex(statement.digest),
    signature: toHex(signature),
    certificate: toHex(identity.certificate),
    bodyBytes: body.length,
    holderBytes: holderPart.length,
    progress: 'sealed',
  };
  await p.store.putUpload(name, concat(body, holderPart));
  await memory?.flush();
  const before = { undecided: state.undecided, finishedRounds: state.finishedRounds, turns: state.turns };
  state.undecided = [...state.undecided, upload];
  state.finishedRounds = { ...state.finishedRounds, [upload.planHash]: upload.round };
  state.turns = countTurn(state, upload.planHash, upload.kind, 1);
  try {
    await p.save();
  } catch (error) {
    Object.assign(state, before);
    throw error;
  }
  return upload;
}

/** For strategies that keep something on the device. */
function memoryOfRound(
  { session, store, state }: RoundParticipation,
  round: number,
): RoundMemory | undefined {
  const { plan, hashHex: planHash } = session.parsed;
  return strategyOf(plan).memory && new RoundMemory({ store, state, planHash, round });
}

/** The noise is there before there is an update, and is drawn while the model travels (crypto/dp/noise-pool.ts). */
async function makeDigits(
  p: RoundParticipation,
  { binding, config: { config }, committeeKey: inlineKey }: AcceptedInvitation,
  memory: StrategyMemory | undefined,
): Promise<Pick<SealRequest, 'committeeKey' | 'digits'>> {
  const { session, transport, engine, random } = p;
  const { parsed } = session;
  const fetch = (digest: Uint8Array, bytesMax: number) =>
    p.retry(() => fetchBlob(transport, digest, bytesMax));
  const [model, noise] = await Promise.all([
    fetch(binding.modelHash, MODEL_BYTES_MAX),
    fillNoise(parsed, config, random),
  ]);
  try {
    const weights = acceptWeights(session, binding, model);
    const keyBlob =
      inlineKey.length > 0 ? inlineKey : await fetch(binding.committeeKeyId, COMMITTEE_KEY_BYTES_MAX);
    const committeeKey = acceptCommitteeKey(session, binding, keyBlob);
    const data = requireData(parsed.plan, p.data, config.kind);
    const input = { parsed, config, weights, data, engine, random, noise, memory };
    const digits = await protectContribution(input);
    return { committeeKey, digits };
  } finally {
    noise.wipe();
  }
}

function sealAndWipe(sealer: Sealer, request: SealRequest): SealedParts {
  try {
    return sealer.seal(request);
  } finally {
    request.digits.fill(0);
  }
}

/** The signed fields of a stored upload. */
export const statementOf = (upload: SealedUpload, deviceId: string): UploadStatement => ({
  planHash: fromHex(upload.planHash),
  round: upload.round,
  modelHash: fromHex(upload.modelHash),
  configHash: fromHex(upload.configHash),
  committeeKeyId: fromHex(upload.committeeKeyId),
  digest: fromHex(upload.digest),
  deviceId,
});

export interface SendAnswer {
  readonly changes: Pick<SealedUpload, 'progress'> & Partial<Pick<SealedUpload, 'coordinatorSignature'>>;
  /** The coordinator's own coded refusal, if that is how it ended. */
  readonly refusal?: PulsefoldError;
}

/** Sends a stored upload, byte for byte. Throws UNAVAILABLE after patience and BAD_SIGNATURE for a forged answer. */
export async function sendRound(p: RoundParticipation, upload: SealedUpload): Promise<SendAnswer> {
  const { session } = p;
  const bytes = await p.store.getUpload(uploadName(upload));
  const body = bytes.subarray(0, upload.bodyBytes);
  const holderPart = bytes.subarray(upload.bodyBytes);
  const intact =
    bytes.length === upload.bodyBytes + upload.holderBytes &&
    toHex(uploadDigest(session.suite, body, holderPart)) === upload.digest;
  ensure(intact, 'CHECKSUM_MISMATCH', 'the stored update was changed on disk; it is not sent');
  const statement = statementOf(upload, p.identity.subjectId);
  const { configHash, digest } = statement;
  const { bodyBytes, holderBytes } = upload;
  const signature = fromHex(upload.signature);
  try {
    const { progress, coordinatorSignature } = await uploadSealed({
      transport: p.transport,
      suite: session.suite,
      coordinatorPublicKey: fromHex(session.parsed.plan.coordinatorPublicKey),
      statement,
      header: { configHash, digest, signature, bodyBytes, holderBytes },
      bytes,
      clock: p.clock,
      random: p.random,
      patienceMs: p.patienceMs,
      signal: p.signal,
    });
    return { changes: { progress, coordinatorSignature: toHex(coordinatorSignature) } };
  } catch (error) {
    const refused = isPulsefoldError(error) && !isTransient(error) && error.code !== 'BAD_SIGNATURE';
    if (!refused) throw error;
    return { changes: { progress: 'refused' }, refusal: error };
  }
}
