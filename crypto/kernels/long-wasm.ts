/**
 * LongSum on the SIMD kernels, byte for byte what crypto/secagg/long/engine-typescript.ts does.
 *
 * `seal` handles secrets (key, errors, slots): no branch and no address depends on them, and the working memory is
 * overwritten afterwards, also when it fails. Frankly: WebAssembly specifies results, not timing. Engines compile
 * these operations to single instructions today, but none promises to, and nothing promises that registers or
 * stack slots are wiped. Keys are one-time, which bounds what could leak.
 * Trusts: parameters after `ensureLongParameters`. May be called by: crypto/secagg/long/index.ts (by name), tests.
 */
import { ensure } from '../error.ts';
import { ensureOpened } from '../secagg/long/decoder.ts';
import type { GaussianScan, LongEngine, OpenInput, SealInput } from '../secagg/long/engine.ts';
import { ensureOpenInput } from '../secagg/long/engine-typescript.ts';
import {
  ensureLongParameters,
  type LongParameters,
  longModulus,
  openingErrorMax,
} from '../secagg/long/parameters.ts';
import { Arena, compileKernels, type KernelModule } from './instance.ts';
import { WasmFolder } from './long-folder.ts';
import { expandA, type Factor, Rings, streamBytesMax } from './ring.ts';
import { createGaussianScan } from './sampler.ts';

/** Planes that one call of `addWeighted` may sum, see assembly/message.ts. */
const planesMax = 48;

/** Bytes between planes: not a multiple of 4096, so that planes do not compete for the same cache lines. */
const strideOf = (polyDegree: number): number => 4 * polyDegree + 64;

/** Exported for tests, which look at its memory; others call `loadWasmLongEngine`. */
export class WasmLongEngine implements LongEngine {
  readonly name = 'wasm-simd';
  readonly scan: GaussianScan;
  readonly #module: KernelModule;
  readonly #arena: Arena;
  readonly #rings: Rings;

  constructor(module: KernelModule, arena = new Arena(module)) {
    this.#module = module;
    this.#arena = arena;
    this.#rings = new Rings(this.#arena);
    this.scan = createGaussianScan(module);
  }

  folder(parameters: LongParameters): WasmFolder {
    ensureLongParameters(parameters);
    return new WasmFolder(parameters, this.#module);
  }

  seal(parameters: LongParameters, input: SealInput): Uint8Array {
    ensureLongParameters(parameters);
    ensureVector(input.secret.length, parameters.polyDegree, 'the secret');
    ensureVector(input.errors.length, parameters.coefficientCount, 'the errors');
    ensureVector(input.slots.length, parameters.slotCount, 'the slots');
    this.#rings.prepare(parameters);
    const mark = this.#arena.mark;
    try {
      return this.#seal(parameters, input);
    } finally {
      this.#arena.release(mark);
    }
  }

  #seal(parameters: LongParameters, input: SealInput): Uint8Array {
    const { polyDegree, primes, coefficientCount } = parameters;
    const { kernels } = this.#arena;
    const plaintext = new Plaintext(this.#arena, parameters);
    const secretBytes = this.#arena.allocate(polyDegree);
    const factors = this.#allocateFactors(parameters);
    const residues = this.#arena.allocate(4 * polyDegree + 16);
    const stream = this.#arena.allocate(streamBytesMax(polyDegree));
    const packed = this.#arena.allocate((13 * polyDegree) / 4);
    // From here on memory does not grow, and views stay.
    this.#arena.bytes(secretBytes, polyDegree).set(bytesOf(input.secret));
    for (const [r, prime] of primes.entries()) {
      kernels.signedResidues(secretBytes, factors[r]!.values, polyDegree, prime);
      this.#rings.prepareFactor(factors[r]!, polyDegree, prime);
    }
    const sectionBytes = 13 * Math.ceil(coefficientCount / 4);
    const out = new Uint8Array(parameters.packedBytes);
    for (let polynomial = 0; polynomial < parameters.polynomialCount; polynomial++) {
      const first = polynomial * polyDegree;
      const count = Math.min(polyDegree, coefficientCount - first);
      const groups = Math.ceil(count / 4);
      plaintext.load(input, first, count);
      for (const [primeIndex, prime] of primes.entries()) {
        const source = { seed: input.aSeed, polynomial, primeIndex, prime };
        expandA(this.#arena, source, polyDegree, residues, stream);
        this.#rings.multiplyByA(residues, factors[primeIndex]!, polyDegree, prime);
        plaintext.addTo(residues, groups, primeIndex);
        // Coefficients beyond the last one fill its group: they are not sent.
        this.#arena.words(residues + 4 * count, 4 * groups - count).fill(0);
        kernels.pack(residues, packed, groups);
        const at = primeIndex * sectionBytes + (13 * first) / 4;
        out.set(this.#arena.bytes(packed, 13 * groups), at);
      }
    }
    return out;
  }

  #allocateFactors({ polyDegree, primes }: LongParameters): Factor[] {
    return primes.map(() => ({
      values: this.#arena.allocate(4 * polyDegree),
      prepared: this.#arena.allocate(4 * polyDegree),
    }));
  }

  open(parameters: LongParameters, input: OpenInput): Int32Array {
    ensureOpenInput(parameters, input);
    this.#rings.prepare(parameters);
    const mark = this.#arena.mark;
    try {
      return this.#open(parameters, input);
    } finally {
      this.#arena.release(mark);
    }
  }

  #open(parameters: LongParameters, input: OpenInput): Int32Array {
    const { polyDegree, primes, coefficientCount, slotsPerCoefficient } = parameters;
    const { kernels } = this.#arena;
    const decoder = new Decoder(this.#arena, parameters, input.cohort);
    const factors = this.#allocateFactors(parameters);
    const stream = this.#arena.allocate(streamBytesMax(polyDegree));
    const packed = this.#arena.allocate((13 * polyDegree) / 4);
    for (const [r, prime] of primes.entries()) {
      const values = this.#arena.words(factors[r]!.values, polyDegree);
      for (let i = 0; i < polyDegree; i++) {
        // −Σs, in [0, p).
        const rest = -input.secretSum[i]! % prime;
        values[i] = rest < 0 ? rest + prime : rest;
      }
      this.#rings.prepareFactor(factors[r]!, polyDegree, prime);
    }
    const sectionBytes = 13 * Math.ceil(coefficientCount / 4);
    const slots = new Int32Array(parameters.slotCount);
    let failures = 0;
    for (let polynomial = 0; polynomial < parameters.polynomialCount; polynomial++) {
      const first = polynomial * polyDegree;
      const count = Math.min(polyDegree, coefficientCount - first);
      const groups = Math.ceil(count / 4);
      for (const [primeIndex, prime] of primes.entries()) {
        const target = decoder.residues(primeIndex);
        const source = { seed: input.aSeed, polynomial, primeIndex, prime };
        expandA(this.#arena, source, polyDegree, target, stream);
        this.#rings.multiplyByA(target, factors[primeIndex]!, polyDegree, prime);
        const at = primeIndex * sectionBytes + (13 * first) / 4;
        this.#arena.bytes(packed, 13 * groups).set(input.sums.subarray(at, at + 13 * groups));
        kernels.addPackedReduced(packed, target, groups, decoder.halves[primeIndex]!, prime);
      }
      const at = first * slotsPerCoefficient;
      failures += decoder.decode(count, slots.subarray(at, at + count * slotsPerCoefficient));
    }
    ensureOpened(failures, parameters);
    return slots;
  }
}

function ensureVector(length: number, expected: number, what: string): void {
  ensure(
    length === expected,
    'VECTOR_LENGTH_MISMATCH',
    `${what} must have ${expected} entries, not ${length}`,
  );
}

const bytesOf = (integers: Int8Array): Uint8Array =>
  new Uint8Array(integers.buffer, integers.byteOffset, integers.length);

/** The plaintext of one polynomial at a time: slot j of every coefficient in plane j, the errors in the last plane. */
class Plaintext {
  readonly #arena: Arena;
  readonly #parameters: LongParameters;
  readonly #slots: number;
  readonly #errors: number;
  readonly #planes: number;
  /** For each prime four copies of each plane's weight. */
  readonly #weights: readonly number[];

  constructor(arena: Arena, parameters: LongParameters) {
    const { polyDegree, slotsPerCoefficient, slotBits, primes } = parameters;
    this.#arena = arena;
    this.#parameters = parameters;
    this.#slots = arena.allocate(4 * polyDegree * slotsPerCoefficient);
    this.#errors = arena.allocate(polyDegree);
    this.#planes = arena.allocate(strideOf(polyDegree) * (slotsPerCoefficient + 1));
    this.#weights = primes.map((prime) => {
      const at = arena.allocate(16 * (slotsPerCoefficient + 1));
      const weights = arena.integers(at, 4 * (slotsPerCoefficient + 1));
      for (let j = 0; j <= slotsPerCoefficient; j++) {
        const weight = arena.kernels.weight(slotBits * j, prime);
        weights.fill(weight > prime / 2 ? weight - prime : weight, 4 * j, 4 * j + 4);
      }
      return at;
    });
  }

  load(input: SealInput, first: number, count: number): void {
    const { polyDegree, slotsPerCoefficient } = this.#parameters;
    const padded = 4 * Math.ceil(count / 4);
    const slots = this.#arena.integers(this.#slots, padded * slotsPerCoefficient);
    const part = input.slots.subarray(first * slotsPerCoefficient, (first + count) * slotsPerCoefficient);
    slots.set(part);
    slots.fill(0, part.length);
    const errors = this.#arena.bytes(this.#errors, padded);
    errors.set(bytesOf(input.errors.subarray(first, first + count)));
    errors.fill(0, count);
    const stride = strideOf(polyDegree);
    const { kernels } = this.#arena;
    kernels.toPlanes(this.#slots, padded, slotsPerCoefficient, this.#planes, stride);
    kernels.widen(this.#errors, this.#planes + stride * slotsPerCoefficient, padded);
  }

  /** Adds the plaintext to residues below 2p and reduces them to [0, p). */
  addTo(residues: number, groups: number, primeIndex: number): void {
    const { polyDegree, slotsPerCoefficient, primes } = this.#parameters;
    const stride = strideOf(polyDegree);
    for (let plane = 0; plane <= slotsPerCoefficient; plane += planesMax) {
      this.#arena.kernels.addWeighted(
        residues,
        this.#planes + stride * plane,
        stride,
        Math.min(planesMax, slotsPerCoefficient + 1 - plane),
        this.#weights[primeIndex]! + 16 * plane,
        groups,
        primes[primeIndex]!,
      );
    }
  }
}

/** Residues of one polynomial at a time to its slots. */
class Decoder {
  /** ⌊q/2⌋ modulo each prime: what is added to residues before they are decoded, so that numbers are not negative. */
  readonly halves: readonly number[];
  readonly #arena: Arena;
  readonly #parameters: LongParameters;
  readonly #residues: number;
  readonly #primes: number;
  readonly #offset: number;
  readonly #limbCount: number;
  readonly #number: number;
  readonly #slots: number;
  readonly #errorMax: number;

  constructor(arena: Arena, parameters: LongParameters, cohort: number) {
    const { polyDegree, primes, slotBits, slotsPerCoefficient } = parameters;
    this.#arena = arena;
    this.#parameters = parameters;
    const half = longModulus(parameters) >> 1n;
    this.halves = primes.map((prime) => Number(half % BigInt(prime)));
    this.#errorMax = openingErrorMax(parameters, cohort);
    // One word above the modulus, and one for the sign.
    this.#limbCount = Math.ceil((26 * primes.length) / 32) + 2;
    this.#residues = arena.allocate(strideOf(polyDegree) * primes.length);
    this.#primes = arena.allocate(4 * primes.length);
    this.#offset = arena.allocate(4 * this.#limbCount);
    this.#number = arena.allocate(4 * this.#limbCount + 12);
    this.#slots = arena.allocate(4 * polyDegree * slotsPerCoefficient);
    arena.words(this.#primes, primes.length).set(primes);
    // −⌊q/2⌋ takes the residues' offset back; 2^(b−1) in each slot and the error bound above make fields unsigned.
    let offset = -half + (BigInt(this.#errorMax) << BigInt(slotBits * slotsPerCoefficient));
    for (let j = 0; j < slotsPerCoefficient; j++) offset += 1n << BigInt(slotBits * j + slotBits - 1);
    const limbs = arena.words(this.#offset, this.#limbCount);
    for (let l = 0; l < this.#limbCount; l++) {
      limbs[l] = Number(BigInt.asUintN(32, offset >> BigInt(32 * l)));
    }
  }

  /** Where the residues of a prime go: n words, and room for 16 bytes more. */
  residues(primeIndex: number): number {
    return this.#residues + strideOf(this.#parameters.polyDegree) * primeIndex;
  }

  /** Slots of `count` coefficients; returns how many coefficients had an error beyond the bound. */
  decode(count: number, slots: Int32Array): number {
    const { polyDegree, primes, slotBits, slotsPerCoefficient } = this.#parameters;
    const { kernels } = this.#arena;
    const stride = strideOf(polyDegree);
    const k = primes.length;
    kernels.mixedRadix(this.#residues, stride, k, Math.ceil(count / 4), this.#primes);
    const failures = kernels.decodeSlots(
      this.#residues,
      stride,
      k,
      count,
      this.#primes,
      this.#offset,
      this.#limbCount,
      this.#number,
      slotBits,
      slotsPerCoefficient,
      2 * this.#errorMax,
      this.#slots,
    );
    slots.set(this.#arena.integers(this.#slots, slots.length));
    return failures;
  }
}

/** A new engine with a memory of its own. Throws UNAVAILABLE where SIMD kernels do not run. */
export async function loadWasmLongEngine(): Promise<LongEngine> {
  return new WasmLongEngine(await compileKernels());
}
