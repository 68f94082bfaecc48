import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../random.ts';
import { fitsModulus } from './digits.ts';
import {
  deterministicNormBoundSquared,
  digitLayout,
  type MechanismParameters,
  protectPerson,
  signalBound,
  slotBitsFor,
} from './mechanism.ts';
import { parseRational, rational, ZERO } from './rational.ts';

const code = (name: string) => expect.objectContaining({ code: name });
const ONE = rational(1n);
const base: MechanismParameters = {
  unit: 'person',
  dimension: 10_000,
  clip: ONE,
  unitsPerClip: 1024,
  rotationSeed: new Uint8Array(32).fill(5),
  noiseVariance: rational(100n),
  clients: 1000,
  recordsMax: 1,
};

describe('signalBound', () => {
  it('is the smaller of the straight sum and seven deviations of the spread one, rounded up', () => {
    expect(signalBound(base, ONE)).toBe(71_680); // 7·1000·1024/100
    expect(signalBound(base, rational(1n, 7n))).toBe(10_240);
    expect(signalBound({ ...base, dimension: 49 }, ONE)).toBe(1_024_000);
    expect(signalBound({ ...base, dimension: 13 }, rational(1n, 3n))).toBe(341_334);
    expect(signalBound({ ...base, unit: 'record', recordsMax: 303 }, ONE)).toBe(303 * 71_680);
    expect(signalBound({ ...base, unit: 'record', recordsMax: 303 }, ONE, 2000)).toBe(2 * 71_680);
  });

  it('agrees with doubles for any parameters', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1 << 22 }),
        fc.integer({ min: 1, max: 1 << 16 }),
        fc.integer({ min: 1, max: 1 << 14 }),
        fc.integer({ min: 1, max: 1000 }),
        (dimension, clients, unitsPerClip, thousandths) => {
          const p = { ...base, dimension, clients, unitsPerClip };
          const norm = (thousandths / 1000) * clients * unitsPerClip;
          const real = Math.min(norm, (7 * norm) / Math.sqrt(dimension));
          const bound = signalBound(p, rational(thousandths, 1000));
          expect(bound).toBeGreaterThanOrEqual(real * (1 - 1e-12));
          expect(bound).toBeLessThan(real * (1 + 1e-12) + 1);
        },
      ),
    );
  });

  it('covers a rotated sum of equal updates, which one deviation would not', () => {
    const p = { ...base, dimension: 4096, clients: 20, unitsPerClip: 4096, noiseVariance: rational(1n, 4n) };
    const random = seededRandom('signal');
    const update = Float64Array.from({ length: 4096 }, (_, i) => (i % 7) - 3);
    const sum = new Float64Array(4096);
    for (let client = 0; client < 20; client++)
      for (const [i, value] of protectPerson(update, p, random).entries()) sum[i]! += value;
    const largest = sum.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    expect(largest).toBeLessThan(signalBound(p, ONE));
    expect(largest).toBeGreaterThan(signalBound(p, rational(1n, 7n)));
  });

  it.each(['0', '-1/2', '1025'])('refuses coherence %s', (text) => {
    expect(() => signalBound(base, parseRational(text))).toThrow(code('FIELD_OUT_OF_RANGE'));
  });

  it.each([0, 1.5, Number.NaN])('refuses %d clips', (clips) => {
    expect(() => signalBound(base, ONE, clips)).toThrow(code('FIELD_OUT_OF_RANGE'));
  });
});

describe('slotBitsFor', () => {
  it('is the fewest bits that fit, never one less', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1 << 20 }),
        fc.integer({ min: 1, max: 1 << 12 }),
        fc.integer({ min: 1, max: 1 << 14 }),
        fc.integer({ min: 1, max: 1 << 20 }),
        (dimension, clients, unitsPerClip, variance) => {
          const p = { ...base, dimension, clients, unitsPerClip, noiseVariance: rational(variance, 4) };
          const bits = slotBitsFor(p, ONE);
          const fits = (b: number) => fitsModulus(signalBound(p, ONE), p.noiseVariance, clients, b);
          expect(fits(bits)).toBe(true);
          if (bits > 2) expect(fits(bits - 1)).toBe(false);
          expect(digitLayout(p, bits)).toEqual({ digitBits: bits, digitCount: 1, modulusBits: bits });
        },
      ),
    );
  });

  it('saves bits where clients are not expected to agree', () => {
    const p = { ...base, dimension: 1 << 20, noiseVariance: rational(100n) };
    expect(slotBitsFor(p, ONE)).toBe(15); // 7,000 + 12·317 ≤ 2^14
    expect(slotBitsFor(p, rational(1n, 10n))).toBe(14);
    expect(slotBitsFor({ ...p, dimension: 13 }, ONE)).toBe(21);
  });

  it('refuses noise beyond 32 bits', () => {
    const wide = { ...base, clients: 2 ** 20, noiseVariance: rational(2n ** 36n) };
    expect(() => slotBitsFor(wide, ONE)).toThrow(code('PARAMETER_UNSAFE'));
  });

  it('without noise holds every client at its worst, or asks for several digits', () => {
    const plain = { ...base, unit: 'none' as const, noiseVariance: ZERO };
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5000 }),
        fc.integer({ min: 1, max: 1 << 22 }),
        fc.constantFrom(1, 13, 1 << 20),
        (clients, unitsPerClip, dimension) => {
          const p = { ...plain, clients, unitsPerClip, dimension };
          const bits = slotBitsFor(p, ONE);
          const norm = Math.floor(Math.sqrt(Number(deterministicNormBoundSquared(unitsPerClip, dimension))));
          const { digitCount } = digitLayout(p, bits);
          if (digitCount > 1) expect(bits === 32 && clients * 2 * norm >= 2 ** 31).toBe(true);
          else expect(clients * norm).toBeLessThan(2 ** (bits - 1));
          if (bits > 2 && clients <= 2 ** (bits - 3))
            expect(digitLayout(p, bits - 1).digitCount).toBeGreaterThan(1);
        },
      ),
    );
  });
});
