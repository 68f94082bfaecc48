import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../random.ts';
import { createModulus } from './modulus.ts';
import { addPacked, pack, packedBytes, residueCount, unpack, validatePacked } from './packing.ts';
import { uniformResidues } from './sampling.ts';

const moduli = [createModulus(1_099_511_390_209n), createModulus(67_084_289n)];

describe('packed residues', () => {
  it('survive a round trip and have exactly one encoding', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 4 }),
        (seed, segments) => {
          const random = seededRandom(seed);
          const layout = { moduli, segments };
          const blocks = segments.map((length) => uniformResidues(moduli, length, random));
          const residues = Float64Array.from(blocks.flatMap((block) => [...block]));
          expect(residues.length).toBe(residueCount(layout));
          const bytes = pack(residues, layout);
          expect(bytes.length).toBe(packedBytes(layout));
          expect(unpack(bytes, layout, 'MALFORMED_MESSAGE', 'it')).toEqual(residues);
          const sums = residues.slice();
          addPacked(sums, bytes, layout);
          expect(sums).toEqual(residues.map((x) => 2 * x));
        },
      ),
      { numRuns: 50 },
    );
  });

  const layout = { moduli, segments: [3] };
  const good = pack(Float64Array.of(0, 1, 1_099_511_390_208, 5, 6, 67_084_288), layout);

  it('the largest residues pass', () => {
    expect(() => validatePacked(good, layout, 'MALFORMED_MESSAGE', 'it')).not.toThrow();
    expect(good.length).toBe(27);
  });

  it.each([
    ['one byte short', good.slice(1)],
    ['one byte long', Uint8Array.of(...good, 0)],
    ['empty', new Uint8Array(0)],
    ['a residue equal to the 40-bit prime', good.map((byte, i) => (i === 10 ? byte + 1 : byte))],
    ['a residue equal to the 26-bit prime', good.map((byte, i) => (i === 23 ? byte + 1 : byte))],
    ['all ones', good.map(() => 255)],
  ])('%s is refused with the code given', (_, bytes) => {
    expect(() => validatePacked(bytes, layout, 'SHARE_INCONSISTENT', 'it')).toThrow(
      expect.objectContaining({ code: 'SHARE_INCONSISTENT' }),
    );
    expect(() => unpack(bytes, layout, 'WRONG_CIPHERTEXT_PARAMETERS', 'it')).toThrow(
      expect.objectContaining({ code: 'WRONG_CIPHERTEXT_PARAMETERS' }),
    );
  });
});
