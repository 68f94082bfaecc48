/**
 * From residues back to slots: the Chinese remainder theorem, then digits of b bits, per coefficient.
 *
 * x = Σ_j X_j·2^(b·j) + 2^(p·b)·E, centred modulo q, is Σ_i y_i·(q/p_i) − α·q with y_i = x_i·(q/p_i)^−1 mod p_i and
 * α = ⌊Σ y_i/p_i⌉. The rounding can only go wrong where |x| is within 2^−40 of q/2; then E, right or wrong, is far
 * out of its bound. Everything is done in 22-bit limbs held in doubles: with y_i centred, |y_i| ≤ 2^25 and at most 16
 * primes, no sum of products reaches 2^52. Sums are public by then: no constant-time concern.
 * Trusts: residues from its engine. May be called by: crypto/secagg/long, crypto/kernels.
 */
import { PulsefoldError } from '../../error.ts';
import { invertModulo } from './ntt.ts';
import { type LongParameters, longModulus, openingErrorMax } from './parameters.ts';

const limbBits = 22;
const limbUnit = 2 ** limbBits;
/** 1.5·2^52, see ntt.ts. */
const roundingUnit = 6_755_399_441_055_744;

function limbsOf(value: bigint, count: number): Float64Array {
  const out = new Float64Array(count);
  for (let i = 0, rest = value; i < count; i++, rest >>= BigInt(limbBits)) {
    out[i] = Number(rest & BigInt(limbUnit - 1));
  }
  return out;
}

export class SlotDecoder {
  /** (q/p_i)^−1 modulo p_i: residues are multiplied by it before `decode`. */
  readonly factors: readonly number[];
  readonly #parameters: LongParameters;
  readonly #limbCount: number;
  /** Limbs of q/p_i, one prime after the other. */
  readonly #cofactors: Float64Array;
  readonly #modulus: Float64Array;
  /** Σ_j 2^(b−1)·2^(b·j): added first, it makes every digit non-negative, which settles all borrows at once. */
  readonly #offset: Float64Array;
  readonly #inverses: Float64Array;

  constructor(parameters: LongParameters) {
    const { primes, slotBits, slotsPerCoefficient } = parameters;
    const modulus = longModulus(parameters);
    const bits = modulus.toString(2).length;
    // One bit for the sign, one for the offset.
    this.#limbCount = Math.ceil((bits + 2) / limbBits);
    this.#parameters = parameters;
    this.#cofactors = new Float64Array(primes.length * this.#limbCount);
    this.factors = primes.map((prime, i) => {
      const cofactor = modulus / BigInt(prime);
      this.#cofactors.set(limbsOf(cofactor, this.#limbCount), i * this.#limbCount);
      return invertModulo(Number(cofactor % BigInt(prime)), prime);
    });
    this.#modulus = limbsOf(modulus, this.#limbCount);
    this.#inverses = Float64Array.from(primes, (prime) => 1 / prime);
    let offset = 0n;
    for (let j = 0; j < slotsPerCoefficient; j++) offset |= 1n << BigInt(slotBits * j + slotBits - 1);
    this.#offset = limbsOf(offset, this.#limbCount);
  }

  /**
   * Slots of `count` coefficients into `slots` from `at` on (what would lie beyond its end is padding). `scaled`:
   * for each prime `stride` centred residues, already times `factors`. Returns how many coefficients had an error
   * beyond the bound of `cohort`; their slots mean nothing.
   */
  decode(
    scaled: Float64Array,
    stride: number,
    count: number,
    slots: Int32Array,
    at: number,
    cohort: number,
  ): number {
    const limbCount = this.#limbCount;
    const primeCount = this.#inverses.length;
    const limbs = new Float64Array(limbCount);
    const errorMax = openingErrorMax(this.#parameters, cohort);
    let failures = 0;
    for (let i = 0; i < count; i++) {
      let quotient = 0;
      limbs.set(this.#offset);
      for (let r = 0; r < primeCount; r++) {
        const y = scaled[r * stride + i]!;
        quotient += y * this.#inverses[r]!;
        const base = r * limbCount;
        for (let l = 0; l < limbCount; l++) limbs[l]! += y * this.#cofactors[base + l]!;
      }
      quotient = quotient + roundingUnit - roundingUnit;
      let carry = 0;
      for (let l = 0; l < limbCount; l++) {
        const value = limbs[l]! - quotient * this.#modulus[l]! + carry;
        carry = Math.floor(value / limbUnit);
        limbs[l] = value - carry * limbUnit;
      }
      // The last carry is the sign: 0 or −1.
      const error = this.#split(limbs, carry, slots, at + i * this.#parameters.slotsPerCoefficient);
      if (Math.abs(error) > errorMax) failures++;
    }
    return failures;
  }

  /** Writes the slots of one coefficient and returns its E, exact wherever it is below 2^53. */
  #split(limbs: Float64Array, sign: number, slots: Int32Array, at: number): number {
    const { slotBits, slotsPerCoefficient } = this.#parameters;
    const unit = 2 ** slotBits;
    const half = unit / 2;
    const end = Math.min(slotsPerCoefficient, slots.length - at);
    let pool = 0;
    let poolBits = 0;
    let limb = 0;
    for (let j = 0; j < slotsPerCoefficient; j++) {
      // pool < 2^31 before a limb joins it, so it stays below 2^53.
      for (; poolBits < slotBits; poolBits += limbBits) {
        pool += (limbs[limb++] ?? 0) * 2 ** poolBits;
      }
      const rest = Math.floor(pool / unit);
      if (j < end) slots[at + j] = pool - rest * unit - half;
      pool = rest;
      poolBits -= slotBits;
    }
    let error = sign;
    for (let l = limbs.length - 1; l >= limb; l--) error = error * limbUnit + limbs[l]!;
    return error * 2 ** poolBits + pool;
  }
}

/** Throws OPENING_FAILED where `decode` counted failures. The message names causes, never values. */
export function ensureOpened(failures: number, parameters: LongParameters): void {
  if (failures === 0) return;
  throw new PulsefoldError(
    'OPENING_FAILED',
    `${failures} of ${parameters.coefficientCount} coefficients do not open: the key sum is not that of the folded ` +
      'uploads, a client sealed for another configuration, or an upload was malformed',
  );
}
