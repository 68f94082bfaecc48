/**
 * Goal: the figures we report are the figures they are called. Cases computed by hand, and a second
 * implementation.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { metricsFromHistogram, scoreHistogram } from '../../protos/histogram-metrics.ts';
import { accuracy, auc, balancedAccuracy, expectedCalibrationError, worstDecile } from './metrics.ts';

describe('auc', () => {
  test.each<[string, number[], number[], number]>([
    ['perfect', [0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], 1],
    ['reversed', [1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4], 0],
    ['textbook: 3 of 4 pairs', [0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], 0.75],
    ['all tied', [0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5], 0.5],
    ['one tie of two pairs', [0, 1, 0], [0.5, 0.5, 0.1], 0.75],
    // positives 3 and 0 against negatives −2, 0, 1: 3 wins three; 0 wins one, ties one, loses one
    ['unsorted logits', [1, 0, 1, 0, 0], [3, -2, 0, 0, 1], (3 + 1.5) / 6],
  ])('%s', (_, labels, scores, expected) => {
    expect(auc(labels, scores)).toBeCloseTo(expected, 12);
  });

  test('one class: undefined', () => {
    expect(auc([1, 1], [0.1, 0.2])).toBeNaN();
  });

  test('equals counting all pairs, and does not change under a rising transformation', () => {
    const rows = fc
      .array(fc.tuple(fc.integer({ min: 0, max: 1 }), fc.integer({ min: -5, max: 5 })), {
        minLength: 2,
        maxLength: 40,
      })
      .filter((list) => new Set(list.map(([label]) => label)).size === 2);
    fc.assert(
      fc.property(rows, (list) => {
        const labels = list.map(([label]) => label);
        const scores = list.map(([, score]) => score);
        let sum = 0;
        let pairs = 0;
        for (const [a, x] of list)
          for (const [b, y] of list)
            if (a === 1 && b === 0) {
              pairs++;
              sum += x > y ? 1 : x === y ? 0.5 : 0;
            }
        expect(auc(labels, scores)).toBeCloseTo(sum / pairs, 12);
        expect(auc(labels, scores.map(Math.exp))).toBeCloseTo(sum / pairs, 12);
      }),
    );
  });
});

describe('threshold metrics', () => {
  const labels = [1, 1, 1, 0, 0];
  const scores = [0.9, 0.5, 0.4, 0.6, 0.1];
  test('accuracy: 3 of 5; 0.5 counts as positive', () => {
    expect(accuracy(labels, scores)).toBeCloseTo(3 / 5, 12);
    expect(accuracy(labels, scores, 0.61)).toBeCloseTo(3 / 5, 12);
    expect(accuracy(labels, scores, 0.95)).toBeCloseTo(2 / 5, 12);
  });
  test('balanced accuracy: (2/3 + 1/2)/2; always-negative gets one half', () => {
    expect(balancedAccuracy(labels, scores)).toBeCloseTo((2 / 3 + 1 / 2) / 2, 12);
    expect(balancedAccuracy([1, 0, 0, 0], [0, 0, 0, 0])).toBe(0.5);
    expect(balancedAccuracy([1], [1])).toBeNaN();
  });
});

describe('expectedCalibrationError', () => {
  test('perfectly calibrated is 0, confident and wrong is 1', () => {
    expect(expectedCalibrationError([1, 0, 1, 0], [0.5, 0.5, 0.5, 0.5])).toBeCloseTo(0, 12);
    expect(expectedCalibrationError([0, 0], [1, 1])).toBe(1);
  });
  test('by hand: bins .1–.2 and .8–.9', () => {
    // bin 1: scores .12 .18, labels 0 1 → |.5 − .15| = .35, weight 2/5; bin 8: .8 .85 .87, labels 1 1 0 →
    // |2/3 − .84|
    const expected = (2 / 5) * 0.35 + (3 / 5) * Math.abs(2 / 3 - 0.84);
    expect(expectedCalibrationError([0, 1, 1, 1, 0], [0.12, 0.18, 0.8, 0.85, 0.87])).toBeCloseTo(
      expected,
      12,
    );
  });
});

describe('worstDecile', () => {
  test('mean of the worst ⌈n/10⌉ clients', () => {
    expect(worstDecile([0.9, 0.5, 0.7])).toBe(0.5);
    const twenty = Array.from({ length: 20 }, (_, i) => i / 20);
    expect(worstDecile(twenty)).toBeCloseTo((0 + 1 / 20) / 2, 12);
    expect(worstDecile([...twenty, 0.99])).toBeCloseTo((0 + 1 / 20 + 2 / 20) / 3, 12);
    expect(worstDecile([Number.NaN, 0.4])).toBe(0.4);
  });
});

test('bad input is refused', () => {
  expect(() => auc([0, 1], [0])).toThrow(expect.objectContaining({ code: 'VECTOR_LENGTH_MISMATCH' }));
  expect(() => auc([], [])).toThrow(expect.objectContaining({ code: 'DATA_EMPTY' }));
  expect(() => auc([0, 2], [0, 1])).toThrow(expect.objectContaining({ code: 'DATA_INVALID' }));
  expect(() => accuracy([0, 1], [0, Number.NaN])).toThrow(expect.objectContaining({ code: 'DATA_INVALID' }));
  expect(() => expectedCalibrationError([0], [2])).toThrow(expect.objectContaining({ code: 'DATA_INVALID' }));
  expect(() => worstDecile([])).toThrow(expect.objectContaining({ code: 'DATA_EMPTY' }));
});

test('the federated path agrees with the exact one on scores of a model', () => {
  const labels = Array.from({ length: 500 }, (_, i) => (Math.sin(i * 7.7) > 0.2 ? 1 : 0));
  const scores = labels.map(
    (label, i) => 1 / (1 + Math.exp(-(1.5 * label - 0.7 + 1.4 * Math.sin(i * 91.7)))),
  );
  const federated = metricsFromHistogram(scoreHistogram(labels, scores, 200));
  expect(Math.abs(federated.auc - auc(labels, scores))).toBeLessThanOrEqual(federated.aucErrorMax);
  expect(federated.aucErrorMax).toBeLessThan(0.01);
  expect(federated.accuracy).toBeCloseTo(accuracy(labels, scores), 12);
  expect(federated.balancedAccuracy).toBeCloseTo(balancedAccuracy(labels, scores), 12);
  expect(Math.abs(federated.calibrationError - expectedCalibrationError(labels, scores))).toBeLessThanOrEqual(
    0.0025,
  );
});
