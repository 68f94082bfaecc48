import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRotation, type Rotation, rotateBlock, rotateInverse } from './rotation.ts';

const seed = new Uint8Array(32).fill(3);

/** Rotates a whole vector of integers in place. */
function rotateForward(rotation: Rotation, values: Float64Array): void {
  const integers = Int32Array.from(values);
  for (const block of rotation.blocks)
    rotateBlock(rotation, block, integers, values.subarray(block.start, block.start + block.length));
}

/** Reads a rotated integer vector over its blocks' powers of two. */
function descale(rotation: ReturnType<typeof createRotation>, values: Float64Array): Float64Array {
  const out = values.slice();
  for (const { start, length, exponent } of rotation.blocks)
    for (let i = start; i < start + length; i++) out[i]! /= 2 ** exponent;
  return out;
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((sum, x, i) => sum + x * b[i]!, 0);

describe('block-wise rotation', () => {
  it('cuts any dimension into blocks of 4^j without padding', () => {
    for (const dimension of [1, 2, 3, 4, 5, 15, 16, 17, 63, 300, 1023, 4096, 5000, 20_000]) {
      const { blocks } = createRotation(seed, dimension);
      let at = 0;
      for (const { start, length, exponent } of blocks) {
        expect(start).toBe(at);
        expect(length).toBe(4 ** exponent);
        at += length;
      }
      expect(at).toBe(dimension);
    }
  });

  it('is exactly orthonormal on integers', () => {
    const vector = (length: number) =>
      fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: length, maxLength: length });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 90 }).chain((d) => fc.tuple(vector(d), vector(d))),
        ([a, b]) => {
          const rotation = createRotation(seed, a.length);
          const [x, y] = [Float64Array.from(a), Float64Array.from(b)];
          rotateForward(rotation, x);
          rotateForward(rotation, y);
          expect(x.every(Number.isInteger)).toBe(true);
          expect(dot(descale(rotation, x), descale(rotation, y))).toBe(dot(a, b));
          expect(Array.from(rotateInverse(rotation, descale(rotation, x)), (v) => v + 0)).toEqual(
            a.map((v) => v + 0),
          );
        },
      ),
    );
  });

  it('equals the Hadamard matrix times signs, entry by entry', () => {
    const rotation = createRotation(seed, 16);
    const parity = (n: number): number => (n === 0 ? 0 : (n & 1) ^ parity(n >> 1));
    for (let column = 0; column < 16; column++) {
      const unit = new Float64Array(16);
      unit[column] = 1;
      rotateForward(rotation, unit);
      for (let row = 0; row < 16; row++)
        expect(unit[row]).toBe(rotation.signs[column]! * (parity(row & column) ? -1 : 1));
    }
  });

  it('spreads a spike over its block', () => {
    const rotation = createRotation(seed, 4096);
    const spike = new Float64Array(4096);
    spike[17] = 2 ** 26;
    rotateForward(rotation, spike);
    expect(Math.max(...descale(rotation, spike).map(Math.abs))).toBe(2 ** 20);
  });

  it('is public and repeatable: same seed, same rotation; balanced signs', () => {
    const a = createRotation(seed, 10_000);
    expect(createRotation(seed, 10_000)).toEqual(a);
    expect(createRotation(new Uint8Array(32), 10_000).signs).not.toEqual(a.signs);
    expect(Math.abs(a.signs.reduce((sum: number, s) => sum + s, 0))).toBeLessThan(600);
  });

  it('refuses a bad seed, dimension or sum', () => {
    expect(() => createRotation(new Uint8Array(31), 4)).toThrow();
    expect(() => createRotation(seed, 0)).toThrow();
    expect(() => createRotation(seed, 1.5)).toThrow();
    expect(() => rotateInverse(createRotation(seed, 4), new Float64Array(5))).toThrow(
      expect.objectContaining({ code: 'VECTOR_LENGTH_MISMATCH' }),
    );
  });
});
