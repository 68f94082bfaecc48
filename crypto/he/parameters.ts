/**
 * Parameters of the threshold BFV cipher and the arguments for them, asserted when this module loads.
 *
 * Trusts: nothing. A parameter set that misses a margin cannot be constructed. May be called by: crypto/he,
 * crypto/secagg. Sources: ePrint 2024/463 (security guidelines), Mouchet et al. 2021 (threshold RLWE),
 * SEAL 4.1 (noise of encryption).
 */
import { ensure } from '../error.ts';
import { errorSigma } from '../ring/gaussian.ts';

export interface BfvParameters {
  readonly polyDegree: number;
  readonly dataPrimes: readonly bigint[];
  readonly specialPrime: bigint;
  readonly plainModulus: number;
  /** log2 of the standard deviation of the flooding each holder adds. */
  readonly floodSigmaBits: number;
}

/** Most ciphertexts in one sum; every margin below is computed for it. */
export const contributionsMax = 10_000;
/** Most digits in one vector. */
export const digitCountMax = 2 ** 20;
/** Coefficients opened at least, see `openedCoefficients`. */
export const openedCoefficientsMin = 64;
/** Standard deviations between the expected noise and a wrong opening. */
export const sigmaMargin = 11;
/** Most holders of a committee; keeps the number of active sets, hence the smudging loss, small. */
export const holderCountMax = 10;

/** Largest log2 q for 128-bit security with ternary secrets, ePrint 2024/463, output_max_logQ_tables. */
const logModulusMax: Readonly<Record<number, number>> = {
  1024: 26,
  2048: 53,
  4096: 107,
  8192: 214,
  16384: 431,
};

export function assertLatticeSecurity(parameters: BfvParameters): void {
  const limit = logModulusMax[parameters.polyDegree];
  ensure(limit !== undefined, 'PARAMETER_UNSAFE', `no guideline entry for n = ${parameters.polyDegree}`);
  // The special prime counts: the public key, an RLWE sample, lives modulo the product of all three.
  const product = parameters.dataPrimes.reduce((q, prime) => q * prime, parameters.specialPrime);
  ensure(product < 1n << BigInt(limit), 'PARAMETER_UNSAFE', `log2 q exceeds the 128-bit limit of ${limit}`);
}

/**
 * Standard deviation of the noise of one fresh ciphertext under the sum of `holderCount` ternary keys.
 * SEAL encrypts modulo q·p and divides by p: what remains is the rounding of c0 and c1, uniform in ±1/2, the latter
 * times s, plus the rounding of q·m/t, plus (e·u + e1 + e2·s)/p, which p = 2^26 makes vanish.
 */
export function freshNoiseSigma(parameters: BfvParameters, holderCount: number): number {
  const n = parameters.polyDegree;
  const secretVariance = (2 / 3) * holderCount;
  const rounding = (2 + n * secretVariance) / 12;
  const scaled = errorSigma ** 2 * (1 + n * (2 / 3) * holderCount + n * secretVariance);
  return Math.sqrt(rounding + scaled / Number(parameters.specialPrime) ** 2);
}

const dataModulus = (parameters: BfvParameters): number =>
  Number(parameters.dataPrimes.reduce((q, prime) => q * prime, 1n));

/** The two things that holders open, each with its own flooding, bound, coefficients and masks. */
export interface OpeningKind {
  /** Label of the transcript that zero-sum masks are expanded from. */
  readonly maskLabel: string;
  /** log2 of the standard deviation of the flooding each holder adds. */
  readonly floodSigmaBits: number;
  /** Most ciphertexts in what is opened. */
  readonly contributions: number;
  /** Distance of the opened coefficients of a polynomial: 1 for the first ones. */
  readonly coefficientStride: number;
}

export const sumOpening = (parameters: BfvParameters): OpeningKind => ({
  maskLabel: 'partial-mask',
  floodSigmaBits: parameters.floodSigmaBits,
  contributions: contributionsMax,
  coefficientStride: 1,
});

/** log2 of the flooding of the ceremony's test; why so little: crypto/secagg/ceremony-opening.ts. */
export const testFloodSigmaBits = 47;

/** The test of a new key: one ciphertext, 64 coefficients spread evenly over the ring. */
export const testOpening = (parameters: BfvParameters): OpeningKind => ({
  maskLabel: 'ceremony/test-mask',
  floodSigmaBits: testFloodSigmaBits,
  contributions: 1,
  coefficientStride: parameters.polyDegree / openedCoefficientsMin,
});

/**
 * Largest honest |noise| of an opening: `sigmaMargin` standard deviations of the flooding of the whole active
 * set, √|S|·σ, plus the noise of the ciphertexts added up in the worst case, N times 11 of theirs, so that this part
 * of the bound needs no independence of the clients. `open` refuses what lies beyond.
 */
export function openingNoiseMax(
  parameters: BfvParameters,
  activeSetSize: number,
  holderCount: number,
  kind = sumOpening(parameters),
): number {
  const flooding = sigmaMargin * Math.sqrt(activeSetSize) * 2 ** kind.floodSigmaBits;
  return flooding + kind.contributions * sigmaMargin * freshNoiseSigma(parameters, holderCount);
}

/**
 * Correctness: rounding is right while |noise| < q/(2t), so the bound above must lie below that. An honest opening
 * is then refused, or wrong, with probability below 2^-90 per coefficient (11 sigma of a Gaussian).
 */
export function assertCorrectness(
  parameters: BfvParameters,
  activeSetSize: number,
  holderCount: number,
): void {
  const limit = dataModulus(parameters) / (2 * parameters.plainModulus);
  ensure(
    openingNoiseMax(parameters, activeSetSize, holderCount) < limit,
    'PARAMETER_UNSAFE',
    `flooding by ${activeSetSize} holders leaves less than ${sigmaMargin} sigma to a wrong opening`,
  );
}

export interface SmudgingCase {
  readonly contributions: number;
  readonly holderCount: number;
  readonly threshold: number;
  readonly polynomials: number;
}

function binomial(n: number, k: number): number {
  let result = 1;
  for (let i = 1; i <= k; i++) result = (result * (n - k + i)) / i;
  return Math.round(result);
}

/**
 * −log2 of the statistical distance between the partial decryptions an outsider plus up to threshold − 1 holders
 * see and ones simulated from the opened sum alone (the noise of the ciphertexts, whose exact value would give
 * s = (…)/c1, must stay hidden).
 *
 * Argument: what can be seen is (noise + flooding) per coefficient. Two Gaussians of width σ whose means differ by e
 * have Kullback–Leibler divergence e²/(2σ²); it adds up over independent floodings, so by Pinsker the distance of
 * all of them together is at most ‖e‖/(2σ), with ‖e‖² = coefficients · E[e²]:
 *  - √coefficients: n per polynomial;
 *  - √sets: each active set gets its own flooding over the *same* noise, so all C(n, t) openings can be averaged;
 *  - √t: each of the t partials of a set carries its own flooding and could be looked at by itself. The zero-sum
 *    masks (partial.ts) already hide all but their sum, so this factor is slack, kept in case a mask key leaks.
 * At least one honest holder floods in every set of t > f, so one σ, not √t·σ, is credited.
 */
export function smudgingBits(parameters: BfvParameters, input: SmudgingCase): number {
  const sets = binomial(input.holderCount, input.threshold);
  const noise = freshNoiseSigma(parameters, input.holderCount) * Math.sqrt(input.contributions);
  const coefficients = parameters.polyDegree * input.polynomials;
  const distance = noise * Math.sqrt(coefficients * sets * input.threshold);
  return parameters.floodSigmaBits + 1 - Math.log2(distance);
}

/** −log2 of the distance by which the openings of the ceremony's test differ from simulated ones: the same argument. */
export function testSmudgingBits(parameters: BfvParameters, holderCount: number, threshold: number): number {
  const opened = openedCoefficientsMin * binomial(holderCount, threshold) * threshold;
  const distance = freshNoiseSigma(parameters, holderCount) * Math.sqrt(opened);
  return testFloodSigmaBits + 1 - Math.log2(distance);
}

/**
 * That the test of a key hides its noise, and sees what it is for: the smallest multiple of q in a b_j (invisible
 * modulo q, it adds q/p per coefficient of u) must lie at twice the bound of the test at least.
 */
export function assertKeyTest(
  parameters: BfvParameters,
  holderCount: number,
  threshold: number,
  bitsMin = testSmudgingBitsMin,
): void {
  ensure(
    testSmudgingBits(parameters, holderCount, threshold) >= bitsMin,
    'PARAMETER_UNSAFE',
    `${threshold} of ${holderCount} holders: the test of a key shows its noise to more than 2^-${bitsMin}`,
  );
  const bound = openingNoiseMax(parameters, threshold, holderCount, testOpening(parameters));
  ensure(
    2 * bound <= dataModulus(parameters) / Number(parameters.specialPrime),
    'PARAMETER_UNSAFE',
    `the test of a key of ${threshold} of ${holderCount} holders would overlook a multiple of q`,
  );
}

/** Floor of `testSmudgingBits` for any committee; 2 of 4 has 38. It concerns 64 noise values, once per key. */
export const testSmudgingBitsMin = 34;

/** Floor of `smudgingBits` for any committee; the default one, 2 of 4, has 40 (asserted below). */
export const smudgingBitsMin = 38;

export function assertSmudging(
  parameters: BfvParameters,
  input: SmudgingCase,
  bitsMin = smudgingBitsMin,
): void {
  ensure(
    smudgingBits(parameters, input) >= bitsMin,
    'PARAMETER_UNSAFE',
    `${input.threshold} of ${input.holderCount} holders: flooding hides the noise to less than 2^-${bitsMin}`,
  );
}

/** Polynomials of a vector of `digitCount` digits. */
export function polynomialCount(parameters: BfvParameters, digitCount: number): number {
  ensure(
    Number.isInteger(digitCount) && digitCount >= 1 && digitCount <= digitCountMax,
    'VECTOR_LENGTH_MISMATCH',
    `a vector has 1 to ${digitCountMax} digits`,
  );
  return Math.ceil(digitCount / parameters.polyDegree);
}

/**
 * Coefficients of c0 and of partial decryptions, per polynomial. At least 64 in all: the spare ones must open to
 * zero, so that a wrong or missing partial is noticed even for a single digit (a uniform residue passes the noise
 * bound with probability 1/2 and decodes to zero with 2^-15; a 64-digit vector relies on 2^-64 of the bound alone).
 */
export function openedCoefficients(parameters: BfvParameters, digitCount: number): number[] {
  const polynomials = polynomialCount(parameters, digitCount);
  const last = digitCount - (polynomials - 1) * parameters.polyDegree;
  const lengths = new Array<number>(polynomials).fill(parameters.polyDegree);
  lengths[polynomials - 1] = polynomials === 1 ? Math.max(last, openedCoefficientsMin) : last;
  return lengths;
}

export function defineBfvParameters(parameters: BfvParameters): BfvParameters {
  const { polyDegree, plainModulus, floodSigmaBits, dataPrimes, specialPrime } = parameters;
  assertLatticeSecurity(parameters);
  ensure(floodSigmaBits >= 59, 'PARAMETER_UNSAFE', 'flooding sigma must be at least 2^59');
  ensure(plainModulus >= 2 && plainModulus <= 2 ** 20, 'PARAMETER_UNSAFE', 'plain modulus must be 2 to 2^20');
  for (const prime of [...dataPrimes, specialPrime]) {
    ensure(prime % BigInt(2 * polyDegree) === 1n, 'PARAMETER_UNSAFE', 'each prime must be 1 modulo 2n');
  }
  ensure(
    new Set([...dataPrimes, specialPrime]).size === 3,
    'PARAMETER_UNSAFE',
    'three distinct primes needed',
  );
  // Any active set of the default committee, up to all four, and the smallest one of the larger committees.
  for (let size = 1; size <= 4; size++) assertCorrectness(parameters, size, 4);
  const committee = { contributions: contributionsMax, holderCount: 4, threshold: 2, polynomials: 2 };
  assertSmudging(parameters, committee, 40);
  assertKeyTest(parameters, 4, 2, 38);
  return Object.freeze(parameters);
}

/**
 * n = 4096, q = two 40-bit primes, special prime of 26 bits, t = 2^15, σ_flood = 2^59: log2 q·p < 106.
 * The primes are the largest of their size that are 1 modulo 2n (what SEAL's CoeffModulus::Create gives).
 */
export const bfv4096: BfvParameters = defineBfvParameters({
  polyDegree: 4096,
  dataPrimes: [1_099_511_390_209n, 1_099_511_480_321n],
  specialPrime: 67_084_289n,
  plainModulus: 2 ** 15,
  floodSigmaBits: 59,
});
