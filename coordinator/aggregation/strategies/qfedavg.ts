/**
 * q-FedAvg's server: w ← w + ΣF^q·Δ / Σh (Li, Sanjabi, Beirami, Smith 2020, arXiv 1905.10497, Algorithm 2); the server
 * learning rate multiplies it, 1 in the paper.
 *
 * Pure. May be called by: coordinator/aggregation. What is summed: protos/strategies/qfedavg.ts.
 */
import { gainUnit } from '../../../protos/strategies/qfedavg.ts';
import { averageHyper, averaging } from './fedavg.ts';

export const qfedavgHyper = averageHyper('qfedavg');

export const qfedavg = {
  ...averaging('qfedavg'),
  /** Per unit of gain: noise, or one device's lie, can take the sum of the gains below zero. */
  mean(sum) {
    const length = sum.length - 1;
    const gain = sum[length]!;
    return gain > 0 ? { mean: sum.subarray(0, length).map((value) => value / gain), count: gain } : null;
  },
  /**
   * Never longer than the clip, as no mean of clipped updates is: the sum of the gains may be next to nothing, by one
   * device's lie or by noise, and the quotient anything.
   */
  direction(mean, { clip }) {
    const direction = mean.map((value) => value * gainUnit(clip));
    const length = Math.hypot(...direction);
    return length > clip ? direction.map((value) => (value * clip) / length) : direction;
  },
} satisfies ReturnType<typeof averaging<'qfedavg'>>;
