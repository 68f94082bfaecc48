/** Kernels one by one: against plain loops and the twin's transforms, and within the memory they were given. */
import { describe, expect, it } from 'vitest';
import { PulsefoldError } from '../error.ts';
import { randomBytes, seededRandom } from '../random.ts';
import { expandA as expandTwin } from '../secagg/long/expansion.ts';
import { centre, smallestPrimitiveRoot, transformFor } from '../secagg/long/ntt.ts';
import { longPrimes } from '../secagg/long/parameters.ts';
import { cumulativeTable, sampleSmallGaussian } from '../secagg/long/sampler.ts';
import { Arena, compileKernels } from './instance.ts';
import { expandA, streamBytesMax } from './ring.ts';
import { createGaussianScan } from './sampler.ts';

const random = seededRandom('kernels');
const module = await compileKernels();
const degrees = [4096, 8192, 16384] as const;

const randomWords = (count: number): Uint32Array => new Uint32Array(randomBytes(4 * count, random).buffer);

/** Residues below each prime, the extremes among them. */
function randomResidues(count: number, prime: number): Uint32Array {
  const values = randomWords(count).map((word) => word % prime);
  values.set([0, prime - 1, 1, prime - 1]);
  return values;
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof PulsefoldError ? error.code : `${error}`;
  }
  return 'no error';
}

describe.each(degrees)('transforms of n = %i', (n) => {
  const arena = new Arena(module);
  const { kernels } = arena;
  const [table, x, factor, prepared, stream] = [16 * n, 4 * n + 16, 4 * n, 4 * n, streamBytesMax(n)].map(
    (bytes) => arena.allocate(bytes),
  ) as [number, number, number, number, number];

  it('use the smallest root and agree with the twin under the first and last prime', () => {
    for (const prime of [longPrimes[n][0]!, longPrimes[n].at(-1)!]) {
      const root = kernels.smallestRoot(n, prime);
      expect(root).toBe(smallestPrimitiveRoot(n, prime));
      kernels.buildTable(table, n, root, prime);
      const values = randomResidues(n, prime);
      arena.words(x, n).set(values);
      kernels.forward(x, n, table, prime);
      const expected = Float64Array.from(values, (value) => centre(value, prime, 1 / prime));
      transformFor(n, prime).forward(expected);
      const positive = Array.from(expected, (value) => (value < 0 ? value + prime : value));
      expect(Array.from(arena.words(x, n), (value) => value % prime)).toEqual(positive);
    }
  });

  it('multiply and go back exactly, from the largest lazy values', () => {
    const prime = longPrimes[n][0]!;
    kernels.buildTable(table, n, kernels.smallestRoot(n, prime), prime);
    for (const fill of [undefined, prime - 1]) {
      const a = fill === undefined ? randomResidues(n, prime) : new Uint32Array(n).fill(fill);
      const s = fill === undefined ? randomResidues(n, prime) : new Uint32Array(n).fill(2 * prime - 1);
      arena.words(x, n).set(a);
      arena.words(factor, n).set(s);
      kernels.forward(factor, n, table, prime);
      kernels.prepareFactor(factor, prepared, n, kernels.inverseScale(n, prime), prime);
      kernels.multiply(x, factor, prepared, n, prime);
      kernels.inverse(x, n, table, prime);
      const found = arena.words(x, n);
      expect(Math.max(...found)).toBeLessThan(2 * prime);
      const transform = transformFor(n, prime);
      const product = Float64Array.from(s, (value) => centre(value, prime, 1 / prime));
      transform.forward(product);
      for (let i = 0; i < n; i++) {
        const scaled = centre(product[i]! * a[i]!, prime, 1 / prime);
        product[i] = centre(scaled * transform.degreeInverse, prime, 1 / prime);
      }
      transform.inverseTimesDegree(product);
      const positive = Array.from(product, (value) => (value < 0 ? value + prime : value));
      expect(Array.from(found, (value) => value % prime)).toEqual(positive);
    }
  });

  it('expand the same a as the twin', () => {
    const primes = longPrimes[n];
    const expected = new Float64Array(n);
    for (const [polynomial, primeIndex] of [
      [0, 0],
      [300, primes.length - 1],
    ] as const) {
      const seed = randomBytes(32, random);
      const prime = primes[primeIndex]!;
      expandTwin(seed, polynomial, primeIndex, prime, expected);
      expandA(arena, { seed, polynomial, primeIndex, prime }, n, x, stream);
      expect(Array.from(arena.words(x, n))).toEqual(Array.from(expected));
    }
  });
});

describe('sampling residues', () => {
  it('keeps what is below the prime, in order, over several calls', () => {
    const arena = new Arena(module);
    const words = randomWords(400);
    // A prime that rejects almost half, and words all rejected in between.
    const prime = 2 ** 25 + 35;
    words.fill(0xffff_ffff, 100, 140);
    const kept = Array.from(words, (word) => word & 0x3ff_ffff).filter((word) => word < prime);
    const stream = arena.allocate(1600);
    const target = arena.allocate(4 * kept.length + 16);
    arena.words(stream, 400).set(words);
    let filled = arena.kernels.sampleUniform(stream, 200, target, 0, kept.length, prime);
    expect(filled).toBeLessThan(kept.length);
    filled = arena.kernels.sampleUniform(stream + 800, 200, target, filled, kept.length, prime);
    expect(filled).toBe(kept.length);
    expect(Array.from(arena.words(target, filled))).toEqual(kept);
    expect(arena.kernels.sampleUniform(stream, 400, target, 0, 7, prime)).toBe(7);
  });
});

describe('weighted sums', () => {
  it('are exact for 48 planes of the largest products of either sign', () => {
    const arena = new Arena(module);
    const [planes, weights, target] = [16, 16, 1].map((rows) => arena.allocate(16 * 3 * rows)) as [
      number,
      number,
      number,
    ];
    for (const prime of [longPrimes[4096][0]!, 63_700_993]) {
      const largest = (prime - 1) / 2;
      for (const [value, weight] of [
        [-0x8000_0000, largest],
        [-0x8000_0000, -largest],
        [0x7fff_ffff, largest],
        [0, 5],
      ] as const) {
        arena.integers(planes, 4 * 48).fill(value);
        arena.integers(weights, 4 * 48).fill(weight);
        arena.words(target, 4).set([0, 1, prime, 2 * prime - 1]);
        arena.kernels.addWeighted(target, planes, 16, 48, weights, 1, prime);
        const p = BigInt(prime);
        // (sum / 2^32) mod p, checked as: 2^32 · (result − target) = sum mod p.
        const found = arena.words(target, 4);
        for (const [i, start] of [0, 1, prime, 2 * prime - 1].entries()) {
          expect(found[i]).toBeLessThan(prime);
          const left = BigInt(found[i]! - start) * 2n ** 32n - 48n * BigInt(value) * BigInt(weight);
          expect(left % p).toBe(0n);
        }
      }
    }
  });
});

describe('packing at the end of memory', () => {
  // 13 bytes are read and written 16 at a time: the last group must not touch what follows, here: nothing.
  it('neither traps nor writes past the end', () => {
    for (const groups of [1, 2, 5, 8, 9, 64]) {
      const arena = new Arena(module);
      const { kernels } = arena;
      const size = kernels.memory.buffer.byteLength;
      const residues = randomWords(4 * groups).map((word) => word & 0x3ff_ffff);
      const [source, packed, sums] = [4096, size - 13 * groups, 16_384];
      arena.words(source, 4 * groups).set(residues);
      kernels.pack(source, packed, groups);
      kernels.addPacked(packed, sums, groups);
      expect(Array.from(arena.words(sums, 4 * groups))).toEqual(Array.from(residues));
      const prime = 67_043_329;
      kernels.subtractPacked(packed, sums, groups, prime);
      expect(new Set(arena.words(sums, 4 * groups))).toEqual(new Set([2 * prime]));
      kernels.reduceSums(sums, groups, prime);
      expect(new Set(arena.words(sums, 4 * groups))).toEqual(new Set([0]));
    }
  });

  it('leaves the bytes behind the last group alone', () => {
    const arena = new Arena(module);
    const bytes = arena.bytes(8192, 64).fill(170);
    arena.words(4096, 12).fill(0x3ff_ffff);
    arena.kernels.pack(4096, 8192, 3);
    expect(new Set(bytes.subarray(0, 39))).toEqual(new Set([255]));
    expect(new Set(bytes.subarray(39))).toEqual(new Set([170]));
    arena.words(16_384, 16).fill(7);
    arena.kernels.addPacked(8192, 16_384, 3);
    expect(new Set(arena.words(16_384 + 48, 4))).toEqual(new Set([7]));
  });

  it('is the layout of the specification: 26 bits each, little-endian bit order', () => {
    const arena = new Arena(module);
    const residues = randomWords(8).map((word) => word & 0x3ff_ffff);
    arena.words(4096, 8).set(residues);
    arena.kernels.pack(4096, 8192, 2);
    let expected = 0n;
    for (const [i, residue] of residues.entries()) expected |= BigInt(residue) << BigInt(26 * i);
    const bytes = arena.bytes(8192, 26);
    expect(bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n)).toBe(expected);
  });
});

describe('the Gaussian scan', () => {
  it('gives the samples of the twin from the same random words', async () => {
    const scan = createGaussianScan(await compileKernels());
    for (const [sigma256, count] of [
      [1170, 5000],
      [2048, 3],
      [128, 2049],
    ] as const) {
      const entries = cumulativeTable(sigma256);
      const table = Int32Array.from({ length: 3 * entries.length }, (_, i) =>
        Number((entries[Math.floor(i / 3)]! >> BigInt(31 * (i % 3))) & 0x7fff_ffffn),
      );
      const seed = `scan ${sigma256}`;
      const words = new Int32Array(3 * count);
      seededRandom(seed).fill(new Uint8Array(words.buffer));
      const samples = new Int8Array(count);
      scan(table, words, samples);
      const expected = sampleSmallGaussian(sigma256, count, seededRandom(seed));
      expect(Buffer.from(samples).equals(Buffer.from(expected))).toBe(true);
    }
  });

  it('counts entries exactly: words equal to an entry, one below, all ones, all zeros', async () => {
    const scan = createGaussianScan(await compileKernels());
    const table = Int32Array.of(5, 0, 9, 4, 1, 9, 0x7fff_ffff, 0x7fff_ffff, 0x7fff_fffe);
    const words = Int32Array.of(5, 0, 9, 4, 0, 9, 4, 1, 9, -1, -1, -1, 0, 0, 0, 3, 1, 9 | (1 << 31));
    const samples = new Int8Array(6);
    scan(table, words, samples);
    expect(Array.from(samples)).toEqual([1, 0, 2, -3, 0, 1]);
    expect(codeOf(() => scan(table.subarray(1), words, samples))).toBe('VECTOR_LENGTH_MISMATCH');
    expect(codeOf(() => scan(table, words.subarray(1), samples))).toBe('VECTOR_LENGTH_MISMATCH');
  });
});
