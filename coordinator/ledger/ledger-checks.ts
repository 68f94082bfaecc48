/**
 * What the ledger accepts from its callers: names, lists, rounds and quotas, with a cap on each.
 *
 * Trusts: nothing. May be called by: coordinator/ledger.
 */
import { ensure } from '../../crypto/error.ts';
import { floorSteps } from './ledger-amounts.ts';
import type { QuotaLimit, RoundKey } from './ledger-events.ts';
import type { Quota, SettleResult } from './ledger-types.ts';

/** As many as a plan's cohort may have. */
export const PSEUDONYMS_MAX = 1_000_000;
const QUOTAS_MAX = 8;
const PSEUDONYM = /^[A-Za-z0-9_-]{1,128}$/;
export const HASH = /^[0-9a-f]{64}$/;
export const QUOTA_NAME = /^(family|plan):[a-z0-9-]{1,64}$/;
const NO_QUOTAS: readonly QuotaLimit[] = [];

export function checkRound({ planHash, round }: RoundKey): void {
  ensure(HASH.test(planHash), 'MALFORMED_MESSAGE', 'ledger: the plan hash is 32 bytes in hexadecimal');
  ensure(Number.isSafeInteger(round) && round >= 1, 'FIELD_OUT_OF_RANGE', 'ledger: rounds count from 1');
}

export function checkPseudonym(pseudonym: string): void {
  const message = 'ledger: a pseudonym is 1 to 128 letters, digits, - or _';
  ensure(PSEUDONYM.test(pseudonym), 'MALFORMED_MESSAGE', message);
}

export function checkPseudonyms(pseudonyms: readonly string[]): string[] {
  const message = `ledger: at most ${PSEUDONYMS_MAX} pseudonyms`;
  ensure(pseudonyms.length <= PSEUDONYMS_MAX, 'FIELD_OUT_OF_RANGE', message);
  for (const pseudonym of pseudonyms) checkPseudonym(pseudonym);
  const ascends = pseudonyms.every((pseudonym, i) => i === 0 || pseudonyms[i - 1]! < pseudonym);
  return ascends ? [...pseudonyms] : [...new Set(pseudonyms)].sort();
}

/** Ascending by name, on the grid. */
export function checkQuotas(quotas: readonly Quota[] | undefined): readonly QuotaLimit[] {
  if (quotas === undefined || quotas.length === 0) return NO_QUOTAS;
  ensure(quotas.length <= QUOTAS_MAX, 'FIELD_OUT_OF_RANGE', `ledger: at most ${QUOTAS_MAX} quotas`);
  for (const { name } of quotas)
    ensure(QUOTA_NAME.test(name), 'MALFORMED_MESSAGE', 'ledger: a quota is named family:… or plan:…');
  ensure(
    new Set(quotas.map(({ name }) => name)).size === quotas.length,
    'MALFORMED_MESSAGE',
    'ledger: a quota is named twice',
  );
  return quotas
    .map(({ name, limit }) => ({ name, limitSteps: floorSteps(limit) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

export const sameQuotas = (a: readonly QuotaLimit[], b: readonly QuotaLimit[]): boolean =>
  a.length === b.length &&
  a.every(({ name, limitSteps }, i) => name === b[i]!.name && limitSteps === b[i]!.limitSteps);

/** Those of `held` that are included, and the others; both lists ascend. */
export function partedBy(held: string[], included: readonly string[]): SettleResult {
  if (held.length === included.length && held.every((pseudonym, i) => pseudonym === included[i]))
    return { charged: held, released: [] };
  const wanted = new Set(included);
  return {
    charged: held.filter((pseudonym) => wanted.has(pseudonym)),
    released: held.filter((pseudonym) => !wanted.has(pseudonym)),
  };
}
