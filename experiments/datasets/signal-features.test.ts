/** Goal: the inputs derived from beats say what their names say, on rhythms whose answer is known. */
import { describe, expect, test } from 'vitest';
import { seededRandom, uniform } from '../../crypto/random.ts';
import { beatFeatures, beatInputs, quantile } from './beat-features.ts';
import { nightFeatures, nightInputs } from './night-features.ts';

const random = seededRandom('signal-features');
const beats = (count: number, lengthOf: (i: number) => number): number[] =>
  Array.from({ length: count }, (_, i) => lengthOf(i));

describe('beatFeatures', () => {
  const regular = beatFeatures(beats(70, (i) => 0.8 + 0.001 * (i % 2)))!;
  const bigeminy = beatFeatures(beats(70, (i) => (i % 2 ? 1 : 0.6) + 0.002 * (i % 3)))!;
  const fibrillation = beatFeatures(beats(90, () => 0.45 + 0.5 * uniform(random)))!;

  test('a regular heart is calm in all of them, fibrillation in none', () => {
    for (const name of ['variation', 'step_median', 'interval_entropy', 'calm_steps_mean'] as const) {
      expect(regular[name]).toBeLessThan(0.02);
      expect(fibrillation[name]).toBeGreaterThan(0.05);
    }
    expect(regular.sample_entropy).toBeLessThan(fibrillation.sample_entropy - 1);
    expect(regular.mode_share).toBe(1);
    expect(fibrillation.mode_share).toBeLessThan(0.4);
    // Of independent intervals two thirds are turning points (Bienaymé).
    expect(Math.abs(fibrillation.turning_points - 2 / 3)).toBeLessThan(0.15);
  });

  test('beats in twos are irregular by the step, regular by the period', () => {
    expect(bigeminy.step_median).toBeGreaterThan(0.3);
    expect(bigeminy.best_period_step).toBeLessThan(0.02);
    expect(bigeminy.correlation_1).toBeLessThan(-0.9);
    expect(bigeminy.correlation_2).toBeGreaterThan(0.9);
    expect(fibrillation.best_period_step).toBeGreaterThan(0.1);
  });

  test('relative: a faster heart with the same rhythm reads the same, but for its mean', () => {
    const slow = beats(60, () => 0.8 + 0.3 * uniform(random));
    const a = beatFeatures(slow)!;
    const b = beatFeatures(slow.map((value) => 0.6 * value))!;
    for (const [name] of beatInputs)
      if (name === 'interval_mean') expect(b[name]).toBeCloseTo(0.6 * a[name], 10);
      else expect(Math.abs(b[name] - a[name])).toBeLessThan(1e-3);
  });

  test('too few beats are no measurement; impossible ones are dropped', () => {
    expect(beatFeatures(beats(14, () => 0.8))).toBeUndefined();
    expect(beatFeatures([...beats(30, () => 0.8), 9, 0.01])).toEqual(beatFeatures(beats(30, () => 0.8)));
    expect(quantile([1, 2, 3, 4], 0.5)).toBe(2.5);
  });
});

describe('nightFeatures', () => {
  /** Beats whose interval follows a sine of `hertz`, for `minutes`. */
  function nightOf(hertz: number, amplitude: number, minutes = 12): number[] {
    const times = [0];
    while (times.at(-1)! < minutes * 60 + 5)
      times.push(times.at(-1)! + 0.9 + amplitude * Math.sin(2 * Math.PI * hertz * times.at(-1)!));
    return times;
  }
  const middle = (hertz: number, amplitude = 0.08) => nightFeatures(nightOf(hertz, amplitude), 12)[6]!;

  test('a 40 s cycle is found as one, with its period', () => {
    const cycle = middle(1 / 40);
    expect(cycle.cycle_share_5).toBeGreaterThan(0.9);
    expect(cycle.cycle_correlation_5).toBeGreaterThan(0.7);
    expect(Math.abs(cycle.cycle_seconds_5 - 40)).toBeLessThanOrEqual(1);
    expect(cycle.log_swing_5).toBeGreaterThan(middle(0.25).log_swing_5 + 1);
  });

  test('power lands in its band: 0.1 Hz low, 0.25 Hz high, and grows with the square of the amplitude', () => {
    expect(middle(0.1).low_share_5).toBeGreaterThan(0.9);
    expect(middle(0.25).high_share_5).toBeGreaterThan(0.9);
    const growth = middle(0.1, 0.08).log_low_power_5 - middle(0.1, 0.04).log_low_power_5;
    expect(Math.abs(growth - Math.log(4))).toBeLessThan(0.1);
  });

  test('Parseval: half the squared amplitude of a sine lies in its band', () => {
    // The window's power is divided out; what is left is the sum over half the spectrum times points / 1.
    const { log_low_power_5: power } = middle(0.1, 0.05);
    const variance = (2 * Math.exp(power)) / 512;
    expect(variance / (0.05 ** 2 / 2)).toBeGreaterThan(0.85);
    expect(variance / (0.05 ** 2 / 2)).toBeLessThan(1.1);
  });

  test('an ectopic beat is bridged; a night cut short has as many entries as minutes asked for', () => {
    const times = nightOf(0.1, 0.03);
    const ectopic = times.map((time, i) => (i === 400 ? time - 0.4 : time));
    const a = nightFeatures(times, 12)[5]!;
    const b = nightFeatures(ectopic, 12)[5]!;
    for (const [name, minimum, maximum] of nightInputs)
      expect(Math.abs(a[name] - b[name]) / (maximum - minimum)).toBeLessThan(0.05);
    expect(nightFeatures([0, 0.9, 1.8], 3)).toHaveLength(3);
    for (const entry of nightFeatures([0, 0.9, 1.8], 3))
      for (const [name] of nightInputs) expect(Number.isFinite(entry[name])).toBe(true);
  });
});
