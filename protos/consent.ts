/**
 * Consent: a device's signed statement that its data may be used for one purpose, and the coordinator's receipt for it.
 *
 * A consent is bound to a purpose text, a controller, the columns that are read, a retention period, a level of privacy
 * and one budget epoch, for a family of plans (privacy.quota.family) or for one plan. A plan of the family that goes
 * further in any of these is not covered (`consentGap`): the device refuses by itself, the coordinator at check-in, and the
 * auditor finds a charge without one. Trusts: nothing; both sides parse here. May be called by: every role.
 */
import { z } from 'zod';
import { toHex, transcript } from '../crypto/bytes.ts';
import { compareRational, parseRational } from '../crypto/dp/rational.ts';
import { getSuite, type Suite } from '../crypto/identity/suite.ts';
import { canonicalRecord } from './canonical-record.ts';
import { bytesOf, bytesUpTo, deviceId, integer, signature } from './fields.ts';
import type { ParsedPlan, Plan } from './plan.ts';
import { familyQuotaName, planQuotaName } from './plan-quota.ts';

/** 257 columns of 64 characters, each up to 4 bytes, and the rest. */
export const CONSENT_BYTES_MAX = 96 * 1024;
export const CONSENT_RECEIPT_BYTES_MAX = 4096;
const COLUMNS_MAX = 257;

/** What a plan says to those whose consent it asks for; absent: the plan asks for none. */
export const consentTermsSchema = z.strictObject({
  required: z.literal(true),
  /** Who decides on purposes and means, in words: a name that a person can look up. */
  controller: z.string().min(1).max(200),
  /** Where a person can ask: an address of mail or the web, a telephone number. */
  contact: z.string().min(1).max(200),
  /** Days after the end of the plan for which the coordinator keeps device ids in its rounds (`retentionInWords`). */
  retentionDays: z.int().min(1).max(36_500),
});
export type ConsentTerms = z.output<typeof consentTermsSchema>;

export const consentScopeText = z
  .string()
  .regex(/^(plan:[0-9a-f]{64}|family:[a-z0-9][a-z0-9-]{0,62})$/, 'expected plan:<hash> or family:<name>');
const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`));
const rational = z.string().regex(/^\d{1,24}(\.\d{1,18}|\/[1-9]\d{0,23})?$/);
const timeMs = integer(0, Number.MAX_SAFE_INTEGER);
const ascending = (values: readonly string[]) => values.every((v, i) => i === 0 || values[i - 1]! < v);

export const consentSchema = z.strictObject({
  version: z.literal(1),
  kind: z.literal('consent'),
  deviceId,
  /** Of the plan's budget epoch. */
  pseudonym: hex(32),
  /** The budget epoch that it is for; another one asks again. */
  epoch: z.string().min(1).max(32),
  scope: consentScopeText,
  /** The plan that was shown. */
  planHash: hex(32),
  /** Of purpose text and controller (`purposeDigestOf`). */
  purposeDigest: hex(32),
  /** Columns that may be read, label included; ascending. */
  columns: z
    .array(z.string().min(1).max(64))
    .min(1)
    .max(COLUMNS_MAX)
    .refine(ascending, 'expected distinct columns in ascending order'),
  /** What it means stands in `retentionInWords`, which the person is shown. */
  retentionDays: integer(1, 36_500),
  /** Least protection that was promised: all plans of a family together, or this plan. null: none. */
  privacy: z
    .strictObject({ unit: z.enum(['person', 'record']), epsilon: rational, delta: rational })
    .nullable(),
  timeMs,
  /** No new round from then on. */
  expiresMs: timeMs.optional(),
});
export type Consent = z.output<typeof consentSchema>;
export const consentRecord = canonicalRecord('consent', consentSchema, CONSENT_BYTES_MAX);

/** What the device signs over the canonical bytes of its consent. */
export const consentStatement = (consent: Uint8Array): Uint8Array => transcript('consent', consent);
/** What the coordinator signs over a consent receipt. */
export const consentReceiptStatement = (receipt: Uint8Array): Uint8Array =>
  transcript('consent-receipt', receipt);

export const consentRequest = z.object({ consent: bytesUpTo(CONSENT_BYTES_MAX), signature });
export const consentReply = z.object({
  receipt: bytesUpTo(CONSENT_RECEIPT_BYTES_MAX),
  signature: bytesOf(64),
});

const receiptSchema = z.strictObject({
  version: z.literal(1),
  kind: z.literal('consent'),
  planHash: hex(32),
  deviceId,
  pseudonym: hex(32),
  scope: consentScopeText,
  purposeDigest: hex(32),
  /** Of the device's statement. */
  timeMs,
  expiresMs: timeMs.optional(),
  receivedMs: timeMs,
  /** H(signed statement ‖ signature): the leaf in the log carries it. */
  commitment: hex(32),
  note: z.string().max(500),
});
export type ConsentReceipt = z.output<typeof receiptSchema>;
export const consentReceiptRecord = canonicalRecord(
  'consent receipt',
  receiptSchema,
  CONSENT_RECEIPT_BYTES_MAX,
);

export const CONSENT_NOTE =
  'It can be withdrawn at any time (pulsefold client withdraw). What is released until then is not unlearned. ' +
  'Retention ends the device id, certificate and uploads in rounds of a plan; which pseudonym a device has, and so which ' +
  'rounds it was invited to or charged for, stays known to the coordinator until the device is erased.';

/** What `retentionDays` means for a person: what goes by itself, and what stays, for how long. */
export const retentionInWords = (
  retentionDays: number,
): readonly { readonly what: string; readonly howLong: string }[] => [
  {
    what: "this device's id, certificate, uploads and verdicts in rounds of this plan, at the coordinator",
    howLong: `until ${retentionDays} days after the plan ends`,
  },
  {
    what:
      'which pseudonym this device has in each budget epoch, at the coordinator, which still shows in which rounds it ' +
      'was charged or invited; and its withdrawals and consents to families of plans',
    howLong: 'until this device is erased (pulsefold client erase)',
  },
  { what: "this device's enrolment, at the registrar", howLong: 'until this device is erased' },
  {
    what: 'device id and digest of each upload that it accepted, at each key holder',
    howLong: 'as long as that operator keeps it',
  },
  { what: 'log and ledger, under pseudonyms', howLong: 'for good' },
];

/** H(signed statement ‖ signature), as leaves of consents, withdrawals, erasures and subject access carry it. */
export const statementCommitment = (suite: Suite, statement: Uint8Array, signed: Uint8Array): string =>
  toHex(suite.digest(statement, signed));

/** The family of the plan where it has one, else the plan. */
export const consentScopeOf = ({ plan, hashHex }: ParsedPlan): string => {
  const family = plan.privacy?.quota?.family;
  return family === undefined ? planQuotaName(hashHex) : familyQuotaName(family);
};

/** Every column that the plan reads, ascending. */
export const consentColumnsOf = ({ features }: Plan): string[] =>
  [...new Set([features.label.column, ...features.features.map(({ column }) => column)])].sort();

const purposes = new WeakMap<ParsedPlan, string>();

/** Purpose text and controller of a plan, in hexadecimal; by the plan's suite. */
export function purposeDigestOf(parsed: ParsedPlan): string {
  const known = purposes.get(parsed);
  if (known !== undefined) return known;
  const { purpose, consent, suite } = parsed.plan;
  const made = toHex(
    getSuite(suite).digest(transcript('consent-purpose', purpose, consent?.controller ?? '')),
  );
  purposes.set(parsed, made);
  return made;
}

/** What bounds the plan's part, as a person was told: the total of its family's filter, or its own ε. */
export function promisedPrivacy({ privacy }: Plan): Consent['privacy'] {
  if (privacy === null) return null;
  const { unit, quota } = privacy;
  const { epsilon, delta } = quota?.total ?? privacy;
  return { unit, epsilon, delta };
}

const exceeds = (a: string, b: string): boolean => compareRational(parseRational(a), parseRational(b)) > 0;

/** Why a consent does not cover a plan at a time, in words that follow "it"; undefined where it does. */
export function consentGap(consent: Consent, parsed: ParsedPlan, nowMs: number): string | undefined {
  const { plan, hashHex } = parsed;
  if (consent.expiresMs !== undefined && nowMs >= consent.expiresMs) return 'has expired';
  if (consent.epoch !== plan.epoch) return `was given for budget epoch ${consent.epoch}`;
  if (consent.scope !== consentScopeOf(parsed) && consent.scope !== planQuotaName(hashHex))
    return 'was given for another plan or family';
  if (consent.purposeDigest !== purposeDigestOf(parsed)) return 'was given for another purpose or controller';
  const more = consentColumnsOf(plan).filter((column) => !consent.columns.includes(column));
  if (more.length > 0) return `does not speak of the columns ${more.slice(0, 8).join(', ')}`;
  if ((plan.consent?.retentionDays ?? 0) > consent.retentionDays)
    return 'was given for a shorter retention period';
  return weaker(promisedPrivacy(plan), consent.privacy)
    ? 'was given under stronger privacy protection'
    : undefined;
}

function weaker(offered: Consent['privacy'], promised: Consent['privacy']): boolean {
  if (promised === null) return false;
  if (offered === null || offered.unit !== promised.unit) return true;
  return exceeds(offered.epsilon, promised.epsilon) || exceeds(offered.delta, promised.delta);
}
