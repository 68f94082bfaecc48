/**
 * q-FedAvg on the device: F^q·Δ and h = q·F^(q−1)·L·‖Δ‖² + F^q (Li, Sanjabi, Beirami, Smith 2020, arXiv 1905.10497,
 * Algorithm 2, both divided by L), F in units of training.lossMax and at most 1 of them.
 *
 * Trusts: an approved plan, verified weights, local data. May be called by: client/training/strategies/index.ts.
 */
import { gainUnit } from '../../../protos/strategies/qfedavg.ts';
import { difference, type LocalStrategy, modelOfRound, squaredNorm, trainFrom } from './local.ts';
import { meanLoss } from './loss.ts';

/** A loss of 0 has no power below 0. */
const LOSS_MIN = 1e-6;

export const qfedavg: LocalStrategy = async (round) => {
  const { plan, data, engine, clip } = round;
  const { learningRate, fairness: q = 0, lossMax } = plan.training;
  const model = modelOfRound(round);
  const measured = meanLoss(data, await engine.predict(plan.model, model, data.features, data.count));
  const loss = Math.max(LOSS_MIN, Math.min(measured, lossMax ?? Number.POSITIVE_INFINITY));
  const gain = (loss / (lossMax ?? 1)) ** q;
  const update = difference(await trainFrom(round, model), model, model.length, 1);
  const curvature = (q * squaredNorm(update)) / (learningRate * loss);
  for (let i = 0; i < model.length; i++) update[i] = update[i]! * gain;
  update[model.length] = gain * (1 + curvature) * gainUnit(clip);
  return update;
};
