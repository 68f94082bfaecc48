/**
 * The device's own budget: it refuses by itself, whatever the coordinator's ledger says (DESIGN §1, §5).
 *
 * One filter per unit of privacy (person, record), over every plan and every budget epoch, because the epoch is
 * named by the plan and a device must not be made to forget by a new name. A round is reserved at its worst case
 * (the smallest cohort the plan allows), before anything is trained; only a verified receipt settles or releases it
 * (receipts.ts), so an unknown fate stays charged. Trusts: the limits of the device's own configuration.
 * May be called by: client/.
 */
import { z } from 'zod';
import { rdpToEpsilonAt, zcdpToEpsilon } from '../../crypto/dp/conversion.ts';
import type { DpEvent } from '../../crypto/dp/events.ts';
import {
  type BudgetFilter,
  canReserve,
  chargeOf,
  createFilter,
  release,
  reserve,
  settle,
} from '../../crypto/dp/filter.ts';
import { accountEvents, roundEvent } from '../../crypto/dp/plan-accounting.ts';
import { isConcentrated } from '../../crypto/dp/zcdp.ts';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { roundMechanismOf } from '../../protos/plan-mechanism.ts';
import type { RoundKind } from '../../protos/round-config.ts';

/** What the person allows over the lifetime of this device's state, per unit of privacy. */
export interface BudgetLimits {
  readonly epsilon: number;
  readonly delta: number;
  /** What plans may protect; default: the person. Under unit record a whole table may shift a model unboundedly. */
  readonly units?: readonly Unit[];
  /** Takes part in plans without differential privacy; default false. */
  readonly allowWithoutPrivacy?: boolean;
}

const filterOrder = z.union([z.literal('zcdp'), z.number().gt(1)]);
const amount = z.number().min(0);

const unitStateSchema = z.strictObject({
  order: filterOrder,
  spent: amount,
  /** Charge of each round whose fate is unknown or undecided. */
  reservations: z.record(z.string().max(100), amount),
});

export const budgetStateSchema = z.strictObject({
  person: unitStateSchema.optional(),
  record: unitStateSchema.optional(),
});

export type BudgetState = z.output<typeof budgetStateSchema>;
type UnitState = z.output<typeof unitStateSchema>;
type Unit = 'person' | 'record';

/** The event of one round with `cohortCount` certified clients; undefined without DP. */
function eventOf(parsed: ParsedPlan, kind: RoundKind, cohortCount: number): DpEvent | undefined {
  const mechanism = roundMechanismOf(parsed, kind, cohortCount);
  return mechanism ? roundEvent(mechanism) : undefined;
}

/**
 * The order to run a fresh filter at: the best one for the whole plan as approved, fixed before anything is spent and
 * without looking at data, as crypto/dp/filter.ts requires.
 */
function orderFor(parsed: ParsedPlan, delta: number): number | 'zcdp' {
  const { training, evaluation } = parsed.plan.rounds;
  const rounds: [RoundKind, number][] = [
    ['training', training],
    ['evaluation', evaluation],
  ];
  const events = rounds.flatMap(([kind, count]): DpEvent[] => {
    const event = count > 0 ? eventOf(parsed, kind, parsed.plan.rounds.cohortMin) : undefined;
    return event ? [{ type: 'self_composed', event, count }] : [];
  });
  if (events.every(isConcentrated)) return 'zcdp';
  return accountEvents(events, delta).order;
}

/** Spent and allowed of one unit, for people. */
export interface BudgetReport {
  readonly unit: Unit | 'none';
  /**
   * ε of everything settled and everything still reserved, at `delta`. Infinity for unit 'none' where the device
   * allows it: nothing bounds what the plan learns.
   */
  readonly epsilonSpent: number;
  readonly epsilonAllowed: number;
  readonly delta: number;
}

export class DeviceBudget {
  readonly #limits: BudgetLimits;
  #state: BudgetState;

  constructor(limits: BudgetLimits, state: BudgetState = {}) {
    this.#limits = limits;
    this.#state = structuredClone(state);
  }

  /** Plain value to store. */
  get state(): BudgetState {
    return structuredClone(this.#state);
  }

  /** True when a round of this kind still fits, by unit of privacy and by amount. */
  fits(parsed: ParsedPlan, kind: RoundKind): boolean {
    if (this.#disallowed(parsed) !== undefined) return false;
    const quote = this.#quote(parsed, kind);
    return quote === undefined || canReserve(this.#filter(quote.state), quote.charge);
  }

  /**
   * Sets the worst-case charge of a round aside under `id`; repeating it for the same id changes nothing.
   * Throws BUDGET_EXCEEDED with a sentence for the person.
   */
  reserve(id: string, parsed: ParsedPlan, kind: RoundKind): void {
    const disallowed = this.#disallowed(parsed);
    if (disallowed !== undefined) throw new PulsefoldError('BUDGET_EXCEEDED', disallowed);
    const quote = this.#quote(parsed, kind);
    if (!quote || Object.hasOwn(quote.state.reservations, id)) return;
    try {
      reserve(this.#filter(quote.state), quote.charge);
    } catch (cause) {
      throw new PulsefoldError('BUDGET_EXCEEDED', this.#refusal(parsed, cause), { cause });
    }
    this.#write(quote.unit, {
      ...quote.state,
      reservations: { ...quote.state.reservations, [id]: quote.charge },
    });
  }

  /**
   * The round was certified with this device in a cohort of `cohortCount`: its real charge is spent, which a larger
   * cohort (more noise) makes smaller than the reservation, never larger.
   */
  settle(id: string, parsed: ParsedPlan, kind: RoundKind, cohortCount: number): void {
    const held = this.#held(id, parsed);
    if (!held) return;
    const event = eventOf(parsed, kind, cohortCount);
    const actual = event ? chargeOf(event, held.state.order) : held.charge;
    const { spent } = settle(this.#filter(held.state), held.charge, Math.min(actual, held.charge));
    this.#write(held.unit, { ...held.state, spent, reservations: without(held.state.reservations, id) });
  }

  /** It is proven that nothing of this device was or can be opened in that round. */
  release(id: string, parsed: ParsedPlan): void {
    const held = this.#held(id, parsed);
    if (!held) return;
    release(this.#filter(held.state), held.charge);
    this.#write(held.unit, { ...held.state, reservations: without(held.state.reservations, id) });
  }

  report(parsed: ParsedPlan): BudgetReport {
    const { epsilon, delta, allowWithoutPrivacy } = this.#limits;
    const unit = parsed.plan.privacy?.unit;
    if (!unit) {
      const epsilonSpent = allowWithoutPrivacy ? Number.POSITIVE_INFINITY : 0;
      return { unit: 'none', epsilonSpent, epsilonAllowed: epsilon, delta };
    }
    const state = this.#state[unit];
    const used = state ? state.spent + sum(state.reservations) : 0;
    return {
      unit,
      epsilonSpent: state ? epsilonOf(used, state.order, delta) : 0,
      epsilonAllowed: epsilon,
      delta,
    };
  }

  /** Why this device takes no part in such a plan whatever it costs, in a sentence for the person. */
  #disallowed({ plan }: ParsedPlan): string | undefined {
    const { units = ['person'], allowWithoutPrivacy = false } = this.#limits;
    if (!plan.privacy)
      return allowWithoutPrivacy
        ? undefined
        : `plan ${plan.name} has no differential privacy, so its ε is unlimited; this device takes no part ` +
            '(budget.allowWithoutPrivacy: true would allow it)';
    const { unit } = plan.privacy;
    return units.includes(unit)
      ? undefined
      : `plan ${plan.name} protects each ${unit}, this device accepts plans that protect each ` +
          `${units.join(' or ')}; it takes no part (budget.units would allow it)`;
  }

  #quote(parsed: ParsedPlan, kind: RoundKind): { unit: Unit; state: UnitState; charge: number } | undefined {
    const event = eventOf(parsed, kind, parsed.plan.rounds.cohortMin);
    const unit = parsed.plan.privacy?.unit;
    if (!event || !unit) return undefined;
    const state = this.#state[unit] ?? {
      order: orderFor(parsed, this.#limits.delta),
      spent: 0,
      reservations: {},
    };
    return { unit, state, charge: chargeOf(event, state.order) };
  }

  #held(id: string, parsed: ParsedPlan): { unit: Unit; state: UnitState; charge: number } | undefined {
    const unit = parsed.plan.privacy?.unit;
    const state = unit && this.#state[unit];
    if (!unit || !state || !Object.hasOwn(state.reservations, id)) return undefined;
    return { unit, state, charge: state.reservations[id]! };
  }

  /** The filter at today's limits: a person may lower them at any time, and what is spent stays spent. */
  #filter(state: UnitState): BudgetFilter {
    const { order, spent } = state;
    return { order, limit: this.#limit(order), spent, reserved: sum(state.reservations) };
  }

  /** Nothing fits limits that the order cannot express, so they count as 0. */
  #limit(order: number | 'zcdp'): number {
    try {
      return createFilter(this.#limits.epsilon, this.#limits.delta, order).limit;
    } catch (error) {
      if (error instanceof PulsefoldError && error.code === 'PARAMETER_UNSAFE') return 0;
      throw error;
    }
  }

  #write(unit: Unit, state: UnitState): void {
    this.#state = { ...this.#state, [unit]: state };
  }

  #refusal(parsed: ParsedPlan, cause: unknown): string {
    const { epsilonSpent, epsilonAllowed, delta } = this.report(parsed);
    const detail = cause instanceof PulsefoldError ? ` (${cause.message})` : '';
    return (
      `this device has used ε = ${epsilonSpent.toFixed(3)} of the ε = ${epsilonAllowed} (δ = ${delta}) that it allows; ` +
      `one more round of plan ${parsed.plan.name} does not fit, so it takes no further part${detail}`
    );
  }
}

/** Amounts are multiples of 2^-40, so this sum is exact in any order (crypto/dp/filter.ts). */
const sum = (reservations: Readonly<Record<string, number>>): number =>
  Object.values(reservations).reduce((total, charge) => total + charge, 0);

function without(reservations: Readonly<Record<string, number>>, id: string): Record<string, number> {
  const { [id]: _, ...rest } = reservations;
  return rest;
}

function epsilonOf(used: number, order: number | 'zcdp', delta: number): number {
  if (used === 0) return 0;
  ensure(used > 0, 'INTERNAL', 'a negative charge');
  return order === 'zcdp' ? zcdpToEpsilon(used, delta).epsilon : rdpToEpsilonAt(order, used, delta);
}
