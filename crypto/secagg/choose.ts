/**
 * Which cipher carries a vector: the smallest upload of those whose margins hold.
 *
 * A short sum carries the slots themselves (at most 8,192 of them, DESIGN §4); a long one carries them under the
 * one-time key of crypto/secagg/long, and only that key goes through the short sum.
 * Trusts: sizes derived from an approved plan. May be called by: protos/plan-scheme.ts, experiments, cli.
 */
import { type DigitLayout, digitLayout, integerLayout, type MechanismParameters } from '../dp/mechanism.ts';
import { ensure, isPulsefoldError, type PulsefoldError } from '../error.ts';
import { assertSmudging, bfv4096, contributionsMax, openedCoefficients } from '../he/parameters.ts';
import type { KemName } from '../identity/kem.ts';
import { getSuite, type SuiteName } from '../identity/suite.ts';
import { CHECKSUM_WORDS } from './checksum.ts';
import { chooseLong } from './long/parameters.ts';
import type { PartSizes, SumScheme } from './scheme.ts';
import { sharesBodyBytes, sharesHolderPartBytes } from './shares/index.ts';

export const SHORT_SLOTS_MAX = 8192;
/** Slots of any vector: what a round configuration can say. */
export const SLOTS_MAX = 2 ** 20;

export interface SchemeRequest {
  readonly transport: 'bfv' | 'shares';
  readonly suite: SuiteName;
  readonly kem: KemName;
  readonly holderCount: number;
  /** The integers that travel; its `clients` is the largest cohort. */
  readonly mechanism: MechanismParameters;
  /** Bits of a slot that holds the expected sum (crypto/dp/slots.ts), 2 to 32. */
  readonly slotBits: number;
  /** Honest clients in the smallest cohort that may open: decides the width of LongSum's errors. */
  readonly honestClients: number;
  /** Disjoint groups that the sum opens in (transport shares), 1 by default; sizes above are then those of a group. */
  readonly groups?: number;
}

export interface ChosenScheme {
  /** How one client's integers stand in slots. */
  readonly layout: DigitLayout;
  readonly scheme: SumScheme;
  /** Body and holder part together. */
  readonly uploadBytes: number;
}

/** @throws PARAMETER_UNSAFE where nothing carries the sum, saying what is missing. */
export function chooseScheme(request: SchemeRequest): ChosenScheme {
  const { groups = 1, transport } = request;
  ensure(
    groups === 1 || transport === 'shares',
    'PARAMETER_UNSAFE',
    'groups exist under transport shares only',
  );
  const shortWidths = request.transport === 'bfv' ? [15] : [16, 32];
  const candidates: ChosenScheme[] = [];
  let refusal: PulsefoldError | undefined;
  const makers = [...shortWidths.map((bits) => () => shortScheme(request, bits)), () => longScheme(request)];
  for (const make of makers) {
    try {
      candidates.push(make());
    } catch (error) {
      const unfit = isPulsefoldError(error) && UNFIT.includes(error.code);
      if (!unfit) throw error;
      refusal = error;
    }
  }
  const best = candidates.sort((a, b) => a.uploadBytes - b.uploadBytes)[0];
  if (!best) throw refusal!;
  return best;
}

/** Codes that say "not this cipher"; anything else is a fault of ours and is thrown. */
const UNFIT: readonly string[] = ['PARAMETER_UNSAFE', 'FIELD_OUT_OF_RANGE'];

const hasNoise = ({ mechanism }: SchemeRequest): boolean => mechanism.noiseVariance.numerator > 0n;

function shortScheme(request: SchemeRequest, modulusBits: number): ChosenScheme {
  const { mechanism, slotBits } = request;
  ensure(
    !hasNoise(request) || slotBits <= modulusBits,
    'PARAMETER_UNSAFE',
    `the expected sum needs ${slotBits} bits and a short slot has ${modulusBits}`,
  );
  const layout = digitLayout(mechanism, modulusBits);
  const slotCount = mechanism.dimension * layout.digitCount;
  ensure(
    slotCount <= SHORT_SLOTS_MAX,
    'PARAMETER_UNSAFE',
    `a short sum has at most ${SHORT_SLOTS_MAX} slots, not ${slotCount}`,
  );
  const wordBits = modulusBits === 32 ? 32 : 16;
  const shortCount = slotCount + checksumWords(request);
  const { body, holderPart } = shortSizes(request, shortCount, wordBits);
  return {
    layout,
    scheme: { ...transportOf(request), slotCount, long: null, shortCount, wordBits },
    uploadBytes: body + holderPart,
  };
}

function longScheme(request: SchemeRequest): ChosenScheme {
  const { mechanism, slotBits, honestClients, transport } = request;
  // Never reduced on the device: see `integerLayout`.
  const layout = hasNoise(request) ? integerLayout(slotBits) : digitLayout(mechanism, slotBits);
  const slotCount = mechanism.dimension * layout.digitCount;
  ensure(
    slotCount <= SLOTS_MAX,
    'PARAMETER_UNSAFE',
    `a vector has at most ${SLOTS_MAX} slots, not ${slotCount}`,
  );
  const long = chooseLong({
    slotCount,
    slotBits: layout.modulusBits,
    clients: mechanism.clients,
    honestClients,
    shortSum: transport,
    shortBytesPerSlot: (polyDegree) => shortSizes(request, polyDegree + checksumWords(request), 16).body,
    holderPartBytes: (polyDegree) => shortSizes(request, polyDegree, 16).holderPart,
  });
  if (transport === 'bfv') {
    const polynomials = long.polyDegree / bfv4096.polyDegree;
    const { holderCount } = request;
    assertSmudging(bfv4096, { contributions: contributionsMax, holderCount, threshold: 2, polynomials });
  }
  return {
    layout,
    scheme: {
      ...transportOf(request),
      slotCount,
      long,
      shortCount: long.polyDegree + checksumWords(request),
      wordBits: 16,
    },
    uploadBytes: long.bodyBytes + shortSizes(request, long.polyDegree, 16).holderPart,
  };
}

const transportOf = ({ transport, suite, kem, holderCount, groups = 1 }: SchemeRequest) => ({
  transport,
  suite,
  kem,
  holderCount,
  groups,
});

const checksumWords = ({ groups = 1 }: SchemeRequest): number => (groups > 1 ? CHECKSUM_WORDS : 0);

/** Bytes of a short sum of `count` entries: what the coordinator folds, and what the holders get. */
function shortSizes({ transport, suite, kem }: SchemeRequest, count: number, wordBits: 16 | 32): PartSizes {
  if (transport === 'shares')
    return {
      body: sharesBodyBytes(count, wordBits),
      holderPart: sharesHolderPartBytes(getSuite(suite), kem),
    };
  const opened = openedCoefficients(bfv4096, count);
  const residueBytes = 5 * bfv4096.dataPrimes.length;
  return {
    body: opened.reduce((sum, length) => sum + length, 0) * residueBytes,
    holderPart: opened.length * bfv4096.polyDegree * residueBytes,
  };
}
