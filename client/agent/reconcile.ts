/**
 * Compares what the coordinator's ledger says with what this device has verified: its own charge by its own arithmetic,
 * and the total under its pseudonym. A disagreement is an alarm and changes no budget: the device's filter moves on
 * proofs alone (receipts.ts).
 *
 * The total may exceed the verified charges by rounds whose receipts are not here yet, at most by what the device holds
 * reserved, and never fall below them. Trusts: the approved plan and the device's own state. May be called by: client/.
 */
import { z } from 'zod';
import type { ParsedPlan } from '../../protos/plan.ts';
import { accountPlan, realisedCharge } from '../../protos/plan-mechanism.ts';
import type { Receipt } from '../../protos/receipt.ts';
import type { RoundKind } from '../../protos/round-config.ts';
import type { Logger } from './agent-types.ts';

const ALARMS_MAX = 100;
/** Charges stand on a grid of 2^-40; decimals of them are read back to the nearest double. */
const SLACK = 2 ** -39;

const pseudonym = z.string().regex(/^[0-9a-f]{64}$/);

export const accountsSchema = z.strictObject({
  /** Verified charges by pseudonym, at the ledger's order. */
  charged: z.record(pseudonym, z.strictObject({ order: z.string().max(32), amount: z.number().min(0) })),
  alarms: z
    .array(z.strictObject({ planHash: pseudonym, round: z.int().min(1), reason: z.string().max(500) }))
    .max(ALARMS_MAX),
});
export type DeviceAccounts = z.output<typeof accountsSchema>;
export const emptyAccounts = (): DeviceAccounts => ({ charged: {}, alarms: [] });

export interface ChargedReceipt {
  readonly parsed: ParsedPlan;
  readonly kind: RoundKind;
  readonly cohortCount: number;
  readonly receipt: Receipt;
  /** What the device's filter holds reserved, and the order it counts at. */
  readonly reserved: { readonly order: number | 'zcdp'; readonly amount: number };
}

/** A plain decimal as receipts carry it; NaN for anything else. */
const decimalOf = (value: string | number | undefined): number =>
  typeof value === 'number' || /^\d{1,20}(\.\d{1,60})?$/.test(value ?? '') ? Number(value) : Number.NaN;

/** Books a verified charge; the new accounts and, where ledger and device disagree, a sentence. */
export function bookCharge(
  accounts: DeviceAccounts,
  { parsed, kind, cohortCount, receipt, reserved }: ChargedReceipt,
): { readonly accounts: DeviceAccounts; readonly alarm: string | undefined } {
  const account = accountPlan(parsed);
  if (!account) return { accounts, alarm: undefined };
  const order = String(account.order);
  const own = realisedCharge(parsed, kind, cohortCount, account.order);
  const before = accounts.charged[receipt.pseudonym];
  const amount = (before?.order === order ? before.amount : 0) + own;
  const alarm =
    before !== undefined && before.order !== order
      ? `the ledger changed the order it counts at, from ${before.order} to ${order}`
      : (wrongCharge(receipt, order, own) ??
        wrongTotal(receipt, order, amount, String(reserved.order) === order ? reserved.amount : undefined));
  const charged = { ...accounts.charged, [receipt.pseudonym]: { order, amount } };
  if (alarm === undefined) return { accounts: { ...accounts, charged }, alarm };
  const entry = { planHash: parsed.hashHex, round: receipt.round, reason: alarm };
  return { accounts: { charged, alarms: [...accounts.alarms, entry].slice(-ALARMS_MAX) }, alarm };
}

function wrongCharge({ charge }: Receipt, order: string, own: number): string | undefined {
  if (charge === undefined) return 'the receipt of a certified round names no charge';
  const stated = decimalOf(charge.amount);
  if (String(charge.order) === order && Math.abs(stated - own) <= SLACK) return undefined;
  return (
    `the coordinator charged ${String(charge.amount).slice(0, 20)} at order ${charge.order} for this round; ` +
    `by the plan it costs ${own.toPrecision(6)} at order ${order}`
  );
}

/** `reserved` undefined: the device counts at another order, so only the lower bound can be told. */
function wrongTotal(
  { ledger }: Receipt,
  order: string,
  verified: number,
  reserved: number | undefined,
): string | undefined {
  if (ledger === undefined) return undefined;
  const stated = decimalOf(ledger.spent);
  const low = stated >= verified - SLACK;
  const high = reserved === undefined || stated <= verified + reserved + SLACK;
  if (String(ledger.order) === order && low && high) return undefined;
  return (
    `the coordinator's ledger has ${String(ledger.spent).slice(0, 20)} spent under this device's pseudonym; receipts ` +
    `prove ${verified.toPrecision(6)}${reserved === undefined ? '' : ` and ${reserved.toPrecision(6)} is undecided`}`
  );
}

/** Books a verified charge in the state and reports a disagreement, also as the code and reason of the round. */
export function bookReceipt(
  state: { accounts: DeviceAccounts },
  charged: ChargedReceipt,
  logger: Pick<Logger, 'warn'>,
): { readonly code?: 'BUDGET_DISAGREEMENT'; readonly reason?: string } {
  const { accounts, alarm } = bookCharge(state.accounts, charged);
  state.accounts = accounts;
  if (alarm === undefined) return {};
  logger.warn({ round: charged.receipt.round, code: 'BUDGET_DISAGREEMENT' }, alarm);
  return { code: 'BUDGET_DISAGREEMENT', reason: alarm };
}

/** What the device tells the coordinator of its verified charges, for the comparison on that side. */
export function chargedText(accounts: DeviceAccounts, pseudonymHex: string): string {
  const amount = accounts.charged[pseudonymHex]?.amount;
  return amount === undefined ? '' : amount.toFixed(45).replace(/\.?0+$/, '');
}
