/**
 * LongSum in plain TypeScript: the twin of the SIMD kernels, their oracle, and what runs where SIMD does not.
 *
 * Arithmetic is exact in doubles (ntt.ts). `seal` handles secrets (key, errors, slots): it has no branch and no index
 * that depends on them and overwrites its working copies. What JavaScript cannot promise: that the optimiser keeps it
 * so, that a garbage collector leaves no copy behind. A key serves one vector only, so what could leak is bounded.
 * Trusts: parameters after `ensureLongParameters`, a little-endian machine. May be called by: index.ts, tests.
 */
import { ensure } from '../../error.ts';
import { ensureOpened, SlotDecoder } from './decoder.ts';
import type { LongEngine, LongFolder, OpenInput, SealInput } from './engine.ts';
import { expandA } from './expansion.ts';
import { centre, transformFor } from './ntt.ts';
import { addUnpacked, blockCount, blockResidues, blockWords, packResidues } from './packing.ts';
import { ensureLongParameters, type LongParameters } from './parameters.ts';
import { scanTable } from './sampler.ts';

/** 1.5·2^52, see ntt.ts. */
const roundingUnit = 6_755_399_441_055_744;

/** Coefficients of one prime in the packed layout. */
const paddedCount = (parameters: LongParameters): number => 4 * Math.ceil(parameters.coefficientCount / 4);

function ensureVector(length: number, expected: number, what: string): void {
  ensure(
    length === expected,
    'VECTOR_LENGTH_MISMATCH',
    `${what} must have ${expected} entries, not ${length}`,
  );
}

/** Packed words with a byte view of the wire length; the rest of the last block stays zero. */
class PackedBuffer {
  readonly words: Uint32Array<ArrayBuffer>;
  readonly bytes: Uint8Array<ArrayBuffer>;
  constructor(parameters: LongParameters) {
    this.words = new Uint32Array(blockWords * blockCount(parameters.packedBytes));
    this.bytes = new Uint8Array(this.words.buffer, 0, parameters.packedBytes);
  }
}

/** Width of the limbs that a coefficient's plaintext is cut into; 31 + 19 bits of a shifted slot stay exact. */
const limbBits = 20;
const limbUnit = 2 ** limbBits;

/**
 * The integers 2^(p·b)·e + Σ_j x_j·2^(b·j) of coefficients `first` …, as signed limbs: `limbCount` for each, all but
 * the last in [0, 2^20).
 */
function plaintextLimbs(
  parameters: LongParameters,
  input: SealInput,
  first: number,
  count: number,
  limbs: Float64Array,
  limbCount: number,
): void {
  const { slotBits, slotsPerCoefficient, slotCount } = parameters;
  const { slots, errors } = input;
  let to = 0;
  for (let i = first; i < first + count; i++) {
    const end = to + limbCount - 1;
    let pool = 0;
    let poolBits = 0;
    for (let j = 0; j <= slotsPerCoefficient; j++) {
      const at = i * slotsPerCoefficient + j;
      const value = j === slotsPerCoefficient ? errors[i]! : at < slotCount ? slots[at]! : 0;
      pool += value * 2 ** poolBits;
      poolBits += slotBits;
      for (; poolBits >= limbBits && to < end; poolBits -= limbBits) {
        const rest = Math.floor(pool / limbUnit);
        limbs[to++] = pool - rest * limbUnit;
        pool = rest;
      }
    }
    for (; to < end; ) {
      const rest = Math.floor(pool / limbUnit);
      limbs[to++] = pool - rest * limbUnit;
      pool = rest;
    }
    limbs[to++] = pool;
  }
}

/** Limbs that hold any int32 in the last slot, and any int8 above it, with the sign. */
function limbCountOf({ slotBits, slotsPerCoefficient }: LongParameters): number {
  const bits = Math.max(slotsPerCoefficient * slotBits + 8, (slotsPerCoefficient - 1) * slotBits + 32) + 2;
  return Math.ceil(bits / limbBits);
}

/** 2^(20·l) modulo prime, centred. */
function limbFactors(limbCount: number, prime: number): Float64Array {
  const out = new Float64Array(limbCount);
  for (let l = 0, factor = 1; l < limbCount; l++) {
    out[l] = factor;
    factor = centre(factor * limbUnit, prime, 1 / prime);
  }
  return out;
}

/** `small` (any int32) in NTT form, times `scale`. */
function smallToNtt(
  small: ArrayLike<number>,
  scale: number,
  polyDegree: number,
  prime: number,
): Float64Array {
  const transform = transformFor(polyDegree, prime);
  const { inverse } = transform;
  const out = new Float64Array(polyDegree);
  for (let i = 0; i < polyDegree; i++) out[i] = centre(small[i]!, prime, inverse);
  transform.forward(out);
  const centred = centre(scale, prime, inverse);
  for (let i = 0; i < polyDegree; i++) out[i] = centre(out[i]! * centred, prime, inverse);
  return out;
}

/** product ← a · element, coefficient form; `element` in NTT form and already divided by n. */
function multiplyByA(a: Float64Array, element: Float64Array, prime: number): void {
  const transform = transformFor(element.length, prime);
  const { inverse } = transform;
  for (let j = 0; j < a.length; j++) {
    const value = a[j]! * element[j]!;
    a[j] = value - prime * (value * inverse + roundingUnit - roundingUnit);
  }
  transform.inverseTimesDegree(a);
}

function seal(parameters: LongParameters, input: SealInput): Uint8Array {
  ensureLongParameters(parameters);
  const { polyDegree, primes, coefficientCount } = parameters;
  ensureVector(input.secret.length, polyDegree, 'the secret');
  ensureVector(input.errors.length, coefficientCount, 'the errors');
  ensureVector(input.slots.length, parameters.slotCount, 'the slots');
  const packed = new PackedBuffer(parameters);
  const residues = new Uint32Array(blockResidues * blockCount(parameters.packedBytes));
  const limbCount = limbCountOf(parameters);
  const limbs = new Float64Array(limbCount * Math.min(polyDegree, coefficientCount));
  const secrets = primes.map((prime) => {
    const scale = transformFor(polyDegree, prime).degreeInverse;
    return smallToNtt(input.secret, scale, polyDegree, prime);
  });
  const factors = primes.map((prime) => limbFactors(limbCount, prime));
  const product = new Float64Array(polyDegree);
  for (let polynomial = 0; polynomial < parameters.polynomialCount; polynomial++) {
    const first = polynomial * polyDegree;
    const count = Math.min(polyDegree, coefficientCount - first);
    plaintextLimbs(parameters, input, first, count, limbs, limbCount);
    for (const [r, prime] of primes.entries()) {
      expandA(input.aSeed, polynomial, r, prime, product);
      multiplyByA(product, secrets[r]!, prime);
      const at = r * paddedCount(parameters) + first;
      addPlaintext(product, limbs, factors[r]!, prime, residues.subarray(at, at + count));
    }
  }
  packResidues(residues, packed.words);
  for (const secret of secrets) secret.fill(0);
  limbs.fill(0);
  product.fill(0);
  return packed.bytes;
}

/** out ← product + plaintext modulo prime, in [0, prime). */
function addPlaintext(
  product: Float64Array,
  limbs: Float64Array,
  factors: Float64Array,
  prime: number,
  out: Uint32Array,
): void {
  const inverse = 1 / prime;
  const limbCount = factors.length;
  for (let i = 0, at = 0; i < out.length; i++) {
    // At most 22 limbs of 20 bits times 25 bits: below 2^50.
    let sum = product[i]!;
    for (let l = 0; l < limbCount; l++) sum += limbs[at++]! * factors[l]!;
    const residue = sum - prime * (sum * inverse + roundingUnit - roundingUnit);
    out[i] = residue + (prime & (residue >> 31));
  }
}

/** Additions between two reductions: 2^25 residues of 26 bits stay below 2^52. */
const additionsMax = 2 ** 25;

class TypescriptFolder implements LongFolder {
  readonly #parameters: LongParameters;
  readonly #window: PackedBuffer;
  /** Unreduced sums in the order of the packed layout. */
  readonly #sums: Float64Array;
  #count = 0;
  #pending = 0;

  constructor(parameters: LongParameters) {
    ensureLongParameters(parameters);
    this.#parameters = parameters;
    this.#window = new PackedBuffer(parameters);
    this.#sums = new Float64Array(blockResidues * blockCount(parameters.packedBytes));
  }

  get count(): number {
    return this.#count;
  }

  add(packed: Uint8Array): void {
    this.#read(packed);
    this.#apply(1);
  }

  subtract(packed: Uint8Array): void {
    this.#read(packed);
    this.#apply(-1);
  }

  window(): Uint8Array {
    return this.#window.bytes;
  }

  addWindow(): void {
    this.#apply(1);
  }

  bytes(): Uint8Array {
    this.#reduce();
    const packed = new PackedBuffer(this.#parameters);
    const residues = new Uint32Array(this.#sums.length);
    const padded = paddedCount(this.#parameters);
    for (const [r, prime] of this.#parameters.primes.entries()) {
      for (let i = r * padded; i < (r + 1) * padded; i++) {
        const residue = this.#sums[i]!;
        residues[i] = residue + (prime & (residue >> 31));
      }
    }
    packResidues(residues, packed.words);
    return packed.bytes;
  }

  #read(packed: Uint8Array): void {
    ensurePacked(this.#parameters, packed);
    this.#window.bytes.set(packed);
  }

  #apply(sign: 1 | -1): void {
    if (++this.#pending >= additionsMax) this.#reduce();
    addUnpacked(this.#sums, this.#window.words, sign);
    this.#count += sign;
  }

  #reduce(): void {
    const padded = paddedCount(this.#parameters);
    for (const [r, prime] of this.#parameters.primes.entries()) {
      const inverse = 1 / prime;
      for (let i = r * padded; i < (r + 1) * padded; i++) {
        const sum = this.#sums[i]!;
        this.#sums[i] = sum - prime * (sum * inverse + roundingUnit - roundingUnit);
      }
    }
    this.#pending = 1;
  }
}

/** WRONG_CIPHERTEXT_PARAMETERS unless `packed` has the one length that fits the parameters. */
export function ensurePacked(parameters: LongParameters, packed: Uint8Array): void {
  ensure(
    packed.length === parameters.packedBytes,
    'WRONG_CIPHERTEXT_PARAMETERS',
    `a packed long ciphertext has ${parameters.packedBytes} bytes under these parameters, not ${packed.length}`,
  );
}

/** Checks shared by all engines: lengths, and a cohort that the parameters were made for. */
export function ensureOpenInput(parameters: LongParameters, input: OpenInput): void {
  ensureLongParameters(parameters);
  ensurePacked(parameters, input.sums);
  ensureVector(input.secretSum.length, parameters.polyDegree, 'the sum of secrets');
  ensure(
    Number.isSafeInteger(input.cohort) && input.cohort >= 1 && input.cohort <= parameters.clients,
    'FIELD_OUT_OF_RANGE',
    `a cohort has 1 to ${parameters.clients} clients under these parameters`,
  );
}

function open(parameters: LongParameters, input: OpenInput): Int32Array {
  ensureOpenInput(parameters, input);
  const { polyDegree, primes, coefficientCount, slotsPerCoefficient } = parameters;
  const decoder = new SlotDecoder(parameters);
  const packed = new PackedBuffer(parameters);
  packed.bytes.set(input.sums);
  const sums = new Float64Array(blockResidues * blockCount(parameters.packedBytes));
  addUnpacked(sums, packed.words, 1);
  // Everything is multiplied by the decoder's factor here, where it costs least.
  const secrets = primes.map((prime, r) => {
    const { degreeInverse, inverse } = transformFor(polyDegree, prime);
    const factor = centre(decoder.factors[r]!, prime, inverse);
    return smallToNtt(
      input.secretSum,
      centre(centre(degreeInverse, prime, inverse) * factor, prime, inverse),
      polyDegree,
      prime,
    );
  });
  const slots = new Int32Array(parameters.slotCount);
  const stride = Math.min(polyDegree, coefficientCount);
  const scaled = new Float64Array(stride * primes.length);
  const product = new Float64Array(polyDegree);
  let failures = 0;
  for (let polynomial = 0; polynomial < parameters.polynomialCount; polynomial++) {
    const first = polynomial * polyDegree;
    const count = Math.min(polyDegree, coefficientCount - first);
    for (const [r, prime] of primes.entries()) {
      expandA(input.aSeed, polynomial, r, prime, product);
      multiplyByA(product, secrets[r]!, prime);
      const inverse = 1 / prime;
      const factor = centre(decoder.factors[r]!, prime, inverse);
      const at = r * paddedCount(parameters) + first;
      for (let i = 0; i < count; i++) {
        scaled[r * stride + i] = centre(sums[at + i]! * factor - product[i]!, prime, inverse);
      }
    }
    failures += decoder.decode(scaled, stride, count, slots, first * slotsPerCoefficient, input.cohort);
  }
  ensureOpened(failures, parameters);
  return slots;
}

export const typescriptEngine: LongEngine = {
  name: 'typescript',
  scan: scanTable,
  seal,
  folder: (parameters) => new TypescriptFolder(parameters),
  open,
};
