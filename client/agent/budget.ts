/**
 * The device's own budget: it refuses by itself, whatever the coordinator's ledger says (DESIGN §1, §5).
 *
 * One filter per unit of privacy (person, record), over every plan and every budget epoch, because the epoch is
 * named by the plan and a device must not be made to forget by a new name. A round is reserved at its worst case
 * (the smallest cohort the plan allows), before anything is trained; only a verified receipt settles or releases it
 * (receipts.ts), so an unknown fate stays charged. A plan that states a quota is also held to its family's share of
 * this device's own limits, which lies beneath the filter (docs/adr/0032).
 * Trusts: the limits of the device's own configuration.
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
  roundCharge,
  settle,
} from '../../crypto/dp/filter.ts';
import { accountEvents, roundEvent } from '../../crypto/dp/plan-accounting.ts';
import { parseRational } from '../../crypto/dp/rational.ts';
import { isConcentrated } from '../../crypto/dp/zcdp.ts';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { partitionDelta } from '../../protos/plan-groups.ts';
import { roundMechanismOf } from '../../protos/plan-mechanism.ts';
import { shareOfLimit } from '../../protos/plan-quota.ts';
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
  /** By plan hash: what the partitions of a plan with groups may use up of δ, set aside at its first reservation. */
  partitions: z.record(z.string().max(64), amount).optional(),
  /** By family: what its plans have spent and hold reserved; part of the amounts above. */
  families: z
    .record(
      z.string().max(63),
      z.strictObject({ spent: amount, reservations: z.record(z.string().max(100), amount) }),
    )
    .optional(),
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
  const shared = parsed.plan.privacy?.quota?.total.order;
  if (shared !== undefined) return shared;
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
   * ε of everything settled and everything still reserved, at `delta` less what partitions of plans with groups take.
   * Infinity for unit 'none' where the device allows it: nothing bounds what the plan learns.
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
    if (quote === undefined) return true;
    const family = this.#family(quote.state, parsed);
    return (
      canReserve(this.#filter(quote.state), quote.charge) &&
      (family === undefined || canReserve(family, quote.charge))
    );
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
    const family = this.#family(quote.state, parsed);
    if (family !== undefined && !canReserve(family, quote.charge)) {
      const { family: name, share } = parsed.plan.privacy!.quota!;
      throw new PulsefoldError(
        'BUDGET_EXCEEDED',
        `the plans of family ${name} have used their share (${share}) of what this device allows; one more round of ` +
          `plan ${parsed.plan.name} does not fit, so it takes no further part`,
      );
    }
    const { state, charge } = quote;
    const families = withFamily(state, parsed, (held) => ({
      ...held,
      reservations: { ...held.reservations, [id]: charge },
    }));
    this.#write(quote.unit, { ...state, reservations: { ...state.reservations, [id]: charge }, ...families });
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
    const paid = Math.min(actual, held.charge);
    const { spent } = settle(this.#filter(held.state), held.charge, paid);
    const families = withFamily(held.state, parsed, (family) => ({
      spent: family.spent + roundCharge(paid),
      reservations: without(family.reservations, id),
    }));
    const reservations = without(held.state.reservations, id);
    this.#write(held.unit, { ...held.state, spent, reservations, ...families });
  }

  /** What is held for rounds whose fate is unknown, and the order it counts at; nothing where no filter is open. */
  reserved(parsed: ParsedPlan): { readonly order: number | 'zcdp'; readonly amount: number } {
    const state = parsed.plan.privacy && this.#state[parsed.plan.privacy.unit];
    return state ? { order: state.order, amount: sum(state.reservations) } : { order: 'zcdp', amount: 0 };
  }

  /** It is proven that nothing of this device was or can be opened in that round. */
  release(id: string, parsed: ParsedPlan): void {
    const held = this.#held(id, parsed);
    if (!held) return;
    release(this.#filter(held.state), held.charge);
    const families = withFamily(held.state, parsed, (family) => ({
      ...family,
      reservations: without(family.reservations, id),
    }));
    this.#write(held.unit, {
      ...held.state,
      reservations: without(held.state.reservations, id),
      ...families,
    });
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
      epsilonSpent: state ? epsilonOf(used, state.order, this.#delta(state)) : 0,
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
    return { unit, state: withPartitions(state, parsed), charge: chargeOf(event, state.order) };
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
    return { order, limit: this.#limit(order, this.#delta(state)), spent, reserved: sum(state.reservations) };
  }

  /** The share of this plan's family as a filter of its own; undefined where the plan states none. */
  #family(state: UnitState, { plan }: ParsedPlan): BudgetFilter | undefined {
    const quota = plan.privacy?.quota;
    if (quota === undefined) return undefined;
    const { order } = state;
    const limit = shareOfLimit(this.#limit(order, this.#delta(state)), parseRational(quota.share));
    const { spent, reservations } = state.families?.[quota.family] ?? NO_FAMILY;
    return { order, limit, spent, reserved: sum(reservations) };
  }

  /** What of δ is left for ε to be stated at, once partitions that turn out badly are paid for. */
  #delta({ partitions = {} }: UnitState): number {
    return Math.max(0, this.#limits.delta - sum(partitions));
  }

  /** Nothing fits limits that the order cannot express, so they count as 0. */
  #limit(order: number | 'zcdp', delta: number): number {
    if (delta === 0) return 0;
    try {
      return createFilter(this.#limits.epsilon, delta, order).limit;
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

type FamilyState = NonNullable<UnitState['families']>[string];
const NO_FAMILY: FamilyState = { spent: 0, reservations: {} };

/** The plan's family after a change; nothing to write for a plan without one. */
function withFamily(
  state: UnitState,
  { plan }: ParsedPlan,
  change: (family: FamilyState) => FamilyState,
): Pick<UnitState, 'families'> {
  const name = plan.privacy?.quota?.family;
  if (name === undefined) return {};
  const families = state.families ?? {};
  return { families: { ...families, [name]: change(families[name] ?? NO_FAMILY) } };
}

/** Amounts are multiples of 2^-40, so this sum is exact in any order (crypto/dp/filter.ts). */
const sum = (reservations: Readonly<Record<string, number>>): number =>
  Object.values(reservations).reduce((total, charge) => total + charge, 0);

/** Probabilities of bad partitions add up over plans, whatever becomes of their rounds. */
function withPartitions(state: UnitState, parsed: ParsedPlan): UnitState {
  const delta = partitionDelta(parsed);
  return delta === 0 ? state : { ...state, partitions: { ...state.partitions, [parsed.hashHex]: delta } };
}

function without(reservations: Readonly<Record<string, number>>, id: string): Record<string, number> {
  const { [id]: _, ...rest } = reservations;
  return rest;
}

function epsilonOf(used: number, order: number | 'zcdp', delta: number): number {
  if (used === 0) return 0;
  ensure(used > 0, 'INTERNAL', 'a negative charge');
  if (delta === 0) return Number.POSITIVE_INFINITY;
  return order === 'zcdp' ? zcdpToEpsilon(used, delta).epsilon : rdpToEpsilonAt(order, used, delta);
}
