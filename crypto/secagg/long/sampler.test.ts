import { describe, expect, it } from 'vitest';
import { isPulsefoldError } from '../../error.ts';
import { type RandomSource, seededRandom } from '../../random.ts';
import { cumulativeTable, sampleSmallGaussian } from './sampler.ts';

/** P(|X| ≤ k) in doubles, the second implementation. */
function cumulative(sigma: number): (k: number) => number {
  const weight = (k: number): number => Math.exp((-k * k) / (2 * sigma * sigma));
  let total = 0;
  for (let k = -200; k <= 200; k++) total += weight(k);
  return (k) => {
    let sum = 0;
    for (let i = -k; i <= k; i++) sum += weight(i);
    return sum / total;
  };
}

/** χ² of samples against N_Z(0, σ²), cells −12 … 12 and two tails, and its 1 − 10^−6 quantile (26 degrees). */
function chiSquare(samples: Int8Array, sigma: number): number {
  const at = cumulative(sigma);
  const edge = 12;
  const counts = new Map<number, number>();
  for (const x of samples) {
    const cell = Math.max(-edge - 1, Math.min(edge + 1, x));
    counts.set(cell, (counts.get(cell) ?? 0) + 1);
  }
  let sum = 0;
  for (let cell = -edge - 1; cell <= edge + 1; cell++) {
    const k = Math.abs(cell);
    const mass = k > edge ? (1 - at(edge)) / 2 : k === 0 ? at(0) : (at(k) - at(k - 1)) / 2;
    const expected = mass * samples.length;
    sum += ((counts.get(cell) ?? 0) - expected) ** 2 / expected;
  }
  return sum;
}
const chiSquareMax = 75;

/** Gives the same 93 + 1 bits for every sample. */
function fixedSource(value: bigint, negative: boolean): RandomSource {
  return {
    seeded: true,
    fill: (target) => {
      const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
      const mask = (1n << 31n) - 1n;
      for (let at = 0; at < target.length; at += 12) {
        view.setUint32(at, Number(value & mask) + (negative ? 2 ** 31 : 0), true);
        // The top bits of the other two words are not used; set, they must not matter.
        view.setUint32(at + 4, Number((value >> 31n) & mask) + 2 ** 31, true);
        view.setUint32(at + 8, Number(value >> 62n), true);
      }
      return target;
    },
  };
}

describe('table', () => {
  it.each([1159, 1172, 1639, 2048])(
    'agrees with doubles and ends beyond 11 sigma (256·sigma = %i)',
    (sigma256) => {
      const table = cumulativeTable(sigma256);
      const at = cumulative(sigma256 / 256);
      for (const [k, entry] of table.entries()) {
        expect(Math.abs(Number(entry) / 2 ** 93 - at(k))).toBeLessThan(1e-14);
        if (k > 0) expect(entry).toBeGreaterThanOrEqual(table[k - 1]!);
      }
      expect(table.length).toBeGreaterThan((11 * sigma256) / 256);
      expect(table.length).toBeLessThanOrEqual((12 * sigma256) / 256);
      expect((1n << 93n) - table.at(-1)!).toBeLessThan(1n << 12n);
    },
  );

  it('refuses a sigma it has no room for', () => {
    for (const sigma256 of [0, 127, 2049, 1159.5, Number.NaN]) {
      let caught: unknown;
      try {
        sampleSmallGaussian(sigma256, 1, seededRandom('x'));
      } catch (error) {
        caught = error;
      }
      expect(isPulsefoldError(caught) && caught.code).toBe('PARAMETER_UNSAFE');
    }
  });
});

describe('samples', () => {
  it('change exactly at the table entries', () => {
    const table = cumulativeTable(1639);
    for (const [k, entry] of table.entries()) {
      for (const value of [entry - 1n, entry]) {
        const magnitude = table.filter((other) => value >= other).length;
        expect(magnitude).toBe(value === entry ? k + 1 : k);
        expect(sampleSmallGaussian(1639, 1, fixedSource(value, false))[0]).toBe(magnitude);
        expect(sampleSmallGaussian(1639, 1, fixedSource(value, true))[0]! + magnitude).toBe(0);
      }
    }
    const last = (1n << 93n) - 1n;
    expect(sampleSmallGaussian(1639, 1, fixedSource(last, true))[0]).toBe(-table.length);
    expect(sampleSmallGaussian(1639, 1, fixedSource(0n, false))[0]).toBe(0);
  });

  it('follow the distribution, and the test tells a sigma that is 2% off', () => {
    for (const sigma256 of [1159, 1639]) {
      const samples = sampleSmallGaussian(sigma256, 200_001, seededRandom(`sampler ${sigma256}`));
      expect(samples.length).toBe(200_001);
      expect(chiSquare(samples, sigma256 / 256)).toBeLessThan(chiSquareMax);
      const wrong = Math.round(sigma256 * 1.02);
      const weakened = sampleSmallGaussian(wrong, 200_001, seededRandom(`weak ${sigma256}`));
      expect(chiSquare(weakened, sigma256 / 256)).toBeGreaterThan(chiSquareMax);
    }
  });

  it('are fresh for every call and independent of how many are asked for at once', () => {
    const random = seededRandom('fresh');
    const first = sampleSmallGaussian(1159, 64, random);
    expect(sampleSmallGaussian(1159, 64, random)).not.toEqual(first);
    const neighbours = sampleSmallGaussian(1159, 100_000, seededRandom('neighbours'));
    let product = 0;
    for (let i = 1; i < neighbours.length; i++) product += neighbours[i]! * neighbours[i - 1]!;
    // Standard deviation of the mean: σ²/√count.
    expect(Math.abs(product / neighbours.length)).toBeLessThan((5 * (1159 / 256) ** 2) / Math.sqrt(100_000));
  });
});
