// Goal: each rule is the statistic that its name says, and stays near the honest groups while an attacker owns fewer
// groups than the rule promises; one group more and it does not.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rational } from '../../crypto/dp/rational.ts';
import { type CombineRule, combineGroups, type GroupMean } from './combine.ts';

const group = (count: number, ...mean: number[]): GroupMean => ({ mean: Float64Array.from(mean), count });
const combined = (groups: readonly GroupMean[], rule: CombineRule): number[] => [
  ...combineGroups(groups, rule),
];

describe('combineGroups', () => {
  const groups = [group(1, 1, 10), group(3, 2, -10), group(1, 3, 0), group(2, 4, 5), group(1, 100, 1)];

  test('mean: weighted by count, the mean of one sum', () => {
    expect(combined(groups, { combine: 'mean' })).toEqual([
      (1 + 6 + 3 + 8 + 100) / 8,
      (10 - 30 + 10 + 1) / 8,
    ]);
  });

  test('median: of each coordinate by itself, even and odd', () => {
    expect(combined(groups, { combine: 'median' })).toEqual([3, 1]);
    expect(combined(groups.slice(0, 4), { combine: 'median' })).toEqual([2.5, 2.5]);
  });

  test('trimmed mean: the floor of trim·G goes at each end', () => {
    expect(combined(groups, { combine: 'trimmed-mean' })).toEqual([3, 2]);
    expect(combined(groups, { combine: 'trimmed-mean', trim: rational(2n, 5n) })).toEqual([3, 1]);
    // 0.29·100 in floating point is 28.999…
    const hundred = Array.from({ length: 100 }, (_, i) => group(1, i < 29 ? -1e9 : i >= 71 ? 1e9 : 7));
    expect(combined(hundred, { combine: 'trimmed-mean', trim: rational(29n, 100n) })).toEqual([7]);
    expect(combined(groups.slice(0, 3), { combine: 'trimmed-mean' })).toEqual([2, 0]);
  });

  test('trimmed mean: as many as of all groups go, also where some could not be opened', () => {
    const values = [1, 2, 3, 4, 5, 6, 100].map((value) => group(1, value));
    const rule = { combine: 'trimmed-mean', trim: rational(1n, 4n) } as const;
    expect(combined(values, rule)).toEqual([4]);
    expect(combined(values, { ...rule, groupCount: 8 })).toEqual([4]);
    expect(combined([...values.slice(1), group(1, 100)], { ...rule, groupCount: 8 })).toEqual([5]);
    expect(combined(values.slice(0, 2), { ...rule, groupCount: 8 })).toEqual([1.5]);
  });

  test('norm filter: far groups go, the others are averaged', () => {
    const rule = { combine: 'norm-filter' } as const;
    expect(combined([group(1, 3, 4), group(1, 0, 5), group(2, 0, 11)], rule)).toEqual([1.5, 4.5]);
    // Whatever weight a group claims.
    expect(combined([group(1, 3, 4), group(1, 0, 5), group(1e6, 0, 9)], rule)).toEqual([1, 6]);
    expect(
      combined([group(1, 3), group(1, 4)], { combine: 'norm-filter', normFactor: rational(1n) }),
    ).toEqual([3]);
    expect(combined([group(1, 0), group(1, 0), group(1, 9)], rule)).toEqual([0]);
  });

  test('krum: the group of smallest score, by hand, and multi-Krum the mean of the best', () => {
    const line = [0, 1, 1.5, 2, 10].map((value) => group(1, value));
    // f = 1 of 5: sums over the 2 nearest are 3.25, 1.25, 0.5, 1.25, 136.25.
    const rule = { combine: 'krum', faultyMax: 1 } as const;
    expect(combined(line, rule)).toEqual([1.5]);
    expect(combined(line, { ...rule, keptCount: 2 })).toEqual([1.25]);
    expect(combined(line, { ...rule, keptCount: 3 })).toEqual([1.5]);
    // Whatever weight a group claims; whole vectors, unlike the median, which makes (2, 2) of these.
    const plane = [group(1, 1, 3), group(9, 2, 2.5), group(1, 3, 1), group(1, 2.25, 2), group(1e6, -50, 50)];
    expect(combined(plane, rule)).toEqual([2, 2.5]);
    // Nobody may be spoiled: the nearest G − 2.
    expect(combined(line.slice(0, 3), { combine: 'krum', faultyMax: 0 })).toEqual([1]);
    expect(combined(line.slice(0, 2), rule)).toEqual([0]);
  });

  test('nothing to combine, or unequal lengths, is refused', () => {
    expect(() => combined([], { combine: 'mean' })).toThrow(/at least one mean/);
    expect(() => combined([group(1, 1), group(1, 1, 2)], { combine: 'median' })).toThrow(/one length/);
  });

  const honest = fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 3, maxLength: 40 });
  const evil = fc.constantFrom(1e9, -1e9, 1e300, -3);
  /** Attackers that the rule tolerates among `good` honest groups. */
  const tolerated: [CombineRule, (good: number) => number][] = [
    [{ combine: 'median' }, (good) => good - 1],
    [{ combine: 'trimmed-mean', trim: rational(1n, 4n) }, (good) => Math.floor((good - 1) / 3)],
  ];
  test.each(tolerated)('%o stays within the honest values', (rule, most) => {
    fc.assert(
      fc.property(honest, evil, (good, value) => {
        const bad = Array.from({ length: most(good.length) }, () => group(1, value));
        const [out] = combined([...good.map((v) => group(1, v)), ...bad], rule);
        expect(out).toBeGreaterThanOrEqual(Math.min(...good) - 1e-12);
        expect(out).toBeLessThanOrEqual(Math.max(...good) + 1e-12);
      }),
    );
    // One more than is promised: the statistic leaves them. (The mean does so with a single one.)
    const good = Array.from({ length: 6 }, () => group(1, 0));
    const bad = Array.from({ length: most(6) + (rule.combine === 'median' ? 1 : 2) }, () => group(1, 1e9));
    expect(Math.abs(combined([...good, ...bad], rule)[0]!)).toBeGreaterThan(1e6);
    expect(combined([...good, group(1, 1e9)], { combine: 'mean' })[0]).toBeGreaterThan(1e6);
  });

  test('norm filter: less than half poisoned groups move it no further than the norms that it lets pass', () => {
    fc.assert(
      fc.property(honest, evil, (good, value) => {
        const bad = Array.from({ length: good.length - 1 }, () => group(1, value));
        const [out] = combined([...good.map((v) => group(1, v)), ...bad], { combine: 'norm-filter' });
        expect(Math.abs(out!)).toBeLessThanOrEqual(2 * Math.max(...good.map(Math.abs)) + 1e-12);
      }),
    );
  });

  test('krum: f poisoned of 2f + 3 groups move it by a multiple of what honest groups differ', () => {
    fc.assert(
      fc.property(honest, fc.oneof(evil, fc.double({ min: -20, max: 20, noNaN: true })), (good, value) => {
        const faultyMax = Math.max(0, good.length - 3);
        const bad = Array.from({ length: faultyMax }, () => group(1, value));
        const groups = [...bad, ...good.map((v) => group(1, v))];
        const [out] = combined(groups, { combine: 'krum', faultyMax });
        // An honest score is at most (G − f − 2)·2²; a poisoned choice has two honest groups or more among its nearest.
        expect(Math.abs(out!)).toBeLessThanOrEqual(1 + Math.sqrt(2 * (groups.length - faultyMax - 2)) + 1e-9);
      }),
    );
    const good = Array.from({ length: 3 }, (_, i) => group(1, i / 10));
    const bad = Array.from({ length: 4 }, () => group(1, 1e9));
    expect(combined([...good, ...bad], { combine: 'krum', faultyMax: 2 })).toEqual([1e9]);
  });

  test('without an attacker every rule finds the common value', () => {
    for (const combine of ['mean', 'median', 'trimmed-mean', 'norm-filter', 'krum'] as const)
      expect(
        combined(
          Array.from({ length: 7 }, (_, i) => group(i + 1, 0.25, -2)),
          { combine },
        ),
      ).toEqual([0.25, -2]);
  });
});
