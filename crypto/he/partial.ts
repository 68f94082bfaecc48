/**
 * A holder's partial decryption of a sum, and the opening of the sum from the partials of one active set.
 *
 * partial_j = λ_j·s_j·c1 + flooding_j + mask_j, where Σ_S λ_j·s_j = s. The Lagrange factor comes first, so that
 * flooding is not multiplied by a residue of 80 bits (Mouchet et al. 2021).
 *
 * Why the masks: let a corrupt holder c be *outside* the active set {j, k}. Its own share ties s_j to s,
 * s_j = s·(c−j)/c + s_c·j/c, so partial_j alone would show μ·noise + flooding_j mod q with
 * μ = λ_j·(c−j)/c, a fraction; multiplying by its denominator (8, say) shows the noise of the ciphertexts modulo 8,
 * whatever the width of the flooding. Masks that the active set shares pairwise and that cancel in the sum leave
 * only Σ partial_j = s·c1 + Σ flooding visible, for which smudging is proven. They are bound to (key, active set,
 * c1 sum), so holders who added different cohorts produce an unopenable sum.
 *
 * Trusts: that clients' c1 are well formed (threat model of `bfv`), that the caller decrypts only its own certified
 * sum and stores one partial per (certificate, active set). May be called by: crypto/he, crypto/secagg.
 */
import { createHash } from 'node:crypto';
import { transcript } from '../bytes.ts';
import { ensure, PulsefoldError } from '../error.ts';
import type { RandomSource } from '../random.ts';
import { floodResidues } from '../ring/gaussian.ts';
import { addInto, invert, type Modulus, multiply, type Residues, reduce } from '../ring/modulus.ts';
import { type PackedLayout, pack, unpack } from '../ring/packing.ts';
import { uniformResidues, XofStream } from '../ring/sampling.ts';
import type { BfvLayouts } from './layout.ts';
import {
  assertCorrectness,
  type BfvParameters,
  holderCountMax,
  openingNoiseMax,
  sumOpening,
} from './parameters.ts';
import type { RingEngine } from './seal.ts';
import { decodeShare, type KeyShare } from './share.ts';

export interface PartialInput {
  readonly share: Uint8Array;
  readonly c1Sum: Uint8Array;
  readonly digitCount: number;
  readonly holderIndex: number;
  readonly activeSet: readonly number[];
}

/** λ_j(0) for the points `activeSet`, modulo one prime. */
export function lagrangeAtZero(holderIndex: number, activeSet: readonly number[], modulus: Modulus): number {
  let numerator = 1;
  let denominator = 1;
  for (const other of activeSet) {
    if (other === holderIndex) continue;
    numerator = multiply(numerator, other, modulus);
    const difference = other - holderIndex;
    denominator = multiply(denominator, difference < 0 ? modulus.prime + difference : difference, modulus);
  }
  return multiply(numerator, invert(denominator, modulus), modulus);
}

/** The active set in ascending order; throws FIELD_OUT_OF_RANGE unless it is one `share` may decrypt with. */
function checkActiveSet(activeSet: readonly number[], share: KeyShare): number[] {
  const sorted = [...activeSet].sort((a, b) => a - b);
  const valid = sorted.every(
    (index, at) =>
      Number.isInteger(index) && index >= 1 && index <= share.holderCount && index !== sorted[at - 1],
  );
  ensure(valid, 'FIELD_OUT_OF_RANGE', 'the active set must name distinct holders of the committee');
  ensure(
    sorted.length >= share.threshold,
    'QUORUM_NOT_REACHED',
    `an opening takes ${share.threshold} holders`,
  );
  ensure(sorted.includes(share.holderIndex), 'FIELD_OUT_OF_RANGE', 'this holder is not in the active set');
  return sorted;
}

/** λ_j · s_j, NTT form. */
function scaledShare(share: KeyShare, activeSet: readonly number[], moduli: readonly Modulus[]): Residues {
  const length = share.element.length / moduli.length;
  const out = new Float64Array(share.element.length);
  for (const [block, modulus] of moduli.entries()) {
    const factor = lagrangeAtZero(share.holderIndex, activeSet, modulus);
    for (let i = block * length; i < (block + 1) * length; i++)
      out[i] = multiply(factor, share.element[i]!, modulus);
  }
  return out;
}

/** Adds to `partial` this holder's zero-sum mask for (key, active set, c1 sum); `label` by kind of opening. */
export function addMask(
  partial: Residues,
  { moduli, segments }: PackedLayout,
  share: KeyShare,
  input: PartialInput,
  activeSet: readonly number[],
  label = 'partial-mask',
): void {
  const sumDigest = createHash('sha256').update(input.c1Sum).digest();
  const binding = [share.keyId, input.digitCount, Uint8Array.from(activeSet), sumDigest];
  for (const other of activeSet) {
    if (other === share.holderIndex) continue;
    const stream = new XofStream(transcript(label, share.pairKeys[other - 1]!, ...binding));
    let at = 0;
    for (const length of segments) {
      const mask = uniformResidues(moduli, length, stream);
      if (other < share.holderIndex) negate(mask, moduli, length);
      addInto(partial.subarray(at, at + mask.length), mask, moduli, length);
      at += mask.length;
    }
  }
}

function negate(residues: Residues, moduli: readonly Modulus[], length: number): void {
  for (let i = 0; i < residues.length; i++) {
    if (residues[i] !== 0) residues[i] = moduli[Math.floor(i / length)]!.prime - residues[i]!;
  }
}

/** `length` coefficients of each modulus' block of n: every `stride`-th one from the first on. */
export function selectCoefficients(polynomial: Residues, n: number, length: number, stride = 1): Residues {
  if (length === n) return polynomial;
  const blocks = polynomial.length / n;
  const out = new Float64Array(blocks * length);
  for (let block = 0; block < blocks; block++) {
    for (let i = 0; i < length; i++) out[block * length + i] = polynomial[block * n + i * stride]!;
  }
  return out;
}

/** `kind`: a sum, unless the ceremony tests a key. */
export function partialDecrypt(
  parameters: BfvParameters,
  layouts: BfvLayouts,
  ring: RingEngine,
  input: PartialInput,
  random: RandomSource,
  kind = sumOpening(parameters),
): Uint8Array {
  const share = decodeShare(input.share, layouts);
  ensure(
    share.holderIndex === input.holderIndex,
    'FIELD_OUT_OF_RANGE',
    'the share belongs to another holder',
  );
  const activeSet = checkActiveSet(input.activeSet, share);
  assertCorrectness(parameters, activeSet.length, share.holderCount);
  const moduli = layouts.dataModuli;
  const n = parameters.polyDegree;
  const c1 = unpack(
    input.c1Sum,
    layouts.whole(input.digitCount),
    'WRONG_CIPHERTEXT_PARAMETERS',
    'the c1 sum',
  );
  const opened = layouts.opened(input.digitCount);
  const partial = new Float64Array(opened.segments.reduce((sum, length) => sum + length, 0) * moduli.length);
  const secret = scaledShare(share, activeSet, moduli);
  using multiplier = ring.multiplier(secret);
  let at = 0;
  for (const [index, length] of opened.segments.entries()) {
    const polynomial = c1.subarray(index * ring.size, (index + 1) * ring.size);
    ensure(
      polynomial.some((residue) => residue !== 0),
      'WRONG_CIPHERTEXT_PARAMETERS',
      'the c1 sum is zero: nothing was encrypted',
    );
    const product = multiplier.multiplyPolynomial(polynomial);
    const part = selectCoefficients(product, n, length, kind.coefficientStride);
    addInto(part, floodResidues(kind.floodSigmaBits, moduli, length, random), moduli, length);
    partial.set(part, at);
    at += part.length;
  }
  secret.fill(0);
  share.element.fill(0);
  addMask(partial, opened, share, input, activeSet, kind.maskLabel);
  return pack(partial, opened);
}

export interface OpenInput {
  readonly c0Sum: Uint8Array;
  readonly partials: readonly Uint8Array[];
  readonly digitCount: number;
}

const wrongOpening =
  'the partial decryptions do not open this sum: one is wrong, missing, or of another cohort';

/**
 * Digits of the sum, each in [−t/2, t/2). OPENING_FAILED when a coefficient's noise is beyond `openingNoiseMax` or a
 * spare coefficient is not zero: a wrong or missing partial gives uniform coefficients, each of which passes the
 * noise bound with probability about 1/2, so with at least 64 of them it escapes with at most 2^-64.
 */
export function openSum(
  parameters: BfvParameters,
  layouts: BfvLayouts,
  input: OpenInput,
  kind = sumOpening(parameters),
): Int32Array {
  const { partials, digitCount } = input;
  ensure(partials.length >= 1 && partials.length <= holderCountMax, 'OPENING_FAILED', wrongOpening);
  const layout = layouts.opened(digitCount);
  const moduli = layouts.dataModuli;
  const total = unpack(input.c0Sum, layout, 'WRONG_CIPHERTEXT_PARAMETERS', 'the c0 sum');
  for (const bytes of partials) {
    const partial = unpack(bytes, layout, 'WRONG_CIPHERTEXT_PARAMETERS', 'a partial decryption');
    let at = 0;
    for (const length of layout.segments) {
      const end = at + length * moduli.length;
      addInto(total.subarray(at, end), partial.subarray(at, end), moduli, length);
      at = end;
    }
  }
  const noiseMax = openingNoiseMax(parameters, partials.length, holderCountMax, kind);
  const decoder = createDecoder(parameters, moduli, noiseMax);
  const digits = new Int32Array(digitCount);
  let at = 0;
  let index = 0;
  for (const length of layout.segments) {
    for (let i = 0; i < length; i++, index++) {
      const digit = decoder(total[at + i]!, total[at + length + i]!);
      if (digit === undefined || (index >= digitCount && digit !== 0)) {
        throw new PulsefoldError('OPENING_FAILED', wrongOpening);
      }
      if (index < digitCount) digits[index] = digit;
    }
    at += 2 * length;
  }
  return digits;
}

/** ⌊t·x/q⌉ mod t, centred, for x given modulo both primes; undefined when the noise is beyond its bound. */
function createDecoder(parameters: BfvParameters, moduli: readonly Modulus[], noiseMax: number) {
  const [first, second] = [moduli[0]!, moduli[1]!];
  const t = parameters.plainModulus;
  const garner = invert(reduce(first.prime, second), second);
  const deviationMax = (noiseMax / second.prime / first.prime) * t;
  const tHigh = Math.floor(t / 4096);
  const tLow = t - tHigh * 4096;
  return (x1: number, x2: number): number | undefined => {
    // x = x1 + q1·h with 0 ≤ h < q2, so t·x/q = t·h/q2 + t·x1/(q1·q2); t·h = quotient·q2 + rest, exactly.
    const difference = x2 - reduce(x1, second);
    const h = multiply(garner, difference < 0 ? difference + second.prime : difference, second);
    const partHigh = h * tHigh;
    const restHigh = reduce(partHigh, second);
    const partLow = restHigh * 4096 + h * tLow;
    const rest = reduce(partLow, second);
    const quotient =
      Math.round((partHigh - restHigh) / second.prime) * 4096 + Math.round((partLow - rest) / second.prime);
    // A double suffices for the fraction: what lies within 2^-40 of 1/2 is refused anyway.
    const fraction = (rest + (t * x1) / first.prime) / second.prime;
    const rounded = Math.round(fraction);
    if (Math.abs(fraction - rounded) > deviationMax) return undefined;
    const digit = (quotient + rounded) % t;
    return digit >= t / 2 ? digit - t : digit;
  };
}
