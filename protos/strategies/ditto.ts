/**
 * Ditto (Li, Hu, Beirami, Smith 2021, arXiv 2012.04221, Algorithm 1): the common model is that of fedavg; beside it the
 * device trains a personal one on its own loss + λ/2·‖v − w‖² (λ is training.proximalMu). It is never sent.
 *
 * Trusts: a validated plan. May be called by: protos/strategies/index.ts.
 */
import { plainTerms, type StrategyTerms } from './strategy.ts';

export const ditto: StrategyTerms = {
  ...plainTerms,
  local: 'own',
  memory: 'personal',
  fields: ['proximalMu'],
};
