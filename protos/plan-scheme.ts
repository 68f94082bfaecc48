/**
 * How the vector of a round travels: slots, short or long cipher, their sizes. Derived from the plan alone, so that
 * client, holder, coordinator and auditor never negotiate a length or a modulus.
 *
 * Trusts: a validated plan. May be called by: every role, and plan.ts itself to refuse plans that nothing can carry.
 */
import { type DigitLayout, fitsModulus, slotBitsFor } from '../crypto/dp/mechanism.ts';
import { divideRational, parseRational, rationalToNumber } from '../crypto/dp/rational.ts';
import { PulsefoldError } from '../crypto/error.ts';
import type { KemName } from '../crypto/identity/kem.ts';
import { type ChosenScheme, chooseScheme } from '../crypto/secagg/choose.ts';
import type { ParsedPlan, Plan } from './plan.ts';
import { sumNoiseShares } from './plan-groups.ts';
import { mechanismOfPlan } from './plan-mechanism.ts';
import { groupsOf } from './plan-numbers.ts';
import type { RoundKind } from './round-config.ts';

const schemes = new WeakMap<Plan, Map<RoundKind, ChosenScheme>>();

/** The scheme of a round of this kind. @throws PARAMETER_UNSAFE where nothing carries the sum. */
export function schemeOfPlan(plan: Plan, kind: RoundKind): ChosenScheme {
  const known = schemes.get(plan) ?? new Map<RoundKind, ChosenScheme>();
  schemes.set(plan, known);
  const scheme = known.get(kind) ?? choose(plan, kind);
  known.set(kind, scheme);
  return scheme;
}

export const schemeOf = (parsed: ParsedPlan, kind: RoundKind): ChosenScheme =>
  schemeOfPlan(parsed.plan, kind);

/** How one client's integers stand in slots. */
export const layoutOf = (parsed: ParsedPlan, kind: RoundKind): DigitLayout => schemeOf(parsed, kind).layout;

/** Slots of one client's vector: the `digitCount` of a round configuration. */
export const digitCountOf = (parsed: ParsedPlan, kind: RoundKind): number =>
  schemeOf(parsed, kind).scheme.slotCount;

/** How seeds are sealed to the holders (shares): the plan's choice in suite intl; gm has one. */
export function kemOfPlan({ aggregation, suite }: Plan): KemName {
  if (suite === 'gm') return 'sm2';
  return aggregation.transport === 'shares' ? aggregation.kem : 'x25519';
}

function choose(plan: Plan, kind: RoundKind): ChosenScheme {
  const { aggregation, suite, holders } = plan;
  return chooseScheme({
    transport: aggregation.transport,
    suite,
    kem: kemOfPlan(plan),
    holderCount: holders.length,
    mechanism: mechanismOfPlan(plan, kind),
    slotBits: slotBits(plan, kind),
    honestClients: honestClients(plan, kind),
    groups: groupsOf(plan, kind),
  });
}

/** Bits of a slot that holds the expected sum (crypto/dp/slots.ts). */
function slotBits(plan: Plan, kind: RoundKind): number {
  const p = mechanismOfPlan(plan, kind);
  const { privacy } = plan;
  const coherence = parseRational(plan.aggregation.coherence);
  if (!privacy) return slotBitsFor(p, coherence);
  const batch = parseRational(plan.mechanism.expectedBatch ?? '0');
  if (kind === 'training') {
    const clips = privacy.unit === 'person' ? p.clients : Math.max(1, Math.ceil(rationalToNumber(batch)));
    return slotBitsFor(p, coherence, clips);
  }
  // Histograms are not rotated: every row may fall into one cell. Person: a histogram has norm 1. Record: the tables of
  // hospitals differ by orders of magnitude, so cohortMax times the largest would refuse far too much.
  const expected = Math.ceil(rationalToNumber(divideRational(batch, parseRational(privacy.samplingRate))));
  const rows =
    privacy.unit === 'person' ? p.clients : Math.min(p.clients * plan.eligibility.recordsMax, expected);
  for (let bits = 2; bits <= 32; bits++) if (fitsModulus(rows, p.noiseVariance, p.clients, bits)) return bits;
  throw new PulsefoldError('PARAMETER_UNSAFE', `a histogram cell may reach ${rows} rows and its noise`);
}

/** As many as noise shares are promised to every sum; without a γ, two, which is what the bound needs at least. */
function honestClients(plan: Plan, kind: RoundKind): number {
  return plan.privacy ? sumNoiseShares(plan, kind, plan.rounds.cohortMin) : 2;
}

/** One line for people: how the training sums of a plan travel. */
export function schemeText(parsed: ParsedPlan): string {
  const { aggregation } = parsed.plan;
  const short =
    aggregation.transport === 'bfv'
      ? `threshold-bfv n=${aggregation.polyDegree} t=2^${aggregation.plainModulusBits}`
      : `seed shares (${kemOfPlan(parsed.plan)})`;
  const { long, wordBits } = schemeOf(parsed, 'training').scheme;
  const groups = groupsOf(parsed.plan, 'training');
  const per = groups > 1 ? `; ${groups} groups` : '';
  if (long)
    return `RLWE n=${long.polyDegree}, ${long.primes.length} primes, ${long.slotBits}-bit slots; key by ${short}${per}`;
  return aggregation.transport === 'bfv' ? short : `${short}, ${wordBits}-bit words${per}`;
}
