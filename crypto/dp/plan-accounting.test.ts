import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DpEvent } from './events.ts';
import { chargeOf, createFilter, reserve, settle } from './filter.ts';
import {
  accountEvents,
  calibrateNoiseVariance,
  type NoiseCalibration,
  noiseMultiplier,
  noiseShares,
  type RoundMechanism,
  roundEvent,
} from './plan-accounting.ts';
import { compareRational, parseRational, rational, rationalToNumber, subtractRational } from './rational.ts';
import { rhoForBudget, zcdp } from './zcdp.ts';

const code = (name: string) => expect.objectContaining({ code: name });
const mechanism: RoundMechanism = {
  unit: 'record',
  sensitivitySquared: 1_049_603n,
  noiseVariance: rational(10n ** 7n),
  noiseShares: 2,
  samplingRate: parseRational('1/2'),
  dimension: 15,
};
const calibration: NoiseCalibration = {
  unit: 'record',
  sensitivitySquared: 1_049_603n,
  noiseShares: 2,
  samplingRate: parseRational('1/2'),
  rounds: 6,
  dimension: 15,
  epsilon: 3,
  delta: 1e-5,
};

describe('noise shares', () => {
  it.each([
    ['1/3', 3, 2],
    ['1/3', 4, 2],
    ['1/3', 6, 4],
    ['0', 200, 200],
    ['0.1', 200, 180],
    ['0.1', 199, 179],
    ['2/3', 1, 0],
    ['0.3', 10, 7], // (1 − 0.3)·10 is 6.999… in doubles
  ])('γ = %s of %d leaves %d', (gamma, count, shares) => {
    expect(noiseShares(parseRational(gamma), count)).toBe(shares);
  });

  it('refuses γ outside [0, 1)', () => {
    expect(() => noiseShares(parseRational('1'), 5)).toThrow(code('PARAMETER_UNSAFE'));
    expect(() => noiseShares(parseRational('-0.1'), 5)).toThrow(code('PARAMETER_UNSAFE'));
    expect(() => noiseShares(parseRational('0'), 1.5)).toThrow(code('FIELD_OUT_OF_RANGE'));
  });
});

describe('round events', () => {
  it('name unit, relation and sampling', () => {
    expect(roundEvent(mechanism)).toMatchObject({
      type: 'poisson_sampled',
      event: { type: 'distributed_discrete_gaussian', unit: 'record', neighbouring: 'zero_out' },
    });
    expect(roundEvent({ ...mechanism, unit: 'person', samplingRate: rational(1n) })).toMatchObject({
      type: 'distributed_discrete_gaussian',
      neighbouring: 'zero_out',
    });
  });

  it('a person-level round never amplifies, and no noise share is no round', () => {
    expect(() => roundEvent({ ...mechanism, unit: 'person' })).toThrow(code('PARAMETER_UNSAFE'));
    expect(() => roundEvent({ ...mechanism, noiseShares: 0 })).toThrow(code('PARAMETER_UNSAFE'));
    expect(() => roundEvent({ ...mechanism, noiseVariance: rational(0n) })).toThrow(
      code('UNSUPPORTED_EVENT'),
    );
  });

  it('several shares need σ ≥ 1/2, one does not', () => {
    const small = parseRational('0.2499');
    expect(() => roundEvent({ ...mechanism, noiseVariance: small })).toThrow(code('UNSUPPORTED_EVENT'));
    roundEvent({ ...mechanism, noiseVariance: small, noiseShares: 1 });
    roundEvent({ ...mechanism, noiseVariance: parseRational('1/4') });
  });
});

describe('accounting', () => {
  it('nothing costs nothing', () => {
    expect(accountEvents([], 1e-5).epsilon).toBe(0);
  });

  it('merged equal rounds equal rounds one by one', () => {
    const one = roundEvent(mechanism);
    const many: DpEvent[] = Array.from({ length: 7 }, () => roundEvent(mechanism));
    expect(accountEvents(many, 1e-5)).toEqual(
      accountEvents([{ type: 'self_composed', event: one, count: 7 }], 1e-5),
    );
  });

  it('sampling, more noise shares and more noise each lower ε; more rounds raise it', () => {
    const epsilon = (change: Partial<RoundMechanism>, count = 6) =>
      accountEvents([{ type: 'self_composed', event: roundEvent({ ...mechanism, ...change }), count }], 1e-5)
        .epsilon;
    expect(epsilon({})).toBeLessThan(epsilon({ samplingRate: rational(1n) }));
    expect(epsilon({ noiseShares: 4 })).toBeLessThan(epsilon({}));
    expect(epsilon({ noiseVariance: rational(2n * 10n ** 7n) })).toBeLessThan(epsilon({}));
    expect(epsilon({}, 7)).toBeGreaterThan(epsilon({}));
    expect(epsilon({ samplingRate: parseRational('999999/1000000') })).toBeLessThan(
      1.05 * epsilon({ samplingRate: rational(1n) }),
    );
  });

  it('an event no accountant knows throws and leaves nothing behind', () => {
    const events: DpEvent[] = [roundEvent(mechanism), { type: 'exponential' } as unknown as DpEvent];
    const before = JSON.stringify(events, (_, v) => (typeof v === 'bigint' ? `${v}` : v));
    expect(() => accountEvents(events, 1e-5)).toThrow(code('UNSUPPORTED_EVENT'));
    expect(JSON.stringify(events, (_, v) => (typeof v === 'bigint' ? `${v}` : v))).toBe(before);
    const filter = createFilter(3, 1e-5, 8);
    expect(() => reserve(filter, chargeOf(events[1]!, 8))).toThrow(code('UNSUPPORTED_EVENT'));
    expect(filter).toMatchObject({ spent: 0, reserved: 0 });
  });
});

describe('calibration', () => {
  it('never goes below the variance that sums of shares need', () => {
    const { noiseVariance } = calibrateNoiseVariance({
      ...calibration,
      rounds: 1,
      sensitivitySquared: 1n,
      noiseShares: 5000,
      dimension: 1,
      epsilon: 999,
    });
    expect(rationalToNumber(noiseVariance)).toBe(0.25);
  });

  const spend = (c: NoiseCalibration, noiseVariance = calibrateNoiseVariance(c).noiseVariance) =>
    accountEvents(
      [
        { type: 'self_composed', event: roundEvent({ ...c, noiseVariance }), count: c.rounds },
        ...(c.otherEvents ?? []),
      ],
      c.delta,
    ).epsilon;

  it.each<[string, Partial<NoiseCalibration>]>([
    ['Poisson records', {}],
    ['all records', { samplingRate: rational(1n) }],
    ['persons', { unit: 'person', samplingRate: rational(1n), noiseShares: 180, dimension: 300 }],
    ['a small budget', { epsilon: 0.1 }],
    ['a large budget and little noise', { epsilon: 50, sensitivitySquared: 1n, noiseShares: 4 }],
  ])('%s: the smallest multiple of 1/1024 that fits', (_, change) => {
    const c = { ...calibration, ...change };
    const { noiseVariance, epsilon } = calibrateNoiseVariance(c);
    expect(1024n % noiseVariance.denominator).toBe(0n);
    expect(epsilon).toBeLessThanOrEqual(c.epsilon);
    expect(spend(c, noiseVariance)).toBe(epsilon);
    const less = subtractRational(noiseVariance, rational(1n, 1024n));
    if (less.numerator > 0n) expect(spend(c, less)).toBeGreaterThan(c.epsilon * (1 - 1e-9));
  });

  it('leaves room for other events of the same budget', () => {
    const histogram: DpEvent = {
      type: 'distributed_discrete_gaussian',
      unit: 'record',
      neighbouring: 'zero_out',
      sensitivitySquared: 1n,
      varianceLocal: rational(50n),
      noiseShares: 2,
      dimension: 40,
    };
    const c = { ...calibration, otherEvents: [histogram] };
    expect(spend(c)).toBeLessThanOrEqual(3);
    expect(
      compareRational(
        calibrateNoiseVariance(c).noiseVariance,
        calibrateNoiseVariance(calibration).noiseVariance,
      ),
    ).toBe(1);
    const tooMuch = { ...histogram, noiseShares: 1, varianceLocal: rational(1n, 100n) };
    expect(() => calibrateNoiseVariance({ ...c, otherEvents: [tooMuch] })).toThrow(code('PARAMETER_UNSAFE'));
  });

  it('unsampled: equals the closed form σ² = T·D²/(2ρ·shares)', () => {
    const { noiseVariance } = calibrateNoiseVariance({ ...calibration, samplingRate: rational(1n) });
    const expected = (6 * 1_049_603) / (2 * rhoForBudget(3, 1e-5) * 2);
    expect(rationalToNumber(noiseVariance) / expected).toBeCloseTo(1, 7);
  });

  it('with calibrated noise exactly `rounds` rounds pass a filter of the same order, and not one more', () => {
    for (const c of [calibration, { ...calibration, samplingRate: rational(1n) }]) {
      const { noiseVariance, order } = calibrateNoiseVariance(c);
      const mode = rationalToNumber(c.samplingRate) === 1 ? 'zcdp' : order;
      const charge = chargeOf(roundEvent({ ...c, noiseVariance }), mode);
      let filter = createFilter(c.epsilon, c.delta, mode);
      for (let round = 0; round < c.rounds; round++) filter = settle(reserve(filter, charge), charge);
      expect(() => reserve(filter, charge)).toThrow(code('BUDGET_EXCEEDED'));
      // A larger certified cohort brings more honest shares and costs less.
      expect(chargeOf(roundEvent({ ...c, noiseVariance, noiseShares: 3 }), mode)).toBeLessThan(charge);
    }
  });

  it('is monotone: less budget or fewer shares, more noise', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.2, max: 8, noNaN: true }),
        fc.integer({ min: 1, max: 50 }),
        (epsilon, shares) => {
          const c = { ...calibration, samplingRate: rational(1n), epsilon, noiseShares: shares };
          const own = calibrateNoiseVariance(c).noiseVariance;
          expect(
            compareRational(calibrateNoiseVariance({ ...c, epsilon: epsilon * 0.9 }).noiseVariance, own),
          ).toBe(1);
          expect(
            compareRational(calibrateNoiseVariance({ ...c, noiseShares: shares + 1 }).noiseVariance, own),
          ).toBe(-1);
        },
      ),
      { numRuns: 20 },
    );
  });

  it('noiseMultiplier is the usual figure', () => {
    const m = { ...mechanism, samplingRate: rational(1n) };
    expect(zcdp(roundEvent(m))).toBeCloseTo(1 / (2 * noiseMultiplier(m) ** 2), 12);
  });

  it('refuses impossible requests', () => {
    expect(() => calibrateNoiseVariance({ ...calibration, rounds: 0 })).toThrow(code('PARAMETER_UNSAFE'));
    expect(() => calibrateNoiseVariance({ ...calibration, epsilon: 0 })).toThrow(code('PARAMETER_UNSAFE'));
    expect(() => calibrateNoiseVariance({ ...calibration, delta: 0 })).toThrow();
  });
});
