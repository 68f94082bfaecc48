/**
 * Runs an experiment: every (sweep point, seed) once, what is done already kept, a folder that says everything.
 *
 * Harness code (DESIGN §2.12): data of all clients in one process. May be called by: cli, experiments.
 */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';
import { type ModelSpec, parameterCount } from '../../protos/model.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { findDataRoot } from '../datasets/index.ts';
import type { Dataset } from '../datasets/types.ts';
import { loadEngine } from '../simulation/engines.ts';
import {
  type Parties,
  populationOf,
  type SimulatedRound,
  simulate,
  simulationParties,
} from '../simulation/index.ts';
import { Evaluator } from './evaluator.ts';
import { atPlanField, type ExperimentFile, type Point } from './experiment.ts';
import {
  csvOf,
  linesOf,
  type MetricsLine,
  RunFolder,
  readUnit,
  sha256,
  type UnitKey,
  type UnitRecord,
} from './folder.ts';
import { runPage } from './page.ts';
import { perDeviceOf } from './per-device.ts';
import { planOf } from './plan-of.ts';
import { runPlots } from './plots.ts';
import { type ExperimentScenario, loadExperimentDataset, scenarioOf } from './scenario.ts';
import { type RunSummary, summarise, type UnitFailure } from './summary.ts';
import { federatedMetrics, type MetricValues } from './task-metrics.ts';
import { codeOf, tableSha256Of, type Versions, versionsOf } from './versions.ts';

export interface RunOptions {
  /** Absent: runs/NAME-HASH. */
  readonly outDirectory?: string;
  /** Directory of the data files; absent: found through PULSEFOLD_DATA and the usual places. */
  readonly dataDirectory?: string;
  readonly fresh?: boolean;
  /** Threads; absent: what the file says. Changes no figure. */
  readonly workers?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: RunProgress) => void;
}

export interface RunProgress {
  /** Rounds of units that were not done before. */
  readonly roundsDone: number;
  readonly roundsTotal: number;
  readonly unitsKept: number;
  readonly unitsTotal: number;
  readonly note: string;
}

export interface FinishedRun {
  readonly directory: string;
  readonly summary: RunSummary;
  /** Runs (sweep point, seed) that were done before. */
  readonly unitsKept: number;
}

interface Unit extends UnitKey {
  readonly experimentPoint: Point;
  readonly seed: string;
}

/** @throws CONFIG_INVALID with the place in the file, UNAVAILABLE for a locked folder, whatever a round fails with. */
export async function runExperiment(file: ExperimentFile, options: RunOptions = {}): Promise<FinishedRun> {
  const dataset = await datasetOf(file, options);
  const tableSha256 = tableSha256Of(dataset);
  const directory = resolve(options.outDirectory ?? defaultDirectory(file));
  const units = unitsOf(file);
  // Every point's plan is made before the first one runs: a sweep does not fail after an hour.
  for (const unit of units.filter(({ seedIndex }) => seedIndex === 0)) planFor(dataset, unit);
  const folder = new RunFolder(directory);
  folder.open(
    { name: file.experiment.name, hashHex: file.hashHex, tableSha256 },
    { fresh: options.fresh === true },
  );
  try {
    const versions = versionsOf(dataset, tableSha256);
    folder.write('experiment.yaml', file.yaml.text);
    folder.write('experiment.json', `${file.canonical}\n`);
    folder.write('versions.json', `${JSON.stringify(versions, null, 2)}\n`);
    const { unitsKept, failures } = await runUnits({ file, dataset, folder, units, options, versions });
    const summary = finish(folder, file, dataset, versions, units, failures);
    return { directory, summary, unitsKept };
  } finally {
    folder.close();
  }
}

export const defaultDirectory = ({ experiment, hashHex }: ExperimentFile): string =>
  join('runs', `${experiment.name}-${hashHex.slice(0, 12)}`);

export async function datasetOf(file: ExperimentFile, options: RunOptions): Promise<Dataset> {
  const root = findDataRoot(options.dataDirectory);
  return await loadExperimentDataset(file.experiment, file.yaml.file, root);
}

function unitsOf({ points, experiment }: ExperimentFile): Unit[] {
  return points.flatMap((point) =>
    experiment.seeds.map((seed, seedIndex) => ({
      point: point.index,
      seedIndex,
      seed,
      experimentPoint: point,
    })),
  );
}

export interface PlannedUnit {
  readonly parties: Parties;
  readonly scenario: ExperimentScenario;
  readonly parsed: ParsedPlan;
}

/** Scenario and plan of a unit; plan-level errors name the place in the file. */
export function planFor(
  dataset: Dataset,
  { experimentPoint, seed, seedIndex }: Pick<Unit, 'experimentPoint' | 'seed' | 'seedIndex'>,
): PlannedUnit {
  const { experiment, label } = experimentPoint;
  try {
    const parties = simulationParties(experiment.suite, seed);
    const scenario = scenarioOf(experiment, dataset, seed, seedIndex);
    return { parties, scenario, parsed: planOf(experiment, parties, scenario) };
  } catch (error) {
    const placed = atPlanField(experimentPoint, error);
    if (!isPulsefoldError(placed) || label === '') throw placed;
    throw new PulsefoldError(placed.code, `${placed.message} (at ${label})`, { cause: error });
  }
}

interface Work {
  readonly file: ExperimentFile;
  readonly dataset: Dataset;
  readonly folder: RunFolder;
  readonly units: readonly Unit[];
  readonly options: RunOptions;
  readonly versions: Versions;
}

interface Outcome {
  /** Done before. */
  readonly unitsKept: number;
  readonly failures: readonly UnitFailure[];
}

/** A unit that fails (a rate too high for its data) does not take the others with it; the first error where all do. */
async function runUnits(work: Work): Promise<Outcome> {
  const { folder, units, options } = work;
  const open = units.filter((unit) => folder.readUnit(unit) === null);
  const roundsOf = ({ experimentPoint: { experiment } }: Unit): number =>
    experiment.rounds.training + (experiment.evaluation.federated?.rounds ?? 0);
  const roundsTotal = open.reduce((sum, unit) => sum + roundsOf(unit), 0);
  const baselines = new Map<string, MetricValues>();
  const failures: UnitFailure[] = [];
  let roundsBefore = 0;
  for (const unit of open) {
    options.signal?.throwIfAborted();
    const { label } = unit.experimentPoint;
    const tell = (roundsHere: number): void =>
      options.onProgress?.({
        roundsDone: roundsBefore + roundsHere,
        roundsTotal,
        unitsKept: units.length - open.length,
        unitsTotal: units.length,
        note: `${label === '' ? '' : `${label}, `}seed ${unit.seed}`,
      });
    tell(0);
    try {
      await runUnit(work, unit, baselines, tell);
    } catch (error) {
      if (!isPulsefoldError(error) || options.signal?.aborted) throw error;
      failures.push({ point: unit.point, label, seed: unit.seed, code: error.code, message: error.message });
      if (failures.length === units.length) throw error;
    }
    roundsBefore += roundsOf(unit);
    tell(0);
  }
  return { unitsKept: units.length - open.length, failures };
}

async function runUnit(
  work: Work,
  unit: Unit,
  baselines: Map<string, MetricValues>,
  tell: (roundsHere: number) => void,
): Promise<void> {
  const { experiment } = unit.experimentPoint;
  const planned = planFor(work.dataset, unit);
  const { scenario, parsed } = planned;
  const { engine } = await loadEngine(experiment.simulation.engine, parsed.plan.model);
  const evaluator = new Evaluator(engine, scenario, parsed.plan.model, experiment.evaluation.personal);
  const common = { point: unit.point, seed: unit.seed };
  const testSha256 = rowsSha256([scenario.test]);
  const trainSha256 = rowsSha256(scenario.clients.map(({ rows }) => rows));
  const metrics: MetricsLine[] = [];
  for (const role of experiment.baselines) {
    const { personal } = experiment.evaluation;
    // Central training does not know who owns which row.
    const rows = role === 'central' ? rowsSha256([scenario.train]) : trainSha256;
    const key = JSON.stringify([role, parsed.plan.model, rows, testSha256, unit.seed, personal]);
    const values = baselines.get(key) ?? (await evaluator[role]());
    baselines.set(key, values);
    metrics.push({ ...common, model: role, ...NO_ROUND, ...values });
  }
  const startedMs = performance.now();
  const simulated = await simulateUnit(work, unit, planned, evaluator, tell);
  metrics.push(...simulated.lines.map((line) => ({ ...common, ...line })));
  const { result } = simulated;
  const record: Omit<UnitRecord, 'metrics_sha256'> = {
    ...common,
    plan_sha: parsed.hashHex,
    test_sha256: testSha256,
    train_sha256: trainSha256,
    clients: scenario.clients.length,
    test_rows: scenario.test.length,
    train_rows: scenario.train.length,
    epsilon_spent: result.epsilonSpent,
    log_root: result.logRoot,
    log_repeats: result.logRepeats,
    per_device: perDeviceOf(result.perDevice),
    label: { ...result.label },
    elapsed_ms: Math.round(performance.now() - startedMs),
    code: codeOf(work.versions),
  };
  work.folder.writeUnit(unit, record, {
    metrics,
    'plan.json': parsed.bytes,
    'timing.ndjson': simulated.timing.map((line) => `${JSON.stringify(line)}\n`).join(''),
    'model.json': modelText(parsed.plan.model, result.weights),
  });
}

/** A strategy may append to the weights what is none. */
const modelText = (spec: ModelSpec, weights: Float32Array): string =>
  `${JSON.stringify({ spec, weights: [...weights.subarray(0, parameterCount(spec))] })}\n`;

/** Trained in this thread, unless threads were asked for. */
const FEW_CLIENTS = 64;

type RoundLine = Omit<MetricsLine, 'point' | 'seed'>;

/** The rounds, each with its line; training rounds that are due, and the last one, with metrics. */
async function simulateUnit(
  { dataset, folder, options }: Work,
  unit: Unit,
  { parties, scenario, parsed }: PlannedUnit,
  evaluator: Evaluator,
  tell: (roundsHere: number) => void,
) {
  const { simulation, evaluation } = unit.experimentPoint.experiment;
  const lines: RoundLine[] = [];
  const timing: object[] = [];
  // Threads take longer to start than a few clients to train.
  const few = scenario.clients.length <= FEW_CLIENTS ? 0 : undefined;
  const workers = options.workers ?? simulation.workers ?? few;
  let released = 0;
  let trained = 0;
  let last = -1;
  const population = populationOf(dataset, scenario.clients, scenario.evaluation);
  const directory = folder.scratch(unit);
  const result = await simulate(parsed, parties, population, {
    ...simulationChoices(simulation),
    ...(simulation.store === 'sqlite' ? { directory } : {}),
    seed: unit.seed,
    ...(workers === undefined ? {} : { workers }),
    ...(options.signal ? { signal: options.signal } : {}),
    onRound: async (round) => {
      timing.push({ round: round.round, elapsed_ms: Math.round(round.elapsedMs) });
      const isTrained = round.kind === 'training' && round.phase === 'released';
      if (round.phase === 'released') tell(++released);
      if (isTrained) {
        trained++;
        last = lines.length;
      }
      const isDue =
        isTrained && (trained % evaluation.every === 0 || trained === parsed.plan.rounds.training);
      const opened = round.metrics ? federatedMetrics(round.metrics) : {};
      const values = isDue ? await evaluator.metrics(round.weights) : opened;
      lines.push({ ...lineOf(round), ...values });
    },
  });
  // A plan may end early, e.g. when a budget is spent.
  const ended = lines[last];
  if (ended && ended[evaluator.primary] === undefined)
    lines[last] = { ...ended, ...(await evaluator.metrics(result.weights)) };
  folder.removeScratch(unit);
  return { lines, timing, result };
}

const NO_ROUND = {
  kind: 'baseline',
  round: null,
  phase: null,
  invited: null,
  uploaded: null,
  certified: null,
  dropped: null,
  late: null,
  upload_bytes: null,
  epsilon_spent: null,
  virtual_ms: null,
  fetched_bytes: null,
  train_ms: null,
  battery_share: null,
} as const;

function lineOf(round: SimulatedRound) {
  return {
    model: 'federated',
    kind: round.kind,
    round: round.round,
    phase: round.phase,
    invited: round.invited,
    uploaded: round.uploaded,
    certified: round.certified,
    dropped: round.dropped,
    late: round.late,
    upload_bytes: round.uploadBytes,
    epsilon_spent: round.epsilonSpent,
    virtual_ms: round.virtualEndMs,
    fetched_bytes: round.fetchedBytes,
    train_ms: round.trainMs,
    battery_share: round.batteryShare,
  } as const;
}

function simulationChoices(simulation: Point['experiment']['simulation']) {
  const { seal, identity, devices, store, noise, engine, availability } = simulation;
  const choices = { seal, identity, store, noise, engine };
  return { ...choices, ...(devices ? { devices } : {}), ...(availability ? { availability } : {}) };
}

/** Over lists of row numbers; the order and the bounds of the lists count. */
function rowsSha256(lists: readonly (readonly number[])[]): string {
  const counts = lists.map((rows) => rows.length);
  const numbers = Uint32Array.from([lists.length, ...counts, ...lists.flat()]);
  return sha256(new Uint8Array(numbers.buffer));
}

/** Joined metrics, summary, plots, page. */
function finish(
  folder: RunFolder,
  file: ExperimentFile,
  dataset: Dataset,
  versions: Versions,
  units: readonly Unit[],
  failures: readonly UnitFailure[],
): RunSummary {
  const done = units.flatMap((unit) => readUnit(folder.path, unit) ?? []);
  const lines = done.flatMap((unit) => unit.lines);
  const records = done.map(({ record }) => record);
  const summary = summarise({ file, dataset, versions, records, lines, failures });
  folder.write('metrics.ndjson', linesOf(lines));
  folder.write('metrics.csv', csvOf(lines, file.points));
  folder.write('summary.json', `${JSON.stringify(summary, null, 2)}\n`);
  const plots = runPlots(summary, lines);
  mkdirSync(join(folder.path, 'plots'), { recursive: true });
  for (const { name, svg } of plots) folder.write(join('plots', `${name}.svg`), svg);
  folder.write('index.html', runPage({ summary, plots, experimentText: file.yaml.text }));
  return summary;
}
