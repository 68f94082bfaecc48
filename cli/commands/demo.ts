/**
 * `pulsefold demo`: the command line of experiments/demo.
 *
 * For: program.ts. Trusts: nothing. DP is on unless --no-dp says otherwise, and --no-dp refuses an --epsilon.
 */
import { constants } from 'node:os';
import { type Command, InvalidArgumentError, Option } from 'commander';
import {
  type DemoOptions,
  demoCombineRules,
  demoDatasets,
  demoStrategies,
} from '../../experiments/demo/options.ts';
import { type CommonOptions, ensureUsage, integerBetween, leaf, printJson, suiteOption } from '../command.ts';

/** What commander hands over. */
export interface DemoFlags extends CommonOptions {
  readonly dataset?: string;
  readonly data?: string;
  readonly dp: boolean;
  readonly epsilon?: string;
  readonly repeats: number;
  readonly clients?: number;
  readonly rounds?: number;
  readonly model?: 'lr' | 'mlp';
  readonly strategy?: (typeof demoStrategies)[number];
  readonly suite: 'intl' | 'gm';
  readonly transport: 'shares' | 'bfv';
  readonly groups?: number;
  readonly combine?: (typeof demoCombineRules)[number];
  readonly seed: string;
  readonly evaluation: 'none' | 'federated';
  readonly killCoordinator?: true;
  readonly vanish: boolean;
  readonly stopHolders: number;
  readonly out?: string;
  readonly keep?: true;
}

const EPSILON_MAX = 1000;

function parseEpsilon(text: string): string {
  const value = Number(text);
  const fits = /^\d{1,4}(\.\d{1,9})?$/.test(text) && value > 0 && value <= EPSILON_MAX;
  if (!fits)
    throw new InvalidArgumentError(
      `Expected a decimal number above 0 and up to ${EPSILON_MAX}, e.g. 3 or 0.5.`,
    );
  return text;
}

function parseSeed(text: string): string {
  if (!/^[\x21-\x7e]{1,64}$/.test(text))
    throw new InvalidArgumentError('Expected 1 to 64 printable ASCII characters.');
  return text;
}

export function command(): Command {
  return demoCommand(async (options) => {
    // An exit by signal without this would skip the "exit" handlers that end the child processes.
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => process.exit(128 + constants.signals[signal]));
    }
    const { runDemo } = await import('../../experiments/demo/demo.ts');
    const figures = await runDemo(options);
    if (options.json) printJson(figures);
  });
}

/** The command with what it does left open, for tests. */
export function demoCommand(run: (options: DemoOptions) => Promise<void>): Command {
  return leaf('demo', {
    description:
      'Start a registrar, a coordinator, four key holders and a population of clients as real processes on this ' +
      'machine, train a health-risk model under differential privacy, print how good it got and what it cost.',
    examples: [
      'demo',
      'demo --dataset uci-heart --data ../shared/data --epsilon 3 --repeats 20 --json',
      'demo --dataset cardio --clients 300 --rounds 3',
      'demo --kill-coordinator',
      'demo --dataset cardio --groups 10 --combine median --no-dp',
    ],
  })
    .addOption(
      new Option('--dataset <name>', 'data set (default: uci-heart if found, else synthetic-band)').choices([
        ...demoDatasets,
      ]),
    )
    .option('--data <dir>', 'directory of the data files (default: PULSEFOLD_DATA, ./data, ../shared/data)')
    .option('--no-dp', 'NO differential privacy: sums are still encrypted, the model may leak training data')
    .option('--epsilon <number>', 'privacy budget', parseEpsilon)
    .option('--repeats <number>', 'runs with other seeds, averaged', integerBetween(1, 1000), 1)
    .option('--clients <number>', 'clients', integerBetween(2, 10_000))
    .option('--rounds <number>', 'training rounds', integerBetween(1, 500))
    .addOption(new Option('--model <model>', 'logistic regression or a small network').choices(['lr', 'mlp']))
    .addOption(new Option('--strategy <strategy>', 'server optimiser').choices([...demoStrategies]))
    .addOption(suiteOption())
    .addOption(
      new Option(
        '--transport <transport>',
        'how sums stay secret: seeds shared by the key holders, or threshold BFV',
      )
        .choices(['shares', 'bfv'])
        .default('shares'),
    )
    .option(
      '--groups <number>',
      'phones only: open sums of disjoint groups, against poisoning, 3 to 64',
      integerBetween(3, 64),
    )
    .addOption(
      new Option('--combine <rule>', 'how the groups become one update (default: norm-filter)').choices([
        ...demoCombineRules,
      ]),
    )
    .option('--seed <text>', 'splits, initial weights and batches; never noise', parseSeed, '0')
    .addOption(
      new Option('--evaluation <path>', 'charge for an evaluation inside the guarantee')
        .choices(['none', 'federated'])
        .default('none'),
    )
    .option(
      '--kill-coordinator',
      'SIGKILL the coordinator at a random point of each round and start it again',
    )
    .option('--no-vanish', 'phones only: do not SIGKILL a quarter of them in the middle of a round')
    .option(
      '--stop-holders <number>',
      'key holders stopped for the whole run, 0 to 2',
      integerBetween(0, 2),
      0,
    )
    .option('--out <dir>', 'run directory (default: runs/TIME-DATASET)')
    .option('--keep', "keep the roles' private directories, too")
    .action((flags: DemoFlags) => run(demoOptionsOf(flags)));
}

/** Throws UsageError for combinations that contradict each other. */
export function demoOptionsOf(flags: DemoFlags): DemoOptions {
  const { dataset, data, dp, epsilon, clients, rounds, model, strategy, groups, combine, out } = flags;
  ensureUsage(
    dp || epsilon === undefined,
    '--epsilon and --no-dp contradict each other: leave one out',
    'pulsefold demo',
  );
  ensureUsage(
    groups !== undefined || combine === undefined,
    '--combine says how groups become one update: add --groups, e.g. --groups 10',
    'pulsefold demo',
  );
  ensureUsage(
    groups === undefined || flags.transport === 'shares',
    '--groups needs --transport shares, which is the default',
    'pulsefold demo',
  );
  return {
    dp,
    repeats: flags.repeats,
    suite: flags.suite,
    transport: flags.transport,
    seed: flags.seed,
    evaluation: flags.evaluation,
    killCoordinator: flags.killCoordinator === true,
    vanish: flags.vanish,
    stopHolders: flags.stopHolders,
    keep: flags.keep === true,
    json: flags.json === true,
    ...(dataset === undefined ? {} : { dataset }),
    ...(data === undefined ? {} : { dataDirectory: data }),
    ...(epsilon === undefined ? {} : { epsilon }),
    ...(clients === undefined ? {} : { clients }),
    ...(rounds === undefined ? {} : { rounds }),
    ...(model === undefined ? {} : { model }),
    ...(strategy === undefined ? {} : { strategy }),
    ...(groups === undefined ? {} : { groups }),
    ...(combine === undefined ? {} : { combine }),
    ...(out === undefined ? {} : { outDirectory: out }),
  };
}
