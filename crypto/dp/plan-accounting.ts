/**
 * From a plan's numbers to events, ε and noise: what the coordinator, the client's own ledger and the auditor share.
 *
 * Trusts: the plan's integers; |A| must come from a cohort certificate. May be called by: everyone.
 */
import { ensure } from '../error.ts';
import { rdpToEpsilon } from './conversion.ts';
import { VARIANCE_MAX } from './discrete-gaussian.ts';
import { type DistributedDiscreteGaussianEvent, type DpEvent, flattenEvent } from './events.ts';
import {
  addRational,
  floorRational,
  multiplyRational,
  ONE,
  type Rational,
  rational,
  rationalToNumber,
  subtractRational,
  VARIANCE_DENOMINATOR,
} from './rational.ts';
import { INTEGER_ORDERS, rdp } from './rdp.ts';
import { isConcentrated, zcdp, zcdpToEpsilon } from './zcdp.ts';

export interface RoundMechanism {
  readonly unit: 'person' | 'record';
  /** D², integer units² (`normBoundSquared`). */
  readonly sensitivitySquared: bigint;
  /** Per client, integer units². */
  readonly noiseVariance: Rational;
  /** ⌊(1−γ)·|A|⌋ (`noiseShares`). */
  readonly noiseShares: number;
  /** Poisson rate inside a client; 1 for unit person, whose cohort is public. */
  readonly samplingRate: Rational;
  readonly dimension: number;
}

/** ⌊(1−γ)·count⌋, exact: the noise shares that are there when a fraction γ of the cohort adds none. 0 ≤ γ < 1. */
export function noiseShares(gamma: Rational, count: number): number {
  ensure(
    gamma.numerator >= 0n && gamma.numerator < gamma.denominator,
    'PARAMETER_UNSAFE',
    'gamma lies in [0, 1)',
  );
  ensure(Number.isSafeInteger(count) && count >= 0, 'FIELD_OUT_OF_RANGE', 'count must be a whole number');
  return Number(floorRational(multiplyRational(subtractRational(ONE, gamma), rational(count))));
}

/**
 * One round as an event. Neighbours differ by one contribution set to zero while every size stays public. Person: the
 * cohort is public. Record: the size of a hospital's table is public, and the removed record contributes the zero
 * vector whether or not it is drawn; with Poisson sampling that is the law of a table without it. @throws PARAMETER_UNSAFE for person-level sampling or no noise share, UNSUPPORTED_EVENT.
 */
export function roundEvent(m: RoundMechanism): DpEvent {
  const sampled = m.samplingRate.numerator !== m.samplingRate.denominator;
  ensure(
    m.unit === 'record' || !sampled,
    'PARAMETER_UNSAFE',
    'a public cohort amplifies nothing: the sampling rate of unit person is 1',
  );
  ensure(
    m.noiseShares >= 1,
    'PARAMETER_UNSAFE',
    'no honest noise share is left: the cohort is too small for gamma',
  );
  const mechanism: DistributedDiscreteGaussianEvent = {
    type: 'distributed_discrete_gaussian',
    unit: m.unit,
    neighbouring: 'zero_out',
    sensitivitySquared: m.sensitivitySquared,
    varianceLocal: m.noiseVariance,
    noiseShares: m.noiseShares,
    dimension: m.dimension,
  };
  const event: DpEvent = sampled
    ? { type: 'poisson_sampled', samplingRate: m.samplingRate, event: mechanism }
    : mechanism;
  flattenEvent(event);
  return event;
}

/** Merges equal leaves, so that a thousand equal rounds cost one RDP evaluation. */
function compact(events: readonly DpEvent[]): DpEvent {
  const leaves = flattenEvent({ type: 'composed', events });
  const counts = new Map<string, { event: DpEvent; count: number }>();
  for (const { event, count } of leaves) {
    const key = JSON.stringify(event, (_, value) => (typeof value === 'bigint' ? `${value}n` : value));
    const known = counts.get(key);
    if (known) known.count += count;
    else counts.set(key, { event, count });
  }
  return {
    type: 'composed',
    events: [...counts.values()].map(({ event, count }) => ({ type: 'self_composed', event, count })),
  };
}

/**
 * ε of everything in `events` at δ. Without sampling: zCDP at the best real order; with it: RDP at the best of
 * INTEGER_ORDERS. No events: ε = 0. @throws UNSUPPORTED_EVENT.
 */
export function accountEvents(events: readonly DpEvent[], delta: number): { epsilon: number; order: number } {
  ensure(delta > 0 && delta < 1, 'FIELD_OUT_OF_RANGE', 'delta lies strictly between 0 and 1');
  const composed = compact(events);
  if (isConcentrated(composed)) return zcdpToEpsilon(zcdp(composed), delta);
  return rdpToEpsilon(
    INTEGER_ORDERS,
    INTEGER_ORDERS.map((order) => rdp(composed, order)),
    delta,
  );
}

export interface NoiseCalibration {
  readonly sensitivitySquared: bigint;
  /** Planned ⌊(1−γ)·K_min⌋: then ε holds for every cohort the plan accepts. */
  readonly noiseShares: number;
  readonly samplingRate: Rational;
  readonly rounds: number;
  readonly dimension: number;
  readonly unit: 'person' | 'record';
  readonly epsilon: number;
  readonly delta: number;
  /** Whatever else the same budget pays, e.g. evaluation histograms. */
  readonly otherEvents?: readonly DpEvent[];
}

/** Share of ε left free so that a sum of rounded charges can never exceed a limit the plan was calibrated to. */
const EPSILON_MARGIN = 1e-9;

/**
 * The smallest per-client noise variance, a multiple of 1/1024, with which `rounds` rounds and `otherEvents` stay
 * within (ε, δ); the order a filter should use ('zcdp' plans: the best real order); the ε reached.
 * Data-independent. @throws PARAMETER_UNSAFE when no variance up to 2^52 suffices.
 */
export function calibrateNoiseVariance(c: NoiseCalibration): {
  noiseVariance: Rational;
  order: number;
  epsilon: number;
} {
  ensure(
    Number.isSafeInteger(c.rounds) && c.rounds >= 1,
    'PARAMETER_UNSAFE',
    'rounds: a whole number, at least 1',
  );
  ensure(c.epsilon > 0 && c.epsilon < 1000, 'PARAMETER_UNSAFE', 'epsilon lies between 0 and 1000');
  const target = c.epsilon * (1 - EPSILON_MARGIN);
  const account = (steps: bigint) => {
    const noiseVariance = rational(steps, VARIANCE_DENOMINATOR);
    const round = roundEvent({ ...c, noiseVariance });
    const rounds: DpEvent = { type: 'self_composed', event: round, count: c.rounds };
    return { noiseVariance, ...accountEvents([rounds, ...(c.otherEvents ?? [])], c.delta) };
  };
  // Start near the answer of one unsampled Gaussian, grow until it fits, then bisect to the single step.
  // Several shares need a variance of 1/4 (events.ts).
  let low = c.noiseShares > 1 ? VARIANCE_DENOMINATOR / 4n - 1n : 0n;
  const guess = (c.sensitivitySquared * VARIANCE_DENOMINATOR) / 1024n + 1n;
  let high = guess > low ? guess : low + 1n;
  while (account(high).epsilon > target) {
    low = high;
    high *= 4n;
    ensure(
      high <= VARIANCE_MAX * VARIANCE_DENOMINATOR,
      'PARAMETER_UNSAFE',
      'no noise fits this budget: raise epsilon or delta, or lower rounds or other charges',
    );
  }
  while (high - low > 1n) {
    const middle = (low + high) / 2n;
    if (account(middle).epsilon > target) low = middle;
    else high = middle;
  }
  return account(high);
}

/** Noise deviation of the opened sum over its sensitivity, √(shares·variance)/D: for people, not for decisions. */
export const noiseMultiplier = (
  m: Pick<RoundMechanism, 'sensitivitySquared' | 'noiseVariance' | 'noiseShares'>,
) =>
  Math.sqrt(
    rationalToNumber(multiplyRational(m.noiseVariance, rational(m.noiseShares))) /
      Number(m.sensitivitySquared),
  );

/** Sum of two variances; independent noises add. */
export const addVariance = addRational;
