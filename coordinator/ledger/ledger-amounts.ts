/**
 * Amounts of the ledger as they are stored: whole steps of 2^-40 (the grid of crypto/dp/filter.ts), so that
 * rows, events and their sums are exact integers; decimals of ε and δ as text.
 *
 * Trusts: nothing. May be called by: coordinator/ledger.
 */
import { rdpToEpsilonAt, zcdpToEpsilon } from '../../crypto/dp/conversion.ts';
import { createFilter, roundCharge } from '../../crypto/dp/filter.ts';
import {
  ceilRational,
  multiplyRational,
  parseRational,
  rational,
  rationalToNumber,
} from '../../crypto/dp/rational.ts';
import { ensure } from '../../crypto/error.ts';

/** The Rényi order at which a filter counts, or zCDP. */
export type FilterOrder = number | 'zcdp';

const STEPS_PER_UNIT = 2 ** 40;

/** An amount on the filter's grid as whole steps; exact. */
export function toSteps(amount: number): number {
  const steps = amount * STEPS_PER_UNIT;
  ensure(Number.isSafeInteger(steps), 'INTERNAL', 'ledger: an amount is off the grid of 2^-40');
  return steps;
}
export const fromSteps = (steps: number): number => steps / STEPS_PER_UNIT;

/** A positive charge, rounded up to whole steps. Throws FIELD_OUT_OF_RANGE or UNSUPPORTED_EVENT. */
export function chargeSteps(charge: number | string): number {
  const amount =
    typeof charge === 'number'
      ? roundCharge(charge)
      : fromSteps(Number(ceilRational(multiplyRational(parseRational(charge), rational(STEPS_PER_UNIT)))));
  ensure(amount > 0 && amount <= 4096, 'FIELD_OUT_OF_RANGE', 'a charge is positive and at most 4096');
  return toSteps(amount);
}

/** A limit rounded down to whole steps. Throws FIELD_OUT_OF_RANGE. */
export function floorSteps(limit: number): number {
  ensure(limit >= 0 && limit <= 4096, 'FIELD_OUT_OF_RANGE', 'a limit is a number from 0 to 4096');
  return Math.floor(limit * STEPS_PER_UNIT);
}

/** Every check-in states the terms of its filter again. */
const decimals = new Map<number | string, string>();
const DECIMALS_MAX = 64;

/** A number's shortest decimal without exponent ('0.00001'); text stays as it is if it is a rational. */
export function decimalText(value: number | string): string {
  const known = decimals.get(value);
  if (known !== undefined) return known;
  const text = toDecimal(value);
  decimals.set(value, text);
  if (decimals.size > DECIMALS_MAX) decimals.delete(decimals.keys().next().value!);
  return text;
}

function toDecimal(value: number | string): string {
  if (typeof value === 'string') {
    parseRational(value);
    return value;
  }
  ensure(Number.isFinite(value) && value >= 0, 'FIELD_OUT_OF_RANGE', 'expected a number, at least 0');
  const [mantissa, exponent] = String(value).split('e');
  if (exponent === undefined) return mantissa!;
  const [whole, fraction = ''] = mantissa!.split('.');
  const shift = Number(exponent);
  if (shift >= 0) return whole + fraction.padEnd(shift, '0');
  return `0.${'0'.repeat(-shift - whole!.length)}${whole}${fraction}`;
}

/** The double nearest to a rational text. */
export const realOf = (text: string): number => rationalToNumber(parseRational(text));

const epsilons = new Map<string, number>();
const EPSILONS_MAX = 4096;

/**
 * ε at δ of an amount; 0 for nothing. For people and reports: the decision is made on the amount itself. Remembered,
 * because the conversion is a search and a thousand participants with one history need one.
 */
export function epsilonOfAmount(order: FilterOrder, amount: number, delta: number): number {
  if (amount === 0) return 0;
  const key = `${order} ${delta} ${amount}`;
  const known = epsilons.get(key);
  if (known !== undefined) return known;
  const epsilon =
    order === 'zcdp' ? zcdpToEpsilon(amount, delta).epsilon : rdpToEpsilonAt(order, amount, delta);
  epsilons.set(key, epsilon);
  if (epsilons.size > EPSILONS_MAX) epsilons.delete(epsilons.keys().next().value!);
  return epsilon;
}

export const orderText = (order: FilterOrder): string => String(order);
export const orderOf = (text: string): FilterOrder => (text === 'zcdp' ? text : Number(text));

/** Asked for a million times in a row by a replay, always for the same terms. */
let last = { epsilon: '', delta: '', order: 0 as FilterOrder, steps: 0 };
const limits = new Map<string, number>();
const LIMITS_MAX = 64;

/** Limit of a filter with these terms, in steps. A whole cohort opens filters with the same ones, and it is a search. */
export function limitStepsOf(epsilon: string, delta: string, order: FilterOrder): number {
  if (last.epsilon === epsilon && last.delta === delta && last.order === order) return last.steps;
  const key = `${epsilon} ${delta} ${order}`;
  const steps = limits.get(key) ?? toSteps(createFilter(realOf(epsilon), realOf(delta), order).limit);
  limits.set(key, steps);
  if (limits.size > LIMITS_MAX) limits.delete(limits.keys().next().value!);
  last = { epsilon, delta, order, steps };
  return steps;
}
