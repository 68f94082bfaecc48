/**
 * w ← w + η·Δ: FedAvg (McMahan et al. 2017, arXiv 1602.05629; η = 1 is the plain average), and the server of every
 * strategy whose difference is the devices': FedProx (arXiv 1812.06127), FedPer, Ditto.
 *
 * Pure. May be called by: coordinator/aggregation.
 */
import { z } from 'zod';
import type { StrategyName } from '../../../protos/plan-training.ts';
import { learningRate, noMoments, type ServerStrategy } from './strategy.ts';

export const averageHyper = <Name extends StrategyName>(strategy: Name) =>
  z.strictObject({ strategy: z.literal(strategy), learningRate });

export interface AverageHyper<Name extends StrategyName> {
  readonly strategy: Name;
  readonly learningRate: number;
}

export const averaging = <Name extends StrategyName>(strategy: Name): ServerStrategy<AverageHyper<Name>> => ({
  hyperOf: ({ serverLearningRate }) => ({ strategy, learningRate: serverLearningRate }),
  initialMoments: noMoments,
  move: (hyper, delta) => hyper.learningRate * delta,
});
