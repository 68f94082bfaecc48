/** Goal: histogram metrics agree with the exact ones within their stated error, and survive noise. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { metricsFromHistogram, scoreHistogram } from './histogram-metrics.ts';

/** Second implementation: all pairs. */
function exactAuc(labels: readonly number[], scores: readonly number[]): number {
  let wins = 0;
  let pairs = 0;
  labels.forEach((a, i) => {
    labels.forEach((b, j) => {
      if (a !== 1 || b !== 0) return;
      pairs++;
      wins += scores[i]! > scores[j]! ? 1 : scores[i] === scores[j] ? 0.5 : 0;
    });
  });
  return wins / pairs;
}

const sample = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 1 }), fc.double({ min: 0, max: 1, noNaN: true })), {
    minLength: 2,
    maxLength: 60,
  })
  .filter((rows) => rows.some(([label]) => label === 0) && rows.some(([label]) => label === 1));

describe('scoreHistogram', () => {
  test('counts by label and bin; 1 belongs to the last bin', () => {
    const counts = scoreHistogram([0, 0, 1, 1], [0, 0.05, 1, 0.5], 20);
    expect(counts.length).toBe(40);
    expect([counts[0], counts[1], counts[20 + 19], counts[20 + 10]]).toEqual([1, 1, 1, 1]);
    expect(counts.reduce((a, b) => a + b)).toBe(4);
  });

  test('sums of clients equal the histogram of the union', () => {
    fc.assert(
      fc.property(sample, sample, (a, b) => {
        const of = (rows: readonly (readonly [number, number])[]) =>
          scoreHistogram(
            rows.map(([label]) => label),
            rows.map(([, score]) => score),
            20,
          );
        const parts = [of(a), of(b)];
        expect(of([...a, ...b])).toEqual(parts[0]!.map((value, i) => value + parts[1]![i]!));
      }),
    );
  });

  test.each<[string, () => unknown]>([
    ['bins', () => scoreHistogram([0], [0.5], 30)],
    ['bins', () => scoreHistogram([0], [0.5], 0)],
    ['probability', () => scoreHistogram([0], [1.5], 20)],
    ['probability', () => scoreHistogram([0], [Number.NaN], 20)],
    ['label', () => scoreHistogram([2], [0.5], 20)],
    ['score', () => scoreHistogram([1, 0], [0.5], 20)],
    ['even', () => metricsFromHistogram(new Int32Array(41))],
    ['finite', () => metricsFromHistogram(new Float64Array(40).fill(Number.NaN))],
  ])('refuses bad input (%s)', (message, action) => {
    expect(action).toThrow(message);
  });
});

describe('metricsFromHistogram', () => {
  test('by hand: 3 negatives, 2 positives', () => {
    // negatives in bins 0, 0, 12; positives in bins 12, 19 (of 20)
    const metrics = metricsFromHistogram(scoreHistogram([0, 0, 0, 1, 1], [0.01, 0.02, 0.61, 0.62, 0.99], 20));
    expect(metrics.rows).toBe(5);
    expect(metrics.positives).toBe(2);
    expect(metrics.auc).toBeCloseTo((3 + 2 + 0.5) / 6, 12);
    expect(metrics.aucErrorMax).toBeCloseTo(0.5 / 6, 12);
    expect(metrics.accuracy).toBe(4 / 5);
    expect(metrics.balancedAccuracy).toBeCloseTo((1 + 2 / 3) / 2, 12);
    // calibration bins 0 (two rows at .025), 6 (two rows at .625, one positive), 9 (one row at .975)
    expect(metrics.calibrationError).toBeCloseTo((0.05 + 0.25 + 0.025) / 5, 12);
  });

  test('within the stated error of the exact AUC, and exact accuracy', () => {
    fc.assert(
      fc.property(sample, fc.constantFrom(20, 40, 200), (rows, bins) => {
        const labels = rows.map(([label]) => label);
        const scores = rows.map(([, score]) => score);
        const metrics = metricsFromHistogram(scoreHistogram(labels, scores, bins));
        expect(Math.abs(metrics.auc - exactAuc(labels, scores))).toBeLessThanOrEqual(
          metrics.aucErrorMax + 1e-12,
        );
        const hits = rows.filter(([label, score]) => score >= 0.5 === (label === 1)).length;
        expect(metrics.accuracy).toBeCloseTo(hits / rows.length, 12);
      }),
    );
  });

  test('noisy negative counts count as zero; an empty class gives NaN, not a number', () => {
    const noisy = new Float64Array(40);
    noisy[0] = 10;
    noisy[5] = -3;
    noisy[20 + 19] = 10;
    noisy[20 + 2] = -7;
    expect(metricsFromHistogram(noisy)).toMatchObject({ auc: 1, accuracy: 1, rows: 20, positives: 10 });
    expect(metricsFromHistogram(new Int32Array(40).fill(-1)).auc).toBeNaN();
  });
});
