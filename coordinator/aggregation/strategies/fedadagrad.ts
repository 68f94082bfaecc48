/**
 * FedAdagrad: u ← u + Δ² (Reddi et al. 2021, arXiv 2003.00295, Algorithm 2; with β1 = 0 that of the paper's experiments).
 *
 * Pure. May be called by: coordinator/aggregation.
 */
import { z } from 'zod';
import { adaptive } from './adaptive.ts';
import { beta, learningRate, tau } from './strategy.ts';

export const fedadagradHyper = z.strictObject({
  strategy: z.literal('fedadagrad'),
  learningRate,
  beta1: beta,
  tau,
});

export const fedadagrad = adaptive<z.infer<typeof fedadagradHyper>>(
  ({ serverLearningRate, serverMomentum, tau }) => ({
    strategy: 'fedadagrad',
    learningRate: serverLearningRate,
    beta1: serverMomentum,
    tau,
  }),
  (_, before, squared) => before + squared,
);
