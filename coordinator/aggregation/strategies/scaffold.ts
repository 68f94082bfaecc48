/**
 * SCAFFOLD's server: w ← w + η·mean(Δy), c ← c + |S|/N·mean(Δc_i) (Karimireddy et al. 2020, arXiv 1910.06378, Algorithm
 * 1, lines 16–17). The blob is w ‖ c.
 *
 * Pure. May be called by: coordinator/aggregation. What is summed: protos/strategies/scaffold.ts.
 */
import { controlScaleOf } from '../../../protos/strategies/scaffold.ts';
import { averageHyper, averaging } from './fedavg.ts';

export const scaffoldHyper = averageHyper('scaffold');

export const scaffold = {
  ...averaging('scaffold'),
  move: (hyper, delta, _, i, dimension) => (i < dimension / 2 ? hyper.learningRate * delta : delta),
  direction(mean, { plan, cohortCount }) {
    const part = Math.min(1, cohortCount / plan.training.populationCount!) / controlScaleOf(plan);
    return mean.map((value, i) => (i < mean.length / 2 ? value : value * part));
  },
} satisfies ReturnType<typeof averaging<'scaffold'>>;
