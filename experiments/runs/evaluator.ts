/**
 * Harness metrics of a model on the test rows of a scenario, and the baselines beside it. All data in one place, outside
 * the guarantee (DESIGN §2.12); whatever prints them says so.
 *
 * May be called by: experiments.
 */
import type { TrainEngine, TrainingData } from '../../client/training/engine.ts';
import { ensure } from '../../crypto/error.ts';
import { type LabelKind, labelKindOf } from '../../protos/features.ts';
import { initialWeights, type ModelSpec, outputsOf, parameterCount } from '../../protos/model.ts';
import { baselineOptions } from '../datasets/baselines.ts';
import { subset } from '../datasets/index.ts';
import {
  accuracy,
  auc,
  balancedAccuracy,
  brierScore,
  classMetrics,
  expectedCalibrationError,
  logLoss,
  regressionMetrics,
  worstDecile,
} from '../datasets/metrics.ts';
import type { Experiment } from './format.ts';
import { type AdaptingOptions, adaptedScores } from './personal.ts';
import type { ExperimentScenario } from './scenario.ts';
import { METRICS_OF, type MetricName, type MetricValues } from './task-metrics.ts';

/** Clients that train alone for the `local` baseline, evenly spaced. */
const LOCAL_CLIENTS_MAX = 20;

type Engine = Pick<TrainEngine, 'train' | 'predict'>;

/** Rows of the test set that belong together. */
type Groups = readonly (readonly number[])[];

export class Evaluator {
  readonly task: LabelKind;
  readonly #engine: Engine;
  readonly #scenario: ExperimentScenario;
  readonly #spec: ModelSpec;
  readonly #test: TrainingData;
  readonly #groups: Groups;
  /** From the scaled target to the label's own unit: y = scale·x + offset. */
  readonly #scale: number;

  readonly #personal: Experiment['evaluation']['personal'];

  /** @param personal how the people of the scenario adapt the model; they do where it is given */
  constructor(
    engine: Engine,
    scenario: ExperimentScenario,
    spec: ModelSpec,
    personal?: Experiment['evaluation']['personal'],
  ) {
    this.#personal = personal;
    ensure(scenario.test.length > 0, 'DATA_EMPTY', 'the split leaves no test rows');
    this.#engine = engine;
    this.#scenario = scenario;
    this.#spec = spec;
    const { schema } = scenario.dataset;
    this.task = labelKindOf(schema);
    this.#scale =
      'target' in schema.label ? (schema.label.target.maximum - schema.label.target.minimum) / 2 : 1;
    this.#test = subset(scenario.dataset, scenario.test);
    this.#groups = groupsOf(scenario);
  }

  /** What a run is judged by. */
  get primary(): MetricName {
    return METRICS_OF[this.task][0];
  }

  /** Metrics of these weights, by name; null where one is not defined. */
  async metrics(weights: Float32Array): Promise<MetricValues> {
    const { features, labels, count } = this.#test;
    // A strategy may append what is no weight of the model.
    const model = weights.subarray(0, parameterCount(this.#spec));
    const scores = await this.#engine.predict(this.#spec, model, features, count);
    const values = { ...this.#pooled(labels, scores), ...this.#worst(labels, scores) };
    const adapted = this.#personal ? await this.#adaptedScores(model, scores, this.#personal) : null;
    const personal = adapted ? this.#named(this.#pooled(labels, adapted), this.#worst(labels, adapted)) : {};
    const all: Partial<Record<MetricName, number>> = { ...values, ...personal };
    return Object.fromEntries(
      METRICS_OF[this.task]
        .filter((name) => adapted !== null || !name.startsWith('personal_'))
        .map((name) => [name, finite(all[name])]),
    );
  }

  /** `personal_` before what a run is judged by. */
  #named(
    pooled: Partial<Record<MetricName, number>>,
    worst: Partial<Record<MetricName, number>>,
  ): Record<string, number | undefined> {
    return {
      [`personal_${this.primary}`]: pooled[this.primary],
      [`personal_worst_decile_${this.primary}`]: worst[`worst_decile_${this.primary}` as MetricName],
    };
  }

  async #adaptedScores(
    weights: Float32Array,
    before: Float32Array,
    options: AdaptingOptions,
  ): Promise<Float32Array> {
    const { dataset, test, people, seed } = this.#scenario;
    const [engine, spec] = [this.#engine, this.#spec];
    return await adaptedScores(
      { engine, spec, dataset, split: { test, people }, options, seed },
      weights,
      before,
    );
  }

  /** The same model trained on all clients' rows in one place. */
  async central(): Promise<MetricValues> {
    return await this.metrics(await this.#trainedOn(this.#scenario.train));
  }

  /** Means over clients of a model trained on one client's rows, tested on all test rows. */
  async local(): Promise<MetricValues> {
    const { clients } = this.#scenario;
    const count = Math.min(clients.length, LOCAL_CLIENTS_MAX);
    const all: MetricValues[] = [];
    for (let i = 0; i < count; i++) {
      const client = clients[Math.floor((i * clients.length) / count)]!;
      all.push(await this.metrics(await this.#trainedOn(client.rows)));
    }
    return Object.fromEntries(
      METRICS_OF[this.task].map((name) => {
        const values = all.flatMap((metrics) => metrics[name] ?? []);
        return [name, values.length === 0 ? null : values.reduce((a, b) => a + b, 0) / values.length];
      }),
    );
  }

  async #trainedOn(rows: readonly number[]): Promise<Float32Array> {
    const { dataset, seed } = this.#scenario;
    const start = initialWeights(this.#spec, seed);
    const options = baselineOptions(this.#spec, seed);
    return await this.#engine.train(this.#spec, start, subset(dataset, rows), options);
  }

  #pooled(labels: ArrayLike<number>, scores: Float32Array): Partial<Record<MetricName, number>> {
    if (this.task === 'binary')
      return {
        auc: auc(labels, scores),
        log_loss: logLoss(labels, scores),
        accuracy: accuracy(labels, scores),
        balanced_accuracy: balancedAccuracy(labels, scores),
        brier_score: brierScore(labels, scores),
        calibration_error: expectedCalibrationError(labels, scores),
      };
    if (this.task === 'classes') {
      const metrics = classMetrics(labels, scores, outputsOf(this.#spec));
      return {
        accuracy: metrics.accuracy,
        macro_f1: metrics.macroF1,
        balanced_accuracy: metrics.balancedAccuracy,
        log_loss: metrics.logLoss,
        brier_score: metrics.brierScore,
        calibration_error: metrics.calibrationError,
      };
    }
    const metrics = regressionMetrics(labels, scores);
    return {
      mae: this.#scale * metrics.meanAbsoluteError,
      rmse: this.#scale * metrics.rootMeanSquaredError,
      r_squared: metrics.rSquared,
    };
  }

  #worst(labels: ArrayLike<number>, scores: Float32Array): Partial<Record<MetricName, number>> {
    if (this.#groups.length < 2) return {};
    const outputs = outputsOf(this.#spec);
    const figures = this.#groups.map((rows) => {
      const own = rows.map((row) => labels[row]!);
      const predicted = rows.flatMap((row) => [...scores.subarray(row * outputs, (row + 1) * outputs)]);
      if (this.task === 'binary') return auc(own, predicted);
      if (this.task === 'classes') return classMetrics(own, predicted, outputs).accuracy;
      return this.#scale * regressionMetrics(own, predicted).meanAbsoluteError;
    });
    if (figures.every(Number.isNaN)) return {};
    if (this.task === 'binary') return { worst_decile_auc: worstDecile(figures) };
    if (this.task === 'classes') return { worst_decile_accuracy: worstDecile(figures) };
    return { worst_decile_mae: worstDecile(figures, 'highest') };
  }
}

const finite = (value: number | undefined): number | null =>
  value === undefined || !Number.isFinite(value) ? null : value;

/** Positions in the test set by person, where people have several test rows; else by site; none where there is one. */
function groupsOf({ dataset, test }: ExperimentScenario): Groups {
  const by = (key: 'person' | 'site'): Groups => {
    const groups = new Map<string, number[]>();
    test.forEach((row, position) => {
      const name = dataset.rows[row]![key];
      const group = groups.get(name);
      if (group) group.push(position);
      else groups.set(name, [position]);
    });
    return [...groups.values()];
  };
  const people = by('person');
  return people.length < test.length ? people : by('site');
}
