/**
 * How ledger accounts and charges stand in leaves, receipts and reports: as decimals and as records for accountants.
 *
 * Trusts: the ledger. May be called by: coordinator/rounds.
 */
import { formatEvent } from '../../crypto/dp/events.ts';
import { roundEvent } from '../../crypto/dp/plan-accounting.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { roundMechanismOf } from '../../protos/plan-mechanism.ts';
import type { RoundKind } from '../../protos/round-config.ts';
import type { LedgerTransaction } from '../ledger/budget-ledger.ts';

/** Amounts at the order of the account. */
export interface AccountText {
  pseudonym: string;
  order: string;
  epsilon: string;
  delta: string;
  limit: string;
  spent: string;
  reserved: string;
  withdrawn: string[];
}

export function accountText(
  pseudonym: string,
  balance: ReturnType<LedgerTransaction['balance']>,
): AccountText {
  const { order, limit, spent, reserved, epsilonAllowed, delta, withdrawn } = balance;
  return {
    pseudonym,
    order: String(order),
    epsilon: decimal(epsilonAllowed),
    delta: decimal(delta),
    limit: decimal(limit),
    spent: decimal(spent),
    reserved: decimal(reserved),
    withdrawn: [...withdrawn],
  };
}

/** Plain decimal text of a double, never in exponent form; enough digits to be read back exactly as far as it matters. */
export const decimal = (value: number): string => {
  const text = String(value);
  return text.includes('e') ? value.toFixed(40).replace(/0+$/, '').replace(/\.$/, '') : text;
};

const records = new WeakMap<ParsedPlan, Map<string, unknown>>();

/** What happened, as a record that any accountant can interpret. The same for every participant of a round. */
export function mechanismRecord(parsed: ParsedPlan, kind: RoundKind, cohortCount: number) {
  const ofPlan = records.get(parsed) ?? new Map<string, unknown>();
  records.set(parsed, ofPlan);
  const key = `${kind} ${cohortCount}`;
  const known =
    ofPlan.get(key) ?? JSON.parse(formatEvent(roundEvent(roundMechanismOf(parsed, kind, cohortCount)!)));
  ofPlan.set(key, known);
  return known as ReturnType<typeof JSON.parse>;
}
