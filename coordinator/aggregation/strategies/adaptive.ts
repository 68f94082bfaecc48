/**
 * The frame of Reddi et al. 2021 (arXiv 2003.00295, Algorithm 2): m ← β1·m + (1−β1)·Δ; u by the strategy's own rule;
 * w ← w + η·m/(√u + τ). No bias correction; u starts at τ², the smallest that the paper admits.
 *
 * Pure. May be called by: fedadam.ts, fedyogi.ts, fedadagrad.ts.
 */
import type { TrainingTerms } from '../../../protos/plan-training.ts';
import type { ServerStrategy } from './strategy.ts';

interface AdaptiveHyper {
  readonly learningRate: number;
  readonly beta1: number;
  readonly tau: number;
}

/** u after one step with the squared update `squared`. */
export type SecondMoment<Hyper> = (hyper: Hyper, before: number, squared: number) => number;

export const adaptive = <Hyper extends AdaptiveHyper>(
  hyperOf: (training: TrainingTerms) => Hyper,
  secondMoment: SecondMoment<Hyper>,
): ServerStrategy<Hyper> => ({
  hyperOf,
  initialMoments: ({ tau }, dimension) => ({
    first: new Float64Array(dimension),
    second: new Float64Array(dimension).fill(tau ** 2),
  }),
  move(hyper, delta, { first, second }, i) {
    const { learningRate, beta1, tau } = hyper;
    first[i] = beta1 * first[i]! + (1 - beta1) * delta;
    second[i] = secondMoment(hyper, second[i]!, delta * delta);
    return learningRate * (first[i]! / (Math.sqrt(second[i]!) + tau));
  },
});
