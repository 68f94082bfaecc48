/** The statistics against published values, exact sums and second implementations. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom, uniform } from '../../crypto/random.ts';
import {
  clopperPearson,
  epsilonFromCounts,
  epsilonFromCountsGaussian,
  epsilonFromScores,
} from './clopper-pearson.ts';
import { epsilonFromCosines } from './cosine.ts';
import {
  epsilonOfNormals,
  gaussianDelta,
  gaussianEpsilon,
  gaussianMu,
  hockeyStick,
} from './gaussian-tradeoff.ts';
import { epsilonOneRun, epsilonOneRunFixed, epsilonOneRunHull, oneRunPValue, rocHull } from './one-run.ts';
import {
  binomialMass,
  binomialUpperTail,
  chiSquaredScore,
  logGamma,
  normalCdf,
  normalQuantile,
} from './special-functions.ts';

const close = (value: number, expected: number, relative: number): void =>
  expect(Math.abs(value - expected)).toBeLessThanOrEqual(relative * Math.abs(expected));

/** C(n, k) p^k (1−p)^(n−k) with p = a/2^20, exactly, as a double at the end. */
function exactTail(k: number, n: number, a: number): number {
  const one = 1n << 20n;
  let coefficient = 1n;
  let sum = 0n;
  for (let i = 0; i <= n; i++) {
    if (i >= k) sum += coefficient * BigInt(a) ** BigInt(i) * (one - BigInt(a)) ** BigInt(n - i);
    coefficient = (coefficient * BigInt(n - i)) / BigInt(i + 1);
  }
  // 2^200 first, so that small tails keep their digits.
  return Number((sum << 200n) / one ** BigInt(n)) / 2 ** 200;
}

const normal = (random: ReturnType<typeof seededRandom>): number =>
  Math.sqrt(-2 * Math.log(1 - uniform(random))) * Math.cos(2 * Math.PI * uniform(random));

describe('special functions', () => {
  it('gamma and normal distribution at known points', () => {
    for (const [x, factorial] of [
      [1, 1],
      [5, 24],
      [11, 3_628_800],
    ] as const)
      expect(logGamma(x)).toBeCloseTo(Math.log(factorial), 12);
    expect(logGamma(0.5)).toBeCloseTo(Math.log(Math.PI) / 2, 13);
    // Abramowitz & Stegun tables 26.1, 26.2; the far tail from 26.2.12.
    close(normalCdf(-1), 0.158655253931457, 1e-13);
    close(normalCdf(-3), 0.00134989803163009, 1e-12);
    close(normalCdf(-8), 6.22096057427178e-16, 1e-12);
    expect(normalCdf(2)).toBeCloseTo(0.977249868051821, 14);
    close(normalQuantile(0.975), 1.95996398454005, 1e-12);
    expect([normalQuantile(0), normalQuantile(1)]).toEqual([-Infinity, Infinity]);
    expect(normalQuantile(0.5)).toBeCloseTo(0, 15);
  });

  it('the quantile inverts the distribution everywhere', () => {
    fc.assert(
      fc.property(fc.double({ min: -30, max: 5, noNaN: true }), (x) => {
        expect(Math.abs(normalQuantile(normalCdf(x)) - x)).toBeLessThan(1e-9 * Math.max(1, Math.abs(x)));
      }),
    );
  });

  it('binomial tails equal exact sums', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 120 }),
        fc.integer({ min: 0, max: 121 }),
        fc.integer({ min: 1, max: 2 ** 20 - 1 }),
        (n, k, a) => {
          const exact = exactTail(k, n, a);
          const value = binomialUpperTail(k, n, a / 2 ** 20);
          expect(Math.abs(value - exact)).toBeLessThan(1e-12 * exact + 1e-15);
        },
      ),
    );
    close(binomialMass(3, 10, 0.5), 120 / 1024, 1e-12);
    expect([binomialMass(0, 5, 0), binomialMass(5, 5, 1), binomialMass(4, 5, 1)]).toEqual([1, 1, 0]);
  });

  it('Wilson–Hilferty scores χ² quantiles right', () => {
    // 99 % and 1 % points of χ² with 100 degrees: Abramowitz & Stegun table 26.8.
    expect(chiSquaredScore(135.807 / 100, 100)).toBeCloseTo(2.326, 2);
    expect(chiSquaredScore(70.0649 / 100, 100)).toBeCloseTo(-2.326, 2);
  });
});

describe('Clopper–Pearson', () => {
  it('row 28: 500/500 against 0/500 at 1 %', () => {
    const counts = { inRuns: 500, truePositives: 500, outRuns: 500, falsePositives: 0 };
    expect(Math.abs(epsilonFromCounts(counts, 0.01) - 4.54191581)).toBeLessThan(1e-9);
    // In closed form: lower = (α/2)^(1/n), upper = 1 − lower.
    const lower = 0.005 ** (1 / 500);
    expect(epsilonFromCounts(counts, 0.01)).toBeCloseTo(Math.log(lower / (1 - lower)), 12);
  });

  it('covers: for every p the bound fails with probability at most its significance, and nearly that', () => {
    const [n, significance] = [60, 0.05];
    const bounds = Array.from({ length: n + 1 }, (_, k) => clopperPearson(k, n, significance));
    for (const p of [0.01, 0.1, 0.3, 0.5, 0.77, 0.99]) {
      let [above, below] = [0, 0];
      bounds.forEach(({ lower, upper }, k) => {
        if (lower > p) above += binomialMass(k, n, p);
        if (upper < p) below += binomialMass(k, n, p);
      });
      expect(above).toBeLessThanOrEqual(significance);
      expect(below).toBeLessThanOrEqual(significance);
    }
    // At the bound itself it is reached exactly.
    expect(binomialUpperTail(20, n, bounds[20]!.lower)).toBeCloseTo(significance, 12);
  });

  it('proves nothing from nothing, and refuses counts that cannot be', () => {
    expect(epsilonFromCounts({ inRuns: 9, truePositives: 4, outRuns: 9, falsePositives: 4 }, 0.05)).toBe(0);
    expect(epsilonFromScores([1], [0], 0.05).epsilon).toBe(0);
    expect(() => clopperPearson(3, 2, 0.05)).toThrow(expect.objectContaining({ code: 'FIELD_OUT_OF_RANGE' }));
    expect(() => clopperPearson(0, 0, 0.05)).toThrow(expect.objectContaining({ code: 'DATA_EMPTY' }));
    expect(() => clopperPearson(1, 2, 1)).toThrow(expect.objectContaining({ code: 'FIELD_OUT_OF_RANGE' }));
  });

  it('of normal scores stays below the true ε and comes near it; a low score may be the rare event', () => {
    const random = seededRandom('scores');
    const draw = (mean: number) => Float64Array.from({ length: 4000 }, () => mean + normal(random));
    const [ins, outs] = [draw(2), draw(0)];
    const truth = gaussianEpsilon(2, 1e-5);
    const found = epsilonFromScores(ins, outs, 0.01, 1e-5).epsilon;
    expect(found).toBeGreaterThan(2);
    expect(found).toBeLessThan(truth);
    const flipped = epsilonFromScores(
      outs.map((x) => -x),
      ins.map((x) => -x),
      0.01,
      1e-5,
    );
    expect(flipped.epsilon).toBeGreaterThan(1.5);
    const above = (scores: Float64Array) => scores.filter((score) => score >= 1).length;
    const counts = {
      inRuns: 4000,
      truePositives: above(ins),
      outRuns: 4000,
      falsePositives: above(outs),
    };
    const gaussian = epsilonFromCountsGaussian(counts, 0.01, 1e-5);
    expect(gaussian).toBeGreaterThan(0.9 * truth);
    expect(gaussian).toBeLessThan(truth);
  });
});

describe('pairs of normal distributions', () => {
  it('equal variances: the closed form of Gaussian DP, and its inverse', () => {
    for (const mu of [0.1, 1, 4])
      for (const epsilon of [0, 0.5, 3]) {
        const value = hockeyStick({ mean: mu, deviation: 1 }, { mean: 0, deviation: 1 }, epsilon);
        expect(value).toBeCloseTo(gaussianDelta(mu, epsilon), 13);
      }
    // dp_accounting and research/privacy-accounting.md row 29: μ = 1 at δ = 1e-6.
    expect(gaussianEpsilon(1, 1e-6)).toBeCloseTo(4.8866, 4);
    for (const epsilon of [0.01, 1, 8])
      close(gaussianEpsilon(gaussianMu(epsilon, 1e-6), 1e-6), epsilon, 1e-9);
    expect(epsilonOfNormals({ mean: 0, deviation: 1 }, { mean: 0, deviation: 1 }, 1e-6)).toBe(0);
  });

  it('unequal variances: numerical integration of (p − e^ε q)⁺', () => {
    const density = (x: number, mean: number, deviation: number) =>
      Math.exp(-(((x - mean) / deviation) ** 2) / 2) / (deviation * Math.sqrt(2 * Math.PI));
    for (const [mean, p, q, epsilon] of [
      [0.7, 1, 1.4, 0.3],
      [0.7, 1.4, 1, 0.3],
      [0, 2, 1, 0.1],
      [0, 1, 2, 0.9],
      [3, 0.5, 1, 1],
    ] as const) {
      let sum = 0;
      const step = 1e-3;
      for (let x = -25; x < 25; x += step)
        sum += Math.max(0, density(x, mean, p) - Math.exp(epsilon) * density(x, 0, q)) * step;
      const value = hockeyStick({ mean, deviation: p }, { mean: 0, deviation: q }, epsilon);
      expect(Math.abs(value - sum)).toBeLessThan(1e-6);
    }
  });
});

describe('one run', () => {
  const count = 10_000;
  const quantiles = Float64Array.from({ length: count }, (_, i) => normalQuantile((2 * i + 1) / (2 * count)));

  // Row 29 and its neighbours: jax_privacy, tests/auditing_test.py, test_epsilon_one_run_close.
  it.each([
    ['steinke', 0, 0],
    ['gaussian', 0, 0],
    ['steinke', 1, 1.13346],
    ['gaussian', 1, 2.164749],
    ['steinke', 2, 2.311945],
    ['gaussian', 2, 4.7218075],
    ['steinke', 4, 4.395568],
    ['gaussian', 4, 9.133752],
  ] as const)('%s, shift %d: %d', (method, shift, expected) => {
    const ins = quantiles.map((value) => value + shift);
    const found = epsilonOneRunHull(ins, quantiles, { significance: 0.05, delta: 1e-6, method });
    close(found, expected, 1e-5);
  });

  it('p-values equal the theorem summed term by term', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 300 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 4, noNaN: true }),
        fc.constantFrom(0, 1e-6, 1e-3, 0.1),
        (canaries, share, right, epsilon, delta) => {
          const guessed = Math.round(share * canaries);
          const correct = Math.round(right * guessed);
          const rate = Math.exp(epsilon) / (1 + Math.exp(epsilon));
          let [sum, largest] = [0, 0];
          for (let i = 1; i <= correct; i++) {
            sum += binomialMass(correct - i, guessed, rate);
            largest = Math.max(largest, sum / i);
          }
          const direct = Math.min(
            1,
            binomialUpperTail(correct, guessed, rate) + 2 * canaries * delta * largest,
          );
          const value = oneRunPValue({ canaries, guessed, correct }, epsilon, delta);
          expect(Math.abs(value - direct)).toBeLessThan(1e-11);
        },
      ),
    );
  });

  it('the bound is where the p-value crosses the significance, and `above` is never undercut', () => {
    const guesses = { canaries: 1000, guessed: 100, correct: 95 };
    const bound = epsilonOneRun(guesses, 0.05, 1e-6);
    expect(oneRunPValue(guesses, bound - 1e-6, 1e-6)).toBeLessThan(0.05);
    expect(oneRunPValue(guesses, bound + 1e-6, 1e-6)).toBeGreaterThanOrEqual(0.05);
    expect(epsilonOneRun(guesses, 0.05, 1e-6, 9)).toBe(9);
    expect(() => epsilonOneRun({ canaries: 5, guessed: 6, correct: 1 }, 0.05, 0)).toThrow(/canaries/);
  });

  it('the hull is that of all thresholds, by brute force', () => {
    const small = fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 14 });
    fc.assert(
      fc.property(small, small, (ins, outs) => {
        const all = [...new Set([...ins, ...outs, Infinity])]
          .sort((a, b) => a - b)
          .map((threshold) => ({
            truePositives: ins.filter((x) => x >= threshold).length,
            falsePositives: outs.filter((x) => x >= threshold).length,
          }));
        expect(rocHull(ins, outs)).toEqual(all.filter((_, j) => !dominated(all, j)));
      }),
    );
  });

  it('with coins and a fixed number of guesses: below the truth for a Gaussian, 0 without signal', () => {
    const random = seededRandom('coins');
    const coins = Array.from({ length: 4000 }, () => uniform(random) < 0.5);
    const scores = (mu: number) => coins.map((coin) => normal(random) + (coin ? mu : 0));
    for (const method of ['steinke', 'gaussian'] as const) {
      const options = { significance: 0.05, delta: 1e-6, method };
      const found = epsilonOneRunFixed(scores(2), coins, options);
      expect(found).toBeGreaterThan(1);
      expect(found).toBeLessThan(gaussianEpsilon(2, 1e-6));
      expect(epsilonOneRunFixed(scores(0), coins, options)).toBeLessThan(0.3);
    }
    expect(() => epsilonOneRunFixed([1], [], { significance: 0.05, delta: 0, method: 'steinke' })).toThrow(
      expect.objectContaining({ code: 'VECTOR_LENGTH_MISMATCH' }),
    );
  });

  it('cosines estimate the ε of the Gaussian mechanism', () => {
    const random = seededRandom('cosines');
    const [dimension, mu] = [100_000, 1.5];
    // ⟨noise, direction⟩ is N(0, 1) and ‖release‖ is √d for unit noise and canaries of length μ.
    const cosines = Float64Array.from({ length: 2000 }, () => (mu + normal(random)) / Math.sqrt(dimension));
    const { epsilon, deviation } = epsilonFromCosines(cosines, dimension, 1e-5);
    expect(Math.abs(epsilon / gaussianEpsilon(mu, 1e-5) - 1)).toBeLessThan(0.1);
    expect(deviation * Math.sqrt(dimension)).toBeCloseTo(1, 1);
    expect(() => epsilonFromCosines([1], 3, 1e-5)).toThrow(expect.objectContaining({ code: 'DATA_EMPTY' }));
    expect(() => epsilonFromCosines([1, 1], 3, 1e-5)).toThrow(
      expect.objectContaining({ code: 'DATA_INVALID' }),
    );
  });
});

interface Point {
  readonly truePositives: number;
  readonly falsePositives: number;
}

/** Point j lies on or below a chord of the curve between two others. */
function dominated(points: readonly Point[], j: number): boolean {
  const b = points[j]!;
  for (let i = 0; i < j; i++)
    for (let k = j + 1; k < points.length; k++) {
      const [a, c] = [points[i]!, points[k]!];
      const width = a.falsePositives - c.falsePositives;
      const chord =
        (a.truePositives - c.truePositives) * (b.falsePositives - c.falsePositives) -
        width * (b.truePositives - c.truePositives);
      if (chord >= 0) return true;
    }
  return false;
}
