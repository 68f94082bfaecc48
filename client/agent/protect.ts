/**
 * From local rows to the signed digits that are sealed (DESIGN §2.4, §2.5, §2.12): the one place where raw data turns
 * into something that leaves the device.
 *
 * What a sum means: unit person and none: Σ of what the strategy makes of local training (docs/strategies.md), mostly
 * updates (trained − received), to be divided by the cohort; with weighting by records: Σ w·(update ‖ 1), to be divided
 * by its own last entry; unit record: Σ of clipped record
 * *gradients* at the received weights, to be divided by the plan's expected batch; evaluation: Σ of counts, label 0's
 * bins first. Trusts: an approved plan, local data; randomness from the caller (the CSPRNG outside simulations).
 * May be called by: agent.ts.
 */
import {
  type DigitLayout,
  NoisePool,
  PersonProtector,
  protectHistogram,
  protectPerson,
  protectRecords,
  toDigits,
} from '../../crypto/dp/mechanism.ts';
import { parseRational, type Rational, rationalToNumber } from '../../crypto/dp/rational.ts';
import { ensure } from '../../crypto/error.ts';
import type { RandomSource } from '../../crypto/random.ts';
import { scoreHistogram } from '../../protos/histogram-metrics.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { mechanismOfRound } from '../../protos/plan-mechanism.ts';
import { layoutOf } from '../../protos/plan-scheme.ts';
import type { RoundConfig } from '../../protos/round-config.ts';
import type { TrainEngine, TrainingData } from '../training/engine.ts';
import { localUpdate, modelOfDevice, type StrategyMemory } from '../training/strategies/index.ts';

export interface ProtectInput {
  readonly parsed: ParsedPlan;
  readonly config: RoundConfig;
  /** Received, verified: the model and what the strategy sends with it (protos/strategies). */
  readonly weights: Float32Array;
  readonly data: TrainingData;
  readonly engine: Pick<TrainEngine, 'train' | 'recordGradients' | 'predict'>;
  readonly random: RandomSource;
  /** Filled for this round before it trains; drawn at the end where absent (simulations). */
  readonly noise?: NoisePool;
  /** What this device keeps between the plan's rounds; strategies that keep something need it. */
  readonly memory?: StrategyMemory | undefined;
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

/**
 * The same for many devices' vectors of one training round, unit person or none: everything that follows from the plan is
 * derived once. For simulations, which train many devices at a time; `update` is what a strategy made of local epochs.
 */
export class RoundProtector {
  readonly #protector: PersonProtector;
  readonly #layout: DigitLayout;
  readonly #values: Int32Array;
  readonly #digits: Int32Array;

  constructor(parsed: ParsedPlan, config: RoundConfig) {
    const mechanism = mechanismOfRound(parsed, config);
    this.#protector = new PersonProtector(mechanism);
    this.#layout = layoutOf(parsed, config.kind);
    this.#values = new Int32Array(mechanism.dimension);
    this.#digits = new Int32Array(config.digitCount);
  }

  /** Holds until the next call. Throws DATA_INVALID, VECTOR_LENGTH_MISMATCH. */
  digits(update: Float64Array, random: RandomSource): Int32Array {
    this.#protector.protect(update, random, this.#values);
    toDigits(this.#values, this.#layout, this.#digits);
    this.#values.fill(0);
    return this.#digits;
  }
}

/** What the strategy makes of local epochs; one clipped vector stands for everything this device knows. */
async function protectedUpdate(input: ProtectInput): Promise<Int32Array> {
  const { parsed, config, random, noise } = input;
  const mechanism = mechanismOfRound(parsed, config);
  const { weights: blob, data, engine, memory } = input;
  const round = { plan: parsed.plan, round: config.round, clip: rationalToNumber(mechanism.clip) };
  const update = await localUpdate({ ...round, blob, data, engine, memory });
  return protectPerson(update, mechanism, random, noise);
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
  memory,
}: ProtectInput): Promise<Int32Array> {
  const { plan } = parsed;
  const parameters = mechanismOfRound(parsed, config);
  const model = await modelOfDevice({ plan, blob: weights, memory });
  // Every row of the table counts: eligibility.ts has refused a larger one, so no subset depends on the others.
  const scores = await engine.predict(plan.model, model, data.features, data.count);
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
  const labels = new (data.labels instanceof Float32Array ? Float32Array : Uint8Array)(indices.length);
  indices.forEach((row, at) => {
    labels[at] = data.labels[row]!;
  });
  return { features, labels, count: indices.length };
}
