/**
 * `pulsefold run`: the command line of experiments/runs.
 *
 * For: program.ts. Trusts: nothing; the file and --set are parsed strictly (experiments/runs/experiment.ts).
 */
import { constants } from 'node:os';
import { relative } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import type { ExperimentFile } from '../../experiments/runs/experiment.ts';
import type { FinishedRun, RunProgress } from '../../experiments/runs/run.ts';
import { type CommonOptions, collect, integerBetween, leaf, printJson, printLine } from '../command.ts';
import { EXIT_FAILURE } from '../failure.ts';
import {
  createProgress,
  formatDuration,
  type Progress,
  painter,
  renderFields,
  renderTable,
} from '../terminal.ts';

interface RunFlags extends CommonOptions {
  readonly out?: string;
  readonly data?: string;
  readonly set?: readonly string[];
  readonly seeds?: number;
  readonly rounds?: number;
  readonly workers?: number;
  readonly fresh?: true;
  readonly check?: true;
}

export function command(): Command {
  return leaf('run', {
    description:
      'Simulate an experiment from a YAML file and write a run folder: plans, metrics, plots, a page. A killed run goes ' +
      'on where it was when the same command is given again.',
    examples: [
      'run experiments/plans/heart-fedavg.yaml',
      'run experiments/plans/heart-dp.yaml --seeds 20 --json',
      'run experiments/plans/cardio-mlp.yaml --set privacy.epsilon=1 --set rounds=10',
      'run my-experiment.yaml --check',
    ],
  })
    .argument('<file>', 'experiment file (docs/experiments.md)')
    .option('--out <dir>', 'run folder (default: runs/NAME-HASH)')
    .option('--data <dir>', 'directory of the data files (default: PULSEFOLD_DATA, ./data, ../shared/data)')
    .option('--set <path=value>', 'another value for a field; may be repeated', collectSetting)
    .option('--seeds <number>', 'seeds 0 to number − 1', integerBetween(1, 1000))
    .option('--rounds <number>', 'training rounds', integerBetween(1, 500))
    .option('--workers <number>', 'threads; changes no figure', integerBetween(0, 256))
    .option('--fresh', 'begin anew: remove what an earlier run wrote into the folder')
    .option('--check', 'check the file and every plan it stands for, and stop')
    .action(async (file: string, options: RunFlags) => {
      const { readExperiment } = await import('../../experiments/runs/experiment.ts');
      const experiment = readExperiment(file, await overridesOf(options));
      if (options.check) return await check(experiment, options);
      // An exit by signal without this would leave the folder locked.
      for (const signal of ['SIGINT', 'SIGTERM'] as const)
        process.once(signal, () => process.exit(128 + constants.signals[signal]));
      await run(experiment, options);
    });
}

const SETTING = /^([a-zA-Z]+(?:\.[a-zA-Z0-9]+){0,5})=([\s\S]{0,4096})$/;

function collectSetting(text: string, previous: readonly string[] | undefined): string[] {
  if (!SETTING.test(text))
    throw new InvalidArgumentError('Expected a dotted path and a value, e.g. privacy.epsilon=1.');
  return collect(text, previous);
}

async function overridesOf({ set = [], seeds, rounds }: RunFlags): Promise<Record<string, unknown>> {
  const { parseYamlText } = await import('../../experiments/runs/yaml-file.ts');
  const settings = set.map((text): [string, unknown] => {
    const [, path = '', value = ''] = SETTING.exec(text) ?? [];
    return [path, parseYamlText(value, `--set ${path}`, 4096).value];
  });
  return {
    ...Object.fromEntries(settings),
    ...(seeds === undefined ? {} : { seeds }),
    ...(rounds === undefined ? {} : { rounds }),
  };
}

async function check(file: ExperimentFile, options: RunFlags): Promise<void> {
  const { checkExperiment } = await import('../../experiments/runs/check.ts');
  const points = await checkExperiment(
    file,
    options.data === undefined ? {} : { dataDirectory: options.data },
  );
  if (options.json) {
    for (const point of points) printJson(point);
    return;
  }
  process.stdout.write(
    renderTable(
      [
        'point',
        'clients',
        'train rows',
        'test rows',
        'parameters',
        'rounds',
        'cohort',
        'epsilon',
        'noise multiplier',
        'sums',
      ],
      points.map((point) => [
        point.label === '' ? '–' : point.label,
        point.clients,
        point.train_rows,
        point.test_rows,
        point.parameters,
        point.rounds,
        `${point.cohort_min}–${point.cohort_max}`,
        point.epsilon === null ? 'no privacy' : point.epsilon.toFixed(3),
        point.noise_multiplier === null ? null : point.noise_multiplier.toFixed(2),
        point.sums,
      ]),
    ),
  );
  const { experiment } = file;
  printLine(`ok: ${points.length} × ${experiment.seeds.length} seeds; ${file.hashHex.slice(0, 12)}`);
}

async function run(file: ExperimentFile, options: RunFlags): Promise<void> {
  const { runExperiment } = await import('../../experiments/runs/run.ts');
  let progress: Progress | undefined;
  const onProgress = (told: RunProgress): void => {
    progress ??= createProgress({ label: 'rounds', total: told.roundsTotal, json: options.json === true });
    progress.update(told.roundsDone, told.note);
  };
  let finished: FinishedRun;
  try {
    finished = await runExperiment(file, {
      onProgress,
      fresh: options.fresh === true,
      ...(options.out === undefined ? {} : { outDirectory: options.out }),
      ...(options.data === undefined ? {} : { dataDirectory: options.data }),
      ...(options.workers === undefined ? {} : { workers: options.workers }),
    });
  } catch (error) {
    progress?.finish('stopped; what is done is kept');
    throw error;
  }
  progress?.finish();
  if (finished.summary.failures.length > 0) process.exitCode = EXIT_FAILURE;
  if (options.json) {
    printJson({ ...finished.summary, run_dir: finished.directory });
    return;
  }
  await print(finished);
}

/** A terminal is too narrow for all; the page has them. */
const isShown = (name: string): boolean =>
  !/^(calibration_error|rmse|personal_worst|r_squared|worst|federated_(?!auc))/.test(name);

async function print({ summary, directory, unitsKept }: FinishedRun): Promise<void> {
  const { METRICS } = await import('../../experiments/runs/task-metrics.ts');
  const { intervalText, meanText, resultRows, warningsOf } = await import('../../experiments/runs/page.ts');
  const { ranText } = await import('../../experiments/runs/plots.ts');
  const { primary_metric: primary, metrics } = summary;
  const others = metrics.filter((name) => name !== primary && isShown(name));
  const several = summary.points.length > 1;
  const rows = resultRows(summary).map(({ label, model, estimates, privacy }) => [
    ...(several ? [label === '' ? 'all points' : label] : []),
    model,
    intervalText(estimates[primary], METRICS[primary].digits),
    ...others.map((name) => meanText(estimates[name], METRICS[name].digits)),
    privacy ? (privacy.epsilon_spent ?? 0).toFixed(3) : null,
  ]);
  process.stdout.write(
    renderTable(
      [
        ...(several ? ['point'] : []),
        'model',
        METRICS[primary].title,
        ...others.map((name) => METRICS[name].title),
        'ε spent',
      ],
      rows,
    ),
  );
  for (const warning of warningsOf(summary))
    process.stderr.write(`${painter(process.stderr)('yellow', warning)}\n`);
  const { PER_DEVICE_COLUMNS, perDeviceNote, perDeviceRows } = await import(
    '../../experiments/runs/per-device.ts'
  );
  const [first] = summary.points.flatMap(({ per_device }) => per_device ?? []);
  const costs = summary.points.flatMap(({ label, per_device }) =>
    per_device ? perDeviceRows(per_device).map((row) => [...(several ? [label] : []), ...row]) : [],
  );
  if (first) process.stdout.write(renderTable([...(several ? ['point'] : []), ...PER_DEVICE_COLUMNS], costs));
  const directoryText = relative(process.cwd(), directory) || '.';
  process.stdout.write(
    renderFields([
      ['figures', summary.evaluation],
      ['brackets', summary.interval],
      ...(first ? [['a device', perDeviceNote(first)] as const] : []),
      ['ran', ranText(summary)],
      [
        'seeds',
        `${summary.seeds.length}${unitsKept > 0 ? `; ${unitsKept} runs were done before and kept` : ''}`,
      ],
      ['computed in', formatDuration(summary.elapsed_ms)],
      ['folder', directoryText],
      ['page', `${directoryText}/index.html`],
    ]),
  );
}
