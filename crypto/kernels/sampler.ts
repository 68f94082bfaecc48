/**
 * The scan of crypto/secagg/long/sampler.ts in SIMD: the same samples from the same random words and table.
 *
 * Every sample costs the same instructions; random words and samples are overwritten after use. As with all of
 * WebAssembly, timing is what the engine makes of it (see long-wasm.ts).
 * Trusts: its caller for the table. May be called by: crypto/secagg/long.
 */
import { ensure } from '../error.ts';
import type { GaussianScan } from '../secagg/long/engine.ts';
import { Arena, type KernelModule } from './instance.ts';

/** Samples at a time. */
const batch = 2048;

export function createGaussianScan(module: KernelModule): GaussianScan {
  const arena = new Arena(module);
  return (table, words, out) => {
    ensure(
      table.length % 3 === 0 && table.length <= 3 * 256 && words.length >= 3 * out.length,
      'VECTOR_LENGTH_MISMATCH',
      'a sample takes three random words, an entry three limbs',
    );
    const mark = arena.mark;
    const tableAt = arena.allocate(4 * table.length);
    const wordsAt = arena.allocate(12 * batch);
    const samples = arena.allocate(batch);
    try {
      arena.integers(tableAt, table.length).set(table);
      const staged = arena.integers(wordsAt, 3 * batch);
      const results = new Int8Array(arena.kernels.memory.buffer, samples, batch);
      for (let done = 0; done < out.length; done += batch) {
        const count = Math.min(batch, out.length - done);
        staged.set(words.subarray(3 * done, 3 * (done + count)));
        arena.kernels.scanGaussian(wordsAt, (count + 7) & ~7, tableAt, table.length / 3, samples);
        out.set(results.subarray(0, count), done);
      }
    } finally {
      arena.release(mark);
    }
  };
}
