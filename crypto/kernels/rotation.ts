/**
 * The Walsh–Hadamard transform of crypto/dp/rotation.ts in SIMD: the same bits as its TypeScript loop.
 *
 * Values pass through a staging area, which is overwritten afterwards. Trusts: nothing. May be called by: crypto/dp.
 */
import { ensure } from '../error.ts';
import { Arena, compileKernels } from './instance.ts';

const lengthMax = 4096;

/** Transforms `length` = 4^j ≤ 4096 values from `start` on, in place, unnormalised. */
export type Hadamard = (values: Float64Array, start: number, length: number) => void;

export interface HadamardKernel {
  readonly transform: Hadamard;
  /** Overwrites the staging area with zeros; to be called after the last block of a secret vector. */
  wipe(): void;
}

/** Throws UNAVAILABLE where SIMD kernels do not run. */
export async function loadHadamard(): Promise<HadamardKernel> {
  const arena = new Arena(await compileKernels());
  const staged = arena.allocate(8 * lengthMax);
  const view = new Float64Array(arena.kernels.memory.buffer, staged, lengthMax);
  const transform: Hadamard = (values, start, length) => {
    const isPower = Number.isInteger(Math.log2(length) / 2) && length <= lengthMax;
    ensure(
      isPower && start >= 0 && start + length <= values.length,
      'VECTOR_LENGTH_MISMATCH',
      `a block has 4^j values, at most ${lengthMax}, within the vector`,
    );
    if (length === 1) return;
    view.set(values.subarray(start, start + length));
    arena.kernels.hadamard(staged, length);
    values.set(view.subarray(0, length), start);
  };
  return { transform, wipe: () => void view.fill(0) };
}
