import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRational, rationalToNumber } from './rational.ts';
import {
  adaptiveClipNoiseMultiplier,
  bandedSensitivitySquared,
  treeSensitivitySquared,
} from './sensitivity.ts';

/** Every way to take part, up to `count` times, at least `separation` steps apart. */
function* participations(steps: number, count: number, separation: number, from = 0): Generator<number[]> {
  yield [];
  if (count === 0) return;
  for (let at = from; at < steps; at++)
    for (const rest of participations(steps, count - 1, separation, at + separation)) yield [at, ...rest];
}

/** Σ over all nodes of (participations under the node)². */
function nodeSquares(steps: number, at: readonly number[]): number {
  let sum = 0;
  let start = 0;
  for (let height = 20; height >= 0; height--) {
    const size = 2 ** height;
    if (Math.floor(steps / size) % 2 === 0) continue;
    for (let width = 1; width <= size; width *= 2)
      for (let node = start; node < start + size; node += width)
        sum += at.filter((step) => step >= node && step < node + width).length ** 2;
    start += size;
  }
  return sum;
}

const problem = fc.record({
  steps: fc.integer({ min: 1, max: 22 }),
  participationsMax: fc.integer({ min: 1, max: 4 }),
  separationMin: fc.integer({ min: 1, max: 9 }),
});

describe('tree aggregation', () => {
  it('is the largest over every way to take part', () =>
    fc.assert(
      fc.property(problem, ({ steps, participationsMax, separationMin }) => {
        let most = 0;
        for (const at of participations(steps, participationsMax, separationMin))
          most = Math.max(most, nodeSquares(steps, at));
        expect(treeSensitivitySquared({ steps, participationsMax, separationMin })).toBe(most);
      }),
      { numRuns: 60 },
    ));

  it('is quick at a million steps and refuses what would not be', () => {
    expect(treeSensitivitySquared({ steps: 2 ** 20, participationsMax: 16, separationMin: 5000 })).toBe(1618);
    expect(() => treeSensitivitySquared({ steps: 1000, participationsMax: 500, separationMin: 1 })).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_EVENT' }),
    );
  });
});

describe('banded factorisation', () => {
  const bands = ['1', '1/2', '3/8', '5/16'].map(parseRational);

  it('is never below any way to take part, and reached by one where the end does not cut', () =>
    fc.assert(
      fc.property(problem, ({ steps, participationsMax, separationMin }) => {
        const column = bands.map(rationalToNumber);
        let most = 0;
        for (const at of participations(steps, participationsMax, separationMin)) {
          const sum = Array.from({ length: steps }, () => 0);
          for (const step of at)
            column.forEach((value, i) => {
              if (step + i < steps) sum[step + i]! += value;
            });
          most = Math.max(
            most,
            sum.reduce((total, value) => total + value * value, 0),
          );
        }
        const bound = rationalToNumber(
          bandedSensitivitySquared({ steps, participationsMax, separationMin, coefficients: bands }),
        );
        expect(bound).toBeGreaterThanOrEqual(most - 1e-12);
        const last = (participationsMax - 1) * separationMin + bands.length;
        if (last <= steps) expect(bound).toBeCloseTo(most, 12);
      }),
      { numRuns: 60 },
    ));

  it('refuses overlapping bands whose worst positions are not known', () => {
    const event = { steps: 20, participationsMax: 3, separationMin: 2 };
    for (const coefficients of [
      ['1', '-1/2', '1/4'],
      ['1/2', '1', '1/2'],
    ])
      expect(() =>
        bandedSensitivitySquared({ ...event, coefficients: coefficients.map(parseRational) }),
      ).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_EVENT' }));
  });
});

it('bits that cost more than everything together are refused', () => {
  expect(() => adaptiveClipNoiseMultiplier(1, 0.4)).toThrow(
    expect.objectContaining({ code: 'UNSUPPORTED_EVENT' }),
  );
});
