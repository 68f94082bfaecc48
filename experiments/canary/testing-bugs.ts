/**
 * The list of seeded bugs, each with the check that must see it.
 *
 * For tests of experiments/canary only.
 */
import type { ParsedPlan } from '../../protos/plan.ts';
import type { CanarySubject } from './pipeline.ts';
import {
  doubleBit,
  doubleClip,
  floatNoise,
  halfDeviation,
  halfVariance,
  lostBit,
  noiseOfCohort,
  reusedNoise,
  roundedSum,
  thinnedSurvivors,
  tinySensitivity,
  unclippedLayer,
  weightsIgnored,
} from './testing-weakened.ts';

export interface SeededBug {
  readonly name: string;
  readonly subject: (parsed: ParsedPlan) => CanarySubject;
  /** Part of the name of the check that is made for it. */
  readonly check: string;
}

const COMMON: readonly SeededBug[] = [
  { name: 'half noise (deviation)', subject: halfDeviation, check: 'noise' },
  { name: 'half noise (variance)', subject: halfVariance, check: 'noise' },
  { name: 'an unclipped layer', subject: unclippedLayer, check: 'clip' },
  { name: 'clip twice the sensitivity', subject: doubleClip, check: 'clip, whole' },
  { name: 'sensitivity 1e-4 of the clip', subject: tinySensitivity, check: 'noise' },
  { name: 'thinned survivors', subject: thinnedSurvivors, check: 'noise' },
  { name: 'weights ignored', subject: weightsIgnored, check: 'clip, whole' },
  { name: 'float sums: noise of reals', subject: floatNoise, check: 'support' },
  { name: 'float sums: lowest bit lost', subject: lostBit, check: 'low bits' },
  { name: 'noise reused', subject: reusedNoise, check: 'freshness' },
];

const RECORD: readonly SeededBug[] = [
  {
    name: 'float sums: rounded once, to nearest',
    subject: (parsed) => roundedSum(parsed, false),
    check: 'rounding',
  },
  {
    name: 'float sums: rounded once, stochastically',
    subject: (parsed) => roundedSum(parsed, true),
    check: 'rounding',
  },
];

/** Of plans that open groups. */
export const GROUP_BUGS: readonly SeededBug[] = [
  { name: "a group with the whole cohort's noise", subject: noiseOfCohort, check: 'noise' },
];

/** Of plans whose clip adapts. */
export const ADAPTIVE_BUGS: readonly SeededBug[] = [
  { name: 'a bit of twice its units', subject: doubleBit, check: 'clip bit' },
];

/** A person's update is one vector, so only hospitals can round a sum of them. */
export const seededBugs = (unit: 'person' | 'record'): readonly SeededBug[] =>
  unit === 'record' ? [...COMMON, ...RECORD] : COMMON;
