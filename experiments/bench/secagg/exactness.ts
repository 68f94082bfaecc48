/**
 * Opened sums against sums in plain integers: the check that comes before any time is taken.
 *
 * Trusts: nothing; benchmarks only. May be called by: secagg-bench.ts.
 */
import { type RandomSource, uniform } from '../../../crypto/random.ts';
import type { Secagg } from '../../../crypto/secagg/scheme.ts';
import type { PreparedCase } from './cases.ts';
import type { Committee, Upload } from './parties.ts';

export interface Opened {
  readonly sums: Int32Array;
  readonly openMs: number;
  readonly holderMs: number;
}

/** Folds, asks the committee and opens, as a round does. */
export function openUploads(
  secagg: Secagg,
  one: PreparedCase,
  committee: Committee,
  configHash: Uint8Array,
  uploads: readonly Upload[],
): Opened {
  const folder = secagg.folder(one.scheme);
  for (const { body } of uploads) folder.add(body);
  const { partials, holderMs } = committee.answer(one, configHash, uploads);
  const bodySum = folder.bytes();
  const start = performance.now();
  const sums = secagg.open(one.scheme, {
    configHash,
    bodySum,
    cohortCount: uploads.length,
    activeSet: committee.activeSet,
    partials,
  });
  return { sums, openMs: performance.now() - start, holderMs };
}

/** Coordinates that differ from the plain sum, centred modulo the slots' modulus. */
export function wrongCoordinates(one: PreparedCase, sums: Int32Array, uploads: readonly Upload[]): number {
  const { modulusBits } = one.layout;
  let wrong = 0;
  for (let i = 0; i < sums.length; i++) {
    let sum = 0;
    for (const { slots } of uploads) sum += slots[i]!;
    const centred = modulusBits === 32 ? sum | 0 : (sum << (32 - modulusBits)) >> (32 - modulusBits);
    if (sums[i] !== centred) wrong++;
  }
  return wrong;
}

/** A random cohort: each upload arrives with a probability that is itself drawn from [1/2, 1]. */
export function survivors(uploads: readonly Upload[], random: RandomSource): Upload[] {
  const keep = 0.5 + uniform(random) / 2;
  const cohort = uploads.filter(() => uniform(random) < keep);
  return cohort.length >= 2 ? cohort : uploads.slice(0, 2);
}
