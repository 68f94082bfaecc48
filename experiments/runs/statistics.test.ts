/** Goal: intervals are the ones of the tables, and pairing is what takes out shared luck. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seededRandom, uniform } from '../../crypto/random.ts';
import {
  estimateOf,
  pairedDifference,
  studentCdf,
  studentQuantile,
  unpairedDifference,
} from './statistics.ts';

describe("Student's t", () => {
  // Printed tables of the 97.5 % point (Fisher & Yates).
  test.each([
    [1, 12.706],
    [2, 4.303],
    [4, 2.776],
    [9, 2.262],
    [19, 2.093],
    [30, 2.042],
    [1e6, 1.96],
  ])('%d degrees: %d', (degrees, expected) => {
    expect(studentQuantile(0.975, degrees)).toBeCloseTo(expected, 3);
  });

  test('one degree is Cauchy, two have a closed form', () => {
    for (const t of [-3, -0.5, 0, 0.7, 5]) {
      expect(studentCdf(t, 1)).toBeCloseTo(0.5 + Math.atan(t) / Math.PI, 10);
      expect(studentCdf(t, 2)).toBeCloseTo(0.5 + t / (2 * Math.sqrt(2 + t * t)), 10);
    }
  });

  test('quantile and distribution are inverse', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.001, max: 0.999, noNaN: true }),
        fc.integer({ min: 1, max: 200 }),
        (p, n) => {
          expect(studentCdf(studentQuantile(p, n), n)).toBeCloseTo(p, 8);
        },
      ),
    );
  });
});

describe('estimates', () => {
  test('by hand: 1 2 3 4 5', () => {
    const estimate = estimateOf([1, 2, 3, 4, 5]);
    const half = (2.7764451 * Math.sqrt(2.5)) / Math.sqrt(5);
    expect(estimate).toMatchObject({ n: 5, mean: 3 });
    expect(estimate.deviation).toBeCloseTo(Math.sqrt(2.5), 12);
    expect(estimate.low).toBeCloseTo(3 - half, 6);
    expect(estimate.high).toBeCloseTo(3 + half, 6);
  });

  test('one value has no interval, none is an error', () => {
    expect(estimateOf([7])).toEqual({ n: 1, mean: 7, deviation: null, low: null, high: null });
    expect(() => estimateOf([])).toThrow(expect.objectContaining({ code: 'DATA_EMPTY' }));
  });

  test('95 % of intervals of normal samples cover the mean', () => {
    const random = seededRandom('coverage');
    const normal = (): number =>
      Math.sqrt(-2 * Math.log(1 - uniform(random))) * Math.cos(2 * Math.PI * uniform(random));
    let covered = 0;
    for (let i = 0; i < 2000; i++) {
      const { low, high } = estimateOf(Array.from({ length: 5 }, () => 10 + 3 * normal()));
      if (low! <= 10 && high! >= 10) covered++;
    }
    // Five standard deviations of a binomial count around 1900.
    expect(Math.abs(covered - 1900)).toBeLessThan(49);
  });
});

describe('differences', () => {
  const shared = [0.8, 0.9, 0.7, 0.85, 0.75];
  const better = shared.map((value, i) => value + 0.01 + 0.001 * (i % 2));

  test('pairs take out what both share; unpaired means do not', () => {
    const paired = pairedDifference(better, shared);
    expect(paired.low).toBeGreaterThan(0.009);
    const unpaired = unpairedDifference(better, shared);
    expect(unpaired.mean).toBeCloseTo(paired.mean, 12);
    expect(unpaired.low).toBeLessThan(0);
    expect(unpaired.high).toBeGreaterThan(0);
  });

  test('overlapping test rows widen a paired interval: 1/n becomes 1/n + share', () => {
    const plain = pairedDifference(better, shared);
    const corrected = pairedDifference(better, shared, 0.5);
    expect(corrected.mean).toBe(plain.mean);
    expect((corrected.high! - corrected.mean) / (plain.high! - plain.mean)).toBeCloseTo(
      Math.sqrt((1 / 5 + 0.5) / (1 / 5)),
      12,
    );
  });

  test("Welch's degrees of freedom, by hand", () => {
    // variances 1 and 4 over 3 each: (5/3)² / ((1/3)²/2 + (4/3)²/2) = 2.941176…
    const estimate = unpairedDifference([9, 10, 11], [3, 5, 7]);
    const half = studentQuantile(0.975, 50 / 17) * Math.sqrt(5 / 3);
    expect(estimate.mean).toBe(5);
    expect(estimate.high! - estimate.mean).toBeCloseTo(half, 9);
  });

  test('equal values, single values, uneven lists', () => {
    expect(unpairedDifference([1, 1], [2, 2])).toMatchObject({ mean: -1, low: -1, high: -1 });
    expect(unpairedDifference([1], [2, 3])).toMatchObject({ mean: -1.5, low: null });
    expect(() => pairedDifference([1], [1, 2])).toThrow(
      expect.objectContaining({ code: 'VECTOR_LENGTH_MISMATCH' }),
    );
  });
});
