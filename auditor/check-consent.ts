/**
 * Consents in the log: a plan that asks for consent invites and charges nobody whose consent to its purpose does not stand
 * in the log before; nobody consents again to what they have withdrawn from or been erased from.
 *
 * What a leaf shows is a commitment, a pseudonym, a scope and the digest of purpose and controller. Which columns, what
 * retention and which privacy were agreed to stands in the signed statement, which the person and the coordinator have:
 * attested, as is that there is one. A person finds what was made up in their name (bundle/own-proofs.ts). Trusts: the plan. May be called by: auditor/.
 */
import { toHex, transcript } from '../crypto/bytes.ts';
import { getSuite } from '../crypto/identity/suite.ts';
import type { LeafOf } from '../crypto/log/leaves.ts';
import type { ParsedPlan } from '../protos/plan.ts';
import type { RoundContext } from './check-rounds.ts';
import type { NumberedLeaf } from './run-directory.ts';

/** Leaves about people's rights, over the whole log. */
export interface RightsSummary {
  readonly consents: number;
  readonly withdrawals: number;
  readonly accesses: number;
  readonly erasures: number;
  /** Pseudonyms with a consent to this plan's purpose; undefined where the plan asks for none. */
  readonly consenting: number | undefined;
}

const RIGHTS = {
  consent_commitment: 'consents',
  withdrawal: 'withdrawals',
  subject_access: 'accesses',
  erasure: 'erasures',
} as const;

export function countRights(leaves: Iterable<NumberedLeaf>): Omit<RightsSummary, 'consenting'> {
  const counts = { consents: 0, withdrawals: 0, accesses: 0, erasures: 0 };
  for (const { leaf } of leaves) if (leaf.kind in RIGHTS) counts[RIGHTS[leaf.kind as keyof typeof RIGHTS]]++;
  return counts;
}

/** Scopes in which a consent may cover a plan; derived here, not taken from the audited side. */
function scopesOf({ plan, hashHex }: ParsedPlan): Set<string> {
  const family = plan.privacy?.quota?.family;
  return new Set([`plan:${hashHex}`, ...(family === undefined ? [] : [`family:${family}`])]);
}

const purposeOf = ({ plan }: ParsedPlan): string =>
  toHex(
    getSuite(plan.suite).digest(transcript('consent-purpose', plan.purpose, plan.consent?.controller ?? '')),
  );

/** State of the walk over the log. */
interface Walk {
  readonly context: RoundContext;
  readonly scopes: ReadonlySet<string>;
  readonly purpose: string;
  /** End of the newest consent by pseudonym; Infinity without one. */
  readonly consents: Map<string, number>;
  /** Scopes that a pseudonym has left for good. */
  readonly left: Map<string, Set<string>>;
  readonly openedMs: Map<number, number>;
}

export function checkConsents(context: RoundContext, leaves: readonly NumberedLeaf[]): RightsSummary {
  const { parsed } = context;
  const walk: Walk = {
    context,
    scopes: scopesOf(parsed),
    purpose: purposeOf(parsed),
    consents: new Map(),
    left: new Map(),
    openedMs: new Map(),
  };
  const required = parsed.plan.consent !== undefined;
  for (const { number, leaf } of leaves) {
    if (leaf.kind === 'consent_commitment') noteConsent(walk, number, leaf);
    else if (leaf.kind === 'withdrawal' && leaf.pseudonym !== undefined)
      leave(walk, leaf.pseudonym, leaf.scope ?? '*');
    else if (leaf.kind === 'erasure') leave(walk, leaf.pseudonym, '*');
    else if (required && 'round' in leaf && leaf.planHash === parsed.hashHex) checkRound(walk, number, leaf);
  }
  return { ...countRights(leaves), consenting: required ? walk.consents.size : undefined };
}

function leave({ left }: Walk, pseudonym: string, scope: string): void {
  left.set(pseudonym, (left.get(pseudonym) ?? new Set()).add(scope));
}

function noteConsent(walk: Walk, number: number, leaf: LeafOf<'consent_commitment'>): void {
  const { context, scopes, purpose, consents, left } = walk;
  const { findings, parsed } = context;
  const { pseudonym, scope, purposeDigest, planHash, expiresMs } = leaf;
  const own = planHash === parsed.hashHex;
  const where = { leaf: number };
  if (own)
    findings.require(
      pseudonym !== undefined && scope !== undefined && scopes.has(scope) && purposeDigest === purpose,
      'CONSENT_MISSING',
      'a consent that names this plan is to another purpose, scope or nobody',
      where,
    );
  if (pseudonym === undefined || scope === undefined || !scopes.has(scope) || purposeDigest !== purpose)
    return;
  // Given for a plan alone, it must have been shown that plan.
  if (scope.startsWith('plan:') && !own) return;
  const gone = left.get(pseudonym);
  findings.require(
    gone === undefined || !(gone.has('*') || [...scopes].some((one) => gone.has(one))),
    'CONSENT_MISSING',
    'a consent was taken from a participant who had withdrawn or been erased',
    where,
  );
  consents.set(pseudonym, expiresMs ?? Number.POSITIVE_INFINITY);
}

/** A leaf of a round of this plan. */
function checkRound(
  { context: { findings, parsed }, consents, openedMs }: Walk,
  number: number,
  leaf: NumberedLeaf['leaf'] & { readonly round: number },
): void {
  const where = { leaf: number, round: leaf.round };
  if (leaf.kind === 'round_opened') openedMs.set(leaf.round, leaf.timeMs);
  // Without DP no leaf names participants; then there must be at least as many consents.
  if (leaf.kind === 'round_certificate' && parsed.plan.privacy === null)
    findings.require(
      leaf.cohortCount <= consents.size,
      'CONSENT_MISSING',
      `round ${leaf.round} has ${leaf.cohortCount} participants, ${consents.size} have consented`,
      where,
    );
  const named = leaf.kind === 'reservation' || (leaf.kind === 'settlement' && leaf.outcome === 'charged');
  if (!named) return;
  const opened = openedMs.get(leaf.round) ?? 0;
  const lacking = leaf.pseudonyms.filter((pseudonym) => (consents.get(pseudonym) ?? -1) <= opened);
  findings.require(
    lacking.length === 0,
    'CONSENT_MISSING',
    `round ${leaf.round} ${leaf.kind === 'reservation' ? 'invites' : 'charges'} ${lacking.length} whose consent is not in the log`,
    where,
  );
}
