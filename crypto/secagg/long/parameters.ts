/**
 * Parameters of LongSum, the key-additive cipher of long vectors, and the arguments for them.
 *
 *   c = a·s + 2^(p·b)·e + Σ_j x_j·2^(b·j)   in Z_q[X]/(X^n + 1),   q = p_1 ⋯ p_k, 26 bits each.
 *
 * Security: Σs and Σe over the cohort become public, so this is RLWE with hints (Kim, Lee, Seo, Song: "Toward
 * Practical Lattice-Based Proof of Knowledge from Hint-MLWE", CRYPTO 2023): with two honest clients, s and e of width σ
 * leave the hardness of width σ/2, which must reach the 3.2 of the guideline tables (`sigma256For`). log2 q is held to
 * the *ternary* row of ePrint 2024/463, the smaller one, although s is Gaussian.
 * Correctness: opening is right while |Σe| < q/2^(p·b + 1); `sigmaMargin` standard deviations are demanded.
 * Trusts: nothing. Parameters that miss a margin cannot be constructed, and engines check those they are given
 * (`ensureLongParameters`). May be called by: crypto/secagg, crypto/kernels; `chooseLong`, `describeLong` by roles.
 */
import { ensure, PulsefoldError } from '../../error.ts';

export type LongDegree = 4096 | 8192 | 16384;

export interface LongParameters {
  /** n. */
  readonly polyDegree: LongDegree;
  /** The k largest primes below 2^26 that are 1 modulo 2n, descending. */
  readonly primes: readonly number[];
  /** b: bits of one slot, sized for the *sum* over the cohort. */
  readonly slotBits: number;
  /** p: slots in one coefficient. Slot j stands in coefficient ⌊j/p⌋ at position j mod p. */
  readonly slotsPerCoefficient: number;
  /** D. */
  readonly slotCount: number;
  /** m = ⌈D/p⌉: coefficients computed, sent and folded. */
  readonly coefficientCount: number;
  /** ⌈m/n⌉. */
  readonly polynomialCount: number;
  /** 256·σ, σ the width of both s and e. */
  readonly sigma256: number;
  /** N: most uploads in one sum. */
  readonly clients: number;
  /** Bytes of the packed c: 13·⌈m/4⌉·k. This is what engines and folders handle. */
  readonly packedBytes: number;
  /** Bytes of an upload's body: the packed c and, behind it, the body of the short sum of s. */
  readonly bodyBytes: number;
}

export interface LongRequest {
  /** D, 1 to `slotCountMax`. */
  readonly slotCount: number;
  /** b, 2 to 32. */
  readonly slotBits: number;
  /** N, 2 to `clientsMax`. */
  readonly clients: number;
  /** H, 2 to N: honest clients in the smallest cohort that may open, ⌊(1 − γ)·K_min⌋. */
  readonly honestClients: number;
  /** What carries Σs: it decides the largest sum that comes back right, see `secretSumMax`. */
  readonly shortSum: ShortSumKind;
  /** Body bytes of the short sum: per slot (2 for `shares`), or, for `bfv`, a function of the slot count. */
  readonly shortBytesPerSlot: number | ((slotCount: number) => number);
  /** Bytes of the holder part: a number, or a function of the slot count. Default: 480, the one of `shares`. */
  readonly holderPartBytes?: number | ((slotCount: number) => number);
}

export type ShortSumKind = 'shares' | 'bfv';

/** Sums of the short cipher are centred modulo 2^16 (`shares`) and t = 2^15 (`bfv`): |Σs| must stay below. */
export const secretSumMax: Readonly<Record<ShortSumKind, number>> = { shares: 2 ** 15, bfv: 2 ** 14 };

/** Largest log2 q for 128 bits with ternary secrets: ePrint 2024/463, output_max_logQ_tables. */
export const logModulusMax: Readonly<Record<LongDegree, number>> = { 4096: 107, 8192: 214, 16384: 431 };

/** The same source's limit against quantum attacks (Gaussian row). Not enforced; `describeLong` prints it. */
export const logModulusQuantumMax: Readonly<Record<LongDegree, number>> = {
  4096: 103,
  8192: 206,
  16384: 412,
};

/** The largest primes below 2^26 that are 1 modulo 2n, as many as the guideline limit of n has room for. */
export const longPrimes: Readonly<Record<LongDegree, readonly number[]>> = {
  4096: [67_084_289, 67_043_329, 66_994_177, 66_969_601],
  8192: [67_043_329, 66_994_177, 66_961_409, 66_813_953, 66_551_809, 66_420_737, 66_404_353, 66_011_137],
  16384: [
    67_043_329, 66_813_953, 66_551_809, 66_420_737, 65_929_217, 65_241_089, 65_077_249, 65_044_481,
    64_946_177, 64_749_569, 64_684_033, 64_258_049, 63_897_601, 63_799_297, 63_766_529, 63_700_993,
  ],
};

const degrees: readonly LongDegree[] = [4096, 8192, 16384];

export const residueBits = 26;
export const slotCountMax = 2 ** 24;
export const slotBitsMin = 2;
export const slotBitsMax = 32;
export const clientsMax = 100_000;
/** Widest σ, 256-fold, that sampler.ts has tables for: 8. */
export const sigma256Max = 2048;
/** Width that must be left of s and e once their sums are public: that of the guideline tables. */
export const effectiveSigma = 3.2;
/** Standard deviations between zero and a wrong opening. */
export const sigmaMargin = 11;
/** A wrong opening (uniform residues) goes unnoticed with probability at most 2^−this. */
export const undetectedBitsMin = 64;

/**
 * ⌈256·σ⌉, σ = 6.4 = 3.2·√(2(1 + 1/(H − 1))) at H = 2, whatever H ≥ 2 is. The bound for one client against the sum of the
 * others falls to 4.53 for large H, but the others' ciphertexts are seen, too; giving away all but two honest clients is
 * an argument without that gap. It costs half a bit of margin, and at most 4 % of an upload.
 */
export function sigma256For(honestClients: number): number {
  ensure(
    Number.isSafeInteger(honestClients) && honestClients >= 2,
    'PARAMETER_UNSAFE',
    `LongSum needs at least 2 honest clients in every cohort, got ${honestClients}: raise K_min or lower gamma`,
  );
  return Math.ceil(256 * effectiveSigma * 2);
}

/** q. */
export const longModulus = (parameters: Pick<LongParameters, 'primes'>): bigint =>
  parameters.primes.reduce((product, prime) => product * BigInt(prime), 1n);

/** log2 q, to double precision. */
export const logModulus = (parameters: Pick<LongParameters, 'primes'>): number =>
  parameters.primes.reduce((sum, prime) => sum + Math.log2(prime), 0);

/** |Σe| of a right opening stays below this: q/2^(p·b + 1). */
export function errorLimit(
  parameters: Pick<LongParameters, 'primes' | 'slotBits' | 'slotsPerCoefficient'>,
): number {
  return Number(longModulus(parameters)) / 2 ** (parameters.slotsPerCoefficient * parameters.slotBits + 1);
}

/**
 * Largest |Σe| that `open` accepts for a cohort: 11σ√cohort, and 1 for a last slot that ran over into it. An honest
 * sum exceeds this with probability below 2·exp(−11²/2) < 2^−86 per coefficient (discrete Gaussians are subgaussian).
 */
export function openingErrorMax(parameters: Pick<LongParameters, 'sigma256'>, cohort: number): number {
  return Math.ceil((sigmaMargin * parameters.sigma256 * Math.sqrt(cohort)) / 256) + 1;
}

/** −log2 of the probability that uniform residues, what a wrong key or `a` leaves, pass the check of `open`. */
export function undetectedBits(parameters: Omit<LongParameters, 'packedBytes' | 'bodyBytes'>): number {
  const accepted = 2 * openingErrorMax(parameters, parameters.clients) + 1;
  return parameters.coefficientCount * Math.log2((2 * errorLimit(parameters)) / accepted);
}

/** Bytes of ⌈m/4⌉ groups of four 26-bit residues for each of k primes. */
export const packedBytesOf = (coefficientCount: number, primeCount: number): number =>
  13 * Math.ceil(coefficientCount / 4) * primeCount;

type LongShape = Omit<LongParameters, 'packedBytes' | 'bodyBytes'>;

function ensureInteger(value: number, minimum: number, maximum: number, name: string): void {
  ensure(
    Number.isSafeInteger(value) && value >= minimum && value <= maximum,
    'PARAMETER_UNSAFE',
    `${name} must be an integer from ${minimum} to ${maximum}, got ${value}`,
  );
}

/** log2 q within the guideline, by exact integers; primes the listed ones. */
export function assertLongSecurity(polyDegree: number, primes: readonly number[], sigma256: number): void {
  const limit = logModulusMax[polyDegree as LongDegree];
  ensure(
    Object.hasOwn(logModulusMax, polyDegree),
    'PARAMETER_UNSAFE',
    `no guideline entry for n = ${polyDegree}`,
  );
  ensure(
    longModulus({ primes }) <= 1n << BigInt(limit),
    'PARAMETER_UNSAFE',
    `log2 q = ${logModulus({ primes }).toFixed(1)} exceeds the 128-bit limit ${limit} of n = ${polyDegree}`,
  );
  const listed = longPrimes[polyDegree as LongDegree];
  ensure(
    primes.length >= 1 && primes.every((prime, i) => prime === listed[i]),
    'PARAMETER_UNSAFE',
    `the primes are not the largest ones below 2^26 that are 1 modulo ${2 * polyDegree}`,
  );
  // The least any number of honest clients asks for; the exact value for H is sigma256For's.
  const least = Math.ceil(256 * effectiveSigma * Math.SQRT2);
  ensureInteger(sigma256, least, sigma256Max, '256·sigma');
}

/** Σe clear of a wrong opening by 11σ, and wrong openings noticed. */
export function assertLongMargins(shape: LongShape): void {
  const needed = openingErrorMax(shape, shape.clients) + 1;
  const limit = errorLimit(shape);
  ensure(
    needed <= limit,
    'PARAMETER_UNSAFE',
    `${sigmaMargin} sigma of the summed error of ${shape.clients} clients is ${needed}, but only ` +
      `${limit.toFixed(1)} fits above ${shape.slotsPerCoefficient} slots of ${shape.slotBits} bits`,
  );
  const bits = undetectedBits(shape);
  ensure(
    bits >= undetectedBitsMin,
    'PARAMETER_UNSAFE',
    `a wrong opening of ${shape.coefficientCount} coefficients would pass with probability 2^-${bits.toFixed(1)}, ` +
      `more than 2^-${undetectedBitsMin}`,
  );
}

/** Σs clear of the modulus of the short sum by 11σ. */
export function assertSecretSum(sigma256: number, clients: number, shortSum: ShortSumKind): void {
  const needed = (sigmaMargin * sigma256 * Math.sqrt(clients)) / 256;
  ensure(
    needed < secretSumMax[shortSum],
    'PARAMETER_UNSAFE',
    `${sigmaMargin} sigma of the summed keys of ${clients} clients is ${needed.toFixed(0)}, but ${shortSum} ` +
      `carries sums below ${secretSumMax[shortSum]}: fewer clients per sum, or more honest ones`,
  );
}

function assertShape(shape: LongShape): void {
  ensureInteger(shape.slotCount, 1, slotCountMax, 'the slot count');
  ensureInteger(shape.slotBits, slotBitsMin, slotBitsMax, 'slotBits');
  ensureInteger(shape.clients, 2, clientsMax, 'the number of clients');
  ensureInteger(shape.slotsPerCoefficient, 1, logModulusMax[16384], 'slotsPerCoefficient');
  assertLongSecurity(shape.polyDegree, shape.primes, shape.sigma256);
  const coefficients = Math.ceil(shape.slotCount / shape.slotsPerCoefficient);
  ensure(
    shape.coefficientCount === coefficients &&
      shape.polynomialCount === Math.ceil(coefficients / shape.polyDegree),
    'PARAMETER_UNSAFE',
    'the counts of coefficients and polynomials do not follow from the slots',
  );
  assertLongMargins(shape);
}

const vetted = new WeakSet<LongParameters>();

/** Parameters that hold every margin, frozen, or PARAMETER_UNSAFE. `shortBodyBytes`: of the short sum of n slots. */
export function defineLongParameters(shape: LongShape, shortBodyBytes: number): LongParameters {
  assertShape(shape);
  ensureInteger(shortBodyBytes, 1, 2 ** 30, 'the byte count of the short sum');
  const packedBytes = packedBytesOf(shape.coefficientCount, shape.primes.length);
  const parameters: LongParameters = Object.freeze({
    polyDegree: shape.polyDegree,
    primes: Object.freeze([...shape.primes]),
    slotBits: shape.slotBits,
    slotsPerCoefficient: shape.slotsPerCoefficient,
    slotCount: shape.slotCount,
    coefficientCount: shape.coefficientCount,
    polynomialCount: shape.polynomialCount,
    sigma256: shape.sigma256,
    clients: shape.clients,
    packedBytes,
    bodyBytes: packedBytes + shortBodyBytes,
  });
  vetted.add(parameters);
  return parameters;
}

/**
 * For engines: throws PARAMETER_UNSAFE unless `parameters` hold every margin. What this module made passes at once;
 * a copy (a worker's message) is checked again.
 */
export function ensureLongParameters(parameters: LongParameters): void {
  if (vetted.has(parameters)) return;
  assertShape(parameters);
  const { coefficientCount, primes, packedBytes, bodyBytes } = parameters;
  ensure(
    packedBytes === packedBytesOf(coefficientCount, primes.length) && bodyBytes > packedBytes,
    'PARAMETER_UNSAFE',
    'the byte counts do not follow from the coefficients',
  );
  if (Object.isFrozen(parameters) && Object.isFrozen(primes)) vetted.add(parameters);
}

const bytesFor = (
  rule: number | ((slotCount: number) => number),
  slotCount: number,
  each: boolean,
): number => (typeof rule === 'function' ? rule(slotCount) : each ? rule * slotCount : rule);

/** Bytes of the holder part of `shares`: one ephemeral key, 4 seed hashes, 4 boxes of 2 seeds and a tag. */
const sharesHolderPartBytes = 480;

/**
 * Parameters of the smallest whole upload: every n, every k that keeps the guideline limit, and for each the largest
 * p that keeps the margins. Throws PARAMETER_UNSAFE, with the numbers, where there are none.
 */
export function chooseLong(request: LongRequest): LongParameters {
  const { slotCount, slotBits, clients, honestClients } = request;
  ensureInteger(slotCount, 1, slotCountMax, 'the slot count');
  ensureInteger(slotBits, slotBitsMin, slotBitsMax, 'slotBits');
  ensureInteger(clients, 2, clientsMax, 'the number of clients');
  const sigma256 = sigma256For(honestClients);
  ensure(honestClients <= clients, 'PARAMETER_UNSAFE', `${honestClients} honest of only ${clients} clients`);
  assertSecretSum(sigma256, clients, request.shortSum);
  let best: LongParameters | undefined;
  let bestBytes = Number.POSITIVE_INFINITY;
  for (const polyDegree of degrees) {
    const shortBodyBytes = bytesFor(request.shortBytesPerSlot, polyDegree, true);
    const holderBytes = bytesFor(request.holderPartBytes ?? sharesHolderPartBytes, polyDegree, false);
    for (let k = 1; k <= longPrimes[polyDegree].length; k++) {
      const primes = longPrimes[polyDegree].slice(0, k);
      const shape = widestShape({ polyDegree, primes, slotBits, slotCount, sigma256, clients });
      if (shape === undefined) continue;
      const bytes = packedBytesOf(shape.coefficientCount, k) + shortBodyBytes + holderBytes;
      if (bytes >= bestBytes) continue;
      best = defineLongParameters(shape, shortBodyBytes);
      bestBytes = bytes;
    }
  }
  if (best === undefined) {
    throw new PulsefoldError('PARAMETER_UNSAFE', `no ring has room for slots of ${slotBits} bits`);
  }
  return best;
}

type ShapeBase = Omit<LongShape, 'slotsPerCoefficient' | 'coefficientCount' | 'polynomialCount'>;

/** The shape with the most slots per coefficient that holds both margins; undefined where not one slot fits. */
function widestShape(base: ShapeBase): LongShape | undefined {
  const most = Math.floor(logModulus(base) / base.slotBits);
  for (let slotsPerCoefficient = most; slotsPerCoefficient >= 1; slotsPerCoefficient--) {
    const coefficientCount = Math.ceil(base.slotCount / slotsPerCoefficient);
    const polynomialCount = Math.ceil(coefficientCount / base.polyDegree);
    const shape = { ...base, slotsPerCoefficient, coefficientCount, polynomialCount };
    const needed = openingErrorMax(shape, shape.clients) + 1;
    if (needed <= errorLimit(shape) && undetectedBits(shape) >= undetectedBitsMin) return shape;
  }
  return undefined;
}

/** Everything `pulsefold params` prints about a long sum. Probabilities as −log2. */
export interface LongDescription {
  readonly polyDegree: number;
  readonly primeCount: number;
  readonly logModulus: number;
  readonly logModulusLimit: number;
  readonly logModulusQuantumLimit: number;
  readonly sigma: number;
  readonly slotBits: number;
  readonly slotsPerCoefficient: number;
  readonly coefficientCount: number;
  readonly polynomialCount: number;
  /** Standard deviations of Σe between zero and a wrong opening, for the largest cohort. */
  readonly noiseMarginSigmas: number;
  /** −log2 of the probability that an honest sum of the largest cohort is refused (all coefficients). */
  readonly failureBits: number;
  /** −log2 of the probability that a wrong opening is not noticed. */
  readonly undetectedBits: number;
  readonly packedBytes: number;
  readonly shortBodyBytes: number;
  readonly holderPartBytes: number;
  readonly uploadBytes: number;
  readonly ratioToFloat32: number;
}

/** −log2 of 2·exp(−t²/2): tail of a subgaussian sum beyond t standard deviations. */
const tailBits = (sigmas: number): number => (sigmas * sigmas) / 2 / Math.LN2 - 1;

export function describeLong(
  parameters: LongParameters,
  holderPartBytes = sharesHolderPartBytes,
): LongDescription {
  const deviation = (parameters.sigma256 / 256) * Math.sqrt(parameters.clients);
  const uploadBytes = parameters.bodyBytes + holderPartBytes;
  return {
    polyDegree: parameters.polyDegree,
    primeCount: parameters.primes.length,
    logModulus: logModulus(parameters),
    logModulusLimit: logModulusMax[parameters.polyDegree],
    logModulusQuantumLimit: logModulusQuantumMax[parameters.polyDegree],
    sigma: parameters.sigma256 / 256,
    slotBits: parameters.slotBits,
    slotsPerCoefficient: parameters.slotsPerCoefficient,
    coefficientCount: parameters.coefficientCount,
    polynomialCount: parameters.polynomialCount,
    noiseMarginSigmas: errorLimit(parameters) / deviation,
    failureBits: tailBits(sigmaMargin) - Math.log2(parameters.coefficientCount),
    undetectedBits: undetectedBits(parameters),
    packedBytes: parameters.packedBytes,
    shortBodyBytes: parameters.bodyBytes - parameters.packedBytes,
    holderPartBytes,
    uploadBytes,
    ratioToFloat32: uploadBytes / (4 * parameters.slotCount),
  };
}
