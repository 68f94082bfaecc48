/**
 * The fold of LongSum: packed uploads are unpacked and added in one pass, at about the speed of copying them.
 *
 * Sums are 32-bit, uploads 26-bit: the folder counts what is in them and reduces before they could overflow, at most
 * once in 63 additions. Handles public data only. Trusts: parameters after `ensureLongParameters`; uploads are
 * hostile, but of 26-bit fields none is wrong. May be called by: crypto/kernels/long-wasm.ts.
 */
import type { LongFolder } from '../secagg/long/engine.ts';
import { ensurePacked } from '../secagg/long/engine-typescript.ts';
import type { LongParameters } from '../secagg/long/parameters.ts';
import { Arena, type KernelModule } from './instance.ts';

/** Groups (13 bytes in, 16 bytes of sums) copied at a time, so that the copy is still in cache when it is folded. */
const stagedGroups = 4096;

/** A sum below this many times 2^26 fits 32 bits. */
const loadMax = 64;

export class WasmFolder implements LongFolder {
  readonly #parameters: LongParameters;
  readonly #arena: Arena;
  /** Groups of each prime. */
  readonly #groups: number;
  readonly #sums: number;
  readonly #window: number;
  readonly #staged: number;
  /** Every sum is below #load · 2^26. */
  #load = 0;
  #count = 0;

  constructor(parameters: LongParameters, module: KernelModule) {
    this.#parameters = parameters;
    this.#arena = new Arena(module);
    this.#groups = Math.ceil(parameters.coefficientCount / 4);
    this.#sums = this.#arena.allocate(16 * this.#groups * parameters.primes.length);
    this.#window = this.#arena.allocate(parameters.packedBytes);
    this.#staged = this.#arena.allocate(13 * stagedGroups);
  }

  get count(): number {
    return this.#count;
  }

  add(packed: Uint8Array): void {
    ensurePacked(this.#parameters, packed);
    this.#reserve(1);
    // A residue is the same bytes under every prime: the sections of the layout follow one another without a gap.
    const groups = this.#groups * this.#parameters.primes.length;
    const staged = this.#arena.bytes(this.#staged, 13 * stagedGroups);
    for (let group = 0; group < groups; group += stagedGroups) {
      const count = Math.min(stagedGroups, groups - group);
      staged.set(packed.subarray(13 * group, 13 * (group + count)));
      this.#arena.kernels.addPacked(this.#staged, this.#sums + 16 * group, count);
    }
    this.#count++;
  }

  subtract(packed: Uint8Array): void {
    ensurePacked(this.#parameters, packed);
    // A multiple of p that exceeds 26 bits comes in with the negated residue.
    this.#reserve(2);
    const staged = this.#arena.bytes(this.#staged, 13 * stagedGroups);
    for (const [r, prime] of this.#parameters.primes.entries()) {
      const end = (r + 1) * this.#groups;
      for (let group = r * this.#groups; group < end; group += stagedGroups) {
        const count = Math.min(stagedGroups, end - group);
        staged.set(packed.subarray(13 * group, 13 * (group + count)));
        this.#arena.kernels.subtractPacked(this.#staged, this.#sums + 16 * group, count, prime);
      }
    }
    this.#count--;
  }

  window(): Uint8Array {
    return this.#arena.bytes(this.#window, this.#parameters.packedBytes);
  }

  addWindow(): void {
    this.#reserve(1);
    const groups = this.#groups * this.#parameters.primes.length;
    this.#arena.kernels.addPacked(this.#window, this.#sums, groups);
    this.#count++;
  }

  bytes(): Uint8Array {
    this.#reduce();
    const out = new Uint8Array(this.#parameters.packedBytes);
    const groups = this.#groups * this.#parameters.primes.length;
    for (let group = 0; group < groups; group += stagedGroups) {
      const count = Math.min(stagedGroups, groups - group);
      this.#arena.kernels.pack(this.#sums + 16 * group, this.#staged, count);
      out.set(this.#arena.bytes(this.#staged, 13 * count), 13 * group);
    }
    return out;
  }

  #reserve(load: number): void {
    if (this.#load + load > loadMax) this.#reduce();
    this.#load += load;
  }

  #reduce(): void {
    for (const [r, prime] of this.#parameters.primes.entries()) {
      this.#arena.kernels.reduceSums(this.#sums + 16 * this.#groups * r, this.#groups, prime);
    }
    this.#load = 1;
  }
}
