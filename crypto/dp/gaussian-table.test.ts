import { describe, expect, it } from 'vitest';
import { type RandomSource, seededRandom, systemRandom } from '../random.ts';
import { sampleDiscreteGaussian, sampleDiscreteGaussianRejection } from './discrete-gaussian.ts';
import { GaussianBoundaries } from './gaussian-boundaries.ts';
import { GaussianTable, gaussianTable } from './gaussian-table.ts';
import { discreteGaussianLaw, goodnessOfFit } from './goodness-of-fit.ts';
import { parseRational, type Rational, rational, rationalToNumber } from './rational.ts';

/** A source that gives these 32-bit words and then fails. */
function scripted(words: readonly number[]): RandomSource & { used: () => number } {
  let at = 0;
  return {
    seeded: true,
    used: () => at,
    fill<T extends Uint8Array>(target: T): T {
      const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
      // The block of leading words is exactly as long as the output, one here; later digits come in larger blocks,
      // of which only as many words as are scripted may be read.
      for (let i = 0; i + 4 <= target.length; i += 4) view.setUint32(i, words[at++] ?? 0, true);
      return target;
    },
  };
}

/** The words that make u begin with these binary digits (31, then 32 at a time; zeros follow). */
function wordsOf(digits: bigint, count: number, negative: boolean): number[] {
  const groups = Math.ceil((count - 31) / 32);
  const padded = digits << BigInt(31 + 32 * groups - count);
  const words = [Number(padded >> BigInt(32 * groups)) * 2 + (negative ? 1 : 0)];
  for (let i = groups - 1; i >= 0; i--) words.push(Number((padded >> BigInt(32 * i)) & 0xffff_ffffn));
  return words;
}

function drawOne(table: GaussianTable, words: readonly number[]): number {
  const out = new Int32Array(1);
  table.fill(out, scripted(words));
  return out[0]!;
}

const STEP = 1n << 100n;
/** Chance of a false alarm per test. */
const P_MIN = 1e-7;

describe('inversion', () => {
  // 8, 16 and 24 bits decide nothing without refinement.
  it.each([
    ['1/4', 8],
    ['4', 8],
    ['81/4', 16],
    ['81/4', 128],
    ['1000', 24],
    ['1000', 128],
    ['1000000', 128],
  ] as const)(
    'σ² = %s from %d bits: u beside each boundary gives the magnitude of its side',
    (text, precision) => {
      const variance = parseRational(text);
      const table = new GaussianTable(variance, precision);
      const fine = new GaussianBoundaries(variance, 512);
      const sigma = Math.sqrt(rationalToNumber(variance));
      for (const m of [0, 1, 2, ...[0.5, 1, 3, 7].map((times) => Math.ceil(times * sigma))]) {
        const { numeratorLow, totalLow } = fine.boundary(m);
        // 300 digits of N_m/Z, of which 400 bits are certain; u 2^-200 below and above, then 2^-40.
        const digits = (numeratorLow << 300n) / totalLow;
        for (const distance of [STEP, 1n << 260n])
          for (const negative of [false, true]) {
            if (digits + distance >= 1n << 300n) continue; // u < 1
            const sign = negative ? -1 : 1;
            const below = drawOne(table, wordsOf(digits - distance, 300, negative));
            const above = drawOne(table, wordsOf(digits + distance, 300, negative));
            if (distance === STEP) {
              expect(below).toBe(sign * m + 0);
              expect(above).toBe(sign * (m + 1));
            } else expect(Math.abs(below) <= m && Math.abs(above) > m).toBe(true);
          }
      }
    },
  );

  it('goes on beyond the table, into a tail that 31 digits of ones only begin', () => {
    const table = new GaussianTable(rational(4n));
    const fine = new GaussianBoundaries(rational(4n), 1024);
    for (const m of [20, 30, 40]) {
      // P(beyond 40) = e^-200: 290 ones come first.
      const { numeratorLow, totalHigh } = fine.boundary(m);
      const digits = (numeratorLow << 900n) / totalHigh;
      expect(drawOne(table, wordsOf(digits - (1n << 300n), 900, false))).toBe(m);
      expect(drawOne(table, wordsOf(digits + (1n << 300n), 900, true))).toBe(-m - 1);
    }
  });

  it('one word decides where u is not beside a boundary, and more are drawn where it is', () => {
    const variance = rational(1000n);
    const { numeratorLow, totalLow } = new GaussianBoundaries(variance, 256).boundary(20);
    const table = new GaussianTable(variance);
    const out = new Int32Array(1);
    const near = Number((numeratorLow << 31n) / totalLow);
    const far = scripted([(near - 1000) * 2]);
    table.fill(out, far);
    expect(far.used()).toBe(1);
    const tie = scripted([near * 2, 0]);
    table.fill(out, tie);
    expect(tie.used()).toBeGreaterThan(1);
    expect(out[0]).toBe(20);
    // Weakened: a table that took its 31 digits for the boundary would give 21 for every such u.
    expect(drawOne(table, [near * 2 + 1, 0xffff_ffff])).toBe(-21);
  });
});

describe('distribution', () => {
  const fitOf = (variance: Rational, samples: ArrayLike<number>) =>
    goodnessOfFit(samples, discreteGaussianLaw(rationalToNumber(variance))).pValue;

  it.each(['1/4', '1/2', '4', '81/4', '1000', '1000000', '16777216'])('σ² = %s fits (G-test)', (text) => {
    const samples = new Int32Array(1_000_000);
    gaussianTable(parseRational(text)).fill(samples, systemRandom);
    expect(fitOf(parseRational(text), samples)).toBeGreaterThan(P_MIN);
  });

  it.each([1, 8, 16, 24, 32, 40])('is the same from %d bits, by refinement', (precision) => {
    const variance = parseRational('20.25');
    const samples = new Int32Array(40_000);
    new GaussianTable(variance, precision).fill(samples, systemRandom);
    expect(fitOf(variance, samples)).toBeGreaterThan(P_MIN);
    // Not only the same law: from the same words the same values, as long as digits are drawn in the same order.
    const values = (bits: number, words: number[]) => drawOne(new GaussianTable(variance, bits), words);
    const random = seededRandom(`words/${precision}`);
    for (let i = 0; i < 50; i++) {
      const words = [...new Uint32Array(random.fill(new Uint8Array(64)).buffer)];
      expect(values(precision, words)).toBe(values(128, words));
    }
  });

  it('rejection and inversion agree in law', () => {
    const variance = parseRational('20.25');
    const rejection = sampleDiscreteGaussianRejection(variance, 200_000);
    expect(fitOf(variance, rejection)).toBeGreaterThan(P_MIN);
    const inversion = sampleDiscreteGaussian(variance, 200_000);
    expect(fitOf(variance, inversion)).toBeGreaterThan(P_MIN);
    // And against each other: counts per value differ by their own deviation only.
    for (let x = -12; x <= 12; x++) {
      const [a, b] = [rejection, inversion].map((all) => all.reduce((n, v) => n + (v === x ? 1 : 0), 0));
      expect(Math.abs(a! - b!)).toBeLessThan(5.5 * Math.sqrt(a! + b! + 1));
    }
  });

  it('is symmetric and has no lasting mean', () => {
    const samples = new Int32Array(4_000_000);
    gaussianTable(rational(10_000n)).fill(samples, systemRandom);
    let sum = 0;
    for (const x of samples) sum += x;
    expect(Math.abs(sum / samples.length)).toBeLessThan((5.5 * 100) / Math.sqrt(samples.length));
  });
});

it('keeps a few tables, and gives the same one for the same variance', () => {
  const first = gaussianTable(rational(17n));
  expect(gaussianTable(parseRational('34/2'))).toBe(first);
  for (let i = 0; i < 4; i++) gaussianTable(rational(18n + BigInt(i)));
  expect(gaussianTable(rational(17n))).not.toBe(first);
});

it('vectors longer than a block of words have no seam and repeat from a seed', () => {
  const variance = rational(100n);
  const draw = () => sampleDiscreteGaussian(variance, 40_000, seededRandom('blocks'));
  const samples = draw();
  expect(draw()).toEqual(samples);
  for (const at of [16_384, 32_768]) {
    expect(samples.subarray(at, at + 64)).not.toEqual(samples.subarray(0, 64));
    expect(new Set(samples.subarray(at - 64, at + 64)).size).toBeGreaterThan(20);
  }
});
