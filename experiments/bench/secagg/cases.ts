/**
 * What `pulsefold bench secagg` measures: vectors, mechanisms and the schemes that plans would get for them.
 *
 * Each case states a person-level mechanism: two units per coordinate and clip, noise of z sensitivities in the sum,
 * and sums of at most `coherence` of all clips, so that slots are 16 bits up to 10,000 clients. The scheme is what
 * crypto/secagg/choose.ts gives any plan with these figures. May be called by: secagg-bench.ts.
 */
import { utf8 } from '../../../crypto/bytes.ts';
import { type MechanismParameters, normBoundSquared, slotBitsFor } from '../../../crypto/dp/mechanism.ts';
import { parseRational, type Rational, rational } from '../../../crypto/dp/rational.ts';
import { intlSuite } from '../../../crypto/identity/suite-intl.ts';
import { type ChosenScheme, chooseScheme } from '../../../crypto/secagg/choose.ts';

export interface BenchCase {
  readonly transport: 'shares' | 'bfv';
  readonly dimension: number;
  readonly clients: number;
}

export interface PreparedCase extends BenchCase, ChosenScheme {
  readonly name: string;
  readonly mechanism: MechanismParameters;
  /** Standard deviation of the noise in the sum, integer units. */
  readonly sigmaTotal: number;
}

const COHERENCE = parseRational('1/20');
/** Noise in the sum over the sensitivity of one person; larger where the dimension leaves room in 16 bits. */
const noiseMultiplier = (dimension: number): number => (dimension > 300_000 ? 1 : dimension > 30_000 ? 2 : 4);

function mechanismOf({ dimension, clients }: BenchCase): { p: MechanismParameters; sigmaTotal: number } {
  const base: MechanismParameters = {
    unit: 'person',
    dimension,
    clip: parseRational('1'),
    unitsPerClip: Math.max(1, Math.round(2 * Math.sqrt(dimension))),
    rotationSeed: intlSuite.digest(utf8(`bench secagg ${dimension}`)),
    noiseVariance: rational(1),
    clients,
    recordsMax: 1,
  };
  const z = noiseMultiplier(dimension);
  const sumVariance = z * z * Number(normBoundSquared(base));
  const share: Rational = rational(BigInt(Math.ceil((sumVariance / clients) * 16)), 16n);
  return {
    p: { ...base, noiseVariance: share },
    sigmaTotal: Math.sqrt((Number(share.numerator) / Number(share.denominator)) * clients),
  };
}

export function prepareCase(one: BenchCase): PreparedCase {
  const { p, sigmaTotal } = mechanismOf(one);
  const chosen = chooseScheme({
    transport: one.transport,
    suite: 'intl',
    kem: 'x25519',
    holderCount: 4,
    mechanism: p,
    slotBits: slotBitsFor(p, COHERENCE),
    honestClients: one.clients,
  });
  const name = `${one.transport}${chosen.scheme.long ? '+long' : ''}`;
  return { ...one, ...chosen, name, mechanism: p, sigmaTotal };
}

/** The rows of the issue: every size under both transports, the cohort's size varied at 100 k. */
export const standardCases = (dimensions: readonly number[]): BenchCase[] => [
  ...dimensions.map((dimension) => ({ transport: 'shares' as const, dimension, clients: 10_000 })),
  ...dimensions.map((dimension) => ({ transport: 'bfv' as const, dimension, clients: 10_000 })),
  ...[100, 1000, 100_000].map((clients) => ({ transport: 'shares' as const, dimension: 100_000, clients })),
];
