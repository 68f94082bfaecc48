import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ACCOUNTANTS, accountDelta, accountEpsilon, rdpEpsilon } from './accountants.ts';
import { calibrateNoise, calibrateSteps } from './calibration.ts';
import { parseEventList } from './event-list.ts';
import { type DpEvent, formatEvent, parseEvent } from './events.ts';
import { gaussianMu, tradeoffCurve } from './gaussian-dp.ts';
import { fixedSizeGaussianLaw, gaussianMixtureLaw, laplaceLaw } from './loss-law.ts';
import { renyiDivergence } from './loss-moments.ts';
import { rdp, sampledGaussianDirection } from './rdp.ts';
import { logNormalTail, normalCdf, normalQuantile, normalTail } from './special-functions.ts';
import { isConcentrated, zcdp } from './zcdp.ts';

const events = (...list: object[]): DpEvent => ({
  type: 'composed',
  events: parseEventList(JSON.stringify(list)).map(({ event }) => event),
});
const code = (name: string) => expect.objectContaining({ code: name });

/** ln E_P[(P/Q)^(α−1)]/(α−1) by a Riemann sum over x. */
function bruteDivergence(p: (x: number) => number, q: (x: number) => number, order: number): number {
  let moment = 0;
  const step = 0.001;
  for (let x = -90 + step / 2; x <= 91; x += step) {
    const [one, other] = [p(x), q(x)];
    if (one > 0 && other > 0)
      moment += step * Math.exp(order * Math.log(one) + (1 - order) * Math.log(other));
  }
  return Math.log(moment) / (order - 1);
}

describe('RDP of the other mechanisms', () => {
  const laplace = (shift: number) => (x: number) => Math.exp(-Math.abs(x - shift) / 2) / 4;

  it('Laplace: closed form and Riemann sums, sampled in both directions', () => {
    for (const order of [1.3, 2, 5.5]) {
      const closed =
        Math.log((order * Math.exp((order - 1) / 2) + (order - 1) * Math.exp(-order / 2)) / (2 * order - 1)) /
        (order - 1);
      const event = events({ mechanism: 'laplace', scale: 2 });
      expect(Math.abs(rdp(event, order) / closed - 1)).toBeLessThan(1e-10);
      const mixed = (x: number) => 0.7 * laplace(0)(x) + 0.3 * laplace(1)(x);
      const remove = bruteDivergence(mixed, laplace(0), order);
      const add = bruteDivergence(laplace(0), mixed, order);
      expect(Math.abs(renyiDivergence(laplaceLaw(0.5, 0.3, 'remove'), order) / remove - 1)).toBeLessThan(
        1e-5,
      );
      expect(Math.abs(renyiDivergence(laplaceLaw(0.5, 0.3, 'add'), order) / add - 1)).toBeLessThan(1e-5);
      const sampled = events({ mechanism: 'poisson_sampled_laplace', q: 0.3, scale: 2 });
      expect(Math.abs(rdp(sampled, order) / Math.max(add, remove) - 1)).toBeLessThan(1e-5);
    }
  });

  it('a mixture of two Gaussians is the sampled Gaussian, to 1e-10', () => {
    for (const [q, sigma] of [
      [0.01, 2.5],
      [0.3, 0.6],
    ] as const)
      for (const order of [1.25, 4, 32]) {
        const shifts = [
          { shift: 0, probability: 1 - q },
          { shift: 1 / sigma, probability: q },
        ];
        // rdp.ts calls the mixture's side 'add'.
        const [mine, theirs] = [
          renyiDivergence(gaussianMixtureLaw(shifts, 'remove', order / sigma), order),
          sampledGaussianDirection(q, sigma, order, 'add'),
        ];
        expect(Math.abs(mine / theirs - 1)).toBeLessThan(1e-9);
        expect(
          Math.abs(
            renyiDivergence(gaussianMixtureLaw(shifts, 'add', order / sigma), order) /
              sampledGaussianDirection(q, sigma, order, 'remove') -
              1,
          ),
        ).toBeLessThan(1e-9);
      }
  });

  it('a batch of fixed size: the whole population is no sampling, and less is between', () => {
    expect(renyiDivergence(fixedSizeGaussianLaw(1, 1, 8), 8)).toBeCloseTo(4, 10);
    const at = (b: number) =>
      rdp(events({ mechanism: 'fixed_size_sampled_gaussian', n: 100, b, sigma: 1 }), 4);
    expect(at(0)).toBe(0);
    expect(at(10)).toBeLessThan(at(20));
    expect(at(20)).toBeLessThan(2);
    // The Poisson pair is one side of it.
    expect(at(20)).toBeGreaterThanOrEqual(sampledGaussianDirection(0.2, 1, 4, 'add') * (1 - 1e-9));
  });

  it('randomised response and discrete Laplace: the two-point sum', () => {
    const [truth, order] = [0.8, 3];
    const direct = Math.log(truth ** order * 0.2 ** (1 - order) + 0.2 ** order * truth ** (1 - order)) / 2;
    expect(rdp(events({ mechanism: 'randomised_response', p: 0.8 }), order)).toBeCloseTo(direct, 12);
    const scale = 1 / Math.log(4);
    expect(rdp(events({ mechanism: 'discrete_laplace', scale }), order)).toBeCloseTo(direct, 9);
  });

  it('zCDP of pure mechanisms bounds their RDP', () => {
    for (const event of [
      events({ mechanism: 'laplace', scale: 0.7 }),
      events({ mechanism: 'discrete_laplace', scale: 0.4 }),
      events({ mechanism: 'randomised_response', epsilon: 2 }),
    ])
      for (const order of [1.1, 2, 30]) expect(rdp(event, order)).toBeLessThanOrEqual(order * zcdp(event));
  });
});

const mechanism = fc.oneof(
  fc.record({
    mechanism: fc.constant('poisson_sampled_gaussian'),
    q: fc.double({ min: 1e-3, max: 0.5, noNaN: true }),
    sigma: fc.double({ min: 0.7, max: 5, noNaN: true }),
    count: fc.integer({ min: 1, max: 500 }),
  }),
  fc.record({
    mechanism: fc.constant('laplace'),
    scale: fc.double({ min: 1, max: 50, noNaN: true }),
    count: fc.integer({ min: 1, max: 50 }),
  }),
  fc.record({
    mechanism: fc.constant('discrete_gaussian'),
    sigma2: fc.constantFrom('4', '25/2'),
    count: fc.integer({ min: 1, max: 10 }),
  }),
);

describe('accountants agree', () => {
  it('RDP and zCDP never promise less than ε_low, nor PLD more than RDP', () =>
    fc.assert(
      fc.property(fc.array(mechanism, { minLength: 1, maxLength: 2 }), (list) => {
        const event = events(...list);
        const pld = accountEpsilon('pld', event, 1e-6);
        const loose = accountEpsilon('rdp', event, 1e-6);
        expect(loose.high).toBeGreaterThanOrEqual(pld.low);
        expect(pld.high).toBeLessThanOrEqual(loose.high + 1e-3);
        expect(loose.low).toBe(Math.min(loose.high, pld.low));
        expect(accountDelta('rdp', event, loose.high).high).toBeLessThanOrEqual(1e-6 * (1 + 1e-3));
        if (isConcentrated(event))
          expect(accountEpsilon('zcdp', event, 1e-6).high).toBeGreaterThanOrEqual(pld.low);
      }),
      { numRuns: 8 },
    ));

  it('nothing costs nothing with every accountant', () => {
    for (const accountant of ACCOUNTANTS) {
      expect(accountEpsilon(accountant, events(), 1e-6)).toEqual({ low: 0, high: 0 });
      expect(accountDelta(accountant, events(), 0)).toEqual({ low: 0, high: 0 });
    }
  });

  it('a refused event changes nothing and says what to do', () => {
    const sampled = events({ mechanism: 'poisson_sampled_gaussian', q: 0.1, sigma: 1 });
    const text = formatEvent(sampled);
    expect(() => accountEpsilon('zcdp', sampled, 1e-6)).toThrow(code('UNSUPPORTED_EVENT'));
    expect(formatEvent(sampled)).toBe(text);
    const tooMany = events({ mechanism: 'laplace', scale: 1e6, count: 2_000_000_000 });
    expect(() => accountEpsilon('pld', tooMany, 1e-6)).toThrow(/RDP/);
    // Where no PLD is known, nothing is known from below.
    expect(accountEpsilon('rdp', tooMany, 1e-6).low).toBe(0);
  });

  it('the fractional order of RDP matters', () => {
    const event = events({ mechanism: 'gaussian', sigma: 1 });
    const { epsilon, order } = rdpEpsilon(event, 1e-5);
    for (const other of [order * 0.9, order * 1.1])
      expect(epsilon).toBeLessThan(
        rdp(event, other) + Math.log1p(-1 / other) - Math.log(1e-5 * other) / (other - 1),
      );
  });
});

describe('calibration', () => {
  const gaussian = (sigma: number) => events({ mechanism: 'gaussian', sigma: String(sigma), count: 10 });

  it.each(ACCOUNTANTS)('%s: the least noise fits, a little less does not', (accountant) => {
    const budget = { epsilon: 2, delta: 1e-6, accountant };
    const { noise, epsilon } = calibrateNoise(gaussian, budget);
    expect(epsilon).toBeLessThanOrEqual(2);
    expect(accountEpsilon(accountant, gaussian(noise), 1e-6).high).toBe(epsilon);
    expect(accountEpsilon(accountant, gaussian(noise * 0.9999), 1e-6).high).toBeGreaterThan(2);
  });

  it('the most steps fit, one more does not', () => {
    const sampled = (count: number) =>
      events({ mechanism: 'poisson_sampled_gaussian', q: 0.01, sigma: 1, count });
    const steps = calibrateSteps(sampled, { epsilon: 1.5, delta: 1e-6, accountant: 'pld' });
    expect(accountEpsilon('pld', sampled(steps), 1e-6).high).toBeLessThanOrEqual(1.5);
    expect(accountEpsilon('pld', sampled(steps + 1), 1e-6).high).toBeGreaterThan(1.5);
    expect(calibrateSteps(sampled, { epsilon: 1e-9, delta: 1e-12, accountant: 'rdp' })).toBe(0);
  });

  it('no noise is enough for nothing', () => {
    expect(() =>
      calibrateNoise(() => gaussian(1), { epsilon: 0.1, delta: 1e-6, accountant: 'zcdp' }),
    ).toThrow(code('PARAMETER_UNSAFE'));
  });
});

describe('f-DP', () => {
  it('the lines of the PLD stay under the exact curve, and near it', () => {
    // A sampled Gaussian at rate almost 1 goes by lines; the Gaussian itself exactly.
    const rates = [0.001, 0.01, 0.1, 0.5];
    const exact = tradeoffCurve(events({ mechanism: 'gaussian', sigma: 1 }), rates);
    const lines = tradeoffCurve(
      events({ mechanism: 'mixture_of_gaussians', sigma: 1, sensitivities: [1], probabilities: [1] }),
      rates,
    );
    lines.forEach(({ falseNegativeRateMin }, i) => {
      expect(falseNegativeRateMin).toBeLessThanOrEqual(exact[i]!.falseNegativeRateMin + 1e-9);
      expect(falseNegativeRateMin).toBeGreaterThan(exact[i]!.falseNegativeRateMin - 0.01);
    });
    expect(gaussianMu(events({ mechanism: 'laplace', scale: 1 }))).toBeNull();
    expect(() => tradeoffCurve(events(), [1])).toThrow(code('FIELD_OUT_OF_RANGE'));
  });
});

describe('normal distribution', () => {
  it.each([
    [0, 0.5],
    [1, 0.15865525393145705],
    [3, 0.0013498980316300933],
    [6, 9.865876450376981e-10],
    [10, 7.619853024160527e-24],
    [-1, 0.8413447460685429],
  ])('P(N > %d)', (x, tail) => {
    expect(Math.abs(normalTail(x) / tail - 1)).toBeLessThan(1e-13);
    expect(Math.abs(Math.exp(logNormalTail(x)) / tail - 1)).toBeLessThan(1e-13);
  });

  it('the quantile is its inverse', () => {
    for (const p of [1e-20, 1e-6, 0.1, 0.5, 0.9])
      expect(Math.abs(normalCdf(normalQuantile(p)) / p - 1)).toBeLessThan(1e-12);
  });
});

describe('events as text', () => {
  it('every spelling goes through canonical text unchanged', () => {
    const all = events(
      { mechanism: 'gaussian', sigma: '1/3' },
      { mechanism: 'poisson_sampled_gaussian', q: 1e-7, sigma: 2.5, count: 50 },
      { mechanism: 'laplace', scale: 10, count: 100 },
      { mechanism: 'poisson_sampled_laplace', q: 0.1, scale: 1 },
      { mechanism: 'discrete_gaussian', sigma2: '4' },
      { mechanism: 'poisson_sampled_discrete_gaussian', q: 0.5, sigma2: '4' },
      { mechanism: 'discrete_laplace', scale: 2, sensitivity: 3 },
      { mechanism: 'poisson_sampled_discrete_laplace', q: 0.5, scale: 2 },
      { mechanism: 'distributed_discrete_gaussian', sigma2: 9, shares: 3, dimension: 7 },
      { mechanism: 'randomised_response', p: 0.75 },
      { mechanism: 'randomized_response', epsilon: 1, categories: 5 },
      { mechanism: 'mixture_of_gaussians', sigma: 1, sensitivities: [0, 1], probabilities: ['2/3', '1/3'] },
      { mechanism: 'tree_aggregation', sigma: 7, steps: 100, participations: 2, separation: 9 },
      { mechanism: 'banded_matrix_factorisation', sigma: 7, steps: 9, coefficients: ['1', '1/2'] },
      { mechanism: 'clip_quantile', sigma: 5 },
    );
    expect(parseEvent(formatEvent(all))).toEqual(all);
    for (const accountant of ['rdp'] as const) {
      const { high } = accountEpsilon(accountant, all, 1e-6);
      expect(high).toBeGreaterThan(0);
      expect(high).toBeLessThan(1e6);
    }
    const fixed = events({ mechanism: 'fixed_size_sampled_gaussian', n: 100, b: 3, sigma: 2 });
    expect(parseEvent(formatEvent(fixed))).toEqual(fixed);
    expect(() => accountEpsilon('pld', { type: 'composed', events: [all, fixed] }, 1e-6)).toThrow(
      code('UNSUPPORTED_EVENT'),
    );
  });

  it.each<[string, unknown, string, RegExp]>([
    ['no list', { mechanism: 'gaussian' }, 'MALFORMED_MESSAGE', /list/],
    ['no object', [7], 'MALFORMED_MESSAGE', /event 0/],
    ['no mechanism', [{ sigma: 1 }], 'MALFORMED_MESSAGE', /event 0, mechanism/],
    ['an unknown one', [{ mechanism: 'toString' }], 'UNSUPPORTED_EVENT', /event 0, mechanism/],
    ['a missing field', [{ mechanism: 'gaussian' }], 'MALFORMED_MESSAGE', /event 0, sigma/],
    ['a wrong field', [{ mechanism: 'gaussian', sigma: 1, q: 0.5 }], 'MALFORMED_MESSAGE', /event 0, q/],
    ['text for a number', [{ mechanism: 'gaussian', sigma: 'one' }], 'MALFORMED_MESSAGE', /event 0, sigma/],
    ['a huge exponent', [{ mechanism: 'gaussian', sigma: '1e300' }], 'MALFORMED_MESSAGE', /exponent/],
    ['both sigmas', [{ mechanism: 'gaussian', sigma: 1, sigma2: 1 }], 'MALFORMED_MESSAGE', /sigma2/],
    ['no noise', [{ mechanism: 'gaussian', sigma: 0 }], 'UNSUPPORTED_EVENT', /event 0: .*noise/],
    ['a negative count', [{ mechanism: 'gaussian', sigma: 1, count: -1 }], 'MALFORMED_MESSAGE', /count/],
    ['a fractional count', [{ mechanism: 'gaussian', sigma: 1, count: 1.5 }], 'MALFORMED_MESSAGE', /count/],
    [
      'a rate above 1',
      [{ mechanism: 'poisson_sampled_gaussian', q: 2, sigma: 1 }],
      'UNSUPPORTED_EVENT',
      /rate/,
    ],
    [
      'a relation nobody knows',
      [{ mechanism: 'gaussian', sigma: 1, neighbouring: 'similar' }],
      'MALFORMED_MESSAGE',
      /neighbouring/,
    ],
    [
      'sampled replace-one',
      [{ mechanism: 'poisson_sampled_gaussian', q: 0.1, sigma: 1, neighbouring: 'replace_one' }],
      'UNSUPPORTED_EVENT',
      /replace_one/,
    ],
    [
      'probabilities that do not sum to 1',
      [{ mechanism: 'mixture_of_gaussians', sigma: 1, sensitivities: [0, 1], probabilities: [0.5, 0.4] }],
      'UNSUPPORTED_EVENT',
      /sum to 1/,
    ],
    [
      'both p and epsilon',
      [{ mechanism: 'randomised_response', p: 0.5, epsilon: 1 }],
      'MALFORMED_MESSAGE',
      /p/,
    ],
    ['certain truth', [{ mechanism: 'randomised_response', p: 1 }], 'UNSUPPORTED_EVENT', /truth/],
    [
      'a later one',
      [{ mechanism: 'gaussian', sigma: 1 }, { mechanism: 'laplace' }],
      'MALFORMED_MESSAGE',
      /event 1/,
    ],
  ])('refuses %s', (_, list, name, message) => {
    const failure = (() => {
      try {
        parseEventList(JSON.stringify(list));
      } catch (error) {
        return error;
      }
      return undefined;
    })();
    expect(failure).toEqual(code(name));
    expect(String((failure as Error).message)).toMatch(message);
  });

  it('never fails otherwise, whatever the text', () =>
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        try {
          parseEventList(text);
        } catch (error) {
          expect((error as { code?: string }).code).toMatch(/MALFORMED_MESSAGE|UNSUPPORTED_EVENT/);
        }
      }),
      { numRuns: 200 },
    ));
});
