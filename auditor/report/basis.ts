/**
 * What an audit's figures rest on: recomputed, signed by somebody, or the plan's text. One list for `audit verify` and
 * for the report.
 *
 * Trusts: nothing. May be called by: auditor/report/, cli/.
 */
import type { AuditResult, AuditTrust } from '../verify.ts';
import { fill, type Language, type Pair } from './text.ts';
import { BASIS_TEXT, type Basis } from './text-technical.ts';

export interface BasisStatement {
  readonly id: keyof typeof BASIS_TEXT;
  readonly basis: Basis;
  readonly statement: string;
}

/** What was pinned, without the keys themselves. */
export interface Pinned {
  readonly log: boolean;
  readonly approvers: boolean;
  readonly plan: boolean;
  readonly earlier: boolean;
  readonly witnesses: boolean;
}

export const pinnedOf = (trust: AuditTrust): Pinned => ({
  log: trust.logKey !== undefined,
  approvers: trust.approvers !== undefined,
  plan: trust.planHash !== undefined,
  earlier: trust.earlierCheckpoint !== undefined,
  witnesses: trust.policy !== undefined,
});

/** Statements in the order of a report. `dp`, `sampled`, `consent`: whether any plan has them. */
export function basisIds(
  pinned: Pinned,
  {
    ok,
    dp,
    sampled,
    consent,
  }: { readonly ok: boolean; readonly dp: boolean; readonly sampled: boolean; readonly consent: boolean },
): { id: keyof typeof BASIS_TEXT; basis: Basis }[] {
  const list: { id: keyof typeof BASIS_TEXT; basis: Basis }[] = [];
  const add = (id: keyof typeof BASIS_TEXT, basis: Basis) => list.push({ id, basis });
  // Where something contradicts itself, nothing is called checked that the contradiction may concern.
  if (ok) add('tree', 'checked');
  add(pinned.log ? 'logPinned' : 'logUnpinned', pinned.log && ok ? 'checked' : 'attested');
  add(
    pinned.approvers ? 'approversPinned' : 'approversUnpinned',
    pinned.approvers && ok ? 'checked' : 'attested',
  );
  if (pinned.plan && ok) add('planPinned', 'checked');
  if (ok) {
    add('certificates', 'checked');
    add('sums', 'checked');
    if (dp) add('charges', 'checked');
    if (consent) add('consents', 'checked');
    if (pinned.earlier) add('viewEarlier', 'checked');
    if (pinned.witnesses) add('viewWitnessed', 'checked');
  }
  add('people', 'attested');
  if (consent) add('consentText', 'attested');
  if (sampled) add('sampling', 'attested');
  if (dp) add('code', 'attested');
  add('time', 'attested');
  // An earlier checkpoint shows one view over time, witnesses show one view for all.
  if (!pinned.witnesses) add('view', 'attested');
  add('purpose', 'declared');
  return list;
}

export const basisText = (id: keyof typeof BASIS_TEXT): Pair => BASIS_TEXT[id];

/** For one or more audited runs, in one language. */
export function basisOf(
  results: readonly AuditResult[],
  trust: AuditTrust,
  { sampled, language = 'en' }: { readonly sampled: boolean; readonly language?: Language },
): BasisStatement[] {
  const ok = results.every((result) => result.ok);
  const dp = results.some((result) => result.budget !== undefined);
  const consent = results.some(({ rights }) => rights?.consenting !== undefined);
  return basisIds(pinnedOf(trust), { ok, dp, sampled, consent }).map(({ id, basis }) => ({
    id,
    basis,
    statement: fill(basisText(id), language),
  }));
}
