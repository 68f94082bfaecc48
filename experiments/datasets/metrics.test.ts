/**
 * Goal: the figures we report are the figures they are called. Cases computed by hand, and a second
 * implementation.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { metricsFromHistogram, scoreHistogram } from '../../protos/histogram-metrics.ts';
import {
  accuracy,
  auc,
  balancedAccuracy,
  brierScore,
  classMetrics,
  expectedCalibrationError,
  logLoss,
  regressionMetrics,
  worstDecile,
} from './metrics.ts';

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
  test('of errors the worst are the highest', () => {
    expect(worstDecile([1, 3, 2], 'highest')).toBe(3);
  });
});

describe('log-loss and Brier score', () => {
  test('by hand', () => {
    expect(logLoss([1, 0], [0.5, 0.5])).toBeCloseTo(Math.LN2, 12);
    expect(logLoss([1, 0, 1], [0.8, 0.25, 0.5])).toBeCloseTo(
      -(Math.log(0.8) + Math.log(0.75) + Math.log(0.5)) / 3,
      12,
    );
    expect(brierScore([1, 0, 1], [0.8, 0.25, 0.5])).toBeCloseTo((0.04 + 0.0625 + 0.25) / 3, 12);
  });
  test('certainty: right costs nothing, wrong costs a finite amount', () => {
    expect(logLoss([1, 0], [1, 0])).toBeCloseTo(0, 12);
    expect(logLoss([1], [0])).toBeCloseTo(-Math.log(1e-7), 6);
    expect(brierScore([1, 0], [0, 1])).toBe(1);
  });
  test('both are proper: the true frequency costs least', () => {
    const labels = [1, 1, 1, 0];
    for (const metric of [logLoss, brierScore]) {
      const at = (p: number) => metric(labels, [p, p, p, p]);
      for (const p of [0.05, 0.5, 0.7, 0.8, 0.99]) expect(at(0.75)).toBeLessThan(at(p));
    }
  });
});

describe('classMetrics', () => {
  // true 0 0 0 1 1 2, predicted 0 0 1 1 2 0
  const labels = [0, 0, 0, 1, 1, 2];
  const rows = [
    [0.8, 0.1, 0.1],
    [0.6, 0.2, 0.2],
    [0.3, 0.5, 0.2],
    [0.1, 0.8, 0.1],
    [0.2, 0.2, 0.6],
    [0.5, 0.3, 0.2],
  ];
  const metrics = classMetrics(labels, rows.flat(), 3);
  test('accuracy, recalls and F1 by hand', () => {
    expect(metrics.accuracy).toBeCloseTo(3 / 6, 12);
    expect(metrics.balancedAccuracy).toBeCloseTo((2 / 3 + 1 / 2 + 0) / 3, 12);
    // F1 = 2·hits / (actual + predicted): 4/6, 2/4, 0/2
    expect(metrics.macroF1).toBeCloseTo((4 / 6 + 2 / 4 + 0) / 3, 12);
  });
  test('log-loss, Brier score and calibration by hand', () => {
    const given = [0.8, 0.6, 0.3, 0.8, 0.2, 0.2];
    expect(metrics.logLoss).toBeCloseTo(-given.reduce((sum, p) => sum + Math.log(p), 0) / 6, 12);
    const squares = 0.06 + 0.24 + 0.78 + 0.06 + 1.04 + 0.98;
    expect(metrics.brierScore).toBeCloseTo(squares / 6, 12);
    // Of the predicted class: .5 (miss) and .5 (miss), .6 (hit) and .6 (miss), .8 and .8 (hits)
    expect(metrics.calibrationError).toBeCloseTo((1 + Math.abs(1 - 1.2) + Math.abs(2 - 1.6)) / 6, 12);
  });
  test('two classes agree with the binary metrics', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 1 }), fc.integer({ min: 1, max: 99 })), {
          minLength: 2,
          maxLength: 30,
        }),
        (list) => {
          const binary = list.map(([label]) => label);
          const scores = list.map(([, percent]) => percent / 100);
          const both = classMetrics(
            binary,
            scores.flatMap((p) => [1 - p, p]),
            2,
          );
          // Even odds count as positive in one and as the first class in the other.
          if (!scores.includes(0.5)) expect(both.accuracy).toBeCloseTo(accuracy(binary, scores), 12);
          expect(both.logLoss).toBeCloseTo(logLoss(binary, scores), 10);
          expect(both.brierScore).toBeCloseTo(2 * brierScore(binary, scores), 10);
          if (!scores.includes(0.5) && new Set(binary).size === 2)
            expect(both.balancedAccuracy).toBeCloseTo(balancedAccuracy(binary, scores), 12);
        },
      ),
    );
  });
  test('a class that never occurs takes no part in recall; bad input is refused', () => {
    expect(classMetrics([0, 0], [0.9, 0.1, 0, 0.9, 0.1, 0], 3)).toMatchObject({
      balancedAccuracy: 1,
      macroF1: 1,
    });
    expect(() => classMetrics([3], [0.2, 0.3, 0.5], 3)).toThrow(
      expect.objectContaining({ code: 'DATA_INVALID' }),
    );
    expect(() => classMetrics([0], [0.2, 0.3], 2)).toThrow(/add up to 1/);
    expect(() => classMetrics([0], [1], 2)).toThrow(
      expect.objectContaining({ code: 'VECTOR_LENGTH_MISMATCH' }),
    );
  });
});

describe('regressionMetrics', () => {
  test('by hand', () => {
    const metrics = regressionMetrics([60, 62, 70], [61, 60, 70]);
    expect(metrics.meanAbsoluteError).toBeCloseTo(1, 12);
    expect(metrics.rootMeanSquaredError).toBeCloseTo(Math.sqrt(5 / 3), 12);
    expect(metrics.rSquared).toBeCloseTo(1 - 5 / (16 + 4 + 36), 12);
  });
  test('predicting the mean explains nothing; equal targets have no R²', () => {
    expect(regressionMetrics([1, 2, 3], [2, 2, 2]).rSquared).toBeCloseTo(0, 12);
    expect(regressionMetrics([2, 2], [1, 3]).rSquared).toBeNaN();
    expect(() => regressionMetrics([1], [Number.NaN])).toThrow(
      expect.objectContaining({ code: 'DATA_INVALID' }),
    );
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
