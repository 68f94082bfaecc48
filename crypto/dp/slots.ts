/**
 * What slots a mechanism's sum needs: digits per entry, and how many bits hold the expected sum.
 *
 * Trusts: its parameters come from an approved plan. May be called by: protos, cli, experiments, through
 * crypto/dp/mechanism.ts.
 */
import { ensure, PulsefoldError } from '../error.ts';
import {
  type DigitLayout,
  exactLayout,
  fitsModulus,
  MODULUS_BITS_MAX,
  MODULUS_BITS_MIN,
  PLAIN_MODULUS_BITS,
  residueLayout,
} from './digits.ts';
import { checkParameters, type MechanismParameters, valueBound } from './mechanism-parameters.ts';
import { ceilRational, integerSquareRoot, multiplyRational, type Rational, rational } from './rational.ts';

/**
 * Slots of one entry in sums modulo 2^modulusBits: one residue under noise (crypto/dp/digits.ts says why), else as many
 * digits as the exact sum needs. modulusBits 2 to 32, BFV's 15 by default.
 * @throws PARAMETER_UNSAFE without noise above 2^(modulusBits−2) clients, FIELD_OUT_OF_RANGE.
 */
export function digitLayout(p: MechanismParameters, modulusBits: number = PLAIN_MODULUS_BITS): DigitLayout {
  checkParameters(p);
  return p.noiseVariance.numerator > 0n
    ? residueLayout(modulusBits)
    : exactLayout(p.clients, valueBound(p), modulusBits);
}

/** Deviations of a rotated sum's coordinate that `signalBound` allows for: 2·exp(−49/2) = 4.6e-11 per coordinate. */
const SIGNAL_DEVIATIONS = 7;
/** √(2^20): more concentrated than in one entry of the longest vector no sum can be. */
const COHERENCE_MAX = 1024n;

/**
 * The largest |coordinate|, integer units, that a rotated sum of `clips` vectors at the clip is expected to show when
 * their sum has `coherence` times the norm of as many equal ones (1: all point the same way):
 * V = coherence·clips·G, and min(clips·G, V, 7·V/√d) rounded up. The last is the subgaussian bound of random signs for
 * a sum whose energy is spread evenly over the rotation's blocks. The rotation works in blocks of at most 4096 entries
 * and does not mix them, so a sum whose energy sits in one layer needs a coherence of up to √(d/blockLength) times as
 * much; √d/7 covers everything. Utility only: what lies beyond wraps around and is as private.
 * `clips` is by default the most there can be; record-unit plans pass the batch that they expect. Not for histograms,
 * which are not rotated. @throws FIELD_OUT_OF_RANGE unless 0 < coherence ≤ 1024 and clips is a whole number ≥ 1.
 */
export function signalBound(
  p: MechanismParameters,
  coherence: Rational,
  clips: number = p.clients * p.recordsMax,
): number {
  checkParameters(p);
  ensure(
    coherence.numerator > 0n && coherence.numerator <= COHERENCE_MAX * coherence.denominator,
    'FIELD_OUT_OF_RANGE',
    `coherence: more than 0 and at most ${COHERENCE_MAX}`,
  );
  ensure(Number.isSafeInteger(clips) && clips >= 1, 'FIELD_OUT_OF_RANGE', 'clips: a whole number from 1');
  const norm = multiplyRational(coherence, rational(BigInt(clips) * BigInt(p.unitsPerClip)));
  const most = BigInt(clips) * BigInt(p.unitsPerClip);
  const expected = ceilRational(norm);
  const whole = expected < most ? expected : most;
  // The smallest integer s with s·√d ≥ 7·norm, that is s² ≥ (7·norm)²/d.
  const spread = multiplyRational(norm, rational(BigInt(SIGNAL_DEVIATIONS)));
  const square = ceilRational(
    multiplyRational(multiplyRational(spread, spread), rational(1n, BigInt(p.dimension))),
  );
  const root = integerSquareRoot(square);
  const rotated = root * root === square ? root : root + 1n;
  return Number(rotated < whole ? rotated : whole);
}

/**
 * The fewest bits b, 2 to 32, of a slot that holds the sum. Under noise: `signalBound` and twelve deviations of the
 * summed noise within 2^(b−1) (`fitsModulus`). Unit 'none': every client at its worst in one digit (`exactLayout`);
 * where that leaves 32 bits, 32, and `digitLayout` gives several digits.
 * @throws PARAMETER_UNSAFE when signal and noise do not fit 32 bits.
 */
export function slotBitsFor(p: MechanismParameters, coherence: Rational, clips?: number): number {
  // The clip bit is not rotated: everybody may say the same.
  const bitSum = (p.clipBitUnits ?? 0) * (clips ?? p.clients);
  const signal = Math.max(signalBound(p, coherence, clips), bitSum);
  if (p.unit === 'none') {
    // One signed digit of width w for each client's worst value, and clients·2^(w−1) ≤ 2^(bits−1).
    let digitHalf = 2;
    for (const worst = valueBound(p); digitHalf <= worst; ) digitHalf *= 2;
    let bits = MODULUS_BITS_MIN;
    while (bits < MODULUS_BITS_MAX && p.clients * digitHalf > 2 ** (bits - 1)) bits++;
    return bits;
  }
  for (let bits = MODULUS_BITS_MIN; bits <= MODULUS_BITS_MAX; bits++)
    if (fitsModulus(signal, p.noiseVariance, p.clients, bits)) return bits;
  throw new PulsefoldError(
    'PARAMETER_UNSAFE',
    `a sum of ${signal} units and its noise do not fit a slot of 32 bits: lower unitsPerClip`,
  );
}
