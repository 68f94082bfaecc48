/**
 * The metrics of a run: which there are for a label, what they are called in files and on pages, which way is better.
 *
 * May be called by: experiments, cli.
 */
import type { LabelKind } from '../../protos/features.ts';
import type { HistogramMetrics } from '../../protos/histogram-metrics.ts';

export interface MetricText {
  readonly title: string;
  readonly better: 'higher' | 'lower';
  /** Digits after the point. */
  readonly digits: number;
  /** What the metric can be: an interval over few seeds may reach beyond, a plot does not. */
  readonly least: number;
  readonly most: number;
}

const share = { digits: 4, least: 0, most: 1 };
const higher = (title: string): MetricText => ({ title, better: 'higher', ...share });
const lower = (title: string): MetricText => ({ title, better: 'lower', ...share });
const error = (title: string): MetricText => ({ ...lower(title), most: Infinity });

/** By name in metrics.ndjson. */
export const METRICS = {
  auc: higher('AUC'),
  accuracy: higher('accuracy'),
  balanced_accuracy: higher('balanced accuracy'),
  macro_f1: higher('macro F1'),
  log_loss: error('log-loss'),
  brier_score: lower('Brier score'),
  calibration_error: lower('calibration error (ECE)'),
  mae: error('mean absolute error'),
  rmse: error('root mean squared error'),
  r_squared: { ...higher('R²'), least: -Infinity },
  worst_decile_auc: higher('worst-decile AUC'),
  worst_decile_accuracy: higher('worst-decile accuracy'),
  worst_decile_mae: error('worst-decile mean absolute error'),
  personal_auc: higher('AUC, personalised'),
  personal_accuracy: higher('accuracy, personalised'),
  personal_mae: error('mean absolute error, personalised'),
  personal_worst_decile_auc: higher('worst-decile AUC, personalised'),
  personal_worst_decile_accuracy: higher('worst-decile accuracy, personalised'),
  personal_worst_decile_mae: error('worst-decile mean absolute error, personalised'),
  federated_auc: higher('AUC, federated evaluation'),
  federated_accuracy: higher('accuracy, federated evaluation'),
  federated_balanced_accuracy: higher('balanced accuracy, federated evaluation'),
  federated_calibration_error: lower('calibration error (ECE), federated evaluation'),
} as const satisfies Readonly<Record<string, MetricText>>;

export type MetricName = keyof typeof METRICS;

/** The first of each list is the one that a run is judged by; `personal_` ones exist where evaluation.personal is set. */
export const METRICS_OF: Readonly<Record<LabelKind, readonly [MetricName, ...MetricName[]]>> = {
  binary: [
    'auc',
    'log_loss',
    'accuracy',
    'balanced_accuracy',
    'brier_score',
    'calibration_error',
    'worst_decile_auc',
    'personal_auc',
    'personal_worst_decile_auc',
  ],
  classes: [
    'accuracy',
    'macro_f1',
    'balanced_accuracy',
    'log_loss',
    'brier_score',
    'calibration_error',
    'worst_decile_accuracy',
    'personal_accuracy',
    'personal_worst_decile_accuracy',
  ],
  regression: ['mae', 'rmse', 'r_squared', 'worst_decile_mae', 'personal_mae', 'personal_worst_decile_mae'],
};

/**
 * What rounds of evaluation release: from the devices' own rows, inside the guarantee, with its noise, in steps of the
 * histogram's bins (protos/histogram-metrics.ts). Not comparable with the harness's figures beyond that.
 */
export const FEDERATED_METRICS = [
  'federated_auc',
  'federated_accuracy',
  'federated_balanced_accuracy',
  'federated_calibration_error',
] as const satisfies readonly MetricName[];

/** NaN, of a class that nobody has, is no figure. */
export function federatedMetrics(released: HistogramMetrics): MetricValues {
  const { auc, accuracy, balancedAccuracy, calibrationError } = released;
  const values = [auc, accuracy, balancedAccuracy, calibrationError];
  return Object.fromEntries(
    FEDERATED_METRICS.map((name, i) => [name, Number.isFinite(values[i]) ? values[i]! : null]),
  );
}

export const isMetricName = (name: string): name is MetricName => Object.hasOwn(METRICS, name);

/** Null: not defined on these rows, e.g. the AUC of one class. */
export type MetricValues = Readonly<Partial<Record<MetricName, number | null>>>;
