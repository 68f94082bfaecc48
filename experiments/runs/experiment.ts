/**
 * An experiment file, read: its points (one per combination of a sweep), its canonical hash, overrides from the command
 * line.
 *
 * Trusts: nothing. May be called by: experiments, cli.
 */
import { createHash } from 'node:crypto';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import { canonicalJson, type JsonObject } from '../../crypto/log/canonical-json.ts';
import { encodeReals } from '../../protos/reals.ts';
import {
  EXPERIMENT_CHARACTERS_MAX,
  type Experiment,
  experimentSchema,
  SWEEP_POINTS_MAX,
  UNITS_MAX,
} from './format.ts';
import { checkYaml, type Path, parseYamlText, readYamlFile, type YamlFile } from './yaml-file.ts';

export interface Point {
  readonly index: number;
  /** `privacy.epsilon=1`, joined by spaces; empty without a sweep. */
  readonly label: string;
  /** Dotted path → value. */
  readonly values: Readonly<Record<string, unknown>>;
  readonly experiment: Experiment;
  /** The file with this point's values in place, and found where they stand in the sweep. */
  readonly yaml: YamlFile;
}

export interface ExperimentFile {
  readonly yaml: YamlFile;
  /** The first point's settings; name and seeds are every point's. */
  readonly experiment: Experiment;
  readonly points: readonly Point[];
  /** What was asked for, defaults left out, overrides in: what the hash covers. */
  readonly canonical: string;
  /** SHA-256 of `canonical`, hexadecimal. Threads stand outside: they change no figure. */
  readonly hashHex: string;
}

/** Dotted path → value, over what the file says. */
export type Overrides = Readonly<Record<string, unknown>>;

export const readExperiment = (file: string, overrides: Overrides = {}): ExperimentFile =>
  finishExperiment(readYamlFile(file, EXPERIMENT_CHARACTERS_MAX), overrides);

export const parseExperiment = (text: string, file: string, overrides: Overrides = {}): ExperimentFile =>
  finishExperiment(parseYamlText(text, file, EXPERIMENT_CHARACTERS_MAX), overrides);

/** Fields that are the same for all points of a run; figures of two data sets do not compare. */
const FIXED = ['name', 'description', 'dataset', 'seeds', 'sweep'];

/** A number of rounds leaves windows and overlap as the file has them. */
function trainingOf(file: unknown, overrides: Overrides): Overrides {
  const { rounds, ...rest } = overrides;
  const own = (file as { readonly rounds?: unknown } | null)?.rounds;
  const isNumberForObject = typeof rounds === 'number' && typeof own === 'object' && own !== null;
  return isNumberForObject ? { ...rest, 'rounds.training': rounds } : overrides;
}

function finishExperiment(read: YamlFile, given: Overrides): ExperimentFile {
  const overrides = trainingOf(read.value, given);
  const yaml = withOverrides(read, overrides);
  let input = yaml.value;
  for (const [path, value] of Object.entries(overrides)) input = withValue(input, path.split('.'), value);
  const experiment = checkYaml(yaml, experimentSchema, input);
  const points = pointsOf(yaml, input, experiment);
  ensure(
    points.length * experiment.seeds.length <= UNITS_MAX,
    'CONFIG_INVALID',
    `${yaml.locate(['sweep'])}: ${points.length} points × ${experiment.seeds.length} seeds, at most ${UNITS_MAX} runs`,
  );
  const canonical = canonicalJson(encodeReals(withoutWorkers(input)) as JsonObject);
  return {
    yaml,
    experiment: points[0]!.experiment,
    points,
    canonical,
    hashHex: createHash('sha256').update('pulsefold/v1/experiment\n').update(canonical).digest('hex'),
  };
}

/** What was given on the command line is not found in the file. */
function withOverrides(yaml: YamlFile, overrides: Overrides): YamlFile {
  const given = (path: Path): string | undefined => {
    const text = path.join('.');
    const own = Object.keys(overrides).find((set) => text === set || text.startsWith(`${set}.`));
    return own === undefined ? undefined : `--set ${own}`;
  };
  return {
    ...yaml,
    locate: (path) => given(path) ?? yaml.locate(path),
    locateKey: (path) => given(path) ?? yaml.locateKey(path),
  };
}

function pointsOf(yaml: YamlFile, input: unknown, experiment: Experiment): Point[] {
  const axes = Object.entries(experiment.sweep ?? {});
  for (const [path] of axes)
    ensure(
      !FIXED.includes(path.split('.')[0]!),
      'CONFIG_INVALID',
      `${yaml.locateKey(['sweep', path])}: sweep.${path}: the same for a whole run: cannot be swept`,
    );
  const count = axes.reduce((product, [, values]) => product * values.length, 1);
  ensure(
    count <= SWEEP_POINTS_MAX,
    'CONFIG_INVALID',
    `${yaml.locate(['sweep'])}: sweep: ${count} points, at most ${SWEEP_POINTS_MAX}`,
  );
  return Array.from({ length: count }, (_, index) => {
    let at = index;
    const chosen: [string, number][] = [];
    // The last axis moves fastest.
    for (const [path, values] of [...axes].reverse()) {
      chosen.unshift([path, at % values.length]);
      at = Math.floor(at / values.length);
    }
    const values = Object.fromEntries(chosen.map(([path, i]) => [path, experiment.sweep![path]![i]]));
    return {
      index,
      label: chosen.map(([path, i]) => `${path}=${labelOf(values[path], i)}`).join(' '),
      values,
      ...(axes.length === 0 ? { experiment, yaml } : experimentAt(yaml, input, chosen, values)),
    };
  });
}

/** Parsed once more with the point's values in place; what they break is reported where they stand in the sweep. */
function experimentAt(
  yaml: YamlFile,
  input: unknown,
  chosen: readonly [string, number][],
  values: Readonly<Record<string, unknown>>,
): Pick<Point, 'experiment' | 'yaml'> {
  let moved = input;
  for (const [path, value] of Object.entries(values)) moved = withValue(moved, path.split('.'), value);
  const locate = (way: 'locate' | 'locateKey') => (path: Path) => {
    const text = path.join('.');
    const axis = chosen.find(([swept]) => text === swept || text.startsWith(`${swept}.`));
    if (!axis) return yaml[way](path);
    const inside = path.slice(axis[0].split('.').length);
    return yaml[way](['sweep', axis[0], axis[1], ...inside]);
  };
  const located = { ...yaml, value: moved, locate: locate('locate'), locateKey: locate('locateKey') };
  return { experiment: checkYaml(located, experimentSchema, moved), yaml: located };
}

const LABEL_CHARACTERS_MAX = 40;

function labelOf(value: unknown, index: number): string {
  if (value === null) return 'none';
  if (typeof value !== 'object') return String(value);
  const { strategy, kind, combine, by, rule } = value as Record<string, unknown>;
  const name = strategy ?? kind ?? combine ?? by ?? rule;
  if (typeof name === 'string') return `${name.slice(0, LABEL_CHARACTERS_MAX)}#${index + 1}`;
  const text = JSON.stringify(value);
  return text.length <= LABEL_CHARACTERS_MAX ? text : `#${index + 1}`;
}

/** A copy with `value` at `path`; what is missing on the way is made. */
function withValue(input: unknown, path: readonly string[], value: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  const base = input !== null && typeof input === 'object' && !Array.isArray(input) ? input : {};
  const inner = Object.hasOwn(base, key) ? (base as Record<string, unknown>)[key] : undefined;
  return { ...base, [key]: withValue(inner, rest, value) };
}

function withoutWorkers(input: unknown): unknown {
  const { simulation, ...rest } = input as { simulation?: Record<string, unknown> };
  if (simulation === undefined) return rest;
  const { workers: _threads, ...kept } = simulation;
  return { ...rest, simulation: kept };
}

/**
 * Says where in the file a plan's field comes from: plan-level checks (protos/plan.ts) name `plan.training.batchSize`.
 */
export function atPlanField({ yaml }: Pick<Point, 'yaml'>, error: unknown): unknown {
  if (!(error instanceof PulsefoldError) || error.code !== 'PLAN_INVALID') return error;
  const [, field, rest] = /^plan\.([\w.]*): ([\s\S]*)$/.exec(error.message) ?? [];
  if (field === undefined || rest === undefined) return error;
  const path = EXPERIMENT_FIELDS.find(([plan]) => field === plan || field.startsWith(`${plan}.`));
  const own = path
    ? [...path[1], ...field.slice(path[0].length).split('.').filter(Boolean)]
    : field.split('.');
  return new PulsefoldError('CONFIG_INVALID', `${yaml.locate(own)}: ${own.join('.')}: ${rest}`, {
    cause: error,
  });
}

/** Fields that stand elsewhere in a plan than in an experiment. */
const EXPERIMENT_FIELDS: readonly (readonly [string, readonly string[]])[] = [
  ['mechanism.adaptiveClip', ['adaptiveClip']],
  ['aggregation.groups', ['groups']],
  ['rounds.cohortMin', ['cohort', 'minimum']],
  ['rounds.cohortTarget', ['cohort', 'target']],
  ['rounds.cohortMax', ['cohort', 'maximum']],
  ['rounds.evaluation', ['evaluation', 'federated']],
];
