/**
 * FedAvgM: v ← β·v + Δ; w ← w + η·v (Hsu et al. 2019, arXiv 1909.06335).
 *
 * Pure. May be called by: coordinator/aggregation.
 */
import { z } from 'zod';
import { beta, learningRate, momentumMoments, momentumMove, type ServerStrategy } from './strategy.ts';

export const fedavgmHyper = z.strictObject({ strategy: z.literal('fedavgm'), learningRate, momentum: beta });

export const fedavgm: ServerStrategy<z.infer<typeof fedavgmHyper>> = {
  hyperOf: ({ serverLearningRate, serverMomentum }) => ({
    strategy: 'fedavgm',
    learningRate: serverLearningRate,
    momentum: serverMomentum,
  }),
  initialMoments: momentumMoments,
  move: momentumMove,
};
