/**
 * From local rows to the signed digits that are sealed (DESIGN §2.4, §2.5, §2.12): the one place where raw data turns
 * into something that leaves the device.
 *
 * What a sum means: unit person and none: Σ of updates (trained − received), to be divided by the cohort; with
 * weighting by records: Σ w·(update ‖ 1), to be divided by its own last entry; unit record: Σ of clipped record
 * *gradients* at the received weights, to be divided by the plan's expected batch; evaluation: Σ of counts, label 0's
 * bins first. Trusts: an approved plan, local data; randomness from the caller (the CSPRNG outside simulations).
 * May be called by: agent.ts.
 */
import {
  NoisePool,
  protectHistogram,
  protectPerson,
  protectRecords,
  toDigits,
} from '../../crypto/dp/mechanism.ts';
import { parseRational, type Rational } from '../../crypto/dp/rational.ts';
import { ensure } from '../../crypto/error.ts';
import type { RandomSource } from '../../crypto/random.ts';
import { scoreHistogram } from '../../protos/histogram-metrics.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { mechanismOfRound } from '../../protos/plan-mechanism.ts';
import { layoutOf } from '../../protos/plan-scheme.ts';
import type { RoundConfig } from '../../protos/round-config.ts';
import type { TrainEngine, TrainingData } from '../training/engine.ts';

export interface ProtectInput {
  readonly parsed: ParsedPlan;
  readonly config: RoundConfig;
  /** Received weights, verified. */
  readonly weights: Float32Array;
  readonly data: TrainingData;
  readonly engine: Pick<TrainEngine, 'train' | 'recordGradients' | 'predict'>;
  readonly random: RandomSource;
  /** Filled for this round before it trains; drawn at the end where absent (simulations). */
  readonly noise?: NoisePool;
}

/** The round's noise, drawn once the request that the caller has just made is on its way. */
export async function fillNoise(
  parsed: ParsedPlan,
  config: RoundConfig,
  random: RandomSource,
): Promise<NoisePool> {
  await new Promise(setImmediate);
  return new NoisePool(mechanismOfRound(parsed, config), random);
}

/** Digits of this device's contribution to one round. Throws DATA_INVALID, DATA_EMPTY, NOT_ELIGIBLE. */
export async function protectContribution(input: ProtectInput): Promise<Int32Array> {
  const { parsed, config } = input;
  const values = await protectedValues(input);
  const digits = toDigits(values, layoutOf(parsed, config.kind));
  values.fill(0);
  ensure(digits.length === config.digitCount, 'INTERNAL', 'digits do not fit the round');
  return digits;
}

function protectedValues(input: ProtectInput): Promise<Int32Array> {
  if (input.config.kind === 'evaluation') return protectedScores(input);
  return input.parsed.plan.privacy?.unit === 'record' ? protectedGradients(input) : protectedUpdate(input);
}

/** Local epochs; one clipped update stands for everything this device knows. */
async function protectedUpdate({
  parsed,
  config,
  weights,
  data,
  engine,
  random,
  noise,
}: ProtectInput): Promise<Int32Array> {
  const { plan } = parsed;
  const { epochs, batchSize, learningRate, proximalMu, l2, weighting } = plan.training;
  const trained = await engine.train(plan.model, weights, data, {
    epochs,
    batchSize,
    learningRate,
    proximalMu: plan.training.strategy === 'fedprox' ? proximalMu : 0,
    l2,
    seed: `${plan.seed}/${config.round}`,
  });
  const weighted = weighting === 'records';
  const weight = weighted ? data.count / plan.eligibility.recordsMax : 1;
  const update = new Float64Array(weights.length + (weighted ? 1 : 0));
  for (let i = 0; i < weights.length; i++) update[i] = weight * (trained[i]! - weights[i]!);
  if (weighted) update[weights.length] = weight;
  return protectPerson(update, mechanismOfRound(parsed, config), random, noise);
}

/** Gradients of a Poisson batch, each clipped, rotated and rounded by itself. The batch stays secret in here. */
async function protectedGradients({
  parsed,
  config,
  weights,
  data,
  engine,
  random,
  noise,
}: ProtectInput): Promise<Int32Array> {
  const { plan } = parsed;
  const parameters = mechanismOfRound(parsed, config);
  const rate = parseRational(plan.privacy?.samplingRate ?? '1');
  const batch = poissonBatch(data.count, rate, random);
  const rows = takeRows(data, batch, plan.model.inputs);
  // An empty batch still sends its noise: a silent client would tell that it was empty.
  const gradients =
    batch.length > 0 ? await engine.recordGradients(plan.model, weights, rows) : new Float32Array(0);
  return protectRecords(gradients, batch.length, parameters, random, noise);
}

/** Histograms of predicted scores, label 0 in bins [0, bins), label 1 in [bins, 2·bins). */
async function protectedScores({
  parsed,
  config,
  weights,
  data,
  engine,
  random,
  noise,
}: ProtectInput): Promise<Int32Array> {
  const { plan } = parsed;
  const parameters = mechanismOfRound(parsed, config);
  // Every row of the table counts: eligibility.ts has refused a larger one, so no subset depends on the others.
  const scores = await engine.predict(plan.model, weights, data.features, data.count);
  const counts = scoreHistogram(data.labels, scores, plan.evaluation.bins);
  return protectHistogram(counts, parameters, random, noise);
}

/** Each index on its own with probability exactly `rate`, by integer comparison (no rounding of the rate). */
export function poissonBatch(count: number, rate: Rational, random: RandomSource): number[] {
  ensure(
    rate.numerator >= 0n && rate.numerator <= rate.denominator,
    'PARAMETER_UNSAFE',
    'a sampling rate lies in [0, 1]',
  );
  if (rate.numerator === rate.denominator) return Array.from({ length: count }, (_, i) => i);
  const batch: number[] = [];
  for (let i = 0; i < count; i++) if (uniformBelow(rate.denominator, random) < rate.numerator) batch.push(i);
  return batch;
}

/** Uniform in [0, limit) by rejection. */
function uniformBelow(limit: bigint, random: RandomSource): bigint {
  const bits = limit.toString(2).length;
  const bytes = new Uint8Array(Math.ceil(bits / 8));
  const mask = (1n << BigInt(bits)) - 1n;
  for (;;) {
    random.fill(bytes);
    let value = 0n;
    for (const byte of bytes) value = (value << 8n) | BigInt(byte);
    value &= mask;
    if (value < limit) return value;
  }
}

function takeRows(data: TrainingData, indices: readonly number[], inputs: number): TrainingData {
  const features = new Float32Array(indices.length * inputs);
  indices.forEach((row, at) => {
    features.set(data.features.subarray(row * inputs, (row + 1) * inputs), at * inputs);
  });
  return { features, labels: Uint8Array.from(indices, (row) => data.labels[row]!), count: indices.length };
}
