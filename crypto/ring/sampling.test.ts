import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { concat, uint32, utf8 } from '../bytes.ts';
import { type RandomSource, seededRandom } from '../random.ts';
import { createModulus } from './modulus.ts';
import { BitReader, signedResidues, ternary, uniformResidues, XofStream } from './sampling.ts';

const prime = 1_099_511_390_209;
const moduli = [createModulus(BigInt(prime)), createModulus(67_084_289n)];

describe('XofStream', () => {
  it('is SHAKE-256 in counter mode, however it is read', () => {
    const seed = utf8('seed');
    const expected = concat(
      ...[0, 1, 2].map((counter) =>
        createHash('shake256', { outputLength: 16_384 })
          .update(concat(seed, uint32(counter)))
          .digest(),
      ),
    );
    const stream = new XofStream(seed);
    const parts = [1, 7, 20_000, 16_384].map((length) => stream.fill(new Uint8Array(length)));
    const read = concat(...parts);
    expect(read).toEqual(expected.slice(0, read.length));
  });
});

describe('uniformResidues', () => {
  it('rejects instead of reducing: candidates ≥ prime are skipped', () => {
    // First candidate: 2^40 − 1 ≥ prime, second: prime − 1.
    const script = [255, 255, 255, 255, 255, 0, 0, 0, 0, 0];
    let last = prime - 1;
    for (let i = 5; i < 10; i++, last = Math.floor(last / 256)) script[i] = last % 256;
    const source: RandomSource = {
      seeded: true,
      fill: (target) => {
        for (let i = 0; i < target.length; i++) target[i] = script[i % script.length]!;
        return target;
      },
    };
    expect([...uniformResidues(moduli.slice(0, 1), 2, source)]).toEqual([prime - 1, prime - 1]);
  });

  it('fills both primes evenly', () => {
    const residues = uniformResidues(moduli, 8000, seededRandom('uniform'));
    for (const [block, { prime: p }] of moduli.entries()) {
      const bins = new Array<number>(16).fill(0);
      for (const value of residues.subarray(block * 8000, (block + 1) * 8000))
        bins[Math.floor((16 * value) / p)]!++;
      const chiSquare = bins.reduce((sum, count) => sum + (count - 500) ** 2 / 500, 0);
      expect(chiSquare).toBeLessThan(40); // 15 degrees of freedom: exceeded with probability 5e-4
    }
  });
});

describe('small values', () => {
  it('ternary is balanced over {−1, 0, 1}', () => {
    const counts = new Map<number, number>();
    for (const value of ternary(30_000, seededRandom('ternary')))
      counts.set(value, (counts.get(value) ?? 0) + 1);
    expect([...counts.keys()].sort()).toEqual([-1, 0, 1].sort());
    for (const count of counts.values()) expect(Math.abs(count - 10_000)).toBeLessThan(350);
  });

  it('signedResidues represents a negative value modulo each prime', () => {
    expect([...signedResidues(Int32Array.of(-1, 0, 2), moduli)]).toEqual([prime - 1, 0, 2, 67_084_288, 0, 2]);
  });

  it('below() is uniform for limits that are no power of two', () => {
    const reader = new BitReader(seededRandom('below'));
    const counts = new Array<number>(5).fill(0);
    for (let i = 0; i < 25_000; i++) counts[reader.below(5)]!++;
    for (const count of counts) expect(Math.abs(count - 5000)).toBeLessThan(320);
  });
});
