/**
 * SCAFFOLD on the device, option II (Karimireddy et al. 2020, arXiv 1910.06378, Algorithm 1): every step goes along
 * g − c_i + c; then c_i⁺ = c_i − c + (x − y)/(K·η). Sends (Δy ‖ scale·Δc_i), keeps c_i.
 *
 * Where the two together exceed the clip, the device moves its own c_i by the same clipped Δc_i that it sends, so that
 * the server's c stays the mean of what devices keep. Rounding and noise are not repeated on the device.
 * Trusts: an approved plan, verified weights, local data. May be called by: client/training/strategies/index.ts.
 */
import { controlScaleOf } from '../../../protos/strategies/scaffold.ts';
import {
  difference,
  type LocalStrategy,
  memoryOf,
  modelOfRound,
  recall,
  squaredNorm,
  trainFrom,
} from './local.ts';
import { countSteps } from './steps.ts';

export const scaffold: LocalStrategy = async (round) => {
  const { plan, blob, clip } = round;
  const model = modelOfRound(round);
  const length = model.length;
  const common = blob.subarray(length);
  const own = (await recall(round, 'control', length)) ?? new Float32Array(length);
  const gradientOffset = common.map((value, i) => value - own[i]!);
  const steps = countSteps();
  const trained = await trainFrom(round, model, { gradientOffset, ...steps.option });
  const update = difference(trained, model, length, length);
  const scale = controlScaleOf(plan);
  const perStep = steps.count() * plan.training.learningRate;
  for (let i = 0; i < length; i++) update[length + i] = -scale * (common[i]! + update[i]! / perStep);
  const norm = Math.sqrt(squaredNorm(update));
  const sent = norm > clip ? clip / norm / scale : 1 / scale;
  const kept = own.map((value, i) => value + sent * update[length + i]!);
  await memoryOf(round).save('control', kept);
  return update;
};
