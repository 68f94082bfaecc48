import { describe, expect, it } from 'vitest';
import { rdpLimit, rdpToDelta, rdpToEpsilon, rdpToEpsilonAt } from './conversion.ts';
import {
  type DiscreteGaussianEvent,
  type DistributedDiscreteGaussianEvent,
  type DpEvent,
  formatEvent,
  gaussianEvent,
  parseEvent,
} from './events.ts';
import { parseRational, rational } from './rational.ts';
import {
  distributedTau,
  rdp,
  rdpCurve,
  sampledGaussianDirection,
  sampledGaussianRdp,
  sampledMomentBound,
} from './rdp.ts';
import { rhoForBudget, zcdp, zcdpToDelta, zcdpToEpsilon } from './zcdp.ts';

const sampled = (rate: string, sigma: string, count: number): DpEvent => ({
  type: 'self_composed',
  count,
  event: { type: 'poisson_sampled', samplingRate: parseRational(rate), event: gaussianEvent(sigma) },
});
/** |actual/expected − 1| below half a unit of the last printed digit of `expected`. */
const expectPrinted = (actual: number, printed: string): void => {
  const digits = printed
    .replace(/e.*$/, '')
    .replace(/^0\.0*/, '')
    .replace('.', '').length;
  expect(Math.abs(actual / Number(printed) - 1)).toBeLessThan(0.5000001 * 10 ** -(digits - 1));
};
const range = (from: number, to: number, step = 1): number[] =>
  Array.from({ length: Math.round((to - from) / step) + 1 }, (_, i) => from + i * step);
const code = (name: string) => expect.objectContaining({ code: name });

describe('reference values (research/privacy-accounting.md §2)', () => {
  it.each([
    [5, '2.18075656e-3'],
    [50, '2.38460375e-2'],
    [100, '167.416308'],
    [1.5, '6.50070897e-4'],
  ])('row 1: α = %d', (order, printed) => expectPrinted(rdp(sampled('0.01', '2.5', 50), order), printed));

  it.each([
    [1.25, '.00189777364'],
    [2.25, '.00835411775'],
    [4.5, '3.07917960'],
  ])('row 2: α = %d', (order, printed) =>
    expectPrinted(rdp(sampled('0.01', '0.5', 1), order), printed.replace(/^\./, '0.')),
  );

  it('row 3: RDP ≡ 1.1', () => {
    const orders = range(2, 32);
    const { epsilon, order } = rdpToEpsilon(
      orders,
      orders.map(() => 1.1),
      1e-5,
    );
    expectPrinted(epsilon, '1.32783806176');
    expect(order).toBe(32);
  });

  it('row 4, RDP half', () => {
    const orders = range(1.001, 60, 0.001);
    const event = gaussianEvent('4.530877117');
    expect(rdpToEpsilon(orders, rdpCurve(event, orders), 1e-6).epsilon).toBeCloseTo(1, 9);
    expect(zcdpToEpsilon(zcdp(event), 1e-6).epsilon).toBeCloseTo(1, 9);
  });

  it('row 5', () => {
    const orders = [1.25, 1.5, 1.75, 2, 2.25, 2.5, 3, 3.5, 4, 4.5, ...range(5, 63), 128, 256, 512];
    const { epsilon, order } = rdpToEpsilon(orders, rdpCurve(sampled('1/400', '1.3', 6000), orders), 1e-5);
    expectPrinted(epsilon, '0.7242234026');
    expect(order).toBe(19);
  });

  it('row 6, Opacus orders', () => {
    const orders = [...range(1.1, 10.9, 0.1), ...range(12, 63)];
    const { epsilon, order } = rdpToEpsilon(orders, rdpCurve(sampled('0.04', '1.5', 2250), orders), 1e-5);
    // Opacus sums an alternating float series, good to 1e-9; its digits beyond that are its own error.
    expect(Math.abs(epsilon / 7.32911117143 - 1)).toBeLessThan(1e-10);
    expect(order).toBeCloseTo(3.9, 12);
  });

  it('row 7, RDP half', () => {
    const orders = [...range(1.1, 10.9, 0.1), ...range(12, 63)];
    const event: DpEvent = { type: 'self_composed', count: 2, event: gaussianEvent('0.7') };
    expectPrinted(rdpToEpsilon(orders, rdpCurve(event, orders), 1e-5).epsilon, '10.8602036');
  });

  it('row 17', () => {
    expectPrinted(zcdpToEpsilon(0.025, 1e-6).epsilon, '1.0140742547');
    expectPrinted(zcdpToDelta(0.025, 1), '1.3361319e-6');
    expectPrinted(rhoForBudget(1, 1e-6), '0.0243559704');
    expectPrinted(rhoForBudget(4, 1e-6), '0.31106');
  });

  it.each([
    [100, 1, '5.477887e-4'],
    [100, 4, '7.157e-17'],
    [1000, 0.49, '0.772781'],
  ])('row 18: n = %d, σ² = %d', (shares, variance, printed) =>
    expectPrinted(distributedTau(shares, variance), printed),
  );
});

describe('sampled Gaussian', () => {
  it('quadrature equals the binomial sum at integer orders, to 1e-9', () => {
    for (const [rate, sigma] of [
      [0.01, 0.5],
      [0.5, 1],
      [0.001, 3],
      [0.9, 0.3],
      [1e-6, 20],
      [0.2, 0.1],
    ] as const)
      for (const order of [2, 3, 7, 20, 64]) {
        const exact = sampledMomentBound(rate, order, (k) => k / 2 / sigma ** 2);
        expect(Math.abs(sampledGaussianDirection(rate, sigma, order, 'add') / exact - 1)).toBeLessThan(1e-9);
      }
  });

  it('quadrature equals brute-force Riemann sums at fractional orders, both directions', () => {
    const brute = (rate: number, sigma: number, order: number, direction: 'add' | 'remove') => {
      let moment = 0;
      const step = 0.0005;
      for (let x = -14 * sigma; x < order + 14 * sigma; x += step) {
        const base = Math.exp(-(x * x) / (2 * sigma ** 2)) / (sigma * Math.sqrt(2 * Math.PI));
        const weight = 1 - rate + rate * Math.exp((2 * x - 1) / (2 * sigma ** 2));
        moment += step * base * weight ** (direction === 'add' ? order : 1 - order);
      }
      return Math.log(moment) / (order - 1);
    };
    for (const order of [1.1, 1.5, 2.75, 6.3])
      for (const direction of ['add', 'remove'] as const)
        expect(
          Math.abs(
            sampledGaussianDirection(0.3, 0.8, order, direction) / brute(0.3, 0.8, order, direction) - 1,
          ),
        ).toBeLessThan(1e-8);
  });

  it('rises with rate and order, falls with sigma; ends at the unsampled value', () => {
    expect(sampledGaussianRdp(0.02, 1, 5)).toBeGreaterThan(sampledGaussianRdp(0.01, 1, 5));
    expect(sampledGaussianRdp(0.01, 1, 6)).toBeGreaterThan(sampledGaussianRdp(0.01, 1, 5));
    expect(sampledGaussianRdp(0.01, 1.1, 5)).toBeLessThan(sampledGaussianRdp(0.01, 1, 5));
    expect(sampledGaussianRdp(1 - 1e-9, 1, 5)).toBeCloseTo(2.5, 6);
    expect(rdp(sampled('1', '1', 1), 5)).toBe(2.5);
    expect(rdp(sampled('0', '1', 1), 5)).toBe(0);
  });

  it('the add direction dominates', () => {
    for (const [rate, sigma, order] of [
      [0.01, 0.5, 1.25],
      [0.3, 1, 4],
      [0.7, 3, 30],
    ] as const)
      expect(sampledGaussianDirection(rate, sigma, order, 'remove')).toBeLessThanOrEqual(
        sampledGaussianDirection(rate, sigma, order, 'add') * (1 + 1e-9),
      );
  });
});

describe('discrete mechanisms', () => {
  const adjacency = { unit: 'record', neighbouring: 'add_or_remove' } as const;
  const local: DiscreteGaussianEvent = {
    type: 'discrete_gaussian',
    ...adjacency,
    sensitivitySquared: 4n,
    variance: rational(9n, 2n),
  };

  /** D_α of a one-dimensional discrete mixture against its base, by summing the laws themselves. */
  function bruteDivergence(
    law: (x: number) => number,
    shift: number,
    rate: number,
    order: number,
    remove: boolean,
  ) {
    let total = 0;
    let moment = 0;
    for (let x = -200; x <= 200; x++) total += law(x);
    for (let x = -200; x <= 200; x++) {
      const base = law(x) / total;
      const mixture = (1 - rate) * base + (rate * law(x - shift)) / total;
      const [p, q] = remove ? [base, mixture] : [mixture, base];
      if (p > 0 && q > 0) moment += Math.exp(order * Math.log(p) + (1 - order) * Math.log(q));
    }
    return Math.log(moment) / (order - 1);
  }
  const discreteLaw = (variance: number) => (x: number) => Math.exp(-(x * x) / (2 * variance));

  it('the sampled bound is not below the true divergence, in both directions, and is tight for one Gaussian', () => {
    for (const order of [2, 3, 8]) {
      const event: DpEvent = { type: 'poisson_sampled', samplingRate: rational(1n, 5n), event: local };
      const bound = rdp(event, order);
      const add = bruteDivergence(discreteLaw(4.5), 2, 0.2, order, false);
      const remove = bruteDivergence(discreteLaw(4.5), 2, 0.2, order, true);
      expect(add).toBeLessThanOrEqual(bound * (1 + 1e-9));
      expect(remove).toBeLessThanOrEqual(bound);
      expect(add / bound).toBeGreaterThan(0.999);
    }
  });

  it('a sum of two discrete Gaussians stays under the distributed bound, and not under the plain one', () => {
    const variance = 0.3; // coarse: the sum is visibly not a discrete Gaussian
    const single = discreteLaw(variance);
    const sum = (x: number) => {
      let value = 0;
      for (let y = -20; y <= 20; y++) value += single(y) * single(x - y);
      return value;
    };
    const event: DistributedDiscreteGaussianEvent = {
      type: 'distributed_discrete_gaussian',
      ...adjacency,
      sensitivitySquared: 1n,
      varianceLocal: rational(3n, 10n),
      noiseShares: 2,
      dimension: 1,
    };
    for (const order of [2, 3, 4, 10]) {
      expect(bruteDivergence(sum, 1, 1, order, false)).toBeLessThanOrEqual(rdp(event, order));
      const half: DpEvent = { type: 'poisson_sampled', samplingRate: rational(1n, 2n), event };
      expect(bruteDivergence(sum, 1, 0.5, order, false)).toBeLessThanOrEqual(rdp(half, order));
    }
    // The continuous Gaussian's 3/2·Δ²/Σσ² would be an under-statement here: τ is not decoration.
    expect(bruteDivergence(sum, 1, 1, 3, false)).toBeGreaterThan(1.03 * (3 / 2 / 0.6));
  });

  it('sampled discrete mechanisms have integer orders only', () => {
    const event: DpEvent = { type: 'poisson_sampled', samplingRate: rational(1n, 5n), event: local };
    expect(rdp(event, 2.5)).toBe(Infinity);
    expect(() => zcdp(event)).toThrow(code('UNSUPPORTED_EVENT'));
  });

  it('zCDP of a distributed event carries τ and is never below the RDP bound it implies', () => {
    const event: DistributedDiscreteGaussianEvent = {
      type: 'distributed_discrete_gaussian',
      ...adjacency,
      sensitivitySquared: 100n,
      varianceLocal: rational(1n),
      noiseShares: 50,
      dimension: 64,
    };
    for (const order of [1.5, 2, 64]) expect(zcdp(event) * order).toBeGreaterThanOrEqual(rdp(event, order));
    expect(zcdp(event)).toBeGreaterThan(1);
  });
});

describe('events', () => {
  const inner = gaussianEvent('1');

  it.each<[string, unknown]>([
    ['an unknown type', { type: 'laplace' }],
    [
      'sampling of a composition',
      { type: 'poisson_sampled', samplingRate: rational(1n, 2n), event: { type: 'composed', events: [] } },
    ],
    ['a rate above 1', { type: 'poisson_sampled', samplingRate: rational(3n, 2n), event: inner }],
    [
      'sampled replace-one',
      {
        type: 'poisson_sampled',
        samplingRate: rational(1n, 2n),
        event: { ...inner, neighbouring: 'replace_one' },
      },
    ],
    ['no unit', { ...inner, unit: undefined }],
    ['no neighbouring relation', { ...inner, neighbouring: 'similar' }],
    ['no noise', { ...inner, variance: rational(0n) }],
    ['mixed units', { type: 'composed', events: [inner, { ...inner, unit: 'person' }] }],
    ['a fractional count', { type: 'self_composed', event: inner, count: 1.5 }],
    ['a negative count', { type: 'self_composed', event: inner, count: -1 }],
    [
      'no noise share',
      {
        type: 'distributed_discrete_gaussian',
        unit: 'record',
        neighbouring: 'zero_out',
        sensitivitySquared: 1n,
        varianceLocal: rational(1n),
        noiseShares: 0,
        dimension: 1,
      },
    ],
  ])('%s is UNSUPPORTED_EVENT', (_, event) => {
    expect(() => rdp(event as DpEvent, 2)).toThrow(code('UNSUPPORTED_EVENT'));
    expect(() => zcdp(event as DpEvent)).toThrow(code('UNSUPPORTED_EVENT'));
  });

  it('composes additively', () => {
    const tree: DpEvent = {
      type: 'composed',
      events: [
        inner,
        { type: 'self_composed', count: 3, event: { type: 'composed', events: [inner, gaussianEvent('2')] } },
      ],
    };
    expect(rdp(tree, 4)).toBeCloseTo(2 * (4 + 3 / 4), 12);
    expect(zcdp(tree)).toBeCloseTo((4 + 3 / 4) / 2, 12);
    expect(rdp({ type: 'composed', events: [] }, 4)).toBe(0);
  });

  it('goes through canonical text unchanged', () => {
    const tree: DpEvent = {
      type: 'composed',
      events: [
        sampled('1/3', '2.5', 7),
        {
          type: 'distributed_discrete_gaussian',
          unit: 'record',
          neighbouring: 'add_or_remove',
          sensitivitySquared: 2n ** 70n,
          varianceLocal: rational(261n, 1024n),
          noiseShares: 2,
          dimension: 15,
        },
        {
          type: 'discrete_gaussian',
          unit: 'record',
          neighbouring: 'add_or_remove',
          sensitivitySquared: 1n,
          variance: rational(4n),
        },
      ],
    };
    expect(parseEvent(formatEvent(tree))).toEqual(tree);
    expect(formatEvent(parseEvent(formatEvent(tree)))).toBe(formatEvent(tree));
  });

  it.each([
    '',
    '[]',
    'null',
    '{"type":1}',
    '{"type":"composed"}',
    '{"type":"gaussian","unit":"record"}',
    '{"type":"self_composed","count":"3","event":{}}',
    ' '.repeat(70_000),
  ])('refuses the text %j', (text) => {
    expect(() => parseEvent(text)).toThrow(code('MALFORMED_MESSAGE'));
  });
});

describe('conversion', () => {
  it('ε and δ are inverse to each other', () => {
    const orders = range(2, 64);
    const curve = rdpCurve(gaussianEvent('3'), orders);
    const { epsilon } = rdpToEpsilon(orders, curve, 1e-5);
    expect(rdpToDelta(orders, curve, epsilon).delta).toBeCloseTo(1e-5, 15);
  });

  it('rdpLimit is the largest RDP that converts', () => {
    for (const order of [2, 7, 30]) {
      const limit = rdpLimit(order, 3, 1e-5);
      if (limit > 0) expect(rdpToEpsilonAt(order, limit, 1e-5)).toBeCloseTo(3, 12);
    }
    expect(rdpLimit(2, 1, 1e-9)).toBeLessThan(0);
  });

  it('no finite set of orders beats the continuous minimum, and a fine grid comes close', () => {
    const orders = range(1.01, 80, 0.01);
    for (const rho of [0.001, 0.1, 2]) {
      const grid = rdpToEpsilon(
        orders,
        orders.map((a) => a * rho),
        1e-6,
      ).epsilon;
      const best = zcdpToEpsilon(rho, 1e-6).epsilon;
      expect(best).toBeLessThanOrEqual(grid + 1e-9);
      if (rho > 0.01) expect(best).toBeGreaterThan(grid - 1e-4);
    }
  });

  it('never undercuts the exact Gaussian curve (row 4: .9273923380)', () => {
    expect(zcdpToEpsilon(1 / 2 / 4.530877117 ** 2, 1e-6).epsilon).toBeGreaterThan(0.927392338);
  });

  it('refuses nonsense', () => {
    for (const call of [
      () => rdpToEpsilonAt(1, 1, 1e-5),
      () => rdpToEpsilonAt(2, 1, 0),
      () => rdpToEpsilon([], [], 1e-5),
      () => zcdpToEpsilon(-1, 1e-5),
      () => zcdpToEpsilon(Number.NaN, 1e-5),
      () => rhoForBudget(1, 1),
      () => zcdpToDelta(1, -1),
    ])
      expect(call).toThrow();
  });
});
