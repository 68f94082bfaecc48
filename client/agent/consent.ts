/**
 * Consent of a device: what a person is shown of a plan, the signed statement, and whether one covers a plan.
 *
 * A plan that asks for consent is joined only under a statement of this device that covers it (protos/consent.ts);
 * whatever the coordinator believes. The statement is kept first, then sent. Trusts: the session (an approved plan).
 * May be called by: client/.
 */
import { z } from 'zod';
import { fromHex, fromUtf8, toHex, utf8 } from '../../crypto/bytes.ts';
import { parseRational, rationalToNumber } from '../../crypto/dp/rational.ts';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import {
  CONSENT_BYTES_MAX,
  CONSENT_RECEIPT_BYTES_MAX,
  type Consent,
  type ConsentReceipt,
  consentColumnsOf,
  consentGap,
  consentReceiptRecord,
  consentReceiptStatement,
  consentRecord,
  consentReply,
  consentScopeOf,
  consentStatement,
  promisedPrivacy,
  purposeDigestOf,
  retentionInWords,
  statementCommitment,
} from '../../protos/consent.ts';
import { parse } from '../../protos/fields.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import type { PlanSession } from './invitation.ts';
import type { ClientState } from './store.ts';
import { type WithdrawalParts, withdrawalFrom } from './withdraw.ts';

/** Later ones push out the oldest; the coordinator keeps all. */
const CONSENTS_MAX = 64;
const signatureHex = z.string().regex(/^[0-9a-f]{128}$/);

export const consentsSchema = z
  .array(
    z.strictObject({
      /** Canonical JSON, as it was signed. */
      consent: z.string().max(CONSENT_BYTES_MAX),
      signature: signatureHex,
      /** The coordinator's, once it has answered. */
      receipt: z.string().max(CONSENT_RECEIPT_BYTES_MAX).optional(),
      receiptSignature: signatureHex.optional(),
    }),
  )
  .max(CONSENTS_MAX);
export type StoredConsent = z.output<typeof consentsSchema>[number];

const parsedOf = ({ consent }: StoredConsent): Consent => consentRecord.parse(utf8(consent));

/** The stored consent that covers the plan now. Of those for one epoch, scope and purpose only the newest counts. */
export function coveringConsent(
  { consents }: Pick<ClientState, 'consents'>,
  parsed: ParsedPlan,
  nowMs: number,
): StoredConsent | undefined {
  const replaced = new Set<string>();
  for (const stored of consents.toReversed()) {
    const consent = parsedOf(stored);
    const key = JSON.stringify([consent.epoch, consent.scope, consent.purposeDigest]);
    if (!replaced.has(key) && consentGap(consent, parsed, nowMs) === undefined) return stored;
    replaced.add(key);
  }
  return undefined;
}

/** Why this device takes no part for want of consent; undefined where it may. */
export function consentMissing(
  state: Pick<ClientState, 'consents'>,
  parsed: ParsedPlan,
  nowMs: number,
): PulsefoldError | undefined {
  if (parsed.plan.consent === undefined || coveringConsent(state, parsed, nowMs)) return undefined;
  const scope = consentScopeOf(parsed);
  const near = state.consents.findLast((stored) => parsedOf(stored).scope === scope);
  const why = near
    ? `the consent of this device does not cover it: it ${consentGap(parsedOf(near), parsed, nowMs)}`
    : 'this device has given none';
  return new PulsefoldError(
    'CONSENT_MISSING',
    `the plan asks for consent, and ${why}; read it and decide with: pulsefold client consent`,
  );
}

/** What a person is told before they answer; every part from the approved plan or this device's own configuration. */
export interface ConsentDisclosure {
  readonly planName: string;
  readonly planHash: string;
  readonly purpose: string;
  readonly controller: string;
  readonly contact: string;
  /** `plan`: for this plan alone. `family`: for all plans of a family with this purpose in this budget epoch. */
  readonly extent: 'plan' | 'family';
  readonly scope: string;
  readonly epoch: string;
  /** Columns that are read here and never leave. */
  readonly columns: readonly string[];
  readonly label: string;
  readonly recipients: readonly { readonly who: string; readonly gets: string }[];
  readonly privacy: {
    readonly unit: 'person' | 'record';
    readonly epsilon: string;
    readonly delta: string;
  } | null;
  /** ε and δ in words. */
  readonly privacyInWords: string;
  readonly retentionDays: number;
  /** What goes by itself then, and what stays longer. */
  readonly kept: ReturnType<typeof retentionInWords>;
  /** A consent that covers the plan is stored already. */
  readonly given: boolean;
}

/** Belief in percent after even odds, rounded up, with enough digits to be told from certainty. */
function percent(epsilon: number): string {
  const belief = 100 / (1 + Math.exp(-epsilon));
  const digits = Math.min(6, Math.max(1, Math.ceil(-Math.log10(100 - belief))));
  return (Math.ceil(belief * 10 ** digits) / 10 ** digits).toFixed(digits);
}

function privacyInWords({ plan }: ParsedPlan): string {
  const promised = promisedPrivacy(plan);
  if (promised === null)
    return 'No differential privacy: nothing bounds what the released model shows about you. Only sums can be opened.';
  const { unit, epsilon, delta } = promised;
  const real = (text: string) => rationalToNumber(parseRational(text));
  const what = unit === 'person' ? 'that you took part' : 'some detail of one of your records';
  const all = plan.privacy?.quota ? ' by all plans of this budget epoch together' : '';
  return (
    `Noise bounds what is released${all}: whoever thought it as likely as not ${what} is at most ` +
    `${percent(real(epsilon))} % sure of it afterwards (epsilon ${epsilon}), but for a chance of about ${real(delta)} (delta).`
  );
}

export function disclosureOf(
  parsed: ParsedPlan,
  state: Pick<ClientState, 'consents'>,
  nowMs: number,
): ConsentDisclosure {
  const { plan, hashHex } = parsed;
  const { holders, rounds, features } = plan;
  const terms = requireTerms(parsed);
  const scope = consentScopeOf(parsed);
  return {
    planName: plan.name,
    planHash: hashHex,
    purpose: plan.purpose,
    controller: terms.controller,
    contact: terms.contact,
    extent: scope.startsWith('family:') ? 'family' : 'plan',
    scope,
    epoch: plan.epoch,
    columns: consentColumnsOf(plan),
    label: features.label.column,
    recipients: [
      {
        who: `the coordinator (key ${plan.coordinatorPublicKey.slice(0, 16)}…)`,
        gets: `this device's id, when it takes part, encrypted updates; sums over at least ${rounds.cohortMin} devices`,
      },
      {
        who: `the key holders ${holders.map(({ id }) => id).join(', ')}`,
        gets: "this device's id and its share of keys; no update",
      },
      {
        who: `the registrar (certificate ${plan.registrarSha256.slice(0, 16)}…)`,
        gets: 'the keys that this device enrolled with; nothing of a round',
      },
      {
        who: 'whoever gets the released models and the public log',
        gets: 'noisy sums; a pseudonym per epoch',
      },
    ],
    privacy: promisedPrivacy(plan),
    privacyInWords: privacyInWords(parsed),
    retentionDays: terms.retentionDays,
    kept: retentionInWords(terms.retentionDays),
    given: coveringConsent(state, parsed, nowMs) !== undefined,
  };
}

/** Throws WRONG_PLAN for a plan that asks for no consent: there would be nothing to show. */
function requireTerms({ plan }: ParsedPlan) {
  ensure(
    plan.consent,
    'WRONG_PLAN',
    'this plan asks for no recorded consent (it has no field "consent"); nothing to decide',
  );
  return plan.consent;
}

/**
 * Consents to the plan of the session and returns the coordinator's verified receipt; one that is stored, receipted and
 * without an end is returned without asking, unless an end is given. Throws WITHDRAWN, WRONG_PLAN, BAD_SIGNATURE or
 * MALFORMED_MESSAGE for a receipt that is not the coordinator's or speaks of something else.
 */
export async function giveConsent(
  p: WithdrawalParts,
  { expiresMs }: { readonly expiresMs?: number } = {},
): Promise<ConsentReceipt> {
  const { session, state } = p;
  const { parsed } = session;
  requireTerms(parsed);
  ensure(
    withdrawalFrom(state, parsed) === undefined,
    'WITHDRAWN',
    'this device has withdrawn from this plan, its family or everything; no consent undoes that',
  );
  const nowMs = p.nowMs();
  ensure(
    expiresMs === undefined || expiresMs > nowMs,
    'FIELD_OUT_OF_RANGE',
    'the consent would end before it begins',
  );
  const known = expiresMs === undefined ? coveringConsent(state, parsed, nowMs) : undefined;
  // One with an end is replaced: without --expires a person now agrees until they withdraw.
  if (known?.receipt !== undefined && parsedOf(known).expiresMs === undefined)
    return consentReceiptRecord.parse(utf8(known.receipt));
  const stored = signConsent(p, nowMs, expiresMs);
  state.consents = [...state.consents, stored].slice(-CONSENTS_MAX);
  await p.save();
  return await send(p, stored);
}

/** What a consent is signed with. */
export interface ConsentingDevice {
  readonly session: PlanSession;
  readonly identity: Pick<WithdrawalParts['identity'], 'subjectId' | 'signing'>;
  readonly pseudonym: Uint8Array;
}

/** The signed statement of a device that consents to the plan of its session. Throws WRONG_PLAN. */
export function signConsent(
  { session, identity, pseudonym }: ConsentingDevice,
  timeMs: number,
  expiresMs?: number,
): StoredConsent {
  const { parsed } = session;
  const { plan, hashHex } = parsed;
  const bytes = consentRecord.encode({
    version: 1,
    kind: 'consent',
    deviceId: identity.subjectId,
    pseudonym: toHex(pseudonym),
    epoch: plan.epoch,
    scope: consentScopeOf(parsed),
    planHash: hashHex,
    purposeDigest: purposeDigestOf(parsed),
    columns: consentColumnsOf(plan),
    retentionDays: requireTerms(parsed).retentionDays,
    privacy: promisedPrivacy(plan),
    timeMs,
    ...(expiresMs === undefined ? {} : { expiresMs }),
  });
  const signature = session.suite.sign(identity.signing.secretKey, consentStatement(bytes));
  return { consent: fromUtf8(bytes), signature: toHex(signature) };
}

async function send(p: WithdrawalParts, stored: StoredConsent): Promise<ConsentReceipt> {
  const { session, state, transport } = p;
  const consent = utf8(stored.consent);
  const signature = fromHex(stored.signature);
  ensure(transport.consent, 'UNAVAILABLE', 'this connection carries no consents');
  const reply = await transport.consent({ consent, signature });
  const { receipt, receiptBytes, receiptSignature } = verifyConsentReceipt(session, stored, reply);
  state.consents = state.consents.map((one) =>
    one.consent === stored.consent
      ? { ...one, receipt: fromUtf8(receiptBytes), receiptSignature: toHex(receiptSignature) }
      : one,
  );
  await p.save();
  return receipt;
}

/** The coordinator's receipt for this very consent. Throws BAD_SIGNATURE or MALFORMED_MESSAGE. */
export function verifyConsentReceipt(
  { parsed, suite }: PlanSession,
  stored: Pick<StoredConsent, 'consent' | 'signature'>,
  message: unknown,
): {
  readonly receipt: ConsentReceipt;
  readonly receiptBytes: Uint8Array;
  readonly receiptSignature: Uint8Array;
} {
  const reply = parse(consentReply, message);
  ensure(
    suite.verify(
      fromHex(parsed.plan.coordinatorPublicKey),
      consentReceiptStatement(reply.receipt),
      reply.signature,
    ),
    'BAD_SIGNATURE',
    'the receipt of the consent is not signed by the coordinator of the plan',
  );
  const receipt = consentReceiptRecord.parse(reply.receipt);
  const given = consentRecord.parse(utf8(stored.consent));
  const own =
    receipt.commitment ===
      statementCommitment(suite, consentStatement(utf8(stored.consent)), fromHex(stored.signature)) &&
    receipt.deviceId === given.deviceId &&
    receipt.pseudonym === given.pseudonym &&
    receipt.planHash === given.planHash &&
    receipt.scope === given.scope &&
    receipt.purposeDigest === given.purposeDigest &&
    receipt.expiresMs === given.expiresMs;
  ensure(own, 'MALFORMED_MESSAGE', 'the receipt speaks of another consent than this device gave');
  return { receipt, receiptBytes: reply.receipt, receiptSignature: reply.signature };
}
