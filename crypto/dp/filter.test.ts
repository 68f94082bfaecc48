import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rdpToEpsilonAt } from './conversion.ts';
import { gaussianEvent } from './events.ts';
import {
  type BudgetFilter,
  canReserve,
  chargeOf,
  createFilter,
  release,
  reserve,
  roundCharge,
  settle,
} from './filter.ts';
import { rational } from './rational.ts';
import { rdp } from './rdp.ts';
import { zcdp, zcdpToEpsilon } from './zcdp.ts';

const code = (name: string) => expect.objectContaining({ code: name });

describe('creating a filter', () => {
  it('its limit converts back to the budget, never above', () => {
    for (const order of [6, 7, 20, 64]) {
      const { limit } = createFilter(3, 1e-5, order);
      const epsilon = rdpToEpsilonAt(order, limit, 1e-5);
      expect(epsilon).toBeLessThanOrEqual(3 + 1e-12);
      expect(epsilon).toBeGreaterThan(3 - 1e-11);
    }
    const { limit } = createFilter(3, 1e-5, 'zcdp');
    expect(zcdpToEpsilon(limit, 1e-5).epsilon).toBeLessThanOrEqual(3);
    expect(zcdpToEpsilon(limit, 1e-5).epsilon).toBeGreaterThan(3 - 1e-9);
  });

  it.each([
    ['an order that cannot reach the budget', 1, 1e-9, 2],
    ['order 1', 1, 1e-5, 1],
    ['an infinite order', 1, 1e-5, Infinity],
    ['δ = 0', 1, 0, 10],
    ['δ = 1', 1, 1, 10],
    ['ε = NaN', Number.NaN, 1e-5, 10],
    ['ε = ∞', Infinity, 1e-5, 10],
  ])('refuses %s', (_, epsilon, delta, order) => {
    expect(() => createFilter(epsilon, delta, order)).toThrow(code('PARAMETER_UNSAFE'));
  });
});

describe('charges', () => {
  it('are those of the event at the order, rounded up by less than 2^-40', () => {
    const event = gaussianEvent('3');
    for (const [charge, exact] of [
      [chargeOf(event, 7), rdp(event, 7)],
      [chargeOf(event, 'zcdp'), zcdp(event)],
    ] as const) {
      expect(charge).toBeGreaterThanOrEqual(exact);
      expect(charge - exact).toBeLessThan(2 ** -40);
    }
  });

  it('an event without a bound at the order is no charge', () => {
    const sampled = {
      type: 'poisson_sampled',
      samplingRate: rational(1n, 2n),
      event: {
        type: 'discrete_gaussian',
        unit: 'record',
        neighbouring: 'add_or_remove',
        sensitivitySquared: 1n,
        variance: rational(9n),
      },
    } as const;
    expect(() => chargeOf(sampled, 2.5)).toThrow(code('UNSUPPORTED_EVENT'));
    expect(() => chargeOf(sampled, 'zcdp')).toThrow(code('UNSUPPORTED_EVENT'));
  });
});

describe('spending', () => {
  const empty = createFilter(3, 1e-5, 8);

  it('reserves, settles, releases', () => {
    const held = reserve(empty, 0.5);
    expect(held).toMatchObject({ spent: 0, reserved: 0.5 });
    expect(settle(held, 0.5)).toMatchObject({ spent: 0.5, reserved: 0 });
    expect(settle(held, 0.5, 0.25)).toMatchObject({ spent: 0.25, reserved: 0 });
    expect(release(held, 0.5)).toEqual(empty);
    expect(empty).toMatchObject({ spent: 0, reserved: 0 });
  });

  it('fails closed', () => {
    for (const bad of [Number.NaN, -1, Infinity, -0.0001, 5000]) {
      expect(canReserve(empty, bad)).toBe(false);
      expect(() => reserve(empty, bad)).toThrow(code('BUDGET_EXCEEDED'));
    }
    expect(() => reserve(empty, empty.limit + 2 ** -40)).toThrow(/left .* of .* \(RDP at order 8\)/);
    expect(canReserve(empty, empty.limit)).toBe(true);
    expect(() => settle(empty, 0.1)).toThrow(code('BUDGET_EXCEEDED'));
    expect(() => release(empty, 0.1)).toThrow(code('BUDGET_EXCEEDED'));
    const held = reserve(empty, 0.5);
    expect(() => settle(held, 0.5, 0.6)).toThrow(code('BUDGET_EXCEEDED'));
    expect(() => settle(held, 0.5, Number.NaN)).toThrow();
    expect(canReserve({ ...empty, limit: Number.NaN }, 0.1)).toBe(false);
    expect(canReserve({ ...empty, spent: Number.NaN }, 0.1)).toBe(false);
  });

  type Operation = { kind: 'reserve' | 'settle' | 'release'; charge: number; pick: number; share: number };
  const operation: fc.Arbitrary<Operation> = fc.record({
    kind: fc.constantFrom('reserve', 'reserve', 'settle', 'release'),
    charge: fc.oneof(
      fc.double({ min: 0, max: 2, noNaN: true }),
      fc.double({ min: 0, max: 1e-9, noNaN: true }),
      fc.constantFrom(0.1, 1 / 3, Number.NaN, -1, Infinity),
    ),
    pick: fc.nat(),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  });

  /** Runs operations as an honest ledger would, keeping the exact sums aside in integers of 2^-40. */
  function run(start: BudgetFilter, operations: readonly Operation[], reserveWith: typeof reserve) {
    let filter = start;
    const open: number[] = [];
    let truth = 0n;
    let most = 0n;
    const steps = (amount: number) => BigInt(roundCharge(amount) * 2 ** 40);
    for (const { kind, charge, pick, share } of operations) {
      if (kind === 'reserve') {
        try {
          filter = reserveWith(filter, charge);
          open.push(charge);
          truth += steps(charge);
        } catch {
          // refused
        }
      } else if (open.length > 0) {
        const [taken] = open.splice(pick % open.length, 1) as [number];
        const kept = kind === 'settle' ? taken * share : 0;
        filter = kind === 'settle' ? settle(filter, taken, kept) : release(filter, taken);
        truth -= steps(taken) - (kind === 'settle' ? steps(kept) : 0n);
      }
      if (truth > most) most = truth;
    }
    return { filter, truth, most, limit: BigInt(start.limit * 2 ** 40) };
  }

  it('never overspends under any interleaving, and never drifts', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 300, size: 'max' }), (operations) => {
        const { filter, truth, most, limit } = run(empty, operations, reserve);
        expect(most <= limit).toBe(true);
        expect(BigInt((filter.spent + filter.reserved) * 2 ** 40)).toBe(truth);
      }),
      { numRuns: 300 },
    );
  });

  it('the property catches a filter that forgets what is reserved', () => {
    const weakened: typeof reserve = (filter, charge) => {
      if (!canReserve({ ...filter, reserved: 0 }, charge)) throw new Error('refused');
      return { ...filter, reserved: filter.reserved + roundCharge(charge) };
    };
    const result = fc.check(
      fc.property(fc.array(operation, { maxLength: 300, size: 'max' }), (operations) => {
        const { most, limit } = run(empty, operations, weakened);
        return most <= limit;
      }),
      { numRuns: 300, seed: 1 },
    );
    expect(result.failed).toBe(true);
  });

  it('a decision costs microseconds, however much was spent before', () => {
    let filter = createFilter(1000, 1e-5, 8);
    const start = performance.now();
    for (let i = 0; i < 100_000; i++) filter = settle(reserve(filter, 0.001), 0.001);
    expect((performance.now() - start) / 100_000).toBeLessThan(0.05);
    expect(filter.spent).toBeCloseTo(100, 6);
  });
});
