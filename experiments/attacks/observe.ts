/**
 * What an attacker sees: one plain update, the opened sum of a cohort, or such a sum with the plan's noise in it.
 *
 * Harness code (DESIGN §2.12). Real: the plan, the client's protection, the decoding of an opened sum. Left out:
 * sealing and transport, which carry the same integers. Noise is seeded and not private.
 * May be called by: experiments/attacks.
 */
import { protectContribution } from '../../client/agent/protect.ts';
import { meanUpdate } from '../../coordinator/aggregation/release.ts';
import { centredResidue } from '../../crypto/dp/mechanism.ts';
import type { RandomSource } from '../../crypto/random.ts';
import { initialWeights } from '../../protos/model.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { digitCountOf, layoutOf } from '../../protos/plan-scheme.ts';
import type { RoundConfig } from '../../protos/round-config.ts';
import { type Dataset, subset } from '../datasets/index.ts';
import { logisticEngine } from '../poisoning/logistic-engine.ts';

const NO_HASH = '0'.repeat(64);

export interface Observation {
  readonly parsed: ParsedPlan;
  readonly dataset: Dataset;
  readonly random: RandomSource;
}

/** The first round: its model is public, so an attacker knows every client's update but for the client's row. */
export const firstWeights = ({ parsed }: Observation): Float32Array =>
  initialWeights(parsed.plan.model, parsed.plan.seed);

const configOf = (parsed: ParsedPlan): RoundConfig => ({
  version: 1,
  planHash: parsed.hashHex,
  round: 1,
  kind: 'training',
  modelHash: NO_HASH,
  committeeKeyId: NO_HASH,
  digitCount: digitCountOf(parsed, 'training'),
  openedAtMs: 0,
});

/** A client's update before any protection, in model units; d entries. */
export async function plainUpdate(observation: Observation, row: number): Promise<Float64Array> {
  const { parsed, dataset } = observation;
  const { plan } = parsed;
  const { epochs, batchSize, learningRate, l2 } = plan.training;
  const weights = firstWeights(observation);
  const options = { epochs, batchSize, learningRate, l2, proximalMu: 0, seed: '' };
  const trained = await logisticEngine.train(plan.model, weights, subset(dataset, [row]), options);
  return Float64Array.from(trained, (value, i) => value - weights[i]!);
}

/** The opened sum of the cohort `rows`, one row a client, decoded to model units; d entries. */
export async function openedUpdate(observation: Observation, rows: readonly number[]): Promise<Float64Array> {
  const { parsed, dataset, random } = observation;
  const config = configOf(parsed);
  const weights = firstWeights(observation);
  const sums = new Float64Array(config.digitCount);
  for (const row of rows) {
    const data = subset(dataset, [row]);
    const digits = await protectContribution({
      parsed,
      config,
      weights,
      data,
      engine: logisticEngine,
      random,
    });
    for (let i = 0; i < sums.length; i++) sums[i] = sums[i]! + digits[i]!;
  }
  const { modulusBits } = layoutOf(parsed, 'training');
  const digits = Int32Array.from(sums, (value) => centredResidue(value, modulusBits));
  const cohortCount = rows.length;
  return meanUpdate(parsed, { digits, round: 1, cohortCount }).map((value) => value * cohortCount);
}
