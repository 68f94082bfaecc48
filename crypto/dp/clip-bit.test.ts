import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../random.ts';
import {
  decodeSum,
  fractionWithinClip,
  type MechanismParameters,
  NoisePool,
  normBoundSquared,
  protectPerson,
  protectPersonWithoutNoise,
  slotBitsFor,
  updateDimension,
} from './mechanism.ts';
import { ONE, rational } from './rational.ts';
import { adaptiveClipNoiseMultiplier } from './sensitivity.ts';

const p: MechanismParameters = {
  unit: 'person',
  dimension: 41,
  clip: rational(2n),
  unitsPerClip: 1000,
  rotationSeed: new Uint8Array(32).fill(3),
  noiseVariance: rational(100n),
  clients: 50,
  recordsMax: 1,
  clipBitUnits: 200,
};
const { clipBitUnits: _, ...withoutBit } = p;
const updateOf = (norm: number) =>
  Float64Array.from({ length: 40 }, (_, i) => (i % 2 ? 1 : -1) * (norm / Math.sqrt(40)));
const bits = (norm: number, seed = `${norm}`) =>
  protectPersonWithoutNoise(updateOf(norm), p, seededRandom(seed));

describe('the clip bit', () => {
  it('stands last, unrotated, and says whether the norm was within the clip', () => {
    for (const [norm, bit] of [
      [0, 200],
      [1.5, 200],
      [1.999_999, 200],
      [2.000_001, -200],
      [1e200, -200],
    ] as const) {
      const values = bits(norm);
      expect(values).toHaveLength(41);
      expect(values[40]).toBe(bit);
    }
  });

  it('the sensitivity is the bound of the update and the square of the bit, whatever is sent', () => {
    const update = { ...withoutBit, dimension: 40 };
    expect(updateDimension(p)).toBe(40);
    expect(normBoundSquared(p)).toBe(normBoundSquared(update) + 40_000n);
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e6, noNaN: true }), fc.string(), (norm, seed) => {
        const squared = bits(norm, seed).reduce((sum, value) => sum + value * value, 0);
        return squared <= Number(normBoundSquared(p));
      }),
      { numRuns: 60 },
    );
    // It is reached up to the rounding: a sensitivity without h² would be too small.
    const most = bits(5).reduce((sum, value) => sum + value * value, 0);
    expect(most).toBeGreaterThan(Number(normBoundSquared(update)));
  });

  it('costs what the paper’s split of the noise costs (row 27: 1.1547005384 and 1.0050378153)', () => {
    for (const [sigmaBits, expected] of [
      [1, 1.154_700_538_4],
      [5, 1.005_037_815_3],
    ] as const) {
      // Multiplier 1 for both together. In units where a bit moves by 1/2: σ_b = σ/(2h), and z_Δ = σ/D.
      const sigma = 1e6;
      const h = sigma / (2 * sigmaBits);
      const d = Math.sqrt(sigma ** 2 - h ** 2); // σ² = D² + h²
      expect(sigma / d).toBeCloseTo(expected, 9);
      expect(adaptiveClipNoiseMultiplier(1, sigmaBits)).toBeCloseTo(sigma / d, 9);
    }
  });

  it('a sum opens into updates, and into the fraction within the clip up to its noise', () => {
    const norms = Array.from({ length: 50 }, (_, i) => (i < 35 ? 1 : 4));
    const sum = new Float64Array(41);
    norms.forEach((norm, i) => {
      protectPerson(updateOf(norm), p, seededRandom(`sum/${i}`)).forEach((value, at) => {
        sum[at] = sum[at]! + value;
      });
    });
    const decoded = decodeSum(sum, p);
    expect(decoded).toHaveLength(40);
    const expected = (35 * 1 + 15 * 2) / Math.sqrt(40);
    for (let i = 0; i < 40; i++)
      expect(Math.abs(decoded[i]! - (i % 2 ? 1 : -1) * expected)).toBeLessThan(
        (6 * 10 * Math.sqrt(51) * 2) / 1000,
      );
    // Deviation σ·√50/(2·h·50) = 0.0035.
    expect(Math.abs(fractionWithinClip(sum, p, 50) - 0.7)).toBeLessThan(6 * 0.0036);
    expect(fractionWithinClip(sum.fill(-1e9), p, 50)).toBe(0);
    expect(() => fractionWithinClip(new Float64Array(40), { ...withoutBit, dimension: 40 }, 50)).toThrow();
  });

  it('has room in a slot for everybody saying the same', () => {
    const wide: MechanismParameters = { ...p, dimension: 100_001, clipBitUnits: 1000, clients: 4000 };
    const { clipBitUnits: __, ...plain } = wide;
    expect(2 ** (slotBitsFor(wide, ONE) - 1)).toBeGreaterThan(4000 * 1000 + 12 * Math.sqrt(4000 * 100));
    expect(slotBitsFor(plain, ONE)).toBeLessThan(slotBitsFor(wide, ONE));
  });

  it.each([
    ['no bit for records', { unit: 'record' as const, recordsMax: 10 }],
    ['0 units', { clipBitUnits: 0 }],
    ['parts of a unit', { clipBitUnits: 1.5 }],
    ['nothing but a bit', { dimension: 1 }],
  ])('refuses %s', (_name, changes) => {
    expect(() => new NoisePool({ ...p, ...changes }, seededRandom('bad'))).toThrow(
      expect.objectContaining({ code: 'PARAMETER_UNSAFE' }),
    );
  });
});
