/**
 * The one statement of a round: a certificate of a cohort, or an abort.
 *
 * For: Certify, Abort, and Open (which adopts a quorum's certificate). Trusts: the approved plan and the
 * entries that this holder accepted. A statement is durable before its signature leaves; asked again, the
 * stored signature is given. May be called by: keyholder/ only. DESIGN §2.9.
 */

import { ensure } from '../crypto/error.ts';
import { merkleRoot } from '../crypto/log/merkle.ts';
import { parse } from '../protos/fields.ts';
import {
  abortRequestSchema,
  certifyRequestSchema,
  type StatementReply,
} from '../protos/keyholder-messages.ts';
import type { Plan } from '../protos/plan.ts';
import { abortStatement, type CohortCertificate, certificateStatement } from '../protos/statements.ts';
import type { HolderContext } from './context.ts';
import type { AcceptedEntry, RoundRef, StoredStatement } from './store.ts';

export const byDeviceId = (a: { readonly deviceId: string }, b: { readonly deviceId: string }): number =>
  a.deviceId < b.deviceId ? -1 : a.deviceId > b.deviceId ? 1 : 0;

/** Root of the cohort tree: leaves in the order of their device ids. */
export const cohortRootOf = (entries: readonly Pick<AcceptedEntry, 'deviceId' | 'leaf'>[]): Uint8Array =>
  merkleRoot([...entries].sort(byDeviceId).map((entry) => entry.leaf));

/**
 * Signs `statement` as the round's only one. The stored one wins: same statement, same signature; another one
 * ends in STATEMENT_CONFLICT. The conflict is looked up and the row written without a turn of the event loop
 * between.
 */
export function signOnce(
  context: HolderContext,
  at: RoundRef,
  kind: StoredStatement['kind'],
  statement: Uint8Array,
): StatementReply {
  const { hooks, identity, rules, store } = context;
  const holderId = identity.id;
  const stored = store.statement(at);
  rules.oneStatement(stored, statement);
  if (stored) return { holderId, signature: stored.signature };
  hooks.reached('statement:before-sign');
  const signature = identity.suite.sign(identity.signing.secretKey, statement);
  hooks.reached('statement:signed');
  store.transaction(() => store.putStatement(at, { kind, statement, signature }));
  hooks.reached('statement:stored');
  return { holderId, signature };
}

function acceptedCohort(context: HolderContext, at: RoundRef, deviceIds: readonly string[]): AcceptedEntry[] {
  for (const [i, deviceId] of deviceIds.entries()) {
    const ascending = i === 0 || deviceId > deviceIds[i - 1]!;
    ensure(ascending, 'CERTIFICATE_INVALID', 'device ids must be distinct and in ascending order');
  }
  return deviceIds.map((deviceId) => {
    const entry = context.store.entries.get(at, deviceId);
    ensure(entry, 'CERTIFICATE_INVALID', `device ${deviceId} was not accepted by this holder`);
    return entry;
  });
}

/**
 * Certify. Throws COHORT_TOO_SMALL, CERTIFICATE_INVALID, WRONG_COMMITTEE_KEY, STATEMENT_CONFLICT, KEY_ERASED.
 */
export function certify(context: HolderContext, message: unknown): StatementReply {
  const { deviceIds, ...binding } = parse(certifyRequestSchema, message);
  const { rules, store } = context;
  const at: RoundRef = { planHash: binding.planHash, round: binding.round };
  const { parsed } = context.plans.round(at);
  const certificate: CohortCertificate = { ...binding, cohortCount: deviceIds.length };
  const statement = certificateStatement(certificate);
  // First, so that a repeated request is answered even when the round has moved on since.
  const stored = store.statement(at);
  if (stored) return signOnce(context, at, 'certificate', statement);
  rules.notErased(store.isErased(at));
  const key = store.committeeKey(at);
  ensure(key, 'NOT_FOUND', `the committee key of round ${at.round} is not finished`);
  rules.ownCommitteeKey(binding.committeeKeyId, key.keyId);
  rules.cohortSize(parsed.plan, deviceIds.length);
  const entries = acceptedCohort(context, at, deviceIds);
  rules.oneBinding(entries, binding);
  rules.cohortRoot(cohortRootOf(entries), binding.cohortRoot);
  const reply = signOnce(context, at, 'certificate', statement);
  eraseLeftBehind(context, parsed.plan, at);
  return reply;
}

/**
 * Rounds follow one another, or stand open within overlap + 1 numbers: whoever certifies one is done with those before. A
 * coordinator that never asks for erasure must not leave them to whoever breaks into two holders later.
 */
export function eraseLeftBehind({ rules, store }: HolderContext, plan: Plan, certified: RoundRef): void {
  const round = rules.leftBehind(plan, certified.round);
  for (const earlier of store.unerasedUpTo({ ...certified, round })) store.erase(earlier);
}

/** Abort. The key of an aborted round has no use left and is erased at once. */
export function abort(context: HolderContext, message: unknown): StatementReply {
  const request = parse(abortRequestSchema, message);
  const at: RoundRef = { planHash: request.planHash, round: request.round };
  context.plans.round(at);
  const reply = signOnce(context, at, 'abort', abortStatement(request));
  context.store.erase(at);
  return reply;
}
