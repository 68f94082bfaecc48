/**
 * FedBuff's server: v ← β·v + (1 + t)^(−1/2)·Δ; w ← w + η·v, t the releases between the version that the round started
 * from and w (Nguyen et al. 2022, arXiv 2106.06639, with its discount on whole sums; β = 0 is the paper's server).
 *
 * Momentum sees the discounted Δ. Pure. May be called by: coordinator/aggregation. docs/adr/0041.
 */
import { z } from 'zod';
import { stalenessDiscount } from '../../../protos/plan-overlap.ts';
import { beta, learningRate, momentumMoments, momentumMove, type ServerStrategy } from './strategy.ts';

export const fedbuffHyper = z.strictObject({ strategy: z.literal('fedbuff'), learningRate, momentum: beta });

export const fedbuff: ServerStrategy<z.infer<typeof fedbuffHyper>> = {
  hyperOf: ({ serverLearningRate, serverMomentum }) => ({
    strategy: 'fedbuff',
    learningRate: serverLearningRate,
    momentum: serverMomentum,
  }),
  initialMoments: momentumMoments,
  move: momentumMove,
  direction(mean, { staleness }) {
    if (staleness === 0) return mean;
    const discount = stalenessDiscount(staleness);
    return mean.map((value) => value * discount);
  },
};
