import { expect, it } from 'vitest';
import { gainUnit } from '../../../protos/strategies/qfedavg.ts';
import { qfedavg } from './qfedavg.ts';

const CLIP = 2;
type Terms = Parameters<NonNullable<typeof qfedavg.direction>>[1];
const terms = { clip: CLIP, cohortCount: 10 } as unknown as Terms;

/** Ten devices that send f^q·Δ = (.3, 0) and h = .3; the last one may send another gain. */
const stepOf = (lastGain: number) => {
  const sum = Float64Array.of(10 * 0.3, 0, 9 * 0.3 * gainUnit(CLIP) + lastGain);
  const mean = qfedavg.mean(sum);
  return mean && Math.hypot(...qfedavg.direction(mean.mean, terms));
};

it('divides by the gains where all are honest', () => {
  expect(stepOf(0.3 * gainUnit(CLIP))).toBeCloseTo(1, 12);
});

it('never steps further than the clip, however near to zero a liar takes the gains', () => {
  const honest = 9 * 0.3 * gainUnit(CLIP);
  for (const left of [1e-3, 1e-9]) expect(stepOf(left - honest)!).toBeLessThanOrEqual(CLIP + 1e-9);
  expect(stepOf(-honest - 1e-9)).toBeNull();
});
