/**
 * FedNova on the device: Δ/τ and τ, the number of its SGD steps (Wang et al. 2020, arXiv 2007.07481, §4).
 *
 * Trusts: an approved plan, verified weights, local data. May be called by: client/training/strategies/index.ts.
 */
import { stepUnit } from '../../../protos/strategies/fednova.ts';
import { difference, type LocalStrategy, modelOfRound, trainFrom } from './local.ts';
import { countSteps } from './steps.ts';

export const fednova: LocalStrategy = async (round) => {
  const model = modelOfRound(round);
  const steps = countSteps();
  const update = difference(await trainFrom(round, model, steps.option), model, model.length, 1);
  const taken = steps.count();
  for (let i = 0; i < model.length; i++) update[i] = update[i]! / taken;
  update[model.length] = taken * stepUnit(round.plan, round.clip);
  return update;
};
