/**
 * FedNova's server: w ← w + η·τ_eff·mean(Δ_i/τ_i), with τ_eff = mean(τ_i) (Wang et al. 2020, arXiv 2007.07481, eq. 8).
 *
 * Pure. May be called by: coordinator/aggregation. What is summed: protos/strategies/fednova.ts.
 */
import { stepUnit } from '../../../protos/strategies/fednova.ts';
import { averageHyper, averaging } from './fedavg.ts';

export const fednovaHyper = averageHyper('fednova');

export const fednova = {
  ...averaging('fednova'),
  direction(mean, { plan, clip }) {
    const length = mean.length - 1;
    // Noise may take it below zero, and a negative number of steps would climb.
    const steps = Math.max(0, mean[length]! / stepUnit(plan, clip));
    return mean.subarray(0, length).map((value) => value * steps);
  },
} satisfies ReturnType<typeof averaging<'fednova'>>;
