/**
 * `pulsefold simulate`: one seed of an experiment file, with figures of the run itself: time, rate, memory, bytes.
 *
 * The model is tested on the harness's test rows at the end (DESIGN §2.12). `pulsefold run` makes studies of many seeds.
 * May be called by: cli/commands/simulate.ts, experiments.
 */
import { seededRandom, shuffle } from '../../crypto/random.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { findDataRoot, subset } from '../datasets/index.ts';
import { Evaluator } from '../runs/evaluator.ts';
import { atPlanField, type Point, readExperiment } from '../runs/experiment.ts';
import { planOf } from '../runs/plan-of.ts';
import { type ExperimentScenario, loadExperimentDataset, scenarioOf } from '../runs/scenario.ts';
import type { MetricValues } from '../runs/task-metrics.ts';
import type { AvailabilityOptions } from './availability.ts';
import { loadEngine } from './engines.ts';
import { type Parties, simulationParties } from './parties.ts';
import { populationOf, type VirtualPopulation } from './population.ts';
import {
  type SimulatedRound,
  type SimulationLabel,
  type SimulationOptions,
  type SimulationResult,
  simulate,
} from './simulate.ts';

export interface StudyOptions {
  readonly file: string;
  readonly dataDirectory?: string;
  /** Instead of what the file says. */
  readonly seal?: SimulationOptions['seal'];
  readonly identity?: SimulationOptions['identity'];
  readonly devicesAs?: NonNullable<SimulationOptions['devices']>;
  readonly store?: SimulationOptions['store'];
  readonly directory?: string;
  readonly rounds?: number;
  readonly workers?: number;
  readonly seed?: string;
  /** Fewer devices than the data makes: drawn by the seed. More: its rows are dealt out again and again. */
  readonly devices?: number;
  /** Devices of a round. */
  readonly cohort?: number;
  readonly onStart?: (plan: ParsedPlan, devices: number) => void;
  readonly onRound?: (round: SimulatedRound) => void;
}

export interface StudyReport {
  readonly kind: 'simulation';
  readonly experiment: string;
  readonly planHash: string;
  readonly label: SimulationLabel;
  readonly population: 'one client, one device' | 'rows of the data set, dealt out again and again';
  readonly devices: number;
  readonly parameters: number;
  readonly rounds: number;
  readonly cohortMax: number;
  /** Plan to last release, without reading the data and calibrating the noise. */
  readonly seconds: number;
  readonly setupSeconds: number;
  readonly devicesPerSecond: number;
  readonly peakRssBytes: number;
  readonly epsilonSpent: number | null;
  readonly epsilon: string | null;
  readonly delta: string | null;
  readonly metrics: MetricValues;
  readonly totals: SimulationResult['totals'];
  readonly perDevice: SimulationResult['perDevice'];
  readonly logRoot: string;
  /** Whether the same file and options give this root again. */
  readonly logRepeats: boolean;
}

export async function runStudy(options: StudyOptions): Promise<StudyReport> {
  const startMs = performance.now();
  const { point, scenario } = await load(options);
  const { experiment } = point;
  const parties = simulationParties(experiment.suite, scenario.seed);
  const parsed = planFor(point, parties, scenario);
  const { population, isRepeated } = devicesOf(scenario, options);
  options.onStart?.(parsed, population.offsets.length - 1);
  const setupSeconds = (performance.now() - startMs) / 1000;
  const result = await simulate(parsed, parties, population, simulationOf(point, scenario.seed, options));
  const { plan } = parsed;
  const { engine } = await loadEngine('kernel', plan.model);
  const seconds = result.totals.elapsedMs / 1000;
  return {
    kind: 'simulation',
    experiment: experiment.name,
    planHash: parsed.hashHex,
    label: result.label,
    population: isRepeated ? 'rows of the data set, dealt out again and again' : 'one client, one device',
    devices: result.devices,
    parameters: result.weights.length,
    rounds: result.rounds.length,
    cohortMax: plan.rounds.cohortMax,
    seconds,
    setupSeconds,
    devicesPerSecond: result.totals.deviceRoundsPerSecond,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    epsilonSpent: result.epsilonSpent,
    epsilon: plan.privacy?.epsilon ?? null,
    delta: plan.privacy?.delta ?? null,
    metrics: await new Evaluator(engine, scenario, plan.model).metrics(result.weights),
    totals: result.totals,
    perDevice: result.perDevice,
    logRoot: result.logRoot,
    logRepeats: result.logRepeats,
  };
}

async function load(options: StudyOptions): Promise<{ point: Point; scenario: ExperimentScenario }> {
  const { file, rounds, cohort } = options;
  const overrides = {
    ...(rounds === undefined ? {} : { rounds }),
    ...(cohort === undefined
      ? {}
      : { 'cohort.target': cohort, 'cohort.minimum': Math.ceil((cohort * 2) / 3) }),
  };
  const experiment = readExperiment(file, overrides);
  const point = experiment.points[0]!;
  const dataRoot = await findDataRoot(options.dataDirectory);
  const dataset = await loadExperimentDataset(point.experiment, file, dataRoot);
  const seed = options.seed ?? String(point.experiment.seeds[0] ?? 0);
  const scenario = scenarioOf(point.experiment, dataset, seed, 0);
  const { devices } = options;
  if (devices === undefined || devices >= scenario.clients.length) return { point, scenario };
  const all = scenario.clients.map((client, i) => ({ client, evaluation: scenario.evaluation[i]! }));
  const some = shuffle(all, seededRandom(`clients/${seed}`)).slice(0, devices);
  const clients = some.map(({ client }) => client);
  const evaluation = some.map((one) => one.evaluation);
  const smaller = readExperiment(file, {
    'cohort.target': 'all',
    'cohort.minimum': Math.max(2, Math.floor(devices * 0.9)),
    ...overrides,
  });
  return { point: smaller.points[0]!, scenario: { ...scenario, clients, evaluation } };
}

function planFor(point: Point, parties: Parties, scenario: ExperimentScenario): ParsedPlan {
  try {
    return planOf(point.experiment, parties, scenario);
  } catch (error) {
    throw atPlanField(point, error);
  }
}

function devicesOf(
  { dataset, clients, evaluation }: ExperimentScenario,
  { devices }: StudyOptions,
): { population: VirtualPopulation; isRepeated: boolean } {
  const count = devices ?? clients.length;
  if (count <= clients.length)
    return { population: populationOf(dataset, clients, evaluation), isRepeated: false };
  const { inputs } = dataset;
  const offsets = new Uint32Array(count + 1);
  for (let i = 0; i < count; i++) offsets[i + 1] = offsets[i]! + clients[i % clients.length]!.rows.length;
  const rows = subset(
    dataset,
    clients.flatMap((client) => client.rows),
  );
  const total = offsets[count]!;
  const features = new Float32Array(new SharedArrayBuffer(4 * total * inputs));
  const labels =
    rows.labels instanceof Float32Array
      ? new Float32Array(new SharedArrayBuffer(4 * total))
      : new Uint8Array(new SharedArrayBuffer(total));
  for (let from = 0; from < total; from += rows.count) {
    const length = Math.min(rows.count, total - from);
    features.set(rows.features.subarray(0, length * inputs), from * inputs);
    labels.set(rows.labels.subarray(0, length), from);
  }
  return { population: { table: { features, labels, count: total }, offsets, inputs }, isRepeated: true };
}

function simulationOf({ experiment }: Point, seed: string, options: StudyOptions): SimulationOptions {
  const said = experiment.simulation;
  const workers = options.workers ?? said.workers;
  const availability = said.availability as AvailabilityOptions | undefined;
  const { directory, onRound } = options;
  const devices = options.devicesAs ?? said.devices;
  return {
    seal: options.seal ?? said.seal,
    identity: options.identity ?? said.identity,
    store: options.store ?? said.store,
    noise: said.noise,
    engine: said.engine,
    seed,
    ...(devices === undefined ? {} : { devices }),
    ...(workers === undefined ? {} : { workers }),
    ...(availability === undefined ? {} : { availability }),
    ...(directory === undefined ? {} : { directory }),
    ...(onRound === undefined ? {} : { onRound }),
  };
}
