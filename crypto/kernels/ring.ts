/**
 * Products a·s in the rings of LongSum: tables, the expansion of `a`, transforms, per (n, prime).
 *
 * Trusts: parameters after `ensureLongParameters`. May be called by: crypto/kernels.
 */
import { ensure } from '../error.ts';
import type { LongParameters } from '../secagg/long/parameters.ts';
import type { Arena } from './instance.ts';
import { openKeystream } from './keystream.ts';

/** A transformed factor, prepared for products: two arrays of n words. */
export interface Factor {
  readonly values: number;
  readonly prepared: number;
}

/** Tables stay in the arena for good: 16·n bytes a prime, 1 MB for n = 8192 and 8 primes. */
export class Rings {
  readonly #arena: Arena;
  readonly #tables = new Map<string, number>();

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  /** Makes the tables that are missing. To be called before a `mark` is taken. */
  prepare({ polyDegree, primes }: LongParameters): void {
    for (const prime of primes) this.#table(polyDegree, prime);
  }

  #table(polyDegree: number, prime: number): number {
    const key = `${polyDegree}/${prime}`;
    let table = this.#tables.get(key);
    if (table === undefined) {
      const { kernels } = this.#arena;
      const root = kernels.smallestRoot(polyDegree, prime);
      ensure(root > 0, 'PARAMETER_UNSAFE', 'the prime must be 1 modulo 2n');
      table = this.#arena.allocate(16 * polyDegree);
      kernels.buildTable(table, polyDegree, root, prime);
      this.#tables.set(key, table);
    }
    return table;
  }

  /** Transforms the residues below 2p at `factor.values` in place and prepares them for `multiplyByA`. */
  prepareFactor(factor: Factor, polyDegree: number, prime: number): void {
    const { kernels } = this.#arena;
    kernels.forward(factor.values, polyDegree, this.#table(polyDegree, prime), prime);
    const scale = kernels.inverseScale(polyDegree, prime);
    kernels.prepareFactor(factor.values, factor.prepared, polyDegree, scale, prime);
  }

  /** target = target·factor, target being transformed before and coefficients below 2p after. */
  multiplyByA(target: number, factor: Factor, polyDegree: number, prime: number): void {
    const { kernels } = this.#arena;
    kernels.multiply(target, factor.values, factor.prepared, polyDegree, prime);
    kernels.inverse(target, polyDegree, this.#table(polyDegree, prime), prime);
  }
}

/** Bytes of key stream fetched first: enough in nearly every case. A multiple of 16, as kernels want it. */
const streamBytes = (polyDegree: number, prime: number): number =>
  16 * Math.ceil((polyDegree * (2 ** 26 / prime) + 64) / 4);

/** Bytes that `expandA` needs for its stream under any prime of LongSum (2^26/p < 1.06). */
export const streamBytesMax = (polyDegree: number): number => 5 * polyDegree + 1024;

export interface ASource {
  readonly seed: Uint8Array;
  readonly polynomial: number;
  readonly primeIndex: number;
  readonly prime: number;
}

/** The element a of expansion.ts, transformed, to `target` (n words and 16 bytes more). `stream`: streamBytesMax. */
export function expandA(
  arena: Arena,
  source: ASource,
  polyDegree: number,
  target: number,
  stream: number,
): void {
  ensure(source.seed.length === 32, 'WRONG_CIPHERTEXT_PARAMETERS', 'the seed of a has 32 bytes');
  const iv = new Uint8Array(16);
  const view = new DataView(iv.buffer);
  view.setUint32(0, source.polynomial, true);
  view.setUint32(4, source.primeIndex, true);
  const next = openKeystream(source.seed, iv);
  let filled = 0;
  for (let bytes = streamBytes(polyDegree, source.prime); filled < polyDegree; bytes = 256) {
    arena.bytes(stream, bytes).set(next(bytes));
    filled = arena.kernels.sampleUniform(stream, bytes / 4, target, filled, polyDegree, source.prime);
  }
}
