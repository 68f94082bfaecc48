/**
 * `pulsefold simulate`: the command line of experiments/simulation.
 *
 * For: program.ts. Trusts: nothing; the file is parsed strictly (experiments/runs/experiment.ts).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import type { SimulationOptions } from '../../experiments/simulation/index.ts';
import type { StudyReport } from '../../experiments/simulation/study.ts';
import { type CommonOptions, integerBetween, leaf, printJson, printLine } from '../command.ts';
import { createProgress, renderFields, renderTable } from '../terminal.ts';

interface SimulateFlags extends CommonOptions {
  readonly seal?: SimulationOptions['seal'];
  readonly identity?: SimulationOptions['identity'];
  readonly devicesAs?: NonNullable<SimulationOptions['devices']>;
  readonly store?: SimulationOptions['store'];
  readonly directory?: string;
  readonly devices?: number;
  readonly cohort?: number;
  readonly rounds?: number;
  readonly workers?: number;
  readonly seed?: string;
  readonly data?: string;
}

export function command(): Command {
  return leaf('simulate', {
    description:
      'Run an experiment once over virtual devices, by the code that runs in production, on a virtual clock. Seal, ' +
      'identities and store may be weaker than in production; every output says which ran.',
    examples: [
      'simulate experiments/plans/cardio-phones.yaml --json',
      'simulate experiments/plans/cardio-phones.yaml --devices 1000000 --rounds 3',
      'simulate experiments/plans/cardio-phones.yaml --identity signed --store sqlite',
      'simulate experiments/plans/cardio-phones.yaml --devices 200 --seal shares --identity signed --store sqlite',
    ],
  })
    .argument('<file>', 'experiment file (docs/experiments.md)')
    .addOption(new Option('--seal <how>', 'how sums stay closed').choices(['none', 'bfv', 'shares']))
    .addOption(
      new Option('--identity <how>', 'whether devices have keys and sign').choices(['none', 'signed']),
    )
    .addOption(
      new Option(
        '--devices-as <form>',
        'with signatures: whole client agents (default up to 200 devices) or seeds',
      ).choices(['agents', 'seeds']),
    )
    .addOption(
      new Option('--store <where>', "where the coordinator's state lies").choices(['memory', 'sqlite']),
    )
    .option('--directory <directory>', 'of store sqlite (default: a temporary one)')
    .option('--devices <number>', 'virtual devices', integerBetween(2, 10_000_000))
    .option('--cohort <number>', 'devices of a round', integerBetween(2, 1_000_000))
    .option('--rounds <number>', 'training rounds', integerBetween(1, 500))
    .option('--workers <number>', 'threads; changes no figure', integerBetween(0, 256))
    .option('--seed <text>', "seed (default: the file's first)")
    .option('--data <dir>', 'directory of the data files (default: PULSEFOLD_DATA, ./data, ../shared/data)')
    .action(run);
}

async function run(file: string, flags: SimulateFlags): Promise<void> {
  const { runStudy } = await import('../../experiments/simulation/study.ts');
  const json = flags.json === true;
  const { data, directory, json: _json, debug: _debug, ...settings } = flags;
  const own = settings.store === 'sqlite' && directory === undefined;
  const home = own ? mkdtempSync(join(tmpdir(), 'pulsefold-simulate-')) : directory;
  let progress = createProgress({ label: 'simulate', total: 0, json });
  try {
    const report = await runStudy({
      file,
      ...settings,
      ...(home === undefined ? {} : { directory: home }),
      ...(data === undefined ? {} : { dataDirectory: data }),
      onStart: ({ plan }) => {
        const total = plan.rounds.training + plan.rounds.evaluation;
        progress = createProgress({ label: 'simulate', total, json });
      },
      onRound: ({ round, uploaded, certified, phase }) =>
        progress.update(round, `round ${round} ${phase}: ${certified} of ${uploaded} uploads`),
    });
    progress.finish();
    if (json) printJson(report);
    else {
      printLine(renderFields(fieldsOf(report)));
      const { PER_DEVICE_COLUMNS, perDeviceNote, perDeviceOf, perDeviceRows } = await import(
        '../../experiments/runs/per-device.ts'
      );
      const figures = perDeviceOf(report.perDevice);
      process.stdout.write(renderTable([...PER_DEVICE_COLUMNS], perDeviceRows(figures)));
      printLine(perDeviceNote(figures));
    }
  } finally {
    if (own && home !== undefined) rmSync(home, { recursive: true, force: true });
  }
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;

function fieldsOf(report: StudyReport): [string, string][] {
  const { label, totals } = report;
  const metrics = Object.entries(report.metrics)
    .map(([name, value]) => `${name} ${value === null ? 'undefined' : value.toFixed(4)}`)
    .join(', ');
  const spent = report.epsilonSpent?.toFixed(4) ?? 'none';
  return [
    ['experiment', `${report.experiment}, plan ${report.planHash.slice(0, 12)}`],
    [
      'ran with',
      `seal ${label.seal}, identity ${label.identity} (devices: ${label.devices}), store ${label.store}`,
    ],
    ['noise', label.noise],
    ['engine', `${label.engine}, ${label.workers} worker threads`],
    ['devices', `${report.devices} (${report.population}); cohorts of at most ${report.cohortMax}`],
    ['rounds', `${report.rounds}, ${totals.uploads} uploads of ${megabytes(totals.uploadBytes)} in all`],
    [
      'time',
      `${report.seconds.toFixed(1)} s, ${report.devicesPerSecond.toFixed(0)} devices/s; virtual ${(totals.virtualMs / 1000).toFixed(0)} s`,
    ],
    ['peak memory', megabytes(report.peakRssBytes)],
    [
      'epsilon',
      report.epsilon === null ? 'none: no privacy' : `${spent} of ${report.epsilon} at delta ${report.delta}`,
    ],
    ['test rows (harness)', metrics],
    ['log root', report.logRepeats ? report.logRoot : `${report.logRoot} (does not repeat)`],
  ];
}
