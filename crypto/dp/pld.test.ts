import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseEventList } from './event-list.ts';
import type { DpEvent } from './events.ts';
import { gaussianDelta, gaussianEpsilon } from './gaussian-dp.ts';
import { Discretisation } from './loss-atoms.ts';
import { OneDirection } from './loss-bracket.ts';
import { Composition } from './loss-composition.ts';
import { gaussianMixtureLaw, type LossLaw, laplaceLaw, randomisedResponseLaw } from './loss-law.ts';
import { type Bracket, PrivacyLoss, pldDelta, pldEpsilon } from './pld.ts';
import { normalTail } from './special-functions.ts';

const events = (...list: object[]): DpEvent => ({
  type: 'composed',
  events: parseEventList(JSON.stringify(list)).map(({ event }) => event),
});
const code = (name: string) => expect.objectContaining({ code: name });
const contains = ({ low, high }: Bracket, value: number, relative = 1e-9): boolean =>
  low <= value * (1 + relative) && high >= value * (1 - relative);

/** δ(ε) of k-fold binary randomised response of ε0, by the binomial sum itself. */
function responseDelta(epsilon0: number, count: number, epsilon: number): number {
  const truth = Math.exp(epsilon0) / (1 + Math.exp(epsilon0));
  let delta = 0;
  let logChoose = 0;
  for (let k = 0; k <= count; k++) {
    const loss = (count - 2 * k) * epsilon0;
    const mass = Math.exp(logChoose + (count - k) * Math.log(truth) + k * Math.log1p(-truth));
    if (loss > epsilon) delta += mass * -Math.expm1(epsilon - loss);
    logChoose += Math.log((count - k) / (k + 1));
  }
  return delta;
}

/** δ(ε) of two different discrete laws, by listing every pair of outcomes. */
function listedDelta(a: LossLaw, b: LossLaw, epsilon: number): number {
  let delta = 0;
  for (const one of a.atoms)
    for (const two of b.atoms) {
      const loss = one.loss + two.loss;
      if (loss > epsilon) delta += one.mass * two.mass * -Math.expm1(epsilon - loss);
    }
  return delta;
}

describe('the bracket holds closed forms', () => {
  // A Gaussian, written as a mixture with one component, goes through cells, smoothing and inversion.
  const gaussianByCells = (mu: number, count: number) =>
    new OneDirection([{ law: gaussianMixtureLaw([{ shift: mu, probability: 1 }], 'remove'), count }], 0);

  it('Gaussian, ε(δ) and δ(ε)', () =>
    fc.assert(
      fc.property(
        fc.double({ min: 0.02, max: 2, noNaN: true }),
        fc.integer({ min: 1, max: 200 }),
        fc.double({ min: -24, max: -2, noNaN: true }),
        (mu, count, logDelta) => {
          const total = mu * Math.sqrt(count);
          fc.pre(total < 12);
          const bracket = gaussianByCells(mu, count).epsilon(Math.exp(logDelta));
          const exact = gaussianEpsilon(total, Math.exp(logDelta));
          expect(contains(bracket, exact, 1e-8)).toBe(true);
          expect(bracket.high - bracket.low).toBeLessThanOrEqual(1e-3);
          expect(contains(gaussianByCells(mu, count).delta(exact), gaussianDelta(total, exact), 1e-7)).toBe(
            true,
          );
        },
      ),
      { numRuns: 25 },
    ));

  it('randomised response: the binomial sum', () =>
    fc.assert(
      fc.property(
        fc.double({ min: 0.05, max: 3, noNaN: true }),
        fc.integer({ min: 1, max: 40 }),
        fc.double({ min: 0.01, max: 0.99, noNaN: true }),
        (epsilon0, count, share) => {
          const epsilon = share * count * epsilon0;
          const truth = Math.exp(epsilon0) / (1 + Math.exp(epsilon0));
          const law = randomisedResponseLaw(truth, 2, 1, 'remove');
          const one = new OneDirection([{ law, count }], 0);
          const exact = responseDelta(epsilon0, count, epsilon);
          expect(contains(one.delta(epsilon), exact, 1e-7)).toBe(true);
          if (exact > 1e-14 && exact < 0.5) {
            const back = one.epsilon(exact);
            expect(contains(back, epsilon, 1e-6)).toBe(true);
            expect(back.high - back.low).toBeLessThanOrEqual(1e-3);
          }
        },
      ),
      { numRuns: 40 },
    ));

  it('two mechanisms of different kinds: every pair of outcomes listed', () => {
    const sampledResponse = randomisedResponseLaw(0.8, 3, 1, 'remove');
    for (const other of [
      randomisedResponseLaw(0.6, 2, 1, 'remove'),
      randomisedResponseLaw(0.3, 4, 1, 'remove'),
    ])
      for (const epsilon of [0.1, 0.5, 1, 1.7, 2.2]) {
        const bracket = new OneDirection(
          [
            { law: sampledResponse, count: 1 },
            { law: other, count: 1 },
          ],
          0,
        ).delta(epsilon);
        expect(contains(bracket, listedDelta(sampledResponse, other, epsilon), 1e-8)).toBe(true);
      }
  });

  it('one Laplace: δ(ε) = 1 − e^((ε − ε₀)/2); many: never above their sum', () =>
    fc.assert(
      fc.property(
        fc.double({ min: 0.05, max: 4, noNaN: true }),
        fc.double({ min: 0.01, max: 0.95, noNaN: true }),
        fc.integer({ min: 2, max: 500 }),
        (ratio, share, count) => {
          const law = laplaceLaw(ratio, 1, 'remove');
          const exact = -Math.expm1((share * ratio - ratio) / 2);
          expect(contains(new OneDirection([{ law, count: 1 }], 0).delta(share * ratio), exact, 1e-7)).toBe(
            true,
          );
          const many = new OneDirection([{ law, count }], 0).epsilon(1e-6);
          expect(many.high).toBeLessThanOrEqual(count * ratio * (1 + 1e-14));
          expect(many.high - many.low).toBeLessThanOrEqual(1e-3);
        },
      ),
      { numRuns: 25 },
    ));

  it('one Poisson-sampled Gaussian: both directions from normal tails', () => {
    // Remove: the loss exceeds ε where x > t, ln(1 − q + q·e^((2x−1)/2σ²)) = ε.
    const [q, sigma, epsilon] = [0.1, 0.9, 0.6];
    const t = sigma ** 2 * Math.log((Math.exp(epsilon) - 1 + q) / q) + 0.5;
    const base = normalTail(t / sigma);
    const remove = (1 - q) * base + q * normalTail((t - 1) / sigma) - Math.exp(epsilon) * base;
    const bracket = pldDelta(events({ mechanism: 'poisson_sampled_gaussian', q, sigma, count: 1 }), epsilon);
    expect(contains(bracket, remove, 1e-9)).toBe(true);
    expect(bracket.high / bracket.low).toBeLessThan(1.01);
  });

  it('is a bracket at very small δ and for very many releases', () => {
    const bracket = gaussianByCells(0.02, 10_000).epsilon(1e-30);
    expect(contains(bracket, gaussianEpsilon(2, 1e-30), 1e-8)).toBe(true);
    const many = gaussianByCells(1e-3, 1_000_000).epsilon(1e-6);
    expect(contains(many, gaussianEpsilon(1, 1e-6), 1e-7)).toBe(true);
    expect(many.high - many.low).toBeLessThanOrEqual(1e-3);
  });
});

const mechanism = fc.oneof(
  fc.record({
    mechanism: fc.constant('poisson_sampled_gaussian'),
    q: fc.double({ min: 1e-3, max: 0.5, noNaN: true }),
    sigma: fc.double({ min: 0.6, max: 5, noNaN: true }),
    count: fc.integer({ min: 1, max: 2000 }),
  }),
  fc.record({
    mechanism: fc.constant('gaussian'),
    sigma: fc.double({ min: 1, max: 30, noNaN: true }),
    count: fc.integer({ min: 1, max: 20 }),
  }),
  fc.record({
    mechanism: fc.constant('laplace'),
    scale: fc.double({ min: 1, max: 50, noNaN: true }),
    count: fc.integer({ min: 1, max: 50 }),
  }),
  fc.record({
    mechanism: fc.constant('discrete_gaussian'),
    sigma2: fc.constantFrom('4', '25/2', '1000'),
    count: fc.integer({ min: 1, max: 10 }),
  }),
  fc.record({
    mechanism: fc.constant('randomised_response'),
    epsilon: fc.double({ min: 0.05, max: 2, noNaN: true }),
    count: fc.integer({ min: 1, max: 20 }),
  }),
);
const plan = fc.array(mechanism, { minLength: 1, maxLength: 3 });
const deltas = fc.constantFrom(1e-10, 1e-6, 1e-3);

describe('random plans', () => {
  it('narrow brackets, the same in every order, inverse to each other', () =>
    fc.assert(
      fc.property(plan, deltas, (list, delta) => {
        const loss = new PrivacyLoss(events(...list));
        const bracket = loss.epsilon(delta);
        expect(bracket.low).toBeLessThanOrEqual(bracket.high);
        expect(bracket.high - bracket.low).toBeLessThanOrEqual(1e-3);
        expect(new PrivacyLoss(events(...list.toReversed())).epsilon(delta)).toEqual(bracket);
        // δ at the promised ε is kept; at ε_low it is not ruled out (no ε is below 0, even where δ is met with room).
        expect(loss.delta(bracket.high).low).toBeLessThanOrEqual(delta);
        if (bracket.low > 0) expect(loss.delta(bracket.low).high).toBeGreaterThanOrEqual(delta * (1 - 1e-9));
      }),
      { numRuns: 25 },
    ));

  it('more releases never cost less, a larger δ never more', () =>
    fc.assert(
      fc.property(plan, mechanism, deltas, (list, more, delta) => {
        const few = pldEpsilon(events(...list), delta);
        expect(pldEpsilon(events(...list, more), delta).high).toBeGreaterThanOrEqual(few.low);
        expect(pldEpsilon(events(...list), delta * 10).low).toBeLessThanOrEqual(few.high);
      }),
      { numRuns: 10 },
    ));
});

describe('both sides are needed', () => {
  const law = gaussianMixtureLaw(
    [
      { shift: 0, probability: 0.9 },
      { shift: 1, probability: 0.1 },
    ],
    'remove',
  );

  it('the two meshes keep their masses, and neither alone is the law', () => {
    const mesh = new Discretisation(law, 0);
    mesh.refine(1, 1, 0, 1e-3);
    const { upper, lower } = mesh.atoms();
    const sum = (atoms: typeof upper, of: (mass: number, loss: number) => number) =>
      atoms.masses.reduce((total, mass, i) => total + of(mass, atoms.losses[i]!), 0);
    for (const atoms of [upper, lower]) {
      expect(sum(atoms, (mass) => mass)).toBeCloseTo(1, 13);
      // E_P[e^(−L)] is the mass of Q.
      expect(sum(atoms, (mass, loss) => mass * Math.exp(-loss))).toBeCloseTo(1, 12);
    }
    const squares = (atoms: typeof upper) => sum(atoms, (mass, loss) => mass * Math.exp(2 * loss));
    expect(squares(upper)).toBeGreaterThan(squares(lower));
  });

  it('exchanging upper and lower atoms is caught by a closed form', () => {
    const mesh = new Discretisation(gaussianMixtureLaw([{ shift: 0.1, probability: 1 }], 'remove'), 1e-20);
    const { upper, lower } = mesh.atoms();
    const options = {
      gaussianVariance: 0,
      infiniteMass: 0,
      tilt: 5,
      smoothing: 1e-6,
      epsilonMin: 4,
      deltaScale: 1e-6,
    };
    const terms = (atoms: typeof upper) => [{ atoms, count: 100 }];
    const exact = gaussianDelta(1, 4.2);
    const right = new Composition({ ...options, upper: terms(upper), lower: terms(lower) });
    expect(right.lower(4.2)).toBeLessThan(exact);
    expect(right.upper(4.2)).toBeGreaterThan(exact);
    const wrong = new Composition({ ...options, upper: terms(lower), lower: terms(upper) });
    expect(wrong.lower(4.2) > exact || wrong.upper(4.2) < exact).toBe(true);
  });

  it('the worse direction counts', () => {
    const sampled = events({ mechanism: 'poisson_sampled_gaussian', q: 0.01, sigma: 1, count: 100 });
    const both = pldEpsilon(sampled, 1e-6);
    const shifts = [
      { shift: 0, probability: 0.99 },
      { shift: 1, probability: 0.01 },
    ];
    const [remove, add] = (['remove', 'add'] as const).map((direction) =>
      new OneDirection([{ law: gaussianMixtureLaw(shifts, direction), count: 100 }], 0).epsilon(1e-6),
    );
    expect(both.high).toBe(Math.max(remove!.high, add!.high));
    expect(add!.high).toBeLessThan(remove!.low);
  });
});

describe('limits', () => {
  it('nothing costs nothing', () => {
    expect(pldEpsilon(events(), 1e-6)).toEqual({ low: 0, high: 0 });
    const silent = events(
      { mechanism: 'poisson_sampled_gaussian', q: 0, sigma: 1, count: 9 },
      { mechanism: 'laplace', scale: 1, sensitivity: 0 },
      { mechanism: 'gaussian', sigma: 1, count: 0 },
    );
    expect(pldEpsilon(silent, 1e-6)).toEqual({ low: 0, high: 0 });
    const empty = events({ mechanism: 'fixed_size_sampled_gaussian', n: 10, b: 0, sigma: 1 });
    expect(pldDelta(empty, 0)).toEqual({ low: 0, high: 0 });
  });

  it.each<[string, object]>([
    ['noise too small to resolve', { mechanism: 'poisson_sampled_gaussian', q: 0.1, sigma: 1e-4 }],
    ['too many releases', { mechanism: 'gaussian', sigma: 1, count: 2_000_000_000 }],
  ])('%s is UNSUPPORTED_EVENT', (_, event) => {
    expect(() => pldEpsilon(events(event), 1e-6)).toThrow(code('UNSUPPORTED_EVENT'));
  });

  it('refuses δ and ε out of range', () => {
    const one = events({ mechanism: 'gaussian', sigma: 1 });
    for (const delta of [0, 1, -1, Number.NaN, 1e-60])
      expect(() => pldEpsilon(one, delta)).toThrow(code('FIELD_OUT_OF_RANGE'));
    for (const epsilon of [-1, Number.NaN, Infinity])
      expect(() => pldDelta(one, epsilon)).toThrow(code('FIELD_OUT_OF_RANGE'));
  });
});
