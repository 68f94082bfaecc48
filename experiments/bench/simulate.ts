/**
 * `pulsefold bench simulate`: how fast the simulator is. (a) Logistic regression on 1,000 clients, 10 a round, 100 rounds,
 * batch 10, learning rate .03, the workload that FLUTE and Flower state figures for, on synthetic digits of MNIST's shape.
 * (b) What a round's time depends on: cohort × parameters, and not the population.
 *
 * Every run drives the real rounds (experiments/simulation). Trusts: nothing; benchmarks only.
 */
import { loadKernelEngine } from '../../client/training/kernel-engine.ts';
import { modelSpecSchema } from '../../protos/model.ts';
import { finishPlan, type ParsedPlan } from '../../protos/plan.ts';
import { type Parties, simulationParties } from '../simulation/parties.ts';
import type { VirtualPopulation } from '../simulation/population.ts';
import { type SimulationLabel, simulate } from '../simulation/simulate.ts';
import { featuresFor } from './made-up-features.ts';
import { median } from './measuring.ts';
import {
  DIGIT_CLASSES,
  DIGIT_SIDE,
  type Digits,
  type DigitTerms,
  exportDigits,
  generatorOf,
  makeDigits,
} from './simulate-digits.ts';

const CLIENTS = 1000;
const SEED = 'bench';
const TERMS: DigitTerms = { rounds: 100, cohort: 10, batch: 10, epochs: 1, learningRate: 0.03, seed: SEED };
const ROUND_TIMES = {
  checkInWindowMs: 60_000,
  deadlineMs: 600_000,
  stragglerMs: 60_000,
  holderDeadlineMs: 60_000,
};
/** Beyond what a client's update ever measures: without privacy the clip only sizes the integers. */
const DIGITS_CLIP = '16';

export interface DigitsRow {
  readonly bench: 'simulate-digits';
  readonly contender: 'pulsefold';
  readonly version: string;
  readonly clients: number;
  readonly cohort: number;
  readonly rounds: number;
  /** From the first round's opening to the last release. */
  readonly seconds: number;
  /** Modules, threads and data before that. */
  readonly startupSeconds: number;
  readonly roundsPerSecond: number;
  readonly accuracy: number;
  readonly label: SimulationLabel;
}

export interface DigitsBenchOptions {
  readonly version: string;
  readonly exportDirectory?: string;
  readonly workers?: number;
  readonly onRound?: (round: number, rounds: number) => void;
}

export async function runDigitsBench(options: DigitsBenchOptions): Promise<DigitsRow> {
  const startMs = performance.now();
  const digits = makeDigits({ clients: CLIENTS, seed: SEED });
  if (options.exportDirectory !== undefined) exportDigits(options.exportDirectory, digits, TERMS);
  const parties = simulationParties('intl', SEED);
  const parsed = digitsPlan(parties);
  const result = await simulate(parsed, parties, digits.population, {
    seal: 'none',
    identity: 'none',
    store: 'memory',
    noise: 'seeded',
    seed: SEED,
    // Ten clients are too little work to be shared out.
    workers: options.workers ?? 0,
    onRound: ({ round }) => options.onRound?.(round, TERMS.rounds),
  });
  const seconds = result.rounds.reduce((sum, { elapsedMs }) => sum + elapsedMs, 0) / 1000;
  return {
    bench: 'simulate-digits',
    contender: 'pulsefold',
    version: options.version,
    clients: CLIENTS,
    cohort: TERMS.cohort,
    rounds: result.rounds.length,
    seconds,
    startupSeconds: (performance.now() - startMs) / 1000 - seconds,
    roundsPerSecond: result.rounds.length / seconds,
    accuracy: await accuracyOf(parsed, result.weights, digits),
    label: result.label,
  };
}

async function accuracyOf({ plan }: ParsedPlan, weights: Float32Array, { test }: Digits): Promise<number> {
  const engine = await loadKernelEngine();
  const scores = await engine.predict(plan.model, weights, test.features, test.count);
  let right = 0;
  for (let row = 0; row < test.count; row++) {
    const own = scores.subarray(row * DIGIT_CLASSES, (row + 1) * DIGIT_CLASSES);
    if (own.indexOf(Math.max(...own)) === test.labels[row]) right++;
  }
  return right / test.count;
}

interface PlanTerms {
  readonly name: string;
  readonly inputs: number;
  readonly classes: number | null;
  readonly rounds: number;
  readonly cohort: number;
  readonly training: object;
  readonly mechanism: object;
  readonly privacy: object | null;
}

function planOf(parties: Parties, terms: PlanTerms): ParsedPlan {
  const { inputs, classes } = terms;
  const label = classes
    ? { column: 'label', classes: Array.from({ length: classes }, (_, i) => `class-${i}`) }
    : { column: 'label', positive: { above: 0.5 } };
  return finishPlan({
    version: 1,
    name: terms.name,
    purpose: 'A benchmark of the simulator on made-up data.',
    suite: 'intl',
    seed: SEED,
    features: {
      dataset: 'made-up',
      label,
      // Devices here hold encoded rows: nothing is read through this schema.
      features: featuresFor(inputs),
      complete: true,
    },
    model: modelSpecSchema.parse({
      kind: 'lr',
      inputs,
      hidden: [],
      activation: 'relu',
      ...(classes ? { output: { kind: 'classes', count: classes } } : {}),
    }),
    training: terms.training,
    rounds: {
      training: terms.rounds,
      spare: 0,
      cohortMin: Math.max(2, Math.floor(terms.cohort * 0.9)),
      cohortTarget: terms.cohort,
      cohortMax: terms.cohort,
      ...ROUND_TIMES,
    },
    eligibility: { recordsMin: 1, recordsMax: 1000 },
    mechanism: terms.mechanism,
    privacy: terms.privacy,
    aggregation: { transport: 'shares' },
    holders: parties.holders,
    registrarSha256: parties.registrarSha256,
    coordinatorPublicKey: parties.coordinatorPublicKey,
  });
}

const digitsPlan = (parties: Parties): ParsedPlan =>
  planOf(parties, {
    name: 'bench-digits',
    inputs: DIGIT_SIDE * DIGIT_SIDE,
    classes: DIGIT_CLASSES,
    rounds: TERMS.rounds,
    cohort: TERMS.cohort,
    // Weighted by rows, as the others' FedAvg is.
    training: {
      strategy: 'fedavg',
      epochs: TERMS.epochs,
      batchSize: TERMS.batch,
      learningRate: TERMS.learningRate,
      weighting: 'records',
    },
    mechanism: { clip: DIGITS_CLIP, unitsPerClip: 2 ** 20 },
    privacy: null,
  });

export interface ScalingRow {
  readonly bench: 'simulate-scaling';
  readonly varied: 'cohort' | 'parameters' | 'population';
  readonly population: number;
  readonly cohort: number;
  readonly parameters: number;
  /** Medians over the rounds but the first: real time, and processor time of all threads, which other load blurs less. */
  readonly roundMs: number;
  readonly roundCpuMs: number;
  readonly devicesPerSecond: number;
}

/** Each thing once, twice, four and eight times: work that grows with it lies on a straight line. */
const SCALE = [1, 2, 4, 8];
const SCALING = {
  cohort: { population: 20_000, cohort: 1000, inputs: 1024, rounds: 5 },
  parameters: { population: 20_000, cohort: 4000, inputs: 128, rounds: 5 },
  population: { population: 125_000, cohort: 2000, inputs: 32, rounds: 5 },
};

export interface ScalingOptions {
  readonly onRow: (row: ScalingRow) => void;
  readonly onProgress?: (done: number, total: number, what: string) => void;
}

/** One-row devices under person-level privacy; one thing is varied at a time. */
export async function runScalingBench({ onRow, onProgress }: ScalingOptions): Promise<ScalingRow[]> {
  const cases = [
    ...SCALE.map((by) => ({ varied: 'cohort' as const, ...times(SCALING.cohort, { cohort: by }) })),
    ...SCALE.map((by) => ({ varied: 'parameters' as const, ...times(SCALING.parameters, { inputs: by }) })),
    ...SCALE.map((by) => ({
      varied: 'population' as const,
      ...times(SCALING.population, { population: by }),
    })),
  ];
  const rows: ScalingRow[] = [];
  for (const [i, one] of cases.entries()) {
    onProgress?.(i, cases.length, `${one.varied}: ${one.cohort} of ${one.population}, ${one.inputs} inputs`);
    const row = await scalingRow(one);
    rows.push(row);
    onRow(row);
  }
  onProgress?.(cases.length, cases.length, 'done');
  return rows;
}

interface ScalingCase {
  readonly population: number;
  readonly cohort: number;
  readonly inputs: number;
  readonly rounds: number;
}

const times = (
  one: ScalingCase,
  { population = 1, cohort = 1, inputs = 1 }: Partial<Omit<ScalingCase, 'rounds'>>,
): ScalingCase => ({
  population: population * one.population,
  cohort: cohort * one.cohort,
  inputs: inputs * one.inputs,
  rounds: one.rounds,
});

async function scalingRow(one: ScalingCase & Pick<ScalingRow, 'varied'>): Promise<ScalingRow> {
  const { varied, population: count, cohort, inputs, rounds } = one;
  const parties = simulationParties('intl', SEED);
  const parsed = planOf(parties, {
    name: 'bench-scaling',
    inputs,
    classes: null,
    rounds,
    cohort,
    training: { strategy: 'fedavg', epochs: 1, batchSize: 1, learningRate: 0.5 },
    mechanism: { clip: '1', unitsPerClip: 64 },
    privacy: { unit: 'person', epsilon: '100', delta: '1/1000000', gamma: '1/10', noiseVariance: '4096' },
  });
  const cpuMs: number[] = [];
  const result = await simulate(parsed, parties, onePersonEach(count, inputs), {
    seal: 'none',
    identity: 'none',
    store: 'memory',
    noise: 'seeded',
    seed: SEED,
    onRound: () => {
      const { user, system } = process.cpuUsage();
      cpuMs.push((user + system) / 1000);
    },
  });
  const roundMs = median(result.rounds.slice(1).map(({ elapsedMs }) => elapsedMs));
  return {
    bench: 'simulate-scaling',
    varied,
    population: count,
    cohort,
    parameters: result.weights.length,
    roundMs,
    roundCpuMs: median(cpuMs.slice(1).map((value, i) => value - cpuMs[i]!)),
    devicesPerSecond: (1000 * cohort) / roundMs,
  };
}

/** Rows of independent uniforms, one per device. */
function onePersonEach(count: number, inputs: number): VirtualPopulation {
  const next = generatorOf(`scaling/${inputs}`);
  const features = new Float32Array(new SharedArrayBuffer(4 * count * inputs));
  const labels = new Uint8Array(new SharedArrayBuffer(count));
  for (let row = 0; row < count; row++) {
    let score = 0;
    for (let i = 0; i < inputs; i++) {
      const value = 2 * next() - 1;
      features[row * inputs + i] = value;
      score += i % 2 === 0 ? value : -value;
    }
    labels[row] = score > 0 ? 1 : 0;
  }
  return {
    table: { features, labels, count },
    offsets: Uint32Array.from({ length: count + 1 }, (_, i) => i),
    inputs,
  };
}
