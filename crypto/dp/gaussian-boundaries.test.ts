import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exponentialLow, GaussianBoundaries } from './gaussian-boundaries.ts';
import { integerSquareRoot, parseRational, type Rational, rational, rationalToNumber } from './rational.ts';

const ONE_60 = 10n ** 60n;

/** ⌊10^60 · N_m/Z⌋ from mpmath 1.3 at 80 digits, summing exp(−k²/2σ²) term by term up to 20σ. */
const MPMATH: readonly (readonly [string, number, string])[] = [
  ['1/4', 0, '786570707041947899704590558527877185314071491408181769231510'],
  ['1/4', 1, '999472245888237348176466832375979191826214830983673858427518'],
  ['1/4', 3, '999999999999980077476396485805282530039449004863710409233932'],
  ['16', 0, '99735570100358169484986514983595467118964657791233664416481'],
  ['16', 4, '740656370220906389207690312079750685163564765439996016077363'],
  ['16', 25, '999999999835568139167093422105392149415751871337312977959413'],
  ['81/4', 0, '88653840089207261764432457763195970772413029147763257259094'],
  ['81/4', 9, '965609727732256628844255446198274090484163933814937823698328'],
  ['81/4', 30, '999999999988904520953325878963506090780404151448014609560433'],
  ['1000000', 0, '398942280401432677939946059934381868475858631164934657665'],
  ['1000000', 999, '682447481084111323014876723832941247132698843875283068747065'],
  ['1000000', 5000, '999999428182336823871804327854016395930048163794371282121183'],
  ['1000000', 9000, '999999999999999999775308754202367563913526923953974631080940'],
  ['3/1024', 0, '999999999999999999999999999999999999999999999999999999999999'],
];

/** [low, high] of N_m/Z in units of 2^-bits. */
function ends(boundaries: GaussianBoundaries, m: number, bits: bigint): [bigint, bigint] {
  const { numeratorLow, numeratorHigh, totalLow, totalHigh } = boundaries.boundary(m);
  return [(numeratorLow << bits) / totalHigh, (numeratorHigh << bits) / totalLow + 1n];
}

describe('exp of a rational', () => {
  it.each([
    ['0', 1],
    ['1/8', Math.exp(-1 / 8)],
    ['1/2', Math.exp(-0.5)],
    ['1', Math.exp(-1)],
    ['17/3', Math.exp(-17 / 3)],
    ['40', Math.exp(-40)],
  ] as const)('exp(−%s) agrees with Math.exp', (text, expected) => {
    const { numerator, denominator } = parseRational(text);
    const value = Number(exponentialLow(numerator, denominator, 200) >> 60n) / 2 ** 140;
    expect(Math.abs(value / expected - 1)).toBeLessThan(1e-15);
  });

  it('is below the true value by at most two units, which a run with 200 bits more shows', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 1n, max: 2n ** 40n }),
        fc.bigInt({ min: 1n, max: 2n ** 40n }),
        fc.integer({ min: 1, max: 300 }),
        (n, d, precision) => {
          const coarse = exponentialLow(n, d, precision) << 200n;
          const fine = exponentialLow(n, d, precision + 200);
          expect(coarse <= fine + 2n).toBe(true);
          expect(fine - coarse <= 2n << 200n).toBe(true);
        },
      ),
    );
  });
});

describe('cumulative probabilities', () => {
  it.each(MPMATH)('of σ² = %s up to ±%d equal mpmath to 1e-30 and better', (text, m, digits) => {
    const boundaries = new GaussianBoundaries(parseRational(text), 256);
    const { numeratorLow, numeratorHigh, totalLow, totalHigh } = boundaries.boundary(m);
    const expected = BigInt(digits);
    const low = (numeratorLow * ONE_60) / totalHigh;
    const high = (numeratorHigh * ONE_60) / totalLow;
    expect(low <= expected && expected <= high).toBe(true);
    expect(high - low < 10n ** 12n).toBe(true); // 1e-48
    // The same at the table's own precision: 30 digits.
    const coarse = new GaussianBoundaries(parseRational(text), 128).boundary(m);
    expect((coarse.numeratorLow * ONE_60) / coarse.totalHigh <= expected).toBe(true);
    expect((coarse.numeratorHigh * ONE_60) / coarse.totalLow >= expected).toBe(true);
  });

  it('reach one: what is summed and the bound on the rest leave no gap above 2^-80', () => {
    for (const text of ['1/4', '10', '12345.6789', '4194304']) {
      const { totalLow, totalHigh } = new GaussianBoundaries(parseRational(text), 128).boundary(0);
      expect(totalHigh > totalLow && (totalHigh - totalLow) << 80n < totalLow).toBe(true);
    }
  });

  it('contain every finer interval, at any precision and however few terms that means', () => {
    const bits = 600n;
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5000 }),
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 1, max: 120 }),
        fc.integer({ min: 0, max: 200 }),
        (numerator, denominator, precision, m) => {
          const variance = rational(numerator, denominator);
          const [low, high] = ends(new GaussianBoundaries(variance, precision), m, bits);
          const [fineLow, fineHigh] = ends(new GaussianBoundaries(variance, precision + 200), m, bits);
          expect(low <= fineHigh && fineLow <= high).toBe(true);
          expect(low <= fineLow + 1n && fineHigh <= high + 1n).toBe(true);
        },
      ),
    );
  });

  it('a bound that forgot the tail would not contain them', () => {
    // Weakened: Z taken for what is summed. The upper quantile then exceeds the true one.
    const variance = rational(100n);
    const coarse = new GaussianBoundaries(variance, 12).boundary(20);
    const [fineLow] = ends(new GaussianBoundaries(variance, 300), 20, 400n);
    expect((coarse.numeratorLow << 400n) / coarse.totalHigh <= fineLow).toBe(true);
    const cut = new GaussianBoundaries(variance, 12).boundary(60).numeratorLow / 2n;
    expect((coarse.numeratorLow << 400n) / cut > fineLow).toBe(true);
  });

  it('give the normalising constant σ·√(2π) at large σ (Poisson summation: off by 2e^(−2π²σ²))', () => {
    const precision = 160;
    const { totalLow, totalHigh } = new GaussianBoundaries(rational(400n), precision).boundary(0);
    // 2π to 50 digits; √(2π·400) in units of 2^-160, rounded down.
    const twoPi = 628318530717958647692528676655900576839433879875021n;
    const root = integerSquareRoot(((twoPi * 400n) << 320n) / 10n ** 50n);
    expect(root >= totalLow - 4n && root <= totalHigh + 4n).toBe(true);
    expect(totalHigh - totalLow < 1n << 40n).toBe(true);
  });

  it('a width of all intervals is one of each', () => {
    const bound = (variance: Rational, precision: number) => {
      const boundaries = new GaussianBoundaries(variance, precision);
      const width = boundaries.width(31);
      for (let m = 0; m < 12 * Math.sqrt(rationalToNumber(variance)); m++) {
        if (boundaries.boundary(m).numeratorHigh === boundaries.boundary(m).totalHigh) break; // not summed
        const [low, high] = ends(boundaries, m, 200n);
        expect(high - low <= (width + 1n) << 169n).toBe(true);
      }
      return width;
    };
    expect(bound(rational(100n), 128)).toBe(1n);
    expect(bound(rational(100n), 24) > 1000n).toBe(true);
  });
});
