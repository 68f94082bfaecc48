/**
 * Ditto on the device: beside FedAvg's difference, which is sent, personal weights v move on its own loss +
 * λ/2·‖v − w‖² (Li, Hu, Beirami, Smith 2021, arXiv 2012.04221, Algorithm 1). They are kept and never sent.
 *
 * An engine's proximal term pulls towards where training starts, here v; λ·(v₀ − w) in every gradient turns it to w.
 * Trusts: an approved plan, verified weights, local data. May be called by: client/training/strategies/index.ts.
 */
import { type LocalStrategy, memoryOf, modelOfRound, recall, trainFrom } from './local.ts';
import { plain } from './plain.ts';

export const ditto: LocalStrategy = async (round) => {
  const { proximalMu } = round.plan.training;
  const model = modelOfRound(round);
  const start = (await recall(round, 'personal', model.length)) ?? model;
  const gradientOffset = start.map((value, i) => proximalMu * (value - model[i]!));
  const personal = await trainFrom(round, start, { proximalMu, gradientOffset });
  await memoryOf(round).save('personal', personal);
  return plain(round);
};
