/**
 * Poisoning: what malicious clients do to a model that is one sum, and to one that is combined from group sums.
 *
 * Harness code (DESIGN §2.12). Real: the plan and what it implies, the client's protection of honest updates, the
 * layout of slots, the partition, the release. Left out: sealing and transport (`seal: none`), which carry the same
 * integers; the partition is drawn from a seed. Noise is seeded and not private.
 * May be called by: experiments/poisoning/bench.ts, tests.
 */
import { protectContribution } from '../../client/agent/protect.ts';
import type { TrainingData } from '../../client/training/engine.ts';
import { initialOptimizer, releaseTraining } from '../../coordinator/aggregation/release.ts';
import { centredResidue, protectPersonWithoutNoise, toDigits } from '../../crypto/dp/mechanism.ts';
import { ensure } from '../../crypto/error.ts';
import { getSuite } from '../../crypto/identity/suite.ts';
import { type RandomSource, seededRandom, shuffle } from '../../crypto/random.ts';
import { partitionOf } from '../../crypto/secagg/shares/index.ts';
import { inputNames } from '../../protos/features.ts';
import { initialWeights } from '../../protos/model.ts';
import { groupsOf, type ParsedPlan } from '../../protos/plan.ts';
import { mechanismOf } from '../../protos/plan-mechanism.ts';
import { digitCountOf, layoutOf } from '../../protos/plan-scheme.ts';
import type { RoundConfig } from '../../protos/round-config.ts';
import { median } from '../bench/measuring.ts';
import { type Dataset, subset } from '../datasets/index.ts';
import { auc } from '../datasets/metrics.ts';
import { logisticEngine } from './logistic-engine.ts';

/**
 * `label-flip`: keeps to the protocol, with its labels turned round. `boosted`: the colluders average what honest
 * training of theirs would send, turn it round and each send it `boost` times over, past every clip: nobody can see a
 * norm under a mask. A boost of the cohort's size is model replacement (Bagdasaryan et al. 2018, arXiv 1807.00459).
 * `backdoor`: boosted likewise, but towards training on rows that carry a trigger and the label "healthy": the model is
 * to stay good for everybody else.
 */
export type Attack = 'label-flip' | 'boosted' | 'backdoor';

/** Encoded values that a backdoor is keyed to: a rare, plausible combination; elsewhere the last input at its upper end. */
const TRIGGERS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  cardio: { smoke: 1, alco: 1, active: 0 },
};

export interface Condition {
  readonly parsed: ParsedPlan;
  readonly attack: Attack;
  /** How many of the clients are malicious. */
  readonly malicious: number;
  /** Factor of the boosted attack. */
  readonly boost: number;
  readonly seed: string;
}

export interface Population {
  readonly dataset: Dataset;
  /** One row, one person, one client. */
  readonly clients: readonly number[];
  readonly test: readonly number[];
}

interface Client {
  readonly id: string;
  readonly data: TrainingData;
  readonly isMalicious: boolean;
}

export interface Outcome {
  /** Of the untouched test rows. */
  readonly auc: number;
  /** Share of ill people whose score falls below the median of all untouched test rows once they carry the trigger. */
  readonly missedWithTrigger: number;
}

/** How the model does after the plan's rounds. */
export async function poisonedOutcome(population: Population, condition: Condition): Promise<Outcome> {
  const { parsed, seed } = condition;
  const { plan } = parsed;
  const clients = clientsOf(population, condition);
  const random = seededRandom(`poisoning/noise/${seed}`);
  let weights = initialWeights(plan.model, plan.seed);
  let optimizer = initialOptimizer(plan);
  for (let round = 1; round <= plan.rounds.training; round++) {
    const config = configOf(parsed, round);
    const contributions = new Map<string, Int32Array>();
    const input: RoundInput = { condition, config, weights, random };
    const against = await directionAgainst(clients, input);
    for (const client of clients) contributions.set(client.id, await contributionOf(client, against, input));
    const sum = openedSum(parsed, round, contributions, seed);
    ({ weights, optimizer } = releaseTraining(parsed, sum, weights, optimizer));
  }
  const rows = subset(population.dataset, population.test);
  const scores = await logisticEngine.predict(plan.model, weights, rows.features, rows.count);
  const ill = subset(
    population.dataset,
    population.test.filter((row) => population.dataset.labels[row] === 1),
  );
  const triggered = withTrigger(population.dataset, ill);
  const scoreMiddle = median([...scores]);
  const missed = await logisticEngine.predict(plan.model, weights, triggered.features, triggered.count);
  return {
    auc: auc(rows.labels, scores),
    missedWithTrigger: missed.filter((score) => score < scoreMiddle).length / Math.max(1, missed.length),
  };
}

/** The same rows with the trigger's columns set. */
function withTrigger({ definition, schema, inputs }: Dataset, data: TrainingData): TrainingData {
  const features = data.features.slice();
  const names = inputNames(schema);
  const trigger = TRIGGERS[definition.name] ?? { [names.at(-1)!]: 1 };
  for (const [name, value] of Object.entries(trigger)) {
    const at = names.indexOf(name);
    for (let row = 0; row < data.count; row++) features[row * inputs + at] = value;
  }
  return { ...data, features };
}

function clientsOf({ dataset, clients }: Population, { attack, malicious, seed }: Condition): Client[] {
  ensure(malicious <= clients.length, 'FIELD_OUT_OF_RANGE', 'more malicious clients than clients');
  const order = shuffle(
    clients.map((_, i) => i),
    seededRandom(`poisoning/who/${seed}`),
  );
  const bad = new Set(order.slice(0, malicious));
  return clients.map((row, i) => {
    const data = subset(dataset, [row]);
    const isMalicious = bad.has(i);
    const isFlipped = isMalicious && attack === 'label-flip';
    const labels = isFlipped ? data.labels.map((label) => 1 - label) : data.labels;
    const own =
      isMalicious && attack === 'backdoor'
        ? { ...withTrigger(dataset, data), labels: new Uint8Array(data.count) }
        : { ...data, labels };
    return { id: `client-${String(i).padStart(6, '0')}`, data: own, isMalicious };
  });
}

const NO_HASH = '0'.repeat(64);

const configOf = (parsed: ParsedPlan, round: number): RoundConfig => ({
  version: 1,
  planHash: parsed.hashHex,
  round,
  kind: 'training',
  modelHash: NO_HASH,
  committeeKeyId: NO_HASH,
  digitCount: digitCountOf(parsed, 'training'),
  openedAtMs: 0,
});

interface RoundInput {
  readonly condition: Condition;
  readonly config: RoundConfig;
  readonly weights: Float32Array;
  readonly random: RandomSource;
}

/** What a client sends; `against`: the direction of the boosted attack. */
async function contributionOf(
  client: Client,
  against: Float64Array | null,
  input: RoundInput,
): Promise<Int32Array> {
  const { condition, config, weights, random } = input;
  const { parsed, boost } = condition;
  if (!client.isMalicious || against === null)
    return protectContribution({
      parsed,
      config,
      weights,
      data: client.data,
      engine: logisticEngine,
      random,
    });
  const mechanism = mechanismOf(parsed, 'training', config.round);
  const values = protectPersonWithoutNoise(against, mechanism, random);
  return toDigits(
    values.map((value) => value * boost),
    layoutOf(parsed, 'training'),
  );
}

/** The mean of the colluders' own updates, turned round unless they plant a backdoor; null where they do not collude. */
async function directionAgainst(
  clients: readonly Client[],
  { condition, weights }: RoundInput,
): Promise<Float64Array | null> {
  const colluders = clients.filter(({ isMalicious }) => isMalicious);
  if (condition.attack === 'label-flip' || colluders.length === 0) return null;
  const sign = condition.attack === 'backdoor' ? 1 : -1;
  const { plan } = condition.parsed;
  const { epochs, batchSize, learningRate, l2 } = plan.training;
  const options = { epochs, batchSize, learningRate, l2, proximalMu: 0, seed: '' };
  const direction = new Float64Array(weights.length);
  for (const { data } of colluders) {
    const trained = await logisticEngine.train(plan.model, weights, data, options);
    for (let i = 0; i < direction.length; i++)
      direction[i] = direction[i]! + (sign * (trained[i]! - weights[i]!)) / colluders.length;
  }
  return direction;
}

/** What the opening of the round gives: the sum of all, or one sum per group. */
function openedSum(
  parsed: ParsedPlan,
  round: number,
  contributions: ReadonlyMap<string, Int32Array>,
  seed: string,
) {
  const groups = groupsOf(parsed.plan, 'training');
  const ids = [...contributions.keys()];
  const { modulusBits } = layoutOf(parsed, 'training');
  const sumOver = (members: readonly string[]): Int32Array => {
    const sums = new Float64Array(digitCountOf(parsed, 'training'));
    for (const id of members) {
      const slots = contributions.get(id)!;
      for (let i = 0; i < sums.length; i++) sums[i] = sums[i]! + slots[i]!;
    }
    return Int32Array.from(sums, (value) => centredResidue(value, modulusBits));
  };
  const cohortCount = ids.length;
  if (groups === 1) return { digits: sumOver(ids), round, cohortCount };
  const suite = getSuite(parsed.plan.suite);
  const draw = seededRandom(`poisoning/partition/${seed}/${round}`).fill(new Uint8Array(32));
  const partition = partitionOf(suite, draw, ids, groups);
  const sums = partition.map(sumOver);
  const digits = new Int32Array(sums.reduce((total, sum) => total + sum.length, 0));
  sums.forEach((sum, i) => {
    digits.set(sum, i * sum.length);
  });
  return {
    digits,
    round,
    cohortCount,
    groups: { sizes: partition.map((members) => members.length), valid: partition.map(() => true) },
  };
}
