import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type RandomSource, seededRandom, systemRandom, uniform } from '../random.ts';
import {
  addNoise,
  conditionalNormBoundSquared,
  decodeSum,
  deterministicNormBoundSquared,
  histogramNormBoundSquared,
  type MechanismParameters,
  normBoundSquared,
  protectHistogram,
  protectPerson,
  protectPersonWithoutNoise,
  protectRecords,
} from './mechanism.ts';
import { parseRational, rational, rationalToNumber, ZERO } from './rational.ts';
import { createRotation } from './rotation.ts';

const base: MechanismParameters = {
  unit: 'person',
  dimension: 13,
  clip: parseRational('1/2'),
  unitsPerClip: 1000,
  rotationSeed: new Uint8Array(32).fill(9),
  noiseVariance: parseRational('1/1024'), // so small that every draw is 0 (P(≠0) = 2e^-512): shows the signal alone
  clients: 300,
  recordsMax: 1,
};
const squared = (v: ArrayLike<number>): bigint =>
  Array.from(v).reduce((sum, x) => sum + BigInt(x) * BigInt(x), 0n);
const code = (name: string) => expect.objectContaining({ code: name });
const gaussian = (random: RandomSource) =>
  Math.sqrt(-2 * Math.log(1 - uniform(random))) * Math.cos(2 * Math.PI * uniform(random));

describe('norm bound', () => {
  it('row 19: c/γ = 100, d = 1024', () => {
    expect(Math.sqrt(Number(deterministicNormBoundSquared(100, 1024)))).toBe(132);
    expect(Math.sqrt(Number(conditionalNormBoundSquared(100, 1024, Math.exp(-0.5))))).toBeCloseTo(
      101.843016,
      6,
    );
    expect(normBoundSquared({ ...base, unitsPerClip: 100, dimension: 1024 })).toBe(10_372n);
  });

  it('is the smaller of both bounds, in integers', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1 << 20 }), fc.integer({ min: 1, max: 1 << 20 }), (g, d) => {
        const bound = normBoundSquared({ ...base, unitsPerClip: g, dimension: d });
        const real = g * g + d / 4 + g + Math.sqrt(d) / 2;
        const other = Number(deterministicNormBoundSquared(g, d));
        expect(Math.abs(Number(bound) - Math.min(real, other))).toBeLessThan(1 + real * 1e-15);
        expect(bound >= BigInt(g) * BigInt(g)).toBe(true);
      }),
    );
  });
});

describe('protectPerson', () => {
  it('never leaves the bound, whatever the update and whatever the coins', () => {
    const coins: RandomSource[] = [
      systemRandom,
      { seeded: true, fill: (t) => t.fill(0) }, // always rounds down
      { seeded: true, fill: (t) => t.fill(255) }, // always rounds up, 64 times: ends in truncation
    ];
    fc.assert(
      fc.property(
        fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 13, maxLength: 13 }),
        fc.constantFrom(1, 7, 1000, 2 ** 20),
        fc.constantFrom(0, 1, 2),
        (values, unitsPerClip, coin) => {
          const p: MechanismParameters = { ...base, unitsPerClip };
          const out = protectPersonWithoutNoise(Float64Array.from(values), p, coins[coin]!);
          expect(squared(out) <= normBoundSquared(p)).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('a weakened rounding without the bound would leave it', () => {
    // Rounding every coordinate away from zero of a vector on the clip sphere: what conditional rounding prevents.
    const g = 1000;
    const d = 1024;
    const x = Array.from({ length: d }, () => g / Math.sqrt(d));
    const away = x.map(Math.ceil);
    expect(squared(away) > normBoundSquared({ ...base, unitsPerClip: g, dimension: d })).toBe(true);
    const p = { ...base, dimension: d };
    const out = protectPerson(
      Float64Array.from(x, (v) => v / 2000),
      p,
    );
    expect(squared(out) <= normBoundSquared(p)).toBe(true);
  });

  it('is unbiased and keeps what lies inside the clip', () => {
    const random = seededRandom('unbiased');
    const update = Float64Array.from({ length: 13 }, () => 0.1 * gaussian(random));
    const p = { ...base, unitsPerClip: 16 };
    const mean = new Float64Array(13);
    const runs = 4000;
    for (let run = 0; run < runs; run++) {
      const out = decodeSum(Float64Array.from(protectPerson(update, p, random)), p);
      for (let i = 0; i < 13; i++) mean[i]! += out[i]! / runs;
    }
    const granularity = 0.5 / 16;
    for (let i = 0; i < 13; i++)
      expect(Math.abs(mean[i]! - update[i]!)).toBeLessThan((5 * 0.5 * granularity) / Math.sqrt(runs));
  });

  it('clips to the ball and keeps the direction', () => {
    const p = { ...base, unitsPerClip: 2 ** 20 };
    for (const scale of [1, 1e-3, 1e200, 1e307]) {
      const update = Float64Array.from({ length: 13 }, (_, i) => scale * (i - 6));
      const out = decodeSum(Float64Array.from(protectPerson(update, p)), p);
      const norm = Math.hypot(...Array.from({ length: 13 }, (_, i) => i - 6)) * scale;
      for (let i = 0; i < 13; i++) expect(out[i]).toBeCloseTo(Math.min(1, 0.5 / norm) * update[i]!, 5);
    }
  });

  it('adds the variance that it is told to', () => {
    const p = { ...base, dimension: 20_000, noiseVariance: rational(10_000n) };
    const out = protectPerson(new Float64Array(20_000), p);
    const variance = Number(squared(out)) / 20_000;
    expect(Math.abs(variance / 10_000 - 1)).toBeLessThan(6 * Math.sqrt(2 / 20_000));
  });

  it.each([Number.NaN, Infinity, -Infinity])('refuses an update with %d', (bad) => {
    const update = new Float64Array(13);
    update[5] = bad;
    expect(() => protectPerson(update, base)).toThrow(code('DATA_INVALID'));
  });

  it('refuses what does not fit its parameters', () => {
    expect(() => protectPerson(new Float64Array(12), base)).toThrow(code('VECTOR_LENGTH_MISMATCH'));
    expect(() => protectPerson(new Float64Array(13), { ...base, unit: 'record' })).toThrow(
      code('PARAMETER_UNSAFE'),
    );
    for (const bad of [
      { noiseVariance: ZERO },
      { unit: 'none' as const },
      { unitsPerClip: 0 },
      { unitsPerClip: 2 ** 25 },
      { clip: ZERO },
      { rotationSeed: new Uint8Array(16) },
      { unitsPerClip: 2 ** 24, recordsMax: 1000 },
    ])
      expect(() => protectPerson(new Float64Array(13), { ...base, ...bad })).toThrow(
        code('PARAMETER_UNSAFE'),
      );
  });

  it("'none' is plain fixed point", () => {
    const p: MechanismParameters = { ...base, unit: 'none', noiseVariance: ZERO, unitsPerClip: 2 ** 20 };
    const update = Float64Array.from({ length: 13 }, (_, i) => (i - 6) / 100);
    const out = decodeSum(Float64Array.from(protectPerson(update, p)), p);
    for (let i = 0; i < 13; i++) expect(out[i]).toBeCloseTo(update[i]!, 5);
    expect(protectPerson(update, p)).toEqual(protectPerson(update, p));
  });
});

/** docs/protocol.md, steps 2 to 4, in bigint and by the definition of the Hadamard matrix; every coin is `word`. */
function referenceRounding(update: Float64Array, p: MechanismParameters, word: number): bigint[] {
  const rotation = createRotation(p.rotationSeed, p.dimension);
  const fractionBits = 26 - Math.ceil(Math.log2(p.unitsPerClip));
  const steps = p.unitsPerClip * 2 ** fractionBits;
  const fixed = Array.from(update, (value) => BigInt(Math.trunc(value * (steps / rationalToNumber(p.clip)))));
  const parity = (n: number): number => (n === 0 ? 0 : (n & 1) ^ parity(n >> 1));
  return rotation.blocks.flatMap(({ start, length, exponent }) => {
    const shift = BigInt(fractionBits + exponent);
    return Array.from({ length }, (_, row) => {
      let sum = 0n;
      for (let i = 0; i < length; i++)
        sum += fixed[start + i]! * BigInt(rotation.signs[start + i]! * (parity(row & i) ? -1 : 1));
      return (sum + (BigInt(word) >> (32n - shift))) >> shift; // >> of a bigint is a floor
    });
  });
}

describe('protectPersonWithoutNoise', () => {
  const coin = (word: number): RandomSource => ({
    seeded: true,
    fill: (target) => {
      new Uint32Array(target.buffer, target.byteOffset, target.length / 4).fill(word);
      return target;
    },
  });

  it.each([
    [1, 1],
    [13, 1],
    [13, 2 ** 24],
    [300, 32],
    [1024, 1000],
    [1300, 2 ** 14],
  ])('is the protocol to the bit: %d entries, %d units', (dimension, unitsPerClip) => {
    const p = { ...base, dimension, unitsPerClip };
    const random = seededRandom(`reference/${dimension}`);
    const update = Float64Array.from(
      { length: dimension },
      () => (0.4 * gaussian(random)) / Math.sqrt(dimension) / 2,
    );
    let accepted = 0;
    for (const word of [0, 1, 0x1234_5678, 0x5555_5555, 0x8000_0000, 0xffff_ffff]) {
      const expected = referenceRounding(update, p, word);
      const out = protectPersonWithoutNoise(update, p, coin(word));
      if (squared(expected.map(Number)) > normBoundSquared(p)) continue; // redrawn: the next test
      expect(Array.from(out, BigInt)).toEqual(expected);
      accepted++;
    }
    expect(accepted).toBeGreaterThan(0);
  });

  it('starts again from the vector when a rounding leaves the bound, and ends in truncation', () => {
    // All coins up: 64 attempts fail. The first coins up only: a later attempt must not see what they left.
    const p = { ...base, dimension: 256, unitsPerClip: 1 };
    const update = Float64Array.from({ length: 256 }, (_, i) => (i % 2 ? 0.02 : -0.03));
    const up = coin(0xffff_ffff);
    expect(squared(referenceRounding(update, p, 0xffff_ffff).map(Number)) > normBoundSquared(p)).toBe(true);
    expect(protectPersonWithoutNoise(update, p, up)).toEqual(new Int32Array(256));
    let fills = 0;
    const turning: RandomSource = {
      seeded: true,
      fill: (target) => (fills++ < 3 ? up : coin(0x2000_0000)).fill(target),
    };
    const out = protectPersonWithoutNoise(update, p, turning);
    expect(fills).toBe(4);
    expect(Array.from(out, BigInt)).toEqual(referenceRounding(update, p, 0x2000_0000));
  });

  it('and then the noise is protectPerson; entries in units far from one are no different', () => {
    const p = { ...base, dimension: 500, noiseVariance: rational(100n) };
    const update = Float64Array.from({ length: 500 }, (_, i) => Math.sin(i));
    const random = seededRandom('composition');
    const apart = addNoise(protectPersonWithoutNoise(update, p, random), p, random);
    expect(protectPerson(update, p, seededRandom('composition'))).toEqual(apart);
    // The same direction at extreme scales: clipped to the same integers but for the last fixed-point step.
    const quiet = (scale: number) =>
      protectPersonWithoutNoise(
        update.map((v) => v * scale),
        { ...p, unitsPerClip: 2 ** 20 },
        coin(0x8000_0000),
      );
    const usual = quiet(1);
    for (const scale of [0.5, 1e150, 1e300])
      for (const [i, value] of quiet(scale).entries())
        expect(Math.abs(value - usual[i]!)).toBeLessThanOrEqual(1);
  });
});

describe('protectRecords', () => {
  const p: MechanismParameters = { ...base, unit: 'record', recordsMax: 50, clients: 4 };
  const rows = (count: number) => {
    const random = seededRandom(`rows/${count}`);
    return Float64Array.from({ length: count * 13 }, () => 0.2 * gaussian(random));
  };

  it('one record moves the sum by at most D, whichever it is', () => {
    // Twenty records on a grid where rotation (by 2^-1) gives whole units, so that their rounding needs no coins and
    // the two sums differ by the last record's integers alone.
    const grid = { ...p, unitsPerClip: 1024 };
    const random = seededRandom('grid');
    const others = Float64Array.from(
      { length: 20 * 13 },
      () => (2 * Math.floor(40 * uniform(random)) * 0.5) / 1024,
    );
    const without = protectRecords(others, 20, grid);
    expect(protectRecords(others, 20, grid)).toEqual(without);
    fc.assert(
      fc.property(
        fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 13, maxLength: 13 }),
        (last) => {
          const both = protectRecords(Float64Array.from([...others, ...last]), 21, grid);
          expect(squared(both.map((v, i) => v - without[i]!)) <= normBoundSquared(grid)).toBe(true);
        },
      ),
    );
  });

  it('rounding the float sum instead would break D: a tiny record flips every coordinate', () => {
    const d = 1024;
    const bound = normBoundSquared({ ...p, dimension: d, unitsPerClip: 1 });
    const sum = new Float64Array(d).fill(0.4999);
    const withRecord = sum.map((v) => v + 0.001); // the record's norm is 0.032 units
    const flipped = withRecord.map((v, i) => Math.round(v) - Math.round(sum[i]!));
    expect(squared(flipped) > bound).toBe(true);
  });

  it('sums clipped records and takes Float32 and empty batches', () => {
    const all = rows(40);
    const fine = { ...p, unitsPerClip: 2 ** 16 };
    const decoded = decodeSum(Float64Array.from(protectRecords(all, 40, fine)), fine);
    const expected = new Float64Array(13);
    for (let r = 0; r < 40; r++) {
      const row = all.subarray(r * 13, (r + 1) * 13);
      const factor = Math.min(1, 0.5 / Math.hypot(...row));
      for (let i = 0; i < 13; i++) expected[i]! += factor * row[i]!;
    }
    for (let i = 0; i < 13; i++) expect(Math.abs(decoded[i]! - expected[i]!)).toBeLessThan(40 * 2 ** -16);
    const single = decodeSum(Float64Array.from(protectRecords(Float32Array.from(all), 40, fine)), fine);
    for (let i = 0; i < 13; i++) expect(Math.abs(single[i]! - expected[i]!)).toBeLessThan(40 * 2 ** -16);
    expect(protectRecords(new Float64Array(0), 0, p)).toEqual(new Int32Array(13));
  });

  it('an empty batch still carries noise', () => {
    const out = protectRecords(new Float64Array(0), 0, { ...p, noiseVariance: rational(1_000_000n) });
    expect(out.some((v) => v !== 0)).toBe(true);
  });

  it('refuses too many records, a wrong shape and a non-finite gradient', () => {
    expect(() => protectRecords(rows(51), 51, p)).toThrow(code('FIELD_OUT_OF_RANGE'));
    expect(() => protectRecords(rows(3), 2, p)).toThrow(code('VECTOR_LENGTH_MISMATCH'));
    expect(() => protectRecords(rows(3), 3, base)).toThrow(code('PARAMETER_UNSAFE'));
    const bad = rows(3);
    bad[30] = Number.NaN;
    expect(() => protectRecords(bad, 3, p)).toThrow(code('DATA_INVALID'));
  });
});

describe('protectHistogram', () => {
  const p: MechanismParameters = {
    ...base,
    unit: 'record',
    dimension: 6,
    unitsPerClip: 1,
    clip: rational(1n),
    recordsMax: 100,
  };

  it('is the counts themselves but for the noise, with sensitivity 1', () => {
    const counts = Int32Array.of(5, 0, 7, 1, 0, 80);
    expect(protectHistogram(counts, p)).toEqual(counts);
    expect(histogramNormBoundSquared(p)).toBe(1n);
    expect(counts).toEqual(Int32Array.of(5, 0, 7, 1, 0, 80));
    expect(protectHistogram(counts, { ...p, noiseVariance: rational(10_000n) })).not.toEqual(counts);
  });

  it("bounds one person's whole contribution", () => {
    const person = { ...p, unit: 'person' as const, recordsMax: 1, clip: rational(3n) };
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 1_000_000 }), { minLength: 6, maxLength: 6 }),
        (counts) => {
          const out = protectHistogram(Int32Array.from(counts), person);
          expect(squared(out) <= 9n).toBe(true);
          if (squared(counts) <= 9n) expect(Array.from(out)).toEqual(counts);
        },
      ),
    );
  });

  it('refuses negative counts, too many records and a wrong length', () => {
    expect(() => protectHistogram(Int32Array.of(-1, 0, 0, 0, 0, 0), p)).toThrow(code('DATA_INVALID'));
    expect(() => protectHistogram(Int32Array.of(101, 0, 0, 0, 0, 0), p)).toThrow(code('FIELD_OUT_OF_RANGE'));
    expect(() => protectHistogram(new Int32Array(5), p)).toThrow(code('VECTOR_LENGTH_MISMATCH'));
  });
});
