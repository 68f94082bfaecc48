import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../random.ts';
import {
  centredResidue,
  type DigitLayout,
  exactLayout,
  fitsModulus,
  fromDigits,
  residueLayout,
  toDigits,
} from './digits.ts';
import {
  digitLayout,
  type MechanismParameters,
  normBoundSquared,
  protectPerson,
  protectRecords,
} from './mechanism.ts';
import { calibrateNoiseVariance, noiseShares } from './plan-accounting.ts';
import { parseRational, rational, rationalToNumber, ZERO } from './rational.ts';

const code = (name: string) => expect.objectContaining({ code: name });
const plain: MechanismParameters = {
  unit: 'none',
  dimension: 8,
  clip: parseRational('2'),
  unitsPerClip: 1000,
  rotationSeed: new Uint8Array(32).fill(9),
  noiseVariance: ZERO,
  clients: 300,
  recordsMax: 1,
};
const noised: MechanismParameters = {
  ...plain,
  unit: 'person',
  unitsPerClip: 32,
  noiseVariance: rational(10n),
};

/** What a committee opens: every slot added modulo 2^modulusBits, centred. */
function openedOf(vectors: readonly Int32Array[], layout: DigitLayout): Int32Array {
  const sums = new Float64Array(vectors[0]!.length * layout.digitCount);
  for (const vector of vectors)
    for (const [i, digit] of toDigits(vector, layout).entries()) sums[i]! += digit;
  return Int32Array.from(sums, (value) => centredResidue(value, layout.modulusBits));
}

describe('a noised sum', () => {
  const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });

  it('takes one coefficient per entry, whatever the grid, the noise and the number of clients', () => {
    for (const unitsPerClip of [1, 32, 1024, 2 ** 20])
      for (const clients of [3, 300, 10_000])
        for (const noiseVariance of ['1/4', '10', '4000000']) {
          const layout = digitLayout({
            ...noised,
            unitsPerClip,
            clients,
            noiseVariance: parseRational(noiseVariance),
          });
          expect(layout).toEqual({ digitBits: 15, digitCount: 1, modulusBits: 15 });
        }
  });

  it('opens to a function of the sum: the centred residue, and nothing of the summands', () => {
    const bits = fc.integer({ min: 2, max: 32 });
    fc.assert(
      fc.property(fc.array(int32, { minLength: 1, maxLength: 50 }), bits, (values, modulusBits) => {
        const layout = digitLayout(noised, modulusBits);
        expect(layout).toEqual({ digitBits: modulusBits, digitCount: 1, modulusBits });
        const opened = openedOf(
          values.map((value) => Int32Array.of(value)),
          layout,
        );
        const residue = Number(
          BigInt.asIntN(
            modulusBits,
            values.reduce((sum, value) => sum + BigInt(value), 0n),
          ),
        );
        expect(opened).toEqual(Int32Array.of(residue));
        expect([...fromDigits(opened, layout, 1)]).toEqual([residue]);
      }),
    );
  });

  it('reaches both ends of a 32-bit slot, where sums wrap as int32 do', () => {
    const layout = digitLayout(noised, 32);
    const ends = Int32Array.of(2 ** 31 - 1, -(2 ** 31));
    expect(toDigits(ends, layout)).toEqual(ends);
    expect([...fromDigits(ends, layout, 2)]).toEqual([...ends]);
    expect(openedOf([Int32Array.of(2 ** 31 - 1), Int32Array.of(1)], layout)).toEqual(
      Int32Array.of(-(2 ** 31)),
    );
  });

  it('pairs of clients with equal sums open identically; digits tell them apart by the carry', () => {
    const digits: DigitLayout = { digitBits: 6, digitCount: 2, modulusBits: 15 };
    for (const [[a, b], [c, d]] of [
      [
        [31, 1],
        [32, 0],
      ],
      [
        [32, -32],
        [20, -20],
      ],
    ] as const) {
      expect(a + b).toBe(c + d);
      const first = [Int32Array.of(a), Int32Array.of(b)];
      const second = [Int32Array.of(c), Int32Array.of(d)];
      expect(openedOf(first, digitLayout(noised))).toEqual(openedOf(second, digitLayout(noised)));
      // Weakened: the layout that noised plans once had.
      expect(openedOf(first, digits)).not.toEqual(openedOf(second, digits));
    }
  });

  it('2,000 phones: a digit column showed one person bare; the residue shows the sum and its noise only', () => {
    const clients = 2000;
    const dimension = 13;
    const shape = { ...noised, dimension, clients };
    const grid = (unitsPerClip: number): MechanismParameters => {
      const p = { ...shape, unitsPerClip };
      const { noiseVariance } = calibrateNoiseVariance({
        noiseShares: noiseShares(parseRational('1/10'), 1333),
        unit: 'person',
        delta: 1e-5,
        sensitivitySquared: normBoundSquared(p),
        samplingRate: rational(1n),
        dimension,
        rounds: 3,
        epsilon: 8,
      });
      return { ...p, noiseVariance };
    };
    /** Everybody at zero but, perhaps, one person at the clip, whom `layout` opens in the last coordinate. */
    const columns = (p: MechanismParameters, layout: DigitLayout, victim: boolean, run: number) => {
      const random = seededRandom(`columns/${victim}/${run}`);
      const vectors = Array.from({ length: clients }, (_, i) => {
        const update = new Float64Array(dimension);
        if (victim && i === 0) update[dimension - 1] = 2;
        return protectPerson(update, p, random);
      });
      const sum = vectors.reduce((total, vector) => total + vector[dimension - 1]!, 0);
      return { opened: [...openedOf(vectors, layout).slice(-layout.digitCount)], sum };
    };
    // The layout of 2,000 clients before: digits of 4 bits; one person's 256 units reach the third.
    const old = grid(256);
    const digits = exactLayout(clients, 400, 15);
    expect(digits.digitCount).toBeGreaterThan(2);
    const third = (victim: boolean, run: number) => columns(old, digits, victim, run).opened[2];
    for (const run of [0, 1]) {
      expect(third(false, run)).toBe(0);
      expect(third(true, run)).not.toBe(0);
    }
    // Now: one number, which the sum determines; its noise is what was accounted for.
    const coarse = grid(4);
    expect(fitsModulus(clients * 4, coarse.noiseVariance, clients)).toBe(true);
    const deviation = Math.sqrt(clients * rationalToNumber(coarse.noiseVariance));
    expect(deviation).toBeGreaterThan(4);
    for (const victim of [false, true]) {
      const { opened, sum } = columns(coarse, digitLayout(coarse), victim, 0);
      expect(opened).toEqual([sum]);
      expect(Math.abs(sum)).toBeLessThan(6 * deviation + 5);
    }
  });

  it('fits while the signal and twelve deviations stay within half the modulus', () => {
    expect(fitsModulus(300 * 32, rational(10n), 300)).toBe(true);
    expect(fitsModulus(300 * 64, rational(10n), 300)).toBe(false);
    expect(fitsModulus(0, rational(10n ** 6n), 1)).toBe(true);
    expect(fitsModulus(0, rational(2n * 10n ** 6n), 1)).toBe(false);
    expect(fitsModulus(300 * 64, rational(10n), 300, 16)).toBe(true);
    expect(fitsModulus(2 ** 31 - 24, rational(1n), 1, 32)).toBe(true);
    expect(fitsModulus(2 ** 31 - 23, rational(1n), 1, 32)).toBe(false);
    // The rule itself: a sum of clients at the clip on one coordinate comes back exactly.
    const p = { ...noised, dimension: 1, clients: 300 };
    const random = seededRandom('fits');
    const vectors = Array.from({ length: 300 }, () => protectPerson(Float64Array.of(2), p, random));
    const sum = vectors.reduce((total, vector) => total + vector[0]!, 0);
    expect([...openedOf(vectors, digitLayout(p))]).toEqual([sum]);
    expect(sum).toBeGreaterThan(9000);
  });
});

describe('an exact sum', () => {
  it('of any number of clients comes back exactly and never leaves the plain modulus', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 400 }),
        fc.constantFrom(1, 50, 4096, 2 ** 20, 2 ** 31 - 1),
        fc.integer({ min: 10, max: 32 }),
        fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 8, maxLength: 8 }),
        (clients, bound, modulusBits, shares) => {
          if (clients > 2 ** (modulusBits - 2)) return;
          const layout = exactLayout(clients, bound, modulusBits);
          const half = 2 ** (modulusBits - 1);
          const sums = new Int32Array(8 * layout.digitCount);
          const expected = new Float64Array(8);
          for (let client = 0; client < clients; client++) {
            const values = Int32Array.from(shares, (s) => (client % 3 === 0 ? Math.sign(s) : s) * bound);
            const digits = toDigits(values, layout);
            for (let i = 0; i < digits.length; i++) sums[i]! += digits[i]!;
            for (let i = 0; i < 8; i++) expected[i]! += values[i]!;
          }
          for (const sum of sums) expect(sum >= -half && sum < half).toBe(true);
          expect(fromDigits(sums, layout, 8)).toEqual(expected);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('has no room for one digit bit more in the worst case', () => {
    for (const clients of [1, 2, 3, 4, 300, 1000, 8192]) {
      const { digitBits } = digitLayout({ ...plain, clients });
      expect(clients * 2 ** (digitBits - 1)).toBeLessThanOrEqual(2 ** 14);
      if (digitBits < 15) expect(clients * 2 ** digitBits).toBeGreaterThan(2 ** 14);
    }
    const many = { ...plain, clients: 8193 };
    expect(() => digitLayout(many)).toThrow(code('PARAMETER_UNSAFE'));
    expect(digitLayout(many, 16).digitCount).toBeGreaterThan(1);
    expect(digitLayout(many, 32)).toEqual({ digitBits: 18, digitCount: 1, modulusBits: 32 });
  });

  it('refuses what its doubles could not add exactly', () => {
    expect(() => exactLayout(3, 2 ** 31, 32)).toThrow(code('FIELD_OUT_OF_RANGE'));
    expect(() => exactLayout(2 ** 24, 2 ** 30, 32)).toThrow(code('FIELD_OUT_OF_RANGE'));
  });

  it('covers the signal of every record', () => {
    const p = { ...plain, clients: 4, recordsMax: 303, dimension: 2 };
    const layout = digitLayout(p);
    const values = protectRecords(
      Float64Array.from({ length: 606 }, () => 2),
      303,
      p,
    );
    expect(Math.max(...values)).toBeGreaterThan(200_000);
    expect(fromDigits(toDigits(values, layout), layout, 2)).toEqual(Float64Array.from(values));
  });

  it('drops what lies beyond the capacity', () => {
    const layout = { digitBits: 6, digitCount: 2, modulusBits: 15 } as const;
    const values = [2 ** 31 - 1, -(2 ** 31), 5000];
    const back = fromDigits(toDigits(Int32Array.from(values), layout), layout, 3);
    for (const [i, value] of values.entries()) expect(Math.abs((value - back[i]!) % 4096)).toBe(0);
  });
});

it('refuses sums of another length or outside the modulus', () => {
  expect(() => fromDigits(new Int32Array(3), residueLayout(15), 13)).toThrow(code('VECTOR_LENGTH_MISMATCH'));
  const sums = new Int32Array(13);
  sums[0] = 2 ** 14;
  expect(() => fromDigits(sums, residueLayout(15), 13)).toThrow(code('FIELD_OUT_OF_RANGE'));
  expect(fromDigits(sums, residueLayout(16), 13)[0]).toBe(2 ** 14);
  sums[0] = -(2 ** 14) - 1;
  expect(() => fromDigits(sums, residueLayout(15), 13)).toThrow(code('FIELD_OUT_OF_RANGE'));
  for (const bits of [1, 33, 15.5, Number.NaN])
    expect(() => residueLayout(bits)).toThrow(code('FIELD_OUT_OF_RANGE'));
});
