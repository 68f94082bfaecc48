/**
 * Exact discrete Gaussians: N_Z(0, 3.2²) for RLWE errors and N_Z(0, (2^k)²), k ≈ 59, to flood partial decryptions.
 *
 * After Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy" (NeurIPS 2020), algorithms 1–3:
 * a discrete Laplace proposal, accepted with probability exp(−(|y| − σ²/t)²/(2σ²)), every coin tossed exactly with
 * integers. A double rounded at 2^59 would leave the low 7 bits of the flooding bare; here the value is two limbs of
 * uniform bits and is never rounded. Not constant-time. Trusts: the RandomSource.
 * May be called by: crypto/he, crypto/secagg.
 */
import { ensure } from '../error.ts';
import type { RandomSource } from '../random.ts';
import { type Modulus, multiply, reduce, residueOf } from './modulus.ts';
import { BitReader } from './sampling.ts';

/** σ of the RLWE error, the value the 2024 guideline tables are computed for (rounded up to 16/5). */
export const errorSigma = 3.2;

/** A coin with probability exp(−numerator/denominator), integers, 0 ≤ numerator (CKS algorithm 1). */
function expCoin(reader: BitReader, numerator: number, denominator: number): boolean {
  let rest = numerator;
  for (; rest > denominator; rest -= denominator) if (!expCoinBelowOne(reader, 1, 1)) return false;
  return expCoinBelowOne(reader, rest, denominator);
}

function expCoinBelowOne(reader: BitReader, numerator: number, denominator: number): boolean {
  let k = 1;
  while (reader.below(denominator * k) < numerator) k++;
  return (k & 1) === 1;
}

/** `length` independent samples of N_Z(0, 3.2²). */
export function errorSamples(length: number, source: RandomSource): Int32Array {
  const reader = new BitReader(source);
  const out = new Int32Array(length);
  for (let i = 0; i < length; ) {
    // Discrete Laplace of scale t = ⌊σ⌋ + 1 = 4.
    const low = reader.below(4);
    if (!expCoinBelowOne(reader, low, 4)) continue;
    let magnitude = low;
    while (expCoinBelowOne(reader, 1, 1)) magnitude += 4;
    const negative = reader.bit() === 1;
    if (negative && magnitude === 0) continue;
    // σ² = 256/25, t = 4: (|y| − 64/25)² / (512/25) = (25|y| − 64)² / 12800.
    const distance = 25 * magnitude - 64;
    if (expCoin(reader, distance * distance, 12_800)) out[i++] = negative ? -magnitude : magnitude;
  }
  reader.wipe();
  return out;
}

const highBits = 30;

/** One flooding sample: ±(whole · 2^k + high · 2^(k−30) + low) with 30-bit `high` and (k−30)-bit `low`. */
export interface FloodSample {
  negative: boolean;
  whole: number;
  high: number;
  low: number;
}

/**
 * Samples N_Z(0, σ²) with σ = 2^sigmaBits by CKS with t = σ. With |y| = σ·(v + u), v geometric and u a uniform
 * k-bit fraction, the acceptance exponent is (v + u − 1)²/2 = m²/2 + m·w + w²/2, so the only coins needed have
 * probability 1/integer or w, and a w-coin compares k fresh bits with those of u, high limb first.
 */
export class FloodSampler {
  readonly sigmaBits: number;
  readonly #lowBits: number;
  readonly #reader: BitReader;
  #high = 0;
  #low = 0;

  constructor(sigmaBits: number, source: RandomSource) {
    ensure(
      sigmaBits > highBits && sigmaBits <= 62,
      'PARAMETER_UNSAFE',
      'flooding sigma must be 2^31 to 2^62',
    );
    this.sigmaBits = sigmaBits;
    this.#lowBits = sigmaBits - highBits;
    this.#reader = new BitReader(source);
  }

  next(): FloodSample {
    const reader = this.#reader;
    for (;;) {
      this.#high = reader.bits(highBits);
      this.#low = reader.bits(this.#lowBits);
      if (!this.#expFractionCoin()) continue;
      let whole = 0;
      while (expCoinBelowOne(reader, 1, 1)) whole++;
      const negative = reader.bit() === 1;
      if (negative && whole === 0 && this.#high === 0 && this.#low === 0) continue;
      if (this.#accept(whole)) return { negative, whole, high: this.#high, low: this.#low };
    }
  }

  /** Probability u. */
  #fractionCoin(): boolean {
    const high = this.#reader.bits(highBits);
    if (high !== this.#high) return high < this.#high;
    return this.#reader.bits(this.#lowBits) < this.#low;
  }

  /** Probability exp(−u). */
  #expFractionCoin(): boolean {
    let k = 1;
    while (this.#reader.below(k) === 0 && this.#fractionCoin()) k++;
    return (k & 1) === 1;
  }

  /** Probability exp(−(whole + u − 1)²/2). */
  #accept(whole: number): boolean {
    // whole = 0: distance w = 1 − u, and a (1 − u)-coin is a u-coin that fails. Else m = whole − 1 and w = u.
    const complement = whole === 0;
    const m = complement ? 0 : whole - 1;
    if (m > 0) {
      for (let i = 0; i < m * m; i++) if (!expCoinBelowOne(this.#reader, 1, 2)) return false;
      for (let i = 0; i < m; i++) if (!this.#expFractionCoin()) return false;
    }
    let k = 1;
    while (
      this.#reader.below(2 * k) === 0 &&
      this.#fractionCoin() !== complement &&
      this.#fractionCoin() !== complement
    ) {
      k++;
    }
    return (k & 1) === 1;
  }

  wipe(): void {
    this.#reader.wipe();
    this.#high = 0;
    this.#low = 0;
  }
}

/** The integer a sample stands for. */
export function floodValue(sample: FloodSample, sigmaBits: number): bigint {
  const fraction = (BigInt(sample.high) << BigInt(sigmaBits - highBits)) | BigInt(sample.low);
  const magnitude = (BigInt(sample.whole) << BigInt(sigmaBits)) | fraction;
  return sample.negative ? -magnitude : magnitude;
}

/** `length` fresh samples as residues of each modulus in turn (the same integers under every modulus). */
export function floodResidues(
  sigmaBits: number,
  moduli: readonly Modulus[],
  length: number,
  source: RandomSource,
): Float64Array {
  const sampler = new FloodSampler(sigmaBits, source);
  const wholeUnits = moduli.map((modulus) => residueOf(1n << BigInt(sigmaBits), modulus));
  const highUnits = moduli.map((modulus) => residueOf(1n << BigInt(sigmaBits - highBits), modulus));
  const out = new Float64Array(moduli.length * length);
  for (let i = 0; i < length; i++) {
    const sample = sampler.next();
    for (const [j, modulus] of moduli.entries()) {
      // low < 2^32 and the two products are residues: the sum stays far below 2^53.
      const magnitude = reduce(
        multiply(wholeUnits[j]!, sample.whole, modulus) +
          multiply(highUnits[j]!, sample.high, modulus) +
          sample.low,
        modulus,
      );
      out[j * length + i] = sample.negative && magnitude !== 0 ? modulus.prime - magnitude : magnitude;
    }
  }
  sampler.wipe();
  return out;
}
