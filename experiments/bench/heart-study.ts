/**
 * Hyper-parameter study for uci-heart: which rounds, rate, clip and learning rate the demo plan should use.
 *
 * Harness code (DESIGN §2.12): all rows in one place, outside the guarantee. Training is plain Float64 here; the
 * private runs use the real integer pipeline (crypto/dp/mechanism.ts), the real calibration and the real server
 * optimiser, with seeded noise ("noise: seeded, not private") so that the figures can be repeated. It searches on the
 * test AUC of public seeds, as published benchmarks do; a deployment would have to charge such a search.
 * Run: node experiments/bench/heart-study.ts [--data DIR] [--search]
 */
import { parseArgs } from 'node:util';
import {
  initialServerState,
  type ServerHyper,
  serverStep,
} from '../../coordinator/aggregation/server-optimizer.ts';
import {
  centredResidue,
  decodeSum,
  digitLayout,
  fromDigits,
  type MechanismParameters,
  normBoundSquared,
  protectRecords,
  toDigits,
} from '../../crypto/dp/mechanism.ts';
import { calibrateNoiseVariance, noiseMultiplier } from '../../crypto/dp/plan-accounting.ts';
import {
  formatRational,
  parseRational,
  type Rational,
  rationalToNumber,
  ZERO,
} from '../../crypto/dp/rational.ts';
import { type RandomSource, seededRandom, uniform } from '../../crypto/random.ts';
import { findDataRoot, loadDataset } from '../datasets/index.ts';
import { auc } from '../datasets/metrics.ts';
import { bySite, splitPerSite } from '../datasets/splits.ts';
import type { Dataset } from '../datasets/types.ts';
import { mean } from './measuring.ts';

export const SEEDS = 20;
/** γ = 1/3 of K_min = 3 hospitals: ⌊(1−γ)·3⌋ noise shares; also ⌊(1−γ)·4⌋ = 2 of the 4 that take part. */
const NOISE_SHARES = 2;
const DELTA = 1e-5;

/** One seed's rows: features with a trailing 1 for the bias, row-major; dimension = inputs + 1. */
interface Fold {
  readonly seed: number;
  readonly dimension: number;
  readonly sites: readonly { readonly rows: Float64Array; readonly labels: Uint8Array }[];
  readonly test: { readonly rows: Float64Array; readonly labels: Uint8Array };
  readonly trainCount: number;
}

function gather(data: Dataset, indices: readonly number[]): { rows: Float64Array; labels: Uint8Array } {
  const d = data.inputs + 1;
  const rows = new Float64Array(indices.length * d);
  indices.forEach((row, i) => {
    rows.set(data.features.subarray(row * data.inputs, (row + 1) * data.inputs), i * d);
    rows[i * d + data.inputs] = 1;
  });
  return { rows, labels: Uint8Array.from(indices, (row) => data.labels[row]!) };
}

export function makeFolds(data: Dataset): Fold[] {
  return Array.from({ length: SEEDS }, (_, seed) => {
    const split = splitPerSite(data, String(seed));
    const sites = [...bySite(data, split.train).values()].map((rows) => gather(data, rows));
    return {
      seed,
      dimension: data.inputs + 1,
      sites,
      test: gather(data, split.test),
      trainCount: split.train.length,
    };
  });
}

const sigmoid = (z: number): number => 1 / (1 + Math.exp(-z));

function score(rows: Float64Array, weights: ArrayLike<number>): Float64Array {
  const d = weights.length;
  const out = new Float64Array(rows.length / d);
  for (let i = 0; i < out.length; i++) {
    let z = 0;
    for (let j = 0; j < d; j++) z += rows[i * d + j]! * weights[j]!;
    out[i] = sigmoid(z);
  }
  return out;
}

const testAuc = (fold: Fold, weights: ArrayLike<number>): number =>
  auc(fold.test.labels, score(fold.test.rows, weights));

/** Mean log-loss gradient over the rows, plus l2·w on all but the bias. */
function meanGradient(
  rows: Float64Array,
  labels: Uint8Array,
  weights: ArrayLike<number>,
  l2: number,
): Float64Array {
  const d = weights.length;
  const p = score(rows, weights);
  const gradient = new Float64Array(d);
  for (let i = 0; i < p.length; i++) {
    const residual = (p[i]! - labels[i]!) / p.length;
    for (let j = 0; j < d; j++) gradient[j] = gradient[j]! + residual * rows[i * d + j]!;
  }
  for (let j = 0; j < d - 1; j++) gradient[j] = gradient[j]! + l2 * weights[j]!;
  return gradient;
}

function descend(
  data: { rows: Float64Array; labels: Uint8Array },
  start: Float64Array,
  steps: number,
  learningRate: number,
  l2: number,
): Float64Array {
  const weights = start.slice();
  for (let step = 0; step < steps; step++) {
    const gradient = meanGradient(data.rows, data.labels, weights, l2);
    for (let j = 0; j < weights.length; j++) weights[j] = weights[j]! - learningRate * gradient[j]!;
  }
  return weights;
}

export function central(fold: Fold, steps: number, learningRate: number, l2: number): number {
  const rows = new Float64Array(fold.trainCount * fold.dimension);
  const labels = new Uint8Array(fold.trainCount);
  let at = 0;
  for (const site of fold.sites) {
    rows.set(site.rows, at * fold.dimension);
    labels.set(site.labels, at);
    at += site.labels.length;
  }
  return testAuc(fold, descend({ rows, labels }, new Float64Array(fold.dimension), steps, learningRate, l2));
}

export interface FederatedConfig {
  readonly rounds: number;
  /** Full-batch local epochs. */
  readonly epochs: number;
  readonly learningRate: number;
  readonly l2: number;
  readonly weighting: 'equal' | 'records';
  readonly server: ServerHyper;
}

/** No-DP FedAvg over the four hospitals. */
export function federated(fold: Fold, config: FederatedConfig): number {
  let weights = new Float32Array(fold.dimension);
  let state = initialServerState(config.server, fold.dimension);
  for (let round = 0; round < config.rounds; round++) {
    const delta = new Float64Array(fold.dimension);
    for (const site of fold.sites) {
      const local = descend(site, Float64Array.from(weights), config.epochs, config.learningRate, config.l2);
      const share =
        config.weighting === 'equal' ? 1 / fold.sites.length : site.labels.length / fold.trainCount;
      for (let j = 0; j < delta.length; j++) delta[j] = delta[j]! + share * (local[j]! - weights[j]!);
    }
    const next = serverStep(state, weights, delta, config.server);
    weights = next.weights as Float32Array<ArrayBuffer>;
    state = next.state;
  }
  return testAuc(fold, weights);
}

export interface PrivateConfig {
  readonly rounds: number;
  /** Poisson rate inside each hospital. */
  readonly samplingRate: string;
  readonly clip: string;
  readonly unitsPerClip: number;
  readonly server: ServerHyper;
}

/** Expected batch over the cohort: rate × a public nominal table size, never the realised one. */
export const NOMINAL_TRAIN_ROWS = 490;

export function privateMechanism(
  config: PrivateConfig,
  dimension: number,
  epsilon: number,
): {
  parameters: MechanismParameters;
  order: number;
  epsilon: number;
} {
  const parameters: MechanismParameters = {
    unit: 'record',
    dimension,
    clip: parseRational(config.clip),
    unitsPerClip: config.unitsPerClip,
    rotationSeed: new Uint8Array(32).fill(7),
    noiseVariance: ZERO,
    clients: 4,
    recordsMax: 303,
  };
  const calibrated = calibrateNoiseVariance({
    sensitivitySquared: normBoundSquared(parameters),
    noiseShares: NOISE_SHARES,
    samplingRate: parseRational(config.samplingRate),
    rounds: config.rounds,
    dimension,
    unit: 'record',
    epsilon,
    delta: DELTA,
  });
  return {
    parameters: { ...parameters, noiseVariance: calibrated.noiseVariance },
    order: calibrated.order,
    epsilon: calibrated.epsilon,
  };
}

/** The gradients of a Poisson batch of one hospital, row-major. */
function poissonGradients(
  site: { rows: Float64Array; labels: Uint8Array },
  weights: ArrayLike<number>,
  rate: Rational,
  random: RandomSource,
): { gradients: Float64Array; count: number } {
  const d = weights.length;
  const q = rationalToNumber(rate);
  const p = score(site.rows, weights);
  const gradients = new Float64Array(site.rows.length);
  let count = 0;
  for (let i = 0; i < p.length; i++) {
    if (q < 1 && uniform(random) >= q) continue;
    for (let j = 0; j < d; j++) gradients[count * d + j] = (p[i]! - site.labels[i]!) * site.rows[i * d + j]!;
    count++;
  }
  return { gradients: gradients.subarray(0, count * d), count };
}

/** DP-SGD over the four hospitals: every hospital protects, digits are summed, the sum is decoded. */
export function privateRun(
  fold: Fold,
  config: PrivateConfig,
  p: MechanismParameters,
  noiseSeed: string,
): number {
  const random = seededRandom(`heart-study/${noiseSeed}/${fold.seed}`);
  const rate = parseRational(config.samplingRate);
  const layout = digitLayout(p);
  const batch = rationalToNumber(rate) * NOMINAL_TRAIN_ROWS;
  let weights = new Float32Array(fold.dimension);
  let state = initialServerState(config.server, fold.dimension);
  for (let round = 0; round < config.rounds; round++) {
    const sums = new Int32Array(fold.dimension * layout.digitCount);
    for (const site of fold.sites) {
      const { gradients, count } = poissonGradients(site, weights, rate, random);
      const digits = toDigits(protectRecords(gradients, count, p, random), layout);
      for (let i = 0; i < sums.length; i++) sums[i] = sums[i]! + digits[i]!;
    }
    const opened = sums.map((value) => centredResidue(value));
    const sum = decodeSum(fromDigits(opened, layout, fold.dimension), p);
    const next = serverStep(
      state,
      weights,
      sum.map((g) => -g / batch),
      config.server,
    );
    weights = next.weights as Float32Array<ArrayBuffer>;
    state = next.state;
  }
  return testAuc(fold, weights);
}

/** What the demo plan uses (docs: README of the demo). Found with `--search`; figures are printed by a plain run. */
export const CHOSEN = {
  central: { steps: 200, learningRate: 1, l2: 0 },
  federated: {
    rounds: 5,
    epochs: 20,
    learningRate: 1,
    l2: 0,
    weighting: 'records',
    server: { strategy: 'fedavg', learningRate: 1 },
  },
  /** Poisson batches inside each hospital: RDP filter at the calibrated integer order. */
  poisson: {
    rounds: 6,
    samplingRate: '1/2',
    clip: '1',
    unitsPerClip: 32,
    server: { strategy: 'fedadam', learningRate: 0.6, beta1: 0.3, beta2: 0.9, tau: 0.03 },
  },
  /** All records every round: fewest rounds, zCDP, no sampling to attest. */
  fullBatch: {
    rounds: 5,
    samplingRate: '1',
    clip: '1',
    unitsPerClip: 32,
    server: { strategy: 'fedadam', learningRate: 0.8, beta1: 0.5, beta2: 0.9, tau: 0.03 },
  },
} as const satisfies {
  central: { steps: number; learningRate: number; l2: number };
  federated: FederatedConfig;
  poisson: PrivateConfig;
  fullBatch: PrivateConfig;
};

/** Mean over the folds for each noise draw: mean, worst and standard deviation over the draws. */
export function privateFigures(
  folds: readonly Fold[],
  config: PrivateConfig,
  epsilon: number,
  draws: number,
) {
  const { parameters, order, epsilon: reached } = privateMechanism(config, folds[0]!.dimension, epsilon);
  const values = Array.from({ length: draws }, (_, draw) =>
    mean(folds.map((fold) => privateRun(fold, config, parameters, `${epsilon}/${draw}`))),
  );
  const average = mean(values);
  return {
    epsilon: reached,
    order,
    noiseVariance: formatRational(parameters.noiseVariance),
    multiplier: noiseMultiplier({
      sensitivitySquared: normBoundSquared(parameters),
      noiseVariance: parameters.noiseVariance,
      noiseShares: NOISE_SHARES,
    }),
    mean: average,
    worst: Math.min(...values),
    deviation: Math.sqrt(mean(values.map((value) => (value - average) ** 2))),
  };
}

/** A small grid around the chosen values, one line per configuration. */
function search(folds: readonly Fold[]): void {
  for (const rounds of [4, 5, 6, 8])
    for (const samplingRate of ['1', '1/2'])
      for (const clip of ['0.5', '1', '1.5'])
        for (const [learningRate, beta1] of [
          [0.4, 0.5],
          [0.6, 0.3],
          [0.8, 0.5],
        ] as const) {
          const server = { strategy: 'fedadam', learningRate, beta1, beta2: 0.9, tau: 0.03 } as const;
          const config = { rounds, samplingRate, clip, unitsPerClip: 32, server };
          const [three, one] = [3, 1].map((epsilon) => privateFigures(folds, config, epsilon, 3));
          process.stdout.write(
            `${rounds} rounds, q ${samplingRate}, clip ${clip}, lr ${learningRate}, beta1 ${beta1}: ` +
              `eps 3 ${three!.mean.toFixed(4)} (${three!.worst.toFixed(4)}), ` +
              `eps 1 ${one!.mean.toFixed(4)} (${one!.worst.toFixed(4)})\n`,
          );
        }
}

function report(folds: readonly Fold[]): void {
  const { steps, learningRate, l2 } = CHOSEN.central;
  const centralAuc = mean(folds.map((fold) => central(fold, steps, learningRate, l2)));
  const line = (name: string, value: number, atLeast: number, more = '') =>
    process.stdout.write(
      `${name.padEnd(28)} ${value.toFixed(4)}  needs ${atLeast.toFixed(4)}  ${value >= atLeast ? 'ok' : 'BELOW'}${more}\n`,
    );
  process.stdout.write('uci-heart, mean pooled test AUC over seeds 0-19; noise: seeded, not private\n');
  line('central', centralAuc, 0.86);
  line('fedavg without DP', mean(folds.map((fold) => federated(fold, CHOSEN.federated))), centralAuc - 0.005);
  for (const [name, config] of [
    ['poisson', CHOSEN.poisson],
    ['full batch', CHOSEN.fullBatch],
  ] as const)
    for (const [epsilon, loss] of [
      [3, 0.01],
      [1, 0.045],
    ] as const) {
      const figures = privateFigures(folds, config, epsilon, 10);
      line(
        `${name}, ε = ${epsilon}`,
        figures.mean,
        centralAuc - loss,
        `  worst of 10 draws ${figures.worst.toFixed(4)}, sd ${figures.deviation.toFixed(4)}, ε ${figures.epsilon.toFixed(6)}, ` +
          `order ${Number(figures.order.toFixed(3))}, variance ${figures.noiseVariance}, multiplier ${figures.multiplier.toFixed(3)}`,
      );
    }
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { data: { type: 'string' }, search: { type: 'boolean' } } });
  const dataset = await loadDataset('uci-heart', { dataRoot: findDataRoot(values.data) });
  const folds = makeFolds(dataset);
  if (values.search) search(folds);
  else report(folds);
}
