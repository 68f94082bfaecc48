/**
 * What a device believes of a plan and of an invitation, and why (DESIGN §2.1, §2.3).
 *
 * The coordinator is only a messenger here: the plan counts because pinned approvers signed it, the committee key
 * because every holder named in that plan signed it for this round, the model because its digest stands in the round
 * configuration that every client's upload signs. Trusts: the device's own pins. May be called by: client/.
 */
import { createHash } from 'node:crypto';
import { equalBytes, fromHex, toHex } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import { getSuite, type Suite, type SuiteName } from '../../crypto/identity/suite.ts';
import { clipOfRound } from '../../protos/adaptive-clip.ts';
import type { ApprovalPolicy } from '../../protos/approval-policy.ts';
import { BLOB_PAGE_BYTES, parse } from '../../protos/fields.ts';
import { committeeKeyIdOf } from '../../protos/keyholder-messages.ts';
import { committeeKeyCount, type ParsedPlan, parsePlanBytes, requireApproved } from '../../protos/plan.ts';
import { accountPlan } from '../../protos/plan-mechanism.ts';
import { digitCountOf } from '../../protos/plan-scheme.ts';
import { type EncodedRoundConfig, parseRoundConfig } from '../../protos/round-config.ts';
import { committeeKeyStatement, type RoundBinding, shortId, weightsDigest } from '../../protos/statements.ts';
import { blobLength } from '../../protos/strategies/index.ts';
import { firstNonFinite } from '../training/checks.ts';
import { type GetPlanReply, getBlobReply, type Invitation } from './replies.ts';
import type { RoundsTransport } from './transport.ts';

/** What this device was told out of band. */
export interface Pins {
  /** DER of the registrar's CA certificate. */
  readonly registrarCa: Uint8Array;
  /** Only this plan, when set. Hexadecimal. */
  readonly planHash?: string | undefined;
  /** Only a plan of this name, when set. */
  readonly planName?: string | undefined;
}

/** An approved plan and what follows from it. */
export interface PlanSession {
  readonly parsed: ParsedPlan;
  readonly suite: Suite;
}

/** Checks a plan against approvers and pins. Throws PLAN_INVALID, PLAN_NOT_APPROVED or WRONG_PLAN. */
export function acceptPlan(
  reply: GetPlanReply,
  own: { readonly policy: ApprovalPolicy; readonly pins: Pins; readonly suite: SuiteName },
): PlanSession {
  const parsed = parsePlanBytes(reply.plan);
  const { plan } = parsed;
  ensure(
    plan.suite === own.suite,
    'WRONG_PLAN',
    `the plan uses suite ${plan.suite}, this device ${own.suite}`,
  );
  requireApproved(parsed, reply.approvals, own.policy);
  const pinnedCa = createHash('sha256').update(own.pins.registrarCa).digest('hex');
  ensure(
    plan.registrarSha256 === pinnedCa,
    'WRONG_PLAN',
    'the plan names another registrar than the one this device enrolled with',
  );
  const { planHash, planName } = own.pins;
  ensure(
    planHash === undefined || planHash === parsed.hashHex,
    'WRONG_PLAN',
    'the plan is not the pinned one (plan.hash)',
  );
  ensure(
    planName === undefined || planName === plan.name,
    'WRONG_PLAN',
    'the plan is not the pinned one (plan.name)',
  );
  const sameKey = toHex(reply.coordinatorPublicKey) === plan.coordinatorPublicKey;
  ensure(sameKey, 'WRONG_PLAN', 'the coordinator does not have the key that the plan names');
  // The plan's own noise must keep the ε that stands in it, by this device's arithmetic.
  accountPlan(parsed);
  return { parsed, suite: getSuite(plan.suite) };
}

export interface AcceptedInvitation {
  readonly config: EncodedRoundConfig;
  readonly binding: RoundBinding;
  /** As it came, to be checked by `acceptCommitteeKey`; empty where it has to be fetched. */
  readonly committeeKey: Uint8Array;
}

/**
 * Checks the configuration of a round and the holders' signatures over its committee key. Throws WRONG_PLAN,
 * WRONG_ROUND, WRONG_CONFIG or WRONG_COMMITTEE_KEY.
 */
export function acceptInvitation(session: PlanSession, invitation: Invitation): AcceptedInvitation {
  const { parsed, suite } = session;
  const encoded = parseRoundConfig(invitation.config, suite);
  const { config } = encoded;
  ensure(
    config.planHash === parsed.hashHex,
    'WRONG_PLAN',
    'the round belongs to another plan than the approved one',
  );
  const roundMax = committeeKeyCount(parsed.plan);
  ensure(config.round <= roundMax, 'WRONG_ROUND', `the plan has ${roundMax} rounds at most`);
  const planned = config.kind === 'training' || parsed.plan.rounds.evaluation > 0;
  ensure(planned, 'WRONG_CONFIG', 'the plan has no evaluation rounds');
  ensure(
    config.digitCount === digitCountOf(parsed, config.kind),
    'WRONG_CONFIG',
    'the number of digits is not the one that follows from the plan',
  );
  clipOfRound(parsed.plan, config.kind, config.clip);
  const binding: RoundBinding = {
    planHash: parsed.hash,
    round: config.round,
    modelHash: fromHex(config.modelHash),
    configHash: encoded.hash,
    committeeKeyId: fromHex(config.committeeKeyId),
  };
  requireAllHolders(session, invitation, binding);
  return { config: encoded, binding, committeeKey: invitation.committeeKey };
}

/** Every holder, not a quorum: a key that one holder did not make is a key the other three could open (DESIGN §4). */
function requireAllHolders(
  { parsed, suite }: PlanSession,
  invitation: Invitation,
  binding: RoundBinding,
): void {
  const statement = committeeKeyStatement({
    planHash: binding.planHash,
    round: binding.round,
    keyId: binding.committeeKeyId,
  });
  for (const holder of parsed.plan.holders) {
    const signed = invitation.committeeKeySignatures.find(({ holderId }) => holderId === holder.id);
    ensure(
      signed && suite.verify(fromHex(holder.signingPublicKey), statement, signed.signature),
      'WRONG_COMMITTEE_KEY',
      `committee key ${shortId(binding.committeeKeyId)} lacks a valid signature of holder ${holder.id}`,
    );
  }
}

/** Fetches a content-addressed blob page by page. Throws FIELD_OUT_OF_RANGE when it is longer than `bytesMax`. */
export async function fetchBlob(
  transport: RoundsTransport,
  digest: Uint8Array,
  bytesMax: number,
): Promise<Uint8Array> {
  let out: Uint8Array | undefined;
  for (let offset = 0; out === undefined || offset < out.length; ) {
    const page = parse(getBlobReply, await transport.getBlob({ digest, offset }));
    const { totalBytes } = page;
    ensure(
      totalBytes >= 1 && totalBytes <= bytesMax,
      'FIELD_OUT_OF_RANGE',
      `the blob must have 1 to ${bytesMax} bytes`,
    );
    out ??= new Uint8Array(totalBytes);
    const expected = Math.min(BLOB_PAGE_BYTES, out.length - offset);
    const whole = totalBytes === out.length && page.data.length >= 1 && page.data.length <= expected;
    ensure(whole, 'MALFORMED_MESSAGE', 'the pages of a blob do not fit together');
    out.set(page.data, offset);
    offset += page.data.length;
  }
  return out;
}

/** Little-endian float32 weights whose digest the round configuration names. Throws WRONG_MODEL. */
export function acceptWeights(session: PlanSession, binding: RoundBinding, bytes: Uint8Array): Float32Array {
  const count = blobLength(session.parsed.plan);
  ensure(bytes.length === 4 * count, 'WRONG_MODEL', `the model must have ${count} weights of 4 bytes`);
  const digest = weightsDigest(session.suite, bytes);
  ensure(
    equalBytes(digest, binding.modelHash),
    'WRONG_MODEL',
    'the model is not the one this round is bound to',
  );
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const weights = new Float32Array(count);
  for (let i = 0; i < count; i++) weights[i] = view.getFloat32(4 * i, true);
  ensure(firstNonFinite(weights) < 0, 'WRONG_MODEL', 'the model has a weight that is not a finite number');
  return weights;
}

/** Largest committee key that is fetched. */
export const COMMITTEE_KEY_BYTES_MAX = 1024 * 1024;

/** Ties the bytes of a committee key to the id that every holder signed. Throws WRONG_COMMITTEE_KEY. */
export function acceptCommitteeKey(
  session: PlanSession,
  binding: RoundBinding,
  publicKey: Uint8Array,
): Uint8Array {
  const own = equalBytes(committeeKeyIdOf(session.suite, publicKey), binding.committeeKeyId);
  ensure(own, 'WRONG_COMMITTEE_KEY', 'the committee key is not the one that the holders signed');
  return publicKey;
}
