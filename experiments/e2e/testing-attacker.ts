/**
 * What an attacker of the key test computes with what it holds, below the interfaces that would refuse it: products of
 * a share without flooding or mask, decoding without the noise check, and a statistic that says whether the outcome
 * tells anything about a victim.
 *
 * For *.test.ts here only.
 */
import { loadedCipher } from '../../crypto/he/bfv.ts';
import { addMask, lagrangeAtZero } from '../../crypto/he/partial.ts';
import { decodeShare, encodeShare, type KeyShare } from '../../crypto/he/share.ts';
import { addInto, multiply } from '../../crypto/ring/modulus.ts';
import { pack, unpack } from '../../crypto/ring/packing.ts';

const residuesOf = (bytes: Uint8Array, digitCount: number) =>
  unpack(bytes, loadedCipher().layouts.opened(digitCount), 'INTERNAL', 'c0 or partial');

/** Σ of packed c0 and partials, as residues. One polynomial only. */
function addAll(parts: readonly Uint8Array[], digitCount: number): Float64Array {
  const { layouts } = loadedCipher();
  const { moduli, segments } = layouts.opened(digitCount);
  const sum = new Float64Array(moduli.length * segments[0]!);
  for (const part of parts) addInto(sum, residuesOf(part, digitCount), moduli, segments[0]!);
  return sum;
}

/** The first `kept` coefficients of a packed c0 part. */
export function shorten(c0: Uint8Array, digitCount: number, kept: number): Uint8Array {
  const { layouts } = loadedCipher();
  const residues = residuesOf(c0, digitCount);
  const [length] = layouts.opened(digitCount).segments;
  const layout = layouts.opened(kept);
  const out = new Float64Array(layout.moduli.length * kept);
  for (let block = 0; block < layout.moduli.length; block++)
    out.set(residues.subarray(block * length!, block * length! + kept), block * kept);
  return pack(out, layout);
}

/** a − b of two packed c0 parts. */
export function subtract(a: Uint8Array, b: Uint8Array, digitCount: number): Uint8Array {
  const layout = loadedCipher().layouts.opened(digitCount);
  const [length] = layout.segments;
  const negative = residuesOf(b, digitCount).map((residue, i) =>
    residue === 0 ? 0 : layout.moduli[Math.floor(i / length!)]!.prime - residue,
  );
  const sum = residuesOf(a, digitCount);
  addInto(sum, negative, layout.moduli, length!);
  return pack(sum, layout);
}

/** −c1, well formed to look at. */
export function negated(c1: Uint8Array, digitCount: number): Uint8Array {
  const layout = loadedCipher().layouts.whole(digitCount);
  const residues = unpack(c1, layout, 'INTERNAL', 'c1');
  const n = residues.length / layout.moduli.length;
  return pack(
    residues.map((residue, i) => (residue === 0 ? 0 : layout.moduli[Math.floor(i / n)]!.prime - residue)),
    layout,
  );
}

/** λ_j·s_j·c1 exactly: no flooding, no mask. What a corrupt holder computes for itself. */
export function exactProduct(
  shareBytes: Uint8Array,
  activeSet: readonly number[],
  c1: Uint8Array,
  digitCount: number,
): Uint8Array {
  const { layouts, engines } = loadedCipher();
  const share = decodeShare(shareBytes, layouts);
  const n = share.element.length / layouts.dataModuli.length;
  const secret = share.element.map((residue, i) => {
    const modulus = layouts.dataModuli[Math.floor(i / n)]!;
    return multiply(lagrangeAtZero(share.holderIndex, activeSet, modulus), residue, modulus);
  });
  using multiplier = engines.data.multiplier(secret);
  const product = multiplier.multiplyPolynomial(unpack(c1, layouts.whole(digitCount), 'INTERNAL', 'c1'));
  const opened = layouts.opened(digitCount);
  const [length] = opened.segments;
  const kept = new Float64Array(opened.moduli.length * length!);
  for (let block = 0; block < opened.moduli.length; block++)
    kept.set(product.subarray(block * n, block * n + length!), block * length!);
  return pack(kept, opened);
}

/** Another holder's partial decryption for the pair {own, other}, freed of the mask that the two share. */
export function withoutMask(
  partial: Uint8Array,
  ownShare: Uint8Array,
  activeSet: readonly number[],
  c1Sum: Uint8Array,
  digitCount: number,
): Uint8Array {
  const { layouts } = loadedCipher();
  const share = decodeShare(ownShare, layouts);
  const residues = residuesOf(partial, digitCount);
  const holderIndex = share.holderIndex;
  // The two masks cancel: adding the own one takes the other's away.
  const input = { share: ownShare, c1Sum, digitCount, holderIndex, activeSet };
  addMask(residues, layouts.opened(digitCount), share, input, activeSet);
  return pack(residues, layouts.opened(digitCount));
}

/** A made-up share of holder `holderIndex` in the committee of `own`. */
export function guessedShare(own: Uint8Array, holderIndex: number, guess: 'zeros' | 'the same'): Uint8Array {
  const { layouts } = loadedCipher();
  const share: KeyShare = decodeShare(own, layouts);
  const element = guess === 'zeros' ? new Float64Array(share.element.length) : share.element;
  return encodeShare({ ...share, holderIndex, element }, layouts);
}

/** Digits of c0 + Σ addends whatever their noise: `open` without its check. */
export function decodeAnyway(c0: Uint8Array, addends: readonly Uint8Array[], digitCount: number): Int32Array {
  const { layouts, parameters } = loadedCipher();
  const [first, second] = layouts.dataModuli.map(({ prime }) => BigInt(prime));
  const [q, t] = [first! * second!, BigInt(parameters.plainModulus)];
  const sum = addAll([c0, ...addends], digitCount);
  const { segments } = layouts.opened(digitCount);
  const inverse = powerModulo(first! % second!, second! - 2n, second!);
  return Int32Array.from({ length: digitCount }, (_, i) => {
    const [x1, x2] = [BigInt(sum[i]!), BigInt(sum[segments[0]! + i]!)];
    const x = x1 + first! * (((((x2 - x1) * inverse) % second!) + second!) % second!);
    const digit = ((2n * t * x + q) / (2n * q)) % t;
    return Number(digit >= t / 2n ? digit - t : digit);
  });
}

function powerModulo(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (let b = base, e = exponent; e > 0n; e >>= 1n, b = (b * b) % modulus)
    if (e & 1n) result = (result * b) % modulus;
  return result;
}

export interface Exposure {
  /** Digits that agree with the target's. */
  readonly matches: number;
  /** Mean of |guess − target| around the circle of t values, as a fraction of the largest; 1/2 for a uniform guess. */
  readonly meanDistance: number;
  /** χ² of the guesses over 16 equal bins of t; 15 degrees of freedom. */
  readonly chiSquare: number;
  /** Pearson correlation with the target's digits. */
  readonly correlation: number;
}

/** `t`: the modulus of the guesses. */
export function exposure(guess: Int32Array, target: Int32Array, t: number): Exposure {
  const count = target.length;
  const bins = new Array<number>(16).fill(0);
  let matches = 0;
  let distance = 0;
  for (const [i, digit] of guess.entries()) {
    if (digit === target[i]) matches++;
    const apart = Math.abs(digit - target[i]!) % t;
    distance += Math.min(apart, t - apart) / (t / 2);
    bins[Math.floor(((digit + t / 2) * 16) / t)]!++;
  }
  const expected = count / 16;
  return {
    matches,
    meanDistance: distance / count,
    chiSquare: bins.reduce((sum, seen) => sum + (seen - expected) ** 2 / expected, 0),
    correlation: correlationOf(guess, target),
  };
}

function correlationOf(a: Int32Array, b: Int32Array): number {
  const mean = (v: Int32Array) => v.reduce((sum, x) => sum + x, 0) / v.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (const [i, x] of a.entries()) {
    const [da, db] = [x - meanA, b[i]! - meanB];
    ab += da * db;
    aa += da * da;
    bb += db * db;
  }
  return ab / Math.sqrt(aa * bb);
}

/**
 * Why the guess is not noise, or null. A uniform guess fails one of the four with probability below 1e-5 (n ≥ 64):
 * matches above 3 at a mean of n/2^15; six standard deviations of a mean and of a correlation; χ²(15) above 66.
 */
export function whyExposed(
  guess: Int32Array,
  target: Int32Array,
  modulus = loadedCipher().parameters.plainModulus,
): string | null {
  const { matches, meanDistance, chiSquare, correlation } = exposure(guess, target, modulus);
  const count = target.length;
  if (matches > 3) return `${matches} of ${count} digits are the target's`;
  if (Math.abs(meanDistance - 0.5) > 6 / Math.sqrt(12 * count)) return `mean distance ${meanDistance}`;
  if (chiSquare > 66) return `guesses are not uniform: χ² ${chiSquare}`;
  if (Math.abs(correlation) > 6 / Math.sqrt(count)) return `correlation ${correlation}`;
  return null;
}
