/**
 * FedPer on the device: the received layers and its own last ones train together; only the former's difference is sent
 * (Arivazhagan et al. 2019, arXiv 1912.00818, Algorithm 1).
 *
 * Trusts: an approved plan, verified weights, local data. May be called by: client/training/strategies/index.ts.
 */
import { sharedLength } from '../../../protos/strategies/index.ts';
import {
  difference,
  type LocalRound,
  type LocalStrategy,
  memoryOf,
  modelOfRound,
  recall,
  trainFrom,
} from './local.ts';

export const fedper: LocalStrategy = async (round) => {
  const shared = sharedLength(round.plan);
  const start = await fedperModel(round);
  const trained = await trainFrom(round, start);
  await memoryOf(round).save('personal', trained.slice(shared));
  return difference(trained, start, shared);
};

/** The received layers with this device's own after them. */
export async function fedperModel(
  round: Pick<LocalRound, 'plan' | 'blob' | 'memory'>,
): Promise<Float32Array> {
  const shared = sharedLength(round.plan);
  const model = modelOfRound(round).slice();
  const personal = await recall(round, 'personal', model.length - shared);
  if (personal) model.set(personal, shared);
  return model;
}
