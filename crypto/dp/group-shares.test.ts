// Goal: a group has fewer honest noise shares than promised at most as often as β says, over exact hypergeometric
// probabilities; and a larger group never has fewer.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { groupNoiseShares } from './group-shares.ts';
import { floorRational, multiplyRational, rational } from './rational.ts';

const coded = (code: string) => expect.objectContaining({ code });

function binomial(n: number, k: number): bigint {
  if (k < 0 || k > n) return 0n;
  let value = 1n;
  for (let i = 1; i <= k; i++) value = (value * BigInt(n - k + i)) / BigInt(i);
  return value;
}

/**
 * P[at least `least` corrupt among `sample` drawn without replacement from `total`, `corrupt` of which are], as an exact
 * fraction.
 */
function tail(total: number, corrupt: number, sample: number, least: number): { hits: bigint; all: bigint } {
  let hits = 0n;
  for (let k = least; k <= sample; k++) hits += binomial(corrupt, k) * binomial(total - corrupt, sample - k);
  return { hits, all: binomial(total, sample) };
}

const gammas = fc.tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 61, max: 200 }));

describe('groupNoiseShares', () => {
  it('promises too many with probability at most β, exactly computed', () => {
    let tight = 0;
    fc.assert(
      fc.property(
        gammas,
        fc.integer({ min: 6, max: 200 }),
        fc.integer({ min: 0, max: 100 }),
        fc.integer({ min: 2, max: 20 }),
        fc.integer({ min: 1, max: 40 }),
        ([a, b], cohortMin, more, groups, exponent) => {
          const gamma = rational(a, b);
          const cohort = cohortMin + more;
          const size = Math.floor(cohort / groups);
          fc.pre(size >= 1);
          const shares = groupNoiseShares({ gamma, cohortMin, size, failure: 2 ** -exponent });
          expect(shares).toBeGreaterThanOrEqual(1);
          expect(shares).toBeLessThanOrEqual(size);
          const corrupt = Math.min(
            cohort - 1,
            Number(floorRational(multiplyRational(gamma, rational(cohort)))),
          );
          // honest < shares means more than size − shares corrupt ones besides her.
          const { hits, all } = tail(cohort - 1, corrupt, size - 1, size - shares + 1);
          expect(hits << BigInt(exponent) <= all).toBe(true);
          // It must be able to fail: half as many corrupt members allowed for are often too few.
          const half = tail(cohort - 1, corrupt, size - 1, Math.floor((size - shares) / 2) + 1);
          if (half.hits << BigInt(exponent) > half.all) tight++;
        },
      ),
      { numRuns: 400 },
    );
    expect(tight).toBeGreaterThan(50);
  });

  it('never falls when the group grows', () => {
    fc.assert(
      fc.property(
        gammas,
        fc.integer({ min: 2, max: 500 }),
        fc.integer({ min: 1, max: 60 }),
        ([a, b], cohortMin, exponent) => {
          const shares = Array.from({ length: 120 }, (_, i) =>
            groupNoiseShares({ gamma: rational(a, b), cohortMin, size: i + 1, failure: 2 ** -exponent }),
          );
          for (let i = 1; i < shares.length; i++) {
            expect(shares[i]).toBeGreaterThanOrEqual(shares[i - 1]!);
            expect(shares[i]! - shares[i - 1]!).toBeLessThanOrEqual(1);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('falls with γ, rises with β, and counts everybody where nobody is corrupt', () => {
    const of = (numerator: number, failure: number) =>
      groupNoiseShares({ gamma: rational(numerator, 100), cohortMin: 1000, size: 50, failure });
    const byGamma = [0, 1, 5, 10, 20, 40, 99].map((numerator) => of(numerator, 1e-9));
    expect(byGamma).toEqual([...byGamma].sort((a, b) => b - a));
    expect(byGamma[0]).toBe(50);
    expect(byGamma.at(-1)).toBe(1);
    const byFailure = [1e-15, 1e-9, 1e-6, 1e-3, 0.5].map((failure) => of(10, failure));
    expect(byFailure).toEqual([...byFailure].sort((a, b) => a - b));
    // Computed apart (Python): n = 49, p = 100/999; 49·KL(22/49‖p) = 19.77 < −ln β = 20.72 ≤ 49·KL(23/49‖p) = 21.81, so c = 22.
    expect(of(10, 1e-9)).toBe(50 - 22);
  });

  it('stays at one where nothing can be said, and refuses what means nothing', () => {
    const input = { gamma: rational(1, 10), cohortMin: 10, size: 1, failure: 0.01 };
    expect(groupNoiseShares(input)).toBe(1);
    expect(groupNoiseShares({ ...input, size: 3 })).toBe(1);
    expect(groupNoiseShares({ ...input, gamma: rational(9, 10), cohortMin: 2, size: 40 })).toBe(1);
    for (const change of [{ size: 0 }, { cohortMin: 1 }, { size: 1.5 }, { failure: 0 }, { failure: 1 }])
      expect(() => groupNoiseShares({ ...input, ...change })).toThrow(coded('FIELD_OUT_OF_RANGE'));
    for (const gamma of [rational(1), rational(-1, 2)])
      expect(() => groupNoiseShares({ ...input, gamma })).toThrow(coded('PARAMETER_UNSAFE'));
  });
});
