/**
 * FedAdam: u ← β2·u + (1−β2)·Δ² (Reddi et al. 2021, arXiv 2003.00295, Algorithm 2).
 *
 * Pure. May be called by: coordinator/aggregation.
 */
import { z } from 'zod';
import { adaptive } from './adaptive.ts';
import { beta, learningRate, tau } from './strategy.ts';

export const fedadamHyper = z.strictObject({
  strategy: z.literal('fedadam'),
  learningRate,
  beta1: beta,
  beta2: beta,
  tau,
});

export const fedadam = adaptive<z.infer<typeof fedadamHyper>>(
  ({ serverLearningRate, serverMomentum, beta2, tau }) => ({
    strategy: 'fedadam',
    learningRate: serverLearningRate,
    beta1: serverMomentum,
    beta2,
    tau,
  }),
  ({ beta2 }, before, squared) => beta2 * before + (1 - beta2) * squared,
);
