/**
 * One account inside a transaction: its filter and quotas as they stand, decisions, changes.
 *
 * spent stands in a row; what is reserved is the sum of the open holds, of which there is one per round under way. A
 * decision is therefore O(1) in people, rounds and history: one row, the open holds (at most OPEN_MAX), one row per
 * quota, and the arithmetic of crypto/dp/filter.ts. Quotas lie beneath the filter and can only refuse more, so the
 * filter alone carries the guarantee (docs/adr/0032).
 * Trusts: nothing. May be called by: ledger-transaction.ts.
 */
import { type BudgetFilter, canReserve } from '../../crypto/dp/filter.ts';
import { epsilonOfAmount, fromSteps, orderOf, realOf, toSteps } from './ledger-amounts.ts';
import type { QuotaLimit } from './ledger-events.ts';
import type { AccountRow, LedgerTables, OpenHold, RoundRow } from './ledger-tables.ts';
import type { CheckOptions, Refusal } from './ledger-types.ts';

/** Rounds of which one participant may hold an unsettled reservation; more would make decisions slow. */
export const OPEN_MAX = 256;
const NO_QUOTAS: readonly QuotaLimit[] = [];
const WITHDRAWN = 'This participant has withdrawn: nothing more is charged or asked.';

const short = (value: number): string => String(Number(value.toPrecision(4)));

export const quotasOf = ({ quotas }: { readonly quotas: string }): readonly QuotaLimit[] =>
  quotas === '[]' ? NO_QUOTAS : (JSON.parse(quotas) as QuotaLimit[]);

export class LedgerAccount {
  readonly pseudonym: string;
  readonly row: AccountRow;
  readonly #tables: LedgerTables;
  #open: OpenHold[] | undefined;

  constructor(tables: LedgerTables, pseudonym: string, row: AccountRow) {
    this.#tables = tables;
    this.pseudonym = pseudonym;
    this.row = row;
  }

  get #holds(): OpenHold[] {
    this.#open ??= this.#tables.openHolds(this.row.id);
    return this.#open;
  }

  get filter(): BudgetFilter {
    const { filter_order, limit_steps, spent_steps } = this.row;
    let reserved = 0;
    for (const { charge_steps } of this.#holds) reserved += charge_steps;
    return {
      order: orderOf(filter_order),
      limit: fromSteps(limit_steps),
      spent: fromSteps(spent_steps),
      reserved: fromSteps(reserved),
    };
  }

  /** What stands under the name of a quota; its limit is the first that was ever stated, or `limitSteps`. */
  quota(name: string, limitSteps: number): BudgetFilter {
    const row = this.#tables.quota(this.row.id, name);
    let reserved = 0;
    let limit = row?.limit_steps;
    for (const hold of this.#holds)
      for (const drawn of quotasOf(hold))
        if (drawn.name === name) {
          reserved += hold.charge_steps;
          limit ??= drawn.limitSteps;
        }
    return {
      order: orderOf(this.row.filter_order),
      limit: fromSteps(limit ?? limitSteps),
      spent: fromSteps(row?.spent_steps ?? 0),
      reserved: fromSteps(reserved),
    };
  }

  /** Names of all quotas that were drawn on, ascending. */
  quotaNames(): string[] {
    const names = new Set(this.#tables.quotasOf(this.row.id).map(({ name }) => name));
    for (const hold of this.#holds) for (const { name } of quotasOf(hold)) names.add(name);
    return [...names].sort();
  }

  epsilon(amount: number): number {
    return epsilonOfAmount(orderOf(this.row.filter_order), amount, realOf(this.row.delta));
  }

  /** Why a charge is refused, in words; null if it fits. */
  refusal(
    charge: number,
    scopes: readonly string[],
    quotas: readonly QuotaLimit[],
    order: CheckOptions['order'],
  ): Refusal | null {
    const { filter } = this;
    if (
      this.row.withdrawn === 1 &&
      this.#tables.withdrawals(this.row.id).some((scope) => scopes.includes(scope))
    )
      return this.#refuse(filter, WITHDRAWN);
    if (order !== undefined && order !== filter.order)
      return this.#refuse(
        filter,
        `This budget counts at order ${filter.order}, the round is charged at order ${order}.`,
      );
    if (this.#holds.length >= OPEN_MAX)
      return this.#refuse(filter, `${OPEN_MAX} rounds of this participant have not ended yet.`);
    if (!canReserve(filter, charge))
      return this.#refuse(
        filter,
        `The privacy budget is ε = ${short(realOf(this.row.epsilon))} (δ = ${short(realOf(this.row.delta))}). ` +
          this.#sitsOut(filter, charge),
      );
    for (const { name, limitSteps } of quotas) {
      const quota = this.quota(name, limitSteps);
      if (toSteps(quota.limit) !== limitSteps)
        return this.#refuse(
          filter,
          `The share of ${name} in this budget was fixed by an earlier plan at another value.`,
        );
      if (!canReserve(quota, charge))
        return this.#refuse(
          filter,
          `Of this privacy budget ${name} may use ε = ${short(this.epsilon(quota.limit))} ` +
            `(δ = ${short(realOf(this.row.delta))}). ${this.#sitsOut(quota, charge)}`,
        );
    }
    return null;
  }

  #refuse(filter: BudgetFilter, reason: string): Refusal {
    const epsilonSpent = this.epsilon(filter.spent + filter.reserved);
    return { pseudonym: this.pseudonym, reason, epsilonSpent, epsilonAllowed: realOf(this.row.epsilon) };
  }

  #sitsOut(filter: BudgetFilter, charge: number): string {
    const held = filter.spent + filter.reserved;
    return (
      `ε = ${short(this.epsilon(held))} is spent or promised; this round would bring it to ` +
      `ε = ${short(this.epsilon(held + charge))}, so this participant sits it out.`
    );
  }

  /** Whether a reservation of this round exists, in whatever state. */
  holds(round: RoundRow): boolean {
    return this.#tables.hold(round.id, this.row.id) !== undefined;
  }

  /** After `refusal` was null. Repeating it for a round changes nothing. */
  reserve(round: RoundRow): void {
    if (!this.#tables.insertHold(round.id, this.row.id)) return;
    const { id: round_id, charge_steps, quotas } = round;
    this.#open?.push({ round_id, charge_steps, quotas });
  }
}
