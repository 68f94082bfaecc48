/**
 * FedYogi: u ← u − (1−β2)·Δ²·sign(u − Δ²) (Reddi et al. 2021, arXiv 2003.00295, Algorithm 2): u moves by at most
 * (1−β2)·Δ², so that one large round does not shorten all later steps. From u ≥ 0 it stays ≥ 0.
 *
 * Pure. May be called by: coordinator/aggregation.
 */
import { z } from 'zod';
import { adaptive } from './adaptive.ts';
import { beta, learningRate, tau } from './strategy.ts';

export const fedyogiHyper = z.strictObject({
  strategy: z.literal('fedyogi'),
  learningRate,
  beta1: beta,
  beta2: beta,
  tau,
});

export const fedyogi = adaptive<z.infer<typeof fedyogiHyper>>(
  ({ serverLearningRate, serverMomentum, beta2, tau }) => ({
    strategy: 'fedyogi',
    learningRate: serverLearningRate,
    beta1: serverMomentum,
    beta2,
    tau,
  }),
  ({ beta2 }, before, squared) => before - (1 - beta2) * squared * Math.sign(before - squared),
);
