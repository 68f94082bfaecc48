/**
 * The discrete Gaussian N_Z(0, σ²) of σ ≤ 8 for one-time keys and errors, by a full scan of a cumulative table.
 *
 * |x| is the number of table entries T_k = ⌊2^93·P(|X| ≤ k)⌋ that 93 uniform bits reach or exceed; the sign is one more
 * bit. Every sample costs the same scan: three subtractions with borrow per entry, no branch, no index and no early
 * exit that depends on randomness. Frankly: JavaScript promises no timing at all, an optimiser may undo this and a
 * garbage collector may keep copies. The scan removes what is under our control.
 * The table ends where less than 2^−93 of |X| is left (|x| ≤ 12σ, well within int8); that cut and the rounding of the
 * entries together change the distribution by less than (entries + 1)·2^−93 < 2^−86 in total variation per sample.
 * Table entries are computed in integers of 256 fraction bits. This is lattice noise; differential privacy draws from
 * crypto/dp. Trusts: its RandomSource. May be called by: crypto/secagg/long.
 */
import { ensure } from '../../error.ts';
import type { RandomSource } from '../../random.ts';
import type { GaussianScan } from './engine.ts';
import { sigma256Max } from './parameters.ts';

const fractionBits = 256n;
const one = 1n << fractionBits;
const tableBits = 93n;
const limbMask = (1n << 31n) - 1n;

/** exp(−numerator/denominator) with 256 fraction bits, 0 ≤ numerator ≤ denominator·64. Error below 2^−240. */
function expNegative(numerator: bigint, denominator: bigint): bigint {
  // Halve the argument until it is below 1/4, sum the series, square back.
  let halvings = 0n;
  while (numerator * 4n > denominator << halvings) halvings++;
  const x = (numerator << fractionBits) / (denominator << halvings);
  let term = one;
  let sum = one;
  for (let i = 1n; term !== 0n; i++) {
    term = (term * x) / (one * i);
    sum += i % 2n === 1n ? -term : term;
  }
  for (let i = 0n; i < halvings; i++) sum = (sum * sum) >> fractionBits;
  return sum;
}

/** T_0 … T_(K−1) as bigints: ⌊2^93·P(|X| ≤ k)⌋, up to the last one below 2^93 − 1. */
export function cumulativeTable(sigma256: number): bigint[] {
  ensure(
    Number.isSafeInteger(sigma256) && sigma256 >= 128 && sigma256 <= sigma256Max,
    'PARAMETER_UNSAFE',
    `256·sigma must be an integer from 128 to ${sigma256Max}, got ${sigma256}`,
  );
  // exp(−k²/(2σ²)) with σ = sigma256/256.
  const denominator = BigInt(sigma256) ** 2n;
  const weights: bigint[] = [];
  for (let k = 0n; k <= BigInt(Math.ceil((16 * sigma256) / 256)); k++) {
    // e^−128 = 2^−184 at 16σ: what lies beyond is far below the table's last bit.
    weights.push(expNegative(k * k * 32_768n, denominator));
  }
  let total = 0n;
  for (const [k, weight] of weights.entries()) total += k === 0 ? weight : 2n * weight;
  const table: bigint[] = [];
  let below = 0n;
  for (const [k, weight] of weights.entries()) {
    below += k === 0 ? weight : 2n * weight;
    const entry = (below << tableBits) / total;
    if (entry >= (1n << tableBits) - 1n) break;
    table.push(entry);
  }
  return table;
}

/** Limbs of 31 bits, lowest first, entry after entry. */
const tables = new Map<number, Int32Array>();

function tableFor(sigma256: number): Int32Array {
  let limbs = tables.get(sigma256);
  if (limbs === undefined) {
    const entries = cumulativeTable(sigma256);
    limbs = new Int32Array(3 * entries.length);
    for (const [k, entry] of entries.entries()) {
      for (let l = 0; l < 3; l++) limbs[3 * k + l] = Number((entry >> BigInt(31 * l)) & limbMask);
    }
    // σ depends on a plan's cohort, so a process sees few of them; the cap is for the one that does not.
    if (tables.size >= 64) tables.clear();
    tables.set(sigma256, limbs);
  }
  return limbs;
}

/** Samples drawn at once; the buffer of their random words is overwritten afterwards. */
const batch = 2048;

/**
 * `count` independent samples of N_Z(0, (sigma256/256)²), |x| ≤ 12σ. Cost: 12 random bytes and one scan each. `scan`:
 * the engine's, where there is one.
 */
export function sampleSmallGaussian(
  sigma256: number,
  count: number,
  random: RandomSource,
  scan: GaussianScan = scanTable,
): Int8Array {
  const table = tableFor(sigma256);
  const out = new Int8Array(count);
  const words = new Int32Array(3 * batch);
  for (let done = 0; done < count; done += batch) {
    random.fill(new Uint8Array(words.buffer));
    scan(table, words, out.subarray(done, Math.min(done + batch, count)));
  }
  words.fill(0);
  return out;
}

/** The plain loop. */
export function scanTable(table: Int32Array, words: Int32Array, out: Int8Array): void {
  for (let i = 0; i < out.length; i++) {
    const low = words[3 * i]! & 0x7fff_ffff;
    const middle = words[3 * i + 1]! & 0x7fff_ffff;
    const high = words[3 * i + 2]! & 0x7fff_ffff;
    const sign = words[3 * i]! >> 31;
    let below = 0;
    for (let k = 0; k < table.length; k += 3) {
      const borrowLow = ((low - table[k]!) | 0) >>> 31;
      const borrowMiddle = ((middle - table[k + 1]! - borrowLow) | 0) >>> 31;
      below += ((high - table[k + 2]! - borrowMiddle) | 0) >>> 31;
    }
    const magnitude = table.length / 3 - below;
    out[i] = (magnitude ^ sign) - sign;
  }
}
