/**
 * Train from the received model, send the difference: FedAvg and its server-side relatives; with μ FedProx (Li et al.
 * 2020, arXiv 1812.06127).
 *
 * Trusts: an approved plan, verified weights, local data. May be called by: client/training/strategies/index.ts.
 */
import { difference, type LocalStrategy, modelOfRound, trainFrom } from './local.ts';

export const plain: LocalStrategy = async (round) => {
  const model = modelOfRound(round);
  const { strategy, proximalMu } = round.plan.training;
  const trained = await trainFrom(round, model, { proximalMu: strategy === 'fedprox' ? proximalMu : 0 });
  return difference(trained, model);
};
