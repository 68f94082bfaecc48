/**
 * FedBuff (Nguyen et al. 2022, arXiv 2106.06639): what devices do and send is fedavg's; the server discounts a sum by the
 * releases that came since the version it started from (protos/plan-overlap.ts).
 *
 * Trusts: a validated plan. May be called by: protos/strategies/index.ts.
 */
import { plainTerms, type StrategyTerms, trainingIssue } from './strategy.ts';

export const fedbuff: StrategyTerms = {
  ...plainTerms,
  issues: ({ training }) =>
    training.proximalMu > 0
      ? [trainingIssue('proximalMu', 'fedbuff has no proximal term; fedprox and ditto have')]
      : [],
};
